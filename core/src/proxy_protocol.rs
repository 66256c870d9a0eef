//! The PROXY protocol: a few bytes before everything else on a connection, in which a proxy says for whom it is made. Pure.
//!
//! Owns both forms of the header as bytes, version 1 (a line of text) and version 2 (binary): writing them, and reading
//! them strictly. Facts are from HAProxy's document "The PROXY protocol, versions 1 & 2" (2020/03/05). Whether a peer is
//! to be believed, and what a header leads to, is decided by `worker/proxy.rs`.
//!
//! On the wire the header is the very first: what a peer sends comes before its TLS handshake, and what pen sends a
//! server goes before the handshake with it.

pub mod extensions;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A longer header of version 2 is refused, whatever it says; addresses take 52 bytes, the rest are extensions. nginx has
/// the same limit.
pub const HEADER_BYTES_MAX: usize = 4096;
/// With its end of line, as the protocol says.
const V1_BYTES_MAX: usize = 107;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What no header of version 1 begins with.
pub const V2_FIRST_BYTE: u8 = V2_SIGNATURE[0];
/// Signature, version and command, family and transport, length of the rest.
const V2_FIXED_BYTES: usize = 16;

const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;
const FAMILY_UNSPECIFIED: u8 = 0;
const FAMILY_INET: u8 = 1;
const FAMILY_INET6: u8 = 2;
const FAMILY_UNIX: u8 = 3;
const TRANSPORT_UNSPECIFIED: u8 = 0;
const TRANSPORT_LAST: u8 = 2;
const INET_BYTES: usize = 12;
const INET6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;

/// What a connection or datagram comes in, for version 2. Version 1 knows streams only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Stream = 1,
    Datagram = 2,
}

/// The client's address and the one it spoke to, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoints {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Endpoints {
    /// IPv4 addresses in IPv6 form become IPv4 addresses; where only one of the two is IPv4, it takes the IPv6 form,
    /// because a header has room for one family. Flow labels and zones have no place in a header and are lost.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Endpoints {
        let canonical = (source.ip().to_canonical(), destination.ip().to_canonical());
        let (from, to) = match canonical {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => canonical,
            (from, to) => (in_v6_form(from).into(), in_v6_form(to).into()),
        };
        Endpoints {
            source: SocketAddr::new(from, source.port()),
            destination: SocketAddr::new(to, destination.port()),
        }
    }

    /// The client.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// Where it connected to.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }
}

fn in_v6_form(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Appends a header of version 1. `None` is a client whose address is not known or has no form here (of a Unix socket):
/// the header is `PROXY UNKNOWN`, which several servers refuse.
pub fn write_v1(endpoints: Option<&Endpoints>, out: &mut Vec<u8>) {
    let line = match endpoints {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Endpoints { source, destination }) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    out.extend_from_slice(line.as_bytes());
}

/// Appends a header of version 2. `None` is a client without a known address: command LOCAL, family UNSPEC.
///
/// For a stream it goes once, before the first byte. For datagrams it stands in front of the payload in one and the same
/// datagram: write it into an empty buffer, append the payload, send both as one. It takes at most 52 bytes.
pub fn write_v2(endpoints: Option<&Endpoints>, transport: Transport, out: &mut Vec<u8>) {
    write_v2_with(endpoints, transport, &[], out);
}

/// The same with extensions, of which at most 64 KiB less the addresses fit. LOCAL has none: they would be about nobody.
pub fn write_v2_with(
    endpoints: Option<&Endpoints>,
    transport: Transport,
    extensions: &[u8],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(V2_SIGNATURE);
    let Some(Endpoints { source, destination }) = endpoints else {
        out.extend_from_slice(&[V2_LOCAL, 0, 0, 0]);
        return;
    };
    let (family, bytes) =
        if source.is_ipv4() { (FAMILY_INET, INET_BYTES) } else { (FAMILY_INET6, INET6_BYTES) };
    let length = u16::try_from(bytes + extensions.len()).expect("extensions that fit into a header");
    out.extend_from_slice(&[V2_PROXY, family << 4 | transport as u8]);
    out.extend_from_slice(&length.to_be_bytes());
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    for port in [source.port(), destination.port()] {
        out.extend_from_slice(&port.to_be_bytes());
    }
    out.extend_from_slice(extensions);
}

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `None`: the addresses of the connection itself count. So it is for UNKNOWN, for LOCAL (a health check of the proxy,
    /// for example), and for families that have no address here.
    pub endpoints: Option<Endpoints>,
    /// Bytes it took; what follows is the client's.
    pub length: usize,
}

/// Why bytes are no header. Holds nothing that the peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads the header at the beginning of what a peer sent so far. `Ok(None)`: it is not complete, and all of these bytes
/// belong to it. Nothing is asked for beyond [`HEADER_BYTES_MAX`].
///
/// # Errors
/// The bytes cannot become a header, told as soon as that is certain.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => parse_v1(bytes),
        Some(&V2_FIRST_BYTE) => parse_v2(bytes),
        Some(_) => Err(Malformed("no PROXY header")),
    }
}

/// Whether what is there of a fixed beginning is right.
fn begins(bytes: &[u8], fixed: &[u8]) -> bool {
    let count = bytes.len().min(fixed.len());
    bytes[..count] == fixed[..count]
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !begins(bytes, V1_PREFIX) {
        return Err(Malformed("no PROXY header"));
    }
    let seen = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(line_feed) = seen.iter().position(|&byte| byte == b'\n') else {
        let is_too_long = seen.len() == V1_BYTES_MAX;
        return if is_too_long { Err(Malformed("version 1: longer than 107 bytes")) } else { Ok(None) };
    };
    let line = seen[..line_feed].strip_suffix(b"\r");
    let line = line.and_then(|line| line.strip_prefix(V1_PREFIX));
    let line = line.ok_or(Malformed("version 1: want CR LF at the end of the line"))?;
    Ok(Some(Header { endpoints: v1_endpoints(line)?, length: line_feed + 1 }))
}

/// What stands between `PROXY ` and the end of the line.
fn v1_endpoints(line: &[u8]) -> Result<Option<Endpoints>, Malformed> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(None); // the rest of the line is to be passed over
    }
    let line = std::str::from_utf8(line).map_err(|_| Malformed("version 1: want ASCII characters"))?;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or("");
    let mut address = || match family {
        "TCP4" => words.next()?.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => words.next()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let addresses = address().zip(address());
    let ports = words.next().and_then(port).zip(words.next().and_then(port));
    match (family, addresses, ports, words.next()) {
        ("TCP4" | "TCP6", Some((from, to)), Some((from_port, to_port)), None) => {
            Ok(Some(Endpoints::new(SocketAddr::new(from, from_port), SocketAddr::new(to, to_port))))
        }
        ("TCP4" | "TCP6", Some(_), Some(_), Some(_)) => Err(Malformed("version 1: too many words")),
        ("TCP4" | "TCP6", Some(_), None, _) => Err(Malformed("version 1: want two ports")),
        ("TCP4" | "TCP6", ..) => Err(Malformed("version 1: want two addresses of the family")),
        _ => Err(Malformed("version 1: want TCP4, TCP6 or UNKNOWN")),
    }
}

/// In decimal, without a sign and without zeros in front.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if is_plain { word.parse().ok() } else { None }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !begins(bytes, V2_SIGNATURE) {
        return Err(Malformed("no PROXY header"));
    }
    let command = bytes.get(12).copied();
    if command.is_some_and(|command| command != V2_LOCAL && command != V2_PROXY) {
        return Err(Malformed("version 2: want version 2 and the command LOCAL or PROXY"));
    }
    let Some((fixed, _)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else { return Ok(None) };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > HEADER_BYTES_MAX {
        return Err(Malformed("version 2: longer than 4096 bytes"));
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let is_local = command == Some(V2_LOCAL);
    let endpoints = if is_local { None } else { v2_endpoints(header)? };
    Ok(Some(Header { endpoints, length }))
}

/// Of a complete header with the command PROXY.
fn v2_endpoints(header: &[u8]) -> Result<Option<Endpoints>, Malformed> {
    let (family, transport) = (header[13] >> 4, header[13] & 0x0f);
    let block = &header[V2_FIXED_BYTES..];
    if transport > TRANSPORT_LAST {
        return Err(Malformed("version 2: unknown transport"));
    }
    if family == FAMILY_UNSPECIFIED {
        return Ok(None); // how long the address is, is not known either
    }
    let address_bytes = v2_address_bytes(family).ok_or(Malformed("version 2: unknown address family"))?;
    let Some((addresses, extensions)) = block.split_at_checked(address_bytes) else {
        return Err(Malformed("version 2: too short for its addresses"));
    };
    check_extensions(header, extensions)?;
    let endpoints = match family {
        _ if transport == TRANSPORT_UNSPECIFIED => None,
        FAMILY_INET => Some(inet_endpoints::<4>(addresses)),
        FAMILY_INET6 => Some(inet_endpoints::<16>(addresses)),
        _ => None,
    };
    Ok(endpoints)
}

/// How much the addresses of a family take, ports included.
fn v2_address_bytes(family: u8) -> Option<usize> {
    match family {
        FAMILY_INET => Some(INET_BYTES),
        FAMILY_INET6 => Some(INET6_BYTES),
        FAMILY_UNIX => Some(UNIX_BYTES),
        _ => None,
    }
}

/// Two addresses of `N` bytes, then two ports.
fn inet_endpoints<const N: usize>(block: &[u8]) -> Endpoints
where
    IpAddr: From<[u8; N]>,
{
    let mut rest = block;
    let mut ip = || IpAddr::from(take::<N>(&mut rest));
    let (from, to) = (ip(), ip());
    let mut port = || u16::from_be_bytes(take(&mut rest));
    let (from_port, to_port) = (port(), port());
    Endpoints::new(SocketAddr::new(from, from_port), SocketAddr::new(to, to_port))
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, after) = rest.split_first_chunk().expect("the block has the length of its family");
    *rest = after;
    *first
}

/// Extensions (TLVs: type, length in two bytes, value) are passed over, but they must fill the header exactly, and a
/// checksum must be right.
fn check_extensions(header: &[u8], mut extensions: &[u8]) -> Result<(), Malformed> {
    while let Some((&[kind, high, low], rest)) = extensions.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((value, after)) = rest.split_at_checked(length) else {
            return Err(Malformed("version 2: an extension longer than the header"));
        };
        if kind == extensions::CRC32C {
            let at = header.len() - rest.len();
            let expected =
                <[u8; 4]>::try_from(value).map_err(|_| Malformed("version 2: want a checksum of 4 bytes"))?;
            if crc32c_without(header, at) != u32::from_be_bytes(expected) {
                return Err(Malformed("version 2: wrong checksum"));
            }
        }
        extensions = after;
    }
    if extensions.is_empty() { Ok(()) } else { Err(Malformed("version 2: an extension that is cut off")) }
}

/// CRC-32C (RFC 3720, appendix B.4) of the header with the four bytes at `at` counted as 0.
fn crc32c_without(header: &[u8], at: usize) -> u32 {
    const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for (index, &byte) in header.iter().enumerate() {
        crc ^= if (at..at + 4).contains(&index) { 0 } else { u32::from(byte) };
        for _ in 0..8 {
            let is_odd = crc & 1 == 1;
            crc >>= 1;
            crc ^= if is_odd { POLYNOMIAL_REFLECTED } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
