//! Clones get what members get, and whatever they do, the client does not notice.

use crate::common::backend::{Backend, Unresponsive, read_line};
use crate::common::client::{read, reset};
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::wait::{eventually, meanwhile, received};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server that answers with this when the client has ended, and tells all that it was sent and from where.
fn listener(answer: &'static str) -> (Backend, Receiver<(String, Vec<u8>)>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let backend = Backend::serving(move |mut stream| {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(count @ 1..) = read(&mut stream, &mut buffer) {
            bytes.extend_from_slice(&buffer[..count]);
        }
        let _ = stream.write_all(answer.as_bytes());
        let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
        // Nobody may listen any more.
        let _ = tell.lock().unwrap().send((peer, bytes));
    });
    (backend, told)
}

/// A member and its clones.
fn before(member: &Backend, clones: &[&dyn std::fmt::Display]) -> Start {
    let servers = [member.to_string()].into_iter().chain(clones.iter().map(ToString::to_string));
    let start = Pen::before(servers);
    (1..=clones.len()).fold(start, |start, number| start.command(format!("server {number} role clone")))
}

fn clones(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("clones json")).unwrap()
}

/// Waits until so many connections to clones are over.
fn over(pen: &Pen, count: u64) -> Value {
    eventually("clones to be over", || clones(pen), |clones| clones["clone"]["connections"] == count)
}

#[test]
fn a_clone_gets_what_the_member_gets_and_its_answer_goes_nowhere() {
    let (member, clone) = (listener("from the member"), listener("nothing for the client"));
    let pen = before(&member.0, &[&clone.0]).start();
    for text in ["", "\0\0 binary \u{1}\0", "two\nlines\n"] {
        let mut client = pen.connect();
        client.send(text);
        client.end();
        assert_eq!(client.rest(), b"from the member");
        for told in [&member.1, &clone.1] {
            assert_eq!(received(told).1, text.as_bytes());
        }
    }
    let told = over(&pen, 3);
    assert_eq!((&told["state"], &told["percent"]), (&"enabled".into(), &100.into()));
    assert_eq!(told["clone"]["ends"], serde_json::json!({"finished": 3}));
    assert_eq!(told["member"]["sent_bytes"], told["clone"]["sent_bytes"]);
    assert_eq!(told["clone"]["received_bytes"], 3 * 22);
    assert!(told["clone"]["first_byte"]["median_us"].as_u64() > Some(0), "{told}");
    let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    assert_eq!((&servers[0]["role"], &servers[1]["role"]), (&"member".into(), &"clone".into()));
    assert_eq!((&servers[1]["connections"], &servers[1]["connections_total"]), (&0.into(), &3.into()));
    assert!(pen.control("servers").lines().nth(1).unwrap().ends_with(" role clone"));
}

#[test]
fn a_large_request_reaches_the_clone_as_a_whole() {
    const BYTES: usize = 3_000_000;
    let counting = || {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let backend = Backend::serving(move |mut stream| {
            let count = pattern::read_to_end(&mut stream);
            let _ = stream.write_all(b"done\n");
            let _ = tell.lock().unwrap().send(count);
        });
        (backend, told)
    };
    let (member, clone) = (counting(), counting());
    let pen = before(&member.0, &[&clone.0]).command("clone_queue 8000000").start();
    let mut client = pen.connect();
    pattern::write(&mut client.stream, BYTES).unwrap();
    client.end();
    assert_eq!(client.line(), "done");
    assert_eq!((received(&member.1), received(&clone.1)), (BYTES, BYTES));
}

/// Sends and gets back so much that a clone which does not read must lose.
fn converse(pen: &Pen) {
    const BYTES: usize = 12_000_000;
    let mut client = pen.connect();
    assert_eq!(client.line(), "M");
    assert_eq!(pattern::round_trip(client.stream.try_clone().unwrap(), BYTES), BYTES);
}

#[test]
fn a_bad_clone_costs_the_client_nothing() {
    let member = Backend::named("M");
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let holding = held.clone();
    let stalled = Backend::serving(move |stream| holding.lock().unwrap().push(stream));
    let flooding = Backend::serving(|mut stream| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    let resetting = Backend::serving(reset);
    let closing = Backend::serving(|stream| stream.shutdown(Shutdown::Both).unwrap());
    let (dead, silent) = (Backend::refusing("D"), Unresponsive::new());
    let bad: [(&dyn std::fmt::Display, &[&str]); 6] = [
        (&stalled, &["queue_full", "stalled"]),
        (&flooding, &["queue_full", "stalled"]),
        (&resetting, &["reset", "connect_failed"]),
        (&closing, &["reset", "finished", "connect_failed"]),
        (&dead, &["connect_failed"]),
        (&silent, &["queue_full", "connect_timeout"]),
    ];
    for (clone, words) in bad {
        let pen = before(&member, &[clone]).options("-t 1").start();
        converse(&pen);
        let told = over(&pen, 1);
        let ends = told["clone"]["ends"].as_object().unwrap();
        assert!(ends.keys().all(|word| words.contains(&&**word)), "{words:?} expected of {told}");
        assert_eq!(told["member"]["ends"], serde_json::json!({"finished": 1}), "{told}");
        let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
        assert_eq!(servers[1]["connections"], 0);
    }
}

#[test]
fn a_clone_that_reads_nothing_is_kept_while_its_queue_has_room() {
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let holding = held.clone();
    let stalled = Backend::serving(move |stream| holding.lock().unwrap().push(stream));
    let member = Backend::named("M");
    let pen = before(&member, &[&stalled]).start();
    let mut client = pen.connect();
    assert_eq!(client.exchange("a word"), "M");
    // It is late, and that costs nothing.
    meanwhile(Duration::from_millis(1_500));
    assert_eq!(clones(&pen)["clone"]["connections"], 0);
    assert_eq!(stalled.open_most(), 1);
    assert_eq!(client.line(), "a word");
    client.end();
    client.rest();
    drop(held.lock().unwrap().drain(..));
    over(&pen, 1);
}

/// Has a clone that reads nothing fall behind by as much as its queue holds, or by more, and says how it ended.
fn falls_behind(goes_on: bool) -> Value {
    const PIECE_BYTES: usize = 100_000;
    const QUEUE_BYTES: u64 = 1_000_000;
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let holding = held.clone();
    let idle = Backend::serving(move |stream| holding.lock().unwrap().push(stream));
    let member = Backend::serving(|mut stream| {
        let mut piece = vec![0; PIECE_BYTES];
        while stream.read_exact(&mut piece).is_ok() && stream.write_all(b"has it\n").is_ok() {}
    });
    let pen = before(&member, &[&idle]).command(format!("clone_queue {QUEUE_BYTES}")).start();
    let servers = || serde_json::from_str::<Value>(&pen.control("servers json")).unwrap();
    let mut client = pen.connect();
    let mut send = || {
        client.stream.write_all(&[b'x'; PIECE_BYTES]).unwrap();
        assert_eq!(client.line(), "has it");
    };
    send();
    eventually("the clone to be open", || idle.open_most(), |open| *open == 1);
    let behind_bytes = || {
        let servers = servers();
        let sent_bytes = |index: usize| servers[index]["sent_bytes"].as_u64().unwrap();
        sent_bytes(0) - sent_bytes(1)
    };
    while behind_bytes() < QUEUE_BYTES {
        send();
    }
    if goes_on {
        send();
    }
    eventually("the clone to be cut off", servers, |servers| servers[1]["connections"] == 0);
    send();
    client.end();
    client.rest();
    over(&pen, 1)["clone"]["ends"].clone()
}

#[test]
fn a_full_queue_is_told_from_one_that_more_is_to_go_into() {
    assert_eq!(falls_behind(false), serde_json::json!({"stalled": 1}));
    assert_eq!(falls_behind(true), serde_json::json!({"queue_full": 1}));
}

#[test]
fn clones_are_no_servers_for_clients() {
    let [member, clone] = ["M", "C"].map(Backend::named);
    let pen = before(&member, &[&clone]).options("-r").command("idlers 4").start();
    assert_eq!(pen.asks(4), "MMMM");
    assert_eq!(over(&pen, 4)["clone"]["connections"], 4);
    assert!(pen.control("idlers").starts_with("Idlers: "));
    assert_eq!(clone.accepted(), 4, "none is kept ready for a clone");
    pen.control("server 0 disable");
    let mut refused = pen.connect();
    assert_eq!(refused.try_line(), None, "nobody serves");
    pen.control("server 0 enable");
    pen.control("server 1 role member");
    assert_eq!(clones(&pen)["state"], "disabled");
    let mut asked: Vec<char> = pen.asks(4).chars().collect();
    asked.sort_unstable();
    assert_eq!(asked, ['C', 'C', 'M', 'M']);
    pen.control("server 1 role clone");
    pen.control("clone_percent 50");
    assert_eq!(pen.control("clone_percent"), "50\n");
    assert_eq!(pen.asks(20), "M".repeat(20));
    let cloned = eventually("clones", || clone.accepted(), |accepted| *accepted >= 4 + 2 + 9);
    assert!(cloned <= 4 + 2 + 11, "{cloned}");
    pen.control("server 1 disable");
    assert_eq!(clones(&pen)["state"], "failed");
    assert_eq!(pen.control("clones").lines().next(), Some("failed"));
    pen.control("clone_percent 0");
    assert_eq!(clones(&pen)["state"], "disabled");
}

#[test]
fn a_clone_has_its_own_source_and_an_unusable_one_costs_only_the_clone() {
    let (member, clone) = (listener("M"), listener("C"));
    let pen = before(&member.0, &[&clone.0]).command("server 1 source 127.0.0.9").start();
    let ask = || {
        let mut client = pen.connect();
        client.send("asks\n");
        client.end();
        assert_eq!(client.rest(), b"M");
        received(&member.1).0
    };
    assert_eq!(ask(), "127.0.0.1");
    assert_eq!(received(&clone.1).0, "127.0.0.9");
    pen.control("server 0 source 127.0.0.7");
    assert_eq!(ask(), "127.0.0.7");
    assert_eq!(received(&clone.1).0, "127.0.0.9");
    // Of the documentation, not of this machine.
    pen.control("server 1 source 192.0.2.1");
    assert_eq!(ask(), "127.0.0.7");
    assert_eq!(over(&pen, 3)["clone"]["ends"], serde_json::json!({"finished": 2, "shortage": 1}));
    pen.control("server 0 source none");
    assert_eq!(ask(), "127.0.0.1");
    let refused = pen.control("server 1 source nowhere");
    assert!(refused.contains("server 1: source: want an IP address or none, got \"nowhere\""), "{refused}");
}

#[test]
fn headers_are_for_clones_as_for_members() {
    let (member, clone) = (listener("M"), listener("C"));
    let start = before(&member.0, &[&clone.0]).command("http replace").command("server 1 proxy v1");
    let pen = start.start();
    let mut client = pen.connect();
    client.send("GET / HTTP/1.0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
    client.end();
    client.rest();
    let edited = String::from_utf8(received(&member.1).1).unwrap();
    assert!(edited.contains("X-Forwarded-For: 127.0.0.1") && !edited.contains("6.6.6.6"), "{edited}");
    let copied = String::from_utf8(received(&clone.1).1).unwrap();
    let (header, request) = copied.split_once("\r\n").unwrap();
    assert!(header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{header}");
    assert_eq!(request, edited);
}

#[test]
fn answers_are_compared_and_each_kind_of_difference_has_an_example() {
    let answering = |name: &'static str| {
        Backend::serving(move |mut stream| {
            let asked = read_line(&stream).unwrap_or_default();
            let answer = match (&*asked, name) {
                ("same", _) => format!("200 OK\nDate: {name}\n\nfine"),
                ("status", "M") => "200 OK\n".into(),
                ("status", _) => "500 \x1b[31mNo\n".into(),
                (_, name) => format!("200 OK\n\n{name}"),
            };
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let (member, clone) = (answering("M"), answering("C"));
    let pen = before(&member, &[&clone]).command("clone_ignore Date:").start();
    for asked in ["same", "same", "status", "body"] {
        let mut client = pen.connect();
        client.send(format!("{asked}\n"));
        client.end();
        client.rest();
    }
    let told = over(&pen, 4);
    assert_eq!((&told["compared"], &told["same"]), (&4.into(), &2.into()), "{told}");
    let text = pen.control("clones");
    assert!(
        text.contains("differs first_line 1: \"status\" line 1 member \"200 OK\" clone \"500 \\x1b[31mNo\"")
    );
    assert!(text.contains("differs content 1: \"body\" line 3 member \"M\" clone \"C\""), "{text}");
    assert_eq!(pen.control("clone_ignore"), "Date:\n");
    assert!(pen.control("no clone_ignore Age:").contains("not in the list"));
    pen.control("no clone_ignore");
    let mut client = pen.connect();
    client.send("same\n");
    client.end();
    client.rest();
    assert_eq!(over(&pen, 5)["same"], 2);
}

/// Role, state and reason of the second server.
fn standing(pen: &Pen) -> (String, String, String) {
    let servers: Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    let [role, state, reason] =
        ["role", "state", "reason"].map(|key| servers[1][key].as_str().unwrap_or_default().to_owned());
    (role, state, reason)
}

#[test]
fn a_new_server_warms_up_as_a_clone_and_then_serves() {
    let (old, new) = (Backend::named("A"), Backend::named("B"));
    let pen = Pen::before([&old]).options("-r").start();
    let add = |seconds: u32| pen.control(&format!("server add web={new} warm_up {seconds}"));
    let words = |role: &str, state: &str, reason: &str| (role.into(), state.into(), reason.into());

    assert_eq!(add(300), "1\n");
    assert_eq!(pen.asks(3), "AAA");
    eventually("the new server to get copies", || new.accepted(), |count| *count == 3);
    assert_eq!(standing(&pen), words("clone", "warming", "warm_up"));
    assert_eq!(pen.control("server web warm_up 0"), "");
    assert_eq!(standing(&pen), words("member", "up", ""));
    assert!(["ABAB", "BABA"].contains(&&*pen.asks(4)));

    pen.control("server web remove now");
    assert_eq!(add(1), "1\n");
    assert_eq!(pen.ask(), "A");
    eventually("the new server to be warm", || standing(&pen), |told| *told == words("member", "up", ""));
    assert!(["ABAB", "BABA"].contains(&&*pen.asks(4)));
}
