//! Clones with TLS: decrypted by pen on either side, or passed through as it is.

use crate::PATIENT;
use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, Unresponsive};
use crate::common::client::read;
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::programs::{all_installed, run};
use crate::common::tempdir::TempDir;
use crate::common::wait::{eventually, received};
use crate::peers::{Speaker, tls_backend, tls_backend_serving};
use crate::programs::start;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

/// A member and a clone, each with its words, for clients with TLS or without.
fn before(member: (u16, &str), clone: (u16, &str), authority: &Authority, is_secure: bool) -> Start {
    let lines = format!(
        "ssl_server_ca_file ca.pem\nserver 0 address 127.0.0.1 port {} {}\n\
         server 1 address 127.0.0.1 port {} role clone {}\n",
        member.0, member.1, clone.0, clone.1
    );
    let start = Pen::before([] as [&str; 0]).options(PATIENT).file("ca.pem", &authority.pem).config(&lines);
    if is_secure { start.certificate(&authority.sign(&["pen.test"])) } else { start }
}

/// Waits until so many connections to the clone are over.
fn over(pen: &Pen, count: u64) -> Value {
    let told = || serde_json::from_str::<Value>(&pen.control("clones json")).unwrap();
    eventually("clones to be over", told, |told| told["clone"]["connections"] == count)
}

fn take(mut stream: impl Read + Write) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(count @ 1..) = read(&mut stream, &mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let _ = stream.write_all(b"taken\n").and_then(|()| stream.flush());
    bytes
}

/// A server that tells what it was sent, and answers when the client has ended; with TLS and without.
fn takers(authority: &Authority) -> [(Backend, Receiver<Vec<u8>>); 2] {
    let pair = authority.sign(&["web.test"]);
    let ((tell, told), (tell_tls, told_tls)) = (channel(), channel());
    let (tell, tell_tls) = (Mutex::new(tell), Mutex::new(tell_tls));
    // Nobody may listen any more.
    let plain = Backend::serving(move |stream| drop(tell.lock().unwrap().send(take(stream))));
    let secure = tls_backend_serving(&pair, move |mut stream| {
        let bytes = take(&mut stream);
        stream.conn.send_close_notify();
        let _ = stream.flush();
        drop(tell_tls.lock().unwrap().send(bytes));
    });
    [(plain, told), (secure, told_tls)]
}

#[test]
fn a_clone_gets_what_was_decrypted_with_tls_of_its_own_or_without() {
    const WORDS: [&str; 2] = ["", "tls verify web.test"];
    let authority = Authority::new("authority");
    let (members, clones) = (takers(&authority), takers(&authority));
    for (is_secure, member, clone) in [(true, 0, 0), (true, 0, 1), (true, 1, 0), (true, 1, 1), (false, 0, 1)]
    {
        let ((member, got), (copy, copied)) = (&members[member], &clones[clone]);
        let words = [member, copy].map(|server| {
            WORDS[usize::from(std::ptr::eq(server, &members[1].0) || std::ptr::eq(server, &clones[1].0))]
        });
        let start = before((member.port(), words[0]), (copy.port(), words[1]), &authority, is_secure);
        let pen = start.command("clone_queue 8000000").start();
        let mut sent = Vec::new();
        pattern::write(&mut sent, 1_000_000).unwrap();
        let answer = if is_secure {
            let mut client = Speaker::trusting(&authority).connect(pen.address, "pen.test");
            client.send(&sent);
            client.end();
            client.rest()
        } else {
            let mut client = pen.connect();
            client.send(&sent);
            client.end();
            client.rest()
        };
        assert_eq!(answer, b"taken\n", "{words:?}");
        assert!(received(got) == sent && received(copied) == sent, "{is_secure} {words:?}");
        let told = over(&pen, 1);
        assert_eq!(told["clone"]["ends"], json!({"finished": 1}), "{words:?}");
        assert_eq!((&told["compared"], &told["same"]), (&json!(1), &json!(1)), "{told}");
        assert_eq!(told["clone"]["sent_bytes"], 1_000_000);
    }
}

#[test]
fn a_clone_whose_tls_fails_or_stalls_costs_the_client_nothing() {
    let authority = Authority::new("authority");
    let strangers = Authority::new("strangers");
    let member = Backend::named("M");
    let wrong = tls_backend("W", &strangers.sign(&["web.test"]));
    let (plain, full) = (Backend::named("P"), Unresponsive::new());
    let silent = Backend::serving(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let cases = [
        (wrong.port(), "tls_failed"),
        (plain.port(), "tls_failed"),
        (silent.port(), "connect_timeout"),
        (full.port(), "connect_timeout"),
    ];
    for (port, end) in cases {
        let start = before((member.port(), ""), (port, "tls verify web.test"), &authority, true);
        let pen = start.options("-t 2").start();
        let mut client = Speaker::trusting(&authority).connect(pen.address, "pen.test");
        assert_eq!((client.line(), client.exchange("hello")), ("M".into(), "hello".into()), "{end}");
        client.end();
        assert_eq!(client.rest(), b"");
        assert_eq!(over(&pen, 1)["clone"]["ends"], json!({end: 1}));
        assert_eq!(pen.control("clones").lines().next(), Some("failed"), "it is passed over");
    }
}

/// What is not decrypted is copied as it is. A handshake with the clone cannot succeed so: it has not the keys of the one
/// with the member.
#[test]
fn tls_that_is_passed_through_reaches_the_clone_byte_by_byte() {
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let (member, shy) = (tls_backend("M", &pair), tls_backend("C", &pair));
    let [(records, told), _] = takers(&authority);
    for (clone, words) in [(&records, ["finished"].as_slice()), (&shy, &["finished", "reset"])] {
        let pen = before((member.port(), ""), (clone.port(), ""), &authority, false).start();
        let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
        assert_eq!((client.line(), client.exchange("hello")), ("M".into(), "hello".into()));
        client.end();
        assert_eq!(client.rest(), b"");
        drop(client);
        let told_by_pen = over(&pen, 1);
        let ends = told_by_pen["clone"]["ends"].as_object().unwrap();
        assert!(ends.keys().all(|end| words.contains(&&**end)), "{told_by_pen}");
        assert_eq!(told_by_pen["member"]["ends"], json!({"finished": 1}));
        if std::ptr::eq(clone, &records) {
            let bytes = received(&told);
            assert_eq!(told_by_pen["member"]["sent_bytes"], bytes.len());
            assert_eq!(bytes[..2], [22, 3], "a record of the handshake");
            assert_eq!(whole_records(&bytes), bytes.len());
        }
        assert_eq!(told_by_pen["same"], 0);
    }
}

/// How many of these bytes are whole records of TLS.
fn whole_records(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[20..=23, 3, _, high, low]) = bytes.get(at..at + 5) {
        at += 5 + usize::from(u16::from_be_bytes([high, low]));
    }
    at
}

#[test]
fn openssl_is_served_beside_clones() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let dir = TempDir::new();
    let pair = authority.sign(&["web.test"]);
    dir.file("c.pem", &pair.certificate);
    dir.file("k.pem", &pair.key);
    let servers = [(); 2].map(|()| {
        let port = free_port();
        let accept = format!("127.0.0.1:{port}");
        let words = ["s_server", "-quiet", "-www", "-accept", &accept, "-cert", "c.pem", "-key", "k.pem"];
        (port, start("openssl", &words, &dir, port))
    });
    let [(member, _), (clone, _)] = &servers;
    let ask = |pen: &Pen, name: &str| {
        let (address, ca) = (pen.address.to_string(), pen.path("ca.pem").display().to_string());
        let verified = ["-servername", name, "-verify_hostname", name, "-verify_return_error", "-ign_eof"];
        let words = ["s_client", "-connect", &address, "-CAfile", &ca];
        run("openssl", &[&words[..], &verified].concat(), "GET / HTTP/1.0\r\n\r\n")
    };
    let words = "tls verify web.test";
    for (words, is_secure, name) in [(words, true, "pen.test"), ("", false, "web.test")] {
        let pen = before((*member, words), (*clone, words), &authority, is_secure).start();
        let said = ask(&pen, name);
        assert!(said.stdout.contains("HTTP/1.0 200 ok"), "{words}: {said:?}");
        let told = over(&pen, 1);
        // With what was passed through it cannot make sense of the client's part of the handshake.
        assert_eq!(told["clone"]["received_bytes"].as_u64() > Some(1_000), is_secure, "{told}");
    }
}
