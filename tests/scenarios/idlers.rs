//! `idlers`: connections that are ready before their clients come, go to the right clients, and harm nobody when they
//! are dead, unwanted or in the way.

use crate::common::backend::{Backend, UnixBackend, Unresponsive, echo, read_line};
use crate::common::client::{Client, End, read, reset};
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::process::{cpu_percent, descriptors};
use crate::common::wait::{eventually, meanwhile};
use nix::sys::signal::{SIGCONT, SIGSTOP, SIGUSR2};
use serde_json::Value;
use std::fs::{self, DirEntry};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn with_idlers(start: Start, count: usize) -> Start {
    start.command(format!("idlers {count}"))
}

/// With one worker, so that every client comes to the worker that has the idlers.
fn alone(start: Start, count: usize) -> Start {
    with_idlers(start.command("threads 1"), count)
}

fn await_idlers(pen: &Pen, have: usize, wanted: usize) {
    let reply = format!("Idlers: {have}/{wanted}\n");
    eventually("the idlers to be ready", || pen.control("idlers"), |got| *got == reply);
}

fn status(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("status json")).expect("JSON")
}

fn total(pen: &Pen, name: &str) -> u64 {
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
    assert_eq!(servers.each_ref().map(Backend::open), [4, 4, 4]);
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

/// Closes connections on which nothing was said for 50 ms; answers a line with that line and closes.
fn impatient() -> Backend {
    Backend::serving(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            match read(&mut stream, &mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => return,
            }
        }
        // The client may be gone.
        let _ = stream.write_all(&line);
    })
}

#[test]
fn a_server_that_closes_idle_connections_is_neither_kept_busy_nor_avoided() {
    let server = impatient();
    let pen = alone(Pen::before([&server]), 3).start();
    eventually("idlers to be lost", || total(&pen, "idlers_lost"), |lost| *lost >= 3);
    let before = server.accepted();
    assert!(cpu_percent(pen.pid()) <= 5, "pen spins");
    let opened = server.accepted() - before;
    assert!(opened <= 9, "{opened} connections opened within a second");
    assert_eq!(status(&pen)["servers"][0]["failures_total"], 0, "nobody is to blame");
    for round in 0..200 {
        let line = format!("round {round}");
        assert_eq!(pen.connect().exchange(&line), line);
    }
}

#[test]
fn a_server_that_closes_at_once_is_not_kept_busy() {
    let server = Backend::serving(drop);
    let pen = alone(Pen::before([&server]), 10).start();
    eventually("idlers to be lost", || total(&pen, "idlers_lost"), |lost| *lost >= 10);
    let before = server.accepted();
    meanwhile(Duration::from_secs(1));
    let opened = server.accepted() - before;
    assert!(opened <= 30, "{opened} connections opened within a second");
}

/// A server whose connections the test ends, all at once. Each answers every line with `NAME: LINE`.
struct Mortal {
    server: Backend,
    open: Arc<Mutex<Vec<TcpStream>>>,
    living: Arc<AtomicUsize>,
    lines: Arc<AtomicUsize>,
}

impl Mortal {
    fn named(name: &'static str) -> Mortal {
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (living, lines) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (kept, alive, count) = (open.clone(), living.clone(), lines.clone());
        let server = Backend::serving(move |mut stream| {
            kept.lock().unwrap().push(stream.try_clone().unwrap());
            alive.fetch_add(1, SeqCst);
            while let Some(line) = line_or_death(&stream) {
                count.fetch_add(1, SeqCst);
                let _ = stream.write_all(format!("{name}: {line}\n").as_bytes());
            }
            // The copy in the list would keep it open.
            let _ = stream.shutdown(Shutdown::Both);
            alive.fetch_sub(1, SeqCst);
        });
        Mortal { server, open, living, lines }
    }

    /// Waits until so many connections have come and so many of them live: what pen has connected may be unknown here
    /// for a while.
    fn await_connections(&self, accepted: usize, living: usize) {
        let look = || (self.server.accepted(), self.living.load(SeqCst));
        eventually("the server to have them", look, |seen| *seen == (accepted, living));
    }

    /// Ends what is open with `end`, and does not return before it has.
    fn end_all(&self, end: impl Fn(TcpStream)) {
        self.open.lock().unwrap().drain(..).for_each(end);
        eventually("the server to be done", || self.living.load(SeqCst), |living| *living == 0);
    }
}

/// As `read_line`, for a stream that another thread may end.
fn line_or_death(stream: &TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match read(&mut &*stream, &mut byte) {
            Ok(1) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).into_owned()),
            Ok(1) => line.push(byte[0]),
            _ => return None,
        }
    }
}

/// Ends a connection for its reader too, which then closes it.
fn close(stream: TcpStream) {
    // It may have ended before.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Stops all threads of pen, and returns when they have stopped.
fn put_to_sleep(pen: &Pen) {
    pen.signal(SIGSTOP);
    let is_stopped = |task: DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    };
    let tasks = || fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap();
    eventually("pen to sleep", || tasks().flatten().all(is_stopped), |asleep| *asleep);
}

/// Lets a client come and send `request`, and after it all idlers die, all while pen sleeps: pen finds the client first.
fn client_before_the_dead(pen: &Pen, server: &Mortal, end: impl Fn(TcpStream), request: &str) -> Client {
    put_to_sleep(pen);
    let mut client = pen.connect();
    client.send(request);
    server.end_all(end);
    pen.signal(SIGCONT);
    client
}

#[test]
fn a_client_given_a_dead_connection_does_not_notice() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).start();
    for round in 0..20 {
        await_idlers(&pen, 1, 1);
        server.await_connections(1 + 2 * round, 1); // an idler and a new connection each time
        let mut client = client_before_the_dead(&pen, &server, close, "hello\n");
        assert_eq!(client.line(), "A: hello");
        client.end();
        assert!(client.rest().is_empty());
        assert_eq!(server.lines.load(SeqCst), round + 1, "sent once");
    }
    let totals = &status(&pen)["totals"];
    assert_eq!(totals["idlers_used"], 20, "pen found the clients first");
    assert_eq!(totals["resets_by_server"], 0);
    assert_eq!(totals["up_bytes"], 20 * "hello\n".len());
}

#[test]
fn a_client_that_has_said_all_keeps_its_request_and_its_end() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).start();
    await_idlers(&pen, 1, 1);
    server.await_connections(1, 1);
    put_to_sleep(&pen);
    let mut client = pen.connect();
    client.send("first\nsecond\n");
    client.end();
    server.end_all(close);
    pen.signal(SIGCONT);
    assert_eq!(client.rest(), b"A: first\nA: second\n");
    assert_eq!(total(&pen, "idlers_lost"), 1);
}

#[test]
fn a_client_that_waits_for_a_greeting_gets_one() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).start();
    await_idlers(&pen, 1, 1);
    server.await_connections(1, 1);
    let mut client = client_before_the_dead(&pen, &server, close, "");
    eventually("a new connection", || server.server.accepted(), |accepted| *accepted >= 2);
    assert_eq!(client.exchange("hello"), "A: hello");
}

#[test]
fn idlers_that_were_reset_are_not_noticed_either() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).start();
    await_idlers(&pen, 1, 1);
    server.await_connections(1, 1);
    let reset_all = |stream: TcpStream| {
        reset(stream.try_clone().unwrap());
        // Wakes its reader, which has the last descriptor of it.
        let _ = stream.shutdown(Shutdown::Read);
    };
    let mut client = client_before_the_dead(&pen, &server, reset_all, "hello\n");
    assert_eq!(client.line(), "A: hello");
    assert_eq!(server.lines.load(SeqCst), 1);
}

#[test]
fn a_server_that_is_gone_hands_its_clients_on() {
    let (a, b) = (Mortal::named("A"), Mortal::named("B"));
    let pen = alone(Pen::before([&b.server, &a.server]), 4).options("-r").start();
    await_idlers(&pen, 4, 4);
    a.await_connections(2, 2);
    a.server.pause();
    let mut client = client_before_the_dead(&pen, &a, close, "hello\n");
    assert_eq!(client.line(), "B: hello");
    assert_eq!((a.lines.load(SeqCst), b.lines.load(SeqCst)), (0, 1));
}

/// What the server may have acted on is not sent again, whatever comes of it.
#[test]
fn a_request_that_arrived_is_never_repeated() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let server = Backend::serving(move |stream| {
        if read_line(&stream).is_some() {
            count.fetch_add(1, SeqCst);
        }
        // Closed without a word.
    });
    let pen = alone(Pen::before([&server]), 2).start();
    for round in 1..=10 {
        await_idlers(&pen, 2, 2);
        let mut client = pen.connect();
        client.send("do it\n");
        assert_eq!(client.ending(), End::Eof);
        assert_eq!(requests.load(SeqCst), round);
    }
    assert_eq!(total(&pen, "idlers_used"), 10);
    assert_eq!(total(&pen, "idlers_lost"), 0);
}

#[test]
fn a_server_that_restarts_gets_idlers_again() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 3).options("-b 1").start();
    await_idlers(&pen, 3, 3);
    server.await_connections(3, 3);
    server.server.pause();
    server.end_all(close);
    await_idlers(&pen, 0, 3);
    eventually("it to be found dead", || total(&pen, "connect_failures"), |failures| *failures > 0);
    server.server.resume();
    await_idlers(&pen, 3, 3);
    assert_eq!(pen.connect().exchange("hello"), "A: hello");
}

#[test]
fn a_dead_server_is_found_without_a_client_and_at_a_walking_pace() {
    let (dead, alive) = (Backend::refusing("A"), Backend::named("B"));
    let pen = alone(Pen::before([&dead, &alive]), 4).start();
    await_idlers(&pen, 4, 4);
    assert_eq!(alive.open(), 4);
    let found = &status(&pen)["servers"][0];
    assert!(found["blacklisted_seconds"].as_u64() > Some(0), "{found}");
    assert!(found["failures_total"].as_u64() <= Some(2), "{found}");
    assert!(pen.stderr().contains("blacklisting server 0 because of connect failure"), "{}", pen.stderr());
    assert_eq!(pen.control("blacklist 0"), "0\n");
    await_idlers(&pen, 2, 4);
    let failures = || status(&pen)["servers"][0]["failures_total"].as_u64().unwrap();
    let before = failures();
    assert!(cpu_percent(pen.pid()) <= 5, "pen spins");
    assert!(failures() - before <= 4, "{} connects within a second", failures() - before);
}

#[test]
fn idlers_that_cannot_connect_hold_up_nobody() {
    let (deaf, alive) = (Unresponsive::new(), Backend::named("B"));
    let start = alone(Pen::before([alive.to_string(), deaf.to_string()]), 40).options("-r -t 3600 -b 0");
    let pen = start.command("pending_max 1").start();
    await_idlers(&pen, 20, 40);
    assert_eq!(total(&pen, "pending_connects"), 0);
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(5), "BBBBB");
}

#[test]
fn a_connect_that_takes_too_long_is_given_up() {
    let deaf = Unresponsive::new();
    let pen = alone(Pen::before([&deaf.to_string()]), 2).options("-t 1").start();
    eventually("timeouts", || total(&pen, "connect_timeouts"), |timeouts| *timeouts == 2);
    assert_eq!(pen.control("idlers"), "Idlers: 0/2\n");
    assert!(status(&pen)["servers"][0]["blacklisted_seconds"].as_u64() > Some(0));
}

#[test]
fn servers_with_a_maximum_have_none() {
    let [limited, free] = ["A", "B"].map(Backend::named);
    let pen = alone(Pen::before([format!("{limited}:1"), free.to_string()]), 3).options("-r").start();
    await_idlers(&pen, 3, 3);
    assert_eq!((limited.open(), free.open()), (0, 3));
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
fn more_than_fit_are_as_many_as_fit() {
    let server = Backend::named("A");
    let pen = with_idlers(Pen::before([&server]), 50).options("-x 7").command("threads 2").start();
    await_idlers(&pen, 7, 50);
    assert_eq!(server.open(), 7);
    assert_eq!(pen.asks(10), "A".repeat(10));
}

fn names_in_turn(clients: Vec<Client>) -> String {
    thread::scope(|scope| {
        let asked: Vec<_> =
            clients.into_iter().map(|mut client| scope.spawn(move || client.line())).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn out_of_descriptors_they_give_way_to_clients() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let start = with_idlers(Pen::before([&a, &b]), 10).options("-O prio").command("threads 2");
    let pen = start.start();
    await_idlers(&pen, 10, 10);
    let limit = format!("--nofile={0}:{0}", descriptors(pen.pid()) + 1);
    let lowered = Command::new("prlimit").args(["--pid", &pen.pid().to_string(), &limit]).status().unwrap();
    assert!(lowered.success());
    let held: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    eventually("clients in the place of idlers", || (a.open(), b.open()), |(a, b)| *a >= 4 && *b == 0);
    assert!(cpu_percent(pen.pid()) < 20, "pen spins");
    assert_eq!(pen.control("blacklist"), "30\n", "the operator gets in");
    assert_eq!(names_in_turn(held), "A".repeat(50));
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
fn every_read_is_in_the_log_once() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).options("-l pen.log").start();
    for round in 0..3 {
        await_idlers(&pen, 1, 1);
        server.await_connections(1 + 2 * round, 1); // an idler and a new connection each time
        let mut client = client_before_the_dead(&pen, &server, close, &format!("dead {round}\n"));
        assert_eq!(client.line(), format!("A: dead {round}"));
        assert_eq!(client.exchange(&format!("alive {round}")), format!("A: alive {round}"));
    }
    let log = eventually("six lines", || pen.text("pen.log"), |log| log.lines().count() >= 6);
    let requests: Vec<&str> = log.lines().map(|line| &line[line.len() - "x 0".len()..]).collect();
    assert_eq!(requests, ["d 0", "e 0", "d 1", "e 1", "d 2", "e 2"], "{log}");
}

#[test]
fn without_idlers_nothing_is_opened() {
    let server = Backend::named("A");
    let pen = with_idlers(Pen::before([&server]), 0).start();
    assert_eq!(pen.asks(3), "AAA");
    assert_eq!(server.accepted(), 3);
    assert!(cpu_percent(pen.pid()) <= 2);
}

/// Five hundred clients of twenty at a time, each with a stream of its own length, half of them speaking first and half
/// only listening; every byte is looked at.
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
                    let mut reading = pen.connect().stream;
                    let mut writing = reading.try_clone().unwrap();
                    thread::scope(|scope| {
                        scope.spawn(move || {
                            pattern::write(&mut writing, bytes).unwrap();
                            writing.shutdown(Shutdown::Write).unwrap();
                        });
                        assert_eq!(pattern::read_to_end(&mut reading), bytes, "client {number}");
                    });
                }
            });
        }
    });
    let totals = &status(&pen)["totals"];
    assert_eq!(totals["accepted"], CLIENTS);
    assert!(totals["idlers_used"].as_u64() > Some(0), "{totals}");
    await_idlers(&pen, 8, 8);
}

/// A client that is reset by its server learns so, also when its connection was a ready one.
#[test]
fn a_reset_in_mid_stream_is_a_reset() {
    let server = Backend::serving(|mut stream| {
        stream.write_all(b"half a mess").unwrap();
        if read_line(&stream).is_some() {
            reset(stream);
        }
    });
    let pen = alone(Pen::before([&server]), 2).start();
    await_idlers(&pen, 2, 2);
    let mut client = pen.connect();
    client.send("go\n");
    assert_eq!(client.ending(), End::Reset);
}
