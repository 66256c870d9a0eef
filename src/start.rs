//! Start and end of the process, in order: read everything, open everything that needs privileges, go into the
//! background, give up privileges, serve, end.
//!
//! Any error before pen serves ends with exit status 1, also for whoever started a daemon.

use crate::cli::{self, CommandLine, Instead};
use crate::control::apply::{Door, Engine};
use crate::instance::{self, Instance};
use crate::log::diag::{self, Severity};
use crate::log::target::OpenLog;
use crate::net::listen::{ListenOptions, Listener};
use crate::process::{Doors, Process};
use crate::settings::{Config, Settings};
use crate::sys::capabilities;
use crate::sys::daemon::{self, Detached};
use crate::sys::errors::reason;
use crate::sys::files::PidFile;
use crate::sys::limits;
use crate::sys::notify::Supervisor;
use crate::sys::privileges::{self, Account, Keep};
use crate::{demo, dsr, reload};
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Flag, Text};
use std::path::Path;
use std::process::ExitCode;

/// Runs pen with these arguments (without the program's name) until it is told to end, and says what went wrong.
pub fn run(arguments: &[String]) -> ExitCode {
    let mut waiting = Waiting::default();
    let Err(reason) = run_until_end(arguments, &mut waiting) else { return ExitCode::SUCCESS };
    reason.lines().enumerate().for_each(|(index, line)| match index {
        0 => diag::fatal(format_args!("pen: {line}")),
        _ => diag::fatal(line),
    });
    if waiting.for_core {
        std::process::abort();
    }
    ExitCode::FAILURE
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
    match line.instead() {
        Some(Instead::Help) => print(&pen_proto::help::usage()),
        Some(Instead::Version) => print(&format!("pen {}\n", env!("CARGO_PKG_VERSION"))),
        Some(Instead::Demo) => demo::run(line.first_positional())?,
        None => serve(&line, waiting)?,
    }
    Ok(())
}

const TRY_HELP: &str = "pen --help lists the options";

/// A reader that is gone (`pen --help | head`) is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn explain(text: &str) {
    eprintln!("pen: {text}");
}

fn serve(line: &CommandLine, waiting: &mut Waiting) -> Result<(), String> {
    let mut engine = Engine::new(Config::default());
    let numeric = read_everything(line, &mut engine);
    waiting.for_core = !line.is_check() && wants_core(&engine);
    let numeric = numeric?;
    let account = numeric.text(Text::User).map(Account::look_up).transpose()?;
    // The keys as well: they are often readable to root only, and outside the jail.
    let tls = instance::load_tls(&numeric)?;
    if line.is_check() {
        return if numeric.text(Text::Jail).is_none() { learn_countries(&mut engine) } else { Ok(()) };
    }
    limits::raise_descriptor_limit();
    let dsr = dsr::open::open(&numeric)?;
    let listeners = if dsr.is_some() { Vec::new() } else { vec![open_listener(&numeric)?] };
    let control = open_control(&numeric)?;
    let supervisor = Supervisor::from_environment();
    if numeric.flag(Flag::Foreground) {
        diag::to_stderr();
    } else {
        let detached =
            daemon::detach().map_err(|error| format!("cannot go into the background: {}", reason(&error)))?;
        waiting.parent = Some(detached);
        diag::to_syslog();
    }
    diag::set_level(instance::debug_level(&numeric.settings()));
    let doors = Doors::open(control)?;
    if let Some(account) = &account {
        listeners.iter().for_each(|listener| listener.give_to(account.uid, account.gid));
    }
    let (_pid_file, log) = give_up_privileges(&numeric, account.as_ref())?;
    learn_countries(&mut engine)?;
    let mut instance = Instance::start(engine.numeric(), listeners, log, tls, None)?;
    if let Some(opened) = dsr {
        instance.start_dsr(opened)?;
    }
    engine.start(instance);
    let process = Process::new(engine, doors, supervisor);
    process.run(waiting.parent.take(), None, |engine| waiting.for_core = wants_core(engine))
}

fn wants_core(engine: &Engine<Instance>) -> bool {
    engine.config().flag(Flag::AbortOnError)
}

/// Options, then the configuration file, then servers given as arguments: each may override what came before.
fn read_everything(line: &CommandLine, engine: &mut Engine<Instance>) -> Result<Config, String> {
    line.apply_options(engine, print, explain)?;
    if let Some(file) = engine.config().text(Text::ConfigFile).map(str::to_owned) {
        let request = reload::request_of(&file)?;
        let done = engine.carry_out(&request, Door::File)?;
        print(&done.reply);
        done.warnings.iter().for_each(|warning| explain(warning));
    }
    line.apply_positional(engine.config_mut())?;
    if engine.config().listen().is_none() {
        return Err(format!("want a listening address, as an argument or by the command listen\n{TRY_HELP}"));
    }
    let numeric = engine.settle().cloned()?;
    match numeric.listen() {
        Some(ListenAddr { host, port: None, text })
            if !host.is_unix() && numeric.text(Text::DsrIf).is_none() =>
        {
            Err(format!("{text}: want a port, such as {text}:80"))
        }
        _ => Ok(numeric),
    }
}

/// In the jail and as the user of `-u`: what can be read at start can be read again on reload.
fn learn_countries(engine: &mut Engine<Instance>) -> Result<(), String> {
    engine.learn_countries()?.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    Ok(())
}

fn open_listener(config: &Config) -> Result<Listener, String> {
    let address = config.listen().ok_or("want a listening address")?;
    Listener::open(address, instance::listen_options(&config.settings())).map_err(|error| error.to_string())
}

/// Anyone who can reach the control socket can do what pen can: not as root, unless the operator said so.
fn open_control(config: &Config) -> Result<Vec<Listener>, String> {
    let Some(address) = config.values.control() else { return Ok(Vec::new()) };
    if privileges::is_root() && config.text(Text::User).is_none() {
        explain("Won't open control port running as root; use -u to run as different user");
        return Ok(Vec::new());
    }
    let options =
        ListenOptions { backlog: 128, nodelay: true, private: true, datagram_sockets: 0, shared: false };
    let listener = Listener::open(address, options).map_err(|error| error.to_string())?;
    Ok(vec![listener])
}

/// Jail first, so that file names mean what they will mean when the log is reopened; then the files, while they can
/// still be created; then the user, who is made their owner.
fn give_up_privileges(
    config: &Config,
    account: Option<&Account>,
) -> Result<(Option<PidFile>, OpenLog), String> {
    if let Some(jail) = config.text(Text::Jail) {
        privileges::enter_jail(jail)?;
    }
    let owner = account.map(|account| (account.uid, account.gid));
    let log = OpenLog::open(config.log())?;
    let pid_file = config.text(Text::PidFile).map(|path| {
        PidFile::create(Path::new(path))
            .map_err(|error| format!("Can't create pidfile {path}: {}", reason(&error)))
    });
    let pid_file = pid_file.transpose()?;
    if let (Some(owner), Some(account)) = (owner, account) {
        log.give_to(owner.0, owner.1);
        account.become_it(kept(&config.settings()))?;
    }
    if config.flag(Flag::Transparent) && !capabilities::may_use_foreign_addresses() {
        return Err("transparent: want the capability CAP_NET_RAW, or root at start".into());
    }
    Ok((pid_file, log))
}

/// `transparent` binds a socket to a foreign address for each connection, so its privilege is wanted all the time.
fn kept(settings: &Settings) -> Keep {
    if settings.flag(Flag::Transparent) { Keep::ForeignAddresses } else { Keep::Nothing }
}
