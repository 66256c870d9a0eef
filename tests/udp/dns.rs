//! Name servers behind pen, asked by dig and dnsperf.

use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::{all_installed, run};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;

const PROGRAMS: [(&str, &str); 3] = [("nsd", "nsd"), ("dig", "bind9-dnsutils"), ("dnsperf", "dnsperf")];

/// Knows `example.test`, where the text of `who` is its name.
fn name_server(name: &str) -> Server {
    let (dir, port) = (TempDir::new(), free_port());
    dir.file(
        "zone",
        &format!(
            "$ORIGIN example.test.\n$TTL 60\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n\
             who TXT \"{name}\"\nlarge TXT \"{}\"\n",
            vec!["x".repeat(250); 5].join("\" \"")
        ),
    );
    let path = dir.path().display();
    let config = dir.file(
        "nsd.conf",
        &format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  ipv4-edns-size: 4096\n  username: \"\"\n  zonesdir: \"{path}\"\n  \
             pidfile: \"\"\n  xfrdfile: \"\"\n  database: \"\"\n  zonelistfile: \"{path}/zones\"\n  rrl-ratelimit: 0\n\
             remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: zone\n"
        ),
    );
    let words = ["-d", "-c", &config.display().to_string()];
    // It has its socket before it has its zone, and until then it turns questions away.
    Server::start(dir, format!("127.0.0.1:{port}"), "nsd", &words, || {
        let port = port.to_string();
        let question =
            ["@127.0.0.1", "-p", &port, "+tries=1", "+time=1", "+short", "who.example.test", "TXT"];
        run("dig", &question, "").stdout == format!("\"{name}\"\n")
    })
}

/// Asks once, from this address.
fn dig(pen: &Pen, source: &str, question: &[&str]) -> String {
    let port = pen.address.port().to_string();
    let words = ["@127.0.0.1", "-p", &port, "-b", source, "+tries=1", "+time=10", "+short"];
    let ended = run("dig", &[&words[..], question].concat(), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn dig_asks_name_servers_through_pen() {
    if !all_installed(&PROGRAMS) {
        return;
    }
    let mut servers = ["A", "B"].map(name_server);
    let pen = Pen::before(servers.each_ref().map(|server| server.address.clone())).options("-U").start();
    let who = |source| dig(&pen, source, &["who.example.test", "TXT"]);
    let [first, second] = ["127.0.0.1", "127.0.0.2"].map(who);
    let mut names = [first.as_str(), second.as_str()];
    names.sort();
    assert_eq!(names, ["\"A\"\n", "\"B\"\n"]);
    assert_eq!(
        [who("127.0.0.1"), who("127.0.0.2")],
        [first.clone(), second.clone()],
        "every client keeps its own"
    );
    let large = dig(&pen, "127.0.0.1", &["+bufsize=4096", "+ignore", "large.example.test", "TXT"]);
    assert_eq!(large.matches('x').count(), 1250);
    servers[if first.contains('A') { 0 } else { 1 }].stop();
    assert_eq!(who("127.0.0.1"), second, "at the first try");
}

/// Sent and completed queries.
fn dnsperf(pen: &Pen, queries: &str, seconds: u32) -> (u64, u64) {
    let (port, seconds) = (pen.address.port().to_string(), seconds.to_string());
    let words = ["-s", "127.0.0.1", "-p", &port, "-d", queries, "-l", &seconds, "-c", "20", "-Q", "2000"];
    let ended = run("dnsperf", &words, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let number = |name: &str| {
        let line =
            ended.stdout.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{ended:?}"));
        line.split_whitespace().nth(2).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    (number("Queries sent:"), number("Queries completed:"))
}

#[test]
fn dnsperf_loses_next_to_nothing_with_a_server_or_without() {
    if !all_installed(&PROGRAMS) {
        return;
    }
    let mut servers = ["A", "B"].map(name_server);
    let pen = Pen::before(servers.each_ref().map(|server| server.address.clone())).options("-U -r").start();
    let queries = pen.path("queries");
    std::fs::write(&queries, "who.example.test TXT\nns.example.test A\n").unwrap();
    let queries = queries.display().to_string();
    for round in ["both serve", "one is gone"] {
        let (sent, completed) = dnsperf(&pen, &queries, 3);
        eprintln!("{round}: {completed} of {sent} queries answered");
        assert!(sent > 100 && (sent - completed) * 50 <= sent, "{round}: {completed} of {sent}");
        servers[0].stop();
    }
    let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
    assert!(status["servers"][0]["failures_total"].as_u64() > Some(0), "{}", status["servers"]);
    for server in [0, 1] {
        assert!(status["servers"][server]["received_bytes"].as_u64() > Some(0), "{}", status["servers"]);
    }
}
