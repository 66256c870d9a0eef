//! Ethernet frames as direct server return reads them: ARP, IPv4, IPv6, neighbour discovery, TCP, UDP. Pure.
//!
//! Owns the layouts and their bounds: whatever the bytes are, reading them ends in a [`Frame`] or in `None`, and never
//! in a panic. It decides nothing. Frames that pen makes itself are in `reply.rs`; what a frame leads to is decided in
//! `director.rs`. Layouts: RFC 826, 791, 8200, 4861, 4443, 9293, 768.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the kernel tells about a frame in front of it, a struct virtio_net_hdr (linux/virtio_net.h). All zero: nothing
/// is left to do.
pub const OFFLOAD_BYTES: usize = 10;
/// Destination, source and type.
pub const ETHERNET_BYTES: usize = 14;
/// Of an IPv6 header without extensions.
pub const IPV6_BYTES: usize = 40;
/// Extension headers that are followed; real packets have one or two.
const EXTENSIONS_MAX: usize = 8;

pub const TYPE_IPV4: u16 = 0x0800;
pub const TYPE_ARP: u16 = 0x0806;
pub const TYPE_IPV6: u16 = 0x86dd;

pub const PROTOCOL_ICMP: u8 = 1;
pub const PROTOCOL_TCP: u8 = 6;
pub const PROTOCOL_UDP: u8 = 17;
pub const PROTOCOL_ICMPV6: u8 = 58;

pub const ARP_REQUEST: u16 = 1;
pub const ARP_REPLY: u16 = 2;
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Of neighbour discovery: a router would have made it less (RFC 4861, 7.1).
pub const HOP_LIMIT_ON_LINK: u8 = 255;
/// Options of neighbour discovery that carry a hardware address.
pub const OPTION_SOURCE_MAC: u8 = 1;
pub const OPTION_TARGET_MAC: u8 = 2;

pub const TCP_FIN: u8 = 0x01;
pub const TCP_SYN: u8 = 0x02;
pub const TCP_RST: u8 = 0x04;
pub const TCP_ACK: u8 = 0x10;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it can be the address of one station.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

/// Six pairs of digits with colons between them.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A frame that pen may have to do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub destination: Mac,
    pub source: Mac,
    pub content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Somebody asks whose an address is: ARP request or neighbour solicitation.
    Question(Question),
    /// Somebody says whose it is: ARP reply or neighbour advertisement.
    Answer {
        owner: IpAddr,
        mac: Mac,
    },
    Packet(Packet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub target: IpAddr,
    /// Unspecified when the asker wants the address for itself and looks whether it is free.
    pub asker: IpAddr,
    pub asker_mac: Mac,
}

/// An IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub payload: Payload,
    /// The packet's mark when it is a fragment of a larger one.
    pub fragment: Option<u32>,
    /// All of it, headers included.
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    Tcp(Tcp),
    Udp(Ports),
    /// A fragment that is not the first: it has no ports.
    Continued(u8),
    /// An error about a packet that the destination of this one has sent.
    Error(Quoted),
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    pub ports: Ports,
    pub sequence: u32,
    pub flags: u8,
    pub window: u16,
}

impl Tcp {
    /// Whether it asks for a new connection.
    pub fn opens(&self) -> bool {
        self.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN) == TCP_SYN
    }

    /// Whether it ends the connection, or one direction of it.
    pub fn closes(&self) -> bool {
        self.flags & (TCP_FIN | TCP_RST) != 0
    }
}

/// The head of a packet that an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    pub protocol: u8,
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// Reads a frame; `None` when it is malformed or nothing that pen knows.
pub fn parse(bytes: &[u8]) -> Option<Frame> {
    let destination = Mac(array(bytes, 0)?);
    let source = Mac(array(bytes, 6)?);
    let body = bytes.get(ETHERNET_BYTES..)?;
    let content = match word(bytes, 12)? {
        TYPE_ARP => arp(body)?,
        TYPE_IPV4 => Content::Packet(ipv4(body)?),
        TYPE_IPV6 => ipv6(body, source)?,
        _ => return None,
    };
    Some(Frame { destination, source, content })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn v4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    array::<4>(bytes, at).map(|octets| Ipv4Addr::from(octets).into())
}

fn v6(bytes: &[u8], at: usize) -> Option<IpAddr> {
    array::<16>(bytes, at).map(|octets| Ipv6Addr::from(octets).into())
}

/// RFC 826, for Ethernet and IPv4 alone.
fn arp(body: &[u8]) -> Option<Content> {
    const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if array::<6>(body, 0)? != ETHERNET_AND_IPV4 {
        return None;
    }
    let (mac, sender, target) = (Mac(array(body, 8)?), v4(body, 14)?, v4(body, 24)?);
    match word(body, 6)? {
        ARP_REQUEST => Some(Content::Question(Question { target, asker: sender, asker_mac: mac })),
        ARP_REPLY => Some(Content::Answer { owner: sender, mac }),
        _ => None,
    }
}

fn ipv4(body: &[u8]) -> Option<Packet> {
    let header_bytes = ipv4_header_bytes(body)?;
    let bytes = usize::from(word(body, 2)?);
    let payload = body.get(header_bytes..bytes)?;
    let fragmentation = word(body, 6)?;
    let (more, offset) = (fragmentation & 0x2000 != 0, fragmentation & 0x1fff);
    let protocol = *body.get(9)?;
    let (source, destination) = (v4(body, 12)?, v4(body, 16)?);
    let payload = match offset {
        0 => payload_of(protocol, payload)?,
        _ => Payload::Continued(protocol),
    };
    let fragment = (more || offset != 0).then(|| word(body, 4).map(u32::from)).flatten();
    Some(Packet { source, destination, payload, fragment, bytes })
}

fn ipv4_header_bytes(body: &[u8]) -> Option<usize> {
    let first = *body.first()?;
    let header_bytes = usize::from(first & 0x0f) * 4;
    (first >> 4 == 4 && header_bytes >= 20).then_some(header_bytes)
}

fn ipv6(body: &[u8], source_mac: Mac) -> Option<Content> {
    let Ipv6 { source, destination, protocol, payload, fragment, continued, bytes } = ipv6_headers(body)?;
    if protocol == PROTOCOL_ICMPV6 && fragment.is_none() && is_discovery(payload) {
        // Pretended discovery could redirect traffic; from beyond a router it cannot be real.
        let genuine = *body.get(7)? == HOP_LIMIT_ON_LINK
            && payload.get(1) == Some(&0)
            && checksum(source, destination, PROTOCOL_ICMPV6, payload) == 0;
        return if genuine { discovery(payload, source, source_mac) } else { None };
    }
    let payload = if continued { Payload::Continued(protocol) } else { payload_of(protocol, payload)? };
    Some(Content::Packet(Packet { source, destination, payload, fragment, bytes }))
}

struct Ipv6<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: &'a [u8],
    fragment: Option<u32>,
    /// Not the first fragment.
    continued: bool,
    bytes: usize,
}

/// The header and its extensions (RFC 8200, section 4).
fn ipv6_headers(body: &[u8]) -> Option<Ipv6<'_>> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    if body.first()? >> 4 != 6 {
        return None;
    }
    let bytes = IPV6_BYTES + usize::from(word(body, 4)?);
    let body = body.get(..bytes)?;
    let (source, destination) = (v6(body, 8)?, v6(body, 24)?);
    let (mut protocol, mut at) = (*body.get(6)?, IPV6_BYTES);
    let (mut fragment, mut continued) = (None, false);
    for _ in 0..EXTENSIONS_MAX {
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => 8 + usize::from(*body.get(at + 1)?) * 8,
            FRAGMENT => 8,
            _ => break,
        };
        let header: [u8; 8] = array(body, at)?;
        if protocol == FRAGMENT {
            fragment = array(&header, 4).map(u32::from_be_bytes);
            continued = u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0;
        }
        (protocol, at) = (header[0], at + length);
        if continued {
            break; // what follows is the middle of something
        }
    }
    let payload = body.get(at..)?;
    Some(Ipv6 { source, destination, protocol, payload, fragment, continued, bytes })
}

fn is_discovery(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT)))
}

/// RFC 4861, sections 4.3 and 4.4.
fn discovery(payload: &[u8], source: IpAddr, source_mac: Mac) -> Option<Content> {
    let target = v6(payload, 8)?;
    let options = payload.get(24..)?;
    if payload.first() == Some(&NEIGHBOUR_SOLICITATION) {
        let asker_mac = mac_option(options, OPTION_SOURCE_MAC)?.unwrap_or(source_mac);
        return Some(Content::Question(Question { target, asker: source, asker_mac }));
    }
    let mac = mac_option(options, OPTION_TARGET_MAC)?.unwrap_or(source_mac);
    Some(Content::Answer { owner: target, mac })
}

/// The hardware address among the options; `None` when they are malformed.
fn mac_option(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [kind, length, ..] = *options {
        let bytes = usize::from(length) * 8;
        if bytes == 0 || bytes > options.len() {
            return None;
        }
        if kind == wanted {
            found = array(options, 2).map(Mac);
        }
        options = &options[bytes..];
    }
    Some(found)
}

/// `None`: too short for what it says it is.
fn payload_of(protocol: u8, payload: &[u8]) -> Option<Payload> {
    Some(match protocol {
        PROTOCOL_TCP => Payload::Tcp(tcp(payload)?),
        PROTOCOL_UDP => Payload::Udp(ports(payload).filter(|_| payload.len() >= 8)?),
        PROTOCOL_ICMP => icmp_error(payload).map_or(Payload::Other, Payload::Error),
        PROTOCOL_ICMPV6 => icmpv6_error(payload).map_or(Payload::Other, Payload::Error),
        _ => Payload::Other,
    })
}

fn tcp(payload: &[u8]) -> Option<Tcp> {
    let header: [u8; 20] = array(payload, 0)?;
    Some(Tcp {
        ports: ports(payload)?,
        sequence: u32::from_be_bytes(array(&header, 4)?),
        flags: header[13],
        window: word(&header, 14)?,
    })
}

fn ports(payload: &[u8]) -> Option<Ports> {
    Some(Ports { source: word(payload, 0)?, destination: word(payload, 2)? })
}

/// Unreachable (with "fragmentation needed"), time exceeded, parameter problem (RFC 792).
fn icmp_error(payload: &[u8]) -> Option<Quoted> {
    let quoted = payload.get(8..)?;
    let header_bytes = ipv4_header_bytes(quoted)?;
    // Only the first fragment has ports.
    if !matches!(payload[0], 3 | 11 | 12) || word(quoted, 6)? & 0x1fff != 0 {
        return None;
    }
    let ports = ports(quoted.get(header_bytes..)?)?;
    quoted_of(*quoted.get(9)?, v4(quoted, 12)?, v4(quoted, 16)?, ports)
}

/// Unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
fn icmpv6_error(payload: &[u8]) -> Option<Quoted> {
    let quoted = payload.get(8..)?;
    if !matches!(payload[0], 1..=4) || quoted.first()? >> 4 != 6 {
        return None;
    }
    let ports = ports(quoted.get(IPV6_BYTES..)?)?;
    quoted_of(*quoted.get(6)?, v6(quoted, 8)?, v6(quoted, 24)?, ports)
}

fn quoted_of(protocol: u8, source: IpAddr, destination: IpAddr, ports: Ports) -> Option<Quoted> {
    matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP).then(|| Quoted {
        protocol,
        source: SocketAddr::new(source, ports.source),
        destination: SocketAddr::new(destination, ports.destination),
    })
}

/// The checksum of TCP, UDP and ICMPv6 over `payload` and the pseudo header; 0 when the payload contains its own and it
/// is right. For a payload with a checksum field of 0 it is the value to write there.
pub fn checksum(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let address_sum = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    let pseudo = address_sum(source) + address_sum(destination) + u64::from(protocol) + payload.len() as u64;
    folded(pseudo + sum(payload))
}

/// The checksum of an IPv4 header (RFC 1071).
pub fn header_checksum(header: &[u8]) -> u16 {
    folded(sum(header))
}

fn sum(bytes: &[u8]) -> u64 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let pairs: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    pairs + odd.first().map_or(0, |byte| u64::from(*byte) << 8)
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
