//! Lines of GLB's language on the control socket.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::eventually;

/// The rows of `getinfo` as words: address, weight, usage, map, connections.
fn rows(pen: &Pen) -> Vec<Vec<String>> {
    let table = pen.control("getinfo");
    let rows = table.lines().skip(3).take_while(|line| !line.starts_with('-'));
    rows.map(|row| row.split_whitespace().filter(|word| *word != ":").map(String::from).collect()).collect()
}

#[test]
fn destinations_come_change_and_go_by_one_line() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a]).options("-r").start();
    assert_eq!(pen.control(&format!("{b}:2.5")), "Ok\n");
    assert_eq!(rows(&pen)[1][..2], [b.to_string(), "2.500".into()]);
    assert_eq!(rows(&pen)[0][1], "1.000", "as if nothing was said");
    let mut named = [pen.connect(), pen.connect()].map(|mut client| (client.line(), client));
    named.sort_by_key(|(name, _)| name.clone());
    let [(_, mut at_a), (_, mut at_b)] = named;
    assert_eq!(pen.control(&format!("{b}:0")), "Ok\n");
    assert_eq!(pen.asks(4), "AAAA", "weight 0: no new connections");
    let info = pen.control("getinfo");
    assert!(info.starts_with("Router:\n------") && !info.contains("nan"), "{info}");
    assert!(info.contains("Destinations: 2, total connections: 2 of "), "{info}");
    assert_eq!(pen.control(&format!("{b}:-1")), "Ok\n");
    assert_eq!(at_b.try_line(), None, "a negative weight cuts at once");
    assert_eq!(at_a.exchange("still"), "still");
}

#[test]
fn counts_are_never_negative() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r").start();
    let held = [pen.connect(), pen.connect(), pen.connect(), pen.connect()];
    assert_eq!(pen.control(&format!("{a}:-1")), "Ok\n");
    assert_eq!(pen.control(&format!("{a}:1")), "Ok\n");
    drop(held);
    eventually("connections to end", || rows(&pen), |rows| rows.iter().all(|row| row[4] == "0"));
    assert_eq!(rows(&pen).len(), 2);
    let asked = pen.asks(6);
    assert!(asked.contains('A') && asked.contains('B'), "{asked}");
}

#[test]
fn what_is_wrong_is_said_as_ever() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    for (line, reply) in [
        ("127.0.0.1:1:x", "error: weight: want a number up to 65535, got \"x\"\n"),
        ("127.0.0.1:99999", "error: port: want 0..65535, got \"99999\"\n"),
        ("127.0.0.1:9:-1", "error: there is no server 127.0.0.1:9\n"),
    ] {
        assert_eq!(pen.control(line), reply);
    }
    assert_eq!(rows(&pen).len(), 1);
}

#[test]
fn statistics_are_of_the_time_since_they_were_asked_for() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let number = |line: &str, at: usize| line.split_whitespace().nth(at - 1).unwrap().to_string();
    pen.control("getstat");
    let mut client = pen.connect();
    assert_eq!((client.line(), client.exchange("four")), ("A".into(), "four".into()));
    let line = eventually("bytes to be counted", || pen.control("GETSTATS"), |line| number(line, 4) == "7");
    assert_eq!(
        (number(&line, 2), number(&line, 6), number(&line, 10)),
        ("5".into(), "12".into(), "12".into())
    );
    assert_eq!((number(&line, 14), number(&line, 16)), ("1".into(), "1".into()));
    for at in [8, 12, 18, 22] {
        assert!(number(&line, at).parse::<u64>().unwrap() > 0, "field {at}: {line}");
    }
    let next = pen.control("getstat");
    assert!(next.starts_with("in: 0 out: 0 recv: 0 / 0 send: 0 / 0 conns: 0 / 1 poll: "), "{next}");
}
