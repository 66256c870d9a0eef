//! `dummy`, `peek`, `source`: what happens instead of, or before, an ordinary connect.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::meanwhile;
use crate::common::{root, skip};
use std::time::Duration;

const DUMMY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nContent-Type: text/html\r\n\r\nUlric was here.";

#[test]
fn dummy_answers_by_itself() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("dummy").start();
    for _ in 0..3 {
        let mut client = pen.connect();
        client.send("anything");
        assert_eq!(String::from_utf8(client.rest()).unwrap(), DUMMY);
    }
    assert_eq!(server.accepted(), 0);
    pen.control("no dummy");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn dummy_needs_no_servers() {
    let pen = Pen::before([] as [&str; 0]).command("dummy").start();
    let mut client = pen.connect();
    client.send("anything");
    assert_eq!(String::from_utf8(client.rest()).unwrap(), DUMMY);
}

#[test]
fn peek_connects_when_the_client_has_spoken() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("peek").start();
    let mut client = pen.connect();
    meanwhile(Duration::from_millis(200));
    assert_eq!(server.accepted(), 0);
    client.send("first words\n");
    assert_eq!(client.line(), "A");
    assert_eq!(client.line(), "first words");
    assert_eq!(client.exchange("and more"), "and more");
}

#[test]
fn peek_lets_a_client_leave_without_a_word() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("peek").start();
    drop(pen.connect());
    let mut client = pen.connect();
    client.send("words\n");
    assert_eq!(client.line(), "A");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn source_is_the_address_that_servers_see() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("source 127.0.0.9").start();
    assert_eq!(pen.ask(), "A");
    assert_eq!(server.peers()[0].ip().to_string(), "127.0.0.9");
    assert_eq!(pen.control("source 127.0.0.10"), "");
    assert_eq!(pen.ask(), "A");
    assert_eq!(server.peers()[1].ip().to_string(), "127.0.0.10");
}

#[test]
fn source_can_be_taken_back() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("source 127.0.0.9").start();
    assert_eq!(pen.control("no source"), "");
    assert_eq!(pen.ask(), "A");
    assert_eq!(server.peers()[0].ip().to_string(), "127.0.0.1");
}

#[test]
fn a_source_that_cannot_be_bound_blames_no_server() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-b 3600").start();
    // 192.0.2.0/24 is reserved for documentation: no machine has such an address.
    pen.control("source 192.0.2.1");
    assert_eq!(pen.ask(), "-");
    pen.control("no source");
    assert_eq!(pen.ask(), "A", "the server was not blacklisted");
}

#[test]
fn transparent_shows_servers_the_address_of_the_client() {
    if !root() {
        return skip("only root may use addresses of others");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("transparent").start();
    assert_eq!(pen.ask_from("127.0.0.44"), "A");
    assert_eq!(server.peers()[0].ip().to_string(), "127.0.0.44");
    pen.control("no transparent");
    assert_eq!(pen.ask_from("127.0.0.44"), "A");
    assert_eq!(server.peers()[1].ip().to_string(), "127.0.0.1");
}
