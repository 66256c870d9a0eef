//! The command line: option letters to commands, in the order they were given.
//!
//! Which letters there are, and what they mean, stands in the command table; this file only knows the few options that
//! are no commands. Nothing is opened or looked up here.

use crate::control::apply::{Door, Engine, Placed, Request, Running};
use crate::settings::{Config, MAIN, ServerEntry, ServiceConfig};
use getopts::{HasArg, Occur, Options};
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{
    Address, AddressValue, ClientCertificate, Command, Flag, Kind, Number, ROWS, Row, Scope, Setting, Text,
};
use pen_proto::help::Shell;
use pen_proto::names::Name;
use pen_proto::parse::parse_option;
use std::sync::Arc;

/// Divides the services of a command line.
const SEPARATOR: &str = "+";

/// What the command line asks for, unless it is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    Help,
    Version,
    Demo,
    Completions(Shell),
    /// The configuration of another program, in this file.
    Import(String),
}

/// A command line, taken apart but not yet carried out.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// One for each service, divided by `+`; never empty once parsed.
    parts: Vec<Part>,
}

/// What is said of one service; what is said before the first `+` holds for all.
#[derive(Debug, Default)]
struct Part {
    /// In the order given; every occurrence.
    options: Vec<(&'static Row, Option<String>)>,
    /// The listen address, perhaps with the service's name before it, then the servers.
    positional: Vec<String>,
}

/// Takes the arguments apart. Options may be bundled and may follow positional arguments, as in Pen.
///
/// # Errors
/// An option that does not exist, or lacks its argument.
pub fn parse(arguments: &[String]) -> Result<CommandLine, String> {
    let parts = arguments.split(|argument| argument == SEPARATOR).map(parse_part);
    Ok(CommandLine { parts: parts.collect::<Result<_, _>>()? })
}

fn parse_part(arguments: &[String]) -> Result<Part, String> {
    let mut options = Options::new();
    for row in ROWS.iter().filter(|row| row.is_option()) {
        let letter = row.letter.map(String::from).unwrap_or_default();
        let has_argument = if row.option_arg().is_some() { HasArg::Yes } else { HasArg::No };
        options.opt(&letter, row.long.unwrap_or(""), "", "", has_argument, Occur::Multi);
    }
    let matches = options.parse(arguments).map_err(|error| error.to_string())?;
    let mut given = Vec::new();
    for row in ROWS.iter().filter(|row| row.is_option()) {
        let name = row.letter.map(String::from).or(row.long.map(String::from)).unwrap_or_default();
        if row.option_arg().is_some() {
            let values = matches.opt_strs_pos(&name).into_iter();
            given.extend(values.map(|(position, value)| (position, row, Some(value))));
        } else {
            given.extend(matches.opt_positions(&name).into_iter().map(|position| (position, row, None)));
        }
    }
    given.sort_by_key(|(position, ..)| *position);
    let options = given.into_iter().map(|(_, row, value)| (row, value)).collect();
    Ok(Part { options, positional: matches.free })
}

impl Part {
    /// The name that stands before the listening address.
    ///
    /// # Errors
    /// It is none.
    fn name(&self) -> Result<Option<Name>, String> {
        let named = self.positional.first().and_then(|listen| split_name(listen));
        named.map(|(name, _)| Name::parse(name)).transpose()
    }
}

/// `NAME=REST`, where REST is an address. A path may hold the sign too.
fn split_name(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| !name.contains('/'))
}

impl CommandLine {
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.options.is_empty() && part.positional.is_empty())
    }

    fn has(&self, word: &str) -> bool {
        self.parts.iter().flat_map(|part| &part.options).any(|(row, _)| row.word == word)
    }

    /// What is to be done in place of balancing.
    ///
    /// # Errors
    /// A shell that has no completion script.
    pub fn instead(&self) -> Result<Option<Instead>, String> {
        let wishes = [("--help", Instead::Help), ("--version", Instead::Version), ("--demo", Instead::Demo)];
        let wish = wishes.into_iter().find(|(word, _)| self.has(word)).map(|(_, wish)| wish);
        let options = self.parts.iter().flat_map(|part| &part.options);
        let value = |word: &str| options.clone().rev().find(|(row, _)| row.word == word)?.1.clone();
        if value("--as").is_some() {
            return Err("--as: want --as glbd or --as octopuslb-server, before everything else".to_owned());
        }
        match (wish, value("--import")) {
            (Some(wish), _) => Ok(Some(wish)),
            (None, Some(file)) => Ok(Some(Instead::Import(file))),
            (None, None) => {
                value("--completions").map(|word| Shell::parse(&word).map(Instead::Completions)).transpose()
            }
        }
    }

    /// The listening address, if one was given.
    pub fn first_positional(&self) -> Option<&str> {
        self.parts.first()?.positional.first().map(String::as_str)
    }

    /// A command line that opens a port for nobody: without servers, and without anything by which some may come. What it
    /// lacks, and which option may have taken the port for its own.
    pub fn gives_port_away(&self, config: &Config) -> Option<String> {
        let serves = |service: &Arc<ServiceConfig>| {
            service.entries().next().is_some() || !service.unaddressed.is_empty() || service.flag(Flag::Dummy)
        };
        let is_set = |text| config.process.text(text).is_some();
        let is_reached =
            config.process.values.control().is_some() || is_set(Text::ConfigFile) || is_set(Text::RunDir);
        if is_reached || config.services.iter().any(serves) {
            return None;
        }
        let listen = self.first_positional().unwrap_or("the listening address");
        let lack = format!(
            "{listen}: want servers behind it, or a control socket (-C), a file (-F) or the command dummy"
        );
        let mut options = self.parts.iter().flat_map(|part| &part.options).rev();
        let taken = options.find_map(|(row, value)| {
            let value = value.as_deref().filter(|value| value.parse::<u16>().is_ok_and(|port| port > 0))?;
            let name = option_name(row).filter(|_| matches!(row.kind, Kind::Number { .. }))?;
            Some(format!(
                "; {value} is the {} of {name}, not the port",
                if row.unit.is_empty() { "number" } else { row.unit }
            ))
        });
        Some(lack + &taken.unwrap_or_default())
    }

    /// `--check`: everything is read and looked up, nothing started.
    pub fn is_check(&self) -> bool {
        self.has("--check")
    }

    /// The service that each part is about: `main` for the first that has no name. Empty when there is one part without a
    /// listening address, which is about no service.
    ///
    /// # Errors
    /// A part without an address; a name that is none, is missing, or was given before.
    fn services(&self) -> Result<Vec<Name>, String> {
        if let [only] = &self.parts[..]
            && only.positional.is_empty()
        {
            return Ok(Vec::new());
        }
        let mut names: Vec<Name> = Vec::new();
        for part in &self.parts {
            let listen = part.positional.first().ok_or("+: want a listening address and servers")?;
            let name = match part.name().map_err(|trouble| format!("{listen}: {trouble}"))? {
                Some(name) => name,
                None => Name::parse(MAIN)?,
            };
            if names.contains(&name) {
                return Err(format!(
                    "{listen}: there is a service {name} already; want another NAME= before the address"
                ));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Carries out the options from left to right. Replies go to `say`, explanations of what has no effect to `explain`.
    ///
    /// # Errors
    /// The option and what is wrong with it.
    pub fn apply_options<R: Running>(
        &self,
        engine: &mut Engine<R>,
        mut say: impl FnMut(&str),
        mut explain: impl FnMut(&str),
    ) -> Result<(), String> {
        let names = self.services()?;
        // In this order, whatever the options are about.
        names.iter().for_each(|name| drop(engine.config_mut().make_service(name).name.clone()));
        for (number, part) in self.parts.iter().enumerate() {
            let services = if number == 0 { &names[..] } else { &names[number..=number] };
            let mut reader = OptionReader { services, header: None, say: &mut say, explain: &mut explain };
            for (row, value) in &part.options {
                reader.apply(engine, row, value.as_deref()).map_err(|reason| name_option(row, &reason))?;
            }
        }
        Ok(())
    }

    /// Takes the listen addresses and the servers. A listener opened by the command `listen` stays, and the first
    /// argument is passed over, as in Pen; what is written of a server here wins over what options and the
    /// configuration file say of it.
    pub fn apply_positional(&self, config: &mut Config) -> Result<(), String> {
        for (name, part) in self.services()?.iter().zip(&self.parts) {
            let Some((listen, servers)) = part.positional.split_first() else { continue };
            let listen = split_name(listen).map_or(&listen[..], |(_, listen)| listen);
            let service = config.make_service(name);
            if service.listen().is_none() {
                service.values.set_address(Address::Listen, Some(AddressValue::listen(listen)?));
                service.on_command_line.insert("listen");
            }
            for (index, text) in servers.iter().enumerate() {
                service.place_server(index, text).map_err(|reason| format!("server {text}: {reason}"))?;
            }
        }
        Ok(())
    }
}

/// As it is given: `-t`, `--threads`.
fn option_name(row: &Row) -> Option<String> {
    match (row.letter, row.long) {
        (Some(letter), _) => Some(format!("-{letter}")),
        (None, Some(long)) => Some(format!("--{long}")),
        (None, None) => None,
    }
}

/// `-t: timeout: want ...`, without saying the same word twice.
fn name_option(row: &Row, reason: &str) -> String {
    let option = option_name(row).unwrap_or_else(|| row.word.to_string());
    if reason.starts_with(&option) { reason.to_string() } else { format!("{option}: {reason}") }
}

/// Carries out the options of a part.
struct OptionReader<'a> {
    /// For whom what is said of no service is. Empty: for `main`.
    services: &'a [Name],
    /// Named by a line of `-O` that is a header.
    header: Option<Name>,
    say: &'a mut dyn FnMut(&str),
    explain: &'a mut dyn FnMut(&str),
}

impl OptionReader<'_> {
    fn apply<R: Running>(
        &mut self,
        engine: &mut Engine<R>,
        row: &'static Row,
        value: Option<&str>,
    ) -> Result<(), String> {
        match (row.letter, row.kind) {
            (Some('O' | 'o'), _) => self.apply_line(engine, value.unwrap_or(""))?,
            (_, Kind::OptionOnly) => {
                for service in self.each_service(row.scope) {
                    let name = service.as_deref().unwrap_or(MAIN);
                    apply_option_only(engine.config_mut(), name, row, value.unwrap_or(""))?;
                }
            }
            _ => match parse_option(row, value).map_err(|error| error.to_string())? {
                Command::Explained(why) => (self.explain)(&name_option(row, why)),
                Command::Show(Setting::Number(Number::Debug)) => {
                    let level = engine.config().process.number(Number::Debug);
                    engine.execute(None, &Command::number(Number::Debug, level + 1), Door::Option)?;
                }
                command => {
                    for service in self.each_service(row.scope) {
                        engine.execute(service.as_ref(), &command, Door::Option)?;
                        let config = engine.config_mut();
                        let scoped = match row.scope {
                            Scope::Process => &mut config.process.scoped,
                            Scope::Service => {
                                &mut config.make_service(service.as_deref().unwrap_or(MAIN)).scoped
                            }
                        };
                        scoped.on_command_line.insert(row.word);
                    }
                }
            },
        }
        Ok(())
    }

    /// For whom something of this scope is done, one after the other.
    fn each_service(&self, scope: Scope) -> Vec<Option<Name>> {
        match (scope, &self.header) {
            (Scope::Process, _) => vec![None],
            (Scope::Service, Some(header)) => vec![Some(header.clone())],
            (Scope::Service, None) if self.services.is_empty() => vec![None],
            (Scope::Service, None) => self.services.iter().cloned().map(Some).collect(),
        }
    }

    /// A line of `-O`.
    fn apply_line<R: Running>(&mut self, engine: &mut Engine<R>, line: &str) -> Result<(), String> {
        let request = engine.understand(line, None)?;
        if let Some(header) = request.header {
            engine.config_mut().make_service(&header);
            self.header = Some(header);
            return Ok(());
        }
        let mut commands = Vec::new();
        for placed in request.commands {
            let asks = matches!(
                placed.command,
                Command::Ask(_) | Command::Show(_) | Command::List(_) | Command::Do(_)
            );
            let scope = placed.command.row().map_or(Scope::Process, |row| row.scope);
            let mut services = match &placed.service {
                Some(service) => vec![Some(service.clone())],
                None => self.each_service(scope),
            };
            services.truncate(if asks { 1 } else { services.len() });
            commands.extend(services.into_iter().map(|service| Placed { service, ..placed.clone() }));
        }
        (self.say)(&engine.carry_out(&Request { commands, ..Request::default() }, Door::Option)?.reply);
        Ok(())
    }
}

fn apply_option_only(config: &mut Config, service: &str, row: &Row, value: &str) -> Result<(), String> {
    let entry = |text: &str| ServerSpec::parse(text).map(|spec| Some(ServerEntry::from(spec)));
    match row.letter {
        Some('R') => config.make_service(service).values.set_choice(ClientCertificate::Required),
        Some('B') => config.make_service(service).abuse = entry(value)?,
        Some('e') => config.make_service(service).emergency = entry(value)?,
        Some(letter) => return Err(format!("-{letter} is in the command table but not understood here")),
        None => {} // --help, --version and others: see `instead` and `is_check`
    }
    Ok(())
}
