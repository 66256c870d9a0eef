//! Clones with UDP: each datagram that a server gets goes to the clone of its session too, and whatever the clone does, the
//! client does not notice.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::idlers::total;
use serde_json::{Value, json};

/// A member and its clones; sessions end when they were silent for a second.
fn before(member: &UdpServer, clones: &[&UdpServer]) -> Start {
    let servers = [member].into_iter().chain(clones.iter().copied());
    let start = Pen::before(servers).options("-U").command("udp_idle_timeout 1");
    (1..=clones.len()).fold(start, |start, number| start.command(format!("server {number} role clone")))
}

fn told(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("clones json")).unwrap()
}

/// Waits until so many sessions with clones are over.
fn over(pen: &Pen, count: u64) -> Value {
    eventually("sessions to be over", || told(pen), |told| told["clone"]["connections"] == count)
}

/// Waits until the server has so many datagrams.
fn got(server: &UdpServer, count: usize) -> Vec<Vec<u8>> {
    eventually("datagrams", || server.datagrams(), |got| got.len() == count)
}

#[test]
fn a_clone_gets_each_datagram_and_its_answers_go_nowhere() {
    let (member, clone) = (UdpServer::named("M"), UdpServer::named("longer"));
    let pen = before(&member, &[&clone]).start();
    assert_eq!(told(&pen)["state"], "enabled");
    let client = UdpClient::new(pen.address);
    for question in ["one", "", "three\0\0"] {
        assert_eq!(client.ask(question), format!("M:{question}"));
    }
    assert!(client.hears_nothing());
    assert_eq!(got(&clone, 3), [&b"one"[..], b"", b"three\0\0"]);
    assert_eq!(clone.datagrams(), member.datagrams());
    let told = over(&pen, 1);
    assert_eq!(told["clone"]["ends"], json!({"finished": 1}));
    assert_eq!(told["member"]["ends"], json!({"idle_timeout": 1}));
    assert_eq!((&told["member"]["sent_bytes"], &told["clone"]["sent_bytes"]), (&json!(10), &json!(10)));
    let received = (&told["member"]["received_bytes"], &told["clone"]["received_bytes"]);
    assert_eq!(received, (&json!(10 + 3 * 2), &json!(10 + 3 * 7)));
    assert!(told["clone"]["first_byte"]["median_us"].as_u64() > Some(0), "{told}");
    let text = pen.control("clones");
    assert!(
        text.contains("differs first_line 1: \"one\" line 1 member \"M:one\" clone \"longer:one\""),
        "{text}"
    );
    let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    assert_eq!((&servers[1]["connections"], &servers[1]["connections_total"]), (&json!(0), &json!(1)));
    assert_eq!(servers[1]["sent_bytes"], 10);
}

#[test]
fn first_answers_are_compared() {
    let answering = |name: &'static str| {
        UdpServer::handling(&format!("127.0.0.1:{}", free_port()), move |socket, datagram, peer| {
            let answer = match datagram {
                b"same" => "as it was".into(),
                b"mute" => return,
                _ => format!("from {name}"),
            };
            // The second is in any order with those to later questions, and is not compared.
            for answer in [answer.as_str(), name] {
                let _ = socket.send_to(answer.as_bytes(), peer);
            }
        })
    };
    let (member, clone) = (answering("M"), answering("C"));
    let pen = before(&member, &[&clone]).start();
    for question in ["same", "mute", "other"] {
        UdpClient::new(pen.address).send(question);
    }
    let told = over(&pen, 3);
    assert_eq!((&told["compared"], &told["same"]), (&json!(3), &json!(2)), "{told}");
    assert_eq!(told["differences"][0]["example"]["clone"], "from C");
    assert_eq!(told["clone"]["first_byte"]["count"], 2, "one had no answer");
}

#[test]
fn a_session_keeps_its_clone_and_clones_take_turns() {
    let member = UdpServer::named("M");
    let clones = ["A", "B"].map(UdpServer::named);
    let pen = before(&member, &[&clones[0], &clones[1]]).command("policy round_robin").start();
    let clients = [(); 4].map(|()| UdpClient::new(pen.address));
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            client.ask(&format!("{number} {round}"));
        }
    }
    for clone in &clones {
        let got = got(clone, 6);
        assert_eq!(clone.peers().len(), 2, "a socket for each session");
        let first = got[0][0];
        let rounds: Vec<u8> = got.iter().filter(|got| got[0] == first).map(|got| got[2]).collect();
        assert_eq!(rounds, b"012");
    }
    pen.control("clone_percent 0");
    assert_eq!(told(&pen)["state"], "disabled");
    UdpClient::new(pen.address).ask("alone");
    over(&pen, 4);
    assert!(clones.iter().all(|clone| clone.datagrams().len() == 6));
}

#[test]
fn runs_headers_and_sources_are_for_clones_as_for_members() {
    const SIZE: usize = 300;
    let (member, clone) = (UdpServer::mute(), UdpServer::mute());
    let start = before(&member, &[&clone]).command("server 1 proxy v2").command("server 1 source 127.0.0.9");
    let pen = start.command("server 0 source 127.0.0.7").start();
    let bytes: Vec<u8> = (0..SIZE * 40 - 100).map(|byte| (byte / SIZE + byte) as u8).collect();
    UdpClient::new(pen.address).send_run(&bytes, SIZE as u16);
    let (plain, headed) = (got(&member, 40), got(&clone, 40));
    assert!(plain.concat() == bytes);
    for (plain, headed) in plain.iter().zip(&headed) {
        assert!(headed.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c") && headed[28..] == *plain);
    }
    let source = |server: &UdpServer| server.peers().first().map(|peer| peer.ip().to_string());
    assert_eq!(
        (source(&member).as_deref(), source(&clone).as_deref()),
        (Some("127.0.0.7"), Some("127.0.0.9"))
    );
    // Of the documentation, not of this machine.
    pen.control("server 1 source 192.0.2.1");
    UdpClient::new(pen.address).send("on");
    got(&member, 41);
    assert_eq!(over(&pen, 2)["clone"]["ends"], json!({"finished": 1, "shortage": 1}));
    assert_eq!(clone.datagrams().len(), 40);
}

#[test]
fn a_bad_clone_costs_the_client_nothing() {
    let member = UdpServer::named("M");
    let mut dead = UdpServer::named("D");
    dead.pause();
    let silent = UdpServer::mute();
    let flooding = UdpServer::handling(&format!("127.0.0.1:{}", free_port()), |socket, _, peer| {
        // Its session may be over.
        (0..500).for_each(|_| drop(socket.send_to(&[b'x'; 1_000], peer)));
    });
    for (clone, end) in [(&dead, "connect_failed"), (&silent, "finished"), (&flooding, "finished")] {
        let pen = before(&member, &[clone]).start();
        let client = UdpClient::new(pen.address);
        for question in 0..50 {
            assert_eq!(client.ask(&question.to_string()), format!("M:{question}"));
        }
        assert_eq!(over(&pen, 1)["clone"]["ends"], json!({end: 1}));
        assert_eq!(total(&pen, "datagrams_dropped"), 0);
        let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
        assert_eq!(servers[1]["connections"], 0);
        if end == "connect_failed" {
            assert_eq!(told(&pen)["state"], "failed", "it is blacklisted");
            assert!(pen.stderr().contains("cannot send to the clone server 1 ("), "{}", pen.stderr());
        }
    }
}

#[test]
fn a_clone_gets_nothing_twice_when_a_server_fails() {
    let mut gone = UdpServer::named("G");
    gone.pause();
    let (other, clone) = (UdpServer::named("M"), UdpServer::named("C"));
    let port = |server: &UdpServer| server.address().port();
    let start = before(&gone, &[]).command("roundrobin");
    let start = start.command(format!("server 1 address 127.0.0.1 port {}", port(&other)));
    let pen = start.command(format!("server 2 address 127.0.0.1 port {} role clone", port(&clone))).start();
    for question in ["one", "two"] {
        assert_eq!(UdpClient::new(pen.address).ask(question), format!("M:{question}"));
    }
    assert_eq!(total(&pen, "failovers"), 1);
    assert_eq!(over(&pen, 2)["clone"]["ends"], json!({"finished": 2}));
    assert_eq!(clone.datagrams(), [b"one", b"two"]);
}

#[test]
fn a_new_server_warms_up_as_a_clone_of_sessions() {
    let [old, new] = ["A", "B"].map(UdpServer::named);
    let pen = Pen::before([&old]).options("-U -r").start();
    let standing = || {
        let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
        ["role", "state"].map(|key| servers[1][key].as_str().unwrap_or_default().to_owned()).join(" ")
    };
    let asks = |count: usize| {
        let ask = |_| UdpClient::new(pen.address).ask("x");
        let mut answers: Vec<String> = (0..count).map(ask).collect();
        answers.sort_unstable();
        answers.join(" ")
    };
    assert_eq!(pen.control(&format!("server add web={new} warm_up 300")), "1\n");
    assert_eq!(asks(3), "A:x A:x A:x");
    assert_eq!(got(&new, 3), [b"x"; 3]);
    assert_eq!(standing(), "clone warming");
    assert_eq!(pen.control("server web warm_up 0"), "");
    assert_eq!(standing(), "member up");
    assert_eq!(asks(4), "A:x A:x B:x B:x");

    pen.control("server web remove now");
    assert_eq!(pen.control(&format!("server add web={new} warm_up 1")), "1\n");
    assert_eq!(asks(1), "A:x");
    eventually("the new server to be warm", standing, |standing| standing == "member up");
    assert_eq!(asks(4), "A:x A:x B:x B:x");
}
