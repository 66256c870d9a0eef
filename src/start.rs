//! Start and end of the process, in order: read everything, open everything that needs privileges, go into the
//! background, give up privileges, serve, end.
//!
//! Any error before pen serves ends with exit status 1, also for whoever started a daemon.

pub(crate) mod doors;

use crate::cli::{self, CommandLine, Instead};
use crate::control::apply::{Door, Engine};
use crate::imports::{self, Source};
use crate::instance::{self, Extras, Instance};
use crate::log::diag::{self, Severity};
use crate::log::messages::OpenMessages;
use crate::log::target::OpenLog;
use crate::octopus::{self, Server};
use crate::opening::{self, Opened, check_ports, each, learn_countries, open_listeners, open_or_adopt};
use crate::process::{Doors, Process};
use crate::settings::{Config, LISTENS_NOWHERE, MAIN, ProcessConfig, ServiceConfig};
use crate::supervision::Supervision;
use crate::sys::capabilities;
use crate::sys::clock;
use crate::sys::daemon::{self, Detached};
use crate::sys::errors::reason;
use crate::sys::fifo::Fifo;
use crate::sys::files::PidFile;
use crate::sys::inherited::Inherited;
use crate::sys::limits;
use crate::sys::notify::Supervisor;
use crate::sys::privileges::{self, Account, Keep};
use crate::sys::program::{complain, print};
use crate::{demo, dsr, glbd, reload, trial};
use doors::{Members, PRIVATE, is_control_refused, open_control, rights};
use pen_proto::commands::{Command, Flag, Question, Text};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// As [`run`], in the place of another program if the program's name says so.
pub fn run_as(program: Option<&OsStr>, arguments: &[String]) -> ExitCode {
    let name = program.and_then(|program| Path::new(program).file_name()?.to_str());
    match name.filter(|name| [GLBD, octopus::SERVER].contains(name)) {
        Some(name) => run(&[&["--as".to_owned(), name.to_owned()], arguments].concat()),
        _ => run(arguments),
    }
}

const GLBD: &str = "glbd";

/// The exit status after an error, of pen and of most.
const FAILED: u8 = 1;

/// Runs pen with these arguments (without the program's name) until it is told to end, and says what went wrong.
pub fn run(arguments: &[String]) -> ExitCode {
    let mut waiting = Waiting::default();
    let (name, failed, ended) = match arguments {
        [option, name, words @ ..] if option == "--as" && name == GLBD => {
            (GLBD, FAILED, run_glbd(words, &mut waiting))
        }
        [option, name, words @ ..] if option == "--as" && name == octopus::SERVER => {
            (octopus::SERVER, octopus::FAILED, run_octopus(words, &mut waiting))
        }
        _ => ("pen", FAILED, run_until_end(arguments, &mut waiting)),
    };
    let Err(reason) = ended else {
        diag::finish();
        return ExitCode::SUCCESS;
    };
    reason.lines().enumerate().for_each(|(index, line)| match index {
        // The journal knows who it is.
        0 if !diag::is_journal() => diag::fatal(format_args!("{name}: {line}")),
        _ => diag::fatal(line),
    });
    if waiting.for_core {
        std::process::abort();
    }
    ExitCode::from(failed)
}

/// What must outlast an error until it is told.
#[derive(Default)]
struct Waiting {
    /// The parent of a daemon: it ends when this is dropped.
    parent: Option<Detached>,
    /// `abort_on_error`.
    for_core: bool,
}

fn run_until_end(arguments: &[String], waiting: &mut Waiting) -> Result<(), String> {
    let line = cli::parse(arguments).map_err(|reason| format!("{reason}\n{TRY_HELP}"))?;
    if line.is_empty() {
        return Err(format!("want a listening address and servers\n{}", pen_proto::help::usage()));
    }
    match line.instead()? {
        Some(Instead::Help) => print(&pen_proto::help::usage()),
        Some(Instead::Version) => print(&format!("pen {}\n", env!("CARGO_PKG_VERSION"))),
        Some(Instead::Completions(shell)) => print(&shell.for_pen()),
        Some(Instead::Demo) => demo::run(line.first_positional()),
        Some(Instead::Import(file)) => import(&file),
        None => serve(&line, waiting, Manner { tells_replies: true, ..Manner::default() }),
    }
}

/// Runs in the place of GLB's daemon.
fn run_glbd(words: &[String], waiting: &mut Waiting) -> Result<(), String> {
    let glbd = match glbd::read(words)? {
        glbd::Asked::Text(text) => return print(&text),
        glbd::Asked::Run(glbd) => glbd,
    };
    limits::raise_descriptor_limit();
    tell(&glbd.banner(limits::connections_possible()));
    glbd.notes().iter().for_each(|note| complain(format_args!("glbd: {note}")));
    let manner = Manner { prints_tables: glbd.prints_tables(), ..Manner::default() };
    serve(&cli::parse(&glbd.arguments)?, waiting, manner)
}

/// Runs in the place of Octopus's server.
fn run_octopus(words: &[String], waiting: &mut Waiting) -> Result<(), String> {
    let Server { arguments, source } = match octopus::read(words)? {
        octopus::Asked::Text(text) => return print(text),
        octopus::Asked::Run(server) => server,
    };
    let (startup, failed) = (Some(octopus::STARTED), octopus::FAILED);
    serve(&cli::parse(&arguments)?, waiting, Manner { source, startup, failed, ..Manner::default() })
}

/// Prints what `import` makes of a file.
fn import(file: &str) -> Result<(), String> {
    let (configuration, notes) = imports::import(file)?;
    notes.iter().for_each(|note| complain(format_args!("pen: {note}")));
    print(&configuration)
}

/// How often GLB's table is printed.
const TABLE_MS: u64 = 5_000;

const TRY_HELP: &str = "pen --help lists the options";

/// Puts something on standard output that nobody needs: pen serves where there is none.
fn tell(text: &str) {
    let _ = print(text);
}

/// What a setting answers, for whoever typed it; the journal has no use for it.
fn reply(text: &str) {
    if !diag::is_journal() {
        tell(text);
    }
}

fn explain(text: &str) {
    match diag::is_journal() {
        true => diag::say(Severity::Warning, text),
        false => complain(format_args!("pen: {text}")),
    }
}

/// What differs between the programs that pen may be.
struct Manner {
    /// Reads the file of `-F`.
    source: Source,
    /// What is said when pen serves.
    startup: Option<&'static str>,
    /// Exit status after an error.
    failed: u8,
    /// What settings among the options answer.
    tells_replies: bool,
    /// GLB's table, again and again.
    prints_tables: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            source: Box::new(reload::request_of),
            startup: None,
            failed: FAILED,
            tells_replies: false,
            prints_tables: false,
        }
    }
}

fn serve(line: &CommandLine, waiting: &mut Waiting, manner: Manner) -> Result<(), String> {
    let mut engine = Engine::new(Config::default());
    if line.is_check() {
        engine.only_try();
    }
    let numeric = read_everything(line, &mut engine, &manner);
    waiting.for_core = !line.is_check() && wants_core(&engine);
    let numeric = numeric?;
    let places = engine.places();
    open_and_run(line, waiting, engine, numeric, manner).map_err(|trouble| places.locate(&trouble))
}

fn open_and_run(
    line: &CommandLine,
    waiting: &mut Waiting,
    mut engine: Engine<Instance>,
    numeric: Config,
    manner: Manner,
) -> Result<(), String> {
    let prints_tables = manner.prints_tables;
    let process = &numeric.process;
    let account = process.text(Text::User).map(Account::look_up).transpose()?;
    // The keys as well: they are often readable to root only, and outside the jail.
    let tls = each(&numeric, instance::load_tls)?;
    if line.is_check() {
        if process.text(Text::Jail).is_none() {
            learn_countries(&mut engine)?;
        }
        is_control_refused(process, explain);
        Members::look_up(process, explain)?;
        trial::check(&numeric)?;
        tell("valid\n");
        return Ok(());
    }
    limits::raise_descriptor_limit();
    let mut refused = Vec::new();
    let mut inherited = Inherited::from_environment(&mut refused);
    let dsr = each(&numeric, dsr::open::open)?;
    let listeners = each(&numeric, |service| open_listeners(process, service, &mut inherited))?;
    let members = Members::look_up(process, explain)?;
    let control = open_control(&numeric, members, &mut inherited, explain)?;
    let glb = process.values.control_glb().map(|address| open_or_adopt(address, PRIVATE, &mut inherited));
    let glb = glb.transpose()?;
    let metrics = instance::open_metrics(process, &mut inherited)?;
    let supervision = Supervision::new(Supervisor::from_environment());
    let messages = OpenMessages::without_file(process)?;
    if !process.flag(Flag::Foreground) {
        let detached = daemon::detach(manner.failed)
            .map_err(|error| format!("cannot go into the background: {}", reason(&error)))?;
        waiting.parent = Some(detached);
    }
    messages.begin();
    diag::set_level(instance::debug_level(process));
    supervision.refuse(inherited.into_rest());
    let fifo = open_fifo(process, account.as_ref())?;
    let doors = Doors::open(control, rights(account.as_ref(), members), glb, fifo)?;
    if let Some(account) = &account {
        let listeners = listeners.iter().flatten().chain(&metrics);
        listeners.for_each(|listener| listener.give_to(account.uid, account.gid));
    }
    let (_pid_file, logs) = give_up_privileges(&numeric, account.as_ref())?;
    refused.iter().for_each(|trouble| diag::say(Severity::Notice, trouble));
    learn_countries(&mut engine)?;
    opening::begin(&mut engine, Opened { listeners, tls, logs, metrics, dsr }, Extras::default())?;
    let process = Process::new(engine, doors, supervision).reading(manner.source);
    if let Some(text) = manner.startup {
        diag::say(Severity::Notice, text);
        // Whoever started it looks for this as soon as the parent has ended.
        diag::finish();
    }
    let patience = prints_tables.then_some(Duration::from_millis(TABLE_MS));
    let mut table_ms = clock::monotonic_ms() + TABLE_MS;
    process.run(waiting.parent.take(), patience, |engine| {
        waiting.for_core = wants_core(engine);
        if prints_tables && clock::monotonic_ms() >= table_ms {
            table_ms = clock::monotonic_ms() + TABLE_MS;
            let table = engine.execute(None, &Command::Ask(Question::Getinfo), Door::Option);
            tell(&table.unwrap_or_default());
        }
    })
}

fn wants_core(engine: &Engine<Instance>) -> bool {
    engine.config().process.flag(Flag::AbortOnError)
}

/// Options, then the configuration file, then servers given as arguments: each may override what came before.
fn read_everything(
    line: &CommandLine,
    engine: &mut Engine<Instance>,
    manner: &Manner,
) -> Result<Config, String> {
    let tells_replies = manner.tells_replies;
    let tell = if tells_replies && !line.is_check() { reply } else { |_: &str| {} };
    line.apply_options(engine, tell, explain)?;
    // What is wrong with it is told below.
    let mut base = engine.config().clone();
    let _ = line.apply_positional(&mut base);
    engine.set_base(base);
    if let Some(file) = engine.config().process.text(Text::ConfigFile).map(str::to_owned) {
        let request = (manner.source)(&file)?;
        engine.note_places(&request);
        let done = engine.carry_out(&request, Door::File)?;
        tell(&done.reply);
        done.warnings.iter().for_each(|warning| explain(warning));
    }
    line.apply_positional(engine.config_mut())?;
    let services = &engine.config().services;
    let listens = |service: &Arc<ServiceConfig>| service.listeners().next().is_some();
    let is_silent = |service: &Arc<ServiceConfig>| &*service.name == MAIN && !listens(service);
    if services.iter().any(is_silent) || !services.iter().any(listens) {
        let trouble = "want a listening address, as an argument or by the command listen";
        return Err(format!("{trouble}\n{TRY_HELP}"));
    }
    services
        .iter()
        .filter(|service| !listens(service))
        .for_each(|service| explain(&service.of(LISTENS_NOWHERE)));
    let numeric = engine.settle().cloned().and_then(|numeric| each(&numeric, check_ports).map(|_| numeric));
    let numeric = numeric.map_err(|trouble| engine.places().locate(&trouble))?;
    // GLB is told its destinations later.
    match line.gives_port_away(engine.config()).filter(|_| tells_replies) {
        Some(trouble) => Err(format!("{trouble}\n{TRY_HELP}")),
        None => Ok(numeric),
    }
}

/// The FIFO of `control_fifo`, which the user of `-u` removes in the end.
fn open_fifo(config: &ProcessConfig, account: Option<&Account>) -> Result<Option<Fifo>, String> {
    let Some(path) = config.text(Text::ControlFifo) else { return Ok(None) };
    let fifo = Fifo::create(Path::new(path));
    let fifo = fifo.map_err(|error| format!("control_fifo {path}: {}", reason(&error)))?;
    if let Some(account) = account {
        fifo.give_to(account.uid, account.gid);
    }
    Ok(Some(fifo))
}

/// Jail first, so that file names mean what they will mean when the log is reopened; then the files, while they can
/// still be created; then the user, who is made their owner.
fn give_up_privileges(
    config: &Config,
    account: Option<&Account>,
) -> Result<(Option<PidFile>, Vec<OpenLog>), String> {
    let process = &config.process;
    if let Some(jail) = process.text(Text::Jail) {
        privileges::enter_jail(jail)?;
    }
    let owner = account.map(|account| (account.uid, account.gid));
    let logs = each(config, |service| OpenLog::open(service.log()))?;
    let messages = process.message_file().map(|_| OpenMessages::open(process)).transpose()?;
    let pid_file = process.text(Text::PidFile).map(|path| {
        PidFile::create(Path::new(path))
            .map_err(|error| format!("Can't create pidfile {path}: {}", reason(&error)))
    });
    let pid_file = pid_file.transpose()?;
    if let (Some(owner), Some(account)) = (owner, account) {
        logs.iter().for_each(|log| log.give_to(owner.0, owner.1));
        messages.iter().for_each(|messages| messages.give_to(owner.0, owner.1));
        account.become_it(kept(config))?;
    }
    if is_transparent(config) && !capabilities::may_use_foreign_addresses() {
        return Err("transparent: want the capability CAP_NET_RAW, or root at start".into());
    }
    messages.into_iter().for_each(OpenMessages::begin);
    Ok((pid_file, logs))
}

/// `transparent` binds a socket to a foreign address for each connection, so its privilege is wanted all the time.
fn kept(config: &Config) -> Keep {
    if is_transparent(config) { Keep::ForeignAddresses } else { Keep::Nothing }
}

fn is_transparent(config: &Config) -> bool {
    config.services.iter().any(|service| service.flag(Flag::Transparent))
}
