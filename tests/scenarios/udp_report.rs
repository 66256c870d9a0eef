//! What is told about UDP: counters, listings, pages, logs.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use nix::sys::signal::SIGUSR1;
use serde_json::Value;
use std::net::UdpSocket;

fn before(server: &UdpServer) -> Start {
    Pen::before([server]).options("-U")
}

/// Two questions of one client: 3 and 5 bytes up, 5 and 7 down.
fn talk(pen: &Pen) -> UdpClient {
    let client = UdpClient::from("127.0.0.4", pen.address);
    assert_eq!(client.ask("one"), "A:one");
    assert_eq!(client.ask("three"), "A:three");
    client
}

#[test]
fn every_byte_is_counted_while_the_session_lives_and_after() {
    let server = UdpServer::named("A");
    let pen = before(&server).start();
    let client = talk(&pen);
    let servers = pen.control("servers");
    assert!(servers.contains(" conn 1 ") && servers.ends_with(" sx 8 rx 12\n"), "{servers}");
    assert_eq!(pen.control("recent"), "127.0.0.4 connects 1 sx 12 rx 8\n");
    let listed = pen.control("clients");
    let rest = listed.strip_prefix("0 addr 127.0.0.4 age ").expect(&listed);
    let (age, rest) = rest.split_once(' ').expect(&listed);
    assert!(age.parse::<u64>().is_ok(), "{listed}");
    assert_eq!(rest, "server 0 connects 1 sx 12 rx 8\n");
    let connections: Value = serde_json::from_str(&pen.control("connections json")).unwrap();
    let session = &connections[0];
    assert_eq!(session["client"], client.socket.local_addr().unwrap().to_string());
    assert_eq!((session["up_bytes"].as_u64(), session["down_bytes"].as_u64()), (Some(8), Some(12)));
    let number = session["number"].as_u64().unwrap();
    let descriptor = session["up_fd"].as_u64().unwrap();
    assert!(pen.control(&format!("connection {number}")).contains("state = 2\n"));
    let owner = pen.control(&format!("socket {descriptor}"));
    assert_eq!(owner, format!("Socket {descriptor} belongs to connection {number}\n"));
    assert_eq!(pen.control(&format!("close {number}")), format!("Forcibly closing connection {number}\n"));
    assert_eq!(pen.control("connections"), "");
    assert!(pen.control("servers").ends_with(" conn 0 max 0 hard 0 weight 0 prio 0 sx 8 rx 12\n"));
    let totals = serde_json::from_str::<Value>(&pen.control("status json")).unwrap()["totals"].clone();
    for (name, count) in [
        ("accepted", 1),
        ("closed", 1),
        ("up_bytes", 8),
        ("down_bytes", 12),
        ("up_datagrams", 2),
        ("down_datagrams", 2),
        ("datagrams_dropped", 0),
    ] {
        assert_eq!(totals[name], count, "{name}");
    }
}

#[test]
fn pages_and_metrics_tell_of_datagrams() {
    let server = UdpServer::named("A");
    let pen = before(&server).start();
    let _client = talk(&pen);
    let metrics = pen.control("metrics");
    for line in [
        "pen_relayed_datagrams_total{to=\"server\"} 2\n",
        "pen_relayed_datagrams_total{to=\"client\"} 2\n",
        "pen_connections 1\n",
        "pen_sessions_evicted_total 0\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let page = pen.control("status");
    assert!(page.contains("<li>datagrams to servers <span>2</span></li>"));
    assert!(page.contains("127.0.0.4"));
    pen.signal(SIGUSR1);
    let text = eventually(
        "the text",
        || pen.stderr(),
        |text| text.contains("Active connections:\n") && text.contains("client 0, server 0"),
    );
    assert!(text.contains("8 sent, 12 received"), "{text}");
}

#[test]
fn the_log_has_a_line_for_every_datagram_of_a_client() {
    let server = UdpServer::named("A");
    let pen = before(&server).options("-l log").start();
    let client = talk(&pen);
    client.ask("es\x1bcape\tme");
    client.ask("");
    let lines = eventually("four lines", || pen.text("log"), |log| log.lines().count() == 4);
    let without_time = |line: &str| {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        assert!(words[1].parse::<u64>().is_ok(), "{line}");
        [words[0], words[2], words[3]].join(" ")
    };
    let lines: Vec<String> = lines.lines().map(without_time).collect();
    let start = "127.0.0.4 127.0.0.1 ";
    let expected = ["one", "three", "es\\x1bcape\\tme", ""].map(|data| format!("{start}{data}"));
    assert_eq!(lines, expected);
}

#[test]
fn the_json_log_has_an_object_for_every_session() {
    let server = UdpServer::named("A");
    let pen =
        before(&server).options("-l log").command("log_format json").command("udp_idle_timeout 1").start();
    let client = talk(&pen);
    let log = eventually("the end of the session", || pen.text("log"), |log| log.ends_with('\n'));
    let record: Value = serde_json::from_str(&log).unwrap();
    for (name, value) in [
        ("client", Value::from("127.0.0.4")),
        ("client_port", client.socket.local_addr().unwrap().port().into()),
        ("server", 0.into()),
        ("server_address", "127.0.0.1".into()),
        ("server_port", server.address().port().into()),
        ("up_bytes", 8.into()),
        ("down_bytes", 12.into()),
        ("reason", "idle_timeout".into()),
        ("retries", 0.into()),
        ("listener", pen.address.to_string().into()),
    ] {
        assert_eq!(record[name], value, "{name}: {log}");
    }
}

#[test]
fn a_log_server_hears_of_a_datagram_before_the_server_answers() {
    let server = UdpServer::named("A");
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    log.set_nonblocking(true).unwrap();
    let pen = before(&server).options(&format!("-l {}", log.local_addr().unwrap())).start();
    let client = UdpClient::from("127.0.0.4", pen.address);
    assert_eq!(client.ask("first"), "A:first");
    let mut line = [0; 1024];
    let length = log.recv(&mut line).expect("it is here already");
    assert_eq!(&line[..length], b"+ 127.0.0.4 127.0.0.1 first\n");
}

#[test]
fn debug_levels_tell_of_sessions_and_bytes() {
    let server = UdpServer::named("A");
    let pen = before(&server).options("-ddd -a").start();
    let client = talk(&pen);
    let port = client.socket.local_addr().unwrap().port();
    let stderr = pen.stderr();
    for words in [
        format!("from 127.0.0.4:{port}"),
        format!("to 127.0.0.1 port {}", server.address().port()),
        ") 3: one".to_string(),
        ") 7: A:three".to_string(),
    ] {
        assert!(stderr.contains(&words), "{words}: {stderr}");
    }
}
