//! Frames as they are on the wire, whole, cut off and damaged.

use super::super::reply::{Segment, Station, link_local_of, solicited_node};
use super::*;
use proptest::prelude::*;

const STATION: Station =
    Station { mac: Mac([2, 0, 0, 0, 0, 1]), link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// From hexadecimal digits with blanks anywhere.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn packet(frame: &[u8]) -> Packet {
    match parse(frame).expect("a frame").content {
        Content::Packet(packet) => packet,
        other => panic!("{other:?}"),
    }
}

/// Seen on a cable: Linux connects to 10.9.0.200.
const SYN: &str = "761a004eb57f a6584e7cda55 0800 4500003ccf5540004006568c0a0900010a0900c8 \
                   a6a000507e98172700000000a002faf01509 0000020405b40402080ae4f51606000000000103030a";

#[test]
fn a_connect_is_read() {
    let frame = parse(&hex(SYN)).unwrap();
    assert_eq!(frame.destination.to_string(), "76:1a:00:4e:b5:7f");
    assert_eq!(frame.source.to_string(), "a6:58:4e:7c:da:55");
    let tcp = Tcp {
        ports: Ports { source: 42656, destination: 80 },
        sequence: 0x7e98_1727,
        flags: TCP_SYN,
        window: 64240,
    };
    let expected = Packet {
        source: [10, 9, 0, 1].into(),
        destination: [10, 9, 0, 200].into(),
        payload: Payload::Tcp(tcp),
        fragment: None,
        bytes: 60,
    };
    assert_eq!(frame.content, Content::Packet(expected));
    assert!(tcp.opens() && !tcp.closes());
    // A short frame is filled up to the least that Ethernet sends.
    let mut filled = hex(SYN);
    filled.extend([0; 20]);
    assert_eq!(packet(&filled), expected);
}

#[test]
fn whatever_is_cut_off_is_refused() {
    let frames = [
        hex(SYN),
        STATION.question([10, 0, 0, 1].into(), None),
        STATION.question(Ipv6Addr::LOCALHOST.into(), None),
    ];
    for frame in frames {
        assert!(parse(&frame).is_some());
        for length in 0..frame.len() {
            assert_eq!(parse(&frame[..length]), None, "{length} of {}", frame.len());
        }
    }
}

#[test]
fn arp_is_read_and_written() {
    let question = STATION.question([10, 0, 0, 9].into(), None);
    assert_eq!(
        question,
        hex("ffffffffffff 020000000001 0806 0001 0800 0604 0001 020000000001 00000000 000000000000 0a000009")
    );
    let asked = Question { target: [10, 0, 0, 9].into(), asker: [10, 0, 0, 5].into(), asker_mac: PEER };
    let answer = parse(&STATION.answer(&asked)).unwrap();
    assert_eq!((answer.destination, answer.source), (PEER, STATION.mac));
    assert_eq!(answer.content, Content::Answer { owner: asked.target, mac: STATION.mac });
    let alone = parse(&STATION.question(asked.target, Some(PEER))).unwrap();
    assert_eq!(alone.destination, PEER, "who is known is asked alone");
    let Content::Question(announced) = parse(&STATION.announcement(asked.target)).unwrap().content else {
        panic!("an announcement is a question")
    };
    assert_eq!((announced.asker, announced.target), (asked.target, asked.target));
}

#[test]
fn neighbour_discovery_is_read_and_written() {
    let target: Ipv6Addr = "2001:db8::12:3456".parse().unwrap();
    let question = STATION.question(target.into(), None);
    assert_eq!(question[..6], hex("3333ff123456"), "the group of those whose address ends so");
    let Content::Question(asked) = parse(&question).unwrap().content else { panic!("not a question") };
    let expected =
        Question { target: target.into(), asker: STATION.link_local.into(), asker_mac: STATION.mac };
    assert_eq!(asked, expected);
    assert_eq!(solicited_node(target), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());

    let answer = STATION.answer(&Question { asker_mac: PEER, ..asked });
    assert_eq!(parse(&answer).unwrap().destination, PEER);
    assert_eq!(parse(&answer).unwrap().content, Content::Answer { owner: target.into(), mac: STATION.mac });
    let free = Question { asker: Ipv6Addr::UNSPECIFIED.into(), ..asked };
    assert_eq!(
        STATION.answer(&free)[..6],
        hex("333300000001"),
        "who wants the address is answered before all"
    );

    for (place, damage) in [(21, "hop limit"), (55, "code"), (56, "checksum"), (79, "length of the option")] {
        let mut damaged = question.clone();
        damaged[place] ^= 1;
        assert_eq!(parse(&damaged), None, "{damage}");
    }
}

#[test]
fn what_pen_says_in_tcp_adds_up() {
    for (from, to) in [("192.0.2.200:80", "192.0.2.1:4000"), ("[2001:db8::200]:80", "[2001:db8::1]:4000")] {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let segment =
            Segment { from, to, sequence: 42, acknowledged: 7, flags: TCP_SYN | TCP_ACK, window: 5840 };
        let frame = STATION.segment(PEER, &segment);
        let packet = packet(&frame);
        let Payload::Tcp(tcp) = packet.payload else { panic!("{packet:?}") };
        assert_eq!((packet.source, tcp.ports.source), (from.ip(), from.port()));
        assert_eq!((packet.destination, tcp.ports.destination), (to.ip(), to.port()));
        assert_eq!((tcp.sequence, tcp.flags, tcp.window), (42, TCP_SYN | TCP_ACK, 5840));
        let payload = &frame[frame.len() - 20..];
        assert_eq!(checksum(packet.source, packet.destination, PROTOCOL_TCP, payload), 0);
        if from.is_ipv4() {
            assert_eq!(header_checksum(&frame[14..34]), 0);
        }
    }
}

#[test]
fn checksums_are_those_of_real_packets() {
    // RFC 1071, section 3.
    assert_eq!(header_checksum(&hex("0001 f203 f4f5 f6f7")), !0xddf2);
    assert_eq!(
        header_checksum(&hex("4500003ccf5540004006568c0a0900010a0900c8")),
        0,
        "the header of the connect above"
    );
    assert_eq!(header_checksum(&[0x12]), !0x1200, "an odd byte is the first of a pair");
}

#[test]
fn fragments_are_told_apart() {
    let mut frame = hex(SYN);
    frame[20..22].copy_from_slice(&[0x20, 0x00]);
    let first = packet(&frame);
    assert!(matches!(first.payload, Payload::Tcp(_)));
    assert_eq!(first.fragment, Some(0xcf55));
    frame[20..22].copy_from_slice(&[0x00, 0x03]);
    let last = packet(&frame);
    assert_eq!((last.payload, last.fragment), (Payload::Continued(PROTOCOL_TCP), Some(0xcf55)));
}

/// An IPv6 packet from 2001:db8::1 to ::2 with this first next-header and what follows the header.
fn v6_frame(next_header: u8, rest: &[u8]) -> Vec<u8> {
    let mut frame = hex("020000000001 020000000002 86dd 60000000");
    frame.extend((rest.len() as u16).to_be_bytes());
    frame.extend([next_header, 64]);
    frame.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    frame.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    frame.extend(rest);
    frame
}

#[test]
fn extension_headers_are_passed_over() {
    let udp = hex("1000 0035 0008 0000");
    let ports = Ports { source: 0x1000, destination: 53 };
    let options = hex("3c 01 0000 00000000 00000000 00000000");
    let destination = hex("11 00 0000 00000000");
    let chained = packet(&v6_frame(0, &[options, destination, udp.clone()].concat()));
    assert_eq!((chained.payload, chained.fragment), (Payload::Udp(ports), None));

    let first = packet(&v6_frame(44, &[hex("11 00 0001 00000007"), udp.clone()].concat()));
    assert_eq!((first.payload, first.fragment), (Payload::Udp(ports), Some(7)));
    let next = packet(&v6_frame(44, &[hex("11 00 0579 00000007"), udp.clone()].concat()));
    assert_eq!((next.payload, next.fragment), (Payload::Continued(PROTOCOL_UDP), Some(7)));

    // Endless chains end.
    let endless = hex("00 00 0000 00000000").repeat(40);
    assert_eq!(packet(&v6_frame(0, &endless)).payload, Payload::Other);
}

#[test]
fn errors_tell_about_which_packet_they_are() {
    let quoted = hex("4500003c cf554000 40060000 c000020a c6336407 00501388 00000000");
    let mut too_big = hex("020000000001 020000000002 0800 45000038 00004000 40010000 c0000201 c000020a");
    too_big.extend(hex("0304 0000 000005dc"));
    too_big.extend(&quoted);
    let expected = Quoted {
        protocol: PROTOCOL_TCP,
        source: "192.0.2.10:80".parse().unwrap(),
        destination: "198.51.100.7:5000".parse().unwrap(),
    };
    assert_eq!(packet(&too_big).payload, Payload::Error(expected));
    too_big[34] = 8;
    assert_eq!(packet(&too_big).payload, Payload::Other, "an echo request is about no other packet");

    let mut inner = hex("60000000 0008 11 40");
    inner.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    inner.extend("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
    inner.extend(hex("0035 1388 0008 0000"));
    let too_big = packet(&v6_frame(PROTOCOL_ICMPV6, &[hex("0200 0000 00000500"), inner].concat()));
    let expected = Quoted {
        protocol: PROTOCOL_UDP,
        source: "[2001:db8::2]:53".parse().unwrap(),
        destination: "[2001:db8::9]:5000".parse().unwrap(),
    };
    assert_eq!(too_big.payload, Payload::Error(expected));
}

#[test]
fn a_link_local_address_is_made_of_the_hardware_address() {
    let expected: Ipv6Addr = "fe80::a458:4eff:fe7c:da55".parse().unwrap();
    assert_eq!(link_local_of(Mac([0xa6, 0x58, 0x4e, 0x7c, 0xda, 0x55])), expected);
}

proptest! {
    /// Frames that begin like real ones and go on like anything.
    #[test]
    fn no_bytes_make_it_panic(
        ethertype in prop::sample::select(vec![TYPE_ARP, TYPE_IPV4, TYPE_IPV6, 0x88cc]),
        first in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60, 0x00]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut frame = vec![2; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.push(first);
        frame.extend(&rest);
        if let Some(Frame { content: Content::Packet(packet), .. }) = parse(&frame) {
            prop_assert!(packet.bytes <= frame.len() - ETHERNET_BYTES);
            prop_assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
        }
    }

    #[test]
    fn what_is_damaged_is_read_or_refused(place in 0usize..74, byte in any::<u8>(), length in 0usize..74) {
        let mut frame = hex(SYN);
        frame[place] = byte;
        let _ = parse(&frame);
        let _ = parse(&frame[..length]);
    }

    #[test]
    fn questions_and_answers_are_read_back(target in any::<u128>(), asker in 1u128.., v4 in any::<bool>()) {
        let ip = |bits: u128| match v4 {
            true => IpAddr::V4(Ipv4Addr::from(bits as u32)),
            false => IpAddr::V6(Ipv6Addr::from(bits)),
        };
        let question = Question { target: ip(target), asker: ip(asker), asker_mac: PEER };
        let answer = parse(&STATION.answer(&question)).unwrap();
        prop_assert_eq!(answer.content, Content::Answer { owner: question.target, mac: STATION.mac });
        let Content::Question(asked) = parse(&STATION.question(question.target, None)).unwrap().content else {
            return Err(TestCaseError::fail("not a question"));
        };
        prop_assert_eq!(asked.target, question.target);
    }
}
