//! Signals that end pen, at once or gracefully, and one that must not.

use crate::common::backend::Backend;
use crate::common::client::{Client, End};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::{SIGINT, SIGPIPE, SIGTERM, SIGUSR2, Signal};

/// A pen that waits for its connections as long as they last, and a client that it serves.
fn busy(server: &Backend) -> (Pen, Client) {
    let pen = Pen::before([server]).options("-p pen.pid").command("shutdown_timeout 0").start();
    let mut client = pen.connect();
    client.line();
    (pen, client)
}

fn ends_at_once(signal: Signal) {
    let server = Backend::named("A");
    let mut pen = Pen::before([&server]).options("-p pen.pid").start();
    let mut client = pen.connect();
    client.line();
    assert_eq!(pen.text("pen.pid"), pen.pid().to_string());
    pen.signal(signal);
    assert_eq!(pen.wait(), Some(0));
    assert!(!pen.path("pen.pid").exists());
    client.ending();
    eventually("the server to be left", || server.open(), |open| *open == 0);
}

#[test]
fn term_ends_at_once_with_status_zero() {
    ends_at_once(SIGTERM);
}

#[test]
fn int_ends_at_once_with_status_zero() {
    ends_at_once(SIGINT);
}

#[test]
fn usr2_lets_connections_finish() {
    let server = Backend::named("A");
    let (mut pen, mut client) = busy(&server);
    pen.drain();
    assert_eq!(client.exchange("still here"), "still here");
    client.end();
    assert_eq!(client.ending(), End::Eof);
    assert_eq!(pen.wait(), Some(0));
    assert!(!pen.path("pen.pid").exists());
}

#[test]
fn usr2_without_connections_ends_at_once() {
    let mut pen = Pen::before([] as [&str; 0]).command("shutdown_timeout 0").start();
    pen.signal(SIGUSR2);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn usr2_waits_no_longer_than_allowed() {
    let server = Backend::named("A");
    let mut pen = Pen::before([&server]).command("shutdown_timeout 1").start();
    let mut client = pen.connect();
    client.line();
    pen.signal(SIGUSR2);
    assert_eq!(pen.wait(), Some(0));
    client.ending();
}

#[test]
fn a_successor_can_listen_while_the_predecessor_finishes() {
    let server = Backend::named("A");
    let (mut old, mut client) = busy(&server);
    old.drain();
    let new = Pen::before([&server]).listen(old.address).start();
    assert_eq!(new.ask(), "A");
    assert_eq!(client.exchange("still here"), "still here");
    client.end();
    client.ending();
    assert_eq!(old.wait(), Some(0));
}

#[test]
fn term_ends_a_graceful_stop() {
    let server = Backend::named("A");
    let (mut pen, _client) = busy(&server);
    pen.drain();
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn a_graceful_stop_is_not_undone_by_another_address() {
    let server = Backend::named("A");
    let (mut pen, client) = busy(&server);
    pen.drain();
    let reply = pen.control(&format!("listen 127.0.0.1:{}", free_port()));
    assert!(reply.starts_with("error: "), "{reply}");
    drop(client);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn signals_that_were_blocked_for_whoever_started_pen_are_heard() {
    let server = Backend::named("A");
    let blocked = "env --block-signal=TERM,HUP,INT,USR1,USR2";
    let mut pen = Pen::before([&server]).options("-l pen.log").through(blocked).start();
    std::fs::rename(pen.path("pen.log"), pen.path("pen.log.1")).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("a new log", || pen.path("pen.log").exists(), |exists| *exists);
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn pipe_is_ignored() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    pen.signal(SIGPIPE);
    assert_eq!(pen.ask(), "A");
}

#[test]
fn a_storm_of_signals_does_no_harm() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-l pen.log -w stats.html").start();
    for _ in 0..100 {
        pen.signal(Signal::SIGHUP);
        pen.signal(Signal::SIGUSR1);
    }
    assert_eq!(pen.asks(3), "AAA");
    eventually("the page", || pen.text("stats.html"), |page| page.contains("</html>"));
}
