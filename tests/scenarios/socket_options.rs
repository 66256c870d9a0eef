//! What is set on sockets: `tcp_nodelay`, `keepalive` and its intervals.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::process::has_keepalive_timer;
use crate::common::sockets::{Options, options_of_the_connection};
use crate::common::wait::eventually;
use std::fs;

/// TCP_NODELAY on the side of the client and on that of the server, in the middle of a conversation.
fn nodelay(pen: &Pen) -> Option<[bool; 2]> {
    let mut client = pen.connect();
    client.line();
    // Towards a server it is set before the second write, the first that could be held back.
    for word in ["one", "two", "three"] {
        assert_eq!(client.exchange(word), word);
    }
    options_of_the_connection(pen).map(|sides| sides.map(|options| options.nodelay))
}

#[test]
fn small_pieces_are_not_held_back_unless_that_is_wanted() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let Some(by_default) = nodelay(&pen) else { return };
    assert_eq!(by_default, [true, true]);
    assert_eq!(pen.control("no tcp_nodelay"), "");
    assert_eq!(nodelay(&pen), Some([false, false]), "switched off in a running pen");
    assert_eq!(pen.control("tcp_nodelay"), "");
    assert_eq!(nodelay(&pen), Some([true, true]), "and on again");
    let pen = Pen::before([&server]).command("no tcp_nodelay").start();
    assert_eq!(nodelay(&pen), Some([false, false]), "switched off at start");
}

fn await_idler(pen: &Pen) {
    eventually("a ready connection", || pen.control("idlers"), |have| have == "Idlers: 1/1\n");
}

#[test]
fn on_a_connection_that_was_ready_they_are_not_held_back_either() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("threads 1").command("idlers 1").start();
    await_idler(&pen);
    let Some(sides) = nodelay(&pen) else { return };
    assert_eq!(sides, [true, true]);
}

#[test]
fn keepalive_watches_connections_to_servers() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("keepalive").start();
    let mut watched = pen.connect();
    watched.line();
    pen.control("no keepalive");
    let mut unwatched = pen.connect();
    unwatched.line();
    let timers: Vec<bool> = server.peers().iter().map(|peer| has_keepalive_timer(peer.port())).collect();
    assert_eq!(timers, [true, false]);
}

/// The options towards the server of a new connection.
fn towards_the_server(pen: &Pen) -> Option<Options> {
    let mut client = pen.connect();
    client.line();
    options_of_the_connection(pen).map(|[_, server]| server)
}

/// What the system does when nobody says otherwise: seconds of silence, seconds between probes, probes.
fn of_the_system() -> [u32; 3] {
    ["time", "intvl", "probes"].map(|name| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/tcp_keepalive_{name}")).unwrap();
        text.trim().parse().unwrap()
    })
}

fn values(options: &Options) -> [u32; 3] {
    [options.idle_seconds, options.interval_seconds, options.probes]
}

#[test]
fn how_keepalive_probes_can_be_said() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("keepalive_idle 61").start();
    let Some(without) = towards_the_server(&pen) else { return };
    assert!(!without.keepalive && values(&without) == of_the_system(), "only with keepalive: {without:?}");
    let [idle, interval, probes] = of_the_system();
    for (command, expected) in [
        ("keepalive", [61, interval, probes]),
        ("keepalive_interval 17", [61, 17, probes]),
        ("keepalive_probes 3", [61, 17, 3]),
        ("keepalive_idle 0", [idle, 17, 3]),
        ("keepalive_idle 32767", [32_767, 17, 3]),
        ("keepalive_probes 127", [32_767, 17, 127]),
    ] {
        pen.control(command);
        let options = towards_the_server(&pen).unwrap();
        assert!(options.keepalive, "{command}");
        assert_eq!(values(&options), expected, "{command}");
    }
    for wrong in
        ["keepalive_idle 32768", "keepalive_interval x", "keepalive_probes 128", "keepalive_probes -1"]
    {
        assert!(pen.control(wrong).starts_with("error: keepalive_"), "{wrong}");
    }
    assert_eq!(values(&towards_the_server(&pen).unwrap()), [32_767, 17, 127]);
}

#[test]
fn connections_kept_ready_are_renewed_when_the_probing_changes() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).command("threads 1").command("keepalive").command("idlers 1");
    let pen = start.start();
    await_idler(&pen);
    pen.control("keepalive_idle 71");
    eventually("another one", || server.accepted(), |count| *count >= 2);
    await_idler(&pen);
    if let Some(options) = towards_the_server(&pen) {
        assert_eq!(options.idle_seconds, 71);
    }
}
