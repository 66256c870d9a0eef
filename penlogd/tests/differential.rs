//! The same datagrams sent to Debian's penlogd and to this one: the same log must come out, but for a list of
//! deliberate differences, each with its reason.
//!
//! Needs the original (Debian package `pen`). Without it the tests say so and do nothing, unless `CI=true`.

mod common;

use common::skip::skip_outside_ci;
use common::{ORIGINAL, OURS, Penlogd, eventually};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;

/// A datagram and the address it comes from.
type Sent = (&'static str, String);

/// Matches nothing and so ends every log as it is.
const END: &str = "127.0.0.9 - - [t] \"END\" 200 1\n";

fn log(program: &str, arguments: &str, sent: &[Sent]) -> String {
    let penlogd = Penlogd::start_make(program, &format!("-b {arguments}"));
    for (source, datagram) in sent {
        penlogd.send(source, &[datagram.as_bytes()]);
    }
    penlogd.send("127.0.0.9", &[END.as_bytes()]);
    let log = eventually("the last line", || penlogd.read("log"), |log| log.ends_with(END));
    log.strip_suffix(END).unwrap().to_owned()
}

fn original_is_missing() -> bool {
    let missing = !Path::new(ORIGINAL).exists();
    if missing {
        skip_outside_ci("the original penlogd is not installed (Debian package pen)");
    }
    missing
}

const SERVERS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

const LONG_REQUEST: &str =
    "GET /a/path/that/is/jut/short/enough/to/be/kept/whole/by/the/original/which/keeps/99/bytes HTTP/1.1";

/// What pen sends; none is the beginning of another.
const REQUESTS: [&str; 5] =
    ["GET / HTTP/1.0", "GET / HTTP/1.1", "GET /ab HTTP/1.0", "POST /%22[x] HTTP/1.1", "-"];

/// What web servers log: the same, and beginnings of it.
const LOGGED: [&str; 8] = [
    "GET / HTTP/1.0",
    "GET / HTTP/1.1",
    "GET /ab HTTP/1.0",
    "POST /%22[x] HTTP/1.1",
    "-",
    "GET /",
    "POST",
    "PUT /",
];

fn datagrams() -> impl Strategy<Value = Vec<Sent>> {
    let server = || prop::sample::select(&SERVERS[..]);
    let pen_line = (server(), server(), 1..250u8, prop::sample::select(&REQUESTS[..])).prop_map(
        |(source, server, client, request)| {
            let client =
                if client % 3 == 0 { format!("2001:db8::{client}") } else { format!("10.0.0.{client}") };
            (source, format!("+ {client} {server} {request}\n"))
        },
    );
    let web_line =
        (server(), prop::sample::select(&LOGGED[..]), 0..1000u32).prop_map(|(source, request, size)| {
            (source, format!("{source} - - [t] \"{request}\" 200 {size} \"-\" \"Browser\"\n"))
        });
    let bogus =
        (server(), prop::sample::select(vec!["none\n", "one \" quote\n", "+\n", "+ 10.0.0.1\n", "\n"]))
            .prop_map(|(source, line)| (source, line.to_owned()));
    proptest::collection::vec(prop_oneof![5 => pen_line, 5 => web_line, 1 => bogus], 0..60)
}

/// The original does not look at the entry that it will overwrite next, so its cache is one smaller than it says.
#[test]
fn the_same_log_comes_out() {
    if original_is_missing() {
        return;
    }
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let compared = TestRunner::new(config).run(&datagrams(), |sent| {
        prop_assert_eq!(log(OURS, "-n 7", &sent), log(ORIGINAL, "-n 8", &sent));
        Ok(())
    });
    compared.unwrap();
}

#[test]
fn lines_with_oddities_come_out_the_same() {
    if original_is_missing() {
        return;
    }
    assert_eq!(LONG_REQUEST.len(), 99);
    let web_line = |request: &str| ("127.0.0.1", format!("x - - [t] \"{request}\" 200 1\n"));
    let pen_line = |request: &str| ("127.0.0.1", format!("+ 10.0.0.1 127.0.0.1 {request}\n"));
    let sent = [
        web_line("GET /"),
        pen_line(LONG_REQUEST),
        web_line(LONG_REQUEST),
        pen_line("GET /twice"),
        web_line("GET /twice"),
        web_line("GET /twice"),
        ("127.0.0.1", "leading  blanks \"GET /twice\" x\n".to_owned()),
        ("127.0.0.1", "no-blank\"GET-/other\"\n".to_owned()),
        ("127.0.0.1", "no-blank\"POST-/other\"\n".to_owned()),
    ];
    let original = log(ORIGINAL, "", &sent);
    assert_eq!(original.lines().count(), 7, "{original}");
    assert_eq!(log(OURS, "", &sent), original);
}

/// What is sent, and the clients of the lines that come out.
struct Difference {
    sent: Vec<Sent>,
    original: &'static [&'static str],
    ours: &'static [&'static str],
    why: &'static str,
}

#[test]
fn differences_are_deliberate() {
    if original_is_missing() {
        return;
    }
    let from_server = |text: &str| ("127.0.0.1", text.to_owned());
    let long = format!("GET /{} HTTP/1.1", "x".repeat(200));
    let differences = [
        Difference {
            sent: vec![
                from_server(&format!("+ C 127.0.0.1 {long}\n").replace('C', "10.0.0.1")),
                from_server(&format!("x - - [t] \"{long}\" 200 1\n")),
            ],
            original: &["x"],
            ours: &["10.0.0.1"],
            why: "a long request matches by the hundred bytes that pen logs of it",
        },
        Difference {
            sent: vec![from_server("+ 10.0.0.1 127.0.0.1 GET /\n"), from_server("x - - [t] \"\" 408 0\n")],
            original: &["10.0.0.1"],
            ours: &["x"],
            why: "who asked for nothing is not the client of another request",
        },
        Difference {
            sent: vec![
                from_server("+ 10.0.0.1 127.0.0.1 GET /\n"),
                from_server("+ 10.0.0.2 127.0.0.1 GET /a\n"),
                from_server("x - - [t] \"GET /\" 200 1\n"),
            ],
            original: &["10.0.0.2"],
            ours: &["10.0.0.1"],
            why: "the request itself is nearer than one that begins with it",
        },
        Difference {
            sent: vec![
                from_server("+ 10.0.0.1 127.0.0.1 GET /\n"),
                from_server("x - - [t] \"GET /\" 200 1\nx - - [t] \"GET /\" 200 1\n"),
            ],
            original: &["10.0.0.1", "x"],
            ours: &["10.0.0.1", "10.0.0.1"],
            why: "every line is a line, however they travel",
        },
        Difference {
            sent: vec![
                from_server("+ 10.0.0.1 127.0.0.1 GET /\"\t\n"),
                from_server("x - - [t] \"GET /\\\"\\t\" 200 1\n"),
            ],
            original: &["x"],
            ours: &["10.0.0.1"],
            why: "web servers escape what pen sends as it came",
        },
        Difference {
            sent: vec![
                from_server("+ 10.0.0.1 127.0.0.1 GET /\n"),
                from_server("x - - [t] \"GET /\" 200 1"),
                from_server("x - - [t] \"GET /\" 200 2\n"),
            ],
            original: &["10.0.0.1"],
            ours: &["10.0.0.1", "10.0.0.1"],
            why: "a line that lost its end gets one",
        },
        Difference {
            sent: vec![from_server("+ 10.0.0.1 127.0.0.1 GET-/\n"), from_server("no-blank\"GET-/\"\n")],
            original: &["10.0.0.1"],
            ours: &[],
            why: "a client without the rest of its line is no line",
        },
        Difference {
            sent: vec![
                from_server("+ 10.0.0.1 localhost GET /\n"),
                from_server("x - - [t] \"GET /\" 200 1\n"),
            ],
            original: &["10.0.0.1"],
            ours: &["x"],
            why: "pen sends addresses; looking up names for anybody would stop the log",
        },
    ];
    for Difference { sent, original, ours, why } in differences {
        let clients = |program| {
            let log = log(program, "", &sent);
            log.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(clients(ORIGINAL), original, "{why}: original");
        assert_eq!(clients(OURS), ours, "{why}: ours");
    }
}

#[test]
fn ipv6_servers_kill_only_the_original() {
    if original_is_missing() {
        return;
    }
    let mut penlogd = Penlogd::start_make(ORIGINAL, "-b");
    penlogd.send("127.0.0.1", &[b"+ 10.0.0.1 ::1 GET /\n"]);
    assert_eq!(penlogd.child.wait().unwrap().code(), None);
    assert_eq!(log(OURS, "", &[("127.0.0.1", "+ 10.0.0.1 ::1 GET /\n".to_owned())]), "");
}
