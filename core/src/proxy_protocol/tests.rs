//! Headers of the PROXY protocol: written ones are read back, wrong ones refused as early as they can be, and another
//! implementation understands the same.

use super::*;
use proptest::prelude::*;

const V1_TCP4: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

fn endpoints(source: &str, destination: &str) -> Endpoints {
    Endpoints::new(source.parse().unwrap(), destination.parse().unwrap())
}

fn v2(endpoints: Option<&Endpoints>, transport: Transport) -> Vec<u8> {
    let mut out = Vec::new();
    write_v2(endpoints, transport, &mut out);
    out
}

/// A header of version 2 by its parts.
fn v2_of(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family], &length, block].concat()
}

/// Addresses 192.0.2.7 and 198.51.100.1, ports 40000 and 443.
const INET_BLOCK: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 1, 0xbb];

fn with_extensions(extensions: &[u8]) -> Vec<u8> {
    v2_of(V2_PROXY, 0x11, &[&INET_BLOCK, extensions].concat())
}

#[test]
fn version_1_is_a_line_of_text() {
    let cases = [
        (Some(("192.0.2.7:40000", "198.51.100.1:443")), "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"),
        (Some(("[2001:db8::7]:1", "[::1]:65535")), "PROXY TCP6 2001:db8::7 ::1 1 65535\r\n"),
        (Some(("[::ffff:192.0.2.7]:1", "10.0.0.1:2")), "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n"),
        (Some(("192.0.2.7:1", "[2001:db8::7]:2")), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::7 1 2\r\n"),
        (None, "PROXY UNKNOWN\r\n"),
    ];
    for (addresses, line) in cases {
        let endpoints = addresses.map(|(source, destination)| endpoints(source, destination));
        let mut out = b"before".to_vec();
        write_v1(endpoints.as_ref(), &mut out);
        assert_eq!(out, format!("before{line}").as_bytes());
    }
}

#[test]
fn version_2_is_laid_out_as_the_protocol_says() {
    let inet = endpoints("192.0.2.7:40000", "198.51.100.1:443");
    assert_eq!(v2(Some(&inet), Transport::Stream), v2_of(0x21, 0x11, &INET_BLOCK));
    assert_eq!(v2(Some(&inet), Transport::Datagram), v2_of(0x21, 0x12, &INET_BLOCK));
    let inet6 = endpoints("[2001:db8::7]:256", "[::1]:2");
    let mut block = [0; 36];
    block[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    (block[15], block[31], block[32], block[35]) = (7, 1, 1, 2);
    assert_eq!(v2(Some(&inet6), Transport::Stream), v2_of(0x21, 0x21, &block));
    assert_eq!(v2(None, Transport::Stream), v2_of(0x20, 0x00, &[]));
}

#[test]
fn what_names_no_addresses_leaves_those_of_the_connection() {
    let long_line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    let cases: [(&str, Vec<u8>); 11] = [
        ("UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec()),
        ("UNKNOWN with more", b"PROXY UNKNOWN ffff::1 \xff 65535\r\n".to_vec()),
        ("the longest line", long_line.into_bytes()),
        ("LOCAL", v2_of(V2_LOCAL, 0x00, &[])),
        ("LOCAL with addresses", v2_of(V2_LOCAL, 0x11, &INET_BLOCK)),
        ("LOCAL with whatever", v2_of(V2_LOCAL, 0xff, &[1; 100])),
        ("no family", v2_of(V2_PROXY, 0x00, &[])),
        ("no family with something", v2_of(V2_PROXY, 0x01, &[7; 5])),
        ("no transport", v2_of(V2_PROXY, 0x10, &INET_BLOCK)),
        ("Unix stream", v2_of(V2_PROXY, 0x31, &[b'/'; UNIX_BYTES])),
        ("Unix datagram", v2_of(V2_PROXY, 0x32, &[0; UNIX_BYTES + 3])),
    ];
    for (name, bytes) in cases {
        let header = Header { endpoints: None, length: bytes.len() };
        assert_eq!(parse(&bytes), Ok(Some(header)), "{name}");
    }
}

#[test]
fn extensions_are_passed_over_but_must_fit() {
    let expected = Some(endpoints("192.0.2.7:40000", "198.51.100.1:443"));
    let fine: [&[u8]; 4] = [&[], &[4, 0, 0], &[2, 0, 3, b'a', b'.', b'b'], &[0xea, 0, 1, 7, 4, 0, 0]];
    for extensions in fine {
        let bytes = with_extensions(extensions);
        assert_eq!(parse(&bytes), Ok(Some(Header { endpoints: expected, length: bytes.len() })));
    }
    let wrong: [(&[u8], &str); 5] = [
        (&[4], "version 2: an extension that is cut off"),
        (&[4, 0, 0, 4, 0], "version 2: an extension that is cut off"),
        (&[4, 0, 1], "version 2: an extension longer than the header"),
        (&[4, 255, 255, 0], "version 2: an extension longer than the header"),
        (&[3, 0, 3, 0, 0, 0], "version 2: want a checksum of 4 bytes"),
    ];
    for (extensions, reason) in wrong {
        assert_eq!(parse(&with_extensions(extensions)), Err(Malformed(reason)));
    }
}

#[test]
fn a_checksum_must_be_right() {
    // The check value of CRC-32C.
    assert_eq!(crc32c_without(b"123456789", 9), 0xe306_9283);
    let mut bytes = with_extensions(&[4, 0, 1, 9, 3, 0, 4, 0, 0, 0, 0]);
    let at = bytes.len() - 4;
    let checksum = crc32c_without(&bytes, at).to_be_bytes();
    bytes[at..].copy_from_slice(&checksum);
    assert!(parse(&bytes).unwrap().unwrap().endpoints.is_some());
    for index in [13, 17, at - 1, at, at + 3] {
        let mut damaged = bytes.clone();
        damaged[index] ^= if index == 13 { 3 } else { 1 };
        assert!(parse(&damaged).is_err(), "byte {index}");
    }
}

#[test]
fn wrong_headers_are_refused() {
    let cases: [(&[u8], &str); 29] = [
        (b"GET / HTTP/1.1\r\n", "no PROXY header"),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "no PROXY header"),
        (b" PROXY", "no PROXY header"),
        (b"POST", "no PROXY header"),
        (b"PROXY\t", "no PROXY header"),
        (b"\r\n\r\n\0\r\nQUIX", "no PROXY header"),
        (b"\r\nGET", "no PROXY header"),
        (b"PROXY \r\n", "version 1: want TCP4, TCP6 or UNKNOWN"),
        (b"PROXY UNKNOWNS\r\n", "version 1: want TCP4, TCP6 or UNKNOWN"),
        (b"PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n", "version 1: want TCP4, TCP6 or UNKNOWN"),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", "version 1: want TCP4, TCP6 or UNKNOWN"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", "version 1: want CR LF at the end of the line"),
        (b"PROXY TCP4\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4 1.2.3.4\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4 1.2.3.4 ::1 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", "version 1: want two addresses of the family"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4  1\r\n", "version 1: want two ports"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "version 1: too many words"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", "version 1: too many words"),
        (b"PROXY TCP4 \xff.2.3.4 1.2.3.4 1 1\r\n", "version 1: want ASCII characters"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(parse(bytes), Err(Malformed(reason)), "{}", bytes.escape_ascii());
    }
    let wrong_start = "version 2: want version 2 and the command LOCAL or PROXY";
    let cases = [
        (v2_of(0x11, 0x11, &INET_BLOCK), wrong_start),
        (v2_of(0x31, 0x11, &INET_BLOCK), wrong_start),
        (v2_of(0x22, 0x11, &INET_BLOCK), wrong_start),
        (v2_of(0x21, 0x13, &INET_BLOCK), "version 2: unknown transport"),
        (v2_of(0x21, 0x41, &INET_BLOCK), "version 2: unknown address family"),
        (v2_of(0x21, 0x11, &INET_BLOCK[1..]), "version 2: too short for its addresses"),
        (v2_of(0x21, 0x21, &[0; INET6_BYTES - 1]), "version 2: too short for its addresses"),
        (v2_of(0x21, 0x31, &[0; UNIX_BYTES - 1]), "version 2: too short for its addresses"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(parse(&bytes), Err(Malformed(reason)), "{}", bytes.escape_ascii());
    }
}

#[test]
fn nothing_longer_than_the_limit_is_waited_for() {
    let longest = v2_of(V2_LOCAL, 0, &[0; HEADER_BYTES_MAX - V2_FIXED_BYTES]);
    assert_eq!(parse(&longest), Ok(Some(Header { endpoints: None, length: HEADER_BYTES_MAX })));
    let too_long = v2_of(V2_LOCAL, 0, &[0; HEADER_BYTES_MAX - V2_FIXED_BYTES + 1]);
    let refused = Err(Malformed("version 2: longer than 4096 bytes"));
    assert_eq!(parse(&too_long[..V2_FIXED_BYTES]), refused, "as soon as the length is known");
    let line = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!(parse(&line.as_bytes()[..106]), Ok(None));
    assert_eq!(parse(line.as_bytes()), Err(Malformed("version 1: longer than 107 bytes")));
    assert_eq!(parse(format!("{line}\r\n").as_bytes()), Err(Malformed("version 1: longer than 107 bytes")));
}

#[test]
fn a_wrong_version_2_is_refused_before_its_end() {
    assert!(parse(&v2_of(0x23, 0, &[])[..13]).is_err());
    assert_eq!(parse(&v2_of(0x21, 0, &[])[..13]), Ok(None));
}

fn addresses() -> impl Strategy<Value = Endpoints> {
    let v4 = (any::<Ipv4Addr>(), any::<u16>(), any::<Ipv4Addr>(), any::<u16>());
    let v6 = (any::<Ipv6Addr>(), any::<u16>(), any::<Ipv6Addr>(), any::<u16>());
    let mixed = (any::<Ipv4Addr>(), any::<u16>(), any::<Ipv6Addr>(), any::<u16>());
    let of = |from: IpAddr, from_port, to: IpAddr, to_port| {
        Endpoints::new(SocketAddr::new(from, from_port), SocketAddr::new(to, to_port))
    };
    prop_oneof![
        v4.prop_map(move |(from, port, to, to_port)| of(from.into(), port, to.into(), to_port)),
        v6.prop_map(move |(from, port, to, to_port)| of(from.into(), port, to.into(), to_port)),
        mixed.prop_map(move |(from, port, to, to_port)| of(from.into(), port, to.into(), to_port)),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Stream), Just(Transport::Datagram)]
}

/// A header as somebody may write it.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let extension = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(kind, value)| {
        // A random checksum would be wrong.
        let kind = if kind == extensions::CRC32C { 4 } else { kind };
        [&[kind, 0, value.len() as u8], &value[..]].concat()
    });
    let extensions = prop::collection::vec(extension, 0..4).prop_map(|all| all.concat());
    prop_oneof![
        prop::option::of(addresses()).prop_map(|endpoints| {
            let mut out = Vec::new();
            write_v1(endpoints.as_ref(), &mut out);
            out
        }),
        (prop::option::of(addresses()), transport(), extensions).prop_map(
            |(endpoints, transport, extensions)| {
                let mut out = v2(endpoints.as_ref(), transport);
                out.extend_from_slice(&extensions);
                out[15] += extensions.len() as u8;
                out
            }
        ),
    ]
}

/// What the crate `ppp` reads in a complete header; `Err` for whatever it does not like.
fn read_by_ppp(bytes: &[u8]) -> Result<(Option<Endpoints>, usize), String> {
    let pair = |from: IpAddr, from_port, to: IpAddr, to_port| {
        Some(Endpoints::new(SocketAddr::new(from, from_port), SocketAddr::new(to, to_port)))
    };
    if bytes.starts_with(b"P") {
        let header = ppp::v1::Header::try_from(bytes).map_err(|error| error.to_string())?;
        let endpoints = match header.addresses {
            ppp::v1::Addresses::Tcp4(ip) => pair(
                ip.source_address.into(),
                ip.source_port,
                ip.destination_address.into(),
                ip.destination_port,
            ),
            ppp::v1::Addresses::Tcp6(ip) => pair(
                ip.source_address.into(),
                ip.source_port,
                ip.destination_address.into(),
                ip.destination_port,
            ),
            ppp::v1::Addresses::Unknown => None,
        };
        return Ok((endpoints, header.header.len()));
    }
    let header = ppp::v2::Header::try_from(bytes).map_err(|error| error.to_string())?;
    if let Some(Err(error)) = header.tlvs().find(Result::is_err) {
        return Err(error.to_string());
    }
    let counts =
        header.command == ppp::v2::Command::Proxy && header.protocol != ppp::v2::Protocol::Unspecified;
    let endpoints = match header.addresses {
        ppp::v2::Addresses::IPv4(ip) if counts => {
            pair(ip.source_address.into(), ip.source_port, ip.destination_address.into(), ip.destination_port)
        }
        ppp::v2::Addresses::IPv6(ip) if counts => {
            pair(ip.source_address.into(), ip.source_port, ip.destination_address.into(), ip.destination_port)
        }
        _ => None,
    };
    Ok((endpoints, header.len()))
}

proptest! {
    #[test]
    fn what_is_written_is_read(endpoints in prop::option::of(addresses()), transport in transport(), after in any::<Vec<u8>>()) {
        for mut bytes in [v2(endpoints.as_ref(), transport), { let mut out = Vec::new(); write_v1(endpoints.as_ref(), &mut out); out }] {
            let length = bytes.len();
            prop_assert!(length <= V1_BYTES_MAX);
            bytes.extend_from_slice(&after);
            prop_assert_eq!(parse(&bytes), Ok(Some(Header { endpoints, length })));
        }
    }

    #[test]
    fn a_part_of_a_header_is_waited_for_to_its_end(bytes in header()) {
        for count in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..count]), Ok(None), "{} of {} bytes", count, bytes.len());
        }
        prop_assert_eq!(parse(&bytes).map(|header| header.map(|header| header.length)), Ok(Some(bytes.len())));
    }

    /// However the bytes come, the verdict on a beginning is never taken back.
    #[test]
    fn a_verdict_stands(mut bytes in header(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut verdict = Ok(None);
        for count in 0..=bytes.len() {
            let next = parse(&bytes[..count]);
            if verdict != Ok(None) {
                prop_assert_eq!(next, verdict, "{} bytes", count);
            }
            verdict = next;
        }
    }

    /// Ours is the stricter one: what it takes, the other takes too, and understands the same.
    #[test]
    fn another_implementation_agrees(mut bytes in header(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)) {
        let is_whole = changes.is_empty();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match parse(&bytes) {
            // It takes a LOCAL header by its family, which is to be passed over, and UNKNOWN only in UTF-8.
            Ok(Some(Header { endpoints: None, .. })) => {}
            Ok(Some(Header { endpoints, length })) => prop_assert_eq!(read_by_ppp(&bytes), Ok((endpoints, length))),
            _ => prop_assert!(!is_whole),
        }
    }

    #[test]
    fn what_another_implementation_writes_is_read(source in any::<(Ipv6Addr, u16)>(), destination in any::<(Ipv6Addr, u16)>(), value in prop::collection::vec(any::<u8>(), 0..50)) {
        let (from, to) = (SocketAddr::from(source), SocketAddr::from(destination));
        let bytes = ppp::v2::Builder::with_addresses(
            ppp::v2::Version::Two | ppp::v2::Command::Proxy,
            ppp::v2::Protocol::Stream,
            (from, to),
        )
        .write_tlv(ppp::v2::Type::UniqueId, &value).unwrap()
        .build().unwrap();
        let endpoints = Some(Endpoints::new(from, to));
        prop_assert_eq!(parse(&bytes), Ok(Some(Header { endpoints, length: bytes.len() })));
    }

    #[test]
    fn no_bytes_make_it_panic_or_read_beyond(bytes in any::<Vec<u8>>(), begin in 0..3_usize) {
        let start: [&[u8]; 3] = [&[], V1_PREFIX, &V2_SIGNATURE[..12]];
        let bytes = [start[begin], &bytes].concat();
        if let Ok(Some(header)) = parse(&bytes) {
            prop_assert!(header.length <= bytes.len().min(HEADER_BYTES_MAX));
        }
    }
}

#[test]
fn what_follows_a_header_is_not_part_of_it() {
    let header = parse(&[V1_TCP4, V1_TCP4].concat()).unwrap().unwrap();
    assert_eq!(header.endpoints, Some(endpoints("192.0.2.7:40000", "198.51.100.1:443")));
    assert_eq!(header.length, V1_TCP4.len());
}
