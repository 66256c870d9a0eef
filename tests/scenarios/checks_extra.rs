//! Clients that wait for a check of their server, because the last good one is too old.

use super::checks::{first_is, statuses};
use super::checks_exec::script;
use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::wait::{eventually, meanwhile, timed};
use pen_proto::status::{ServerState, ServerStatus};
use std::fs;
use std::time::Duration;

/// Answers that it is ready; while there is the file `hangs`, only when that is gone. Notes each question in `asked`.
const SLOW: &str = "here=$(dirname \"$0\")\n\
    while read word && [ \"$word\" = poll ]; do\n\
    echo >> \"$here/asked\"\n\
    while [ -e \"$here/hangs\" ]; do sleep 0.02; done\n\
    echo >> \"$here/answered\"\n\
    echo 3\n\
    done\n";

/// Of two servers in turn, the first has been due long before.
const TURNS: usize = 20;

fn two() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

/// Each of two servers in turn; the first is checked by the script, seldom.
fn slow(servers: &[Backend; 2]) -> Start {
    let start = Pen::before(servers).options("-r").command("check_interval 3600");
    let path = script(&start, SLOW);
    start.command(format!("server 0 check_extra 0.001 check exec {}", path.display()))
}

/// Has the program answer no more, when it has answered once, a while ago.
fn hang(pen: &Pen) {
    first_is(pen, ServerState::Up, "");
    meanwhile(Duration::from_millis(20));
    fs::write(pen.path("hangs"), "").unwrap();
}

/// Has the program answer what it was asked.
fn answer(pen: &Pen) {
    fs::remove_file(pen.path("hangs")).unwrap();
    eventually("the answer", || pen.text("answered").lines().count(), |count| *count == asked(pen));
}

fn asked(pen: &Pen) -> usize {
    pen.text("asked").lines().count()
}

/// Waits until so many clients have a place at the first server.
fn has(pen: &Pen, count: u32) {
    eventually("their places", || statuses(pen)[0].connections, |connections| *connections == count);
}

/// The next client waits for a check of the first server.
fn waiting(pen: &Pen) -> Client {
    for _ in 0..TURNS {
        let before = asked(pen);
        let mut client = pen.connect();
        let is_elsewhere = || statuses(pen)[1].connections > 0;
        let seen =
            eventually("the client", || (asked(pen), is_elsewhere()), |(asked, is)| *asked > before || *is);
        if !seen.1 {
            return client;
        }
        assert_eq!(client.line(), "B");
        drop(client);
        eventually("it to be gone", || statuses(pen)[1].connections, |connections| *connections == 0);
    }
    panic!("nobody gets the first server");
}

#[test]
fn a_server_that_stopped_between_two_checks_gets_nobody() {
    let servers = two();
    let start = Pen::before(&servers).options("-r").command("check_interval 3600").command("check_extra 600");
    let pen = start.command("check connect").start();
    let all_are = |all: &Vec<ServerStatus>| all.iter().all(|server| server.check_us.is_some());
    eventually("the first checks", || statuses(&pen), all_are);
    assert_eq!(pen.asks(4).matches('A').count(), 2);
    assert_eq!((servers[0].accepted(), servers[1].accepted()), (3, 3), "nobody waited");
    pen.control("check_extra 0.1");
    servers[0].pause();
    meanwhile(Duration::from_millis(150));
    assert_eq!(pen.asks(2), "BB");
    let status = &statuses(&pen)[0];
    assert_eq!((status.state, status.failures_total), (Some(ServerState::Down), 0));
    assert!(!pen.stderr().contains("Connect failed"), "no client was sent to it");
    pen.control("check_extra 600");
    let before = servers[1].accepted();
    assert!(before > 3 + 2, "the other was checked, too");
    assert_eq!(pen.asks(2), "BB");
    assert_eq!(servers[1].accepted(), before + 2, "and is known to be well now");
}

#[test]
fn a_check_that_hangs_counts_as_failed_when_its_time_is_over() {
    let servers = two();
    let pen = slow(&servers).command("check_timeout 0.3").start();
    hang(&pen);
    let (names, time) = timed(|| pen.asks(3));
    assert_eq!(names, "BBB");
    assert!(time >= Duration::from_millis(300), "{time:?}");
    first_is(&pen, ServerState::Down, "the program has not answered in time");
    assert_eq!((servers[0].accepted(), statuses(&pen)[0].failures_total), (0, 0));
}

#[test]
fn clients_share_one_check() {
    let servers = two();
    let pen = slow(&servers).command("check_timeout 20").command("server 1 drain").start();
    hang(&pen);
    let before = asked(&pen);
    let mut clients: Vec<Client> = (0..8).map(|_| pen.connect()).collect();
    has(&pen, 8);
    clients[3].send("said while waiting\n");
    eventually("the question", || asked(&pen), |asked| *asked == before + 1);
    assert_eq!(servers[0].accepted(), 0);
    answer(&pen);
    assert!(clients.iter_mut().all(|client| client.line() == "A"));
    assert_eq!(clients[3].line(), "said while waiting");
    assert_eq!((asked(&pen), servers[0].accepted()), (before + 1, 8));
}

#[test]
fn a_client_that_leaves_gives_up_its_place() {
    let servers = two();
    let pen = slow(&servers).command("check_timeout 20").start();
    hang(&pen);
    let (first, second) = (waiting(&pen), waiting_too(&pen));
    has(&pen, 2);
    drop(first);
    has(&pen, 1);
    second.reset();
    has(&pen, 0);
    assert!(pen.control("status json").contains("\"left_queue\":2"), "{}", pen.control("status json"));
    answer(&pen);
    meanwhile(Duration::from_millis(50));
    assert_eq!(servers[0].accepted(), 0, "nobody connected for them");
}

/// Another for the same check: of two clients one gets the other server.
fn waiting_too(pen: &Pen) -> Client {
    for _ in 0..TURNS {
        let mut client = pen.connect();
        let counts = || statuses(pen).iter().map(|server| server.connections).collect::<Vec<_>>();
        let seen = eventually("the client", counts, |counts| counts.iter().sum::<u32>() == 2);
        if seen[0] == 2 {
            return client;
        }
        assert_eq!(client.line(), "B");
        drop(client);
        eventually("it to be gone", counts, |counts| counts[1] == 0);
    }
    panic!("nobody gets the first server");
}

#[test]
fn changes_reach_those_who_wait() {
    let servers = two();
    let pen = slow(&servers).command("check_timeout 20").start();
    hang(&pen);
    let mut client = waiting(&pen);
    pen.control("server 0 check_extra 0");
    assert_eq!(client.line(), "A", "nothing to wait for any more");
    drop(client);
    has(&pen, 0);
    answer(&pen);
    pen.control("server 0 check_extra 0.001");
    hang(&pen);
    let mut client = waiting(&pen);
    pen.control("server 0 disable");
    assert_eq!(client.line(), "B");
    pen.control("server 0 enable");
    let path = pen.path("written");
    pen.control(&format!("write {}", path.display()));
    assert!(pen.text("written").contains(" check_extra 0.001 "), "{}", pen.text("written"));
    assert_eq!(pen.control("check_extra"), "0\n");
    drop(client);
    answer(&pen);
}

#[test]
fn udp_takes_no_extra_checks() {
    let server = Backend::named("A");
    let run = |word: &str| Pen::before([&server]).options("-U").command(word).run();
    for words in ["check_extra 1", "server 0 check_extra 1"] {
        let ended = run(words);
        assert!(ended.stderr.contains("check_extra: not with UDP (-U)"), "{}", ended.stderr);
    }
}
