//! The program by which the kernel sorts out frames before pen is woken for them. Pure.
//!
//! Owns nothing but the translation: what passes is looked at again in `director.rs`. `packet.rs` of the crate `pen-sys` hands the program
//! to the kernel. The language is the classic packet filter of bpf(4).

use super::frame::{PROTOCOL_ICMPV6, TYPE_ARP, TYPE_IPV4, TYPE_IPV6};
use crate::dsr::frame::ETHERNET_BYTES;
use std::net::IpAddr;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// What the kernel knows about a frame beside its bytes (linux/filter.h, SKF_AD_OFF and what is counted from there).
const ANCILLARY: u32 = -0x1000_i32 as u32;
const PACKET_TYPE: u32 = ANCILLARY + 4;
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
/// Values of the packet type (linux/if_packet.h).
const OTHER_HOST: u32 = 3;
const OUTGOING: u32 = 4;

/// An instruction, in the shape of the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub operand: u32,
}

/// As the kernel takes it.
impl From<Step> for (u16, u8, u8, u32) {
    fn from(step: Step) -> (u16, u8, u8, u32) {
        (step.code, step.if_true, step.if_false, step.operand)
    }
}

#[derive(Clone, Copy)]
enum To {
    Next,
    Accept,
    Drop,
    /// So many steps over the next.
    Skip(u8),
}

/// Lets pass what concerns a service at `ip`: packets to it, ARP and ICMPv6, where servers answer. With `everything`,
/// all of IP, for a tarpit. What leaves the host, is for others, or belongs to a VLAN on top of the interface is dropped.
pub fn program(ip: IpAddr, everything: bool) -> Vec<Step> {
    let mut steps = vec![
        (LOAD_WORD, PACKET_TYPE, To::Next, To::Next),
        (JUMP_IF_EQUAL, OUTGOING, To::Drop, To::Next),
        (JUMP_IF_EQUAL, OTHER_HOST, To::Drop, To::Next),
        (LOAD_WORD, VLAN_TAG_PRESENT, To::Next, To::Next),
        (JUMP_IF_EQUAL, 0, To::Next, To::Drop),
        (LOAD_HALF, 12, To::Next, To::Next),
        (JUMP_IF_EQUAL, TYPE_ARP.into(), To::Accept, To::Next),
    ];
    let ipv4_destination = (LOAD_WORD, ETHERNET_BYTES as u32 + 16, To::Next, To::Next);
    match ip {
        _ if everything => steps.push((JUMP_IF_EQUAL, TYPE_IPV4.into(), To::Accept, To::Next)),
        IpAddr::V4(v4) => {
            steps.push((JUMP_IF_EQUAL, TYPE_IPV4.into(), To::Next, To::Skip(2)));
            steps.push(ipv4_destination);
            steps.push((JUMP_IF_EQUAL, v4.to_bits(), To::Accept, To::Drop));
        }
        IpAddr::V6(_) => {}
    }
    let others = if everything { To::Accept } else { To::Drop };
    steps.push((JUMP_IF_EQUAL, TYPE_IPV6.into(), To::Next, To::Drop));
    steps.push((LOAD_BYTE, ETHERNET_BYTES as u32 + 6, To::Next, To::Next));
    match ip {
        IpAddr::V6(v6) if !everything => {
            steps.push((JUMP_IF_EQUAL, PROTOCOL_ICMPV6.into(), To::Accept, To::Next));
            for (number, word) in v6.octets().as_chunks::<4>().0.iter().enumerate() {
                let equal = if number == 3 { To::Accept } else { To::Next };
                steps.push((LOAD_WORD, ETHERNET_BYTES as u32 + 24 + 4 * number as u32, To::Next, To::Next));
                steps.push((JUMP_IF_EQUAL, u32::from_be_bytes(*word), equal, To::Drop));
            }
        }
        _ => steps.push((JUMP_IF_EQUAL, PROTOCOL_ICMPV6.into(), To::Accept, others)),
    }
    assembled(&steps)
}

/// With the two ends, and jumps counted from the step after.
fn assembled(steps: &[(u16, u32, To, To)]) -> Vec<Step> {
    const WHOLE_FRAME: u32 = u32::MAX;
    let distance = |number: usize, to: To| match to {
        To::Next => 0,
        To::Skip(count) => count,
        To::Accept => (steps.len() - number - 1) as u8,
        To::Drop => (steps.len() - number) as u8,
    };
    let convert = |(number, (code, operand, if_true, if_false)): (usize, &(u16, u32, To, To))| Step {
        code: *code,
        operand: *operand,
        if_true: distance(number, *if_true),
        if_false: distance(number, *if_false),
    };
    let ends = [WHOLE_FRAME, 0].map(|operand| Step { code: RETURN, operand, if_true: 0, if_false: 0 });
    steps.iter().enumerate().map(convert).chain(ends).collect()
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
