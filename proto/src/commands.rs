//! THE table: every command, option letter, default, bound and help text of pen has its row here and nowhere else.
//!
//! The parser (`parse.rs`), the option reader (`cli.rs` of pen), `help`, penctl's completion, `write`, docs/commands.md
//! and the man page all walk [`ROWS`]. A new command is a row, a match arm that the compiler asks for, and a test.
//! This file owns the shape of a row and of a command; the rows themselves are in `commands/rows/`.

mod access;
mod check;
mod command;
mod kind;
mod load;
mod reach;
mod rows;
mod server;
mod settings;
mod tls;
mod values;

pub use access::{AclEntry, AclMatch, By, Country};
pub use check::{CHECK_TEXT_BYTES_MAX, Check};
pub use command::{Action, Command, Entries, Entry, GroupChange, Line, Listing, Question, ServiceChange};
pub use kind::{Answer, Argument, Kind, List, Taken};
pub use load::{COMMUNITY_BYTES_MAX, LoadSource, SnmpVersion, before_community, without_community};
pub use reach::Reach;
pub use rows::{DEBUG_LEVELS, ROWS, SERVER_KEYS};
pub use server::{CheckChange, ServerChange, ServerDeed, ServerKey, ServerValue, YES_NO};
pub use settings::{
    Address, AddressValue, Assignment, Choice, Flag, LogTarget, Number, OneOf, Setting, Text,
};
pub use tls::{
    HOST_NAME_BYTES_MAX, NAMES_MAX, SSL_RECORD_BYTES_MAX, ServerTls, SniNames, TlsOption, host_name,
    protocols,
};
pub use values::{
    ClientCertificate, FastClose, HttpMode, LogFormat, OnDown, Overload, PolicyKind, ProxyHeader, Role,
};

/// Longest time in seconds that any command takes: about 31 years, "for ever" in practice, and small enough that a
/// clock in seconds plus this value still fits 32 bits.
pub const SECONDS_MAX: u64 = 1_000_000_000;
/// Highest number of an access list.
pub const ACL_LAST: u8 = 9;
/// Most servers of a service. A larger number in `server N` is more likely a typo than a farm.
pub const SERVERS_MAX: usize = 4096;
/// Highest number of a server.
pub const SERVER_LAST: usize = SERVERS_MAX - 1;

fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words
        .iter()
        .find(|(_, candidate)| candidate == value)
        .map(|(word, _)| *word)
        .expect("every value has a word")
}

/// When a command may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Only before pen runs: on the command line or in the file read at start. A reload accepts it unchanged.
    Start,
    Live,
    /// Live, but only where the operator allowed it (`exit` needs `-X`).
    Guarded,
}

/// Whose the setting is, or what a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The whole pen, whatever service a line is for.
    Process,
    Service,
}

/// What an argument is, for help and completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A command word (for `help`).
    Command,
    /// A server number; penctl asks the running pen.
    Server,
    /// The name of a service; penctl asks the running pen.
    Service,
    /// The name of a group of servers; penctl asks the running pen.
    Group,
    Connection,
    Path,
    Address,
    Number,
    Text,
}

/// An argument as help shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// As printed in a usage line, for example `SECONDS` or `permit|deny`.
    pub name: &'static str,
    pub optional: bool,
    pub complete: Complete,
}

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Pen,
    /// New in this pen, since the version given in the row.
    Here,
}

/// Under which heading help lists a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Choosing,
    Checks,
    Connections,
    Access,
    Tls,
    Logs,
    Control,
    Process,
    Obsolete,
}

impl Group {
    /// In the order of the headings.
    pub const ALL: [Group; 9] = [
        Group::Choosing,
        Group::Checks,
        Group::Connections,
        Group::Access,
        Group::Tls,
        Group::Logs,
        Group::Control,
        Group::Process,
        Group::Obsolete,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Choosing => "Choosing a server",
            Group::Checks => "Checking servers",
            Group::Connections => "Connections",
            Group::Access => "Access",
            Group::Tls => "TLS",
            Group::Logs => "Logs and statistics",
            Group::Control => "Control and configuration",
            Group::Process => "The process",
            Group::Obsolete => "Accepted, without effect",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The command word, or the option itself (`-F`, `--check`) when it is no command.
    pub word: &'static str,
    pub group: Group,
    pub letter: Option<char>,
    /// Name after `--`, when the option has one.
    pub long: Option<&'static str>,
    /// `no word` exists (every [`Kind::Flag`] that is a command has it).
    pub no: bool,
    pub args: &'static [Arg],
    /// Arguments of the `no` form.
    pub no_args: &'static [Arg],
    pub scope: Scope,
    pub kind: Kind,
    /// Further ways to give it, as usage lines; words in capitals stand for something.
    pub also: &'static [&'static str],
    pub when: When,
    /// Unit of the value: "seconds", "connections"; empty when there is none.
    pub unit: &'static str,
    /// One line, no full stop.
    pub summary: &'static str,
    /// Sentences for `help WORD`, docs/commands.md and the man page.
    pub detail: &'static str,
    pub from: From,
    /// The version that brought it; empty for what comes from Pen.
    pub since: &'static str,
}

impl Row {
    /// Whether the word may begin a line.
    pub fn is_command(&self) -> bool {
        !self.word.starts_with('-')
    }

    /// Whether it may be given on the command line without `-O`.
    pub fn is_option(&self) -> bool {
        self.letter.is_some() || self.long.is_some()
    }

    /// The argument of the option; `None` when it takes none: a flag, `-d`, which is counted, or `-H`, which has none in
    /// Pen.
    pub fn option_arg(&self) -> Option<&'static Arg> {
        let is_alone = matches!(self.letter, Some('d' | 'H'));
        if is_alone { None } else { self.args.first() }
    }
}

/// The row of a command word, or of an option spelled as in [`Row::word`].
pub fn row(word: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.word == word)
}

/// The row of an option letter.
pub fn row_for_letter(letter: char) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.letter == Some(letter))
}

/// The row of a long option, given without its `--`.
pub fn row_for_long(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.long == Some(name))
}

/// The row of a command or option however it is spelled: `blacklist`, `-b`, `-F`, `--check`.
pub fn row_spelled(text: &str) -> Option<&'static Row> {
    let by_option = || match text.strip_prefix('-')?.strip_prefix('-') {
        Some(name) => row_for_long(name),
        None => {
            let mut letters = text.chars().skip(1);
            let letter = letters.next()?;
            if letters.next().is_none() { row_for_letter(letter) } else { None }
        }
    };
    row(text).or_else(by_option)
}

#[cfg(test)]
mod tests;
