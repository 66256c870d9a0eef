//! The certificate that pen shows to servers: `server N tls ... certificate FILE`.

use crate::PATIENT;
use crate::certificates::{Authority, Pair};
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::programs::all_installed;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::peers::tls_backend_asking;
use crate::programs::start;
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write;

/// A server that lets in whom the authority knows, says what it was shown as a number, and ends.
fn asking(authority: &Authority) -> Backend {
    tls_backend_asking(&authority.sign(&["web.test"]), authority, |mut stream| {
        if stream.conn.complete_io(&mut stream.sock).is_ok() {
            let shown = stream.conn.peer_certificates().map(|chain| chain[0].to_vec());
            let _ = writeln!(stream, "{}", number(&shown.unwrap_or_default()));
        }
    })
}

/// By which certificates are told apart.
fn number(der: &[u8]) -> u64 {
    der.iter().fold(0, |sum, byte| u64::wrapping_mul(sum, 31).wrapping_add((*byte).into()))
}

fn number_of(pair: &Pair) -> String {
    number(&pair.chain()[0]).to_string()
}

fn before(words: &str, authority: &Authority) -> Start {
    Pen::before([] as [&str; 0])
        .options(PATIENT)
        .file("ca.pem", &authority.pem)
        .config(&format!("ssl_server_ca_file ca.pem\nserver 0 address 127.0.0.1 {words}\n"))
}

#[test]
fn servers_that_ask_are_shown_the_certificate_of_their_line() {
    let authority = Authority::new("authority");
    let (one, other) = (authority.sign(&["pen.test"]), authority.sign(&["pen.test"]));
    let server = asking(&authority);
    let port = server.port();
    let pen = before(&format!("port {port} tls verify web.test certificate one.pem max 9"), &authority)
        .file("one.pem", &one.together())
        .file("other.pem", &other.together())
        .start();
    for _ in 0..2 {
        assert_eq!(pen.ask(), number_of(&one));
    }
    assert_eq!(pen.control("server 0 tls noverify certificate other.pem"), "");
    assert_eq!(pen.ask(), number_of(&other));
    let json = pen.control("servers json");
    assert!(json.contains(r#""tls":"noverify 127.0.0.1 certificate other.pem""#), "{json}");
    assert_eq!(pen.control("write saved.conf"), "");
    let saved = pen.text("saved.conf");
    assert!(
        saved.contains(&format!(" port {port} max 9 hard 0 tls noverify certificate other.pem\n")),
        "{saved}"
    );
    let refused = pen.control("server 0 tls verify web.test certificate missing.pem");
    assert_eq!(refused, "error: server: tls: certificate: missing.pem: no such file or directory\n");
    assert_eq!(pen.ask(), number_of(&other), "nothing has changed");
    assert_eq!(pen.control("server 0 tls verify web.test"), "");
    assert_eq!(pen.connect().try_line(), None, "without one it is not let in");
}

#[test]
fn hup_reads_it_again() {
    let authority = Authority::new("authority");
    let (old, new) = (authority.sign(&["pen.test"]), authority.sign(&["pen.test"]));
    let server = asking(&authority);
    let words = format!("port {} tls verify web.test certificate own.pem", server.port());
    let pen = before(&words, &authority).file("own.pem", &old.together()).start();
    assert_eq!(pen.ask(), number_of(&old));
    fs::write(pen.path("own.pem"), new.together()).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the new certificate", || pen.ask(), |shown| *shown == number_of(&new));
    fs::write(pen.path("own.pem"), &new.certificate).unwrap();
    pen.signal(Signal::SIGHUP);
    let reason = "server: tls: certificate: own.pem: want a key in PEM form";
    let told = |text: &String| text.contains(reason) && text.contains("going on with the old one");
    eventually("the reason", || pen.stderr(), told);
    assert_eq!(pen.ask(), number_of(&new));
    let ended = before(&words, &authority).run();
    assert!(ended.stderr.contains("server: tls: certificate: own.pem: no such file"), "{ended:?}");
}

#[test]
fn openssl_s_server_that_requires_one_is_served_from() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let authority = Authority::new("authority");
    let (dir, port) = (TempDir::new(), free_port());
    dir.file("web.pem", &authority.sign(&["web.test"]).together());
    dir.file("ca.pem", &authority.pem);
    dir.file("page", "for the known only\n");
    let accept = format!("127.0.0.1:{port}");
    let words =
        "-quiet -WWW -Verify 1 -verify_return_error -CAfile ca.pem -cert web.pem -key web.pem -accept";
    let words: Vec<&str> =
        ["s_server"].into_iter().chain(words.split(' ')).chain([accept.as_str()]).collect();
    let _openssl = start("openssl", &words, &dir, port);
    let own = authority.sign(&["pen.test"]);
    let answer = |certificate: &str| {
        let words = format!("port {port} tls verify web.test{certificate}");
        let pen = before(&words, &authority).file("own.pem", &own.together()).start();
        let mut client = pen.connect();
        client.send("GET /page HTTP/1.0\r\n\r\n");
        std::iter::from_fn(|| client.try_line()).last()
    };
    assert_eq!(answer(" certificate own.pem").as_deref(), Some("for the known only"));
    assert_eq!(answer(""), None);
}
