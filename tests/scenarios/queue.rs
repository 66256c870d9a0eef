//! Clients that wait because every server is full, and what one client may have.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use serde_json::Value;

fn total(pen: &Pen, name: &str) -> u64 {
    let status: Value = serde_json::from_str(&pen.control("status json")).unwrap();
    status["totals"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", status["totals"]))
}

/// Clients that come one after the other, each when the one before waits.
fn wait_in_line(pen: &Pen, count: u64) -> Vec<Client> {
    let before = total(pen, "queued");
    let mut clients = Vec::new();
    for number in 1..=count {
        clients.push(pen.connect());
        eventually("it to wait", || total(pen, "queued"), |queued| *queued == before + number);
    }
    clients
}

#[test]
fn who_waits_is_served_in_order_and_before_the_emergency_server() {
    let [a, e] = ["A", "E"].map(Backend::named);
    let start = Pen::before([format!("{a}:1")]).options("-r -e").word(&e).command("queue 2");
    let pen = start.start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    let mut waiting = wait_in_line(&pen, 2).into_iter();
    assert_eq!(pen.ask(), "E", "the queue is full");
    assert_eq!(total(&pen, "waiting"), 2);
    assert!(pen.control("metrics").contains("\npen_clients_waiting 2\n"));
    assert!(pen.control("status").contains("waiting in the queue"));
    let (mut first, mut second) = (waiting.next().unwrap(), waiting.next().unwrap());
    // What it sends meanwhile is not lost.
    first.send("said while waiting\n");
    drop(held);
    assert_eq!(first.line(), "A");
    assert_eq!(first.line(), "said while waiting");
    assert_eq!(total(&pen, "waiting"), 1);
    drop(first);
    assert_eq!(second.exchange("and then"), "A");
    assert_eq!(second.line(), "and then");
    assert_eq!((total(&pen, "waiting"), total(&pen, "queued")), (0, 2));
    assert_eq!(a.open_most(), 1);
}

#[test]
fn a_client_that_leaves_gives_up_its_turn() {
    let a = Backend::named("A");
    let pen = Pen::before([format!("{a}:1")]).options("-r").command("queue 9").start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    let mut waiting = wait_in_line(&pen, 4).into_iter();
    let (leaves, resets, mut ends) = (waiting.next(), waiting.next(), waiting.next().unwrap());
    // One that has said all it has to say still wants the answer.
    ends.send("last words\n");
    ends.end();
    drop(leaves);
    resets.into_iter().for_each(Client::reset);
    eventually("two to be gone", || total(&pen, "waiting"), |count| *count == 2);
    drop(held);
    assert_eq!(String::from_utf8(ends.rest()).unwrap(), "A\nlast words\n");
    assert_eq!(waiting.next().unwrap().line(), "A");
    assert_eq!(a.accepted(), 3, "nobody connected for those who left");
}

#[test]
fn waiting_has_an_end() {
    let a = Backend::named("A");
    let start =
        Pen::before([format!("{a}:1")]).options("-r").command("queue 9").command("queue_timeout 0.25");
    let pen = start.start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    assert_eq!(pen.ask(), "-");
    assert_eq!((total(&pen, "queue_timeouts"), total(&pen, "rejected")), (1, 1));
    assert_eq!(pen.control("queue_timeout"), "0.25\n");
}

/// A maximum that is raised, a server that is added or removed, a queue that is closed.
#[test]
fn changes_reach_those_who_wait() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([format!("{a}:1")]).options("-r").command("queue 9").start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    let mut waiting = wait_in_line(&pen, 4).into_iter();
    let mut next = || waiting.next().unwrap();
    pen.control("server 0 max 2");
    let (mut second, mut third) = (next(), next());
    assert_eq!(second.line(), "A");
    pen.control(&format!("server add {b}:1"));
    assert_eq!(third.line(), "B");
    assert_eq!(total(&pen, "waiting"), 2);
    pen.control("server 1 remove");
    pen.control("queue 0");
    assert_eq!([next(), next()].map(|mut client| client.try_line()), [None, None]);
    assert_eq!(total(&pen, "waiting"), 0);
    drop((held, second, third));
}

#[test]
fn a_stubborn_client_waits_for_its_own_server() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let start = Pen::before([format!("{a}:1"), format!("{b}:1")]).options("-s").command("queue 9");
    let pen = start.start();
    let mut first = pen.connect_from("127.0.5.1");
    let own = first.line();
    let before = total(&pen, "queued");
    let mut again = pen.connect_from("127.0.5.1");
    eventually("it to wait", || total(&pen, "queued"), |queued| *queued == before + 1);
    let mut other = pen.connect_from("127.0.5.2");
    assert_ne!(other.line(), own, "the other server was free all the time");
    drop(first);
    assert_eq!(again.line(), own);
}

#[test]
fn settings_of_queue_and_limits_are_written_and_checked() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    for (command, reply) in [
        ("queue", "0\n"),
        ("queue 20", "20\n"),
        ("queue_timeout", "30\n"),
        ("queue_timeout 1.5", "1.5\n"),
        ("client_conn_max 4", "4\n"),
        ("client_rate", "0\n"),
        ("client_rate 20 10", "20 10\n"),
        ("client_rate 20", "error: client_rate: want 1..86400 seconds, got nothing\n"),
        ("client_rate 0", "0\n"),
        ("client_rate 30 60", "30 60\n"),
        ("queue_timeout 1.2345", "error: queue_timeout: want 0..1000000000 seconds, got \"1.2345\"\n"),
    ] {
        assert_eq!(pen.control(command), reply, "{command}");
    }
    pen.control(&format!("write {}", pen.path("written").display()));
    let written = pen.text("written");
    for line in ["queue 20\n", "queue_timeout 1.5\n", "client_conn_max 4\n", "client_rate 30 60\n"] {
        assert!(written.contains(line), "{line} is not in {written}");
    }
    let of_udp = Pen::before([&a]).options("-U -O").word("queue 3").run();
    assert!(of_udp.stderr.contains("queue: not with UDP"), "{}", of_udp.stderr);
}

#[test]
fn a_client_has_so_many_connections() {
    let [a, x] = ["A", "X"].map(Backend::named);
    let pen = Pen::before([&a]).options("-r").command("client_conn_max 2").start();
    let mut held = [pen.connect_from("127.0.6.1"), pen.connect_from("127.0.6.1")];
    assert_eq!(held.each_mut().map(Client::line), ["A", "A"]);
    assert_eq!(pen.ask_from("127.0.6.1"), "-");
    assert_eq!(pen.ask_from("127.0.6.2"), "A");
    assert_eq!((total(&pen, "over_limit"), total(&pen, "denied")), (1, 0));
    drop(held);
    eventually("its connections to be over", || pen.ask_from("127.0.6.1"), |name| name == "A");
    // Where there is a server for those who are denied, it gets them.
    let pen = Pen::before([&a]).options("-r -B").word(&x).command("client_conn_max 1").start();
    let mut first = pen.connect();
    assert_eq!((first.line().as_str(), pen.ask().as_str()), ("A", "X"));
    assert_eq!(total(&pen, "over_limit"), 1);
}

#[test]
fn a_client_comes_so_often() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).options("-r").command("client_rate 3 3600").start();
    let asked: String = (0..5).map(|_| pen.ask_from("127.0.6.1")).collect();
    assert_eq!((asked.as_str(), pen.ask_from("127.0.6.2").as_str()), ("AAA--", "A"));
    pen.control("client_rate 0");
    assert_eq!(pen.ask_from("127.0.6.1"), "A");
}

#[test]
fn udp_sessions_count_too() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("client_conn_max 2").start();
    let clients = [(); 3].map(|()| UdpClient::new(pen.address));
    assert_eq!([&clients[0], &clients[1]].map(UdpClient::server), ["A", "A"]);
    clients[2].send("hello");
    eventually("it to be refused", || total(&pen, "over_limit"), |count| *count == 1);
    assert_eq!(clients[0].server(), "A");
}
