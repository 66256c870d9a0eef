//! THE table: every command, option letter, default, bound and help text of pen has its row here and nowhere else.
//!
//! The parser (`parse.rs`), the option reader (`cli.rs` of pen), `help`, penctl's completion, `write`, docs/commands.md
//! and the man page all walk [`ROWS`]. A new command is a row, a match arm that the compiler asks for, and a test.
//! This file owns the shape of a row and of a command; the rows themselves are in `commands/rows/`.

mod access;
mod reach;
mod rows;
mod tls;
mod values;

pub use access::{AclEntry, AclMatch, By, Country};
pub use reach::Reach;
pub use rows::{ROWS, SERVER_KEYS};
pub use tls::{
    ClientCertificate, HOST_NAME_BYTES_MAX, NAMES_MAX, SSL_RECORD_BYTES_MAX, ServerTls, SniNames, TlsOption,
    TlsText, host_name, protocols,
};
pub use values::{HttpMode, ProxyHeader};

use crate::addr::{Host, ListenAddr, Port, path_word};
use crate::network::Downstream;
use std::fmt;
use std::net::IpAddr;

/// Longest time in seconds that any command takes: about 31 years, "for ever" in practice, and small enough that a
/// clock in seconds plus this value still fits 32 bits.
pub const SECONDS_MAX: u64 = 1_000_000_000;
/// Highest number of an access list.
pub const ACL_LAST: u8 = 9;
/// Highest server number that parses. How many servers there may be is decided by who stores them.
pub const SERVER_INDEX_MAX: u16 = 32_000;

/// Settings that are on or off: `word` and `no word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Flag {
    AbortOnError,
    Ascii,
    Dummy,
    ExitEnabled,
    Hash,
    Keepalive,
    Peek,
    Prio,
    Roundrobin,
    Stubborn,
    TcpNodelay,
    Transparent,
    Udp,
    UdpAnswers,
    Weight,
}

impl Flag {
    pub const COUNT: usize = Flag::Weight as usize + 1;

    /// The row of this flag; the table has exactly one.
    pub fn row(self) -> &'static Row {
        let is_it = |row: &&Row| matches!(row.form, Form::Flag { flag, .. } if flag == self);
        ROWS.iter().find(is_it).expect("every flag has a row")
    }
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
    /// Ready connections to servers, over all workers; 0 none.
    Idlers,
    /// Seconds of silence before a server is probed; 0: the system's default.
    KeepaliveIdle,
    /// Seconds between two probes; 0: the system's default.
    KeepaliveInterval,
    /// Probes without an answer after which a connection is given up; 0: the system's default.
    KeepaliveProbes,
    /// listen(2) backlog.
    ListenQueue,
    /// Accepts per wake-up.
    MultiAccept,
    /// Connects that may be under way at once, per process.
    PendingMax,
    /// Seconds that a trusted downstream may take for its PROXY header.
    ProxyTimeout,
    /// Seconds that open connections get after a graceful stop; 0 waits for the last one.
    ShutdownTimeout,
    /// Seconds in which a client must have finished its TLS handshake, or have named the server it wants.
    SslHandshakeTimeout,
    /// Plain bytes of a TLS record to a client.
    SslRecordMax,
    /// Worker threads; 0: one per core.
    Threads,
    /// Seconds a connect may take.
    Timeout,
    /// Seconds a client is remembered; 0 until its slot is needed.
    Tracking,
    /// Seconds without a datagram after which a UDP session ends; 0: only by `idle_timeout`.
    UdpIdleTimeout,
    /// UDP sessions at once, within `conn_max`.
    UdpSessionsMax,
}

impl Number {
    pub const COUNT: usize = Number::UdpSessionsMax as usize + 1;

    /// The row of this number; the table has exactly one.
    pub fn row(self) -> &'static Row {
        let is_it = |row: &&Row| matches!(row.form, Form::Number { number, .. } if number == self);
        ROWS.iter().find(is_it).expect("every number has a row")
    }

    /// Whether a smaller value than the present one is passed over without a word, as Pen does where a table would
    /// have to shrink.
    pub fn only_grows(self) -> bool {
        matches!(self, Number::ClientsMax | Number::ConnMax)
    }
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

impl FastClose {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, FastClose); 4] = [
        ("up", FastClose::Up),
        ("down", FastClose::Down),
        ("both", FastClose::Both),
        ("off", FastClose::Off),
    ];
}

impl fmt::Display for FastClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&FastClose::WORDS, self))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Pen's line for every read from a client.
    #[default]
    Pen,
    /// One JSON object at the end of each connection.
    Json,
}

impl LogFormat {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, LogFormat); 2] = [("pen", LogFormat::Pen), ("json", LogFormat::Json)];
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&LogFormat::WORDS, self))
    }
}

fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words
        .iter()
        .find(|(_, candidate)| candidate == value)
        .map(|(word, _)| *word)
        .expect("every value has a word")
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

impl LogTarget {
    /// Reads a log target: `host:port`, or else a file name.
    ///
    /// # Errors
    /// The part that is wrong, what was expected and what was given.
    pub fn parse(text: &str) -> Result<LogTarget, String> {
        if text.starts_with('/') || !text.contains(':') {
            return Ok(LogTarget::File(path_word(text)?.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        Ok(LogTarget::Network { host: Host::parse(host)?, port: Port::parse(port)?, text: text.to_owned() })
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogTarget::File(text) | LogTarget::Network { text, .. } => f.write_str(text),
        }
    }
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
    Sni(SniNames),
    Tls(ServerTls),
    Proxy(ProxyHeader),
    /// Blacklists the server for so many seconds from now; 0 releases it.
    Blacklist(u32),
}

/// The pair as a line has it: `port 80`.
impl fmt::Display for ServerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerChange::Acl(list) => write!(f, "acl {list}"),
            ServerChange::Address(host) => write!(f, "address {host}"),
            ServerChange::Port(port) => write!(f, "port {port}"),
            ServerChange::Max(max) => write!(f, "max {max}"),
            ServerChange::Hard(hard) => write!(f, "hard {hard}"),
            ServerChange::Weight(weight) => write!(f, "weight {weight}"),
            ServerChange::Prio(prio) => write!(f, "prio {prio}"),
            ServerChange::Sni(names) => write!(f, "sni {names}"),
            ServerChange::Tls(tls) => write!(f, "tls {tls}"),
            ServerChange::Proxy(header) => write!(f, "proxy {header}"),
            ServerChange::Blacklist(seconds) => write!(f, "blacklist {seconds}"),
        }
    }
}

/// A key of `server N`, for the parser, help and completion.
#[derive(Debug, Clone, Copy)]
pub struct ServerKey {
    pub word: &'static str,
    pub value: ServerValue,
    /// One line, no full stop.
    pub summary: &'static str,
}

/// What follows a key of `server N`.
#[derive(Debug, Clone, Copy)]
pub enum ServerValue {
    Address(fn(Host) -> ServerChange),
    Port(fn(Port) -> ServerChange),
    Sni(fn(SniNames) -> ServerChange),
    Tls(fn(ServerTls) -> ServerChange),
    Proxy(fn(ProxyHeader) -> ServerChange),
    /// From 0 to `max`.
    Number {
        max: u32,
        unit: &'static str,
        change: fn(u32) -> ServerChange,
    },
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
    /// The interface for direct server return; `None` asks.
    DsrIf(Option<String>),
    Exit,
    /// Accepted for the sake of old configurations, has no effect; carries the reason.
    Explained(&'static str),
    Geoip(Option<String>),
    NoGeoip,
    Help(Option<String>),
    Http(HttpMode),
    Include(String),
    Listen(Option<ListenAddr>),
    Log(Option<LogTarget>),
    NoLog,
    LogFormat(Option<LogFormat>),
    Metrics,
    Mode,
    Pid,
    /// `None`: shows whose PROXY headers are accepted.
    ProxyAccept(Option<Downstream>),
    /// `None`: nobody's any more.
    NoProxyAccept(Option<Downstream>),
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
    SslClientCertificate(Option<ClientCertificate>),
    SslOption(TlsOption, bool),
    Ssl(TlsText, Option<String>),
    NoSsl(TlsText),
    Status(Listing),
    /// `tarpit_acl`.
    ShowTarpit,
    /// `None` is -1, off.
    Tarpit(Option<u8>),
    TcpFastclose(Option<FastClose>),
    Version,
    WebStats(Option<String>),
    NoWebStats,
    Write(Option<String>),
}

impl Command {
    /// The row the command comes from; `None` for [`Command::Explained`], which many rows share.
    pub fn row(&self) -> Option<&'static Row> {
        let word = match self {
            Command::SetFlag(flag, _) => return Some(flag.row()),
            Command::ShowNumber(number) | Command::SetNumber(number, _) => return Some(number.row()),
            Command::Explained(_) => return None,
            Command::Acl { .. } | Command::NoAcl(_) => "acl",
            Command::Clients(_) => "clients",
            Command::Close(_) => "close",
            Command::Connection(_) => "connection",
            Command::Connections(_) => "connections",
            Command::Control => "control",
            Command::DsrIf(_) => "dsr_if",
            Command::Exit => "exit",
            Command::Geoip(_) | Command::NoGeoip => "geoip",
            Command::Help(_) => "help",
            Command::Http(_) => "http",
            Command::Include(_) => "include",
            Command::Listen(_) => "listen",
            Command::Log(_) | Command::NoLog => "log",
            Command::LogFormat(_) => "log_format",
            Command::Metrics => "metrics",
            Command::Mode => "mode",
            Command::Pid => "pid",
            Command::ProxyAccept(_) | Command::NoProxyAccept(_) => "proxy_accept",
            Command::Recent(_) => "recent",
            Command::Server { .. } => "server",
            Command::Servers(_) => "servers",
            Command::Session => "session",
            Command::Socket(_) => "socket",
            Command::Source(_) => "source",
            Command::SslClientCertificate(_) => "ssl_client_certificate",
            Command::SslOption(..) => "ssl_option",
            Command::Ssl(text, _) | Command::NoSsl(text) => text.word(),
            Command::Status(_) => "status",
            Command::ShowTarpit | Command::Tarpit(_) => "tarpit_acl",
            Command::TcpFastclose(_) => "tcp_fastclose",
            Command::Version => "version",
            Command::WebStats(_) | Command::NoWebStats => "web_stats",
            Command::Write(_) => "write",
        };
        row(word)
    }
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
    /// `Idlers: HAVE/WANTED`; only a running pen knows how many it has.
    Idlers,
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
    /// Accepted without effect; the sentence says why.
    Gone(&'static str),
    /// An option that is not a command (`-f`, `-F`, `--check`): read by `cli.rs` only.
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

/// Under which heading help lists a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Choosing,
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
    pub const ALL: [Group; 8] = [
        Group::Choosing,
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
    /// `no word` exists (every [`Form::Flag`] has it).
    pub no: bool,
    pub args: &'static [Arg],
    /// Arguments of the `no` form.
    pub no_args: &'static [Arg],
    pub form: Form,
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
