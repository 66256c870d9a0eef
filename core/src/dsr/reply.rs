//! The frames that pen makes itself: questions after servers, answers for its address, and what a tarpit or a refusal
//! sends back. Pure.
//!
//! Owns their layout; `director.rs` decides when one is sent. [`super::frame`] reads them back.

use super::frame::{
    ARP_REPLY, ARP_REQUEST, HOP_LIMIT_ON_LINK, Mac, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION,
    OPTION_SOURCE_MAC, OPTION_TARGET_MAC, PROTOCOL_ICMPV6, PROTOCOL_TCP, Question, TYPE_ARP, TYPE_IPV4,
    TYPE_IPV6, checksum, header_checksum,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Of packets that pen makes: what Linux gives its own.
const HOPS: u8 = 64;

/// Where pen stands on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    pub mac: Mac,
    /// The address from which it asks for IPv6 neighbours.
    pub link_local: Ipv6Addr,
}

impl Station {
    /// Asks whose `target` is. A `known` owner is asked alone, everybody otherwise.
    ///
    /// By ARP without a sender address: pen may have none in that network, and nobody's table changes. Neighbour
    /// discovery has to have one; without it, it would claim the address (RFC 4862, 5.4).
    pub fn question(&self, target: IpAddr, known: Option<Mac>) -> Vec<u8> {
        match target {
            IpAddr::V4(target) => {
                let to = known.unwrap_or(Mac::BROADCAST);
                self.arp(ARP_REQUEST, Ipv4Addr::UNSPECIFIED, to, Mac([0; 6]), target)
            }
            IpAddr::V6(target) => {
                let group = solicited_node(target);
                let (to, to_ip) = match known {
                    Some(mac) => (mac, target),
                    None => (multicast_mac(group), group),
                };
                let message = discovery(NEIGHBOUR_SOLICITATION, 0, target, OPTION_SOURCE_MAC, self.mac);
                self.icmpv6(to, self.link_local, to_ip, message)
            }
        }
    }

    /// Says that the address asked for is here.
    pub fn answer(&self, question: &Question) -> Vec<u8> {
        match (question.target, question.asker) {
            (IpAddr::V4(target), IpAddr::V4(asker)) => {
                self.arp(ARP_REPLY, target, question.asker_mac, question.asker_mac, asker)
            }
            (IpAddr::V6(target), IpAddr::V6(asker)) if !asker.is_unspecified() => {
                self.advertisement(target, SOLICITED | OVERRIDE, question.asker_mac, asker)
            }
            (IpAddr::V6(target), _) => self.announcement(target.into()),
            (IpAddr::V4(target), IpAddr::V6(_)) => unreachable!("asked by IPv6 for {target}"),
        }
    }

    /// Tells everybody that `ip` is here, whoever had it before.
    pub fn announcement(&self, ip: IpAddr) -> Vec<u8> {
        match ip {
            IpAddr::V4(ip) => self.arp(ARP_REQUEST, ip, Mac::BROADCAST, Mac([0; 6]), ip),
            IpAddr::V6(ip) => self.advertisement(ip, OVERRIDE, multicast_mac(ALL_NODES), ALL_NODES),
        }
    }

    fn advertisement(&self, target: Ipv6Addr, flags: u8, to: Mac, to_ip: Ipv6Addr) -> Vec<u8> {
        let message = discovery(NEIGHBOUR_ADVERTISEMENT, flags, target, OPTION_TARGET_MAC, self.mac);
        self.icmpv6(to, target, to_ip, message)
    }

    fn arp(&self, operation: u16, sender: Ipv4Addr, to: Mac, target_mac: Mac, target: Ipv4Addr) -> Vec<u8> {
        let mut frame = self.ethernet(to, TYPE_ARP);
        frame.extend([0, 1, 8, 0, 6, 4]);
        frame.extend(operation.to_be_bytes());
        frame.extend(self.mac.0);
        frame.extend(sender.octets());
        frame.extend(target_mac.0);
        frame.extend(target.octets());
        frame
    }

    fn icmpv6(&self, to: Mac, source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
        let sum = checksum(source.into(), destination.into(), PROTOCOL_ICMPV6, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = self.ethernet(to, TYPE_IPV6);
        ipv6_header(&mut frame, source, destination, PROTOCOL_ICMPV6, HOP_LIMIT_ON_LINK, message.len());
        frame.extend(message);
        frame
    }

    /// A TCP segment without options or data.
    pub fn segment(&self, to: Mac, segment: &Segment) -> Vec<u8> {
        let header = segment.header();
        let mut frame;
        match (segment.from.ip(), segment.to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame = self.ethernet(to, TYPE_IPV4);
                ipv4_header(&mut frame, source, destination, PROTOCOL_TCP, header.len());
            }
            (source, destination) => {
                frame = self.ethernet(to, TYPE_IPV6);
                let [source, destination] = [source, destination].map(in_ipv6);
                ipv6_header(&mut frame, source, destination, PROTOCOL_TCP, HOPS, header.len());
            }
        }
        frame.extend(header);
        frame
    }

    fn ethernet(&self, to: Mac, ethertype: u16) -> Vec<u8> {
        let mut frame = Vec::with_capacity(96);
        frame.extend(to.0);
        frame.extend(self.mac.0);
        frame.extend(ethertype.to_be_bytes());
        frame
    }
}

/// What pen says in somebody's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
    pub window: u16,
}

impl Segment {
    fn header(&self) -> [u8; 20] {
        const FIVE_WORDS: u8 = 5 << 4;
        let mut header = [0; 20];
        header[0..2].copy_from_slice(&self.from.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        header[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        header[8..12].copy_from_slice(&self.acknowledged.to_be_bytes());
        header[12] = FIVE_WORDS;
        header[13] = self.flags;
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        let sum = checksum(self.from.ip(), self.to.ip(), PROTOCOL_TCP, &header);
        header[16..18].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

fn discovery(kind: u8, flags: u8, target: Ipv6Addr, option: u8, mac: Mac) -> Vec<u8> {
    const EIGHT_BYTES: u8 = 1;
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([option, EIGHT_BYTES]);
    message.extend(mac.0);
    message
}

fn ipv4_header(frame: &mut Vec<u8>, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: usize) {
    const VERSION_AND_LENGTH: u8 = 0x45;
    const DO_NOT_FRAGMENT: u16 = 0x4000;
    let start = frame.len();
    frame.extend([VERSION_AND_LENGTH, 0]);
    frame.extend((20 + payload as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(DO_NOT_FRAGMENT.to_be_bytes());
    frame.extend([HOPS, protocol, 0, 0]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    let sum = header_checksum(&frame[start..]);
    frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
}

fn ipv6_header(
    frame: &mut Vec<u8>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    hops: u8,
    payload: usize,
) {
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((payload as u16).to_be_bytes());
    frame.extend([protocol, hops]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
}

fn in_ipv6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The group in which the owner of an address hears questions about it (RFC 4291, 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    let [a, b, c] = [a, b, c].map(u16::from);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a, b << 8 | c)
}

/// RFC 2464, section 7.
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The link-local address that is made of a hardware address (RFC 4291, appendix A).
pub fn link_local_of(Mac([a, b, c, d, e, f]): Mac) -> Ipv6Addr {
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}
