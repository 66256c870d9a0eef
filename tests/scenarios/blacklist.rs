//! Servers out of service: how long, who takes over, and how an operator decides.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::eventually;

fn two() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

#[test]
fn a_blacklisted_server_gets_nobody_until_released() {
    let servers = two();
    let pen = Pen::before(&servers).options("-r").start();
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.asks(4), "BBBB");
    pen.control("server 0 blacklist 0");
    assert_eq!(pen.asks(4), "ABAB");
}

#[test]
fn blacklisting_ends_by_itself() {
    let servers = two();
    let pen = Pen::before(&servers).options("-r").start();
    pen.control("server 0 blacklist 4");
    assert_eq!(pen.asks(2), "BB");
    eventually("server 0 to come back", || pen.ask(), |name| name == "A");
}

#[test]
fn changing_the_blacklist_time_changes_running_ones() {
    let servers = two();
    let pen = Pen::before(&servers).options("-r -b 3600").start();
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.asks(2), "BB");
    assert_eq!(pen.control("blacklist 1"), "1\n");
    eventually("server 0 to come back", || pen.ask(), |name| name == "A");
}

#[test]
fn with_everything_blacklisted_clients_are_closed() {
    let servers = two();
    let pen = Pen::before(&servers).options("-r").start();
    pen.control("server 0 blacklist 3600");
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(3), "---");
}

#[test]
fn the_emergency_server_works_only_while_no_other_does() {
    let emergency = Backend::named("E");
    let servers = two();
    let pen = Pen::before(&servers).options("-r -e").word(&emergency).start();
    assert_eq!(pen.asks(2), "BA");
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.asks(2), "BB");
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(2), "EE");
    pen.control("server 0 blacklist 0");
    assert_eq!(pen.asks(2), "AA");
    pen.control("server 1 blacklist 0");
    assert_eq!(pen.asks(2), "BA");
}

#[test]
fn the_emergency_server_is_not_remembered() {
    let emergency = Backend::named("E");
    let servers = two();
    let pen = Pen::before(&servers).options("-e").word(&emergency).start();
    pen.control("server 0 blacklist 3600");
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(2), "EE");
    pen.control("server 0 blacklist 0");
    assert_eq!(pen.asks(2), "AA");
}

#[test]
fn a_failed_connect_blacklists_for_the_blacklist_time() {
    let [dead, alive] = [Backend::refusing("A"), Backend::named("B")];
    let pen = Pen::before([&dead, &alive]).options("-r -b 3600").start();
    assert_eq!(pen.asks(2), "BB");
    dead.resume();
    assert_eq!(pen.asks(4), "BBBB", "still blacklisted");
    pen.control("server 0 blacklist 0");
    assert_eq!(pen.asks(2), "AB");
}

#[test]
fn blacklist_zero_tries_again_at_once() {
    let [dead, alive] = [Backend::refusing("A"), Backend::named("B")];
    let pen = Pen::before([&dead, &alive]).options("-r -b 0").start();
    assert_eq!(pen.asks(4), "BBBB");
    dead.resume();
    assert_eq!(pen.asks(4).matches('A').count(), 2);
}

#[test]
fn a_reset_in_mid_stream_does_not_blacklist() {
    let rude = Backend::serving(|stream| {
        crate::common::backend::read_line(&stream);
        crate::common::client::reset(stream);
    });
    let pen = Pen::before([&rude]).options("-b 3600").start();
    for _ in 0..3 {
        let mut client = pen.connect();
        client.send("now\n");
        client.ending();
    }
    assert_eq!(rude.accepted(), 3);
}
