//! `idlers`: connections that are ready before their clients come, go to the right clients, and are in nobody's way.

use crate::common::backend::{Backend, UnixBackend, echo, read_line};
use crate::common::client::{Client, names};
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::process::cpu_percent;
use crate::common::wait::{eventually, meanwhile};
use crate::common::{root, skip};
use nix::sys::signal::SIGUSR2;
use serde_json::Value;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

pub fn with_idlers(start: Start, count: usize) -> Start {
    start.command(format!("idlers {count}"))
}

/// With one worker, so that every client comes to the worker that has the idlers.
pub fn alone(start: Start, count: usize) -> Start {
    with_idlers(start.command("threads 1"), count)
}

pub fn await_idlers(pen: &Pen, have: usize, wanted: usize) {
    let reply = format!("Idlers: {have}/{wanted}\n");
    eventually("the idlers to be ready", || pen.control("idlers"), |got| *got == reply);
}

pub fn status(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("status json")).expect("JSON")
}

pub fn total(pen: &Pen, name: &str) -> u64 {
    status(pen)["totals"][name].as_u64().expect("a number")
}

/// Answers a line with the port it came from, so that a client learns which connection it was given.
fn telling_ports() -> Backend {
    Backend::serving(|mut stream| {
        let peer = stream.peer_addr().unwrap().port();
        while read_line(&stream).is_some() {
            // The client may be gone.
            let _ = stream.write_all(format!("{peer}\n").as_bytes());
        }
    })
}

#[test]
fn a_client_is_given_a_connection_that_was_there_before_it() {
    let server = telling_ports();
    let pen = alone(Pen::before([&server]), 2).start();
    for served in 0..4 {
        let accepted = || server.accepted();
        eventually("two ready ones beside those used", accepted, |accepted| *accepted == served + 2);
        await_idlers(&pen, 2, 2);
        let there: Vec<String> = server.peers().iter().map(|peer| peer.port().to_string()).collect();
        let given = pen.connect().exchange("which?");
        assert!(there.contains(&given), "{given} is not one of {there:?}");
    }
    assert_eq!(total(&pen, "idlers_used"), 4);
}

#[test]
fn what_the_server_says_first_is_kept_for_the_client() {
    let server = Backend::named("A");
    let pen = with_idlers(Pen::before([&server]), 4).command("threads 2").start();
    await_idlers(&pen, 4, 4);
    for round in 0..50 {
        let mut client = pen.connect();
        assert_eq!(client.line(), "A");
        assert_eq!(client.exchange("hello"), "hello", "round {round}");
        client.end();
        assert!(client.rest().is_empty());
    }
    assert!(total(&pen, "idlers_used") >= 25, "most were given one: {}", status(&pen)["totals"]);
}

#[test]
fn a_client_that_only_listens_gets_all_of_a_long_greeting() {
    const BYTES: usize = 1_000_000;
    let server = Backend::serving(|mut stream| {
        // Idlers are closed in the end, in the middle of it.
        let _ = pattern::write(&mut stream, BYTES);
    });
    let pen = alone(Pen::before([&server]), 2).start();
    await_idlers(&pen, 2, 2);
    for _ in 0..4 {
        assert_eq!(pattern::read_to_end(&mut pen.connect().stream), BYTES);
    }
}

#[test]
fn which_server_a_client_gets_does_not_change() {
    let servers = ["A", "B", "C"].map(Backend::named);
    let sources = ["127.0.0.3", "127.0.0.4", "127.0.0.9", "127.0.0.4", "127.0.0.3", "127.0.0.200"];
    for options in ["", "-r", "-h", "-h -r", "-W", "-O prio"] {
        let plain = Pen::before(&servers).options(options).start();
        let ready = alone(Pen::before(&servers).options(options), 6).start();
        await_idlers(&ready, 6, 6);
        let names = |pen: &Pen| -> String {
            let mut held = Vec::new();
            let ask = |source: &&str| {
                held.push(pen.connect_from(source));
                held.last_mut().unwrap().line()
            };
            sources.iter().map(ask).collect()
        };
        if options == "-h -r" {
            // The clients' ports decide, which are new ones every time.
            assert!(!names(&ready).contains('-'));
        } else {
            assert_eq!(names(&ready), names(&plain), "{options}");
        }
        assert!(total(&ready, "idlers_used") >= 3, "{options}");
    }
}

#[test]
fn they_are_spread_evenly() {
    let servers = ["A", "B", "C"].map(Backend::named);
    let pen = with_idlers(Pen::before(&servers), 12).command("threads 4").start();
    await_idlers(&pen, 12, 12);
    eventually("servers to agree", || servers.each_ref().map(Backend::open), |open| *open == [4, 4, 4]);
    let status = status(&pen);
    for server in status["servers"].as_array().unwrap() {
        assert_eq!(server["idlers"], 4);
        assert_eq!(server["connections"], 0, "they are not connections of clients");
    }
    assert_eq!((&status["idlers"], &status["idlers_wanted"]), (&12.into(), &12.into()));
    assert_eq!(status["connections_used"], 0);
    assert!(pen.control("metrics").contains("\npen_idlers 12\n"));
    assert_eq!(pen.control("connections"), "");
}

#[test]
fn their_number_can_be_changed_at_any_time() {
    let servers = ["A", "B"].map(Backend::named);
    let pen = Pen::before(&servers).command("threads 2").start();
    assert_eq!(pen.control("idlers"), "Idlers: 0/0\n");
    let open = || servers.iter().map(Backend::open).sum::<usize>();
    for wanted in [6, 2, 9, 1, 0, 4] {
        let reply = pen.control(&format!("idlers {wanted}"));
        assert!(reply.starts_with("Idlers: ") && reply.ends_with(&format!("/{wanted}\n")), "{reply}");
        await_idlers(&pen, wanted, wanted);
        eventually("servers to agree", open, |open| *open == wanted);
    }
    assert!(pen.control("idlers -1").starts_with("error: "));
    assert!(pen.control("write saved").is_empty() && pen.text("saved").contains("\nidlers 4\n"));
}

#[test]
fn servers_with_a_maximum_have_none() {
    let [limited, free] = ["A", "B"].map(Backend::named);
    let pen = alone(Pen::before([format!("{limited}:1"), free.to_string()]), 3).options("-r").start();
    await_idlers(&pen, 3, 3);
    eventually("the other to have them", || (limited.open(), free.open()), |open| *open == (0, 3));
    let mut held = [pen.connect(), pen.connect()];
    let mut names = held.each_mut().map(Client::line);
    names.sort();
    assert_eq!(names, ["A", "B"], "the place is for a client");
}

#[test]
fn blacklisted_servers_and_those_with_another_address_lose_theirs() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let pen = with_idlers(Pen::before([&a, &b]), 6).options("-r").command("threads 2").start();
    await_idlers(&pen, 6, 6);
    pen.control("server 0 blacklist 3600");
    eventually("all to be at B", || (a.open(), b.open()), |open| *open == (0, 6));
    pen.control("server 0 blacklist 0");
    eventually("both to have some", || (a.open(), b.open()), |open| *open == (3, 3));
    pen.control(&format!("server 0 port {}", c.port()));
    eventually("the new one to have them", || (a.open(), b.open(), c.open()), |open| *open == (0, 3, 3));
    let names = pen.asks(10);
    assert!(!names.contains('A') && !names.contains('-') && names.contains('C'), "{names}");
}

#[test]
fn they_follow_the_source_address_and_end_with_transparency() {
    let server = Backend::named("A");
    let pen = alone(Pen::before([&server]), 2).start();
    await_idlers(&pen, 2, 2);
    pen.control("source 127.0.0.77");
    let late = || server.peers().iter().skip(2).map(|peer| peer.ip().to_string()).collect::<Vec<_>>();
    eventually("two from the new address", late, |late| *late == ["127.0.0.77", "127.0.0.77"]);
    eventually("the old to be closed", || server.open(), |open| *open == 2);
    if !root() {
        return skip("only root may use addresses of others");
    }
    pen.control("transparent");
    await_idlers(&pen, 2, 2); // the source address stands before it
    pen.control("no source");
    await_idlers(&pen, 0, 2);
    eventually("all to be closed", || server.open(), |open| *open == 0);
    pen.control("no transparent");
    await_idlers(&pen, 2, 2);
}

#[test]
fn at_conn_max_they_give_way_to_clients() {
    let [a, b] = ["A", "B"].map(Backend::named);
    // Clients stay with A, so that the idlers at B are of no use to them.
    let pen = alone(Pen::before([&a, &b]), 4).options("-x 4 -O prio").start();
    await_idlers(&pen, 4, 4);
    let mut held: Vec<Client> = (0..4).map(|_| pen.connect()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    eventually("the idlers to be gone", || (a.open(), b.open()), |open| *open == (4, 0));
    assert_eq!(pen.control("idlers"), "Idlers: 0/4\n");
    let mut fifth = pen.connect();
    meanwhile(Duration::from_millis(100));
    assert_eq!(a.open(), 4);
    held.truncate(2);
    assert_eq!(fifth.line(), "A");
    await_idlers(&pen, 1, 4);
}

#[test]
fn many_are_opened_and_closed_as_well_as_few() {
    let servers = ["A", "B"].map(Backend::named);
    let pen = with_idlers(Pen::before(&servers), 200).command("threads 2").start();
    await_idlers(&pen, 200, 200);
    assert_eq!(pen.asks(5).len(), 5);
    pen.control("idlers 0");
    await_idlers(&pen, 0, 0);
    eventually("all to be closed", || servers.iter().map(Backend::open).sum::<usize>(), |open| *open == 0);
}

#[test]
fn more_than_fit_are_as_many_as_fit() {
    let server = Backend::named("A");
    let pen = with_idlers(Pen::before([&server]), 50).options("-x 7").command("threads 2").start();
    await_idlers(&pen, 7, 50);
    eventually("the server to have them", || server.open(), |open| *open == 7);
    assert_eq!(pen.asks(10), "A".repeat(10));
}

#[test]
fn out_of_descriptors_they_give_way_to_clients() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let start = with_idlers(Pen::before([&a, &b]), 10).options("-O prio").command("threads 2");
    let pen = start.start();
    await_idlers(&pen, 10, 10);
    pen.leave_descriptors(1);
    let held: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    eventually("clients in the place of idlers", || (a.open(), b.open()), |(a, b)| *a >= 4 && *b == 0);
    assert!(cpu_percent(pen.pid()) < 20, "pen spins");
    assert_eq!(pen.control("blacklist"), "30\n", "the operator gets in");
    assert_eq!(names(held), "A".repeat(50));
}

#[test]
fn they_end_with_a_graceful_stop_and_with_a_plain_one() {
    let server = Backend::named("A");
    let mut pen = alone(Pen::before([&server]), 3).start();
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    await_idlers(&pen, 3, 3);
    pen.signal(SIGUSR2);
    eventually("only the client's connection", || server.open(), |open| *open == 1);
    assert_eq!(client.exchange("still"), "still");
    drop(client);
    assert_eq!(pen.wait(), Some(0));
    let mut pen = alone(Pen::before([&server]), 3).options("-X").start();
    await_idlers(&pen, 3, 3);
    pen.control("exit");
    assert_eq!(pen.wait(), Some(0));
    eventually("nothing", || server.open(), |open| *open == 0);
}

#[test]
fn they_also_lead_to_unix_sockets() {
    let server = UnixBackend::echo();
    let pen = alone(Pen::before([server.path().display()]), 2).start();
    await_idlers(&pen, 2, 2);
    for _ in 0..5 {
        assert_eq!(pen.connect().exchange("hello"), "hello");
    }
    assert!(total(&pen, "idlers_used") >= 3);
}

#[test]
fn without_idlers_nothing_is_opened() {
    let server = Backend::named("A");
    let pen = with_idlers(Pen::before([&server]), 0).start();
    assert_eq!(pen.asks(3), "AAA");
    assert_eq!(server.accepted(), 3);
    assert!(cpu_percent(pen.pid()) <= 2);
}

/// Twenty at a time, each with a stream of its own length, some of them empty.
#[test]
fn five_hundred_clients_are_served_to_the_byte() {
    const CLIENTS: usize = 500;
    let servers = [Backend::serving(echo), Backend::serving(echo)];
    let pen = with_idlers(Pen::before(&servers), 8).options("-r").command("threads 4").start();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    if number >= CLIENTS {
                        return;
                    }
                    let bytes = number * 331 % 100_003;
                    let back = pattern::round_trip(pen.connect().stream, bytes);
                    assert_eq!(back, bytes, "client {number}");
                }
            });
        }
    });
    let totals = &status(&pen)["totals"];
    assert_eq!(totals["accepted"], CLIENTS);
    assert!(totals["idlers_used"].as_u64() > Some(0), "{totals}");
    await_idlers(&pen, 8, 8);
}
