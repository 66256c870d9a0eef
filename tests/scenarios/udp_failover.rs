//! UDP servers that fail: told by ICMP, or by saying nothing.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::{eventually, meanwhile};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

fn before<const N: usize>(servers: [&UdpServer; N]) -> Start {
    Pen::before(servers).options("-U")
}

fn status(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("status json")).unwrap()
}

/// How often the server was blamed.
fn failures(pen: &Pen, server: usize) -> u64 {
    status(pen)["servers"][server]["failures_total"].as_u64().unwrap()
}

fn is_blacklisted(pen: &Pen, server: usize) -> bool {
    status(pen)["servers"][server]["blacklisted_seconds"].as_u64() > Some(0)
}

/// A server that answers while it is told to.
fn fickle(name: &'static str) -> (UdpServer, Arc<AtomicBool>) {
    let answers = Arc::new(AtomicBool::new(true));
    let told = answers.clone();
    let server = UdpServer::handling(&format!("127.0.0.1:{}", free_port()), move |socket, _, peer| {
        if told.load(SeqCst) {
            socket.send_to(format!("{name}:").as_bytes(), peer).expect("answer");
        }
    });
    (server, answers)
}

#[test]
fn a_closed_port_costs_no_client_anything() {
    let [a, mut b, c] = ["A", "B", "C"].map(UdpServer::named);
    b.pause();
    let pen = before([&a, &b, &c]).options("-r").start();
    let names: String = (0..12).map(|_| UdpClient::new(pen.address).server()).collect();
    assert!(!names.contains('B'), "{names}");
    assert_eq!(failures(&pen, 1), 1, "it is skipped after the first time");
    let status = status(&pen);
    assert_eq!(status["totals"]["failovers"], 1);
    assert_eq!(status["totals"]["connect_failures"], 1);
    assert_eq!(status["servers"][1]["connections"], 0);
    let blamed = format!("blacklisting server 1 ({b}): connection refused");
    assert!(pen.stderr().contains(&blamed), "{}", pen.stderr());
}

/// Several datagrams may be on their way before the first ICMP error comes: none of them is lost, nor sent twice.
#[test]
fn everything_sent_before_the_first_answer_goes_to_the_next_server() {
    let [mut a, b] = ["A", "B"].map(UdpServer::named);
    a.pause();
    let pen = before([&b, &a]).start();
    let client = UdpClient::new(pen.address);
    let sent: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    sent.iter().for_each(|datagram| client.send(datagram));
    let mut answers: Vec<String> = sent.iter().map(|_| String::from_utf8(client.answer()).unwrap()).collect();
    answers.sort();
    assert_eq!(answers, sent.iter().map(|datagram| format!("B:{datagram}")).collect::<Vec<_>>());
    assert!(client.hears_nothing());
    assert_eq!(b.datagrams().len(), sent.len());
}

#[test]
fn a_session_survives_the_end_of_its_server() {
    let mut servers = ["A", "B"].map(UdpServer::named);
    let [a, b] = &servers;
    let pen = before([a, b]).start();
    let client = UdpClient::new(pen.address);
    let first = client.server();
    let at = if first == "A" { 0 } else { 1 };
    servers[at].pause();
    let (count, answer) = client.insist("still there?");
    assert_eq!(answer, format!("{}:still there?", ["B", "A"][at]));
    assert!(count <= 2, "{count} questions: only the first meets the closed port");
    assert_eq!(status(&pen)["connections_used"], 1, "it is the same session");
    assert_eq!(
        UdpClient::new(pen.address).server(),
        ["B", "A"][at],
        "the client belongs to the other one now"
    );
}

#[test]
fn a_server_that_is_back_gets_clients_again() {
    let [a, mut b] = ["A", "B"].map(UdpServer::named);
    b.pause();
    let pen = before([&a, &b]).options("-r -b 1").start();
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    b.resume();
    eventually("B to be chosen", || UdpClient::new(pen.address).server(), |name| name == "B");
    assert!(!is_blacklisted(&pen, 1), "its answer clears it");
}

#[test]
fn when_all_are_gone_there_is_the_emergency_server() {
    let [mut a, mut b, emergency] = ["A", "B", "emergency"].map(UdpServer::named);
    a.pause();
    b.pause();
    let pen = before([&a, &b]).word("-e").word(&emergency).start();
    for _ in 0..3 {
        assert_eq!(UdpClient::new(pen.address).server(), "emergency");
    }
    let pen = before([&a, &b]).start();
    let client = UdpClient::new(pen.address);
    client.send("?");
    assert!(client.hears_nothing());
    eventually("both to be blamed", || [failures(&pen, 0), failures(&pen, 1)], |counts| *counts == [1, 1]);
    a.resume();
    pen.control("server 0 blacklist 0");
    assert_eq!(client.insist("?").1, "A:?");
}

#[test]
fn a_stubborn_pen_tries_no_other() {
    let [a, mut b] = ["A", "B"].map(UdpServer::named);
    b.pause();
    let pen = before([&a, &b]).options("-s").start();
    let client = UdpClient::new(pen.address);
    client.send("?");
    assert!(client.hears_nothing());
    eventually("the failure", || failures(&pen, 1), |count| *count == 1);
    assert!(a.datagrams().is_empty());
}

#[test]
fn a_silent_server_loses_the_session_after_timeout_seconds() {
    let (a, mute) = (UdpServer::named("A"), UdpServer::mute());
    let pen = before([&mute, &a]).options("-r -t 1").start();
    assert_eq!(UdpClient::new(pen.address).server(), "A", "now it is known that servers answer");
    let client = UdpClient::new(pen.address);
    assert_eq!(client.ask("anybody?"), "A:anybody?", "what the first did not answer goes to the next");
    assert_eq!(mute.datagrams(), [b"anybody?"]);
    assert!(is_blacklisted(&pen, 0));
    let totals = &status(&pen)["totals"];
    assert_eq!((totals["connect_timeouts"].as_u64(), totals["failovers"].as_u64()), (Some(1), Some(1)));
    assert_eq!((0..4).map(|_| UdpClient::new(pen.address).server()).collect::<String>(), "AAAA");
    let blamed = format!("blacklisting server 0 ({mute}): no answer to anybody for 1 s");
    assert!(pen.stderr().contains(&blamed), "{}", pen.stderr());
}

#[test]
fn a_server_that_fell_silent_is_left_by_its_sessions() {
    let ((a, a_answers), b) = (fickle("A"), UdpServer::named("B"));
    let pen = before([&b, &a]).options("-t 1").start();
    let client = UdpClient::new(pen.address);
    assert_eq!(client.server(), "A");
    a_answers.store(false, SeqCst);
    let (count, answer) = client.insist("?");
    assert!(answer.starts_with("B:") && count > 1, "{count}: {answer}");
}

/// A session may last for ever: a server that failed it once is not left out for as long.
#[test]
fn a_session_may_return_to_a_server_that_once_failed() {
    let (mut a, (b, b_answers)) = (UdpServer::named("A"), fickle("B"));
    a.pause();
    let pen = before([&b, &a]).options("-t 1").start();
    let client = UdpClient::new(pen.address);
    assert_eq!(client.server(), "B");
    assert_eq!(failures(&pen, 1), 1, "A was asked first");
    a.resume();
    b_answers.store(false, SeqCst);
    assert!(client.insist("?").1.starts_with("A:"));
    assert_eq!(status(&pen)["connections_used"], 1, "it is the same session");
}

/// Anybody can send what no server answers: as long as a server answers others, it is not blamed.
#[test]
fn junk_does_not_make_a_server_fail() {
    let address = || format!("127.0.0.1:{}", free_port());
    let picky = |name: &'static str| {
        UdpServer::handling(&address(), move |socket, datagram, peer| {
            if datagram != b"junk" {
                socket.send_to(name.as_bytes(), peer).expect("answer");
            }
        })
    };
    let (a, b) = (picky("A:"), picky("B:"));
    let pen = before([&a, &b]).options("-r -t 1").start();
    let honest = [UdpClient::new(pen.address), UdpClient::new(pen.address)];
    assert_ne!(honest[0].server(), honest[1].server());
    let attackers: Vec<UdpClient> = (0..4).map(|_| UdpClient::new(pen.address)).collect();
    for _ in 0..12 {
        attackers.iter().for_each(|attacker| attacker.send("junk"));
        honest.iter().for_each(|client| assert!(!client.server().is_empty()));
        meanwhile(Duration::from_millis(200));
    }
    assert_eq!([failures(&pen, 0), failures(&pen, 1)], [0, 0]);
}

#[test]
fn where_nobody_answers_nobody_is_blamed() {
    let servers = [UdpServer::mute(), UdpServer::mute()];
    let pen = before([&servers[0], &servers[1]]).options("-r -t 1").start();
    let clients: Vec<UdpClient> = (0..6).map(|_| UdpClient::new(pen.address)).collect();
    for _ in 0..5 {
        clients.iter().for_each(|client| client.send("<13>a line"));
        meanwhile(Duration::from_millis(500));
    }
    assert_eq!([failures(&pen, 0), failures(&pen, 1)], [0, 0]);
    let received = || servers.each_ref().map(|server| server.datagrams().len());
    eventually("every line", received, |counts| *counts == [15, 15]);
}

#[test]
fn the_last_server_is_not_blamed_for_its_silence() {
    let (a, answers) = fickle("A");
    let pen = before([&a]).options("-t 1").start();
    let client = UdpClient::new(pen.address);
    assert_eq!(client.server(), "A");
    answers.store(false, SeqCst);
    client.send("?");
    meanwhile(Duration::from_millis(2500));
    assert_eq!(failures(&pen, 0), 0);
    answers.store(true, SeqCst);
    assert_eq!(client.server(), "A");
}

#[test]
fn silence_can_be_allowed() {
    let (a, mute) = (UdpServer::named("A"), UdpServer::mute());
    let pen = before([&mute, &a]).options("-r -t 1").command("no udp_answers").start();
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    let client = UdpClient::new(pen.address);
    client.send("?");
    meanwhile(Duration::from_millis(2500));
    assert_eq!(failures(&pen, 0), 0);
    // Allowed no longer: what has not been answered by then counts.
    pen.control("udp_answers");
    assert_eq!(client.insist("?").1, "A:?");
}
