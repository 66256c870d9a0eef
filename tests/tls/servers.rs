//! TLS towards servers: `server N tls`.

use crate::PATIENT;
use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, Unresponsive};
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::process::connected;
use crate::common::wait::eventually;
use crate::peers::{Speaker, tls_backend, tls_backend_serving};
use std::io::{Read, Write};

/// A configuration with these servers, each with its words.
fn before(servers: &[(u16, &str)], authority: &Authority) -> Start {
    let line = |(index, (port, words)): (usize, &(u16, &str))| {
        format!("server {index} address 127.0.0.1 port {port} {words}\n")
    };
    let lines: String = servers.iter().enumerate().map(line).collect();
    Pen::before([] as [&str; 0])
        .options(PATIENT)
        .file("ca.pem", &authority.pem)
        .config(&format!("roundrobin\nssl_server_ca_file ca.pem\n{lines}"))
}

#[test]
fn a_plain_client_reaches_a_server_that_speaks_tls() {
    let authority = Authority::new("authority");
    let server = tls_backend("A", &authority.sign(&["web.test", "127.0.0.1"]));
    for words in ["tls verify web.test", "tls verify", "tls noverify", "tls noverify other.test"] {
        let pen = before(&[(server.port(), words)], &authority).start();
        let mut client = pen.connect();
        assert_eq!((client.line(), client.exchange("hello")), ("A".into(), "hello".into()), "{words}");
        client.end();
        assert_eq!(client.rest(), b"", "{words}");
    }
}

#[test]
fn a_server_with_a_wrong_certificate_is_passed_over_and_nothing_is_lost() {
    let authority = Authority::new("authority");
    let strangers = Authority::new("strangers");
    let wrong_name = tls_backend("N", &authority.sign(&["other.test"]));
    let wrong_authority = tls_backend("S", &strangers.sign(&["web.test"]));
    let no_tls = Backend::named("P");
    let good = tls_backend("A", &authority.sign(&["web.test"]));
    let words = "tls verify web.test";
    let servers =
        [good.port(), wrong_name.port(), wrong_authority.port(), no_tls.port()].map(|port| (port, words));
    let pen = before(&servers, &authority).start();
    for _ in 0..4 {
        let mut client = pen.connect();
        client.send("said at once\n");
        assert_eq!((client.line(), client.line()), ("A".into(), "said at once".into()));
    }
    let told = pen.stderr();
    for (number, reason) in [
        (1, "the peer's certificate is not for \"web.test\" but for "),
        (2, "the peer's certificate has no authority that we know"),
        (3, "what the peer sends is no TLS"),
    ] {
        let reason = format!("TLS with server {number} (127.0.0.1:{}) failed: {reason}", servers[number].0);
        assert!(told.contains(&reason), "{reason}: {told}");
    }
    assert!(pen.control("servers json").contains("\"failures_total\":1"));
}

#[test]
fn a_server_that_does_not_answer_the_handshake_is_left_after_the_timeout() {
    let authority = Authority::new("authority");
    let silent = Backend::serving(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let full = Unresponsive::new();
    let good = tls_backend("A", &authority.sign(&["web.test"]));
    let servers = [good.port(), silent.port(), full.port()].map(|port| (port, "tls verify web.test"));
    let pen = before(&servers, &authority).options("-t 2").start();
    let mut client = pen.connect();
    client.send("patience\n");
    assert_eq!((client.line(), client.line()), ("A".into(), "patience".into()));
    assert_eq!(pen.control("servers json").matches("\"failures_total\":1").count(), 2);
}

#[test]
fn tls_on_both_sides_carries_everything_and_the_ends() {
    const REPLY_BYTES: usize = 4 << 20;
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let server = tls_backend_serving(&pair, |mut stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("an end by close_notify");
        pattern::write(&mut stream, heard.len()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let _ = stream.sock.read(&mut [0]); // until the peer has it all
    });
    let pen = before(&[(server.port(), "tls verify web.test")], &authority).certificate(&pair).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    client.send(vec![b'x'; REPLY_BYTES]);
    client.end();
    assert_eq!(pattern::read_to_end(&mut client.stream), REPLY_BYTES);
}

#[test]
fn a_server_that_is_cut_off_is_no_end_for_a_client_with_tls() {
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let server = tls_backend_serving(&pair, |mut stream| {
        stream.write_all(b"half of it").unwrap();
        stream.flush().unwrap();
        // The connection ends without close_notify.
    });
    let pen = before(&[(server.port(), "tls verify web.test")], &authority).certificate(&pair).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    let mut heard = Vec::new();
    let error = client.stream.read_to_end(&mut heard).unwrap_err();
    assert_eq!(heard, b"half of it", "{error}");
}

#[test]
fn the_protocol_that_the_client_agreed_on_is_asked_of_the_server() {
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let server = tls_backend_serving(&pair, |mut stream| {
        let _ = stream.conn.complete_io(&mut stream.sock);
        let protocol = stream.conn.alpn_protocol().unwrap_or(b"none").to_vec();
        let _ = stream.write_all(&[&protocol[..], b"\n"].concat());
    });
    let pen = before(&[(server.port(), "tls noverify")], &authority)
        .certificate(&pair)
        .command("ssl_alpn h2,http/1.1")
        .start();
    for (offered, expected) in [(&["h2"][..], "h2"), (&["http/1.1"], "http/1.1"), (&[], "none")] {
        let mut client = Speaker::trusting(&authority).offering(offered).connect(pen.address, "web.test");
        assert_eq!(client.line(), expected);
    }
}

#[test]
fn tls_is_switched_on_and_off_while_pen_runs() {
    let authority = Authority::new("authority");
    let (plain, secure) = (Backend::named("P"), tls_backend("S", &authority.sign(&["web.test"])));
    let pen = before(&[(plain.port(), "")], &authority).start();
    let mut open = pen.connect();
    assert_eq!(open.line(), "P");
    let port = secure.port();
    assert_eq!(pen.control(&format!("server 0 port {port} tls verify web.test")), "");
    assert_eq!(pen.ask(), "S");
    assert_eq!(open.exchange("still here"), "still here");
    assert!(pen.control("write saved.conf").is_empty());
    assert!(pen.text("saved.conf").contains(" tls verify web.test\n"), "{}", pen.text("saved.conf"));
    assert_eq!(pen.control(&format!("server 0 port {} tls off", plain.port())), "");
    assert_eq!(pen.ask(), "P");
    let refused = pen.control("server 0 address /run/none tls verify");
    assert!(refused.starts_with("error: server 0: tls: want a name after verify"), "{refused}");
}

#[test]
fn a_client_that_leaves_in_the_handshake_with_the_server_is_forgotten() {
    let authority = Authority::new("authority");
    let silent = Backend::serving(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let pen = before(&[(silent.port(), "tls noverify")], &authority).options("-t 1 -s").start();
    let client = pen.connect();
    eventually("the handshake to begin", || silent.open(), |open| *open == 1);
    let port = client.local().port();
    drop(client);
    eventually("both to be gone", || (silent.open(), connected(port)), |gone| *gone == (0, false));
}

/// The states of the servers, and the reason of the first that is down.
fn states(pen: &Pen) -> (Vec<String>, String) {
    let servers: Vec<serde_json::Value> = serde_json::from_str(&pen.control("servers json")).unwrap();
    let state = |server: &serde_json::Value| server["state"].as_str().unwrap().to_owned();
    let reason = servers.iter().find_map(|server| server["reason"].as_str()).unwrap_or_default();
    (servers.iter().map(state).collect(), reason.to_owned())
}

#[test]
fn checks_speak_tls_where_clients_do_and_where_they_are_told_to() {
    let authority = Authority::new("authority");
    let strangers = Authority::new("strangers");
    let good = tls_backend("A", &authority.sign(&["web.test"]));
    let wrong = tls_backend("S", &strangers.sign(&["web.test"]));
    let plain = Backend::named("P");
    let words = "tls verify web.test";
    let servers = [(good.port(), words), (wrong.port(), words), (good.port(), ""), (plain.port(), "")];
    let pen = before(&servers, &authority).command("check_interval 0.05").command("check tls").start();
    let wanted = ["up", "down", "up", "down"].map(String::from);
    let (_, reason) = eventually("every verdict", || states(&pen), |(states, _)| *states == wanted);
    assert!(reason.starts_with("TLS: the peer's certificate has no authority"), "{reason}");
    pen.control("check connect");
    let wanted = ["up", "down", "up", "up"].map(String::from);
    eventually("a handshake only with those that have TLS", || states(&pen), |(states, _)| *states == wanted);
}
