//! Lines of GLB's language on the control socket.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;

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
    let held = "Destinations: 2, total connections: 2 of ";
    let info = eventually("four clients to be gone", || pen.control("getinfo"), |info| info.contains(held));
    assert!(info.starts_with("Router:\n------") && !info.contains("nan"), "{info}");
    assert_eq!(pen.control(&format!("{b}:-1")), "Ok\n");
    assert_eq!(at_b.try_line(), None, "a negative weight cuts at once");
    assert_eq!(at_a.exchange("still"), "still");
}

/// What GLB's socket of this pen answers to these bytes before it ends.
fn says(port: u16, bytes: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn a_socket_of_its_own_takes_many_lines_and_answers_each() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let port = free_port();
    let pen = Pen::before([&a]).options("-r").command(format!("control_glb {port}")).start();
    assert_eq!(says(port, &format!("{b}\n{b}:2\r\n{a}:1e0\n")), "Ok\nOk\nOk\n");
    assert_eq!(says(port, "nonsense here\n127.0.0.1:9:-1\n127.0.0.1:x\n"), "Error\nError\nError\n");
    let table = says(port, "getinfo");
    assert!(table.contains("Destinations: 2, total connections: 0 of "), "{table}");
    let mut pieces = Client::connect((Ipv4Addr::LOCALHOST, port).into());
    pieces.send(format!("127.0.0.1:{}", b.port()));
    pieces.send(":-");
    pieces.send("1\nGETSTAT\n");
    assert_eq!(pieces.line(), "Ok");
    assert!(pieces.line().starts_with("in: 0 out: 0 "));
    assert_eq!(pen.asks(4), "AAAA");
}

#[test]
fn a_fifo_takes_lines_and_is_gone_at_the_end() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let start = Pen::before([&a]).options("-r");
    let path = start.path("fifo");
    let mut pen = start.command(format!("control_fifo {}", path.display())).start();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, format!("{b}\nnonsense\n{a}:0\n")).unwrap();
    eventually("the FIFO to be heard", || rows(&pen), |rows| rows.len() == 2 && rows[0][1] == "0.000");
    assert_eq!(pen.asks(3), "BBB");
    // A line without end is its writer's fault, not the next one's.
    fs::write(&path, vec![b'x'; 9 << 20]).unwrap();
    fs::write(&path, format!("\n{a}:1\n{b}:0\n")).unwrap();
    eventually("the FIFO to be heard", || rows(&pen), |rows| rows[1][1] == "0.000");
    assert_eq!(pen.asks(3), "AAA");
    pen.signal(Signal::SIGTERM);
    pen.wait();
    assert!(!path.exists());
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
