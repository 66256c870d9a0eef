//! The list of workloads, and which programs take part in each.

use super::datagrams::Habit;
use super::load::Task;
use super::measure::{Bench, METRICS_ADDRESS, SERVER_PORT};
use super::peers::{Copying, Peer, Speech};
use super::runs::Way;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub columns: &'static [&'static str],
}

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "connections",
        title: "Short connections, 64 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "one",
        title: "Short connections, one at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "trips",
        title: "Round trips on 100 connections",
        columns: &["CPU µs per round trip", "round trips per second"],
    },
    Workload {
        name: "down",
        title: "Streams to 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second"],
    },
    Workload {
        name: "up",
        title: "Streams from 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second"],
    },
    Workload {
        name: "idle",
        title: "Idle connections",
        columns: &[
            "bytes per connection, all memory",
            "bytes that each added",
            "CPU µs per round trip without them",
            "CPU µs beside them",
        ],
    },
    Workload {
        name: "two",
        title: "Short connections, 64 at a time, two workers",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "tls-full",
        title: "TLS: short connections with a full handshake, 4 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "tls-resumed",
        title: "TLS: short connections that take up an earlier session, 4 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "tls-stream",
        title: "TLS: streams to 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second"],
    },
    Workload {
        name: "tls-idle",
        title: "TLS: idle connections",
        columns: &["bytes that each added", "bytes per connection, all memory"],
    },
    Workload {
        name: "udp-known",
        title: "UDP: 8 clients with 8 datagrams each under way",
        columns: &["CPU µs per datagram and answer", "answers per second", "lost of a million"],
    },
    Workload {
        name: "udp-new",
        title: "UDP: each datagram from a new client, 64 at a time",
        columns: &["CPU µs per datagram and answer", "answers per second", "lost of a million"],
    },
    Workload {
        name: "udp-up",
        title: "UDP: streams from 2 clients, runs of 40 datagrams of 1200 bytes",
        columns: &["CPU seconds per GiB", "Gbit per second", "lost of a million"],
    },
    Workload {
        name: "udp-down",
        title: "UDP: streams to 2 clients, runs of 40 datagrams of 1200 bytes",
        columns: &["CPU seconds per GiB", "Gbit per second", "lost of a million"],
    },
    Workload {
        name: "calls",
        title: "System calls",
        columns: &["per connection, one at a time", "per connection, 32 at a time", "per round trip"],
    },
    Workload {
        name: "start",
        title: "Start and size",
        columns: &[
            "ms to start",
            "ms with 10,000 lines of configuration",
            "KiB of memory, empty",
            "KiB with the 10,000 lines",
            "KiB of program file",
        ],
    },
    Workload {
        name: BUILD,
        title: "Building pen from nothing, on all cores",
        columns: &["seconds from `cargo demo` to its first answer", "seconds for `cargo build --release`"],
    },
    Workload {
        name: SETTINGS,
        title: "Settings: short connections, 64 at a time",
        columns: &["CPU µs per connection", "of its workers alone", "connections per second"],
    },
    Workload {
        name: HTTP,
        title: "Settings: round trips on 100 connections, a request of HTTP each",
        columns: &["CPU µs per round trip", "round trips per second"],
    },
    Workload {
        name: "clones-connections",
        title: "Clones: short connections, 64 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "clones-up",
        title: "Clones: streams from 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second", "% that the clone got"],
    },
    Workload {
        name: "clones-down",
        title: "Clones: streams to 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second", "% that the clone got"],
    },
    Workload {
        name: "clones-trips",
        title: "Clones: round trips on 100 connections",
        columns: &["CPU µs per round trip", "round trips per second", "µs for 99 of 100 at most"],
    },
];

const SETTINGS: &str = "options";
const HTTP: &str = "http";
const BUILD: &str = "build";
/// With whom a pen is compared that has a clone.
const CLONES: [(&str, Option<Copying>); 3] = [
    ("pen", None),
    ("pen with a clone", Some(Copying::Served)),
    ("pen with a clone that stalls", Some(Copying::Stalled)),
];

/// How near pen comes to what the system takes for a copy.
const BARE: [(&str, Option<Copying>); 2] =
    [("a bare loop", None), ("a bare loop with a clone", Some(Copying::Served))];

impl Workload {
    /// Those with this name or in this family: `tls` is all that begin with `tls-`.
    pub fn named(name: &str) -> Vec<&'static Workload> {
        let family = format!("{name}-");
        WORKLOADS
            .iter()
            .filter(|workload| workload.name == name || workload.name.starts_with(&family))
            .collect()
    }

    /// Whether pen is compared with itself, under different settings.
    pub fn is_of_settings(&self) -> bool {
        matches!(self.name, SETTINGS | HTTP) || self.is_of_clones()
    }

    /// Whether one round says enough, and takes long enough.
    pub fn is_done_once(&self) -> bool {
        self.name == BUILD
    }

    fn is_of_clones(&self) -> bool {
        self.name.starts_with("clones-")
    }

    /// What the programs must be able to speak; which certificate and how often does not matter here.
    fn speech(&self) -> Speech {
        match self.name.split_once('-') {
            Some(("tls", _)) => Speech::Tls(PathBuf::new()),
            Some(("udp", _)) => Speech::Udp { once: false },
            _ => Speech::Tcp,
        }
    }
}

/// With whom pen is compared.
#[derive(Default)]
pub struct Others {
    /// Of those installed only these, by the beginnings of their names.
    pub only: Option<Vec<String>>,
    /// Programs with pen's command line.
    pub like: Vec<Peer>,
}

/// 63 services beside the first, with 998 servers beside the two of that one; each has these settings.
fn services(settings: &str) -> String {
    let service = |number: usize| {
        // So that they are a thousand in all.
        let servers = 15 + usize::from(number < 53);
        let lines =
            (0..servers).map(|server| format!("server {server} address 127.0.0.1 port {SERVER_PORT}\n"));
        let lines = lines.collect::<String>();
        format!("service s{number}\nlisten 127.4.0.{}:10000\n{settings}{lines}", number + 1)
    };
    settings.to_owned() + &(0..63).map(service).collect::<String>()
}

/// The programs that take part in a workload, and what is added to the configuration of each.
pub fn programs(workload: &Workload, others: &Others) -> Vec<(Peer, String)> {
    let denied = |count: u32| {
        let address = |host: u32| Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + host);
        let lines = (0..count).map(|host| format!("acl 1 deny {}\n", address(host)));
        lines.chain(["client_acl 1\n".to_owned()]).collect::<String>()
    };
    let (list, long_list) = (denied(1_000), denied(100_000));
    if workload.is_of_clones() {
        // One that stalls is no matter where connections are short: it takes some hundred, and is passed over then.
        let matters =
            |copying: &Option<Copying>| *copying != Some(Copying::Stalled) || workload.name == "clones-trips";
        let variants = CLONES.into_iter().filter(|(_, copying)| matters(copying));
        let ours = variants.map(|(name, copying)| Peer::ours(name).with_clone(copying));
        // It knows streams only.
        let is_stream = matches!(workload.name, "clones-up" | "clones-down");
        let bare = BARE.into_iter().filter(|_| is_stream);
        let bare = bare.map(|(name, copying)| Peer::bare(name).with_clone(copying));
        return ours.chain(bare).map(|peer| (peer, String::new())).collect();
    }
    if workload.name == HTTP {
        let variants = [
            ("pen", ""),
            ("pen -H", "http\n"),
            ("pen with `http append`", "http append\n"),
            ("pen with `http replace`", "http replace\n"),
        ];
        return variants.map(|(name, extra)| (Peer::ours(name), extra.to_owned())).into();
    }
    if workload.name == BUILD {
        return vec![(Peer::ours("pen"), String::new())];
    }
    let quiet = services("");
    let checked = services("check connect\ncheck_interval 1\n");
    let busy = format!("log traffic.log\nlog_format json\nmetrics_listen {METRICS_ADDRESS}\n{checked}");
    if workload.is_of_settings() {
        let variants = [
            ("pen", "", &[][..], 2),
            ("pen with a log", "log traffic.log\n", &[], 2),
            ("pen with a JSON log", "log traffic.log\nlog_format json\n", &[], 2),
            ("pen -H", "", &["-H"], 2),
            ("pen with 64 services and 1,000 servers", &quiet, &[], 2),
            ("the same, servers checked and metrics read each second, JSON log", &busy, &[], 2),
            ("pen with 1,000 entries in an access list", &list, &[], 2),
            ("pen with 100,000 entries in an access list", &long_list, &[], 2),
            ("pen with 1,000 servers", "", &["-r"], 1_000),
            ("pen with 1,000 servers, by weight", "", &["-r", "-W"], 1_000),
        ];
        let variant = |(name, extra, options, servers): (&str, &str, &[&str], usize)| {
            (Peer::ours(name).with_options(options).with_servers(servers), extra.to_owned())
        };
        return variants.into_iter().map(variant).collect();
    }
    let wanted = |peer: &Peer| {
        let named =
            others.only.as_ref().is_none_or(|names| names.iter().any(|name| peer.name.starts_with(name)));
        let streams = matches!(workload.name, "down" | "up");
        named && (!peer.splices() || streams) && peer.speaks(&workload.speech())
    };
    let like = others.like.iter().cloned();
    let others = Peer::installed().into_iter().filter(wanted);
    let mut all: Vec<Peer> = [Peer::ours("pen")].into_iter().chain(like).chain(others).collect();
    if workload.name == "two" {
        // The original has no workers; what has pen's command line otherwise is taken for single-threaded too.
        all.retain(|peer| !peer.is_pen() || peer.name == "pen");
        all = all.into_iter().map(|peer| peer.with_workers(2)).collect();
    }
    all.into_iter().map(|peer| (peer, String::new())).collect()
}

pub fn measure(bench: &Bench<'_>, workload: &Workload, peer: &Peer, extra: &str) -> io::Result<Vec<f64>> {
    match workload.name {
        "connections" | "two" | "clones-connections" => bench.connections(peer, 64, extra),
        SETTINGS => bench.connections_by_workers(peer, 64, extra),
        "one" => bench.connections(peer, 1, extra),
        "trips" | HTTP => bench.round_trips(peer, extra),
        "down" => bench.stream(peer, Task::Take),
        "up" => bench.stream(peer, Task::Give),
        "idle" => bench.idle(peer),
        "tls-full" => bench.handshakes(peer, false),
        "tls-resumed" => bench.handshakes(peer, true),
        "tls-stream" => bench.tls_stream(peer),
        "tls-idle" => bench.tls_idle(peer),
        "clones-up" => bench.copied_stream(peer, Task::Give),
        "clones-down" => bench.copied_stream(peer, Task::Take),
        "clones-trips" => bench.timed_round_trips(peer),
        "udp-known" => bench.datagrams(peer, Habit::Stay { window: 8 }),
        "udp-new" => bench.datagrams(peer, Habit::Leave),
        "udp-up" => bench.datagram_stream(peer, Way::Up),
        "udp-down" => bench.datagram_stream(peer, Way::Down),
        "calls" => bench.system_calls(peer),
        BUILD => bench.builds(),
        _ => bench.start(peer),
    }
}
