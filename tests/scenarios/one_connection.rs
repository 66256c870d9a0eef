//! One connection in the hands of the operator: `connection N`, `socket N`, `close N`; and `pending_max`, which looks at
//! connects under way.

use crate::common::backend::{Backend, Unresponsive};
use crate::common::client::End;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use serde_json::Value;

fn listed(pen: &Pen) -> Vec<Value> {
    serde_json::from_str(&pen.control("connections json")).unwrap()
}

/// The number after a word in the answer to `connection N`.
fn figure(text: &str, word: &str) -> i64 {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("{word}: {text}")).1;
    let end = rest.find([',', '\n']).unwrap();
    rest[..end].parse().unwrap()
}

#[test]
fn a_closed_connection_ends_on_both_sides_and_frees_its_place() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("{server}:1")]).options("-r").start();
    let mut client = pen.connect();
    client.line();
    assert_eq!(pen.ask(), "-", "its server has room for one");
    let number = listed(&pen)[0]["number"].clone();
    assert_eq!(pen.control(&format!("close {number}")), format!("Forcibly closing connection {number}\n"));
    client.ending();
    eventually("the server to see the end", || server.open(), |open| *open == 0);
    assert!(pen.control("servers").contains(" conn 0 "));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn what_is_not_open_cannot_be_closed_and_nothing_else_is() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    client.line();
    let number = listed(&pen)[0]["number"].as_u64().unwrap();
    for (command, reply) in [
        (format!("close {}", number + 1), format!("error: close: connection {} is not open\n", number + 1)),
        ("close 4294967295".into(), "Connection 4294967295 out of range\n".into()),
        ("connection 4294967295".into(), "Connection 4294967295 out of range\n".into()),
        ("socket 4294967295".into(), "Socket 4294967295 belongs to connection -1\n".into()),
    ] {
        assert_eq!(pen.control(&command), reply, "{command}");
    }
    assert!(pen.control("servers").contains(" conn 1 "), "nothing is counted that did not happen");
    assert_eq!(client.exchange("still"), "still");
}

#[test]
fn both_sockets_of_a_connection_lead_to_it() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut clients = [pen.connect(), pen.connect(), pen.connect()];
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    for number in listed(&pen).iter().map(|connection| &connection["number"]) {
        let text = pen.control(&format!("connection {number}"));
        assert!(text.starts_with(&format!("Connection {number}:\nstate = 2\n")), "{text}");
        for side in ["downfd = ", "upfd = "] {
            let descriptor = figure(&text, side);
            let expected = format!("Socket {descriptor} belongs to connection {number}\n");
            assert_eq!(pen.control(&format!("socket {descriptor}")), expected);
        }
    }
    let [mut first, ..] = clients;
    first.end();
    assert_eq!(first.ending(), End::Eof);
}

#[test]
fn a_connection_whose_client_has_ended_says_so() {
    let server = Backend::serving(|mut stream| {
        crate::common::client::ending(&mut stream);
        // Stays open until the test is over.
        std::thread::park();
    });
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    client.send("words\n");
    client.end();
    // pen may not have taken it in yet.
    eventually("the connection", || listed(&pen).len(), |count| *count == 1);
    let show = || pen.control(&format!("connection {}", listed(&pen)[0]["number"]));
    // 2: connected, 8: end of file from the client.
    eventually("the end of the client's side", show, |text| figure(text, "state = ") == 10);
}

#[test]
fn with_pending_max_connects_under_way_nobody_is_taken_in() {
    let deaf = Unresponsive::new();
    let pen =
        Pen::before([&deaf]).options("-r -t 3600").command("pending_max 2").command("threads 1").start();
    let _clients = [pen.connect(), pen.connect(), pen.connect(), pen.connect()];
    let connecting = || listed(&pen).len();
    eventually("two connects", connecting, |count| *count == 2);
    for connection in listed(&pen) {
        let text = pen.control(&format!("connection {}", connection["number"]));
        assert_eq!((figure(&text, "state = "), figure(&text, "pend = ")), (1, 1), "{text}");
    }
    assert_eq!(pen.control("pending_max"), "2\n");
    assert_eq!(listed(&pen).len(), 2, "the others wait in the kernel's queue");
    assert_eq!(pen.control("pending_max 3"), "");
    eventually("one more", connecting, |count| *count == 3);
    // Whoever is closed makes room for the next.
    pen.control(&format!("close {}", listed(&pen)[0]["number"]));
    eventually(
        "the last one in place of the first",
        || pen.control("metrics"),
        |text| {
            text.lines()
                .any(|line| line.starts_with("pen_connections_accepted_total") && line.ends_with(" 4"))
        },
    );
    assert_eq!(listed(&pen).len(), 3);
}
