//! Lines that were understood: commands, where each was written, and for whom it is.

use super::names::names_in;
use crate::config::{self, Place};
use crate::settings::Config;
use pen_proto::commands::{Action, Address, Assignment, Command, Setting, Text};
use pen_proto::names::Name;
use std::collections::BTreeSet;

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// An option letter, before pen runs.
    Option,
    /// A line of a configuration file, at start or on reload.
    File,
    /// A control socket of this machine.
    Control,
    /// A control socket that others may reach: no program is taken from there, unless `exec_enabled` was given.
    Network,
    /// What a check has found out.
    Check,
}

impl Door {
    /// Whether somebody talks to a running pen.
    pub fn is_control(self) -> bool {
        matches!(self, Door::Control | Door::Network | Door::Check)
    }
}

/// A command and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// `None` when it did not come from a file.
    pub place: Option<Place>,
    /// The one that the line names.
    pub service: Option<Name>,
    pub command: Command,
}

/// A line that was understood, `include` resolved into the commands of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub commands: Vec<Placed>,
    /// The line is a header: those that follow are for this service.
    pub header: Option<Name>,
    /// The commands are the whole configuration of a file, and this is to be done with it.
    pub whole: Option<Whole>,
    /// GLB's way to change a server, which it answers in its own way.
    pub is_glb: bool,
}

/// What is to be done with a file that says the whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub file: String,
    pub wanted: WholeDeed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeDeed {
    Apply,
    Compare { reverse: bool },
}

impl Request {
    /// One command, for this service.
    pub fn of(service: Option<Name>, command: Command) -> Request {
        Request { commands: vec![Placed { place: None, service, command }], ..Request::default() }
    }

    /// Whether it moves a log, or the messages.
    pub fn names_other_logs(&self, config: &Config) -> bool {
        let log = Setting::Address(Address::Log);
        let known = config.services.iter().filter_map(|service| service.values.said(log));
        let known: BTreeSet<String> = known.collect();
        let messages = config.process.text(Text::Messages);
        self.commands.iter().any(|placed| match &placed.command {
            Command::Set(Assignment::Text(Text::Messages, target)) => Some(target.as_str()) != messages,
            Command::Set(assignment) => {
                assignment.setting() == log && !known.contains(&assignment.to_string())
            }
            Command::Unset(setting) => [log, Setting::Text(Text::Messages)].contains(setting),
            _ => false,
        })
    }

    /// Host names that must be looked up before the request can be executed through [`Door::Control`].
    pub fn names(&self) -> Vec<String> {
        self.commands.iter().flat_map(|placed| names_in(&placed.command)).collect()
    }

    /// Whether it asks to keep a control connection open.
    pub fn is_session(&self) -> bool {
        matches!(&self.commands[..], [Placed { command: Command::Do(Action::Session), .. }])
    }

    /// Whether it asks for a reload and its result.
    pub fn is_reload(&self) -> bool {
        matches!(&self.commands[..], [Placed { command: Command::Do(Action::Reload), .. }])
    }
}

/// What came of a request that was carried out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The replies of all its commands, one after the other.
    pub reply: String,
    /// What the operator should know about commands that were passed over.
    pub warnings: Vec<String>,
}

/// `include` becomes the commands of its file; any other command stands for itself. For this service.
pub(super) fn expand(service: Option<Name>, command: Command) -> Result<Request, String> {
    let whole = |file: String, wanted: WholeDeed| {
        let word = if wanted == WholeDeed::Apply { "apply" } else { "diff" };
        let commands = config::read(&file, None).map_err(|errors| format!("{word}: {errors}"))?;
        Ok(Request { commands, whole: Some(Whole { file, wanted }), ..Request::default() })
    };
    let commands = match command {
        Command::Do(Action::Apply(file)) => return whole(file, WholeDeed::Apply),
        Command::Do(Action::Diff { file, reverse }) => return whole(file, WholeDeed::Compare { reverse }),
        Command::Do(Action::Include(file)) => {
            config::read(&file, service.as_ref()).map_err(|errors| format!("include: {errors}"))?
        }
        command => vec![Placed { place: None, service, command }],
    };
    Ok(Request { commands, ..Request::default() })
}

/// A complaint, with the place of the command if it has one.
pub(super) fn locate(placed: &Placed, text: String) -> String {
    match &placed.place {
        Some(place) => format!("{place}: {text}"),
        None => text,
    }
}
