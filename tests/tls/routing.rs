//! Servers chosen by the name that clients ask for: `server N sni`, with and without decrypting.

use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use crate::peers::{Speaker, tls_backend};
use std::io::{Read, Write};

fn before(servers: &[(u16, &str)]) -> Start {
    let line = |(index, (port, words)): (usize, &(u16, &str))| {
        format!("server {index} address 127.0.0.1 port {port} {words}\n")
    };
    let lines: String = servers.iter().enumerate().map(line).collect();
    Pen::before([] as [&str; 0]).config(&lines)
}

/// Servers that pass for every name, and what they are called.
fn tls_servers<const N: usize>(authority: &Authority, names: [&str; N]) -> [Backend; N] {
    let pair = authority.sign(&["a.test", "b.test", "shop.b.test", "other.test"]);
    names.map(|name| tls_backend(name, &pair))
}

#[test]
fn clients_are_passed_through_to_the_server_of_their_name() {
    let authority = Authority::new("authority");
    let [a, b, rest] = tls_servers(&authority, ["A", "B", "R"]);
    let servers = [(a.port(), "sni a.test"), (b.port(), "sni *.b.test,b.test"), (rest.port(), "")];
    let pen = before(&servers).start();
    let reached = |name: &str| Speaker::trusting(&authority).connect(pen.address, name).line();
    for _ in 0..3 {
        // The client is remembered with each of them, and goes where its name leads all the same.
        for (name, server) in [("a.test", "A"), ("b.test", "B"), ("shop.b.test", "B"), ("other.test", "R")] {
            assert_eq!(reached(name), server, "{name}");
        }
    }
    assert_eq!(pen.control("server 1 sni any"), "");
    assert_eq!(pen.control("server 2 sni other.test"), "");
    assert_eq!([reached("b.test"), reached("other.test"), reached("a.test")], ["B", "R", "A"]);
}

#[test]
fn failover_stays_among_the_servers_of_the_name() {
    let authority = Authority::new("authority");
    let [a, second, other] = tls_servers(&authority, ["A", "S", "O"]);
    let names = "sni a.test";
    let pen = before(&[(a.port(), names), (second.port(), names), (other.port(), "")]).start();
    let reached = || {
        Speaker::trusting(&authority).try_connect(pen.address, "a.test").ok().map(|mut client| client.line())
    };
    let first = reached().expect("a server");
    let (mine, spare) = if first == "A" { (&a, "S") } else { (&second, "A") };
    mine.pause();
    assert_eq!(reached().as_deref(), Some(spare));
    if spare == "S" {
        second.pause()
    } else {
        a.pause()
    }
    assert_eq!(reached(), None, "rather nobody than the server of others");
    assert_eq!(other.accepted(), 0);
}

#[test]
fn who_asks_for_nothing_goes_to_the_servers_without_names() {
    let authority = Authority::new("authority");
    let [a] = tls_servers(&authority, ["A"]);
    let plain = Backend::named("P");
    let pen = before(&[(a.port(), "sni a.test"), (plain.port(), "")]).start();
    let mut client = pen.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((client.line(), client.line()), ("P".into(), "GET / HTTP/1.0\r".into()));
    let mut short = pen.connect();
    short.send([22]);
    short.end(); // may have been a ClientHello
    assert_eq!(short.rest(), b"P\n\x16");
    assert_eq!(pen.control("server 1 sni b.test"), "");
    let mut nobody = pen.connect();
    nobody.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(nobody.try_line(), None);
}

#[test]
fn hellos_in_pieces_are_put_together_and_slow_ones_cut_off() {
    let authority = Authority::new("authority");
    let [a, rest] = tls_servers(&authority, ["A", "R"]);
    let pen =
        before(&[(rest.port(), ""), (a.port(), "sni a.test")]).command("ssl_handshake_timeout 1").start();
    let mut silent = pen.connect();
    let mut half = pen.connect();
    half.send([22, 3, 1, 2, 0, 1]);
    assert_eq!((silent.try_line(), half.try_line()), (None, None));
    assert_eq!(rest.accepted() + a.accepted(), 0);
    let metrics = || pen.control("metrics");
    eventually("both to be counted", metrics, |text| text.contains("pen_tls_failures_total 2\n"));

    assert_eq!(pen.control("ssl_handshake_timeout 60"), "60\n");
    let relay = Slowly::before(&pen);
    let mut client = Speaker::trusting(&authority).connect(relay.address(), "a.test");
    assert_eq!((client.line(), client.exchange("hello")), ("A".into(), "hello".into()));
}

/// Passes on what a client sends byte by byte, the first kilobyte of it.
struct Slowly(Backend);

impl Slowly {
    fn before(pen: &Pen) -> Slowly {
        let to = pen.address;
        Slowly(Backend::serving(move |mut stream| {
            let mut up = Client::connect(to).stream;
            up.set_nodelay(true).unwrap();
            let (mut from_pen, mut to_client) = (up.try_clone().unwrap(), stream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_pen, &mut to_client));
            for _ in 0..1024 {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() || up.write_all(&byte).is_err() {
                    return;
                }
            }
            let _ = std::io::copy(&mut stream, &mut up);
        }))
    }

    fn address(&self) -> std::net::SocketAddr {
        self.0.address()
    }
}

#[test]
fn names_choose_also_where_pen_decrypts() {
    let authority = Authority::new("authority");
    let pair = authority.sign(&["a.test", "other.test"]);
    let (a, rest) = (Backend::named("A"), Backend::named("R"));
    let pen = before(&[(a.port(), "sni a.test"), (rest.port(), "")]).certificate(&pair).start();
    for (name, server) in [("a.test", "A"), ("other.test", "R"), ("a.test", "A")] {
        assert_eq!(Speaker::trusting(&authority).connect(pen.address, name).line(), server);
    }
}

#[test]
fn hash_weight_and_prio_choose_among_the_servers_of_the_name() {
    let authority = Authority::new("authority");
    let [a, b, c] = tls_servers(&authority, ["A", "B", "C"]);
    for mode in ["hash", "weight", "prio", "roundrobin"] {
        let servers = [(a.port(), ""), (b.port(), "sni a.test"), (c.port(), "sni a.test")];
        let pen = before(&servers).command(mode).start();
        for _ in 0..6 {
            let server = Speaker::trusting(&authority).connect(pen.address, "a.test").line();
            assert!(server == "B" || server == "C", "{mode}: {server}");
        }
    }
}

/// A request is read from inside TLS. The servers are those of Octopus's hashes, 47,567 and 46,548.
#[test]
fn what_is_asked_for_inside_tls_chooses_the_server() {
    let authority = Authority::new("authority");
    let servers = ["A", "B", "C"].map(Backend::named);
    let start = Pen::before(&servers).options("-r").command("policy uri_static");
    let pen = start.certificate(&authority.sign(&["web.test"])).start();
    let connect = || Speaker::trusting(&authority).connect(pen.address, "web.test");
    for (path, server) in [("/index.html", "C"), ("/", "A")] {
        let mut client = connect();
        for piece in ["GE", "T ", path, "?x HTTP/1.1\r\n"] {
            client.stream.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!((client.line().as_str(), client.line()), (server, format!("GET {path}?x HTTP/1.1\r")));
    }
    assert!(["A", "B", "C"].contains(&connect().line().as_str()), "one that is silent is served");
}
