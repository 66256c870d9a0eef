//! A line of the language, understood.
//!
//! A setting is set, unset and shown the same way whatever it is called, so a new setting is no new command. What a
//! running pen is asked and told has a variant each.

use super::{
    AclEntry, Address, Assignment, Flag, List, Number, OneOf, PolicyKind, Row, ServerChange, ServerDeed,
    Setting, TlsOption, row,
};
use crate::addr::{ListenAddr, ServerSpec};
use crate::names::{Name, ServerRef};
use crate::network::Downstream;
use std::net::SocketAddr;

/// A line: a command, and the service that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As the line names it; `None`: the one of the lines before, or that of lines that name none.
    pub service: Option<Name>,
    /// `None`: the lines that follow are for the service.
    pub command: Option<Command>,
}

/// How a listing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    #[default]
    Text,
    Json,
}

/// A line of the language, understood. `include` and `session` are carried out by whoever reads the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Set(Assignment),
    /// Takes a setting back that may be without a value.
    Unset(Setting),
    Show(Setting),
    Add(Entry),
    Remove(Entry),
    /// Empties a list.
    Clear(Entries),
    /// Shows a list.
    List(Entries),
    Server {
        server: ServerRef,
        changes: Vec<ServerChange>,
    },
    AddServer {
        name: Option<Name>,
        spec: ServerSpec,
        changes: Vec<ServerChange>,
    },
    ServerDeed {
        /// `None`: all.
        server: Option<ServerRef>,
        deed: ServerDeed,
    },
    Service(ServiceChange),
    Group {
        name: Name,
        change: GroupChange,
    },
    Ask(Question),
    Do(Action),
    /// Accepted for the sake of old configurations, has no effect; carries the reason.
    Explained(&'static str),
}

/// What is added to a list, or taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Acl(u8, AclEntry),
    CloneIgnore(String),
    ProxyAccept(Downstream),
    SslOption(TlsOption),
    /// One of the addresses at which a service listens.
    Listen(ListenAddr),
}

/// All entries of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    Acl(u8),
    CloneIgnore,
    ProxyAccept,
}

/// Makes services and takes them away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceChange {
    Add(Name),
    /// Makes it if there is none, as a header in a file does.
    Make(Name),
    Remove {
        name: Name,
        /// Its connections are cut; otherwise they end on their own.
        now: bool,
    },
}

/// What becomes of a group of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupChange {
    /// Clients are sent to it from now on, and to no other group.
    Use,
    /// It was not chosen by a command: the first named is in use again.
    NotUsed,
    /// Its own; `None`: that of the service.
    Policy(Option<PolicyKind>),
    /// Its servers are removed.
    Remove,
}

/// What is asked of a pen and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whose connection it is that a server sees from this address.
    ClientOf(SocketAddr),
    Clients(Listing),
    /// Members and clones side by side.
    Clones(Listing),
    Connection(u32),
    Connections(Listing),
    Control,
    /// GLB's table of destinations.
    Getinfo,
    /// GLB's counters, since they were asked for last.
    Getstat,
    Groups(Listing),
    Help(Option<String>),
    Metrics,
    Mode,
    Pid,
    /// Clients of the last so many seconds.
    Recent(u32),
    Servers(Listing),
    Services(Listing),
    /// The connection of a descriptor.
    Socket(u32),
    /// In text it also writes the file of `web_stats`.
    Status(Listing),
    Version,
}

/// What a pen is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes the configuration that of a file, by no more commands than that takes.
    Apply(String),
    /// Closes a connection.
    Close(u32),
    /// Says by which commands.
    Diff {
        file: String,
        /// From the file back to the present configuration.
        reverse: bool,
    },
    Exit,
    Include(String),
    /// Reads the configuration file again and says what came of it.
    Reload,
    Session,
    Write(Option<String>),
}

impl Command {
    /// Switches a flag.
    pub fn flag(flag: Flag, on: bool) -> Command {
        Command::Set(Assignment::Flag(flag, on))
    }

    /// Sets a number.
    pub fn number(number: Number, value: u64) -> Command {
        Command::Set(Assignment::Number(number, value))
    }

    /// Sets what is one of a few words.
    pub fn choice<T: OneOf>(value: T) -> Command {
        Command::Set(Assignment::Choice(T::SETTING, value.place()))
    }

    /// The row the command comes from; `None` for [`Command::Explained`], which many rows share.
    pub fn row(&self) -> Option<&'static Row> {
        match self {
            Command::Set(assignment) => Some(assignment.setting().row()),
            Command::Unset(setting) | Command::Show(setting) => Some(setting.row()),
            Command::Add(entry) | Command::Remove(entry) => Some(entry.row()),
            Command::Clear(entries) | Command::List(entries) => Some(entries.list().row()),
            Command::Server { .. } | Command::AddServer { .. } | Command::ServerDeed { .. } => row("server"),
            Command::Ask(question) => row(question.word()),
            Command::Do(deed) => row(deed.word()),
            Command::Service(_) => row("service"),
            Command::Group { .. } => row("group"),
            Command::Explained(_) => None,
        }
    }
}

impl Entry {
    /// The row of the command that adds it.
    fn row(&self) -> &'static Row {
        match self {
            Entry::Acl(..) => List::Acl.row(),
            Entry::CloneIgnore(_) => List::CloneIgnore.row(),
            Entry::ProxyAccept(_) => List::ProxyAccept.row(),
            Entry::SslOption(_) => List::SslOption.row(),
            Entry::Listen(_) => Setting::Address(Address::Listen).row(),
        }
    }
}

impl Entries {
    pub fn list(&self) -> List {
        match self {
            Entries::Acl(_) => List::Acl,
            Entries::CloneIgnore => List::CloneIgnore,
            Entries::ProxyAccept => List::ProxyAccept,
        }
    }
}

impl Question {
    fn word(&self) -> &'static str {
        match self {
            Question::ClientOf(_) => "client_of",
            Question::Clients(_) => "clients",
            Question::Clones(_) => "clones",
            Question::Connection(_) => "connection",
            Question::Connections(_) => "connections",
            Question::Control => "control",
            Question::Getinfo => "getinfo",
            Question::Getstat => "getstat",
            Question::Groups(_) => "groups",
            Question::Help(_) => "help",
            Question::Metrics => "metrics",
            Question::Mode => "mode",
            Question::Pid => "pid",
            Question::Recent(_) => "recent",
            Question::Servers(_) => "servers",
            Question::Services(_) => "services",
            Question::Socket(_) => "socket",
            Question::Status(_) => "status",
            Question::Version => "version",
        }
    }
}

impl Action {
    /// The command that it is.
    pub fn word(&self) -> &'static str {
        match self {
            Action::Apply(_) => "apply",
            Action::Close(_) => "close",
            Action::Diff { .. } => "diff",
            Action::Exit => "exit",
            Action::Include(_) => "include",
            Action::Reload => "reload",
            Action::Session => "session",
            Action::Write(_) => "write",
        }
    }
}
