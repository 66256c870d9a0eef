//! A server that cannot be reached is somebody else's turn, and the client never notices.

use crate::common::backend::{Backend, UnixBackend, Unresponsive};
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::wait::{eventually, meanwhile};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

#[test]
fn a_refused_connect_is_tried_on_the_next_server() {
    let dead = Backend::refusing("A");
    let alive = ["B", "C"].map(Backend::named);
    let pen = Pen::before([&dead, &alive[0], &alive[1]]).options("-r -b 0").start();
    let names = pen.asks(9);
    assert!(!names.contains('-') && !names.contains('A'), "{names}");
}

#[test]
fn a_server_that_dies_between_two_requests_is_replaced_for_good() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-b 1").start();
    assert_eq!(pen.asks(2), "BB");
    b.pause();
    assert_eq!(pen.asks(2), "AA");
    b.resume();
    pen.control("server 1 blacklist 0");
    assert_eq!(pen.asks(2), "AA", "a client stays with its substitute");
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r -b 1").start();
    b.pause();
    assert_eq!(pen.asks(2), "AA");
    b.resume();
    eventually("server 1 to be used again", || pen.ask(), |name| name == "B");
}

#[test]
fn a_connect_that_times_out_is_tried_on_the_next_server() {
    let (deaf, alive) = (Unresponsive::new(), Backend::named("B"));
    let pen = Pen::before([alive.to_string(), deaf.to_string()]).options("-r -t 1 -b 3600").start();
    assert_eq!(pen.asks(3), "BBB");
}

#[test]
fn what_the_client_sent_while_servers_failed_is_not_lost() {
    let (deaf, alive) = (Unresponsive::new(), Backend::named("B"));
    let pen = Pen::before([alive.to_string(), deaf.to_string()]).options("-r -t 1").start();
    let mut client = pen.connect();
    client.send("sent before any server answered\n");
    client.end();
    assert_eq!(client.line(), "B");
    assert_eq!(client.line(), "sent before any server answered");
    assert!(client.rest().is_empty());
}

#[test]
fn timeouts_do_not_use_up_the_pending_connects() {
    let (deaf, alive) = (Unresponsive::new(), Backend::named("B"));
    let pen =
        Pen::before([alive.to_string(), deaf.to_string()]).options("-r -t 1 -b 0").command("pending_max 2");
    let pen = pen.start();
    // Half of these meet the deaf server first: three times as many as may be pending.
    let names: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(|| pen.ask())).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(names.concat(), "B".repeat(12));
    assert_eq!(pen.ask(), "B", "still accepting");
}

#[test]
fn clients_that_leave_while_pen_connects_blame_nobody() {
    let deaf = Unresponsive::new();
    let pen = Pen::before([deaf.to_string()]).options("-t 3600").start();
    let figures = || -> serde_json::Value { serde_json::from_str(&pen.control("status json")).unwrap() };
    let clients: Vec<Client> = (0..20).map(|_| pen.connect()).collect();
    eventually("pending connects", figures, |status| status["totals"]["pending_connects"] == 20);
    clients.into_iter().for_each(Client::reset);
    let status = eventually("them to be given up", figures, |status| status["connections_used"] == 0);
    assert_eq!(status["totals"]["pending_connects"], 0);
    assert_eq!(status["servers"][0]["connections"], 0);
    assert_eq!(status["servers"][0]["failures_total"], 0);
}

#[test]
fn when_all_refuse_the_emergency_server_answers() {
    let dead = ["A", "B"].map(Backend::refusing);
    let emergency = Backend::named("E");
    let pen = Pen::before(&dead).options("-r -b 0 -e").word(&emergency).start();
    assert_eq!(pen.asks(3), "EEE");
}

#[test]
fn when_all_refuse_and_there_is_no_emergency_server_the_client_is_closed() {
    let dead = ["A", "B", "C"].map(Backend::refusing);
    let pen = Pen::before(&dead).options("-b 0").start();
    assert_eq!(pen.asks(3), "---");
    dead[2].resume();
    assert_eq!(pen.asks(2), "CC");
}

#[test]
fn one_living_server_among_many_dead_ones_is_found() {
    let mut servers: Vec<Backend> = (0..20).map(|_| Backend::refusing("dead")).collect();
    servers.push(Backend::named("L"));
    let pen = Pen::before(&servers).options("-r -b 0").start();
    assert_eq!(pen.asks(25), "L".repeat(25));
}

#[test]
fn a_missing_unix_socket_fails_over_too() {
    let alive = Backend::named("B");
    let pen = Pen::before(["/nonexistent/socket".to_string(), alive.to_string()]).options("-r -b 0").start();
    assert_eq!(pen.asks(4), "BBBB");
}

#[test]
fn a_unix_server_that_is_busy_for_a_moment_is_waited_for() {
    let server = UnixBackend::busy();
    let pen = Pen::before([server.path().display()]).options("-t 10 -b 3600").start();
    let mut clients: Vec<Client> = (0..10).map(|_| pen.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("hello\n"));
    meanwhile(Duration::from_millis(300));
    server.echo_from_now_on();
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "hello"));
}

#[test]
fn a_unix_server_that_stays_busy_is_replaced() {
    let (busy, alive) = (UnixBackend::busy(), Backend::named("B"));
    let filler = UnixStream::connect(busy.path()).unwrap();
    let pen = Pen::before([alive.to_string(), busy.path().display().to_string()]).options("-t 1").start();
    assert_eq!(pen.asks(2), "BB");
    drop(filler);
}

/// Each is given its own time: that of the first is over when the second has its turn.
#[test]
fn the_next_unix_server_may_be_busy_for_a_moment_too() {
    let [second, first] = [UnixBackend::busy(), UnixBackend::busy()];
    let _fillers = [&first, &second].map(|server| UnixStream::connect(server.path()).unwrap());
    let pen = Pen::before([second.path().display(), first.path().display()]).options("-t 2").start();
    let mut client = pen.connect();
    client.send("hello\n");
    eventually("the first to be given up", || pen.stderr(), |said| said.contains("blacklisting server 1 "));
    meanwhile(Duration::from_millis(300));
    second.echo_from_now_on();
    assert_eq!(client.line(), "hello");
}

#[test]
fn without_any_server_clients_are_closed() {
    let pen = Pen::before([] as [&str; 0]).start();
    assert_eq!(pen.asks(2), "--");
    assert_ne!(pen.control("mode"), "", "and pen lives");
}
