//! The same scenario on the original Pen and on this one: what both do must be the same, but for a list of deliberate
//! differences, each with its reason. docs/compatibility.md repeats that list.
//!
//! Needs the original (Debian package `pen`). Without it the tests say so and do nothing, unless `CI=true`.

mod common;
#[path = "differential/ends.rs"]
mod ends;

use common::backend::{Backend, echo};
use common::client::Client;
use common::pen::{Make, ORIGINAL, Pen, Start};
use common::wait::eventually;
use nix::sys::signal::{SIGTERM, SIGUSR1};
use std::path::Path;

/// A deliberate difference. `…` at the end stands for anything.
struct Difference {
    what: &'static str,
    original: &'static str,
    ours: &'static str,
    why: &'static str,
}

const fn differs(
    what: &'static str,
    original: &'static str,
    ours: &'static str,
    why: &'static str,
) -> Difference {
    Difference { what, original, ours, why }
}

const NO_SILENCE: &str = "nonsense is answered, not taken for something else or for nothing";
const NO_EFFECT: &str = "what an old configuration says without effect is explained";

#[rustfmt::skip]
const DIFFERENCES: &[Difference] = &[
    differs("mistyped command", "do_cmd: ignoring command starting with 'bogus'\n", "error: …", NO_SILENCE),
    differs("blacklist x", "0\n", "error: …", NO_SILENCE),
    differs("tracking -1", "-1\n", "error: …", NO_SILENCE),
    differs("client_acl 10", "0\n", "error: …", NO_SILENCE),
    differs("acl 11 permit 1.2.3.4", "", "error: …", NO_SILENCE),
    differs("no bogus", "", "error: …", NO_SILENCE),
    differs("server 0 colour green", "", "error: …", NO_SILENCE),
    differs("block", "do_cmd: ignoring command starting with 'block'\n", "Sockets never block…", NO_EFFECT),
    differs("no block", "", "Sockets never block…", NO_EFFECT),
    differs("no delayed_forward", "", "…", NO_EFFECT),
    differs("tcp_fastclose", "do_cmd: ignoring tcp_fastclose without argument\n", "off\n", "every setting can be asked for"),
    differs("conn_max", "500\n", "…", "the limit follows the descriptor limit"),
    differs("denied client with an emergency server", "E", "-", "who is denied is not served by anybody"),
    differs("weight mode without weights", "-", "A", "a weight that is left out counts as 1"),
    differs("a head with bare line feeds", "HEAD / HTTP/1.0\r\nX-Forwarded-Proto: http\r\n…",
        "HEAD / HTTP/1.0\nX-Forwarded-Proto: http\n…", "inserted lines end as the others do"),
    differs("control characters in the log", "127.0.0.1 TIME 127.0.0.1 BIN..\u{1}\tabc",
        "127.0.0.1 TIME 127.0.0.1 BIN..\\x01\\tabc", "a log line must not steer the terminal it is read on"),
    differs("exit status of a usage error", "0", "1", "scripts can notice it"),
    differs("usage is printed on", "stdout", "stderr", "it is an error message"),
    differs("exit status of a daemon whose port is in use", "0", "1", "whoever starts it learns that it does not run"),
];

/// What was looked at, and what was seen.
type Seen = Vec<(String, String)>;

/// Plays the scenario on both and compares.
fn compare(scenario: impl Fn(Make) -> Seen) {
    if !Path::new(ORIGINAL).exists() {
        return common::skip_without("pen");
    }
    let (original, ours) = (scenario(Make::Original), scenario(Make::Ours));
    assert_eq!(original.len(), ours.len());
    for ((what, original), (_, ours)) in original.iter().zip(&ours) {
        match DIFFERENCES.iter().find(|difference| difference.what == what) {
            None => assert_eq!(original, ours, "left: the original, right: ours: {what}"),
            Some(difference) => {
                assert!(is_like(original, difference.original), "the original: {what}: {original:?}");
                assert!(is_like(ours, difference.ours), "ours: {what}: {ours:?}, because {}", difference.why);
            }
        }
    }
}

fn is_like(seen: &str, form: &str) -> bool {
    form.strip_suffix('…').map_or(seen == form, |start| seen.starts_with(start))
}

fn before(make: Make, servers: &[Backend]) -> Start {
    // The original's default event loop drops clients whose server refuses; its poll loop does what is documented.
    Pen::before(servers).make(make).command("poll")
}

fn three() -> [Backend; 3] {
    ["A", "B", "C"].map(Backend::named)
}

/// The directory, ports and the process id replaced by words. The directory first: its name has digits as well.
fn normal(text: &str, pen: &Pen, servers: &[Backend]) -> String {
    if text.trim_end() == pen.pid().to_string() {
        return "PID\n".to_string();
    }
    let mut text = text.replace(&pen.path("").display().to_string(), "DIR/");
    for (index, server) in servers.iter().enumerate() {
        text = text.replace(&server.port().to_string(), &format!("PORT{index}"));
    }
    text.replace(&pen.address.port().to_string(), "LISTEN")
}

fn with_weights(make: Make, servers: &[Backend]) -> Start {
    let weighted =
        servers.iter().zip([3, 1, 2]).map(|(server, weight)| format!("{server}:0:0:{weight}:{weight}"));
    Pen::before(weighted).make(make)
}

/// Digits replaced by `N`, for headings in which only the words matter.
fn without_digits(text: &str) -> String {
    let mut words = String::new();
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if words.ends_with('N') => {}
            true => words.push('N'),
            false => words.push(character),
        }
    }
    words
}

#[test]
fn servers_are_chosen_alike() {
    let clients = ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.9", "127.0.1.3", "127.0.0.2", "127.0.0.1"];
    compare(|make| {
        let servers = three();
        let modes = [
            ("tracked", before(make, &servers)),
            ("-r", before(make, &servers).options("-r")),
            ("-h", before(make, &servers).options("-h")),
            ("-h -s", before(make, &servers).options("-h -s")),
            ("-r -W", with_weights(make, &servers).options("-r -W")),
            ("-W", with_weights(make, &servers).options("-W")),
            ("prio", with_weights(make, &servers).command("prio")),
            ("prio and weight and hash", with_weights(make, &servers).options("-r -W -h").command("prio")),
        ];
        modes
            .into_iter()
            .map(|(what, start)| {
                let pen = start.start();
                (what.to_string(), clients.iter().map(|client| ask_and_settle(&pen, client)).collect())
            })
            .collect()
    });
}

/// The name of the server, once the connection is no longer counted anywhere.
fn ask_and_settle(pen: &Pen, client: &str) -> String {
    let name = pen.ask_from(client);
    let all_free = |servers: &String| servers.lines().all(|line| line.contains(" conn 0 "));
    eventually("the connection to end", || pen.control("servers"), all_free);
    name
}

#[test]
fn held_connections_are_weighed_alike() {
    compare(|make| {
        let servers = three();
        let pen = with_weights(make, &servers).options("-r -W").start();
        let mut held: Vec<Client> = Vec::new();
        let mut names = String::new();
        for _ in 0..12 {
            let mut client = pen.connect();
            names.push_str(&client.line());
            held.push(client);
        }
        vec![("twelve held connections".into(), names)]
    });
}

#[test]
fn blacklisting_moves_clients_alike() {
    compare(|make| {
        let servers = three();
        let emergency = Backend::named("E");
        let pen = before(make, &servers).options("-r -e").word(&emergency).start();
        let tracked = before(make, &servers).options("-e").word(&emergency).start();
        let mut seen = Seen::new();
        for (server, seconds) in [(0, 3600), (1, 3600), (2, 3600), (1, 0), (0, 0), (2, 0)] {
            for pen in [&pen, &tracked] {
                let command = format!("server {server} blacklist {seconds}");
                pen.control(&command);
                seen.push((command, pen.asks(5)));
            }
        }
        seen
    });
}

#[test]
fn refused_connects_fail_over_alike() {
    compare(|make| {
        let servers = [Backend::refusing("A"), Backend::named("B"), Backend::refusing("C")];
        let pen = before(make, &servers).options("-r -b 3600").start();
        let first = pen.asks(3);
        eventually(
            "the blame",
            || pen.stderr(),
            |said| make == Make::Ours || said.contains("blacklisting server 2 because of connect failure"),
        );
        vec![("while servers refuse".into(), first), ("later".into(), pen.asks(3))]
    });
}

#[test]
fn access_is_decided_alike() {
    compare(|make| {
        let servers = three();
        let (abuse, emergency) = (Backend::named("X"), Backend::named("E"));
        let deny =
            |start: Start| start.options("-r").command("acl 1 permit 127.0.0.1").command("client_acl 1");
        let ask = |pen: &Pen| ["127.0.0.1", "127.0.0.2"].map(|client| pen.ask_from(client)).concat();
        let with_abuse = deny(before(make, &servers)).options("-B").word(&abuse).start();
        let with_none = deny(before(make, &servers)).start();
        let with_emergency = deny(before(make, &servers)).options("-e").word(&emergency).start();
        let unweighed = before(make, &servers).options("-r -W").start();
        vec![
            ("abuse server".into(), ask(&with_abuse)),
            ("no abuse server".into(), ask(&with_none)),
            ("denied client with an emergency server".into(), with_emergency.ask_from("127.0.0.2")),
            ("weight mode without weights".into(), unweighed.ask()),
        ]
    });
}

const COMMANDS: &[&str] = &[
    "abort_on_error",
    "no abort_on_error",
    "acl 1 permit 10.0.0.0 255.0.0.0",
    "acl 1 deny 2001:db8::/32",
    "acl 11 permit 1.2.3.4",
    "no acl 1",
    "ascii",
    "no ascii",
    "blacklist",
    "blacklist 31",
    "  blacklist   ",
    "blacklist x",
    "blacklist 30",
    "block",
    "no block",
    "client_acl",
    "client_acl 4",
    "client_acl 10",
    "client_acl 0",
    "clients_max",
    "clients_max 3000",
    "clients_max 10",
    "conn_max",
    "connection 0",
    "control",
    "control_acl",
    "control_acl 3",
    "control_acl 0",
    "debug",
    "debug 0",
    "no delayed_forward",
    "dummy",
    "no dummy",
    "exit",
    "hash",
    "weight",
    "mode",
    "no hash",
    "no weight",
    "http",
    "no http",
    "idle_timeout",
    "idle_timeout 20",
    "idle_timeout 0",
    "keepalive",
    "no keepalive",
    "listen",
    "log",
    "log other.log",
    "log",
    "no log",
    "mode",
    "no bogus",
    "pending_max 70",
    "pid",
    "prio",
    "no prio",
    "recent",
    "recent 10",
    "roundrobin",
    "no roundrobin",
    "server 0 max 4 hard 5 weight 6 prio 7",
    "server 0 colour green",
    "servers",
    "socket 0",
    "source 127.0.0.1",
    "stubborn",
    "no stubborn",
    "tcp_fastclose",
    "tcp_fastclose up",
    "tcp_fastclose off",
    "tcp_nodelay",
    "no tcp_nodelay",
    "timeout",
    "timeout 4",
    "tracking",
    "tracking 60",
    "tracking -1",
    "tracking 0",
    "no transparent",
    "web_stats",
    "web_stats stats.html",
    "web_stats",
    "no web_stats",
    "# remark",
    "",
];

#[test]
fn commands_are_answered_alike() {
    compare(|make| {
        let servers = three();
        let pen = before(make, &servers).start();
        let ask = |command: &&str| (command.to_string(), normal(&pen.control(command), &pen, &servers));
        let mut seen: Seen = COMMANDS.iter().map(ask).collect();
        seen.push(("mistyped command".into(), pen.control("bogus")));
        seen
    });
}

#[test]
fn traffic_shows_alike_in_listings() {
    compare(|make| {
        let servers = three();
        let pen = before(make, &servers).start();
        let mut client = pen.connect_from("127.0.0.6");
        client.line();
        client.exchange("hello");
        let number = if make == Make::Original { 0 } else { open_connection(&pen) };
        let connection = pen.control(&format!("connection {number}"));
        let held = pen.control("servers");
        drop(client);
        eventually(
            "the end of the connection",
            || pen.control("servers"),
            |servers| !servers.contains(" conn 1 "),
        );
        [held, pen.control("servers"), pen.control("recent"), without_digits(&connection)]
            .into_iter()
            .zip(["servers held", "servers later", "recent", "connection"])
            .map(|(text, what)| (what.to_string(), normal(&text, &pen, &servers)))
            .collect()
    });
}

fn open_connection(pen: &Pen) -> u64 {
    let listing: serde_json::Value = serde_json::from_str(&pen.control("connections json")).unwrap();
    listing[0]["number"].as_u64().expect("an open connection")
}

/// What clients send, each a connection of its own.
const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /h HTTP/1.0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\nbody",
    "EHLO example\r\n",
    "caf\u{e9}\n",
    "\r\nsecond line\n",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789overlong",
];

fn say(pen: &Pen, text: &str) -> String {
    let mut client = pen.connect();
    client.send(text);
    client.end();
    String::from_utf8(client.rest()).unwrap()
}

#[test]
fn log_lines_are_alike() {
    compare(|make| {
        let server = [Backend::serving(echo)];
        let mut pen = before(make, &server).options("-l pen.log").start();
        for text in REQUESTS.iter().chain(&["BIN\u{e9}\u{1}\tabc\n"]) {
            say(&pen, text);
        }
        // The original keeps its lines to itself until then.
        pen.signal(SIGTERM);
        pen.wait();
        let log = pen.text("pen.log");
        let lines: Vec<String> = log
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.splitn(4, ' ').collect();
                assert!(fields[1].parse::<u64>().is_ok(), "{line:?}");
                [fields[0], "TIME", fields[2], fields[3]].join(" ")
            })
            .collect();
        let last = lines.len() - 1;
        vec![
            ("log lines".into(), lines[..last].join("\n")),
            ("control characters in the log".into(), lines[last].clone()),
        ]
    });
}

#[test]
fn http_headers_are_inserted_alike() {
    compare(|make| {
        let server = [Backend::serving(echo)];
        let pen = before(make, &server).options("-H").start();
        let mut seen: Seen = REQUESTS.iter().map(|text| (text.to_string(), say(&pen, text))).collect();
        seen.push(("a head with bare line feeds".into(), say(&pen, "HEAD / HTTP/1.0\n\n")));
        seen
    });
}

/// A page or text of a pen with one open connection.
fn statistics(make: Make, options: &str, ready: impl Fn(&Pen) -> String, end: &str) -> String {
    let servers = three();
    let pen = before(make, &servers).options(options).start();
    let mut client = pen.connect();
    client.line();
    pen.signal(SIGUSR1);
    let text = eventually("the statistics", || ready(&pen), |text| text.contains(end));
    normal(&text, &pen, &servers)
}

/// The names of the columns of each table.
fn columns(page: &str) -> Vec<Vec<String>> {
    page.split("<table")
        .skip(1)
        .map(|table| {
            let heads = table.split("<t").filter(|cell| {
                cell.starts_with("d bgcolor=\"#80f080\"") || cell.starts_with("h scope=\"col\"")
            });
            heads
                .map(|cell| {
                    cell[cell.find('>').unwrap() + 1..cell.find('<').unwrap_or(cell.len())].trim().to_string()
                })
                .collect()
        })
        .collect()
}

#[test]
fn pages_have_the_same_columns_and_headings() {
    compare(|make| {
        let page = statistics(make, "-w stats.html -x 500", |pen| pen.text("stats.html"), "</html>");
        let tables = columns(&page);
        // What is new stands after the original's columns.
        let kept = |table: usize, count: usize| tables[table][..count].join(" ");
        let headings = [
            "Pen status page",
            "Active clients",
            "Max number of clients: 2048",
            "Active connections",
            "Number of connections: 500 max, 1 used, ",
            ", 3 servers, 1 current",
        ];
        let mut seen: Seen =
            headings.map(|heading| (heading.into(), page.contains(heading).to_string())).into();
        seen.extend(
            [(0, 11), (1, 7), (2, 7)]
                .map(|(table, count)| (format!("columns of table {table}"), kept(table, count))),
        );
        seen
    });
}

#[test]
fn usr1_says_the_same() {
    compare(|make| {
        let text = statistics(make, "-x 500", Pen::stderr, "\nclient 0, server 1");
        // The original's blocks about clients are garbage, and it says more at start.
        let about_servers =
            &text[text.find("Server 0 status").unwrap()..text.find("Active clients").unwrap()];
        let about_connections = &text[text.find("Max number of connections").unwrap()..];
        vec![
            ("servers".into(), without_digits(about_servers)),
            ("connections".into(), without_digits(about_connections)),
        ]
    });
}

fn written(make: Make) -> String {
    const CHANGES: &[&str] = &[
        "acl 1 permit 10.0.0.0 255.0.0.0",
        "acl 2 permit 2001:db8::/32",
        "prio",
        // On by default here, off in the original.
        "no tcp_nodelay",
        "server 0 max 3 weight 2 prio 1",
        // Left out, a weight is 0 for the original and 1 for ours.
        "server 1 weight 3",
        "server 2 weight 4",
    ];
    let servers = three();
    let pen = before(make, &servers).options("-h -H -W -l pen.log -w stats.html").start();
    for command in CHANGES {
        assert_eq!(pen.control(command), "", "{command}");
    }
    pen.control("write saved.conf");
    normal(&pen.text("saved.conf"), &pen, &servers)
}

#[test]
fn every_line_that_the_original_writes_is_written_in_its_order() {
    if !Path::new(ORIGINAL).exists() {
        return common::skip_without("pen");
    }
    let (original, ours) = (written(Make::Original), written(Make::Ours));
    let mut rest = ours.lines();
    for line in original.lines().filter(|line| !line.starts_with('#')) {
        // What the original forgets may stand between its lines.
        assert!(rest.any(|written| written == line), "{line:?} is missing or out of order in\n{ours}");
    }
}

#[test]
fn usage_errors_and_failures_at_start_are_the_listed_differences() {
    compare(|make| {
        let usage = Pen::bare("-b").make(make).run();
        let place = if usage.stdout.is_empty() { "stderr" } else { "stdout" };
        let taken = Backend::named("taken");
        let daemon =
            Pen::before(["127.0.0.1:1"]).make(make).in_background().without_control().listen(&taken).run();
        let file = Pen::before([] as [&str; 0]).make(make).options("-l missing/directory/log").run();
        let status = |code: Option<i32>| code.map_or("signal".to_string(), |code| code.to_string());
        vec![
            ("exit status of a usage error".into(), status(usage.code)),
            ("usage is printed on".into(), place.into()),
            ("exit status of a daemon whose port is in use".into(), status(daemon.code)),
            ("exit status with a log that cannot be opened".into(), status(file.code)),
        ]
    });
}

#[test]
fn every_listed_difference_is_looked_at() {
    let this = include_str!("differential.rs");
    for Difference { what, .. } in DIFFERENCES {
        let places = this.matches(&format!("\"{what}\"")).count();
        assert!(places >= 2, "{what}: listed, but no scenario sees it");
    }
}
