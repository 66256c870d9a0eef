//! Addresses as an operator writes them: where to listen, which servers, which client.
//!
//! Nothing here looks anything up. A name stays a name until `net/resolve` in the balancer turns it into an address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A port as written: a number, or a service name from `/etc/services`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    Service(String),
}

/// A host as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    Name(String),
    /// A Unix socket path: everything that contains a `/`.
    Unix(String),
}

/// Where to listen: `port`, `host:port`, `[v6]:port`, Pen's bracketless `::1:8080` (split at the last colon),
/// `*:port`, `:port`, or a Unix socket path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// `Ip(0.0.0.0)` when the host is left out or `*`, as in Pen.
    pub host: Host,
    /// `None` only for a Unix socket.
    pub port: Option<Port>,
    /// The text as given; replies and `write` repeat it.
    pub text: String,
}

/// `host[:port[:max[:hard[:weight[:prio]]]]]` or `[addr]:port:max:hard:weight:prio`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    pub host: Host,
    /// `None`: the port of the main listener.
    pub port: Option<Port>,
    /// Soft maximum of connections; 0 is no limit.
    pub max: u32,
    /// Hard maximum, reached only by clients that already belong to the server; 0 gives no room above `max`.
    pub hard: u32,
    /// `None` when left out: it is shown as 0 (as Pen does) and counts as 1. An explicit 0 is never chosen by weight.
    pub weight: Option<u32>,
    /// Smallest is chosen first in `prio` mode.
    pub prio: u32,
}

/// The address by which a client is remembered: no port, and an IPv4 client of an IPv6 listener is the IPv4 client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddr {
    Ip(IpAddr),
    /// All clients of a Unix socket listener are one client, as in Pen.
    Unix,
}

impl ClientAddr {
    /// Sixteen bytes that identify the client: IPv6, IPv4 as v4-mapped IPv6, and the unspecified address for Unix.
    pub fn key(self) -> [u8; 16] {
        match self {
            ClientAddr::Ip(IpAddr::V4(v4)) => v4.to_ipv6_mapped().octets(),
            ClientAddr::Ip(IpAddr::V6(v6)) => v6.octets(),
            ClientAddr::Unix => Ipv6Addr::UNSPECIFIED.octets(),
        }
    }

    /// The inverse of [`ClientAddr::key`].
    pub fn from_key(key: [u8; 16]) -> ClientAddr {
        let v6 = Ipv6Addr::from(key);
        match v6.to_ipv4_mapped() {
            Some(v4) => ClientAddr::Ip(v4.into()),
            None if v6.is_unspecified() => ClientAddr::Unix,
            None => ClientAddr::Ip(v6.into()),
        }
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(address: SocketAddr) -> ClientAddr {
        ClientAddr::Ip(address.ip().to_canonical())
    }
}

/// Empty for Unix, as Pen prints it.
impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddr::Ip(ip) => ip.fmt(f),
            ClientAddr::Unix => Ok(()),
        }
    }
}
