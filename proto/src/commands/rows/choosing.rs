//! The rows about which server a client gets.

use super::server_keys::SLOW_START_MAX_MS;
use super::{JSON, NUMBER, SECONDS, arg, flag, number, optional};
use crate::commands::{
    Answer, Arg, Argument, Choice, Complete, Flag, Group, Kind, List, Number, Question, Row, SECONDS_MAX,
    Text, When,
};
use crate::names::Name;

/// Seconds that `recent` looks back unless told otherwise, as in Pen.
const RECENT_SECONDS: u32 = 300;

const LIVE: Row = Row { group: Group::Choosing, ..super::LIVE };
const NEW: Row = Row { group: Group::Choosing, ..super::NEW };
const OPTION: Row = Row { kind: Kind::OptionOnly, when: When::Start, ..LIVE };

const POLICIES: &[&str] = &[
    "pen",
    "round_robin",
    "least_conn",
    "single",
    "random",
    "source",
    "uri_hash",
    "uri_static",
    "least_load",
];

const SERVER: &[Arg] = &[arg("HOST[:PORT...]", Complete::Address)];

pub const ROWS: &[Row] = &[
    Row {
        word: "blacklist",
        letter: Some('b'),
        args: SECONDS,
        kind: number(Number::Blacklist, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "how long a server that failed is skipped",
        detail: "After a failed connect pen sends no client to the server for this time, as long as another \
                 server takes the client. When none does, pen tries the failed servers again before the \
                 emergency server: the one that failed longest ago first, each once for a client. It does \
                 not try servers that a command has blacklisted. A change also applies to servers that are \
                 blacklisted now. With 0 pen tries a failed server again at once. Other programs call this \
                 passive health checks, with `fail_timeout`.",
        ..LIVE
    },
    Row {
        word: "clients",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Clients)),
        summary: "list the clients that are remembered",
        detail: "Prints a line for each entry of the client table: address, age, server, connects and bytes. \
                 With `json`, prints one JSON array.",
        ..NEW
    },
    Row {
        word: "clients_from",
        no: true,
        args: &[optional("NAME", Complete::Service)],
        kind: Kind::Text {
            text: Text::ClientsFrom,
            read: |word| Name::parse(word).map(|name| name.to_string()),
            answer: Answer::Value,
        },
        summary: "share the client table of another service",
        detail: "A client of this service goes to the server that it has in the service NAME, and the other \
                 way round, so that http and https of one site agree (affinity across services). Servers \
                 agree by name, or by number where they have no name. `clients_max` is that of NAME.",
        ..NEW
    },
    Row {
        word: "client_conn_max",
        args: NUMBER,
        kind: number(Number::ClientConnMax, 0, 10_000_000, 0),
        unit: "connections",
        summary: "most connections of one client at once; 0: no limit",
        detail: "A client is an address, of IPv6 a network of 64 bits; clients at a Unix socket have none and no limit. \
                 With UDP it counts sessions. One more is refused as by `client_acl`: closed, or sent to the server of \
                 `-B`. Connections that were open when the limit was set do not count.",
        ..NEW
    },
    Row {
        word: "client_rate",
        args: &[optional("N", Complete::Number), optional("SECONDS", Complete::Number)],
        kind: Kind::Rate { number: Number::ClientRate, count_max: 1_000_000, seconds_max: 86_400 },
        unit: "connections",
        summary: "most new connections of one client within some seconds; 0: no limit",
        detail: "As `client_conn_max`, for connections that come one after the other. `client_rate 20 10` lets 20 pass \
                 in any 10 seconds; those that are refused do not count.",
        ..NEW
    },
    Row {
        word: "clients_max",
        letter: Some('c'),
        args: NUMBER,
        kind: number(Number::ClientsMax, 1, 10_000_000, 2048),
        unit: "clients",
        summary: "how many clients are remembered",
        detail: "The size of the client table, which makes sessions sticky (affinity). When the table is \
                 full, pen forgets the client that has not connected for the longest time. The table only \
                 grows: in a running pen a smaller number changes nothing.",
        ..LIVE
    },
    Row {
        word: "clones",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Clones)),
        summary: "compare clones with members: answers, times, ends",
        detail: "Prints `disabled`, `enabled` or `failed` (no clone can be used now), then for connections that had a \
                 clone and are over, member and clone side by side: connections, bytes, median and 99th percentile of \
                 the time to the first byte and of the duration, and how they ended. Then how many answers were \
                 compared, how many were the same, and each kind of difference with its last example. With `json`, \
                 prints one JSON object.",
        ..NEW
    },
    Row {
        word: "clone_ignore",
        no: true,
        args: &[optional("TEXT", Complete::Text)],
        no_args: &[optional("TEXT", Complete::Text)],
        kind: Kind::List(List::CloneIgnore),
        summary: "lines of answers that `clones` does not compare",
        detail: "Lines that begin with TEXT, in upper or lower case, such as `clone_ignore Date:`, are left out when the \
                 answers of a member and its clone are compared. The command may be repeated; without an argument it \
                 lists the texts, one on each line. `no clone_ignore TEXT` removes one, `no clone_ignore` all. \
                 Connections that come later follow a change.",
        ..NEW
    },
    Row {
        word: "clone_percent",
        args: NUMBER,
        kind: number(Number::ClonePercent, 0, 100, 100),
        unit: "percent",
        summary: "how many of 100 connections are cloned; 0: none",
        detail: "Servers with `role clone` get a copy of what clients send: a test environment under live traffic, \
                 also called traffic mirroring or shadowing. The service's `policy` chooses a clone for each \
                 connection among the clones. What it answers goes nowhere, and whatever it does the client does \
                 not notice. docs/clones.md shows how to try a new version so.",
        ..NEW
    },
    Row {
        word: "clone_queue",
        args: &[optional("BYTES", Complete::Number)],
        kind: number(Number::CloneQueue, 1_024, 64 << 20, 64 << 10),
        unit: "bytes",
        summary: "how much may wait for a clone beside what its socket holds",
        detail: "A clone that does not keep up is cut off from the connection when more would wait, or when this \
                 much has waited for a second and nothing moved. The client waits for it in no case.",
        ..NEW
    },
    Row {
        word: "group",
        no: true,
        args: &[
            arg("NAME", Complete::Group),
            arg("use|policy|remove", Complete::Words(&["use", "policy", "remove"])),
            optional("POLICY", Complete::Words(POLICIES)),
        ],
        no_args: &[arg("NAME", Complete::Group), arg("use|policy", Complete::Words(&["use", "policy"]))],
        kind: Kind::Group,
        summary: "switch clients between groups of servers, as for blue/green deployment",
        detail: "Servers belong to a group by `server N group NAME`; those without one belong to all. Of \
                 the groups of a service one is in use: the one named first, until `use` names another. \
                 With `use` all clients are sent to that group from then on, also those that belonged to a \
                 server of the one before; connections that are open there end on their own. Servers of \
                 other groups are checked all the same, and their state is `standby`. `policy` gives a \
                 group a policy of its own, in place of that of the service; `no group NAME policy` takes \
                 it back. `no group NAME use` has the first group in use again. `remove` removes the \
                 servers of a group that is not in use. The servers of `-e` and `-B` belong to no group.",
        ..NEW
    },
    Row {
        word: "groups",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Groups)),
        summary: "list the groups of servers",
        detail: "Prints a line for each group of the service: name, whether it is in use, connections, \
                 servers, how many of them are well, and its policy. With `json`, prints one JSON array.",
        ..NEW
    },
    Row {
        word: "hash",
        letter: Some('h'),
        no: true,
        kind: flag(Flag::Hash),
        summary: "source hash: choose the first server by the client's address",
        detail: "The address of a client that pen does not know selects its server, so that several pens \
                 with the same list of servers agree. With `roundrobin` the client's port counts too.",
        ..LIVE
    },
    Row {
        word: "mode",
        kind: Kind::Question(Argument::Nothing(|| Question::Mode)),
        summary: "show how servers are chosen",
        detail: "Prints one line with the words hash, roundrobin, stubborn, weight and prio, each with `no` \
                 before it when it is off.",
        ..LIVE
    },
    Row {
        word: "policy",
        args: &[optional("POLICY", Complete::Words(POLICIES))],
        kind: Kind::Choice { choice: Choice::Policy, words: POLICIES, default: 0, answer: Answer::Value },
        summary: "how to choose a server for a client that pen does not remember",
        detail: "`pen`, the default, does what `prio`, `weight`, `hash` and `roundrobin` say. With every \
                 other policy `prio`, `weight` and `hash` have no effect, all weights count, a server \
                 without a weight counts as 1, and a server of weight 0 gets only clients that pen \
                 remembers. `round_robin`: servers take turns, as often as their weights say. `least_conn`: \
                 the server with the fewest connections for its weight; equal ones take turns. `random`: a \
                 random server, as often as its weight says. `source`: by the client's address, alike on \
                 every pen with the same servers in any order; when a server goes, hardly any clients but \
                 its own move, and they return with it. `least_load`: the server with the least load, \
                 each connection counting for `session_weight`, for its weight; see `load`. Servers of unknown load \
                 come last, those with the fewest connections first. `single`: one server for all clients, until it fails \
                 or one of a higher weight can be used. `uri_hash`: each URI has its server, which \
                 `least_conn` chose when a client first asked for it. `uri_static`: by a hash of the URI, as \
                 the algorithm STATIC of Octopus. For both, pen waits for the first line of a client; where \
                 it is no request, or none comes within 200 ms, `least_conn` chooses; not with UDP or \
                 `dsr_if`. pen remembers clients under each policy (sticky \
                 sessions) unless `roundrobin` is set.",
        ..NEW
    },
    Row {
        word: "prio",
        no: true,
        kind: flag(Flag::Prio),
        summary: "choose the first server by its priority: primary and standby",
        detail: "A client that pen does not know goes to the usable server with the smallest `prio` number; \
                 between equals the lower server number decides. `prio` comes before `weight` and `hash`.",
        ..LIVE
    },
    Row {
        word: "queue",
        args: NUMBER,
        kind: number(Number::Queue, 0, 1_000_000, 0),
        unit: "clients",
        summary: "how many clients may wait when every server is full; 0: none",
        detail: "A client for whom all servers have reached their `max` waits, before the emergency server is used. First \
                 come, first served: whoever is next gets the place that comes free. With `stubborn` a client waits for \
                 its own server. A client that leaves gives up its turn. When the queue is full, clients are refused as \
                 without it. Not with UDP.",
        ..NEW
    },
    Row {
        word: "queue_timeout",
        args: SECONDS,
        kind: Kind::Seconds {
            number: Number::QueueTimeout,
            min_ms: 0,
            max_ms: SECONDS_MAX * 1000,
            default_ms: 30_000,
        },
        unit: "seconds",
        summary: "how long a client may wait in the queue; 0: no limit",
        detail: "When it is over, the client gets the emergency server, or is closed.",
        ..NEW
    },
    Row {
        word: "rebalance_interval",
        args: SECONDS,
        kind: number(Number::RebalanceInterval, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "with policy uri_hash: how often pen looks whether URIs must move; 0: never",
        detail: "When the busiest server has more to do than the idlest one by `rebalance_threshold`, \
                 `rebalance_size` percent of its URIs move there, and stay there. pen compares the loads in \
                 percent of `maxload`; where servers have none, the loads for the weight; and \
                 connections for the weight where fewer than two loads are known.",
        ..NEW
    },
    Row {
        word: "rebalance_size",
        args: NUMBER,
        kind: number(Number::RebalanceSize, 0, 99, 5),
        unit: "percent",
        summary: "with policy uri_hash: which part of its URIs the busiest server gives away; 0: none",
        detail: "A fraction of a URI is none: of 19 URIs, 5 percent are none.",
        ..NEW
    },
    Row {
        word: "rebalance_threshold",
        args: NUMBER,
        kind: number(Number::RebalanceThreshold, 0, 99, 30),
        unit: "percent",
        summary: "with policy uri_hash: by how much the busiest server must exceed the idlest one; 0: never",
        detail: "Loads with a `maxload`: in percentage points of it. Otherwise in percent of what the busiest server \
                 has, and at least a load of 0.1 or two connections.",
        ..NEW
    },
    Row {
        word: "recent",
        args: SECONDS,
        kind: Kind::Question(Argument::Number {
            max: SECONDS_MAX as u32,
            default: Some(RECENT_SECONDS),
            of: Question::Recent,
        }),
        unit: "seconds",
        summary: "list the clients that connected recently",
        detail: "Prints a line for each client of the last SECONDS seconds (default: 300): address, number \
                 of connects, bytes sent to it and received from it.",
        ..LIVE
    },
    Row {
        word: "resolve",
        args: SECONDS,
        kind: number(Number::Resolve, 0, SECONDS_MAX, 0),
        unit: "seconds",
        summary: "how often the names of servers are looked up again; 0: never",
        detail: "Every address of a name is then a server of its own: NAME~1 has the number of the \
                 configured server, NAME~2 and so on have numbers of their own. Servers come and go with the \
                 addresses, and keep number and name while they exist; open connections continue. While name \
                 servers do not answer, the last addresses stay in use. A name that cannot be resolved at \
                 start keeps its place until it can. A server at `srv:_mysql._tcp.example.org` stands for \
                 SRV records, with or without `resolve`: they give the targets, and the ports and weights \
                 that are not configured. Targets with a higher priority number are standby until no other \
                 takes a client. With 0 pen looks a name up when it is configured and on HUP, and all \
                 addresses of a name are one server.",
        ..NEW
    },
    Row {
        word: "resolve_first",
        no: true,
        kind: flag(Flag::ResolveFirst),
        summary: "with resolve: a name is one server, at its first address that answers",
        detail: "As without `resolve`, pen tries the addresses in their order, and the one that answers \
                 stays in use.",
        ..NEW
    },
    Row {
        word: "roundrobin",
        letter: Some('r'),
        no: true,
        kind: flag(Flag::Roundrobin),
        summary: "round robin, without sticky sessions (affinity)",
        detail: "pen forgets clients, and the servers take turns. Without it a client returns \
                 to the server it had before (sticky sessions). Together with `weight` or `prio`, those \
                 decide for every connection; `roundrobin` with `weight` is what other programs call least \
                 connections.",
        ..LIVE
    },
    Row {
        word: "server",
        args: &[
            arg("N|NAME", Complete::Server),
            arg(
                "KEY",
                Complete::Words(&[
                    "acl",
                    "address",
                    "port",
                    "max",
                    "hard",
                    "blacklist",
                    "name",
                    "group",
                    "weight",
                    "prio",
                    "slow_start",
                    "tls",
                    "sni",
                    "proxy",
                    "role",
                    "warm_up",
                    "source",
                    "check_interval",
                    "check_timeout",
                    "check_extra",
                    "check_rise",
                    "check_fall",
                    "check_port",
                    "check",
                    "standby",
                    "maxload",
                    "load",
                ]),
            ),
            arg("VALUE...", Complete::Text),
        ],
        kind: Kind::Server,
        also: &[
            "server add [NAME=]HOST[:PORT...] [KEY VALUE...]",
            "server N|NAME|all enable|disable|reset",
            "server N|NAME drain [SECONDS]",
            "server N|NAME remove [now]",
        ],
        summary: "change, add or remove a server",
        detail: "Several pairs of key and value may follow, in any order; pen applies them from left to \
                 right, all or none. A number beyond the last server makes room up to it. A server without \
                 an address gets no connection. Example: `server 2 address 10.0.0.7 port 80 max 100`. A \
                 server may have a name, and every command that takes its number takes the name. `add` gives \
                 a server the first free number and answers it. After `drain` the server gets no new \
                 connection, not even from clients that it had before; its open connections may finish, or \
                 pen cuts them after SECONDS. pen reports when the last one has ended. `disable` does the \
                 same without a limit. Both last until `enable`, and `write` saves them. After `remove` the \
                 server gets no new connection either, and its number becomes free when its last connection \
                 has ended; with `now` pen cuts them. `reset` forgets its failures, its blacklisting and its \
                 counts.",
        ..LIVE
    },
    Row {
        word: "servers",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Servers)),
        summary: "list the servers",
        detail: "Prints a line for each: number, address, port, connections, max, hard, weight, prio, bytes \
                 sent to it and received from it, then its name, and its state where that is one that Pen does not \
                 have, such as `state draining`. With `json`, prints one JSON array, which also has state, \
                 failures and blacklisting.",
        ..LIVE
    },
    Row {
        word: "slow_start",
        args: SECONDS,
        kind: Kind::Seconds {
            number: Number::SlowStart,
            min_ms: 0,
            max_ms: SLOW_START_MAX_MS,
            default_ms: 0,
        },
        unit: "seconds",
        summary: "how long a server that comes back takes to reach its full share; 0: at once",
        detail: "A server that was away or is new gets a share that grows from next to nothing to that of its weight \
                 within this time. It counts wherever weights do: with `policy round_robin`, `least_conn`, `random` and \
                 `source`, and with `weight`. A server may have a time of its own.",
        ..NEW
    },
    Row {
        word: "stubborn",
        letter: Some('s'),
        no: true,
        kind: flag(Flag::Stubborn),
        summary: "no failover: close the client if its server cannot take it",
        detail: "pen tries no other server, not even the emergency server.",
        ..LIVE
    },
    Row {
        word: "top",
        no: true,
        kind: flag(Flag::Top),
        summary: "choose only among the servers of the highest weight",
        detail: "Of the servers that can be used, those with the highest weight get all new clients; the \
                 others are backups until none of them takes a client. `policy single` implies it. A server \
                 without a weight counts as 1.",
        ..NEW
    },
    Row {
        word: "tracking",
        letter: Some('T'),
        args: SECONDS,
        kind: number(Number::Tracking, 0, SECONDS_MAX, 0),
        unit: "seconds",
        summary: "how long a client is remembered; 0: no limit",
        detail: "Seconds since its last connect. With 0 pen remembers a client until it needs the entry of \
                 the table for another.",
        ..LIVE
    },
    Row {
        word: "weight",
        letter: Some('W'),
        no: true,
        kind: flag(Flag::Weight),
        summary: "least connections: choose the first server by connections per weight",
        detail: "A client that pen does not know goes to the usable server with the fewest connections for \
                 its weight. A server without a weight counts as 1. A server with weight 0 gets no new \
                 clients. `weight` comes before `hash`. Add `roundrobin` to choose so for every connection.",
        ..LIVE
    },
    Row {
        word: "-B",
        letter: Some('B'),
        args: SERVER,
        summary: "abuse server, for clients that client_acl refuses",
        detail: "Without it pen closes clients that may not connect.",
        ..OPTION
    },
    Row {
        word: "-e",
        letter: Some('e'),
        args: SERVER,
        summary: "emergency server (backup), for when no other can take the client",
        detail: "pen does not remember it: it chooses a server for the client's next connection as usual.",
        ..OPTION
    },
];
