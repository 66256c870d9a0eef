//! `proxy_accept`: a trusted downstream names the client, which then counts everywhere; without a proper header there is
//! no connection, and nobody else is listened to.

use crate::common::backend::{Backend, echo};
use crate::common::client::Client;
use crate::common::pen::{Pen, Start, converse};
use crate::common::ports::free_port;
use crate::common::wait::{eventually, timed};
use crate::idlers::{status, total};
use pen_core::proxy_protocol::{Endpoints, Transport, write_v2, write_v2_with};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const DOWNSTREAM: &str = "127.0.0.2";
const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

fn v2(source: &str, destination: &str) -> Vec<u8> {
    let endpoints = Endpoints::new(source.parse().unwrap(), destination.parse().unwrap());
    let mut bytes = Vec::new();
    write_v2(Some(&endpoints), Transport::Stream, &mut bytes);
    bytes
}

fn trusting(start: Start) -> Start {
    start.command(format!("proxy_accept {DOWNSTREAM}"))
}

/// What comes back for these bytes from the trusted downstream; `None` when pen closes the connection.
fn answer(pen: &Pen, bytes: &[u8]) -> Option<String> {
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(bytes);
    client.try_line()
}

#[test]
fn the_header_is_taken_off_and_all_behind_it_arrives() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).start();
    for header in [HEADER.as_bytes(), &v2("192.0.2.7:40000", "198.51.100.1:443")] {
        let mut client = pen.connect_from(DOWNSTREAM);
        client.send([header, b"hello\n"].concat());
        assert_eq!(client.line(), "hello");
        assert_eq!(client.exchange(HEADER.trim_end()), HEADER.trim_end(), "only the first is one");
    }
}

#[test]
fn a_header_in_pieces_is_the_same_header() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).options("-l pen.log").start();
    let headers = [HEADER.as_bytes().to_vec(), v2("192.0.2.7:40000", "198.51.100.1:443")];
    for (round, header) in headers.iter().enumerate() {
        let mut client = pen.connect_from(DOWNSTREAM);
        client.stream.set_nodelay(true).unwrap();
        for byte in header {
            client.send([*byte]);
        }
        assert_eq!(client.exchange("hello"), "hello");
        let mut client = pen.connect_from(DOWNSTREAM);
        client.send(&header[..13]);
        let waiting = || {
            let status = status(&pen);
            status["connections"].as_array().unwrap().iter().filter(|one| one["state"] == 32).count()
        };
        eventually("the first piece to be read", waiting, |count| *count == 1);
        client.send([&header[13..], b"hello\n"].concat());
        assert_eq!(client.line(), "hello");
        let lines = || pen.text("pen.log").matches("192.0.2.7 ").count();
        eventually("the log", lines, |count| *count == 2 * (round + 1));
    }
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).start();
    assert_eq!(answer(&pen, HEADER.as_bytes()).as_deref(), Some("A"));
}

#[test]
fn the_client_of_the_header_is_the_client_everywhere() {
    let servers = ["A", "B"].map(Backend::named);
    let pen = trusting(Pen::before(&servers)).options("-H -l pen.log").start();
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(HEADER);
    client.send("GET / HTTP/1.0\r\n\r\n");
    let home = client.line();
    assert_eq!(client.line(), "GET / HTTP/1.0\r");
    assert_eq!(client.line(), "X-Forwarded-Proto: http\r");
    assert_eq!(client.line(), "X-Forwarded-For: 192.0.2.7\r");
    let listed = &status(&pen)["connections"][0];
    assert_eq!(listed["client"], "192.0.2.7:40000");
    assert_eq!(pen.control("recent").split(' ').next(), Some("192.0.2.7"));
    eventually("the log", || pen.text("pen.log"), |text| text.starts_with("192.0.2.7 "));
    for _ in 0..4 {
        assert_eq!(answer(&pen, HEADER.as_bytes()), Some(home.clone()), "the server it had before");
    }
    let other = answer(&pen, &v2("[2001:db8::7]:1", "[::1]:2")).unwrap();
    assert_ne!(other, home, "another client, from the same downstream");
    assert!(pen.control("clients").contains(" addr 2001:db8::7 "));
}

#[test]
fn access_lists_judge_the_client_of_the_header() {
    let server = Backend::named("A");
    let start = trusting(Pen::before([&server])).command("acl 1 deny 192.0.2.7").command("client_acl 1");
    let pen = start.start();
    assert_eq!(answer(&pen, HEADER.as_bytes()), None);
    assert_eq!(answer(&pen, &v2("192.0.2.8:1", "10.0.0.1:2")).as_deref(), Some("A"));
    assert_eq!(answer(&pen, &v2("[::ffff:192.0.2.7]:1", "[::1]:2")), None, "an IPv4 client in IPv6 form");
    assert_eq!(total(&pen, "denied"), 2);
    assert_eq!(total(&pen, "proxy_errors"), 0);
}

#[test]
fn without_a_name_the_downstream_is_the_client() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).options("-l pen.log").start();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\x01\x02\x03\x04\x01\x02\x03\x04\0\x01\0\x02";
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN 1.2.3.4 1.2.3.4 5 6\r\n", local] {
        assert_eq!(answer(&pen, &[header, b"hello\n"].concat()).as_deref(), Some("hello"));
    }
    eventually("the log", || pen.text("pen.log").matches("127.0.0.2 ").count(), |count| *count == 3);
}

#[test]
fn what_others_send_is_not_looked_at() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).options("-l pen.log").start();
    let mut client = pen.connect_from("127.0.0.3");
    client.send(HEADER);
    assert_eq!(client.line(), HEADER.trim_end_matches('\n'));
    assert_eq!(client.exchange("hello"), "hello");
    eventually("the log", || pen.text("pen.log"), |text| text.starts_with("127.0.0.3 "));
}

#[test]
fn without_a_proper_header_there_is_no_connection() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).start();
    let mut oversize = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    oversize.resize(100_000, 0);
    let wrong: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        &[b"PROXY UNKNOWN".as_slice(), &[b' '; 100]].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x01\x02\x03\x04",
        &oversize,
    ];
    for (count, bytes) in wrong.iter().enumerate() {
        let mut client = pen.connect_from(DOWNSTREAM);
        // pen may have closed the connection before everything is sent.
        let _ = std::io::Write::write_all(&mut client.stream, bytes);
        client.ending();
        assert_eq!(total(&pen, "proxy_errors"), count as u64 + 1, "{}", bytes.escape_ascii());
    }
    let mut cut_off = pen.connect_from(DOWNSTREAM);
    cut_off.send(&HEADER[..20]);
    cut_off.end();
    assert!(cut_off.rest().is_empty());
    assert_eq!(total(&pen, "proxy_errors"), 7);
    assert_eq!(server.accepted(), 0);
    assert!(pen.stderr().contains("PROXY header from 127.0.0.2: no PROXY header"), "{}", pen.stderr());
    assert!(pen.control("metrics").contains("\npen_proxy_errors_total 7\n"));
}

#[test]
fn who_only_looks_whether_pen_listens_is_no_error() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).start();
    for _ in 0..3 {
        let mut client = pen.connect_from(DOWNSTREAM);
        client.end();
        assert!(client.rest().is_empty());
    }
    assert_eq!((total(&pen, "proxy_errors"), server.accepted()), (0, 0));
}

#[test]
fn a_header_must_come_in_time() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).command("proxy_timeout 1").command("idle_timeout 100").start();
    let ((), passed) = timed(|| {
        let mut silent = pen.connect_from(DOWNSTREAM);
        let mut slow = pen.connect_from(DOWNSTREAM);
        slow.send("PROX");
        // Does not make the deadline another one.
        pen.control("idle_timeout 50");
        assert!(silent.rest().is_empty());
        slow.ending();
    });
    assert!(passed >= Duration::from_millis(500), "{passed:?}");
    assert_eq!(total(&pen, "proxy_errors"), 2);
    assert!(pen.stderr().contains("not complete within proxy_timeout"), "{}", pen.stderr());
    // The deadline is for the header only.
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(HEADER);
    assert_eq!(client.line(), "A");
    crate::common::wait::meanwhile(Duration::from_millis(1300));
    assert_eq!(client.exchange("still here"), "still here");
}

#[test]
fn the_json_log_says_why() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).options("-l pen.log").command("log_format json").start();
    assert_eq!(answer(&pen, b"garbage"), None);
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(HEADER);
    client.end();
    assert!(client.rest().is_empty());
    let log = || pen.text("pen.log");
    let text = eventually("two lines", log, |text| text.lines().count() == 2);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["reason"], &lines[0]["client"]), (&"proxy_header".into(), &DOWNSTREAM.into()));
    assert_eq!((&lines[1]["client"], &lines[1]["client_port"]), (&"192.0.2.7".into(), &40000.into()));
}

#[test]
fn a_chain_of_proxies_passes_both_addresses_on() {
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).command("server 0 proxy v1").start();
    for header in [HEADER.as_bytes(), &v2("192.0.2.7:40000", "198.51.100.1:443")] {
        let mut client = pen.connect_from(DOWNSTREAM);
        client.send([header, b"hello\n"].concat());
        assert_eq!(client.line(), HEADER.trim_end_matches('\n'));
        assert_eq!(client.line(), "hello");
    }
    let unknown = answer(&pen, b"PROXY UNKNOWN\r\n").unwrap();
    assert!(unknown.starts_with("PROXY TCP4 127.0.0.2 127.0.0.1 "), "{unknown}");
}

#[test]
fn extensions_are_passed_on_where_the_server_wants_them() {
    const AUTHORITY: &[u8] = b"\x02\0\x09a.example";
    const FILLING: &[u8] = b"\x04\0\x03abc";
    let server = Backend::serving(echo);
    let pen = trusting(Pen::before([&server])).command("server 0 proxy v2-ssl").start();
    let endpoints = Endpoints::new("192.0.2.7:40000".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
    let header = |extensions: &[&[u8]]| {
        let mut bytes = Vec::new();
        write_v2_with(Some(&endpoints), Transport::Stream, &extensions.concat(), &mut bytes);
        bytes
    };
    let sent = header(&[FILLING, AUTHORITY]);
    for pieces in [&[&sent[..]][..], &[&sent[..40], &sent[40..]]] {
        let mut client = pen.connect_from(DOWNSTREAM);
        client.stream.set_nodelay(true).unwrap();
        pieces.iter().for_each(|piece| client.send(piece));
        client.end();
        assert_eq!(client.rest(), header(&[AUTHORITY]), "a filling is for one header only");
    }
    pen.control("server 0 proxy v2");
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(&sent);
    client.end();
    assert_eq!(client.rest(), header(&[]));
}

#[test]
fn ipv6_networks_are_trusted_too() {
    let server = Backend::named("A");
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
    let pen = Pen::before([&server]).listen(to).command("proxy_accept ::/64").start();
    let mut client = Client::connect(to);
    client.send(v2("[2001:db8::7]:1", "[2001:db8::1]:2"));
    assert_eq!(client.line(), "A");
    assert!(pen.control("clients").contains(" addr 2001:db8::7 "));
    assert!(pen.control("no proxy_accept ::/64").is_empty());
    assert_eq!(Client::connect(to).line(), "A");
}

#[test]
fn a_unix_socket_may_lead_to_a_downstream() {
    let server = Backend::serving(echo);
    let start = Pen::before([&server]).command("proxy_accept unix").command("server 0 proxy v1");
    let path = start.path("listener");
    let pen = start.listen(path.display()).start();
    let said = converse(UnixStream::connect(&path).unwrap(), format!("{HEADER}hello").as_bytes());
    assert_eq!(said, format!("{HEADER}hello"));
    assert_eq!(pen.control("proxy_accept"), "unix\n");
    pen.control("no proxy_accept unix");
    let said = converse(UnixStream::connect(&path).unwrap(), b"hello");
    assert!(said.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{said}");
}

#[test]
fn peek_and_dummy_begin_behind_the_header() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).command("peek").start();
    let mut client = pen.connect_from(DOWNSTREAM);
    client.send(HEADER);
    eventually(
        "the client to be known",
        || status(&pen)["connections"][0]["client"].clone(),
        |known| *known == "192.0.2.7:40000",
    );
    assert_eq!(server.accepted(), 0);
    client.send("words\n");
    assert_eq!((client.line(), client.line()), ("A".into(), "words".into()));
    pen.control("dummy");
    assert_eq!(answer(&pen, format!("{HEADER}x").as_bytes()).as_deref(), Some("HTTP/1.1 200 OK\r"));
}

#[test]
fn the_list_is_kept_and_can_be_taken_back() {
    let server = Backend::named("A");
    let pen = trusting(Pen::before([&server])).command("proxy_accept 10.0.0.0/8").start();
    assert_eq!(pen.control("proxy_accept"), "127.0.0.2\n10.0.0.0/8\n");
    assert!(pen.control("proxy_accept 10.0.0.1/8").contains("want 10.0.0.0/8"));
    pen.control("write saved");
    let saved = pen.text("saved");
    assert!(
        saved.contains(
            "\nno proxy_accept\nproxy_accept 127.0.0.2\nproxy_accept 10.0.0.0/8\nproxy_timeout 5\n"
        )
    );
    pen.control("no proxy_accept 127.0.0.2");
    assert_eq!(pen.ask_from(DOWNSTREAM), "A");
    assert_eq!(pen.control("proxy_accept"), "10.0.0.0/8\n");
}
