//! THE table: every command, option letter, default, bound and help text of pen has its row here and nowhere else.
//!
//! The parser (`parse.rs`), the option reader (`cli.rs` of pen), `help`, penctl's completion, `write`, docs/commands.md
//! and the man page all walk [`ROWS`]. A new command is a row, a match arm that the compiler asks for, and a test.

use crate::addr::{Host, ListenAddr, Port};
use std::net::IpAddr;

/// Settings that are on or off: `word` and `no word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Flag {
    AbortOnError,
    Ascii,
    Dummy,
    ExitEnabled,
    Hash,
    Http,
    Keepalive,
    Peek,
    Prio,
    Roundrobin,
    Stubborn,
    TcpNodelay,
    Transparent,
    Weight,
}

impl Flag {
    pub const COUNT: usize = 14;
}

/// Settings that are a number. Bounds, unit and default stand in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Number {
    /// Seconds a server is skipped after a failed connect; 0 retries at once.
    Blacklist,
    /// ACL that a client must pass to reach a server.
    ClientAcl,
    /// Slots of the client table; only grows.
    ClientsMax,
    /// Simultaneous connections; only grows. 0: what the descriptor limit allows.
    ConnMax,
    /// ACL that a control client must pass.
    ControlAcl,
    Debug,
    /// Seconds without a byte after which a connection is closed; 0 never.
    IdleTimeout,
    /// listen(2) backlog.
    ListenQueue,
    /// Accepts per wake-up.
    MultiAccept,
    /// Connects that may be under way at once, per process.
    PendingMax,
    /// Seconds that open connections get after a graceful stop; 0 waits for the last one.
    ShutdownTimeout,
    /// Worker threads; 0: one per core.
    Threads,
    /// Seconds a connect may take.
    Timeout,
    /// Seconds a client is remembered; 0 until its slot is needed.
    Tracking,
}

impl Number {
    pub const COUNT: usize = 14;
}

/// When an end of file ends the connection at once instead of travelling on: `tcp_fastclose`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FastClose {
    #[default]
    Off,
    /// End of file from the server.
    Up,
    /// End of file from the client.
    Down,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pen's line for every read from a client.
    #[default]
    Pen,
    /// One JSON object at the end of each connection.
    Json,
}

/// Where `log` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    File(String),
    /// Contains a `:` and does not start with `/`, as in Pen. The text is kept whole.
    Network {
        host: Host,
        port: Port,
        text: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclEntry {
    pub permit: bool,
    pub what: AclMatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclMatch {
    /// Matches when `client & mask == address`, so host bits in `address` match nobody (as in Pen).
    V4 {
        address: u32,
        mask: u32,
    },
    V6 {
        address: u128,
        prefix: u8,
    },
}

/// One `key value` pair of `server N`, applied in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChange {
    Acl(u8),
    Address(Host),
    Port(Port),
    Max(u32),
    Hard(u32),
    Weight(u32),
    Prio(u32),
    /// Blacklists the server for so many seconds from now; 0 releases it.
    Blacklist(u32),
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
    SetFlag(Flag, bool),
    ShowNumber(Number),
    SetNumber(Number, u64),
    Acl {
        list: u8,
        entry: AclEntry,
    },
    NoAcl(u8),
    Clients(Listing),
    Close(u32),
    Connection(u32),
    Connections(Listing),
    Control,
    Exit,
    /// Accepted for the sake of old configurations, has no effect; carries the reason.
    Explained(&'static str),
    Help(Option<String>),
    Include(String),
    Listen(Option<ListenAddr>),
    Log(Option<LogTarget>),
    NoLog,
    LogFormat(Option<LogFormat>),
    Metrics,
    Mode,
    Pid,
    /// Clients of the last so many seconds.
    Recent(u64),
    Server {
        index: u16,
        changes: Vec<ServerChange>,
    },
    Servers(Listing),
    Session,
    Socket(u32),
    /// `None`: `no source`.
    Source(Option<IpAddr>),
    Status(Listing),
    TcpFastclose(Option<FastClose>),
    Version,
    WebStats(Option<String>),
    NoWebStats,
    Write(Option<String>),
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

/// What an old number command answers when it sets; all of them answer the value when asked without argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The number and a newline, also after setting.
    Value,
    /// Nothing after setting.
    Silent,
    /// `Idle timeout: N seconds`.
    IdleTimeout,
}

/// How the words after the command are read; the parser has one arm for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Flag {
        flag: Flag,
        default: bool,
    },
    Number {
        number: Number,
        min: u64,
        max: u64,
        default: u64,
        answer: Answer,
    },
    /// Irregular: its own arm in `parse.rs`, looked up by the row's word.
    Own,
    /// Accepted without effect; the text says why.
    Gone(&'static str),
    /// Belongs to a capability that this build does not have; the text names it.
    Missing(&'static str),
    /// A letter that is not a command (`-f`, `-F`, `-p`): read by `cli.rs` only.
    OptionOnly,
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

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The command word, or for [`Form::OptionOnly`] the name under which help lists the option.
    pub word: &'static str,
    pub letter: Option<char>,
    /// Name after `--`, when the option has one.
    pub long: Option<&'static str>,
    /// `no word` exists (every [`Form::Flag`] has it).
    pub no: bool,
    pub args: &'static [Arg],
    pub form: Form,
    pub when: When,
    /// Unit of the value: "seconds", "connections"; empty when there is none.
    pub unit: &'static str,
    /// One line, no full stop.
    pub summary: &'static str,
    /// Sentences for `help WORD`, docs/commands.md and the man page.
    pub detail: &'static str,
    pub from: From,
    pub since: &'static str,
}
