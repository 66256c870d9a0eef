//! Which server a client without history gets: hash, weight, priority, stubborn.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use std::net::Ipv4Addr;

fn three() -> [Backend; 3] {
    ["A", "B", "C"].map(Backend::named)
}

/// Pen's hash: the address as it lies in memory on a little-endian machine, modulo the servers.
fn hashed(client: &str, port: u16) -> String {
    let address = u32::from_le_bytes(client.parse::<Ipv4Addr>().unwrap().octets());
    let port = u32::from(u16::from_le_bytes(port.to_be_bytes()));
    ["A", "B", "C"][((address ^ port) % 3) as usize].to_string()
}

#[test]
fn hash_follows_the_address() {
    let servers = three();
    let pen = Pen::before(&servers).options("-h -s").start();
    for client in (1..=12).map(|last| format!("127.0.3.{last}")) {
        assert_eq!(pen.ask_from(&client), hashed(&client, 0), "{client}");
    }
}

#[test]
fn hash_without_tracking_follows_the_port_too() {
    let servers = three();
    let pen = Pen::before(&servers).options("-h -r").start();
    for _ in 0..12 {
        let mut client = pen.connect();
        assert_eq!(client.line(), hashed("127.0.0.1", client.local().port()), "{client:?}");
    }
}

#[test]
fn two_pens_with_the_same_servers_hash_alike() {
    let servers = three();
    let [web, tls] = [(), ()].map(|()| Pen::before(&servers).options("-h").start());
    for client in (1..=6).map(|last| format!("127.0.4.{last}")) {
        assert_eq!(web.ask_from(&client), tls.ask_from(&client));
    }
}

fn hold(pen: &Pen, count: usize) -> (Vec<Client>, String) {
    let mut clients: Vec<Client> = Vec::new();
    let mut names = String::new();
    for _ in 0..count {
        let mut client = pen.connect();
        names.push_str(&client.line());
        clients.push(client);
    }
    (clients, names)
}

#[test]
fn weight_shares_open_connections_in_proportion() {
    let [a, b, _] = three();
    let pen = Pen::before([format!("{a}:0:0:2"), format!("{b}:0:0:1")]).options("-r -W").start();
    let (_clients, names) = hold(&pen, 6);
    assert_eq!(names.matches('A').count(), 4, "{names}");
    assert_eq!(names.matches('B').count(), 2, "{names}");
}

#[test]
fn a_missing_weight_counts_as_one() {
    let [a, b, _] = three();
    let pen = Pen::before([&a, &b]).options("-r -W").start();
    let (_clients, names) = hold(&pen, 6);
    assert_eq!(names.matches('A').count(), 3, "{names}");
}

#[test]
fn weight_zero_is_never_chosen() {
    let [a, b, _] = three();
    let pen = Pen::before([format!("{a}:0:0:0"), format!("{b}:0:0:1")]).options("-r -W").start();
    assert_eq!(hold(&pen, 4).1, "BBBB");
}

#[test]
fn the_smallest_prio_is_chosen_while_it_can_be() {
    let [a, b, c] = three();
    let servers = [format!("{a}:0:0:0:5"), format!("{b}:0:0:0:2"), format!("{c}:0:0:0:2")];
    let pen = Pen::before(servers).options("-r").command("prio").start();
    assert_eq!(pen.asks(2), "BB");
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(2), "CC");
    pen.control("server 2 blacklist 3600");
    assert_eq!(pen.asks(2), "AA");
    pen.control("server 1 blacklist 0");
    assert_eq!(pen.asks(2), "BB");
}

#[test]
fn stubborn_gives_up_at_once_even_with_an_emergency_server() {
    let [dead, alive] = [Backend::refusing("A"), Backend::named("B")];
    let emergency = Backend::named("E");
    let start = Pen::before([&alive, &dead]).options("-r -s -b 0 -e").word(&emergency);
    let pen = start.start();
    assert_eq!(pen.asks(4), "-B-B");
    assert_eq!(emergency.accepted(), 0);
}

#[test]
fn mode_tells_what_is_on() {
    let servers = three();
    let pen = Pen::before(&servers).options("-h -W").start();
    assert_eq!(pen.control("mode"), "hash no roundrobin no stubborn weight no prio\n");
    for command in ["no hash", "no weight", "roundrobin", "stubborn", "prio"] {
        assert_eq!(pen.control(command), "", "{command}");
    }
    assert_eq!(pen.control("mode"), "no hash roundrobin stubborn no weight prio\n");
}

/// A server that is full, shut or dead has no turn, and whoever stands in for it has had its own.
#[test]
fn no_neighbour_gets_a_double_share() {
    for why in ["full", "shut", "dead"] {
        let servers = three();
        let pen = Pen::before(&servers).options("-r -b 0").start();
        let held = match why {
            "full" => {
                pen.control("server 0 max 1");
                // One after the other: workers take clients side by side.
                let held = ["B", "C", "A"].map(|name| {
                    let mut client = pen.connect();
                    assert_eq!(client.line(), name);
                    client
                });
                Some(held)
            }
            "shut" => {
                pen.control("acl 1 deny 127.0.0.0/8");
                pen.control("server 0 acl 1");
                None
            }
            _ => {
                servers[0].pause();
                None
            }
        };
        assert_eq!(pen.asks(30), "BC".repeat(15), "{why}");
        drop(held);
    }
}
