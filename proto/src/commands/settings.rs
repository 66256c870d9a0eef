//! The settings, by kind of value: a name for each, and what a command gives it.
//!
//! A setting is a name here and a row of the table, which has its word, its bounds and its default. Where the values are
//! kept is the business of whoever is configured; what they are used for says whoever asks for them by these names.

use super::{Kind, ROWS, Row};
use crate::addr::{Host, ListenAddr, Port, file_name, quoted};
use crate::rate::Rate;
use crate::seconds::Seconds;
use std::fmt;
use std::net::IpAddr;

/// Settings that are on or off: `word` and `no word`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Flag {
    AbortOnError,
    Ascii,
    /// Clients are taken when they have sent something.
    DeferAccept,
    /// Members that checks name are servers.
    Discover,
    Dummy,
    /// Programs are taken from control clients of other machines.
    ExecEnabled,
    ExitEnabled,
    /// `-f`: stays in the foreground.
    Foreground,
    Hash,
    Keepalive,
    Peek,
    Prio,
    /// A name is one server, whatever `resolve` finds.
    ResolveFirst,
    /// Connections end with a reset.
    ResetOnClose,
    Roundrobin,
    Stubborn,
    TcpNodelay,
    /// Only servers of the highest weight that is usable.
    Top,
    Transparent,
    Udp,
    UdpAnswers,
    Weight,
}

impl Flag {
    pub const COUNT: usize = Flag::Weight as usize + 1;

    /// The row of this flag; the table has exactly one.
    pub fn row(self) -> &'static Row {
        Setting::Flag(self).row()
    }
}

/// Settings that are a number. Bounds, unit and default stand in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Number {
    /// Seconds a server is skipped after a failed connect; 0 retries at once.
    Blacklist,
    /// Milliseconds after a good check from which a server is checked before a client gets it; 0: never.
    CheckExtra,
    /// Checks in a row that make a server go down.
    CheckFall,
    /// Milliseconds from one check of a server to the next; 0: none.
    CheckInterval,
    /// Port of checks; 0: the server's own.
    CheckPort,
    /// Checks in a row that make a server come up.
    CheckRise,
    /// Milliseconds that a check may take.
    CheckTimeout,
    /// ACL that a client must pass to reach a server.
    ClientAcl,
    /// Connections of one client at once; 0: no limit.
    ClientConnMax,
    /// Connections of one client within some seconds, a [`Rate`].
    ClientRate,
    /// Of 100 connections so many have a clone.
    ClonePercent,
    /// Bytes that wait for a clone at most, beside those in its socket.
    CloneQueue,
    /// Seconds between two saves, and how many copies are kept, a [`Rate`].
    Autosave,
    /// Slots of the client table; only grows.
    ClientsMax,
    /// Simultaneous connections; only grows. 0: what the descriptor limit allows.
    ConnMax,
    /// ACL that a control client must pass.
    ControlAcl,
    /// Permissions of control sockets that are files.
    ControlMode,
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
    /// Checks over which their time is smoothed, for weights that follow it; 0: weights do not.
    Latency,
    /// listen(2) backlog.
    ListenQueue,
    /// Load of a server from which it counts as fully loaded, in thousandths; 0: none.
    Maxload,
    /// Accepts per wake-up.
    MultiAccept,
    /// Connects that may be under way at once, per process.
    PendingMax,
    /// Seconds that a trusted downstream may take for its PROXY header.
    ProxyTimeout,
    /// Clients that may wait for a server that is full; 0: none.
    Queue,
    /// Milliseconds that a client waits for one; 0: no limit.
    QueueTimeout,
    /// Seconds between two looks at whether URIs must move; 0 never.
    RebalanceInterval,
    /// Percent of a server's URIs that move.
    RebalanceSize,
    /// Percent by which servers must differ for that.
    RebalanceThreshold,
    /// Seconds after which names of servers are looked up again; 0 never.
    Resolve,
    /// Load that a connection counts for, in thousandths.
    SessionWeight,
    /// Seconds that open connections get before a restart.
    RestartTimeout,
    /// Seconds that open connections get after a graceful stop; 0 waits for the last one.
    ShutdownTimeout,
    /// Seconds in which a client must have finished its TLS handshake, or have named the server it wants.
    SslHandshakeTimeout,
    /// Milliseconds in which a server that comes back is ramped up; 0: at once.
    SlowStart,
    /// Plain bytes of a TLS record to a client.
    SslRecordMax,
    /// The list of addresses that the tarpit takes; [`Number::NONE`]: there is no tarpit.
    TarpitAcl,
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
    /// The value that stands for no number, where there may be none.
    pub const NONE: u64 = u64::MAX;

    /// The row of this number; the table has exactly one.
    pub fn row(self) -> &'static Row {
        Setting::Number(self).row()
    }

    /// Whether a smaller value than the present one is passed over without a word, as Pen does where a table would
    /// have to shrink.
    pub fn only_grows(self) -> bool {
        matches!(self, Number::ClientsMax | Number::ConnMax)
    }
}

/// Settings that are one of a few words. [`OneOf`] gives their values a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Choice {
    Http,
    LogFormat,
    OnDown,
    Overload,
    Policy,
    SslClientCertificate,
    TcpFastclose,
}

impl Choice {
    pub const COUNT: usize = Choice::TcpFastclose as usize + 1;
    /// In the place of a word: the value that the `no` form chooses.
    pub const NO: &'static str = "no";

    /// The row of this choice; the table has exactly one.
    pub fn row(self) -> &'static Row {
        Setting::Choice(self).row()
    }

    /// The words for its values, in the order of the values.
    pub fn words(self) -> &'static [&'static str] {
        match self.row().kind {
            Kind::Choice { words, .. } => words,
            _ => &[],
        }
    }
}

/// The type of the values of a [`Choice`].
pub trait OneOf: Copy + PartialEq + 'static {
    const SETTING: Choice;
    /// Every value, in the order of the words in the row.
    const ALL: &'static [Self];

    /// Its place in [`OneOf::ALL`], as which it is kept.
    fn place(self) -> u8 {
        // There are fewer words than 256.
        Self::ALL.iter().position(|value| *value == self).unwrap_or(0) as u8
    }

    /// The word for it, as the row has it.
    fn word(self) -> &'static str {
        Self::SETTING.words()[usize::from(self.place())]
    }
}

/// Settings that are a text: names of files and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Text {
    /// How servers are checked, as the words behind `check`.
    Check,
    /// The service whose client table this one shares.
    ClientsFrom,
    /// `-F`.
    ConfigFile,
    /// FIFO that takes lines of GLB's language.
    ControlFifo,
    /// The group that may give commands on control sockets that are files.
    ControlGroup,
    /// The interface for direct server return.
    DsrIf,
    /// Names of variables for programs, with blanks between them.
    ExecEnvironment,
    /// File of countries.
    Geoip,
    /// Directory of `-j`.
    Jail,
    /// Where the load of servers is read, as the words behind `load`.
    Load,
    /// Where diagnostics go: a file, `syslog` or `stderr`.
    Messages,
    /// `-p`.
    PidFile,
    /// Directory in which there is a control socket for who looks for pens.
    RunDir,
    /// Protocols to agree on inside TLS, in order of preference, with commas between them.
    SslAlpn,
    /// File with the certificates by which those of clients are judged.
    SslCaFile,
    /// Directory with such certificates, in files named by their hashes.
    SslCaPath,
    /// File with our certificate and those that lead to its root; it turns TLS on.
    SslCertificate,
    SslCiphers,
    /// File with the key of the certificate; without it the key is in the same file.
    SslKey,
    SslOcspResponse,
    /// File with the certificates by which those of servers are judged.
    SslServerCaFile,
    SslSniPath,
    /// `-u`.
    User,
    WebStats,
}

impl Text {
    pub const COUNT: usize = Text::WebStats as usize + 1;

    /// The row of this text; the table has exactly one.
    pub fn row(self) -> &'static Row {
        Setting::Text(self).row()
    }
}

/// Settings that are an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Address {
    /// `-C`.
    Control,
    /// Where lines of GLB's language are taken.
    ControlGlb,
    Listen,
    Log,
    /// Where metrics and health are served.
    MetricsListen,
    /// Local address of upstream sockets.
    Source,
}

impl Address {
    pub const COUNT: usize = Address::Source as usize + 1;

    /// The row of this address; the table has exactly one.
    pub fn row(self) -> &'static Row {
        Setting::Address(self).row()
    }
}

/// The value of an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressValue {
    /// Where something listens.
    Listen(ListenAddr),
    /// Where `log` writes.
    Target(LogTarget),
    Ip(IpAddr),
}

impl AddressValue {
    /// Reads where to listen.
    ///
    /// # Errors
    /// As [`ListenAddr::parse`].
    pub fn listen(text: &str) -> Result<AddressValue, String> {
        ListenAddr::parse(text).map(AddressValue::Listen)
    }

    /// Reads where to listen for those who look after pen: a port alone is one on the loopback interface.
    ///
    /// # Errors
    /// As [`ListenAddr::parse`], and an address without a port.
    pub fn local_listen(text: &str) -> Result<AddressValue, String> {
        let is_port = !text.contains(['/', ':', '[']) && text.parse::<IpAddr>().is_err();
        let address = match is_port {
            true => ListenAddr::parse(&format!("127.0.0.1:{text}"))?,
            false => ListenAddr::parse(text)?,
        };
        match address.port.is_none() && !address.host.is_unix() {
            true => Err(format!("want a port, such as {text}:9105")),
            false => Ok(AddressValue::Listen(ListenAddr { text: text.to_owned(), ..address })),
        }
    }

    /// Reads where to log.
    ///
    /// # Errors
    /// As [`LogTarget::parse`].
    pub fn target(text: &str) -> Result<AddressValue, String> {
        LogTarget::parse(text).map(AddressValue::Target)
    }

    /// Reads an address without a port.
    ///
    /// # Errors
    /// What was expected and what was given.
    pub fn ip(text: &str) -> Result<AddressValue, String> {
        text.parse().map(AddressValue::Ip).map_err(|_| format!("want an IP address, got {}", quoted(text)))
    }

    /// The host in it, where that may be a name.
    pub fn host(&self) -> Option<&Host> {
        match self {
            AddressValue::Listen(ListenAddr { host, .. })
            | AddressValue::Target(LogTarget::Network { host, .. }) => Some(host),
            AddressValue::Target(LogTarget::File(_)) | AddressValue::Ip(_) => None,
        }
    }
}

impl fmt::Display for AddressValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressValue::Listen(address) => f.write_str(&address.text),
            AddressValue::Target(target) => target.fmt(f),
            AddressValue::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A setting of any kind but a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    Flag(Flag),
    Number(Number),
    Choice(Choice),
    Text(Text),
    Address(Address),
}

impl Setting {
    /// The row of this setting; the table has exactly one.
    pub fn row(self) -> &'static Row {
        let is_it = |row: &&Row| row.kind.setting() == Some(self);
        ROWS.iter().find(is_it).expect("every setting has a row")
    }
}

/// A setting with the value it gets, which is of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    Flag(Flag, bool),
    /// Within the bounds of the row.
    Number(Number, u64),
    /// The place of the word in the row.
    Choice(Choice, u8),
    Text(Text, String),
    Address(Address, AddressValue),
}

impl Assignment {
    /// The setting that gets the value.
    pub fn setting(&self) -> Setting {
        match self {
            Assignment::Flag(flag, _) => Setting::Flag(*flag),
            Assignment::Number(number, _) => Setting::Number(*number),
            Assignment::Choice(choice, _) => Setting::Choice(*choice),
            Assignment::Text(text, _) => Setting::Text(*text),
            Assignment::Address(place, _) => Setting::Address(*place),
        }
    }
}

/// The value as a command has it; of a flag whether it is `on` or `off`.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Assignment::Flag(_, on) => f.write_str(if *on { "on" } else { "off" }),
            Assignment::Number(_, Number::NONE) => f.write_str("-1"),
            Assignment::Number(number, value) => match number.row().kind {
                Kind::Seconds { .. } | Kind::Decimal { .. } => Seconds(*value).fmt(f),
                Kind::Rate { .. } | Kind::Every { .. } => Rate::from_bits(*value).fmt(f),
                Kind::Mode { .. } => write!(f, "{value:o}"),
                _ => value.fmt(f),
            },
            Assignment::Choice(choice, place) => f.write_str(choice.words()[usize::from(*place)]),
            Assignment::Text(_, value) => f.write_str(value),
            Assignment::Address(_, value) => value.fmt(f),
        }
    }
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
            return Ok(LogTarget::File(file_name(text)?.to_owned()));
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
