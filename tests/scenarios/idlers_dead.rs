//! `idlers` and death: servers that close connections that are ready, at the worst moment too, that restart, or that
//! cannot be reached at all. Clients notice nothing, servers are not kept busy, and nothing is sent twice.

use super::idlers::{alone, await_idlers, status, total};
use crate::common::backend::{Backend, Unresponsive, read_line};
use crate::common::client::{Client, End, read, reset};
use crate::common::pen::Pen;
use crate::common::process::cpu_percent;
use crate::common::wait::{eventually, meanwhile};
use nix::sys::signal::{SIGCONT, SIGSTOP};
use std::fs::{self, DirEntry};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Closes connections on which nothing was said for 50 ms; answers a line with that line and closes. A line that its
/// system takes while it is about to close is swallowed, and counted.
fn impatient() -> (Backend, Arc<AtomicUsize>) {
    let swallowed = Arc::<AtomicUsize>::default();
    let count = swallowed.clone();
    let server = Backend::serving(move |mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            match read(&mut stream, &mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => {
                    // From here on the system refuses what comes.
                    let _ = stream.shutdown(Shutdown::Both);
                    count.fetch_add(read(&mut stream, &mut byte).unwrap_or(0), SeqCst);
                    return;
                }
            }
        }
        // The client may be gone.
        let _ = stream.write_all(&line);
    });
    (server, swallowed)
}

#[test]
fn a_server_that_closes_idle_connections_is_neither_kept_busy_nor_avoided() {
    let (server, swallowed) = impatient();
    let pen = alone(Pen::before([&server]), 3).start();
    eventually("idlers to be lost", || total(&pen, "idlers_lost"), |lost| *lost >= 3);
    let opened = per_second(|| server.accepted() as u64);
    assert!(opened <= 9.0, "{opened} connections opened within a second");
    assert!(cpu_percent(pen.pid()) <= 5, "pen spins");
    assert_eq!(status(&pen)["servers"][0]["failures_total"], 0, "nobody is to blame");
    let mut unanswered = 0;
    for round in 0..200 {
        let line = format!("round {round}");
        let mut client = pen.connect();
        client.send(format!("{line}\n"));
        match client.try_line() {
            Some(answer) => assert_eq!(answer, line),
            None => unanswered += 1,
        }
    }
    // The server may have acted on what it swallowed, so it must not be sent again.
    eventually("the server to own up", || swallowed.load(SeqCst), |swallowed| *swallowed >= unanswered);
}

#[test]
fn a_server_that_closes_at_once_is_not_kept_busy() {
    let server = Backend::serving(drop);
    let pen = alone(Pen::before([&server]), 10).start();
    eventually("idlers to be lost", || total(&pen, "idlers_lost"), |lost| *lost >= 10);
    let opened = per_second(|| server.accepted() as u64);
    assert!(opened <= 30.0, "{opened} connections opened within a second");
}

/// Servers that count such connections must not be driven to shut out pen's host.
#[test]
fn a_server_that_ends_them_unused_is_spared_longer_and_longer_until_a_client_comes() {
    let (server, _) = impatient();
    let pen = alone(Pen::before([&server]), 1).start();
    // After 50 ms each, and pauses of 1, 2 and 4 s.
    eventually("four to be lost", || total(&pen, "idlers_lost"), |lost| *lost == 4);
    meanwhile(Duration::from_secs(5));
    assert_eq!(server.accepted(), 4, "the next pause is one of 8 s");
    assert_eq!(pen.connect().exchange("hello"), "hello");
    eventually("a new one after the client's", || server.accepted(), |accepted| *accepted >= 6);
    assert_eq!(status(&pen)["servers"][0]["failures_total"], 0, "nobody is to blame");
}

/// How fast a count grows.
fn per_second(count: impl Fn() -> u64) -> f64 {
    let before = count();
    let passed = meanwhile(Duration::from_secs(1));
    (count() - before) as f64 / passed.as_secs_f64()
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
    // With poll, events come in an order that each process draws by lot: a pen may find the dead first every time.
    if cfg!(not(polling_test_poll_backend)) {
        assert!(totals["idlers_used"].as_u64() >= Some(5), "pen found the dead first: {totals}");
    }
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
fn what_pen_adds_to_a_request_is_added_once() {
    let server = Mortal::named("A");
    let pen = alone(Pen::before([&server.server]), 1).options("-H").command("peek").start();
    await_idlers(&pen, 1, 1);
    server.await_connections(1, 1);
    let mut client = client_before_the_dead(&pen, &server, close, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    client.end();
    let reply = String::from_utf8(client.rest()).unwrap();
    let request = reply.replace("A: ", "");
    let added = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\n";
    assert!(request.contains(added) && request.contains("\r\n\r\n"), "{request}");
    assert_eq!(request.matches("X-Forwarded").count(), 2, "{request}");
    assert_eq!(request.matches("GET / HTTP/1.0\r\n").count(), 1, "{request}");
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
    eventually("the other to have them", || alive.open(), |open| *open == 4);
    let found = &status(&pen)["servers"][0];
    assert!(found["blacklisted_seconds"].as_u64() > Some(0), "{found}");
    assert!(found["failures_total"].as_u64() <= Some(2), "{found}");
    let blamed = format!("blacklisting server 0 ({dead}) because of connect failure");
    assert!(pen.stderr().contains(&blamed), "{}", pen.stderr());
    assert_eq!(pen.control("blacklist 0"), "0\n");
    await_idlers(&pen, 2, 4);
    let failures = per_second(|| status(&pen)["servers"][0]["failures_total"].as_u64().unwrap());
    assert!(failures <= 4.0, "{failures} connects within a second");
    assert!(cpu_percent(pen.pid()) <= 5, "pen spins");
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
