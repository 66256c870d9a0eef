//! The rows about which server a client gets.

use super::{JSON, NUMBER, SECONDS, arg, flag, number, optional};
use crate::commands::{
    Answer, Arg, Argument, Complete, Flag, Group, Kind, Number, Question, Row, SECONDS_MAX, Text, When,
};
use crate::names::Name;

/// Seconds that `recent` looks back unless told otherwise, as in Pen.
const RECENT_SECONDS: u32 = 300;

const LIVE: Row = Row { group: Group::Choosing, ..super::LIVE };
const NEW: Row = Row { group: Group::Choosing, ..super::NEW };
const OPTION: Row = Row { kind: Kind::OptionOnly, when: When::Start, ..LIVE };

const SERVER: &[Arg] = &[arg("HOST[:PORT...]", Complete::Address)];

pub const ROWS: &[Row] = &[
    Row {
        word: "blacklist",
        letter: Some('b'),
        args: SECONDS,
        kind: number(Number::Blacklist, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "how long a server that failed is skipped",
        detail: "A server to which a connection could not be made gets no new one for this time, as long as another \
                 takes the client. When none does, servers that failed are tried again, the one that failed longest \
                 ago first and each once for a client, before the emergency server; what was blacklisted by command \
                 is not. A change also applies to servers skipped at the moment. With 0 a failed server is tried \
                 again at once.",
        ..LIVE
    },
    Row {
        word: "clients",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Clients)),
        summary: "list the clients that are remembered",
        detail: "One line for each used slot of the client table: address, age, server, connects and bytes. With \
                 `json`, one JSON array.",
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
        detail: "A client of this service goes to the server of the same name, or of the same number where it has no \
                 name, to which it belongs in the service NAME, and the other way round: http and https of one site. \
                 `clients_max` is that of NAME.",
        ..NEW
    },
    Row {
        word: "clients_max",
        letter: Some('c'),
        args: NUMBER,
        kind: number(Number::ClientsMax, 1, 10_000_000, 2048),
        unit: "clients",
        summary: "how many clients are remembered",
        detail: "When the table is full, the client that has not connected for the longest time is forgotten. The \
                 table only grows: in a running pen a smaller number changes nothing.",
        ..LIVE
    },
    Row {
        word: "hash",
        letter: Some('h'),
        no: true,
        kind: flag(Flag::Hash),
        summary: "choose the first server by the client's address",
        detail: "A client not yet known goes to the server that its address selects, so that several pens with the \
                 same list of servers agree. With `roundrobin` the client's port counts too.",
        ..LIVE
    },
    Row {
        word: "mode",
        kind: Kind::Question(Argument::Nothing(|| Question::Mode)),
        summary: "show how servers are chosen",
        detail: "One line with the words hash, roundrobin, stubborn, weight and prio, each preceded by `no` when it \
                 is off.",
        ..LIVE
    },
    Row {
        word: "prio",
        no: true,
        kind: flag(Flag::Prio),
        summary: "choose the first server by its rank",
        detail: "A client not yet known goes to the usable server with the smallest prio number; the lower server \
                 number decides between equals. Stands before `weight` and `hash`.",
        ..LIVE
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
        summary: "list the clients that connected lately",
        detail: "One line for each client of the last SECONDS seconds (300 unless given): address, number of \
                 connects, bytes sent to it and received from it.",
        ..LIVE
    },
    Row {
        word: "resolve",
        args: SECONDS,
        kind: number(Number::Resolve, 0, SECONDS_MAX, 0),
        unit: "seconds",
        summary: "how often the names of servers are looked up again; 0: never",
        detail: "Every address of a name is then a server of its own: NAME~1 has the number of the server that was \
                 configured, NAME~2 and further ones have numbers of their own. They come and go with the addresses, \
                 and keep number and name while they live; open connections go on. While name servers do not answer, \
                 the last addresses stay in use. A name that is not known at start keeps its place until it is. A server at `srv:_mysql._tcp.example.org` is made of SRV records, with or without `resolve`: \
                 targets, ports and weights are theirs where none are written, and those of a higher priority number \
                 stand by until no other takes a client. With 0 a name is looked up when it is configured and on HUP, and its addresses are those of one server.",
        ..NEW
    },
    Row {
        word: "resolve_first",
        no: true,
        kind: flag(Flag::ResolveFirst),
        summary: "with resolve: a name is one server, at its first address that answers",
        detail: "As without `resolve`, the addresses are tried in their order, and the one that answers stays in use.",
        ..NEW
    },
    Row {
        word: "roundrobin",
        letter: Some('r'),
        no: true,
        kind: flag(Flag::Roundrobin),
        summary: "forget clients: choose anew for every connection",
        detail: "Without it a client returns to the server it had before. Together with `weight` or `prio` those \
                 decide every time, otherwise the servers take turns.",
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
                    "weight",
                    "prio",
                    "tls",
                    "sni",
                    "proxy",
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
        detail: "Several pairs of key and value may follow, in any order; they are applied from left to right, all \
                 or none. A number beyond the last server makes room up to it; a server without address gets no \
                 connection. Example: `server 2 address 10.0.0.7 port 80 max 100`. A server may have a name, and \
                 every command that takes its number takes the name. `add` gives a server the first free number and \
                 answers it. With `drain` nobody is sent to the server any more, also no client that had it before; \
                 its connections may end, or are cut after SECONDS, and when the last has ended it is told. \
                 `disable` does the same without an end. Both last until `enable`, and `write` keeps them. With \
                 `remove` it gets no client either, and its number is free when its last connection has ended; with \
                 `now` they are cut. `reset` forgets its failures, its blacklisting and its counts.",
        ..LIVE
    },
    Row {
        word: "servers",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Servers)),
        summary: "list the servers",
        detail: "One line for each: number, address, port, connections, max, hard, weight, prio, bytes sent to it and \
                 received from it. With `json`, one JSON array that also has failures and blacklisting.",
        ..LIVE
    },
    Row {
        word: "stubborn",
        letter: Some('s'),
        no: true,
        kind: flag(Flag::Stubborn),
        summary: "close the client if its server cannot take it",
        detail: "No other server is tried, not even the emergency server.",
        ..LIVE
    },
    Row {
        word: "tracking",
        letter: Some('T'),
        args: SECONDS,
        kind: number(Number::Tracking, 0, SECONDS_MAX, 0),
        unit: "seconds",
        summary: "how long a client is remembered; 0: no limit",
        detail: "Counted from its last connect. With 0 it is remembered until its slot in the table is needed.",
        ..LIVE
    },
    Row {
        word: "weight",
        letter: Some('W'),
        no: true,
        kind: flag(Flag::Weight),
        summary: "choose the first server by connections per weight",
        detail: "A client not yet known goes to the usable server with the fewest connections for its weight. A \
                 server without a weight counts as 1; one with weight 0 is not chosen. Stands before `hash`.",
        ..LIVE
    },
    Row {
        word: "-B",
        letter: Some('B'),
        args: SERVER,
        summary: "server for clients that client_acl refuses",
        detail: "Without this abuse server, clients that may not connect are closed.",
        ..OPTION
    },
    Row {
        word: "-e",
        letter: Some('e'),
        args: SERVER,
        summary: "emergency server, for when no other can take the client",
        detail: "It is never remembered: the next connection of the client is chosen normally.",
        ..OPTION
    },
];
