//! The settings of one scope, the process or a service: given values, shown, and said again.

use super::{Applied, Values};
use crate::tls::ciphers;
use pen_proto::commands::{
    Answer, Assignment, Choice, Flag, Kind, LoadSource, Number, Row, Setting, Text, When,
};
use pen_proto::words::written;
use std::collections::BTreeSet;

/// The values of a scope. Those of the other scope have their defaults here, and nobody asks for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scoped {
    pub values: Values,
    /// Words of commands whose value came as an option or argument. The listening address and what counts at start only
    /// stay there: [`super::Config::write`] does not put them into a file that the command line would then contradict.
    pub on_command_line: BTreeSet<&'static str>,
}

impl Scoped {
    pub fn flag(&self, flag: Flag) -> bool {
        self.values.flag(flag)
    }

    pub fn number(&self, number: Number) -> u64 {
        self.values.number(number)
    }

    pub fn text(&self, text: Text) -> Option<&str> {
        self.values.text(text)
    }

    /// Gives a setting its value, unless it only grows and this one is smaller. `is_running`: the default of a number that
    /// only grows is as good as a value that was set.
    ///
    /// # Errors
    /// A list of ciphers of which none is known.
    pub(super) fn assign(&mut self, assignment: &Assignment, is_running: bool) -> Result<Applied, String> {
        let setting = assignment.setting();
        let row = setting.row();
        let said = match assignment {
            Assignment::Text(Text::SslCiphers, list) => {
                let choice = ciphers::choose(list).map_err(|reason| format!("{}: {reason}", row.word))?;
                Some(choice.to_string())
            }
            _ => None,
        };
        self.on_command_line.remove(row.word);
        let yields = !is_running && self.values.is_default(setting);
        match assignment {
            Assignment::Number(number, value)
                if number.only_grows() && !yields && *value < self.number(*number) => {}
            _ => self.values.set(assignment),
        }
        match row.kind.answer() {
            Answer::Silent => Ok(Applied::Reply(said.unwrap_or_default())),
            _ => Ok(self.shown(setting)),
        }
    }

    /// The reply to the question for a setting.
    pub(super) fn shown(&self, setting: Setting) -> Applied {
        let row = setting.row();
        let value = match setting {
            // The community is for nobody to see.
            Setting::Text(text @ Text::Load) => {
                self.text(text).and_then(|text| LoadSource::parse(text).ok()).map(|source| source.shown())
            }
            _ => self.values.said(setting),
        };
        Applied::Reply(match row.kind.answer() {
            Answer::Value | Answer::Silent => value.map(|value| value + "\n").unwrap_or_default(),
            Answer::IdleTimeout => format!("Idle timeout: {} seconds\n", value.unwrap_or_default()),
            Answer::OrNone => format!("{} = {}\n", row.word, value.as_deref().unwrap_or("-1")),
            Answer::Idlers => return Applied::ReplyLater,
        })
    }

    /// Whether the row's setting has another value than that of the table.
    pub(super) fn differs(&self, row: &Row) -> bool {
        row.kind.setting().is_some_and(|setting| !self.values.is_default(setting))
    }

    /// Whether a command gave the row's setting a value of its own.
    fn was_said(&self, row: &Row) -> bool {
        self.differs(row) && !self.on_command_line.contains(row.word)
    }

    /// Whether `write` says the row's setting: what counts at start only if a command gave it.
    pub(super) fn is_written(&self, row: &Row) -> bool {
        row.when != When::Start || self.was_said(row)
    }

    /// The line that brings back what the row's command sets; none for a command that sets no single value.
    pub(super) fn line_of(&self, row: &Row) -> String {
        let word = row.word;
        match row.kind {
            Kind::Flag { flag, .. } if self.flag(flag) => format!("{word}\n"),
            Kind::Flag { .. } => format!("no {word}\n"),
            Kind::Choice { choice, .. } => {
                match &*self.values.said(Setting::Choice(choice)).unwrap_or_default() {
                    "" => format!("{word}\n"),
                    Choice::NO => format!("no {word}\n"),
                    value => format!("{word} {value}\n"),
                }
            }
            // What no command takes back stays with the command line: the listening address.
            Kind::Text { .. } | Kind::Address { .. } if !row.no && self.on_command_line.contains(word) => {
                String::new()
            }
            _ => match row.kind.setting().map(|setting| self.values.said(setting)) {
                Some(Some(value))
                    if matches!(row.kind, Kind::Rest { .. } | Kind::Rate { .. } | Kind::Every { .. }) =>
                {
                    format!("{word} {value}\n")
                }
                Some(Some(value)) => format!("{word} {}\n", written(&value)),
                Some(None) if row.no => format!("no {word}\n"),
                Some(None) | None => String::new(),
            },
        }
    }
}
