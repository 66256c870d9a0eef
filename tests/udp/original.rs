//! The same scenarios on the original Pen and on this one: what works there must be the same here, and what is known to
//! fail there must not fail here.
//!
//! Needs the original (Debian package `pen`).

use crate::common;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Make, ORIGINAL, Pen, Start};
use std::path::Path;

fn is_installed() -> bool {
    let installed = Path::new(ORIGINAL).exists();
    if !installed {
        common::skip_without("pen");
    }
    installed
}

fn three() -> [UdpServer; 3] {
    ["A", "B", "C"].map(UdpServer::named)
}

fn before(make: Make, servers: &[UdpServer]) -> Start {
    Pen::before(servers).make(make).options("-U")
}

/// The server that answers a new socket with this address, "-" for none.
fn ask(pen: &Pen, source: &str) -> String {
    let client = UdpClient::from(source, pen.address);
    client.send("?");
    if client.waits_in_vain() { "-".into() } else { client.server() }
}

fn asks(pen: &Pen, sources: &[&str]) -> String {
    sources.iter().map(|source| ask(pen, source)).collect()
}

#[test]
fn servers_are_chosen_alike() {
    if !is_installed() {
        return;
    }
    let sources = ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.9", "127.0.1.3", "127.0.0.2"];
    let [original, ours] = [Make::Original, Make::Ours].map(|make| {
        let servers = three();
        let ranked =
            servers.iter().zip([3, 1, 2]).map(|(server, rank)| format!("{server}:0:0:{rank}:{rank}"));
        let modes = [
            ("tracked", before(make, &servers)),
            ("-r", before(make, &servers).options("-r")),
            ("-h", before(make, &servers).options("-h")),
            ("prio", Pen::before(ranked).make(make).options("-U").command("prio")),
            ("denied", before(make, &servers).command("acl 1 deny 127.0.0.2").command("client_acl 1")),
        ];
        modes.map(|(what, start)| (what, asks(&start.start(), &sources)))
    });
    assert_eq!(original, ours);
    assert_eq!(ours[1].1, "BCABCA");
}

#[test]
fn a_session_stays_with_its_server_in_both() {
    if !is_installed() {
        return;
    }
    for make in [Make::Original, Make::Ours] {
        let servers = three();
        let pen = before(make, &servers).options("-r").start();
        let client = UdpClient::new(pen.address);
        let name = client.server();
        (0..4).for_each(|_| assert_eq!(client.server(), name, "{make:?}"));
        let used: usize = servers.iter().map(|server| server.peers().len()).sum();
        assert_eq!(used, 1, "{make:?}: one upstream port");
    }
}

#[test]
fn what_fails_in_the_original_works_here() {
    if !is_installed() {
        return;
    }
    let seen = |make| {
        let mut servers = three();
        servers[1].pause();
        let pen = before(make, &servers).options("-r").start();
        let closed = asks(&pen, &["127.0.0.1"; 6]);
        let counted = pen.control("servers").lines().any(|line| !line.ends_with(" rx 0"));
        (closed.contains('-'), counted)
    };
    assert_eq!(seen(Make::Original), (true, false), "loses datagrams, counts no answers");
    assert_eq!(seen(Make::Ours), (false, true));
}

#[test]
fn a_configuration_file_works_with_udp_in_both() {
    if !is_installed() {
        return;
    }
    for make in [Make::Original, Make::Ours] {
        let servers = three();
        let lines: String = servers
            .iter()
            .enumerate()
            .map(|(index, server)| {
                format!("server {index} address 127.0.0.1 port {}\n", server.address().port())
            })
            .collect();
        let start =
            Pen::before([] as [&str; 0]).make(make).options("-U").config(&format!("roundrobin\n{lines}"));
        let mut names: Vec<char> = asks(&start.start(), &["127.0.0.1"; 6]).chars().collect();
        names.sort();
        assert_eq!(names, ['A', 'A', 'B', 'B', 'C', 'C'], "{make:?}");
    }
}
