//! Clients that mean no good: garbage, slowness, half a handshake.

use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::process::descriptors;
use crate::common::wait::{eventually, timed};
use crate::peers::Speaker;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// The first message of a client that is in order.
fn client_hello(authority: &Authority, name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// Numbers that look random and are the same every time.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(count).collect()
}

fn pen_before(server: &Backend, authority: &Authority) -> Pen {
    Pen::before([server])
        .certificate(&authority.sign(&["web.test"]))
        .command("ssl_handshake_timeout 1")
        .options("-dd")
        .start()
}

/// It is sent away, and others are served as before.
fn assert_harmless(pen: &Pen, authority: &Authority, bytes: &[u8]) {
    let mut client = Client::connect(pen.address);
    // It may be gone before it has said everything.
    let _ = client.stream.write_all(bytes);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = client.stream.read_to_end(&mut answer);
    assert!(answer.len() < 5000, "{} bytes for {bytes:?}", answer.len());
    let mut good = Speaker::trusting(authority).connect(pen.address, "web.test");
    assert_eq!(good.line(), "A");
}

#[test]
fn garbage_harms_nobody() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = pen_before(&server, &authority);
    let hello = client_hello(&authority, "web.test");
    let mut cases = vec![
        b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n".to_vec(),
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(),
        vec![0; 20_000],
        vec![22, 3, 1, 0xff, 0xff],
        [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 16_384]].concat(),
        hello[..hello.len() / 2].to_vec(),
        [&hello[..], &noise(1, 5000)].concat(),
        [&hello[..], &hello].concat(),
    ];
    cases.extend((2..12).map(|seed| noise(seed, 300)));
    for place in (0..hello.len()).step_by(23) {
        let mut changed = hello.clone();
        changed[place] ^= 0x55;
        cases.push(changed);
    }
    for case in &cases {
        assert_harmless(&pen, &authority, case);
    }
    assert_eq!(server.accepted(), cases.len(), "only the good ones reach a server");
    assert!(pen.stderr().contains("TLS handshake failed"), "{}", pen.stderr());
}

#[test]
fn slow_handshakes_are_cut_off_and_leave_nothing() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = pen_before(&server, &authority);
    let before = descriptors(pen.pid());
    let hello = client_hello(&authority, "web.test");
    let mut silent = Client::connect(pen.address);
    let mut half = Client::connect(pen.address);
    half.send(&hello[..100]);
    let mut stuck = Client::connect(pen.address); // takes the answer and does not go on
    stuck.send(&hello);
    let mut slow = Client::connect(pen.address);
    let ((), elapsed) = timed(|| {
        let mut bytes = hello.iter().cycle();
        let mut is_open = || slow.stream.write_all(&[*bytes.next().unwrap()]).is_ok();
        eventually("the slow one to be cut off", &mut is_open, |open| !open);
    });
    assert!(elapsed >= Duration::from_millis(900), "cut off after {elapsed:?}");
    for client in [&mut silent, &mut half, &mut stuck] {
        let _ = client.stream.read_to_end(&mut Vec::new()); // an end or a reset, but soon
    }
    eventually("descriptors to come back", || descriptors(pen.pid()), |count| *count <= before);
    assert_eq!(server.accepted(), 0);
    let failures = || pen.control("metrics");
    eventually("four failures", failures, |text| text.contains("pen_tls_failures_total 4\n"));
}

#[test]
fn who_is_denied_is_not_even_shaken_hands_with() {
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .command("acl 1 deny 127.0.0.1 255.255.255.255")
        .command("client_acl 1")
        .start();
    let mut client = Client::connect(pen.address);
    let _ = client.stream.write_all(&client_hello(&authority, "web.test"));
    let mut answer = Vec::new();
    let _ = client.stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert!(pen.control("metrics").contains("pen_tls_failures_total 0\n"));
}
