//! Headers of the PROXY protocol: no bytes make the reader panic, a verdict on a beginning is never taken back, and what
//! was understood is written so that it is understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::proxy_protocol::extensions::{ClientTls, for_server, passed_on};
use pen_core::proxy_protocol::{HEADER_BYTES_MAX, Transport, parse, write_v1, write_v2, write_v2_with};

fuzz_target!(|bytes: &[u8]| {
    let verdict = parse(bytes);
    let (first, _) = bytes.split_at(bytes.len() / 2);
    let early = parse(first);
    assert!(early == Ok(None) || early == verdict);
    let Ok(Some(header)) = verdict else { return };
    assert!(header.length <= bytes.len().min(HEADER_BYTES_MAX));
    assert_eq!(parse(&bytes[..header.length]), verdict, "what follows plays no part");
    for transport in [Transport::Stream, Transport::Datagram] {
        let mut written = Vec::new();
        write_v2(header.endpoints.as_ref(), transport, &mut written);
        assert_eq!(parse(&written).unwrap().unwrap().endpoints, header.endpoints);
    }
    let told = passed_on(&bytes[..header.length]);
    let extended = for_server(&told, Some(&ClientTls::default()));
    for extensions in [&told, &extended] {
        let mut written = Vec::new();
        write_v2_with(header.endpoints.as_ref(), Transport::Stream, extensions, &mut written);
        if written.len() > HEADER_BYTES_MAX {
            continue;
        }
        let again = parse(&written).unwrap().unwrap();
        assert_eq!((again.endpoints, again.length), (header.endpoints, written.len()));
        let is_told = header.endpoints.is_some();
        assert!(!is_told || passed_on(&written) == *extensions, "what is passed on is passed on again");
    }
    let mut written = Vec::new();
    write_v1(header.endpoints.as_ref(), &mut written);
    assert_eq!(parse(&written).unwrap().unwrap().endpoints, header.endpoints);
});
