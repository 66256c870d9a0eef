//! Names of servers that change: a real name server tells of them, and pen looks them up again and again.
//!
//! Needs root and ip(8), for a resolv.conf of its own, and nsd.

use crate::common::network::Network;
use crate::common::pen::{Pen, Start};
use crate::common::programs::{all_installed, run};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::thread;

const PROGRAMS: [(&str, &str); 2] = [("nsd", "nsd"), ("dig", "bind9-dnsutils")];
const NAME_SERVER: &str = "127.0.9.53";
const WITH_ITS_RESOLV_CONF: &str = "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" \"$@\"";

fn alone(network: &mut Network) -> Result<(), String> {
    network.add_host("alone")
}

/// A name server for `example.test`, whose records can be exchanged.
struct Zone {
    nsd: Server,
    serial: u32,
}

impl Zone {
    fn with(records: &str) -> Zone {
        let dir = TempDir::new();
        let path = dir.path().display();
        let config = dir.file(
            "nsd.conf",
            &format!(
                "server:\n  ip-address: {NAME_SERVER}@53\n  server-count: 1\n  username: \"\"\n  zonesdir: \"{path}\"\n  \
                 pidfile: \"\"\n  xfrdfile: \"\"\n  database: \"\"\n  zonelistfile: \"{path}/zones\"\n  rrl-ratelimit: 0\n\
                 remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: zone\n"
            ),
        );
        dir.file("zone", &zone(records, 1));
        let words = ["-d", "-c", &config.display().to_string()];
        let nsd = Server::start(dir, format!("{NAME_SERVER}:53"), "nsd", &words, || knows_serial(1));
        Zone { nsd, serial: 1 }
    }

    fn change(&mut self, records: &str) {
        self.serial += 1;
        fs::write(self.nsd.dir.path().join("zone"), zone(records, self.serial)).unwrap();
        self.nsd.signal(Signal::SIGHUP);
        eventually("the name server to know", || knows_serial(self.serial), |knows| *knows);
    }
}

fn zone(records: &str, serial: u32) -> String {
    format!(
        "$ORIGIN example.test.\n$TTL 1\n@ SOA ns host {serial} 3600 600 86400 1\n@ NS ns\nns A {NAME_SERVER}\n{records}"
    )
}

fn knows_serial(serial: u32) -> bool {
    let question = [&format!("@{NAME_SERVER}"), "+tries=1", "+time=1", "+short", "example.test", "SOA"];
    run("dig", &question, "").stdout.contains(&format!(" {serial} 3600 "))
}

/// Says its name to everybody, at this address.
fn play_server(address: &str, name: &'static str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has what it wanted may be gone.
            let _ = stream.unwrap().write_all(format!("{name}\n").as_bytes());
        }
    });
}

fn with_resolv_conf(start: Start) -> Start {
    let resolv_conf = format!("nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n");
    let start = start.file("resolv.conf", &resolv_conf);
    start.through("unshare --mount sh -c").through_script(WITH_ITS_RESOLV_CONF)
}

/// Number, address and port of each server that has an address.
fn servers(pen: &Pen) -> String {
    let lines = pen.control("servers");
    let words = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let known = words.filter(|words| words[2] != "0.0.0.0");
    known.map(|words| format!("{} {}:{}", words[0], words[2], words[4])).collect::<Vec<_>>().join(", ")
}

/// Until clients are served by these and by nobody else.
fn expect_served_by(pen: &Pen, expected: &str) {
    let names = || pen.asks(8).chars().collect::<BTreeSet<char>>().into_iter().collect::<String>();
    eventually("who serves", names, |names| names == expected);
}

#[test]
fn servers_come_and_go_with_the_addresses_of_a_name() {
    Network::inside("resolve::servers_come_and_go_with_the_addresses_of_a_name", "alone", alone, |_| {
        if !all_installed(&PROGRAMS) {
            return;
        }
        for (address, name) in [("127.0.9.1:20080", "A"), ("127.0.9.2:20080", "B"), ("127.0.9.3:20080", "C")]
        {
            play_server(address, name);
        }
        let mut zone = Zone::with("web A 127.0.9.1\n");
        let start =
            Pen::before(["web.example.test:20080:9", "127.0.9.3:20080"]).command("resolve 1").options("-r");
        let pen = with_resolv_conf(start).start();
        assert_eq!(servers(&pen), "0 127.0.9.1:20080, 1 127.0.9.3:20080");
        expect_served_by(&pen, "AC");
        zone.change("web A 127.0.9.1\nweb A 127.0.9.2\n");
        eventually(
            "two servers",
            || servers(&pen),
            |servers| servers == "0 127.0.9.1:20080, 1 127.0.9.3:20080, 2 127.0.9.2:20080",
        );
        assert_eq!(pen.control("server web.example.test~2 blacklist 60"), "");
        expect_served_by(&pen, "AC");
        assert_eq!(pen.control("server web.example.test~2 reset"), "");
        expect_served_by(&pen, "ABC");
        let refused = pen.control("server web.example.test~2 drain");
        assert!(refused.starts_with("error: server web.example.test~2: is made of server 0"), "{refused}");
        assert!(
            pen.control("servers").lines().last().unwrap().contains(" max 9 "),
            "{}",
            pen.control("servers")
        );
        expect_served_by(&pen, "ABC");
        let said = pen.stderr();
        assert!(said.contains("server 2 (web.example.test~2, 127.0.9.2:20080) is new"), "{said}");
        zone.change("web A 127.0.9.2\n");
        eventually(
            "one of them",
            || servers(&pen),
            |servers| servers == "1 127.0.9.3:20080, 2 127.0.9.2:20080",
        );
        expect_served_by(&pen, "BC");
        // What is written is what was configured.
        pen.control(&format!("write {}", pen.path("written").display()));
        let written = fs::read_to_string(pen.path("written")).unwrap();
        assert!(written.contains("web.example.test") && !written.contains("127.0.9.2"), "{written}");
        assert!(written.contains("\nresolve 1\n"), "{written}");
        // A name server that is gone takes nobody away.
        zone.nsd.stop();
        let said = || pen.stderr();
        eventually("the trouble to be told", said, |said| said.contains("host \"web.example.test\": "));
        expect_served_by(&pen, "BC");
        assert_eq!(servers(&pen), "1 127.0.9.3:20080, 2 127.0.9.2:20080");
    });
}

#[test]
fn a_name_that_nobody_knows_yet_keeps_its_place() {
    Network::inside("resolve::a_name_that_nobody_knows_yet_keeps_its_place", "alone", alone, |_| {
        if !all_installed(&PROGRAMS) {
            return;
        }
        for (address, name) in [("127.0.9.1:20080", "A"), ("127.0.9.2:20080", "B")] {
            play_server(address, name);
        }
        let mut zone = Zone::with("");
        let late =
            |start: Start| with_resolv_conf(start.command("resolve 1").command("resolve_first")).start();
        let pen = late(Pen::before(["late.example.test:20080", "127.0.9.2:20080"]));
        assert_eq!(servers(&pen), "1 127.0.9.2:20080");
        let said = pen.stderr();
        assert!(
            said.contains("host \"late.example.test\": ") && said.contains("; it is looked up again"),
            "{said}"
        );
        expect_served_by(&pen, "B");
        // Nobody listens at the first: the same server is found at its second address.
        zone.change("late A 127.0.9.9\nlate A 127.0.9.1\n");
        eventually("its address", || servers(&pen), |servers| servers.starts_with("0 127.0.9."));
        pen.control("roundrobin");
        expect_served_by(&pen, "AB");
        assert_eq!(pen.control("servers").lines().count(), 2, "{}", pen.control("servers"));
        let refused = pen.try_control("server 2 address never.example.test port 20080").unwrap();
        assert!(refused.starts_with("error: host \"never.example.test\": "), "{refused}");
    });
}

#[test]
fn records_of_a_service_tell_targets_ports_and_weights() {
    Network::inside("resolve::records_of_a_service_tell_targets_ports_and_weights", "alone", alone, |_| {
        if !all_installed(&PROGRAMS) {
            return;
        }
        for (address, name) in [("127.0.9.1:20081", "A"), ("127.0.9.2:20082", "B"), ("127.0.9.3:20083", "C")]
        {
            play_server(address, name);
        }
        let hosts = "a A 127.0.9.1\nb A 127.0.9.2\nc A 127.0.9.3\n";
        let records = |records: &str| format!("{hosts}{records}");
        let [a, b, c] = [(10, 3, 20081, "a"), (10, 1, 20082, "b"), (20, 0, 20083, "c")].map(
            |(priority, weight, port, host)| format!("_line._tcp SRV {priority} {weight} {port} {host}\n"),
        );
        let mut zone = Zone::with(&records(&[&*a, &b, &c].concat()));
        let start = Pen::before(["srv:_line._tcp.example.test::7"]).command("resolve 1").options("-r");
        let pen = with_resolv_conf(start).start();
        let all = "0 127.0.9.1:20081, 1 127.0.9.2:20082, 2 127.0.9.3:20083";
        assert_eq!(servers(&pen), all);
        let status: serde_json::Value = serde_json::from_str(&pen.control("servers json")).unwrap();
        let told = |key: &str| {
            status.as_array().unwrap().iter().map(|server| server[key].clone()).collect::<Vec<_>>()
        };
        assert_eq!(told("weight"), [3, 1, 1]);
        assert_eq!(told("max"), [7, 7, 7]);
        assert_eq!(told("state"), ["up", "up", "standby"]);
        expect_served_by(&pen, "AB");
        // The next priority number serves when nobody before it does.
        pen.control("server 0 blacklist 1000");
        pen.control("server 1 blacklist 1000");
        expect_served_by(&pen, "C");
        pen.control("server 0 blacklist 0");
        zone.change(&records(&a));
        eventually("one server", || servers(&pen), |servers| servers == "0 127.0.9.1:20081");
        expect_served_by(&pen, "A");
        pen.control(&format!("write {}", pen.path("written").display()));
        let written = fs::read_to_string(pen.path("written")).unwrap();
        assert!(written.contains("server 0 acl 0 address srv:_line._tcp.example.test max 7 "), "{written}");
        // More than a datagram holds.
        let many: String = (0..40).map(|port| format!("_line._tcp SRV 10 0 {} a\n", 20100 + port)).collect();
        zone.change(&records(&(many + &b)));
        let count = || servers(&pen).split(", ").count();
        eventually("all that there are", count, |count| *count == 41);
        let refused = pen.try_control("server 0 address srv:_none._tcp.example.test").unwrap();
        assert_eq!(refused, "error: srv:_none._tcp.example.test: no such name\n");
    });
}
