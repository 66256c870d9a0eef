//! How connections end on both: `dummy`, which answers and ends, and `tcp_fastclose`.

use super::common::backend::{Backend, read_line};
use super::common::client::ending;
use super::common::pen::{Make, Pen};
use super::common::wait::eventually;
use super::{before, compare};
use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;

#[test]
fn dummy_answers_alike() {
    compare(|make| {
        let server = [Backend::named("A")];
        let pen = before(make, &server).command("dummy").start();
        // Access lists are not asked.
        for command in ["acl 1 deny 127.0.0.1", "client_acl 1"] {
            pen.control(command);
        }
        let answers = ["GET / HTTP/1.0\r\n\r\n", "x"].map(|text| (format!("{text:?}"), answer(&pen, text)));
        assert_eq!(server[0].accepted(), 0);
        pen.control("no dummy");
        pen.control("client_acl 0");
        answers.into_iter().chain([("no dummy".into(), pen.ask())]).collect()
    });
}

/// What comes back before the end, when the client does not end first.
fn answer(pen: &Pen, text: &str) -> String {
    let mut client = pen.connect();
    client.send(text);
    String::from_utf8(client.rest()).unwrap()
}

#[test]
fn ends_travel_alike() {
    compare(|make| {
        let modes = ["off", "up", "down", "both"].into_iter();
        let seen = modes.flat_map(|mode| {
            [("client", client_ends_first(make, mode)), ("server", server_ends_first(make, mode))]
                .map(|(first, heard)| (format!("tcp_fastclose {mode}, the {first} ends first"), heard))
        });
        seen.collect()
    });
}

/// What the client hears after its own end of file.
fn client_ends_first(make: Make, mode: &str) -> String {
    let server = [Backend::serving(|mut stream| {
        ending(&mut stream);
        // Under fastclose nobody takes it.
        let _ = stream.write_all(b"late\n");
    })];
    let pen = before(make, &server).command(format!("tcp_fastclose {mode}")).start();
    let mut client = pen.connect();
    client.send("early\n");
    eventually("the server", || server[0].accepted(), |count| *count == 1);
    client.end();
    format!("{:?}", client.try_line())
}

/// What the server hears after its own end of file.
fn server_ends_first(make: Make, mode: &str) -> String {
    let (heard, hears) = mpsc::channel();
    let server = [Backend::serving(move |mut stream| {
        stream.write_all(b"bye\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(format!("{:?}", read_line(&stream))).unwrap();
    })];
    let pen = before(make, &server).command(format!("tcp_fastclose {mode}")).start();
    let mut client = pen.connect();
    assert_eq!(client.rest(), b"bye\n");
    // Under fastclose the connection may be gone already.
    let _ = client.stream.write_all(b"late\n");
    hears.recv().unwrap()
}
