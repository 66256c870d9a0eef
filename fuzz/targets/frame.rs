//! Frames of direct server return: reading never panics, and no packet is larger than its frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::dsr::frame::{Content, ETHERNET_BYTES, parse};

fuzz_target!(|frame: &[u8]| {
    if let Some(frame_read) = parse(frame)
        && let Content::Packet(packet) = frame_read.content
    {
        assert!(packet.bytes <= frame.len() - ETHERNET_BYTES);
        assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
    }
});
