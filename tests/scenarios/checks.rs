//! Servers that are checked: they stop, come back, hang and answer nonsense, and clients meet none of it.

use crate::common::backend::{Backend, Unresponsive, echo, greet_and_echo};
use crate::common::pen::{Pen, Start};
use crate::common::wait::{eventually, meanwhile};
use pen_proto::status::{ServerState, ServerStatus};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn two() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

pub fn statuses(pen: &Pen) -> Vec<ServerStatus> {
    serde_json::from_str(&pen.control("servers json")).unwrap()
}

/// State and reason of each server.
pub fn states(pen: &Pen) -> Vec<(ServerState, String)> {
    statuses(pen).into_iter().map(|s| (s.state.unwrap(), s.reason.unwrap_or_default())).collect()
}

/// Waits until the first server is in this state, with this in its reason.
pub fn first_is(pen: &Pen, state: ServerState, reason: &str) {
    let what = format!("{state} ({reason})");
    eventually(&what, || states(pen), |states| states[0].0 == state && states[0].1.contains(reason));
}

/// Each in turn, checked twenty times a second.
fn checked<S: std::fmt::Display>(servers: impl IntoIterator<Item = S>, check: &str) -> Start {
    Pen::before(servers).options("-r").command("check_interval 0.05").command(format!("check {check}"))
}

/// Whether pen has a thread for checks.
fn has_thread(pen: &Pen) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap();
    let name =
        |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("comm"));
    tasks.map(name).any(|name| name.is_ok_and(|name| name.trim() == "checks"))
}

#[test]
fn a_server_that_stops_gets_nobody_until_it_is_back() {
    let servers = two();
    let pen = checked(&servers, "connect").start();
    eventually(
        "the first checks",
        || statuses(&pen),
        |all| all.iter().all(|server| server.check_us.is_some()),
    );
    assert_eq!(pen.asks(4).matches('A').count(), 2);
    servers[0].pause();
    first_is(&pen, ServerState::Down, "connect: connection refused");
    let status = &statuses(&pen)[0];
    assert!(status.since_epoch_seconds.is_some() && status.failures_total == 0, "no client has met it");
    assert_eq!(status.check.as_deref(), Some("connect"));
    assert_eq!(pen.asks(3), "BBB");
    servers[0].resume();
    first_is(&pen, ServerState::Up, "");
    assert_eq!(pen.asks(4).matches('A').count(), 2);
    let lines = |word: &str| pen.stderr().lines().filter(|line| line.contains(word)).count();
    let called = format!("server 0 ({})", servers[0]);
    assert_eq!(lines(&format!("{called} is down: connect: connection refused")), 1);
    assert_eq!(lines(&format!("{called} is up")), 1, "{}", pen.stderr());
}

#[test]
fn a_check_that_succeeds_ends_what_a_failed_connect_began() {
    let servers = two();
    let pen = checked(&servers, "connect").options("-b 3600").command("check_interval 3600").start();
    eventually(
        "the first checks",
        || statuses(&pen),
        |all| all.iter().all(|server| server.check_us.is_some()),
    );
    servers[0].pause();
    assert_eq!(pen.asks(2), "BB");
    first_is(&pen, ServerState::Down, "connect failed");
    servers[0].resume();
    pen.control("check_interval 0.05");
    first_is(&pen, ServerState::Up, "");
    assert_eq!(pen.asks(4).matches('A').count(), 2);
}

#[test]
fn a_server_that_hangs_is_down_when_its_time_is_over() {
    let hung = Unresponsive::new();
    let other = Backend::named("B");
    let pen = checked([hung.to_string(), other.to_string()], "connect").command("check_timeout 0.1").start();
    first_is(&pen, ServerState::Down, "connect: timed out");
    assert_eq!(pen.asks(2), "BB");
    let silent = Backend::serving(echo);
    let pen = checked([silent.to_string(), other.to_string()], "http /").command("check_timeout 0.1").start();
    first_is(&pen, ServerState::Down, "HTTP");
    pen.control(r#"check send "" expect hello"#);
    first_is(&pen, ServerState::Down, "timed out without the answer");
}

/// Answers each connection with the present text once it has heard something; says nothing first.
fn answering(text: &Arc<Mutex<String>>) -> Backend {
    let text = text.clone();
    Backend::serving(move |mut stream| {
        let mut heard = [0; 4096];
        if stream.read(&mut heard).is_ok_and(|count| count > 0) {
            let text = text.lock().unwrap().clone();
            let _ = stream.write_all(text.as_bytes());
        }
    })
}

#[test]
fn web_servers_and_others_are_asked() {
    let text = Arc::new(Mutex::new(String::from("HTTP/1.1 200 OK\r\n\r\nall is well")));
    let web = answering(&text);
    let pen = checked([&web], r#"http /health status 200 expect "is well""#).start();
    let say = |answer: &str| *text.lock().unwrap() = answer.into();
    first_is(&pen, ServerState::Up, "");
    say("HTTP/1.1 200 OK\r\n\r\nbad");
    first_is(&pen, ServerState::Down, "the text is not in the body");
    say("HTTP/1.1 503 Sorry\r\n\r\nis well");
    first_is(&pen, ServerState::Down, "status 503");
    say("\u{1b}[31mgarbage\r\n");
    first_is(&pen, ServerState::Down, r#"answers no HTTP but "\x1b[31mgarbage""#);
    say("");
    first_is(&pen, ServerState::Down, "closed the connection without an answer");
    say("+PONG\r\n");
    pen.control(r#"check send "PING\r\n" expect +PONG"#);
    first_is(&pen, ServerState::Up, "");
    say("-ERR\r\n");
    first_is(&pen, ServerState::Down, "without the text");
    assert_eq!(pen.control("check"), "send \"PING\\r\\n\" expect +PONG\n");
}

#[test]
fn a_server_that_sends_without_end_harms_only_itself() {
    let flooding = |piece: &'static str| {
        Backend::serving(move |mut stream| {
            let piece = piece.repeat(1_000);
            while stream.write_all(piece.as_bytes()).is_ok() {}
        })
    };
    let servers = [flooding("HTTP/1.1 100 Continue\r\n\r\n"), flooding("x"), flooding("HTTP/1.1 200 OK\r\n")];
    let other = answering(&Arc::new(Mutex::new("HTTP/1.1 200 OK\r\n\r\ntext".into())));
    let all = servers.iter().chain([&other]);
    let mut pen = checked(all, "http / expect text").command("check_timeout 3600").start();
    for (server, reason) in ["it sends without end", "answers no HTTP", "the head of its answer is longer"]
        .into_iter()
        .enumerate()
    {
        let look = || states(&pen)[server].clone();
        eventually(reason, look, |(state, why)| *state == ServerState::Down && why.contains(reason));
    }
    let before = other.accepted();
    eventually("checks of the other", || other.accepted(), |now| *now > before + 3);
    assert_eq!(states(&pen)[3].0, ServerState::Up);
    pen.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0), "it can be stopped");
}

#[test]
fn what_keeps_pen_from_checking_is_told_once_however_many_servers_there_are() {
    let other = Backend::named("X");
    let servers = (0..100).map(|n| format!("127.0.0.{}:9", n + 1));
    let pen = checked(servers, "connect").command("source 192.0.2.1").start();
    pen.control("service add web");
    pen.control("service web check_interval 0.05");
    pen.control(&format!("service web server add {other}"));
    pen.control("service web check connect");
    eventually("checks of the other", || other.accepted(), |count| *count > 10);
    let count =
        || pen.stderr().matches("cannot be checked: connect: cannot assign requested address").count();
    eventually("a message", count, |count| *count > 0);
    assert_eq!(count(), 1);
}

#[test]
fn checks_are_announced_as_nobodys_where_clients_are() {
    let heard: Arc<Mutex<BTreeSet<Vec<u8>>>> = Arc::default();
    let theirs = heard.clone();
    let server = Backend::serving(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        theirs.lock().unwrap().insert(bytes);
    });
    let pen = checked([&server], r#"send "" expect never"#).command("check_timeout 0.05").start();
    let hears = |wanted: &[u8]| {
        let look = || heard.lock().unwrap().clone();
        eventually("the header", look, |heard| heard.contains(wanted));
    };
    pen.control("server 0 proxy v1");
    hears(b"PROXY UNKNOWN\r\n");
    pen.control("server 0 proxy v2");
    hears(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
}

#[test]
fn a_server_has_a_check_and_a_port_of_its_own() {
    let servers = two();
    let dead = Backend::refusing("D");
    let pen = checked(&servers, "connect").start();
    pen.control(&format!("server 0 check_port {}", dead.port()));
    first_is(&pen, ServerState::Down, "connection refused");
    pen.control("server 0 check none");
    first_is(&pen, ServerState::Up, "");
    assert_eq!(statuses(&pen)[0].check, None);
    pen.control(&format!(
        "server 0 check_timeout 0.5 check_rise 2 check_fall 3 check_port {} check dummy",
        dead.port()
    ));
    eventually("the dummy", || statuses(&pen), |all| all[0].check.as_deref() == Some("dummy"));
    let path = pen.path("written");
    pen.control(&format!("write {}", path.display()));
    let written = pen.text("written");
    let line =
        format!("check_timeout 0.5 check_rise 2 check_fall 3 check_port {} check dummy\n", dead.port());
    assert!(written.contains(&line) && written.contains("\ncheck connect\n"), "{written}");
    assert!(written.contains("\ncheck_interval 0.05\n"), "{written}");
}

#[test]
fn what_drains_is_checked_and_what_is_disabled_is_not() {
    let servers = two();
    let pen = checked(&servers, "connect").start();
    servers[0].pause();
    first_is(&pen, ServerState::Down, "refused");
    pen.control("server 0 disable");
    servers[0].resume();
    let ten_checks_of_the_other = || {
        let seen = servers[1].accepted();
        eventually("ten checks of the other", || servers[1].accepted(), |now| *now >= seen + 10);
    };
    // Meanwhile a check that was under way ends.
    ten_checks_of_the_other();
    let before = servers[0].accepted();
    ten_checks_of_the_other();
    assert_eq!(servers[0].accepted(), before);
    pen.control("server 0 drain");
    eventually("a check", || servers[0].accepted(), |now| *now > before);
    pen.control("server 0 enable");
    first_is(&pen, ServerState::Up, "");
}

#[test]
fn interval_zero_stops_checks_and_keeps_what_they_found() {
    let servers = two();
    let pen = checked(&servers, "connect").start();
    servers[0].pause();
    first_is(&pen, ServerState::Down, "refused");
    pen.control("check_interval 0");
    // The thread that checks may be at it.
    let checks_in_a_while = || {
        let seen = servers[1].accepted();
        meanwhile(Duration::from_millis(300));
        servers[1].accepted() - seen
    };
    eventually("no check any more", checks_in_a_while, |checks| *checks == 0);
    servers[0].resume();
    assert_eq!(pen.asks(3), "BBB");
    assert_eq!(states(&pen)[0].0, ServerState::Down);
    pen.control("check_interval 0.05");
    first_is(&pen, ServerState::Up, "");
}

#[test]
fn there_is_a_thread_only_where_there_is_a_check() {
    let servers = two();
    let pen = Pen::before(&servers).start();
    assert!(!has_thread(&pen));
    pen.control("server 1 check connect");
    eventually("a thread", || has_thread(&pen), |has| *has);
    pen.control("server 1 check none");
    eventually("no thread", || has_thread(&pen), |has| !*has);
    pen.control("check connect");
    eventually("a thread", || has_thread(&pen), |has| *has);
    pen.control("server 0 remove");
    pen.control("server 1 remove");
    eventually("no thread", || has_thread(&pen), |has| !*has);
}

#[test]
fn a_service_that_is_added_is_checked_and_one_that_goes_is_not() {
    let servers = two();
    let extra = Backend::named("X");
    let pen = checked(&servers, "connect").start();
    pen.control("service add web");
    pen.control("service web check_interval 0.05");
    pen.control(&format!("service web server add {extra}"));
    pen.control("service web check connect");
    eventually("a check", || extra.accepted(), |count| *count > 0);
    extra.pause();
    let line = format!("service web: server 0 ({extra}) is down: connect: connection refused");
    eventually("the line", || pen.stderr(), |text| text.contains(&line));
    pen.control("service remove web");
    extra.resume();
    let before = (extra.accepted(), servers[0].accepted());
    eventually("checks of the others", || servers[0].accepted(), |count| *count > before.1 + 10);
    assert_eq!(extra.accepted(), before.0);
}

#[test]
fn a_thousand_servers_are_checked_each() {
    // One socket for all addresses of 127.0.0.0/8.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let met: Arc<Mutex<BTreeSet<std::net::IpAddr>>> = Arc::default();
    let theirs = met.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that is reset already has no address any more.
            if let Ok(address) = stream.local_addr() {
                theirs.lock().unwrap().insert(address.ip());
                greet_and_echo("M", stream);
            }
        }
    });
    let servers = (0..1_000).map(|n| format!("127.1.{}.{}:{port}", n / 250, n % 250 + 1));
    let pen = checked(servers, "connect").command("check_interval 1").start();
    let checked = || statuses(&pen).iter().filter(|server| server.check_us.is_some()).count();
    eventually("every server to be checked", checked, |count| *count == 1_000);
    assert_eq!(pen.ask(), "M");
}
