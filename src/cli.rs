//! The command line: option letters to commands, in the order they were given.
//!
//! Which letters there are, and what they mean, stands in the command table; this file only knows the few options that
//! are no commands. Nothing is opened or looked up here.

use crate::control::apply::{Door, Engine, Running};
use crate::settings::{Config, MAIN, ServerEntry};
use getopts::{HasArg, Occur, Options};
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{
    Address, AddressValue, ClientCertificate, Command, Kind, Number, ROWS, Row, Scope, Setting,
};
use pen_proto::parse::parse_option;

/// What the command line asks for, unless it is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    Help,
    Version,
    Demo,
}

/// A command line, taken apart but not yet carried out.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// In the order given; every occurrence.
    options: Vec<(&'static Row, Option<String>)>,
    /// The listen address, then the servers.
    positional: Vec<String>,
}

/// Takes the arguments apart. Options may be bundled and may follow positional arguments, as in Pen.
///
/// # Errors
/// An option that does not exist, or lacks its argument.
pub fn parse(arguments: &[String]) -> Result<CommandLine, String> {
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
    Ok(CommandLine { options, positional: matches.free })
}

impl CommandLine {
    pub fn is_empty(&self) -> bool {
        self.options.is_empty() && self.positional.is_empty()
    }

    fn has(&self, word: &str) -> bool {
        self.options.iter().any(|(row, _)| row.word == word)
    }

    pub fn instead(&self) -> Option<Instead> {
        let wishes = [("--help", Instead::Help), ("--version", Instead::Version), ("--demo", Instead::Demo)];
        wishes.into_iter().find(|(word, _)| self.has(word)).map(|(_, wish)| wish)
    }

    /// The listening address, if one was given.
    pub fn first_positional(&self) -> Option<&str> {
        self.positional.first().map(String::as_str)
    }

    /// `--check`: everything is read and looked up, nothing started.
    pub fn is_check(&self) -> bool {
        self.has("--check")
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
        for (row, value) in &self.options {
            apply_option(engine, row, value.as_deref(), &mut say, &mut explain)
                .map_err(|reason| name_option(row, &reason))?;
        }
        Ok(())
    }

    /// Takes the listen address and the servers. A listener opened by the command `listen` stays, and the first
    /// argument is passed over, as in Pen; what is written of a server here wins over what options and the
    /// configuration file say of it.
    pub fn apply_positional(&self, config: &mut Config) -> Result<(), String> {
        let Some((listen, servers)) = self.positional.split_first() else { return Ok(()) };
        let main = config.make_service(MAIN);
        if main.listen().is_none() {
            main.values.set_address(Address::Listen, Some(AddressValue::listen(listen)?));
            main.on_command_line.insert("listen");
        }
        for (index, text) in servers.iter().enumerate() {
            main.place_server(index, text).map_err(|reason| format!("server {text}: {reason}"))?;
        }
        Ok(())
    }
}

/// `-t: timeout: want ...`, without saying the same word twice.
fn name_option(row: &Row, reason: &str) -> String {
    let option = match (row.letter, row.long) {
        (Some(letter), _) => format!("-{letter}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => row.word.to_string(),
    };
    if reason.starts_with(&option) { reason.to_string() } else { format!("{option}: {reason}") }
}

fn apply_option<R: Running>(
    engine: &mut Engine<R>,
    row: &'static Row,
    value: Option<&str>,
    say: &mut impl FnMut(&str),
    explain: &mut impl FnMut(&str),
) -> Result<(), String> {
    match (row.letter, row.kind) {
        (Some('O' | 'o'), _) => {
            let request = engine.understand(value.unwrap_or(""))?;
            say(&engine.carry_out(&request, Door::Option)?.reply);
        }
        (_, Kind::OptionOnly) => apply_option_only(engine.config_mut(), row, value.unwrap_or(""))?,
        _ => match parse_option(row, value).map_err(|error| error.to_string())? {
            Command::Explained(why) => explain(&name_option(row, why)),
            Command::Show(Setting::Number(Number::Debug)) => {
                let level = engine.config().process.number(Number::Debug);
                engine.execute(&Command::number(Number::Debug, level + 1), Door::Option)?;
            }
            command => {
                engine.execute(&command, Door::Option)?;
                let config = engine.config_mut();
                let scoped = match row.scope {
                    Scope::Process => &mut config.process.scoped,
                    Scope::Service => &mut config.make_service(MAIN).scoped,
                };
                scoped.on_command_line.insert(row.word);
            }
        },
    }
    Ok(())
}

fn apply_option_only(config: &mut Config, row: &Row, value: &str) -> Result<(), String> {
    let entry = |text: &str| ServerSpec::parse(text).map(|spec| Some(ServerEntry::from(spec)));
    let main = config.make_service(MAIN);
    match row.letter {
        Some('R') => main.values.set_choice(ClientCertificate::Required),
        Some('B') => main.abuse = entry(value)?,
        Some('e') => main.emergency = entry(value)?,
        Some(letter) => return Err(format!("-{letter} is in the command table but not understood here")),
        None => {} // --help, --version, --demo, --check: see `instead` and `is_check`
    }
    Ok(())
}
