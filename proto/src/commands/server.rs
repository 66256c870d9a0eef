//! What `server N` changes: its keys, and what follows each.

use super::{Check, LoadSource, ProxyHeader, Role, ServerTls, SniNames, word_of};
use crate::addr::{Host, Port};
use crate::names::Name;
use crate::seconds::Seconds;
use crate::weight::Weight;
use crate::words::written;
use std::fmt;
use std::mem::discriminant;
use std::net::IpAddr;

/// The words of a key that is on or off.
pub const YES_NO: [(&str, bool); 2] = [("yes", true), ("no", false)];

/// One `key value` pair of `server N`, applied in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChange {
    Acl(u8),
    Check(Check),
    CheckBy(CheckChange),
    Load(LoadSource),
    /// In thousandths; 0 is none.
    Maxload(u64),
    Standby(bool),
    Address(Host),
    Port(Port),
    Max(u32),
    Hard(u32),
    Name(Name),
    /// `None`: of all groups.
    Group(Option<Name>),
    Weight(Weight),
    Prio(u32),
    Sni(SniNames),
    Tls(ServerTls),
    Proxy(ProxyHeader),
    Role(Role),
    /// From where it is connected to; `None`: as its service says.
    Source(Option<IpAddr>),
    /// Milliseconds in which it is ramped up.
    SlowStart(u64),
    /// Milliseconds for which it is a clone when it is new.
    WarmUp(u64),
    /// Blacklists the server for so many seconds from now; 0 releases it.
    Blacklist(u32),
}

impl ServerChange {
    /// The group that it puts a server into.
    pub fn group(&self) -> Option<&Name> {
        match self {
            ServerChange::Group(group) => group.as_ref(),
            _ => None,
        }
    }

    /// Whether both set the same.
    pub fn has_key_of(&self, other: &ServerChange) -> bool {
        match (self, other) {
            (ServerChange::CheckBy(one), ServerChange::CheckBy(other)) => {
                discriminant(one) == discriminant(other)
            }
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// A number of its own for the checks of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckChange {
    IntervalMs(u64),
    TimeoutMs(u64),
    ExtraMs(u64),
    Rise(u32),
    Fall(u32),
    Port(u16),
}

impl fmt::Display for CheckChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CheckChange::IntervalMs(ms) => write!(f, "check_interval {}", Seconds(ms)),
            CheckChange::TimeoutMs(ms) => write!(f, "check_timeout {}", Seconds(ms)),
            CheckChange::ExtraMs(ms) => write!(f, "check_extra {}", Seconds(ms)),
            CheckChange::Rise(count) => write!(f, "check_rise {count}"),
            CheckChange::Fall(count) => write!(f, "check_fall {count}"),
            CheckChange::Port(port) => write!(f, "check_port {port}"),
        }
    }
}

/// The pair as a line has it: `port 80`.
impl fmt::Display for ServerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerChange::Acl(list) => write!(f, "acl {list}"),
            ServerChange::Check(check) => write!(f, "check {check}"),
            ServerChange::CheckBy(change) => change.fmt(f),
            ServerChange::Maxload(load) => write!(f, "maxload {}", Seconds(*load)),
            ServerChange::Standby(yes) => write!(f, "standby {}", word_of(&YES_NO, yes)),
            ServerChange::Load(source) => write!(f, "load {source}"),
            ServerChange::Address(host) => write!(f, "address {}", written(&host.to_string())),
            ServerChange::Port(port) => write!(f, "port {port}"),
            ServerChange::Max(max) => write!(f, "max {max}"),
            ServerChange::Hard(hard) => write!(f, "hard {hard}"),
            ServerChange::Name(name) => write!(f, "name {name}"),
            ServerChange::Group(Some(name)) => write!(f, "group {name}"),
            ServerChange::Group(None) => f.write_str("group all"),
            ServerChange::Weight(weight) => write!(f, "weight {weight}"),
            ServerChange::Prio(prio) => write!(f, "prio {prio}"),
            ServerChange::Sni(names) => write!(f, "sni {names}"),
            ServerChange::Tls(tls) => write!(f, "tls {tls}"),
            ServerChange::Proxy(header) => write!(f, "proxy {header}"),
            ServerChange::Role(role) => write!(f, "role {role}"),
            ServerChange::Source(None) => write!(f, "source {}", ServerValue::NO_ADDRESS),
            ServerChange::Source(Some(ip)) => write!(f, "source {ip}"),
            ServerChange::SlowStart(ms) => write!(f, "slow_start {}", Seconds(*ms)),
            ServerChange::WarmUp(ms) => write!(f, "warm_up {}", Seconds(*ms)),
            ServerChange::Blacklist(seconds) => write!(f, "blacklist {seconds}"),
        }
    }
}

/// What becomes of a server as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDeed {
    Enable,
    /// Nobody is sent to it any more; connections that it has go on.
    Disable,
    /// The same, until it has none; what is left after so many seconds is cut.
    Drain(Option<u32>),
    /// Forgets its failures, its blacklisting and its counts.
    Reset,
    Remove {
        /// Its connections are cut; otherwise they end on their own.
        now: bool,
    },
}

impl ServerDeed {
    /// Whether it lasts, until something else is said.
    pub fn is_kept(self) -> bool {
        matches!(self, ServerDeed::Enable | ServerDeed::Disable | ServerDeed::Drain(_))
    }

    /// As written behind the server.
    pub const WORDS: [&'static str; 5] = ["enable", "disable", "reset", "drain", "remove"];
    /// Those that may be done to all at once.
    pub const OF_ALL: [&'static str; 3] = ["enable", "disable", "reset"];
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
    Role(fn(Role) -> ServerChange),
    /// An address without a port, or [`ServerValue::NO_ADDRESS`].
    Ip(fn(Option<IpAddr>) -> ServerChange),
    Weight(fn(Weight) -> ServerChange),
    Name(fn(Name) -> ServerChange),
    /// The name of a group, or `all`.
    Group(fn(Option<Name>) -> ServerChange),
    /// The rest of the line.
    Check(fn(Check) -> ServerChange),
    /// One of two words.
    YesNo(fn(bool) -> ServerChange),
    /// With up to three decimals, in thousandths.
    Decimal {
        max: u64,
        change: fn(u64) -> ServerChange,
    },
    /// The rest of the line.
    Load(fn(LoadSource) -> ServerChange),
    /// With up to three decimals.
    Seconds {
        min_ms: u64,
        max_ms: u64,
        change: fn(u64) -> ServerChange,
    },
    /// From `min` to `max`.
    Number {
        min: u32,
        max: u32,
        unit: &'static str,
        change: fn(u32) -> ServerChange,
    },
}

impl ServerValue {
    /// In the place of an address that there is not.
    pub const NO_ADDRESS: &'static str = "none";
}
