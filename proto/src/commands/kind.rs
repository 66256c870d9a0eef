//! The kinds of commands. Parsing, the `no` form, carrying out, showing, writing, help and completion have an arm for
//! each kind, not for each word.

use super::settings::{Address, AddressValue, Choice, Flag, Number, Setting, Text};
use super::{Action, Question, ROWS, Row};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

/// How the words after the command are read and what they do.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// On or off: `word` and `no word`.
    Flag {
        flag: Flag,
        default: bool,
    },
    /// `word N` and the question `word`.
    Number {
        number: Number,
        min: u64,
        max: u64,
        default: u64,
        answer: Answer,
    },
    /// `word SECONDS`, with up to three decimals, and the question `word`. Kept in milliseconds.
    Seconds {
        number: Number,
        min_ms: u64,
        max_ms: u64,
        default_ms: u64,
    },
    /// `word N`, with up to three decimals, and the question `word`. Kept in thousandths.
    Decimal {
        number: Number,
        max: u64,
        default: u64,
    },
    /// `word N SECONDS`, `word 0`, and the question `word`. Kept as a [`crate::rate::Rate`]; the default is none.
    Rate {
        number: Number,
        count_max: u32,
        seconds_max: u32,
    },
    /// `word SECONDS [N]`, `word 0`, and the question `word`. Kept like a rate, seconds first; the default is never.
    Every {
        number: Number,
        seconds_max: u32,
        count_max: u32,
        count_default: u32,
    },
    /// `word OCTAL`, the permissions of a file, and the question `word`.
    Mode {
        number: Number,
        default: u64,
    },
    /// `word VALUE`, where the value is one of these words, or of these pairs of words. Where there is an empty word, the
    /// command alone chooses it; otherwise the command alone asks. `no` is what the `no` form chooses.
    Choice {
        choice: Choice,
        words: &'static [&'static str],
        default: u8,
        answer: Answer,
    },
    /// `word VALUE` and the question `word`.
    Text {
        text: Text,
        read: fn(&str) -> Result<String, String>,
        answer: Answer,
    },
    /// `word WORD...`, where the words to the end of the line are one value, kept as it is written; and the question
    /// `word`.
    Rest {
        text: Text,
        read: fn(&[Cow<'_, str>]) -> Result<String, String>,
        answer: Answer,
    },
    /// `word ADDRESS`, and the question `word` if the argument may be left out.
    Address {
        address: Address,
        read: fn(&str) -> Result<AddressValue, String>,
        want: &'static str,
        answer: Answer,
    },
    /// Entries are added by `word ENTRY` and taken back by `no word`.
    List(List),
    /// `server N KEY VALUE...`.
    Server,
    /// `service NAME [COMMAND...]`, `service add|remove NAME`.
    Service,
    /// `group NAME use|policy POLICY|remove`.
    Group,
    Question(Argument<Question>),
    Deed(Argument<Action>),
    /// Read, and without effect; the sentence says why.
    Idle {
        why: &'static str,
        taken: Taken,
    },
    /// As [`Kind::Idle`], and offered to nobody. Nobody minds what it would have been given.
    Gone(&'static str),
    /// An option that is not a command (`-e`, `--check`): read by `cli.rs` only.
    OptionOnly,
}

impl Kind {
    /// The setting that a row of this kind is about.
    pub fn setting(&self) -> Option<Setting> {
        match *self {
            Kind::Flag { flag, .. } => Some(Setting::Flag(flag)),
            Kind::Number { number, .. }
            | Kind::Seconds { number, .. }
            | Kind::Decimal { number, .. }
            | Kind::Rate { number, .. }
            | Kind::Every { number, .. }
            | Kind::Mode { number, .. } => Some(Setting::Number(number)),
            Kind::Choice { choice, .. } => Some(Setting::Choice(choice)),
            Kind::Text { text, .. } | Kind::Rest { text, .. } => Some(Setting::Text(text)),
            Kind::Address { address, .. } => Some(Setting::Address(address)),
            _ => None,
        }
    }

    /// What a command that sets answers.
    pub fn answer(&self) -> Answer {
        match *self {
            Kind::Number { answer, .. }
            | Kind::Choice { answer, .. }
            | Kind::Text { answer, .. }
            | Kind::Rest { answer, .. }
            | Kind::Address { answer, .. } => answer,
            Kind::Seconds { .. }
            | Kind::Decimal { .. }
            | Kind::Rate { .. }
            | Kind::Every { .. }
            | Kind::Mode { .. } => Answer::Value,
            _ => Answer::Silent,
        }
    }
}

/// What a command answers when it sets; all of them answer the value when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The value and a newline, also after setting.
    Value,
    /// Nothing after setting.
    Silent,
    /// `Idle timeout: N seconds`.
    IdleTimeout,
    /// `Idlers: HAVE/WANTED`; only a running pen knows how many it has.
    Idlers,
    /// `word = N`, -1 for none, which may also be given so.
    OrNone,
}

/// Settings that have many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Acl,
    /// Beginnings of lines of answers that are not compared.
    CloneIgnore,
    ProxyAccept,
    SslOption,
}

impl List {
    /// The row of this list; the table has exactly one.
    pub fn row(self) -> &'static Row {
        let is_it = |row: &&Row| matches!(row.kind, Kind::List(list) if list == self);
        ROWS.iter().find(is_it).expect("every list has a row")
    }
}

/// What a question or a deed takes, and what it becomes.
pub enum Argument<T> {
    Nothing(fn() -> T),
    /// `json`, or nothing.
    Listing(fn(super::Listing) -> T),
    /// A number that fits 32 bits.
    Number {
        max: u32,
        default: Option<u32>,
        of: fn(u32) -> T,
    },
    File(fn(String) -> T),
    OptionalFile(fn(Option<String>) -> T),
    /// A numeric address and a port.
    SocketAddress(fn(SocketAddr) -> T),
    /// A file, and perhaps this word behind it.
    FileWith(&'static str, fn(String, bool) -> T),
    /// A word of the table, however it is spelled, or nothing.
    Command(fn(Option<String>) -> T),
}

// Not derived: that would ask `T` to be `Copy`, of which nothing is held here.
impl<T> Clone for Argument<T> {
    fn clone(&self) -> Argument<T> {
        *self
    }
}

impl<T> Copy for Argument<T> {}

impl<T> fmt::Debug for Argument<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Argument::Nothing(_) => "Nothing",
            Argument::Listing(_) => "Listing",
            Argument::Number { .. } => "Number",
            Argument::File(_) => "File",
            Argument::OptionalFile(_) => "OptionalFile",
            Argument::SocketAddress(_) => "SocketAddress",
            Argument::FileWith(..) => "FileWith",
            Argument::Command(_) => "Command",
        })
    }
}

/// What a command without effect must have been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Seconds,
    /// A protocol of `-L`, with the original's complaint about others.
    Protocol,
}
