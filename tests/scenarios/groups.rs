//! Groups of servers, of which one is in use: switched while clients are connected, with TCP and UDP.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;

fn does(pen: &Pen, line: &str) {
    assert_eq!(pen.control(line), "", "{line}");
}

fn json(pen: &Pen, line: &str) -> Value {
    serde_json::from_str(&pen.control(line)).expect("JSON")
}

fn states(pen: &Pen) -> Vec<String> {
    let servers = json(pen, "servers json");
    let state = |server: &Value| server["state"].as_str().unwrap_or_default().to_string();
    servers.as_array().unwrap().iter().map(state).collect()
}

/// A and B are blue, C and D green.
fn blue_green(servers: &[Backend; 4]) -> Start {
    let grouped = Pen::before(servers).command("server 0 group blue").command("server 1 group blue");
    grouped.command("server 2 group green").command("server 3 group green")
}

#[test]
fn clients_go_to_the_group_in_use_and_connections_of_the_other_end_on_their_own() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let pen = blue_green(&servers).start();
    assert_eq!(states(&pen), ["up", "up", "standby", "standby"]);
    let mut held = pen.connect();
    let blue = held.line();
    assert!(["A", "B"].contains(&&*blue), "{blue}");
    assert_eq!(pen.ask(), blue, "the client is remembered");
    does(&pen, "group green use");
    let green = pen.ask();
    assert!(["C", "D"].contains(&&*green), "{green}: chosen anew");
    assert_eq!(pen.asks(3), green.repeat(3), "and remembered");
    assert_eq!(held.exchange("still"), "still");
    assert_eq!(states(&pen), ["standby", "standby", "up", "up"]);
    let groups = json(&pen, "groups json");
    assert_eq!((&groups[0]["name"], &groups[0]["in_use"]), (&"blue".into(), &false.into()));
    assert_eq!((&groups[0]["connections"], &groups[0]["up"]), (&1.into(), &2.into()));
    assert_eq!((&groups[1]["name"], &groups[1]["in_use"]), (&"green".into(), &true.into()));
    held.end();
    drop(held);
    eventually(
        "the end of the last connection to be told",
        || pen.stderr(),
        |said| said.contains(": another group is in use, and its last connection has ended"),
    );
    let expected = "blue idle conns 0 servers 2 up 2 policy pen\n";
    eventually("nobody to be left", || pen.control("groups"), |groups| groups.starts_with(expected));
    does(&pen, "group blue use");
    assert!(["A", "B"].contains(&&*pen.ask()), "chosen anew once more");
}

#[test]
fn failover_stays_in_the_group_and_goes_to_servers_of_all_groups_and_to_the_emergency_server() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let [all, emergency] = ["E", "Z"].map(Backend::named);
    let pen = blue_green(&servers).server(&all).options(&format!("-O prio -e {emergency}")).start();
    for (index, prio) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)] {
        does(&pen, &format!("server {index} prio {prio}"));
    }
    let mut clients = (2..).map(|last| format!("127.0.0.{last}"));
    let mut ask = |pen: &Pen| pen.ask_from(&clients.next().unwrap());
    assert_eq!(ask(&pen), "A");
    servers[0].pause();
    assert_eq!(ask(&pen), "B");
    servers[1].pause();
    assert_eq!(ask(&pen), "E", "not of the other group, though they are well");
    all.pause();
    assert_eq!(ask(&pen), "Z", "the emergency server is of no group");
    does(&pen, "group green use");
    assert_eq!(ask(&pen), "C");
}

#[test]
fn a_group_has_a_policy_of_its_own() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let pen = blue_green(&servers).options("-r").command("group green policy single").start();
    assert_eq!(pen.asks(4).chars().filter(|name| *name == 'A').count(), 2, "in turn");
    does(&pen, "group green use");
    let chosen = pen.asks(4);
    assert!(["CCCC", "DDDD"].contains(&&*chosen), "{chosen}");
    assert_eq!(
        pen.control("groups").lines().last().unwrap().split_once(" up ").unwrap().1,
        "2 policy single"
    );
    does(&pen, "no group green policy");
    assert_eq!(pen.asks(4).chars().filter(|name| *name == 'C').count(), 2, "in turn");
}

/// With `hash` the numbers go round among those of the group in use, as if there were no others.
#[test]
fn hash_divides_clients_among_the_servers_of_the_group() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let pen = blue_green(&servers).options("-h").command("server 1 group green").start();
    does(&pen, "group green use");
    let got: String = (2..32).map(|last| pen.ask_from(&format!("127.0.0.{last}"))).collect();
    let count = |name| got.matches(name).count();
    assert_eq!(["A", "B", "C", "D"].map(count), [0, 10, 10, 10], "{got}");
}

#[test]
fn groups_are_refused_saved_read_again_and_removed() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let pen = blue_green(&servers).config("").start();
    for (line, reply) in [
        ("group red use", "error: group red: no such group; there are blue, green\n"),
        (
            "group blue remove",
            "error: group blue remove: it is in use; want group NAME use before, of green\n",
        ),
    ] {
        assert_eq!(pen.control(line), reply);
    }
    does(&pen, "group green policy least_conn");
    does(&pen, "group green use");
    does(&pen, "write");
    let text = pen.text("pen.conf");
    assert!(text.contains(" group blue\n"), "{text}");
    assert!(
        text.ends_with("group green policy least_conn\ngroup green use\n")
            || text.contains("group green use\n")
    );
    // The file says blue now: so it is, with the policy of the service.
    let text = text.replace("group green use\n", "").replace("group green policy least_conn\n", "");
    fs::write(pen.path("pen.conf"), text).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually(
        "blue to be in use",
        || pen.control("groups"),
        |groups| {
            groups
                == "blue in_use conns 0 servers 2 up 2 policy pen\ngreen idle conns 0 servers 2 up 2 policy pen\n"
        },
    );
    let mut held = pen.connect();
    held.line();
    does(&pen, "group green use");
    does(&pen, "group blue remove");
    assert_eq!(pen.control("groups").lines().count(), 1);
    assert_eq!(held.exchange("still"), "still", "what is removed ends on its own");
    assert!(["C", "D"].contains(&&*pen.ask()));
    let metrics = pen.control("metrics");
    assert!(
        metrics.contains("pen_server_group_in_use{") && metrics.contains(",group=\"green\"} 1\n"),
        "{metrics}"
    );
}

#[test]
fn services_that_share_clients_have_groups_of_their_own() {
    let servers = ["A", "B", "C", "D"].map(Backend::named);
    let port = free_port();
    let named = |line: usize| format!("server {line} name s{line}\n");
    let at =
        |line: usize| format!("server {line} address 127.0.0.1 port {} name s{line}\n", servers[line].port());
    let lines = (0..4).map(named).collect::<String>()
        + &format!("service web\nclients_from main\nlisten 127.0.0.1:{port}\n")
        + &(0..4).map(at).collect::<String>();
    let pen = blue_green(&servers).config(&lines).start();
    let web = || Client::connect(([127, 0, 0, 1], port).into()).line();
    let blue = pen.ask();
    assert_eq!(web(), blue, "they agree, by name");
    does(&pen, "group green use");
    let green = pen.ask();
    assert!(["C", "D"].contains(&&*green), "{green}");
    assert_eq!(web(), green, "they agree still: here there are no groups");
    does(&pen, "service web server s0 group old");
    does(&pen, "service web server s1 group old");
    let both = pen.control("service web groups");
    assert!(both.starts_with("old in_use conns "), "{both}");
    assert_eq!(web(), green, "of all groups");
}

#[test]
fn sessions_of_udp_end_on_their_own_as_well() {
    let [a, b] = ["A", "B"].map(UdpServer::named);
    let pen = Pen::before([&a, &b])
        .options("-U")
        .command("server 0 group blue")
        .command("server 1 group green")
        .start();
    let old = UdpClient::new(pen.address);
    assert_eq!(old.server(), "A");
    does(&pen, "group green use");
    assert_eq!(old.server(), "A", "its session goes on");
    assert_eq!(UdpClient::new(pen.address).server(), "B", "of the same address, chosen anew");
}

/// What txLoadBalancer's host check did: a failed server takes no client until four connects have succeeded.
#[test]
fn a_server_that_failed_returns_after_four_checks() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let checks = "check connect\ncheck_interval 0.05\ncheck_rise 4\nblacklist 3600\npolicy single\n";
    let pen = Pen::before([&a, &b]).config(checks).start();
    assert_eq!(pen.asks(2), "AA");
    a.pause();
    eventually("A to be down", || states(&pen), |states| states[0] == "down");
    assert_eq!(pen.ask(), "B");
    let before = a.accepted();
    a.resume();
    eventually("A to be up", || states(&pen), |states| states[0] == "up");
    assert!(a.accepted() - before >= 4, "only after four checks");
    assert_eq!(pen.ask_from("127.0.0.2"), "B", "single stays where it is");
}

/// All servers failed: each is tried once more for a client, so that nobody waits for the blacklist time to be over.
#[test]
fn when_all_have_failed_they_are_tried_at_once() {
    let [a, b] = ["A", "B"].map(Backend::refusing);
    let pen = Pen::before([&a, &b]).options("-b 3600").start();
    assert_eq!(pen.ask(), "-");
    assert_eq!(states(&pen), ["down", "down"]);
    b.resume();
    assert_eq!(pen.ask(), "B");
    assert_eq!(states(&pen), ["down", "up"]);
}
