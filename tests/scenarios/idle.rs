//! `idle_timeout`: silence ends a connection, talk keeps it.

use crate::common::backend::Backend;
use crate::common::client::End;
use crate::common::pen::Pen;
use crate::common::wait::{eventually, meanwhile};
use std::time::Duration;

#[test]
fn silence_ends_a_connection_on_both_sides() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("idle_timeout 1").start();
    let mut client = pen.connect();
    assert_eq!(client.ending(), End::Eof);
    eventually("the server to be left", || server.open(), |open| *open == 0);
}

#[test]
fn more_seconds_than_connections_is_no_reason_to_forget_it() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-x 1").command("idle_timeout 2").start();
    let mut client = pen.connect();
    assert_eq!(client.ending(), End::Eof);
}

#[test]
fn talk_keeps_a_connection() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("idle_timeout 3").start();
    let (mut talking, mut silent) = (pen.connect(), pen.connect());
    assert_eq!([talking.line(), silent.line()], ["A", "A"]);
    silent.stream.set_nonblocking(true).unwrap();
    let look = || {
        assert_eq!(talking.exchange("still here"), "still here");
        meanwhile(Duration::from_millis(100));
        let mut byte = [0];
        std::io::Read::read(&mut silent.stream, &mut byte).ok()
    };
    eventually("the silent connection to be closed", look, |read| *read == Some(0));
    assert_eq!(talking.exchange("and still"), "and still");
}

#[test]
fn a_half_closed_connection_times_out_too() {
    let server = Backend::serving(|_held| {
        loop {
            std::thread::park();
        }
    });
    let pen = Pen::before([&server]).command("idle_timeout 1").start();
    let mut client = pen.connect();
    client.end();
    assert_eq!(client.ending(), End::Eof);
}

#[test]
fn zero_means_never() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.control("idle_timeout"), "Idle timeout: 0 seconds\n");
    let mut client = pen.connect();
    client.line();
    meanwhile(Duration::from_millis(1_500));
    assert_eq!(client.exchange("there?"), "there?");
}

#[test]
fn it_can_be_switched_on_for_connections_that_are_open() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    client.line();
    assert_eq!(pen.control("idle_timeout 1"), "Idle timeout: 1 seconds\n");
    assert_eq!(client.ending(), End::Eof);
}
