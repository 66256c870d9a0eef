//! The same logs given to Debian's mergelogs and to this one: the same lines must come out, but for a list of
//! deliberate differences, each with its reason.
//!
//! Needs the original (Debian package `pen`) and a C compiler: the original leaves the daylight saving flag of its
//! times to chance, so it runs with a `mktime` that ignores it. Without them the tests say so and do nothing, unless
//! `CI=true`.

mod common;

use common::skip::skip_outside_ci;
use common::{TempDir, run};
use pen_proto::weblog::{WebLine, time};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::path::Path;
use std::process::Command;

const ORIGINAL: &str = "/usr/bin/mergelogs";

const MKTIME: &str =
    "#include <time.h>\ntime_t mktime(struct tm *tm) { tm->tm_isdst = 0; return timegm(tm); }\n";

/// The original, made to tell the time.
struct Original {
    directory: TempDir,
}

impl Original {
    fn find() -> Option<Original> {
        if !Path::new(ORIGINAL).exists() {
            skip_outside_ci("the original mergelogs is not installed (Debian package pen)");
            return None;
        }
        let directory = TempDir::new();
        let source = directory.file("mktime.c", MKTIME);
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o", "mktime.so"])
            .arg(source)
            .current_dir(directory.path())
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            skip_outside_ci("no C compiler");
            return None;
        }
        Some(Original { directory })
    }

    fn run(&self, directory: &TempDir, arguments: &str) -> String {
        let output = Command::new(ORIGINAL)
            .args(arguments.split_whitespace())
            .current_dir(directory.path())
            .env("TZ", "UTC")
            .env("LD_PRELOAD", self.directory.path().join("mktime.so"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const START: i64 = 1_010_532_530;

/// Clients, servers and requests that differ in little, so that there is much to confuse.
#[derive(Debug, Clone)]
struct PenEntry {
    client: u8,
    epoch_seconds: i64,
    server: usize,
    request: usize,
}

#[derive(Debug, Clone)]
struct WebEntry {
    epoch_seconds: i64,
    request: usize,
    is_combined: bool,
    zone_minutes: i64,
}

const SERVERS: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.10"];

const REQUESTS: [&str; 6] = [
    "GET / HTTP/1.0",
    "GET / HTTP/1.1",
    "GET /a HTTP/1.1",
    "GET /a?b=[c] d HTTP/1.1",
    "POST /%22 HTTP/1.1",
    "-",
];

#[derive(Debug, Clone)]
struct Logs {
    pen: Vec<PenEntry>,
    web: [Vec<WebEntry>; 3],
    jitter_seconds: i64,
}

impl Logs {
    fn write(&self) -> TempDir {
        let directory = TempDir::new();
        let pen_line = |entry: &PenEntry| {
            let (server, request) = (SERVERS[entry.server], REQUESTS[entry.request]);
            format!("{} {} {server} {request}\n", client_text(entry.client), entry.epoch_seconds)
        };
        directory.file("pen.log", &self.pen.iter().map(pen_line).collect::<String>());
        for (index, entries) in self.web.iter().enumerate() {
            let text: String = entries.iter().map(|entry| entry.line(SERVERS[index])).collect();
            directory.file(&format!("web{index}.log"), &text);
        }
        directory
    }

    fn arguments(&self) -> String {
        let webs: Vec<_> = (0..3).map(|index| format!("{}:web{index}.log", SERVERS[index])).collect();
        format!("-p pen.log -j {} {}", self.jitter_seconds, webs.join(" "))
    }

    /// How far away the client's nearest entry for this request is.
    fn distance(&self, client: &str, line: &WebLine<'_>, server: &str) -> Option<u64> {
        self.pen
            .iter()
            .filter(|entry| client_text(entry.client) == client)
            .filter(|entry| {
                SERVERS[entry.server] == server && REQUESTS[entry.request].as_bytes() == line.request
            })
            .map(|entry| entry.epoch_seconds.abs_diff(line.epoch_seconds))
            .min()
    }

    /// The rule: the nearest entry of the same server and request within the jitter, of equals the earliest, of
    /// those in one second the first.
    fn expected_client(&self, line: &WebLine<'_>, server: &str) -> String {
        self.pen
            .iter()
            .filter(|entry| {
                SERVERS[entry.server] == server && REQUESTS[entry.request].as_bytes() == line.request
            })
            .filter(|entry| entry.epoch_seconds.abs_diff(line.epoch_seconds) <= self.jitter_seconds as u64)
            .min_by_key(|entry| (entry.epoch_seconds.abs_diff(line.epoch_seconds), entry.epoch_seconds))
            .map_or(server.to_owned(), |entry| client_text(entry.client))
    }
}

fn client_text(client: u8) -> String {
    if client.is_multiple_of(4) { format!("2001:db8::{client:x}") } else { format!("192.0.2.{client}") }
}

impl WebEntry {
    /// The server stands in the size field, so that it can be told from the merged line.
    fn line(&self, server: &str) -> String {
        let zone_seconds = self.zone_minutes * 60;
        let mut stamp = Vec::new();
        time::write_time(&mut stamp, self.epoch_seconds + zone_seconds, b"");
        let time = String::from_utf8(stamp).unwrap();
        let time = time.strip_suffix(" +0000").unwrap();
        let sign = if self.zone_minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (self.zone_minutes.abs() / 60, self.zone_minutes.abs() % 60);
        let tail = if self.is_combined { " \"http://a/ [b]\" \"Browser; \\\"x\\\"\"" } else { "" };
        let request = REQUESTS[self.request];
        format!("10.9.9.9 - u v [{time} {sign}{hours:02}{minutes:02}] \"{request}\" 200 {server}{tail}\n")
    }
}

/// Entries in order of time, `gap_seconds` apart at most, then each moved by at most `disorder_seconds`.
fn logs(gap_seconds: i64, disorder_seconds: i64, lateness_seconds: i64) -> impl Strategy<Value = Logs> {
    let pen = (any::<u8>(), 0..=gap_seconds, 0..=disorder_seconds, 0..3usize, 0..REQUESTS.len());
    let pen = proptest::collection::vec(pen, 0..120).prop_map(|steps| {
        let mut now = START;
        let entry = |(client, step, disorder, server, request): (u8, i64, i64, usize, usize)| {
            now += step;
            PenEntry { client, epoch_seconds: now - disorder, server, request }
        };
        steps.into_iter().map(entry).collect()
    });
    let zones = prop::sample::select(vec![0, 60, -300, 330, 765]);
    let web = (0..=3 * gap_seconds, 0..=lateness_seconds, 0..REQUESTS.len(), any::<bool>(), zones);
    let web = proptest::collection::vec(web, 0..40).prop_map(|steps| {
        let mut now = START - 5;
        let entry = |(step, late, request, is_combined, zone_minutes): (i64, i64, usize, bool, i64)| {
            now += step;
            WebEntry { epoch_seconds: now - late, request, is_combined, zone_minutes }
        };
        steps.into_iter().map(entry).collect()
    });
    let jitter = prop::sample::select(vec![0, 1, 5, 60, 600]);
    (pen, [web.clone(), web.clone(), web], jitter).prop_map(|(pen, web, jitter_seconds)| Logs {
        pen,
        web,
        jitter_seconds,
    })
}

fn split_client(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap()
}

/// See [`WebEntry::line`].
fn server_in<'a>(line: &WebLine<'a>) -> &'a str {
    let after_time = str::from_utf8(line.after_time).unwrap();
    after_time.split_once("\" 200 ").unwrap().1.split(' ').next().unwrap()
}

/// What came out has the same lines in the same order, and ours the right clients. Where the original has another
/// client, `excuse` must accept its distance and ours.
fn compare(
    original: &Original,
    logs: &Logs,
    excuse: impl Fn(Option<u64>, Option<u64>) -> bool,
) -> Result<(), TestCaseError> {
    let directory = logs.write();
    let theirs = original.run(&directory, &logs.arguments());
    let ours = run(&directory, &logs.arguments());
    prop_assert_eq!(ours.status, Some(0));
    prop_assert_eq!(ours.stdout.lines().count(), theirs.lines().count());
    for (ours, theirs) in ours.stdout.lines().zip(theirs.lines()) {
        let (our_client, our_rest) = split_client(ours);
        let (their_client, their_rest) = split_client(theirs);
        prop_assert_eq!(our_rest, their_rest);
        let line = WebLine::parse(ours.as_bytes()).unwrap();
        let server = server_in(&line);
        prop_assert_eq!(our_client, logs.expected_client(&line, server));
        if our_client != their_client {
            let (our_distance, their_distance) =
                (logs.distance(our_client, &line, server), logs.distance(their_client, &line, server));
            prop_assert!(excuse(our_distance, their_distance), "ours: {ours}\ntheirs: {theirs}");
        }
    }
    Ok(())
}

fn check(
    cases: u32,
    logs: impl Strategy<Value = Logs>,
    excuse: impl Fn(&Logs, Option<u64>, Option<u64>) -> bool,
) {
    let Some(original) = Original::find() else { return };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let compared =
        TestRunner::new(config).run(&logs, |logs| compare(&original, &logs, |a, b| excuse(&logs, a, b)));
    compared.unwrap();
}

/// The one difference between orderly logs: the original also looks at what it happened to read before the window
/// and at the entry behind it, so it may name a client from outside the jitter. We name none.
#[test]
fn orderly_logs_come_out_the_same() {
    check(200, logs(3, 0, 0), |logs, ours, theirs| {
        ours.is_none() && theirs.is_some_and(|distance| distance > logs.jitter_seconds as u64)
    });
}

/// With all of the logs within the jitter there is no difference at all.
#[test]
fn short_orderly_logs_come_out_equal() {
    let same_window = logs(1, 0, 0).prop_map(|logs| Logs { jitter_seconds: 600, ..logs });
    check(200, same_window, |_, _, _| false);
}

/// Out of order, the original has forgotten or not yet read some entries. Ours are never further away.
#[test]
fn disorderly_logs_come_out_better() {
    check(200, logs(5, 10, 300), |logs, ours, theirs| match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours < theirs || (ours == theirs && ours <= logs.jitter_seconds as u64),
        (Some(_), None) => true,
        (None, Some(theirs)) => theirs > logs.jitter_seconds as u64,
        (None, None) => false,
    });
}

/// A deliberate difference in a line of a web server of address `S`; times are left out of the outcomes.
struct Difference {
    pen_line: String,
    web_line: String,
    original: &'static str,
    ours: &'static str,
    why: &'static str,
}

fn pen_line(data: &str) -> String {
    format!("C {START} S {data}\n")
}

fn web_line(request: &str) -> String {
    format!("x - - [08/Jan/2002:23:28:50 +0000] \"{request}\" 200 1\n")
}

fn differences() -> Vec<Difference> {
    let difference = |data: &str, web_line: String, original, ours, why| Difference {
        pen_line: pen_line(data),
        web_line,
        original,
        ours,
        why,
    };
    let long = format!("GET /{} HTTP/1.0", "x".repeat(120));
    let very_long = web_line(&format!("GET /{}", "y".repeat(2000)));
    let very_long_data = format!("GET /{}", "y".repeat(95));
    let bad_month = web_line("GET /").replace("Jan", "Foo");
    vec![
        difference(
            &long[..100],
            web_line(&long),
            "S",
            "C",
            "pen logs a hundred bytes, so a hundred are compared",
        ),
        difference(&very_long_data, very_long, "", "C", "a long line is a line"),
        difference("", web_line(""), "", "C", "servers log an empty request for a client that said nothing"),
        difference("GET /\"", web_line("GET /\\\""), "S", "C", "web servers escape quotes"),
        difference("GET /\t", web_line("GET /\\t"), "S", "C", "and control characters, which Pen logs raw"),
        difference(
            "GET /..",
            web_line("GET /\\xc3\\xa9"),
            "S",
            "C",
            "and what is not ASCII, which pen masks",
        ),
        difference("GET /\r", web_line("GET /"), "S", "C", "a log may have been through a system with CRLF"),
        difference(
            "GET /",
            web_line("GET /").replace("x - -", "x - [user"),
            "C 2001",
            "C",
            "a user may be called anything, even what a time stamp begins with",
        ),
        difference("GET /", bad_month, "C 2001", "", "there is no such month, so there is no such time"),
    ]
}

#[test]
fn differences_are_deliberate() {
    let Some(original) = Original::find() else { return };
    for difference in differences() {
        let directory = TempDir::new();
        directory.file("pen.log", &difference.pen_line);
        directory.file("web.log", &difference.web_line);
        let theirs = original.run(&directory, "-p pen.log S:web.log");
        let ours = run(&directory, "-p pen.log S:web.log").stdout;
        let outcome = |line: &str| match (split_client_or_none(line), line.contains("2001")) {
            (client, true) => format!("{client} 2001"),
            (client, false) => client.to_owned(),
        };
        assert_eq!(outcome(&theirs), difference.original, "{}: original", difference.why);
        assert_eq!(outcome(&ours), difference.ours, "{}: ours", difference.why);
    }
}

fn split_client_or_none(line: &str) -> &str {
    if line.is_empty() { "" } else { split_client(line).0 }
}

#[test]
fn odd_lines_come_out_the_same() {
    let Some(original) = Original::find() else { return };
    let common = web_line("GET /");
    for web_lines in [
        common.replace("x - -", "x   - -"),
        common.replace("x - -", " x - -"),
        common.replace("x - -", "x"),
        common.replace("x - - ", ""),
        common.replace("08/Jan", "8/Jan").replace("23:28:50", "23:28:5"),
        common.replace(" +0000", ""),
        common.replace("] \"", "]\""),
        common.replace("] \"", "]   \""),
        common.replace("\" 200", "\"200"),
        common.replace("\" 200 1", "\""),
        common.replace(" 200 1\n", " 200 1"),
        common.replace("GET /", "GET /\\"),
        format!("garbage\n\n{common}{common}\n\"\" [] {common}"),
    ] {
        let directory = TempDir::new();
        directory.file("pen.log", &pen_line("GET /"));
        directory.file("web.log", &web_lines);
        let arguments = "-p pen.log S:web.log";
        assert_eq!(run(&directory, arguments).stdout, original.run(&directory, arguments), "{web_lines}");
    }
}
