//! Addresses as an operator writes them: where to listen, which servers, which client.
//!
//! Owns the written forms: what parses here is written back by `Display` so that it parses to the same value. Nothing
//! here looks anything up: a name stays a name until the balancer resolves it. Called by `parse.rs`, by the option
//! reader for positional arguments, and by penctl.

use crate::escape::Escaped;
use crate::weight::Weight;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a Unix socket path: `sun_path` of Linux holds 108, the last of them a NUL.
pub const UNIX_PATH_BYTES_MAX: usize = 107;
/// Bytes of a host name (RFC 1035, section 2.3.4, without the length octets).
const NAME_BYTES_MAX: usize = 253;
/// Longest service name taken; RFC 6335 allows 15 bytes, older tables hold a few longer ones.
const SERVICE_BYTES_MAX: usize = 63;
/// What an address begins with that SRV records lead to.
pub const SRV: &str = "srv:";
/// Characters of a wrong word that an error message repeats.
const QUOTED_CHARS_MAX: usize = 60;

/// Largest `max`, `hard` and `prio` of a server: what the original's `int` holds.
pub const SERVER_LIMIT_MAX: u32 = i32::MAX as u32;

/// A port as written: a number from 1 to 65535, or a service name from `/etc/services`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Port {
    Number(u16),
    Service(String),
}

/// A host as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Ip(IpAddr),
    /// Also an IPv6 address with a zone, such as `fe80::1%eth0`, which only the resolver can read.
    Name(String),
    /// A Unix socket path: everything that contains a `/`.
    Unix(String),
}

/// Where to listen: `port`, `host:port`, an IP address alone, `[v6]:port`, Pen's bracketless `::1:8080` (split at the last colon),
/// `*:port`, `:port`, or a Unix socket path.
///
/// `Display` repeats the text as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// `Ip(0.0.0.0)` when the host is left out or `*`, as in Pen.
    pub host: Host,
    /// `None` for a Unix socket, and for an address of which all ports are meant: direct server return takes that.
    pub port: Option<Port>,
    /// The text as given; replies and `write` repeat it.
    pub text: String,
}

/// `host[:port[:max[:hard[:weight[:prio]]]]]`, or the same with the host in brackets, which IPv6 needs.
///
/// An empty field is a field left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    pub host: Host,
    /// `None`: the port of the main listener. Without meaning for a Unix socket.
    pub port: Option<Port>,
    /// Soft maximum of connections; 0 is no limit.
    pub max: u32,
    /// Hard maximum, reached only by clients that already belong to the server; 0 gives no room above `max`.
    pub hard: u32,
    /// `None` when left out: it is shown as 0 (as Pen does) and counts as 1. An explicit 0 is never chosen by weight.
    pub weight: Option<Weight>,
    /// Smallest is chosen first in `prio` mode.
    pub prio: u32,
}

impl Port {
    /// Reads a port, strictly: `8081x` and `0` are errors.
    ///
    /// # Errors
    /// What a port may be and what was given instead.
    pub fn parse(text: &str) -> Result<Port, String> {
        let port = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok().filter(|&number| number != 0).map(Port::Number)
        } else {
            is_service(text).then(|| Port::Service(text.to_owned()))
        };
        port.ok_or_else(|| format!("port: want 1..65535 or a service name, got {}", quoted(text)))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Number(number) => number.fmt(f),
            Port::Service(name) => f.write_str(name),
        }
    }
}

impl Host {
    /// Reads an address, a name or a Unix socket path. IPv6 may stand in brackets.
    ///
    /// # Errors
    /// What a host may be and what was given instead; a Unix path longer than [`UNIX_PATH_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Host, String> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if inner.contains('/') {
            return unix_path(inner);
        }
        if let Ok(ip) = inner.parse() {
            return Ok(Host::Ip(ip));
        }
        if is_name(inner) || is_zoned(inner) {
            return Ok(Host::Name(inner.to_owned()));
        }
        Err(format!("address: want an address, a host name or a Unix socket path, got {}", quoted(text)))
    }

    /// The host of a server: as [`Host::parse`], or a service whose hosts and ports SRV records name, as in
    /// `srv:_mysql._tcp.example.org`.
    ///
    /// # Errors
    /// As [`Host::parse`].
    pub fn parse_server(text: &str) -> Result<Host, String> {
        match text.strip_prefix(SRV) {
            Some(service) if service.starts_with('_') && is_name(service) => Ok(Host::Name(text.to_owned())),
            Some(_) => Err(format!("address: want srv:_SERVICE._PROTOCOL.DOMAIN, got {}", quoted(text))),
            None => Host::parse(text),
        }
    }

    /// The service, without `srv:`, of a host that SRV records name.
    pub fn service(&self) -> Option<&str> {
        match self {
            Host::Name(name) => name.strip_prefix(SRV),
            _ => None,
        }
    }

    /// The name that a name server must be asked for. `None` for what needs none, an address with a zone included.
    pub fn name(&self) -> Option<&str> {
        match self {
            Host::Name(name) if !is_zoned(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the host is a Unix socket, which has no port.
    pub fn is_unix(&self) -> bool {
        matches!(self, Host::Unix(_))
    }
}

/// Without brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(ip) => ip.fmt(f),
            Host::Name(text) | Host::Unix(text) => f.write_str(text),
        }
    }
}

impl ListenAddr {
    /// Reads where to listen.
    ///
    /// # Errors
    /// The part that is wrong, what was expected and what was given.
    pub fn parse(text: &str) -> Result<ListenAddr, String> {
        let (host, port) = if text.contains('/') {
            (Host::parse(text)?, None)
        } else {
            let (host, port) = if text.starts_with('[') {
                split_host(text)?
            } else if text.parse::<Ipv4Addr>().is_ok() {
                (text, "")
            } else {
                text.rsplit_once(':').unwrap_or(("", text))
            };
            listen_parts(host, port)?
        };
        Ok(ListenAddr { host, port, text: text.to_owned() })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A single address may stand alone, or with port 0 as in Pen: then all its ports are meant.
fn listen_parts(host: &str, port: &str) -> Result<(Host, Option<Port>), String> {
    let ip = Host::parse(host).ok().filter(|host| matches!(host, Host::Ip(ip) if !ip.is_unspecified()));
    match ip {
        Some(host) if matches!(port, "" | "0") => Ok((host, None)),
        _ => Ok((listen_host(host)?, Some(Port::parse(port)?))),
    }
}

/// The part of a listen address before its last colon.
fn listen_host(text: &str) -> Result<Host, String> {
    match text {
        "" | "*" => Ok(Host::Ip(Ipv4Addr::UNSPECIFIED.into())),
        _ => Host::parse(text),
    }
}

impl ServerSpec {
    /// A server at `host` with every other field left out.
    pub fn at(host: Host) -> ServerSpec {
        ServerSpec { host, port: None, max: 0, hard: 0, weight: None, prio: 0 }
    }

    /// Reads a server as it stands on the command line.
    ///
    /// # Errors
    /// The field that is wrong, what was expected and what was given.
    pub fn parse(text: &str) -> Result<ServerSpec, String> {
        // The host is always written.
        ServerSpec::at(Host::Ip(Ipv4Addr::UNSPECIFIED.into())).overwritten(text)
    }

    /// This server with what `text` says, in the form that [`ServerSpec::parse`] reads. Fields that are left out stay.
    ///
    /// # Errors
    /// As [`ServerSpec::parse`].
    pub fn overwritten(&self, text: &str) -> Result<ServerSpec, String> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!(
                "an IPv6 address needs brackets here: [{text}], [{text}]:PORT or [{text}]:PORT:MAX"
            ));
        }
        let (host, fields) = split_server_host(text)?;
        let mut fields = fields.split(':');
        let mut next = || fields.next().filter(|field| !field.is_empty());
        let host = Host::parse_server(host)?;
        // Port 0 is how Pen's scripts say that a Unix socket has none.
        let port = next().filter(|port| !(host.is_unix() && *port == "0"));
        let spec = ServerSpec {
            host,
            port: port.map(Port::parse).transpose()?.or_else(|| self.port.clone()),
            max: number_field("max", next(), SERVER_LIMIT_MAX)?.unwrap_or(self.max),
            hard: number_field("hard", next(), SERVER_LIMIT_MAX)?.unwrap_or(self.hard),
            weight: next()
                .map(Weight::parse)
                .transpose()
                .map_err(|reason| format!("weight: {reason}"))?
                .or(self.weight),
            prio: number_field("prio", next(), SERVER_LIMIT_MAX)?.unwrap_or(self.prio),
        };
        match fields.next() {
            None => Ok(spec),
            Some(surplus) => Err(format!("nothing may follow the prio, got {}", quoted(surplus))),
        }
    }

    /// Host and port alone, as written.
    pub fn address(&self) -> String {
        ServerSpec { port: self.port.clone(), ..ServerSpec::at(self.host.clone()) }.to_string()
    }

    /// The fields after the host, each with its colon, without those at the end that were left out.
    fn fields(&self) -> String {
        let left_out_if_zero = |number: u32| if number == 0 { String::new() } else { number.to_string() };
        let fields = [
            self.port.as_ref().map(Port::to_string).unwrap_or_default(),
            left_out_if_zero(self.max),
            left_out_if_zero(self.hard),
            self.weight.map(|weight| weight.to_string()).unwrap_or_default(),
            left_out_if_zero(self.prio),
        ];
        let joined: String = fields.iter().flat_map(|field| [":", field]).collect();
        joined.trim_end_matches(':').to_owned()
    }
}

impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.to_string();
        let fields = self.fields();
        let plain = format!("{host}{fields}");
        // A name such as `cafe` followed by `::10` would read as an IPv6 address.
        if self.host.service().is_some() {
            f.write_str(&plain)
        } else if host.contains(':') || host.starts_with('[') || plain.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{host}]{fields}")
        } else {
            f.write_str(&plain)
        }
    }
}

/// The host, and what follows its colon (empty when nothing does).
fn split_host(text: &str) -> Result<(&str, &str), String> {
    if !text.starts_with('[') {
        return Ok(text.split_once(':').unwrap_or((text, "")));
    }
    let end = text.find(']').ok_or_else(|| format!("want a ] after the address, got {}", quoted(text)))?;
    let (host, rest) = text.split_at(end + 1);
    match rest.strip_prefix(':') {
        Some(fields) => Ok((host, fields)),
        None if rest.is_empty() => Ok((host, "")),
        None => Err(format!("want a : after the ], got {}", quoted(rest))),
    }
}

/// The same for a server, whose host may be a service.
fn split_server_host(text: &str) -> Result<(&str, &str), String> {
    let Some(service) = text.strip_prefix(SRV).filter(|service| service.starts_with('_')) else {
        return split_host(text);
    };
    let end = SRV.len() + service.find(':').unwrap_or(service.len());
    Ok((&text[..end], text[end..].strip_prefix(':').unwrap_or("")))
}

fn number_field(name: &str, field: Option<&str>, max: u32) -> Result<Option<u32>, String> {
    let number = field.map(|field| strict_number(field, 0, max.into(), "")).transpose();
    // The bound is a u32, so the number is one.
    number.map(|number| number.map(|number| number as u32)).map_err(|reason| format!("{name}: {reason}"))
}

/// Reads decimal digits and nothing else, between `min` and `max` inclusive. `unit` only serves the message.
///
/// # Errors
/// `want 1..86400 seconds, got "x"`.
pub(crate) fn strict_number(text: &str, min: u64, max: u64, unit: &str) -> Result<u64, String> {
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    number.filter(|number| (min..=max).contains(number)).ok_or_else(|| {
        let blank = if unit.is_empty() { "" } else { " " };
        format!("want {min}..{max}{blank}{unit}, got {}", quoted(text))
    })
}

fn unix_path(path: &str) -> Result<Host, String> {
    if path.len() > UNIX_PATH_BYTES_MAX {
        let bytes = path.len();
        return Err(format!(
            "address: want a Unix socket path of at most {UNIX_PATH_BYTES_MAX} bytes, got {bytes} bytes: {}",
            quoted(path)
        ));
    }
    // It stands in listings, of which every line is words.
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "address: want a Unix socket path without blanks and control characters, got {}",
            quoted(path)
        ));
    }
    Ok(Host::Unix(path.to_owned()))
}

/// Passes a file name on: in quotes a line of the language can carry any but those with control characters, which nobody
/// could read in a message.
///
/// # Errors
/// `want a path without control characters, got "a\nb"`.
pub(crate) fn file_name(path: &str) -> Result<&str, String> {
    match path.is_empty() || path.contains(char::is_control) {
        true => Err(format!("want a path without control characters, got {}", quoted(path))),
        false => Ok(path),
    }
}

/// The resolver judges names; this keeps out what could not be one, or would be mistaken for an option.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_zoned(text: &str) -> bool {
    text.split_once('%').is_some_and(|(address, zone)| address.parse::<Ipv6Addr>().is_ok() && is_name(zone))
}

fn is_service(text: &str) -> bool {
    text.len() <= SERVICE_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte))
}

/// A word as messages show it: in double quotes, cut after 60 characters, with everything escaped that could move a
/// terminal's cursor, forge a line or reverse the reading direction.
pub fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for (count, c) in text.chars().enumerate() {
        if count == QUOTED_CHARS_MAX {
            shown.push_str("...");
            break;
        }
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            _ => shown.push_str(&Escaped(c.encode_utf8(&mut [0; 4])).to_string()),
        }
    }
    shown.push('"');
    shown
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

#[cfg(test)]
mod tests;
