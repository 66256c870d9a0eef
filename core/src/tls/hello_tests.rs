//! ClientHellos: whole, in pieces, in many records, cut, changed, and bytes that are none.

use super::*;
use proptest::prelude::*;

/// A message as clients send it, with these extensions.
fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let list = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extensions: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), list(body)].concat())
        .collect();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[32],
        &[9; 32],
        &list(&[0x13, 0x01, 0xc0, 0x2f]),
        &[1, 0],
        &list(&extensions),
    ]
    .concat();
    let length = (body.len() as u32).to_be_bytes();
    [&[CLIENT_HELLO][..], &length[1..], &body].concat()
}

fn server_name(name: &[u8]) -> (u16, Vec<u8>) {
    let entry = [&[HOST_NAME][..], &(name.len() as u16).to_be_bytes(), name].concat();
    (SERVER_NAME_EXTENSION, [&(entry.len() as u16).to_be_bytes()[..], &entry].concat())
}

/// In records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record =
        |part: &[u8]| [&[HANDSHAKE_RECORD, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(size).flat_map(record).collect()
}

fn asking_for(name: &str) -> Vec<u8> {
    hello(&[(43, vec![2, 3, 4]), server_name(name.as_bytes()), (51, vec![0; 300])])
}

fn named(name: &str) -> Hello {
    Hello::Tls(Some(name.to_owned()))
}

#[test]
fn the_name_is_found() {
    assert_eq!(read(&records(&asking_for("www.example.org"), 16_384)), named("www.example.org"));
    assert_eq!(read(&records(&asking_for("WWW.Example.Org"), 16_384)), named("www.example.org"));
    let more = [records(&asking_for("a.test"), 16_384), b"early data".to_vec()].concat();
    assert_eq!(read(&more), named("a.test"), "what follows does not matter");
}

#[test]
fn a_hello_without_a_usable_name_is_tls_all_the_same() {
    for extensions in [vec![], vec![(16, vec![0, 3, 2, b'h', b'2'])], vec![server_name(b"../../etc/passwd")]]
    {
        assert_eq!(read(&records(&hello(&extensions), 16_384)), Hello::Tls(None), "{extensions:?}");
    }
    for name in [&b""[..], b"\xff\xfe", b"a\0b", b"a/b"] {
        assert_eq!(read(&records(&hello(&[server_name(name)]), 16_384)), Hello::Tls(None), "{name:?}");
    }
}

#[test]
fn other_protocols_are_told_at_once() {
    for bytes in
        [&b"G"[..], b"GET / HTTP/1.1\r\n", b"SSH-2.0-", b"\x16\x02", b"\x15\x03\x01\x00\x02", b"\x80\x2e"]
    {
        assert_eq!(read(bytes), Hello::Other, "{bytes:?}");
    }
    assert_eq!(read(&[HANDSHAKE_RECORD, 3, 1, 0, 0]), Hello::Other, "an empty record");
    assert_eq!(read(&[HANDSHAKE_RECORD, 3, 1, 0x40, 1]), Hello::Other, "a record that is too long");
    assert_eq!(read(&[HANDSHAKE_RECORD, 3, 1, 0, 4, 2, 0, 0, 4]), Hello::Other, "another message");
    assert_eq!(read(&[HANDSHAKE_RECORD, 3, 1, 0, 4, 1, 1, 0, 0]), Hello::Other, "a message that is too long");
}

#[test]
fn nobody_is_waited_for_without_end() {
    let endless = records(&hello(&[(21, vec![0; HELLO_BYTES_MAX - 100])]), 1);
    assert_eq!(read(&endless[..HELLO_BYTES_MAX - 1]), Hello::Incomplete);
    assert_eq!(read(&endless[..HELLO_BYTES_MAX]), Hello::Other);
}

proptest! {
    #[test]
    fn every_beginning_of_a_hello_is_incomplete(size in 1..600usize, name in "[a-z]{1,20}\\.test") {
        let bytes = records(&asking_for(&name), size);
        prop_assert_eq!(read(&bytes), named(&name));
        for end in 0..bytes.len() {
            let seen = read(&bytes[..end]);
            prop_assert_eq!(seen, Hello::Incomplete, "{} of {}", end, bytes.len());
        }
    }

    #[test]
    fn whatever_is_changed_nothing_panics(
        size in 1..600usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = records(&asking_for("a.test"), size);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Hello::Tls(Some(name)) = read(&bytes) {
            prop_assert_eq!(host_name(&name), Some(name));
        }
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let tls = [&[HANDSHAKE_RECORD, 3, 3, 1, 0, CLIENT_HELLO, 0, 0, 252][..], &bytes].concat();
        read(&bytes);
        read(&tls);
    }
}
