//! The program for the kernel, run here.

use super::*;

/// What the kernel would do, for the few codes there are.
fn passes(program: &[Step], frame: &[u8], packet_type: u32, tagged: u32) -> bool {
    let (mut at, mut value) = (0, 0);
    loop {
        let Step { code, if_true, if_false, operand } = program[at];
        let bytes = |count: usize| {
            let start = operand as usize;
            frame
                .get(start..start + count)
                .map(|bytes| bytes.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
        };
        let loaded = match (code, operand) {
            (RETURN, bytes) => return bytes > 0,
            (JUMP_IF_EQUAL, wanted) => {
                at += usize::from(if value == wanted { if_true } else { if_false });
                Some(value)
            }
            (LOAD_WORD, PACKET_TYPE) => Some(packet_type),
            (LOAD_WORD, VLAN_TAG_PRESENT) => Some(tagged),
            (LOAD_WORD, _) => bytes(4),
            (LOAD_HALF, _) => bytes(2),
            (LOAD_BYTE, _) => bytes(1),
            other => panic!("{other:?}"),
        };
        let Some(loaded) = loaded else { return false }; // beyond the end: the kernel drops it
        value = loaded;
        at += 1;
    }
}

fn frame(ethertype: u16, next_header: u8, destination: &str) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    match destination.parse().unwrap() {
        IpAddr::V4(v4) => frame[30..34].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => {
            frame[20] = next_header;
            frame[38..54].copy_from_slice(&v6.octets());
        }
    }
    frame
}

#[test]
fn what_concerns_the_service_passes() {
    const V4: &str = "192.0.2.10";
    const V6: &str = "2001:db8::10";
    let cases = [
        ("ARP", frame(TYPE_ARP, 0, "0.0.0.0"), [true; 4]),
        ("to the service", frame(TYPE_IPV4, 0, V4), [true, false, true, true]),
        ("to another", frame(TYPE_IPV4, 0, "192.0.2.11"), [false, false, true, true]),
        ("to the service by IPv6", frame(TYPE_IPV6, 6, V6), [false, true, true, true]),
        ("to another by IPv6", frame(TYPE_IPV6, 6, "2001:db8::11"), [false, false, true, true]),
        ("far from it", frame(TYPE_IPV6, 6, "2002:db8::10"), [false, false, true, true]),
        ("ICMPv6", frame(TYPE_IPV6, 58, "ff02::1"), [true; 4]),
        ("something else", frame(0x88cc, 0, V4), [false; 4]),
        ("nearly nothing", vec![0; 13], [false; 4]),
    ];
    let programs = [(V4, false), (V6, false), (V4, true), (V6, true)]
        .map(|(ip, everything)| program(ip.parse().unwrap(), everything));
    for (name, frame, expected) in cases {
        let found = programs.each_ref().map(|program| passes(program, &frame, 0, 0));
        assert_eq!(found, expected, "{name}");
        for program in &programs {
            assert!(!passes(program, &frame, OUTGOING, 0), "{name}, leaving");
            assert!(!passes(program, &frame, OTHER_HOST, 0), "{name}, for others");
            assert!(!passes(program, &frame, 0, 1), "{name}, of a VLAN");
        }
    }
}
