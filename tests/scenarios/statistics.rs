//! What pen tells about itself: USR1, the page, JSON and metrics, all from the same figures.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use crate::common::{root, skip};
use nix::sys::signal::SIGUSR1;
use serde_json::Value;

fn servers() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

/// One held connection of 127.0.0.6 to server 1: two bytes came from it, six went to it and came back.
fn busy(start: Start) -> (Pen, Client) {
    let pen = start.start();
    let mut client = pen.connect_from("127.0.0.6");
    assert_eq!(client.line(), "B");
    assert_eq!(client.exchange("hello"), "hello");
    (pen, client)
}

/// Whether the words stand in the text in this order.
fn in_order(text: &str, words: &[&str]) -> bool {
    let mut rest = text;
    words.iter().all(|word| match rest.find(word) {
        Some(at) => {
            rest = &rest[at + word.len()..];
            true
        }
        None => false,
    })
}

/// The page was prepared for pen, its directory was not.
#[test]
fn a_page_that_cannot_be_replaced_is_never_empty_and_that_is_told() {
    if !root() {
        return skip("only root can become somebody else");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-u nobody -w www/page.html").directory("www").start();
    let (directory, page) = (pen.path("www"), pen.path("www/page.html"));
    std::fs::write(&page, "old").unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    std::os::unix::fs::chown(&page, Some(nobody.uid.as_raw()), None).unwrap();
    std::os::unix::fs::chown(&directory, Some(0), None).unwrap();
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for _ in 0..50 {
        pen.signal(SIGUSR1);
        let read = || std::fs::read_to_string(&page).unwrap();
        assert!(!read().is_empty());
        eventually("the page", read, |text| text.trim_end().ends_with("</html>"));
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "nothing beside it");
    let said = pen.stderr();
    let told = "web_stats www/page.html: written in place, and readers may see half of it, because pen may not write to \
                its directory\n";
    assert_eq!(said.matches(told).count(), 1, "{said}");
    // As docs/status-page.md wants it.
    std::os::unix::fs::chown(&directory, Some(nobody.uid.as_raw()), None).unwrap();
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&page).unwrap());
    let before = inode();
    // While it is open no other file gets its number.
    let _old = std::fs::File::open(&page).unwrap();
    pen.signal(SIGUSR1);
    eventually("another file in its place", inode, |now| *now != before);
}

#[test]
fn usr1_prints_pens_text() {
    let servers = servers();
    let (pen, _client) = busy(Pen::before(&servers).options("-c 3000 -x 600"));
    pen.signal(SIGUSR1);
    let port = format!("port {}", servers[1].port());
    let words = [
        "Time 2",
        ", 2 servers, 1 current",
        "Server 0 status:\naddress 127.0.0.1\n0\n",
        "0 connections (0 soft, 0 hard)\n0 sent, 0 received\n",
        "Server 1 status:\n",
        &port,
        "1 connections (0 soft, 0 hard)\n6 sent, 8 received\n",
        "Max number of clients: 3000",
        "Active clients:",
        "127.0.0.6",
        "Max number of connections: 600",
        "Active connections:",
        "downfd = ",
        ", upfd = ",
        "pending data 0 down, 0 up",
        "client 0, server 1",
    ];
    let text = eventually("the whole text", || pen.stderr(), |text| text.contains("client 0, server 1"));
    assert!(in_order(&text, &words), "{text}");
}

#[test]
fn usr1_writes_the_page_when_there_is_a_file_for_it() {
    let servers = servers();
    let (pen, _client) = busy(Pen::before(&servers).options("-c 3000 -x 600 -w stats.html"));
    assert!(!pen.path("stats.html").exists());
    pen.signal(SIGUSR1);
    let page = eventually("the page", || pen.text("stats.html"), |page| page.contains("</html>"));
    assert!(!pen.stderr().contains("Active clients"), "the page takes the place of the text");
    is_pens_page(&page);
}

#[test]
fn status_is_the_page_with_or_without_a_file() {
    let servers = servers();
    let (pen, _client) = busy(Pen::before(&servers).options("-c 3000 -x 600"));
    is_pens_page(&pen.control("status"));
    assert_eq!(pen.control("web_stats stats.html"), "stats.html\n");
    is_pens_page(&pen.control("status"));
    is_pens_page(&pen.text("stats.html"));
}

/// What scripts look for in the original's page.
fn is_pens_page(page: &str) {
    let words = [
        "Pen status page",
        "Time 2",
        ", 2 servers, 1 current",
        "server<",
        "address<",
        "status<",
        "port<",
        "connections<",
        "max soft<",
        "max hard<",
        "sent<",
        "received<",
        "weight<",
        "prio<",
        "<td>0</td>",
        "<td>127.0.0.1</td>",
        "Active clients",
        "Max number of clients: 3000",
        "client<",
        "address<",
        "age(secs)<",
        "last server<",
        "connects<",
        "sent<",
        "received<",
        "127.0.0.6",
        "Active connections",
        "Number of connections: 600 max, 1 used, ",
        "connection<",
        "downfd<",
        "upfd<",
        "pending data down<",
        "pending data up<",
        "client<",
        "server<",
    ];
    assert!(in_order(page, &words), "{page}");
    assert!(page.trim_end().ends_with("</html>"));
}

#[test]
fn the_page_is_replaced_as_a_whole() {
    use std::os::unix::fs::MetadataExt;
    let pen = Pen::before([] as [&str; 0]).options("-w stats.html").file("stats.html", "old").start();
    let old = std::fs::metadata(pen.path("stats.html")).unwrap().ino();
    pen.signal(SIGUSR1);
    eventually("a new page", || pen.text("stats.html"), |page| page.contains("</html>"));
    assert_ne!(
        std::fs::metadata(pen.path("stats.html")).unwrap().ino(),
        old,
        "a reader never sees half a page"
    );
}

fn json(pen: &Pen, command: &str) -> Value {
    let reply = pen.control(command);
    serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{command}: {error}: {reply}"))
}

#[test]
fn json_has_the_same_figures() {
    let servers = servers();
    let (pen, client) = busy(Pen::before(&servers).options("-c 3000 -x 600"));
    let status = json(&pen, "status json");
    assert_eq!(status["pid"], pen.pid());
    assert_eq!(status["clients_max"], 3000);
    assert_eq!(
        (status["connections_max"].as_u64(), status["connections_used"].as_u64()),
        (Some(600), Some(1))
    );
    let server = &status["servers"][1];
    assert_eq!(
        (server["port"].as_u64(), server["connections"].as_u64()),
        (Some(servers[1].port().into()), Some(1))
    );
    assert_eq!((server["sent_bytes"].as_u64(), server["received_bytes"].as_u64()), (Some(6), Some(8)));
    assert_eq!(status["clients"][0]["address"], "127.0.0.6");
    assert_eq!(status["connections"][0]["client"], client.local().to_string());
    assert_eq!(status["totals"]["accepted"], 1);
    assert_eq!(json(&pen, "servers json"), status["servers"]);
    assert_eq!(json(&pen, "clients json")[0]["connects"], 1);
    assert_eq!(json(&pen, "connections json")[0]["server"], 1);
}

#[test]
fn failures_are_counted() {
    let (dead, alive) = (Backend::refusing("A"), Backend::named("B"));
    let pen = Pen::before([&alive, &dead]).options("-r -b 3600").start();
    assert_eq!(pen.asks(2), "BB");
    let status = json(&pen, "status json");
    assert_eq!(status["totals"]["failovers"], 1);
    assert_eq!(status["totals"]["connect_failures"], 1);
    assert_eq!(status["servers"][1]["failures_total"], 1);
    assert!(status["servers"][1]["blacklisted_seconds"].as_u64().unwrap() > 3_000);
}

#[test]
fn metrics_are_in_the_format_of_prometheus() {
    let servers = servers();
    let (pen, _client) = busy(Pen::before(&servers));
    let metrics = pen.control("metrics");
    let values: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(values.len() > 10, "{metrics}");
    for line in &values {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(
            (name.starts_with("pen_") || name.starts_with("process_")) && value.parse::<f64>().is_ok(),
            "{line:?}"
        );
        let family = name.split('{').next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end)).unwrap_or(family);
        assert!(metrics.contains(&format!("# TYPE {family} ")), "{family} has no type");
        assert!(metrics.contains(&format!("# HELP {family} ")), "{family} has no help");
    }
    let sent = values
        .iter()
        .find(|line| line.contains("sent") && line.contains("server=\"1\""))
        .expect("sent bytes");
    assert!(sent.ends_with(" 6"), "{sent}");
}

#[test]
fn statistics_do_not_stop_traffic_with_many_servers_and_clients() {
    let server = Backend::named("A");
    let many: Vec<String> = (0..500).map(|_| server.to_string()).collect();
    let pen = Pen::before(&many).start();
    for last in 1..=100 {
        assert_eq!(pen.ask_from(&format!("127.0.9.{last}")), "A");
    }
    assert_eq!(json(&pen, "status json")["clients"].as_array().unwrap().len(), 100);
    assert!(in_order(&pen.control("status"), &["127.0.9.1<", "</html>"]));
}
