//! The rows of the command table, by heading: data only. `write` saves and help lists them in this order.

use super::{
    ACL_LAST, Answer, Arg, Complete, Flag, Form, From, Group, Number, Row, SECONDS_MAX, ServerChange,
    ServerKey, ServerValue, When,
};
use crate::addr::{SERVER_LIMIT_MAX, WEIGHT_MAX};

/// What most rows share.
const LIVE: Row = Row {
    word: "",
    group: Group::Control,
    letter: None,
    long: None,
    no: false,
    args: &[],
    no_args: &[],
    form: Form::Own,
    when: When::Live,
    unit: "",
    summary: "",
    detail: "",
    from: From::Pen,
    since: "",
};
/// New in the first version of this pen.
const NEW: Row = Row { from: From::Here, since: "0.1.0", ..LIVE };

const CHOOSING: Row = Row { group: Group::Choosing, ..LIVE };
const CONNECTIONS: Row = Row { group: Group::Connections, ..LIVE };
const ACCESS: Row = Row { group: Group::Access, ..LIVE };
const TLS: Row = Row { group: Group::Tls, ..LIVE };
const NEW_TLS: Row = Row { group: Group::Tls, ..NEW };
const LOGS: Row = Row { group: Group::Logs, ..LIVE };
const PROCESS: Row = Row { group: Group::Process, when: When::Start, ..LIVE };
const OPTION: Row = Row { form: Form::OptionOnly, when: When::Start, ..LIVE };

const fn flag(flag: Flag) -> Form {
    Form::Flag { flag, default: false }
}

const fn number(number: Number, min: u64, max: u64, default: u64) -> Form {
    Form::Number { number, min, max, default, answer: Answer::Value }
}

const fn gone(word: &'static str, why: &'static str) -> Row {
    Row {
        word,
        group: Group::Obsolete,
        no: true,
        form: Form::Gone(why),
        summary: "accepted, does nothing",
        detail: why,
        ..LIVE
    }
}

const fn gone_option(word: &'static str, letter: char, why: &'static str) -> Row {
    Row { letter: Some(letter), no: false, ..gone(word, why) }
}

const fn arg(name: &'static str, complete: Complete) -> Arg {
    Arg { name, optional: false, complete }
}

const fn optional(name: &'static str, complete: Complete) -> Arg {
    Arg { name, optional: true, complete }
}

const NUMBER: &[Arg] = &[optional("N", Complete::Number)];
const SECONDS: &[Arg] = &[optional("SECONDS", Complete::Number)];
const LIST: &[Arg] = &[optional("N", Complete::Words(LISTS))];
const JSON: &[Arg] = &[optional("json", Complete::Words(&["json"]))];
const FILE: &[Arg] = &[arg("FILE", Complete::Path)];
const OPTIONAL_FILE: &[Arg] = &[optional("FILE", Complete::Path)];
const SERVER: &[Arg] = &[arg("HOST[:PORT...]", Complete::Address)];
const LINE: &[Arg] = &[arg("COMMAND", Complete::Command)];
const OPTIONAL_DIRECTORY: &[Arg] = &[optional("DIRECTORY", Complete::Path)];
const LISTS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const TLS_OPTIONS: &[&str] = &[
    "cipher_server_preference",
    "no_sslv2",
    "no_sslv3",
    "no_tlsv1",
    "no_tlsv1.1",
    "no_tlsv1.2",
    "no_tlsv1.3",
];

/// As many as one address has ports for connections to one server.
const IDLERS_MAX: u64 = 65_535;

/// What Linux takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL).
const KEEPALIVE_SECONDS_MAX: u64 = 32_767;
/// What Linux takes (MAX_TCP_KEEPCNT).
const KEEPALIVE_PROBES_MAX: u64 = 127;

const POLLER: &str = "The operating system's best event interface is always used.";
const BLOCKING: &str = "Sockets never block, so there is nothing to switch.";
const DELAYED: &str = "Data is always forwarded at once, and kept only while the receiver cannot take it.";

/// Every command and option, once.
pub static ROWS: &[Row] = &[
    Row {
        word: "blacklist",
        letter: Some('b'),
        args: SECONDS,
        form: number(Number::Blacklist, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "how long a server that failed is skipped",
        detail: "A server to which a connection could not be made gets no new one for this time. A change also \
                 applies to servers skipped at the moment. With 0 a failed server is tried again at once.",
        ..CHOOSING
    },
    Row {
        word: "clients",
        args: JSON,
        summary: "list the clients that are remembered",
        detail: "One line for each used slot of the client table: address, age, server, connects and bytes. With \
                 `json`, one JSON array.",
        group: Group::Choosing,
        ..NEW
    },
    Row {
        word: "clients_max",
        letter: Some('c'),
        args: NUMBER,
        form: number(Number::ClientsMax, 1, 10_000_000, 2048),
        unit: "clients",
        summary: "how many clients are remembered",
        detail: "When the table is full, the client that has not connected for the longest time is forgotten. The \
                 table only grows: in a running pen a smaller number changes nothing.",
        ..CHOOSING
    },
    Row {
        word: "hash",
        letter: Some('h'),
        no: true,
        form: flag(Flag::Hash),
        summary: "choose the first server by the client's address",
        detail: "A client not yet known goes to the server that its address selects, so that several pens with the \
                 same list of servers agree. With `roundrobin` the client's port counts too.",
        ..CHOOSING
    },
    Row {
        word: "mode",
        summary: "show how servers are chosen",
        detail: "One line with the words hash, roundrobin, stubborn, weight and prio, each preceded by `no` when it \
                 is off.",
        ..CHOOSING
    },
    Row {
        word: "prio",
        no: true,
        form: flag(Flag::Prio),
        summary: "choose the first server by its rank",
        detail: "A client not yet known goes to the usable server with the smallest prio number; the lower server \
                 number decides between equals. Stands before `weight` and `hash`.",
        ..CHOOSING
    },
    Row {
        word: "recent",
        args: SECONDS,
        unit: "seconds",
        summary: "list the clients that connected lately",
        detail: "One line for each client of the last SECONDS seconds (300 unless given): address, number of \
                 connects, bytes sent to it and received from it.",
        ..CHOOSING
    },
    Row {
        word: "roundrobin",
        letter: Some('r'),
        no: true,
        form: flag(Flag::Roundrobin),
        summary: "forget clients: choose anew for every connection",
        detail: "Without it a client returns to the server it had before. Together with `weight` or `prio` those \
                 decide every time, otherwise the servers take turns.",
        ..CHOOSING
    },
    Row {
        word: "server",
        args: &[
            arg("N", Complete::Server),
            arg(
                "KEY",
                Complete::Words(&[
                    "acl",
                    "address",
                    "port",
                    "max",
                    "hard",
                    "blacklist",
                    "weight",
                    "prio",
                    "tls",
                    "sni",
                    "proxy",
                ]),
            ),
            arg("VALUE...", Complete::Text),
        ],
        summary: "change or add a server",
        detail: "Several pairs of key and value may follow, in any order; they are applied from left to right, all \
                 or none. A number beyond the last server makes room up to it; a server without address gets no \
                 connection. Example: `server 2 address 10.0.0.7 port 80 max 100`.",
        ..CHOOSING
    },
    Row {
        word: "servers",
        args: JSON,
        summary: "list the servers",
        detail: "One line for each: number, address, port, connections, max, hard, weight, prio, bytes sent to it and \
                 received from it. With `json`, one JSON array that also has failures and blacklisting.",
        ..CHOOSING
    },
    Row {
        word: "stubborn",
        letter: Some('s'),
        no: true,
        form: flag(Flag::Stubborn),
        summary: "close the client if its server cannot take it",
        detail: "No other server is tried, not even the emergency server.",
        ..CHOOSING
    },
    Row {
        word: "tracking",
        letter: Some('T'),
        args: SECONDS,
        form: number(Number::Tracking, 0, SECONDS_MAX, 0),
        unit: "seconds",
        summary: "how long a client is remembered; 0: no limit",
        detail: "Counted from its last connect. With 0 it is remembered until its slot in the table is needed.",
        ..CHOOSING
    },
    Row {
        word: "weight",
        letter: Some('W'),
        no: true,
        form: flag(Flag::Weight),
        summary: "choose the first server by connections per weight",
        detail: "A client not yet known goes to the usable server with the fewest connections for its weight. A \
                 server without a weight counts as 1; one with weight 0 is not chosen. Stands before `hash`.",
        ..CHOOSING
    },
    Row {
        word: "-B",
        letter: Some('B'),
        args: SERVER,
        summary: "server for clients that client_acl refuses",
        detail: "Without this abuse server, clients that may not connect are closed.",
        group: Group::Choosing,
        ..OPTION
    },
    Row {
        word: "-e",
        letter: Some('e'),
        args: SERVER,
        summary: "emergency server, for when no other can take the client",
        detail: "It is never remembered: the next connection of the client is chosen normally.",
        group: Group::Choosing,
        ..OPTION
    },
    Row {
        word: "close",
        args: &[arg("N", Complete::Connection)],
        summary: "close a connection",
        detail: "N is the number that `connections` shows.",
        ..CONNECTIONS
    },
    Row {
        word: "conn_max",
        letter: Some('x'),
        args: NUMBER,
        form: number(Number::ConnMax, 0, 10_000_000, 0),
        unit: "connections",
        summary: "how many connections may be open; 0: all that fit",
        detail: "Further clients wait until one is closed. With 0 as many as the limit on open files allows. Only \
                 grows: a smaller number than the present one changes nothing.",
        ..CONNECTIONS
    },
    Row {
        word: "connection",
        args: &[optional("N", Complete::Connection)],
        summary: "show one connection",
        detail: "State, descriptors, client, server and unsent bytes of connection N (0 unless given).",
        ..CONNECTIONS
    },
    Row {
        word: "connections",
        args: JSON,
        summary: "list the open connections",
        detail: "One line for each. With `json`, one JSON array.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "dummy",
        no: true,
        form: flag(Flag::Dummy),
        summary: "answer clients directly, without any server",
        detail: "Whatever a client sends is answered with a fixed HTTP page: to measure pen without servers.",
        ..CONNECTIONS
    },
    Row {
        word: "http",
        letter: Some('H'),
        no: true,
        args: &[optional("replace|append", Complete::Words(&["replace", "append"]))],
        summary: "add X-Forwarded-For and X-Forwarded-Proto to requests",
        detail: "Servers then learn the client's address from the first request of a connection. As in Pen, a header \
                 that the client sent itself is left as it is: a client can say what it likes. With `replace` such \
                 headers are taken out and the right ones put in; this is for a pen that clients reach directly. With \
                 `append` the address is added at the end of the X-Forwarded-For that is there, and an \
                 X-Forwarded-Proto that is there stays; this is for a pen behind another proxy. Later requests of a \
                 connection are not changed. The option `-H` takes no argument.",
        ..CONNECTIONS
    },
    Row {
        word: "idle_timeout",
        args: SECONDS,
        form: Form::Number {
            number: Number::IdleTimeout,
            min: 0,
            max: SECONDS_MAX,
            default: 0,
            answer: Answer::IdleTimeout,
        },
        unit: "seconds",
        summary: "how long a connection may be silent; 0: no limit",
        detail: "A connection on which no byte passed for this time is closed. With 0 it may stay for ever.",
        ..CONNECTIONS
    },
    Row {
        word: "idlers",
        args: NUMBER,
        form: Form::Number {
            number: Number::Idlers,
            min: 0,
            max: IDLERS_MAX,
            default: 0,
            answer: Answer::Idlers,
        },
        unit: "connections",
        summary: "how many connections to servers are kept ready for clients; 0: none",
        detail: "A client whose server has one ready is given it and need not wait for a connect: its first byte comes \
                 a round trip sooner. Which server it gets does not change. They are spread evenly over the threads \
                 and over the servers that are usable and have no `max`; so give at least one for each thread and \
                 server. A server sees clients that say nothing for a while; one that closes such connections gets \
                 the next after a pause. There are none with `transparent`, where every client comes with its own \
                 address. The reply is `Idlers: HAVE/WANTED`.",
        ..CONNECTIONS
    },
    Row {
        word: "dsr_if",
        args: &[optional("INTERFACE", Complete::Text)],
        when: When::Start,
        summary: "direct server return: servers answer clients themselves",
        detail: "pen takes no connections then. It passes the packets of clients on to servers on the same network, by \
                 changing hardware addresses and nothing else, and the servers answer without it. The listening \
                 address, such as `192.0.2.10:80` or, for all ports, `192.0.2.10` or `[2001:db8::10]`, is on the \
                 servers' loopback interfaces and not on this host; pen answers questions for it on INTERFACE. How a \
                 server is chosen, how clients are remembered, maxima and blacklists are as ever; `conn_max` is how \
                 many flows are tracked, 262144 if not set. A server that does not answer on INTERFACE for the time \
                 of `timeout` is blacklisted. What concerns the bytes of connections has no meaning. Linux only, and \
                 root at start or the capability CAP_NET_RAW. docs/howto.md has the recipe.",
        ..CONNECTIONS
    },
    Row {
        word: "keepalive",
        no: true,
        form: flag(Flag::Keepalive),
        summary: "let the system probe silent connections to servers",
        detail: "Sets SO_KEEPALIVE on connections made from now on, so that a server that vanished is noticed. How soon \
                 is up to the system (on Linux after more than two hours), unless `keepalive_idle`, \
                 `keepalive_interval` and `keepalive_probes` say otherwise.",
        ..CONNECTIONS
    },
    Row {
        word: "keepalive_idle",
        args: SECONDS,
        form: number(Number::KeepaliveIdle, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "silence after which keepalive begins to probe; 0: as the system does",
        detail: "TCP_KEEPIDLE, for connections made from now on. Has an effect only with `keepalive`.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "keepalive_interval",
        args: SECONDS,
        form: number(Number::KeepaliveInterval, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "time between two probes of keepalive; 0: as the system does",
        detail: "TCP_KEEPINTVL, for connections made from now on. Has an effect only with `keepalive`.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "keepalive_probes",
        args: NUMBER,
        form: number(Number::KeepaliveProbes, 0, KEEPALIVE_PROBES_MAX, 0),
        unit: "probes",
        summary: "probes of keepalive that may go unanswered; 0: as the system does",
        detail: "TCP_KEEPCNT, for connections made from now on: after so many, the connection is closed. Has an effect \
                 only with `keepalive`.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "listen",
        args: &[optional("ADDRESS", Complete::Address)],
        summary: "show or change where clients connect",
        detail: "The new address is opened before the old one is closed, and open connections go on. ADDRESS is \
                 `PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket.",
        ..CONNECTIONS
    },
    Row {
        word: "listen_queue",
        letter: Some('q'),
        args: NUMBER,
        form: number(Number::ListenQueue, 1, 1_000_000, 500),
        unit: "connections",
        summary: "how many clients may wait to be accepted",
        detail: "The backlog of listen(2); the system may have a lower limit of its own.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "multi_accept",
        letter: Some('m'),
        args: NUMBER,
        form: number(Number::MultiAccept, 1, 1_000_000, 100),
        unit: "connections",
        summary: "how many clients are accepted in one go",
        detail: "After so many a worker turns to its open connections before it accepts more.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "peek",
        no: true,
        form: flag(Flag::Peek),
        summary: "choose the server when the client has sent something",
        detail: "A client that connects and says nothing then costs no server connection. Not for protocols in which \
                 the server speaks first, such as SMTP.",
        ..CONNECTIONS
    },
    Row {
        word: "pending_max",
        args: NUMBER,
        form: Form::Number {
            number: Number::PendingMax,
            min: 1,
            max: 10_000_000,
            default: 100,
            answer: Answer::Silent,
        },
        unit: "connects",
        summary: "how many connects to servers may be under way at once",
        detail: "While so many wait for an answer, no further client is accepted.",
        ..CONNECTIONS
    },
    Row {
        word: "proxy_accept",
        no: true,
        args: &[optional("NETWORK|unix", Complete::Address)],
        no_args: &[optional("NETWORK|unix", Complete::Address)],
        summary: "whose PROXY headers tell who the client is",
        detail: "Connections from NETWORK (`10.0.0.0/8`, `2001:db8::/32` or a single address), or with `unix` those \
                 through a Unix socket, come from a proxy that says for whom in a PROXY header, version 1 or 2, at their \
                 very beginning. The client that it names counts everywhere: in access lists, for the choice of the \
                 server, in logs, statistics and headers to servers. The header is required: without a proper one within \
                 `proxy_timeout` the connection is closed. Others are ordinary clients. The command may be repeated; \
                 without argument it lists the networks, one a line. `no proxy_accept NETWORK` takes one back, \
                 `no proxy_accept` all.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "proxy_timeout",
        args: SECONDS,
        form: number(Number::ProxyTimeout, 1, 86_400, 5),
        unit: "seconds",
        summary: "how long a PROXY header may take to arrive",
        detail: "Counted from the beginning of a connection that `proxy_accept` is about. It should be more than 3 \
                 seconds, so that one packet may be lost.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "socket",
        args: &[optional("FD", Complete::Number)],
        summary: "show which connection a descriptor belongs to",
        detail: "FD is 0 unless given; the answer is -1 if there is no such connection.",
        ..CONNECTIONS
    },
    Row {
        word: "source",
        no: true,
        args: &[arg("IP", Complete::Address)],
        summary: "local address for connections to servers",
        detail: "Wins over `transparent`. With `no source` the system chooses again.",
        ..CONNECTIONS
    },
    Row {
        word: "tcp_fastclose",
        args: &[optional("up|down|both|off", Complete::Words(&["up", "down", "both", "off"]))],
        summary: "close both sides when one has ended",
        detail: "Normally the end of one side's data is passed on, and the other side may still send. With `up` the \
                 end from the server closes both, with `down` the end from the client, with `both` either; the \
                 default is `off`. Data already received is delivered first.",
        ..CONNECTIONS
    },
    Row {
        word: "tcp_nodelay",
        no: true,
        form: Form::Flag { flag: Flag::TcpNodelay, default: true },
        summary: "send small pieces at once",
        detail: "Sets TCP_NODELAY on both sides of connections made from now on. Without it a small piece waits until \
                 the one before it is acknowledged, which slows down protocols of many small messages, such as LDAP. \
                 Pen had this off by default.",
        ..CONNECTIONS
    },
    Row {
        word: "timeout",
        letter: Some('t'),
        args: SECONDS,
        form: number(Number::Timeout, 1, 86_400, 3),
        unit: "seconds",
        summary: "how long a connect to a server may take",
        detail: "When it is over, the server is blacklisted and the client goes to the next one.",
        ..CONNECTIONS
    },
    Row {
        word: "transparent",
        no: true,
        form: flag(Flag::Transparent),
        summary: "connect to servers with the client's address",
        detail: "Linux only. Servers see the client as if it had connected itself, so their replies must be routed \
                 to this host: docs/howto.md has the recipe. A client of IPv4 is shown to servers of IPv4, one of \
                 IPv6 to servers of IPv6; between the families it is a plain connection. Needs root at start, or \
                 the capability CAP_NET_RAW; of root's privileges, `-u` then keeps this one. A pen that was started \
                 without `transparent` and has become another user cannot switch it on.",
        ..CONNECTIONS
    },
    Row {
        word: "udp",
        letter: Some('U'),
        no: true,
        form: flag(Flag::Udp),
        when: When::Start,
        summary: "balance UDP instead of TCP",
        detail: "All datagrams from one address and port of a client are one session: they go to one server, and all \
                 that this server sends comes back from the address that the client spoke to. Sessions are chosen a \
                 server, limited, counted, listed and logged as connections are. A server of which an ICMP error \
                 tells that it cannot be reached is skipped for `blacklist` seconds, and its session goes on with the \
                 next; see `udp_answers` for one that is silent.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "udp_answers",
        no: true,
        form: Form::Flag { flag: Flag::UdpAnswers, default: true },
        summary: "take a UDP server that does not answer for one that failed",
        detail: "A server that has left a session without an answer for `timeout` seconds, and in this time has \
                 answered nobody else either, is skipped for `blacklist` seconds, and the session goes on with the \
                 next. Not before some server has answered for the first time, so servers of a protocol without \
                 answers, such as syslog, are never judged; nor when no other server could be chosen. Where most \
                 datagrams have no answer but some have, give `no udp_answers`.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "udp_idle_timeout",
        args: SECONDS,
        form: number(Number::UdpIdleTimeout, 0, SECONDS_MAX, 60),
        unit: "seconds",
        summary: "how long a UDP session may be silent; 0: as idle_timeout says",
        detail: "A session in which no datagram passed for this time ends, or for that of `idle_timeout` if it is \
                 shorter. What its client sends later begins another, with the same server if the client is still \
                 remembered.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "udp_sessions_max",
        args: NUMBER,
        form: number(Number::UdpSessionsMax, 1, 10_000_000, 10_000),
        unit: "sessions",
        summary: "how many UDP sessions there may be at once",
        detail: "Not more than `conn_max` or the limit on open files allow. When there is no room for another, the one \
                 silent for the longest time ends; one whose client went on after an answer only if there is no \
                 other. So datagrams from invented addresses push out one another and not those who are served.",
        group: Group::Connections,
        ..NEW
    },
    Row {
        word: "acl",
        no: true,
        args: &[
            arg("N", Complete::Words(LISTS)),
            arg("permit|deny", Complete::Words(&["permit", "deny"])),
            arg("ADDRESS[/LENGTH]", Complete::Address),
            optional("MASK", Complete::Address),
        ],
        no_args: &[arg("N", Complete::Words(LISTS))],
        summary: "add an entry to an access list",
        detail: "The first entry that matches decides; if none does, the opposite of the last entry. An empty list \
                 permits everybody. `no acl N` empties list N. IPv4 networks are written `10.0.0.0/8` or \
                 `10.0.0.0 255.0.0.0`, IPv6 networks `2001:db8::/32`, and `country SE` is everybody whom `geoip` finds \
                 in Sweden. A list has an effect only where it is named: see `client_acl`, `control_acl` and \
                 `server N acl`.",
        ..ACCESS
    },
    Row {
        word: "client_acl",
        args: LIST,
        form: number(Number::ClientAcl, 0, 9, 0),
        summary: "access list that clients must pass",
        detail: "A client that does not pass gets the abuse server (`-B`), or is closed.",
        ..ACCESS
    },
    Row {
        word: "control_acl",
        args: LIST,
        form: number(Number::ControlAcl, 0, 9, 0),
        summary: "access list that control clients must pass",
        detail: "Those that come through a Unix socket always pass: the permissions of the file decide.",
        ..ACCESS
    },
    Row {
        word: "tarpit_acl",
        no: true,
        args: &[optional("N", Complete::Words(&["-1", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]))],
        summary: "access list of unused addresses in which connections get stuck; -1: none",
        detail: "With `dsr_if` only. pen answers questions for every address that list N permits, and a connection to \
                 it is accepted and never served: worms and scanners lose their time there. Addresses of this host, \
                 of the service and of the servers are never taken, nor an address that a host asks for itself; any \
                 other that is in use must not be in the list. An empty list takes nothing, and a list takes IPv6 \
                 addresses only if it has an entry for IPv6.",
        ..ACCESS
    },
    Row {
        word: "geoip",
        no: true,
        args: OPTIONAL_FILE,
        summary: "file that tells the countries of addresses",
        detail: "A database in MaxMind's format, such as GeoLite2-Country.mmdb, for `acl N permit|deny country CC`. It \
                 is held in memory. To have a newer one, replace the file and send HUP, or give the command again; a \
                 file that cannot be used leaves the old data in force. An address that is not in the file, and every \
                 address after `no geoip`, is in no country and matches no such entry.",
        group: Group::Access,
        ..NEW
    },
    Row {
        word: "ascii",
        letter: Some('a'),
        no: true,
        form: flag(Flag::Ascii),
        summary: "dump traffic as text instead of hexadecimal",
        detail: "Only matters at debug level 3 and above.",
        ..LOGS
    },
    Row {
        word: "debug",
        letter: Some('d'),
        args: NUMBER,
        form: number(Number::Debug, 0, 9, 0),
        summary: "how much pen says about its work",
        detail: "0 is errors only; from 3 on the traffic itself is dumped. As an option it takes no number: repeat \
                 it, as in `-dd`.",
        ..LOGS
    },
    Row {
        word: "log",
        letter: Some('l'),
        no: true,
        args: &[optional("FILE|HOST:PORT", Complete::Path)],
        summary: "write a line for everything a client sends",
        detail: "To a file, or in UDP datagrams to a penlogd at HOST:PORT. `no log` ends it. On the signal HUP the \
                 file is opened anew, so that it can be rotated.",
        ..LOGS
    },
    Row {
        word: "log_format",
        args: &[optional("pen|json", Complete::Words(&["pen", "json"]))],
        summary: "how log lines look",
        detail: "`pen`, the default, is Pen's line for each piece read from a client, as mergelogs and penlogd want \
                 it. `json` is one object at the end of each connection.",
        group: Group::Logs,
        ..NEW
    },
    Row {
        word: "metrics",
        summary: "show figures in the Prometheus text format",
        detail: "For a collector that asks the control port.",
        group: Group::Logs,
        ..NEW
    },
    Row {
        word: "status",
        args: JSON,
        summary: "show the state as an HTML page",
        detail: "If `web_stats` names a file, it is written too. With `json`, one JSON object with the same figures \
                 and more.",
        ..LOGS
    },
    Row {
        word: "web_stats",
        letter: Some('w'),
        no: true,
        args: OPTIONAL_FILE,
        summary: "file for the HTML page",
        detail: "Written on the signal USR1 and by `status`. `no web_stats` ends it.",
        ..LOGS
    },
    Row {
        word: "control",
        summary: "show the address of the control port",
        detail: "As given with `-C`.",
        ..LIVE
    },
    Row {
        word: "exit",
        when: When::Guarded,
        summary: "end pen",
        detail: "Only if it was started with `-X`.",
        ..LIVE
    },
    Row {
        word: "help",
        args: &[optional("COMMAND", Complete::Command)],
        summary: "list the commands, or explain one",
        detail: "Options can be asked for too: `help -F`.",
        ..NEW
    },
    Row {
        word: "include",
        args: FILE,
        summary: "carry out the commands in a file",
        detail: "One command a line; a word that begins with `#` begins a comment.",
        ..LIVE
    },
    Row { word: "pid", summary: "show the process number", ..LIVE },
    Row {
        word: "session",
        summary: "keep the control connection open for more commands",
        detail: "Normally the connection ends after one command. After this one, each line is a command and each \
                 answer is framed, which is how the penctl shell works.",
        ..NEW
    },
    Row { word: "version", summary: "show the version", ..NEW },
    Row {
        word: "write",
        args: OPTIONAL_FILE,
        summary: "save the configuration as commands",
        detail: "To FILE, or else to the file given with `-F`. The file is replaced in one step.",
        ..LIVE
    },
    Row {
        word: "-C",
        letter: Some('C'),
        args: &[arg("ADDRESS", Complete::Address)],
        summary: "listen for control commands",
        detail: "`PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket. Commands are not authenticated: use \
                 a Unix socket, or `control_acl`. As root it needs `-u`.",
        ..OPTION
    },
    Row {
        word: "-F",
        letter: Some('F'),
        args: FILE,
        summary: "configuration file: commands, one a line",
        detail: "Read after all options, and again on the signal HUP.",
        ..OPTION
    },
    Row {
        word: "-O",
        letter: Some('O'),
        args: LINE,
        summary: "carry out a command at start",
        detail: "May be repeated. Example: `-O 'acl 1 permit 10.0.0.0/8' -O 'client_acl 1'`.",
        ..OPTION
    },
    Row { word: "-o", letter: Some('o'), args: LINE, summary: "the same as -O", ..OPTION },
    Row {
        word: "--check",
        long: Some("check"),
        form: Form::OptionOnly,
        when: When::Start,
        summary: "check options and configuration file, start nothing",
        detail: "Ends with 0 if everything is in order; otherwise says what is wrong and where.",
        ..NEW
    },
    Row {
        word: "abort_on_error",
        no: true,
        form: flag(Flag::AbortOnError),
        when: When::Live,
        summary: "end with abort() on a fatal error",
        detail: "Leaves a core file for a debugger.",
        ..PROCESS
    },
    Row {
        word: "exit_enabled",
        letter: Some('X'),
        no: true,
        form: flag(Flag::ExitEnabled),
        summary: "allow the command exit",
        detail: "A control client cannot allow it to itself.",
        from: From::Here,
        since: "0.1.0",
        ..PROCESS
    },
    Row {
        word: "shutdown_timeout",
        args: SECONDS,
        form: number(Number::ShutdownTimeout, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "how long connections may outlast a graceful stop; 0: no limit",
        detail: "What is still open then is closed. With 0 pen waits for the last connection.",
        group: Group::Process,
        ..NEW
    },
    Row {
        word: "threads",
        long: Some("threads"),
        args: NUMBER,
        form: number(Number::Threads, 0, 256, 0),
        when: When::Start,
        unit: "threads",
        summary: "threads that serve connections; 0: one a processor",
        detail: "With 0 one for each processor.",
        group: Group::Process,
        ..NEW
    },
    Row {
        word: "-f",
        letter: Some('f'),
        form: Form::OptionOnly,
        summary: "stay in the foreground, messages on standard error",
        ..PROCESS
    },
    Row {
        word: "-j",
        letter: Some('j'),
        args: &[arg("DIRECTORY", Complete::Path)],
        form: Form::OptionOnly,
        summary: "make a directory the root of the file system",
        detail: "See chroot(2). Needs root; use it together with `-u`.",
        ..PROCESS
    },
    Row {
        word: "-p",
        letter: Some('p'),
        args: FILE,
        form: Form::OptionOnly,
        summary: "write the process number to a file",
        detail: "The file is removed when pen ends.",
        ..PROCESS
    },
    Row {
        word: "-u",
        letter: Some('u'),
        args: &[arg("USER", Complete::Text)],
        form: Form::OptionOnly,
        summary: "run as this user",
        detail: "Addresses are opened before.",
        ..PROCESS
    },
    Row {
        word: "--demo",
        group: Group::Process,
        long: Some("demo"),
        form: Form::OptionOnly,
        when: When::Start,
        summary: "show pen at work with small servers of its own",
        ..NEW
    },
    Row {
        word: "--help",
        group: Group::Process,
        long: Some("help"),
        form: Form::OptionOnly,
        when: When::Start,
        summary: "list the options and end",
        ..NEW
    },
    Row {
        word: "--version",
        group: Group::Process,
        long: Some("version"),
        form: Form::OptionOnly,
        when: When::Start,
        summary: "show the version and end",
        ..NEW
    },
    Row {
        word: "ssl_alpn",
        no: true,
        args: &[optional("NAME[,NAME...]", Complete::Text)],
        summary: "protocols to agree on with clients inside TLS",
        detail: "In the order in which they are preferred, such as `h2,http/1.1`; name what the servers speak. A \
                 client that offers protocols and none of these is refused. Without the setting pen does not take \
                 part, and clients speak what they speak by default, which is HTTP/1.1 on the web.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_ca_file",
        letter: Some('G'),
        no: true,
        args: OPTIONAL_FILE,
        summary: "certificates by which those of clients are judged",
        detail: "A PEM file with one or more. Used together with `ssl_ca_path`; without both, the system's \
                 certificates are used. See `ssl_client_certificate`.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_ca_path",
        letter: Some('A'),
        no: true,
        args: OPTIONAL_DIRECTORY,
        summary: "directory of certificates by which those of clients are judged",
        detail: "PEM files named by their hashes, such as 5ed36f99.0, as `openssl rehash` links them. Files with other \
                 names are left alone.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_certificate",
        letter: Some('E'),
        no: true,
        args: OPTIONAL_FILE,
        summary: "file with the certificate; turns TLS on for clients",
        detail: "A PEM file with the certificate, then the intermediate certificates, if any; the key may be in it too. \
                 It is read at start before privileges are given up, again on the signal HUP and when the command is \
                 given: connections are not disturbed, and what is wrong is told and keeps the old certificate. After \
                 `-j` and `-u` the file is then looked for inside the new root directory, with the new user's rights.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_ciphers",
        no: true,
        args: &[optional("LIST", Complete::Text)],
        summary: "ciphers to offer, as OpenSSL writes lists of them",
        detail: "Names and groups with colons between them: `ECDHE-RSA-AES128-GCM-SHA256`, `ECDHE+AESGCM:!AES128`, \
                 `HIGH`. Of them those are offered that are safe today: ephemeral keys with AES-GCM or \
                 ChaCha20-Poly1305. Words for others are named in the reply and offered by nobody; a list of which \
                 nothing is left is an error. As in OpenSSL, TLS 1.3 has its own ciphers, which only names such as \
                 `TLS_AES_128_GCM_SHA256` choose among.",
        ..TLS
    },
    Row {
        word: "ssl_client_certificate",
        args: &[optional("off|optional|required", Complete::Words(&["off", "optional", "required"]))],
        summary: "whether clients must show a certificate",
        detail: "With `optional` a client may have none, but a wrong one is refused. They are judged by `ssl_ca_file` \
                 and `ssl_ca_path`. The option -R stands for `required`.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_client_renegotiation_interval",
        args: SECONDS,
        unit: "seconds",
        summary: "how often a client may renegotiate: never",
        detail: "Accepted and explained: no client can renegotiate here, so there is nothing to limit.",
        ..TLS
    },
    Row {
        word: "ssl_handshake_timeout",
        args: SECONDS,
        form: number(Number::SslHandshakeTimeout, 1, 3_600, 10),
        unit: "seconds",
        summary: "how long a TLS handshake of a client may take",
        detail: "Counted from the connect. Who is slower is disconnected; no server has heard of the client by then. \
                 It also limits how long pen waits for the name that `server N sni` goes by.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_key",
        letter: Some('K'),
        no: true,
        args: OPTIONAL_FILE,
        summary: "file with the key of the certificate",
        detail: "A PEM file. Without it the key is in the file of `ssl_certificate`.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_ocsp_response",
        no: true,
        args: OPTIONAL_FILE,
        summary: "file with the OCSP response to staple to the certificate",
        detail: "DER, at most 10000 bytes. Give the command again when there is a new one; on the signal HUP it is read \
                 again too.",
        ..TLS
    },
    Row {
        word: "ssl_option",
        no: true,
        args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        no_args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        summary: "switch a TLS option on",
        detail: "`cipher_server_preference`: pen's order of ciphers counts, not the client's. `no_tlsv1.2`, \
                 `no_tlsv1.3`: do not speak that version. `no_sslv2`, `no_sslv3`, `no_tlsv1` and `no_tlsv1.1` are \
                 accepted: these versions are never spoken.",
        ..TLS
    },
    Row {
        word: "ssl_server_ca_file",
        no: true,
        args: OPTIONAL_FILE,
        summary: "certificates by which those of servers are judged",
        detail: "A PEM file with one or more, for servers with `tls verify`. Without it, the system's certificates are \
                 used.",
        ..NEW_TLS
    },
    Row {
        word: "ssl_sni_path",
        no: true,
        args: OPTIONAL_DIRECTORY,
        summary: "directory of certificates by the name a client asks for",
        detail: "For www.example.org, in lower case: www.example.org.crt and www.example.org.key, both PEM; if there \
                 are, www.example.org.ca with the certificates by which those of this site's clients are judged, and \
                 www.example.org.ocsp. Who asks for a name that is not there gets the certificate of \
                 `ssl_certificate`. The directory is read at start and on the signal HUP; names that come later are \
                 looked for when they are asked for, unknown ones at most once in 10 seconds, and known ones are read \
                 again after an hour.",
        ..TLS
    },
    Row {
        word: "-L",
        letter: Some('L'),
        args: &[arg("PROTOCOL", Complete::Words(&["ssl23", "ssl2", "ssl3", "tls1"]))],
        summary: "accepted; TLS 1.2 and 1.3 are spoken",
        detail: "The original's selector limited nothing that is still in use. `ssl_option` excludes a version.",
        ..TLS
    },
    Row {
        word: "-R",
        letter: Some('R'),
        form: Form::OptionOnly,
        when: When::Start,
        summary: "require a certificate of clients",
        detail: "As `ssl_client_certificate required`.",
        ..TLS
    },
    gone_option("-Z", 'Z', "There is nothing to be compatible with any more."),
    gone("block", BLOCKING),
    gone("delayed_forward", DELAYED),
    Row {
        args: &[optional("IP", Complete::Address)],
        ..gone("dsr_ip", "The address to serve is the listening address.")
    },
    gone("epoll", POLLER),
    gone("kqueue", POLLER),
    Row { letter: Some('P'), ..gone("poll", POLLER) },
    gone("select", POLLER),
    gone_option("-D", 'D', DELAYED),
    gone_option("-N", 'N', "To choose by hash and forget clients, give `-h -r`."),
    gone_option("-Q", 'Q', POLLER),
    Row {
        args: &[arg("N", Complete::Number)],
        ..gone_option("-S", 'S', "Room for servers is made as needed.")
    },
    Row { args: &[arg("NAME", Complete::Text)], ..gone_option("-i", 'i', "Belongs to Windows services.") },
    gone_option("-n", 'n', BLOCKING),
];

/// Every key of `server N`.
pub static SERVER_KEYS: &[ServerKey] = &[
    ServerKey {
        word: "acl",
        value: ServerValue::Number {
            max: ACL_LAST as u32,
            unit: "",
            change: |list| ServerChange::Acl(list as u8),
        },
        summary: "access list that a client must pass to be sent to this server",
    },
    ServerKey {
        word: "address",
        value: ServerValue::Address(ServerChange::Address),
        summary: "address, host name or Unix socket path; the port stays",
    },
    ServerKey {
        word: "port",
        value: ServerValue::Port(ServerChange::Port),
        summary: "port number or service name",
    },
    ServerKey {
        word: "max",
        value: ServerValue::Number { max: SERVER_LIMIT_MAX, unit: "connections", change: ServerChange::Max },
        summary: "connections at which new clients go elsewhere; 0 is no limit",
    },
    ServerKey {
        word: "hard",
        value: ServerValue::Number { max: SERVER_LIMIT_MAX, unit: "connections", change: ServerChange::Hard },
        summary: "connections at which its own clients go elsewhere too; only above max",
    },
    ServerKey {
        word: "blacklist",
        value: ServerValue::Number {
            max: SECONDS_MAX as u32,
            unit: "seconds",
            change: ServerChange::Blacklist,
        },
        summary: "seconds from now during which it gets no connection; 0 releases it",
    },
    ServerKey {
        word: "weight",
        value: ServerValue::Number { max: WEIGHT_MAX, unit: "", change: ServerChange::Weight },
        summary: "share of the connections under weight; 0 gets none",
    },
    ServerKey {
        word: "prio",
        value: ServerValue::Number { max: SERVER_LIMIT_MAX, unit: "", change: ServerChange::Prio },
        summary: "rank under prio; the smallest number is chosen first",
    },
    ServerKey {
        word: "tls",
        value: ServerValue::Tls(ServerChange::Tls),
        summary: "speak TLS to it, and whether its certificate must be right and be of NAME",
    },
    ServerKey {
        word: "sni",
        value: ServerValue::Sni(ServerChange::Sni),
        summary: "only for clients that ask for one of these names in TLS; any: for all others",
    },
    ServerKey {
        word: "proxy",
        value: ServerValue::Proxy(ServerChange::Proxy),
        summary: "begin connections with a PROXY header that names the client",
    },
];
