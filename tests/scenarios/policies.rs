//! Which server a client without history gets: hash, weight, priority, stubborn, and the policies.

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

/// Starts pen with these words of a configuration before servers of these weights.
fn with_policy(servers: &[Backend; 3], weights: [&str; 3], lines: &[&str]) -> Pen {
    let weighing = servers.iter().zip(weights).map(|(server, weight)| format!("{server}:0:0:{weight}"));
    let start = Pen::before(weighing).options("-r --threads 1");
    lines.iter().fold(start, |start, line| start.command(line)).start()
}

#[test]
fn round_robin_goes_by_weight() {
    let servers = three();
    let pen = with_policy(&servers, ["2.5", "0.5", "0"], &["policy round_robin"]);
    assert_eq!(pen.asks(12), "AAABAAAAABAA");
    assert_eq!(pen.control("policy"), "round_robin\n");
    pen.control("server 2 weight 2.5");
    let names = pen.asks(11);
    assert_eq!((names.matches('A').count(), names.matches('C').count()), (5, 5), "{names}");
}

#[test]
fn least_conn_shares_open_connections_by_weight() {
    let servers = three();
    let pen = with_policy(&servers, ["3", "1", "2"], &["policy least_conn"]);
    let (_clients, names) = hold(&pen, 12);
    assert_eq!(["A", "B", "C"].map(|name| names.matches(name).count()), [6, 2, 4], "{names}");
}

#[test]
fn single_stays_with_a_server_and_top_with_a_weight() {
    let servers = three();
    let pen = with_policy(&servers, ["1", "2", "2"], &["policy single"]);
    assert_eq!(pen.asks(3), "BBB");
    servers[1].pause();
    assert_eq!(pen.asks(3), "CCC", "the client that met the failure too");
    servers[1].resume();
    pen.control("server 1 blacklist 0");
    assert_eq!(pen.asks(2), "CC");
    pen.control("server 0 weight 2.001");
    assert_eq!(pen.asks(2), "AA");
    assert_eq!(pen.control("policy round_robin"), "round_robin\n");
    for (command, expected) in [("top", "AAAA"), ("server 0 weight 2", "ABCA"), ("no top", "BCAB")] {
        pen.control(command);
        let names = pen.asks(4);
        let sorted = |names: &str| {
            let mut letters: Vec<char> = names.chars().collect();
            letters.sort_unstable();
            letters.dedup();
            letters
        };
        assert_eq!(sorted(&names), sorted(expected), "{command}: {names}");
    }
}

#[test]
fn two_pens_with_the_same_servers_in_any_order_agree_by_source() {
    let [a, b, c] = three();
    let start = |servers: [&Backend; 3]| Pen::before(servers).options("-r").command("policy source").start();
    let (one, other) = (start([&a, &b, &c]), start([&c, &a, &b]));
    let chosen: String = (1..=24).map(|last| one.ask_from(&format!("127.0.4.{last}"))).collect();
    let too: String = (1..=24).map(|last| other.ask_from(&format!("127.0.4.{last}"))).collect();
    assert_eq!(chosen, too);
    assert!(["A", "B", "C"].iter().all(|name| chosen.contains(name)), "{chosen}");
}

#[test]
fn random_draws_the_same_lots_from_the_same_seed() {
    let servers = three();
    let draw = || {
        let start = Pen::before(&servers).options("-r --threads 1").command("policy random");
        start.through("env PEN_SEED=11").start().asks(20)
    };
    let first = draw();
    assert_eq!(draw(), first);
    assert!(["A", "B", "C"].iter().all(|name| first.contains(name)), "{first}");
}

#[test]
fn a_server_that_comes_back_is_ramped_up() {
    let servers = three();
    let start = Pen::before(&servers).options("-r --threads 1").command("policy round_robin");
    let pen = start.command("slow_start 3600").start();
    pen.control("server 2 slow_start 0");
    pen.control("server 0 disable");
    pen.control("server 2 disable");
    assert_eq!(pen.asks(2), "BB");
    pen.control("server all enable");
    let names = pen.asks(40);
    assert_eq!(["A", "B", "C"].map(|name| names.matches(name).count()), [0, 20, 20], "{names}");
    let servers: serde_json::Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    assert_eq!((&servers[0]["state"], &servers[0]["reason"]), (&"warming".into(), &"slow_start".into()));
    assert_eq!([1, 2].map(|index| servers[index]["state"].clone()), ["up", "up"]);
    assert_eq!(pen.control("slow_start"), "3600\n");
    pen.control(&format!("write {}", pen.path("written").display()));
    let written = pen.text("written");
    assert!(written.contains("\nslow_start 3600\n") && written.contains(" slow_start 0\n"), "{written}");
    pen.control("slow_start 0");
    assert!(pen.asks(6).contains('A'));
}

/// The old switches have no effect with a policy, and that is said where somebody sets them.
#[test]
fn what_has_no_effect_is_said() {
    let servers = three();
    let pen = Pen::before(&servers).options("-W").start();
    let idle = "weight: without effect with policy source\n";
    assert_eq!(pen.control("policy source"), format!("source\n{idle}"));
    assert_eq!(pen.control("policy"), "source\n");
    assert_eq!(pen.control("hash"), "hash, weight: without effect with policy source\n");
    assert_eq!(pen.control("no hash"), "");
    assert_eq!(pen.control("policy pen"), "pen\n");
    assert_eq!(pen.control("hash"), "");
    for word in ["uri", "leastconn"] {
        let reply = pen.control(&format!("policy {word}"));
        assert!(reply.starts_with("error: policy: want pen or round_robin or "), "{reply}");
    }
}
