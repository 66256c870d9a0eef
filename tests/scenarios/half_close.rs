//! An end of file travels, and nothing that was sent before or after it is lost.

use crate::common::backend::{Backend, read_line};
use crate::common::client::{End, ending};
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::wait::received;
use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;

fn replies_after_eof_are_complete(bytes: usize) {
    let server = Backend::replying_after_eof(bytes);
    let pen = Pen::before([&server]).start();
    for round in 0..100 {
        let mut client = pen.connect();
        client.send("request");
        client.end();
        assert_eq!(pattern::read_to_end(&mut client.stream), bytes, "round {round}");
    }
}

#[test]
fn replies_of_10_bytes_after_eof_are_complete() {
    replies_after_eof_are_complete(10);
}

#[test]
fn replies_of_60_kb_after_eof_are_complete() {
    replies_after_eof_are_complete(60_000);
}

#[test]
fn replies_of_1_mb_after_eof_are_complete() {
    replies_after_eof_are_complete(1_000_000);
}

#[test]
fn a_server_that_ends_first_still_hears_the_client() {
    let (heard, hears) = mpsc::channel();
    let server = Backend::serving(move |mut stream| {
        stream.write_all(b"that is all\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(read_line(&stream)).unwrap();
    });
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    assert_eq!(client.rest(), b"that is all\n");
    client.send("one more thing\n");
    assert_eq!(received(&hears).as_deref(), Some("one more thing"));
}

#[test]
fn a_client_that_sends_and_leaves_is_heard_to_the_end() {
    const BYTES: usize = 1_000_000;
    let (heard, hears) = mpsc::channel();
    let server = Backend::serving(move |mut stream| {
        heard.send(pattern::read_to_end(&mut stream)).unwrap();
    });
    let pen = Pen::before([&server]).start();
    for _ in 0..20 {
        let mut client = pen.connect();
        pattern::write(&mut client.stream, BYTES).unwrap();
        drop(client);
        assert_eq!(received(&hears), BYTES);
    }
}

#[test]
fn an_empty_connection_ends_on_both_sides() {
    let (ended, ends) = mpsc::channel();
    let server = Backend::serving(move |mut stream| ended.send(ending(&mut stream)).unwrap());
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    client.end();
    assert_eq!(received(&ends), End::Eof);
    assert_eq!(client.ending(), End::Eof);
}
