//! The rows about connections, to clients and to servers.

use super::{JSON, NUMBER, SECONDS, arg, flag, number, optional};
use crate::addr::quoted;
use crate::commands::{
    Action, Address, AddressValue, Answer, Argument, Choice, Complete, Flag, Group, Kind, List, Number,
    Question, Row, SECONDS_MAX, Scope, Text, When,
};

const LIVE: Row = Row { group: Group::Connections, ..super::LIVE };
const NEW: Row = Row { group: Group::Connections, ..super::NEW };

/// As many as one address has ports for connections to one server.
const IDLERS_MAX: u64 = 65_535;

/// What Linux takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL).
const KEEPALIVE_SECONDS_MAX: u64 = 32_767;
/// What Linux takes (MAX_TCP_KEEPCNT).
const KEEPALIVE_PROBES_MAX: u64 = 127;

/// Name of a network interface: IFNAMSIZ of Linux is 16, the last of them a NUL.
const INTERFACE_BYTES_MAX: usize = 15;

const FAST_CLOSE: &[&str] = &["up", "down", "both", "off"];

pub const ROWS: &[Row] = &[
    Row {
        word: "close",
        args: &[arg("N", Complete::Connection)],
        kind: Kind::Deed(Argument::Number { max: u32::MAX, default: None, of: Action::Close }),
        summary: "close a connection",
        detail: "N is the number that `connections` shows.",
        ..LIVE
    },
    Row {
        word: "conn_max",
        letter: Some('x'),
        args: NUMBER,
        scope: Scope::Process,
        kind: number(Number::ConnMax, 0, 10_000_000, 0),
        unit: "connections",
        summary: "how many connections may be open; 0: all that fit",
        detail: "Further clients wait until one is closed. With 0 as many as the limit on open files allows. Only \
                 grows: a smaller number than the present one changes nothing.",
        ..LIVE
    },
    Row {
        word: "connection",
        args: &[optional("N", Complete::Connection)],
        kind: Kind::Question(Argument::Number { max: u32::MAX, default: Some(0), of: Question::Connection }),
        summary: "show one connection",
        detail: "State, descriptors, client, server and unsent bytes of connection N (0 unless given).",
        ..LIVE
    },
    Row {
        word: "connections",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Connections)),
        summary: "list the open connections",
        detail: "One line for each. With `json`, one JSON array.",
        ..NEW
    },
    Row {
        word: "dummy",
        no: true,
        kind: flag(Flag::Dummy),
        summary: "answer clients directly, without any server",
        detail: "Whatever a client sends is answered with a fixed HTTP page: to measure pen without servers.",
        ..LIVE
    },
    Row {
        word: "http",
        letter: Some('H'),
        no: true,
        args: &[
            optional("replace|append", Complete::Words(&["replace", "append"])),
            optional("h2", Complete::Words(&["h2"])),
        ],
        kind: Kind::Choice {
            choice: Choice::Http,
            words: &["no", "", "replace", "replace h2", "append"],
            default: 0,
            answer: Answer::Silent,
        },
        summary: "add X-Forwarded-For and X-Forwarded-Proto to requests",
        detail: "Servers then learn the client's address. Without a word it is Pen's way: the first request of a \
                 connection is changed and no later one, and a header that the client sent itself is left as it is, so \
                 that a client can say what it likes. With `replace` every request of a connection is changed: such \
                 headers are taken out, also with `_` for `-`, and the right ones put in; this is for a pen that clients \
                 reach directly. With `append` the address is added in every request at the end of the \
                 X-Forwarded-For that is there, and an X-Forwarded-Proto that is there stays; this is for a pen behind \
                 another proxy. Both follow the lengths of requests. A connection is closed where two servers could \
                 see the end of a request in different places, and behind the answer to a request that is no proper one \
                 but could be taken for one. What follows CONNECT or Upgrade is another protocol and passes, once \
                 the server has agreed. Clients of HTTP/2, whose requests cannot be changed, are refused with `replace` \
                 and pass with `replace h2` and all else. What is no HTTP passes as it is; where nothing was added, \
                 `pen_http_unedited_total` in `metrics` counts it, and `-d` tells. The option `-H` takes no argument.",
        ..LIVE
    },
    Row {
        word: "idle_timeout",
        args: SECONDS,
        kind: Kind::Number {
            number: Number::IdleTimeout,
            min: 0,
            max: SECONDS_MAX,
            default: 0,
            answer: Answer::IdleTimeout,
        },
        unit: "seconds",
        summary: "how long a connection may be silent; 0: no limit",
        detail: "A connection on which no byte passed for this time is closed. With 0 it may stay for ever.",
        ..LIVE
    },
    Row {
        word: "idlers",
        args: NUMBER,
        kind: Kind::Number {
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
                 and over the servers that are usable and have no `max`, `tls` or `proxy`; so give at least one for \
                 each thread and server. There are none with `transparent`, where every client comes with its own \
                 address. A server sees clients that say nothing for a while. Each such connection that it closes \
                 doubles the pause before it gets the next, from one second to an hour; from a minute on it gets one \
                 at a time; a client that gets the server ends the pause. Know your server before you give it \
                 idlers: MariaDB and MySQL count each connection that ends without a login, and refuse pen's whole \
                 host after `max_connect_errors` of them (100) in a row; sshd counts them as logins under way \
                 (`MaxStartups`). The reply is `Idlers: HAVE/WANTED`, and a line that names servers with `proxy`.",
        ..LIVE
    },
    Row {
        word: "dsr_if",
        args: &[optional("INTERFACE", Complete::Text)],
        kind: Kind::Text { text: Text::DsrIf, read: interface, answer: Answer::Value },
        when: When::Start,
        summary: "direct server return: servers answer clients themselves",
        detail: "pen takes no connections then. It passes the packets of clients on to servers on the same network, by \
                 changing hardware addresses and nothing else, and the servers answer without it. The listening \
                 address, such as `192.0.2.10:80` or, for all ports, `192.0.2.10` or `[2001:db8::10]`, is on the \
                 servers' loopback interfaces and not on this host; pen answers questions for it on INTERFACE. How a \
                 server is chosen, how clients are remembered, maxima and blacklists are as ever; `conn_max` is how \
                 many flows are tracked, 262144 if not set. A server that does not answer on INTERFACE for the time \
                 of `timeout` is blacklisted. What concerns the bytes of connections has no meaning. Linux only, and \
                 root at start or the capability CAP_NET_RAW. docs/direct-server-return.md has the recipe.",
        ..LIVE
    },
    Row {
        word: "keepalive",
        no: true,
        kind: flag(Flag::Keepalive),
        summary: "let the system probe silent connections to servers",
        detail: "Sets SO_KEEPALIVE on connections made from now on, so that a server that vanished is noticed. How soon \
                 is up to the system (on Linux after more than two hours), unless `keepalive_idle`, \
                 `keepalive_interval` and `keepalive_probes` say otherwise.",
        ..LIVE
    },
    Row {
        word: "keepalive_idle",
        args: SECONDS,
        kind: number(Number::KeepaliveIdle, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "silence after which keepalive begins to probe; 0: as the system does",
        detail: "TCP_KEEPIDLE, for connections made from now on. Has an effect only with `keepalive`.",
        ..NEW
    },
    Row {
        word: "keepalive_interval",
        args: SECONDS,
        kind: number(Number::KeepaliveInterval, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "time between two probes of keepalive; 0: as the system does",
        detail: "TCP_KEEPINTVL, for connections made from now on. Has an effect only with `keepalive`.",
        ..NEW
    },
    Row {
        word: "keepalive_probes",
        args: NUMBER,
        kind: number(Number::KeepaliveProbes, 0, KEEPALIVE_PROBES_MAX, 0),
        unit: "probes",
        summary: "probes of keepalive that may go unanswered; 0: as the system does",
        detail: "TCP_KEEPCNT, for connections made from now on: after so many, the connection is closed. Has an effect \
                 only with `keepalive`.",
        ..NEW
    },
    Row {
        word: "listen",
        args: &[
            optional("add|remove", Complete::Words(&["add", "remove"])),
            optional("ADDRESS", Complete::Address),
        ],
        kind: Kind::Address {
            address: Address::Listen,
            read: AddressValue::listen,
            want: "an address",
            answer: Answer::Value,
        },
        summary: "show or change where clients connect",
        detail: "The new address is opened before the old one is closed, open connections go on, and who has \
                 connected to the old address is served, even if `conn_max` has no room. ADDRESS is \
                 `PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket. With `add` the service listens \
                 there too, with `remove` no longer; ADDRESS alone replaces all.",
        ..LIVE
    },
    Row {
        word: "listen_queue",
        letter: Some('q'),
        args: NUMBER,
        scope: Scope::Process,
        kind: number(Number::ListenQueue, 1, 1_000_000, 500),
        unit: "connections",
        summary: "how many clients may wait to be accepted",
        detail: "The backlog of listen(2); the system may have a lower limit of its own.",
        ..NEW
    },
    Row {
        word: "multi_accept",
        letter: Some('m'),
        args: NUMBER,
        scope: Scope::Process,
        kind: number(Number::MultiAccept, 1, 1_000_000, 100),
        unit: "connections",
        summary: "how many clients are accepted in one go",
        detail: "After so many a worker turns to its open connections before it accepts more.",
        ..NEW
    },
    Row {
        word: "peek",
        no: true,
        kind: flag(Flag::Peek),
        summary: "choose the server when the client has sent something",
        detail: "A client that connects and says nothing then costs no server connection. Not for protocols in which \
                 the server speaks first, such as SMTP.",
        ..LIVE
    },
    Row {
        word: "pending_max",
        args: NUMBER,
        scope: Scope::Process,
        kind: Kind::Number {
            number: Number::PendingMax,
            min: 1,
            max: 10_000_000,
            default: 100,
            answer: Answer::Silent,
        },
        unit: "connects",
        summary: "how many connects to servers may be under way at once",
        detail: "While so many wait for an answer, no further client is accepted.",
        ..LIVE
    },
    Row {
        word: "proxy_accept",
        no: true,
        args: &[optional("NETWORK|unix", Complete::Address)],
        no_args: &[optional("NETWORK|unix", Complete::Address)],
        kind: Kind::List(List::ProxyAccept),
        summary: "whose PROXY headers tell who the client is",
        detail: "Connections from NETWORK (`10.0.0.0/8`, `2001:db8::/32` or a single address), or with `unix` those \
                 through a Unix socket, come from a proxy that says for whom in a PROXY header, version 1 or 2, at their \
                 very beginning. The client that it names counts everywhere: in access lists, for the choice of the \
                 server, in logs, statistics and headers to servers. The header is required: without a proper one within \
                 `proxy_timeout` the connection is closed. With UDP each datagram must begin with one of version 2. Others are ordinary clients. The command may be repeated; \
                 without argument it lists the networks, one a line. `no proxy_accept NETWORK` takes one back, \
                 `no proxy_accept` all.",
        ..NEW
    },
    Row {
        word: "proxy_timeout",
        args: SECONDS,
        kind: number(Number::ProxyTimeout, 1, 86_400, 5),
        unit: "seconds",
        summary: "how long a PROXY header may take to arrive",
        detail: "Counted from the beginning of a connection that `proxy_accept` is about. It should be more than 3 \
                 seconds, so that one packet may be lost.",
        ..NEW
    },
    Row {
        word: "socket",
        args: &[optional("FD", Complete::Number)],
        kind: Kind::Question(Argument::Number { max: u32::MAX, default: Some(0), of: Question::Socket }),
        summary: "show which connection a descriptor belongs to",
        detail: "FD is 0 unless given; the answer is -1 if there is no such connection.",
        ..LIVE
    },
    Row {
        word: "source",
        no: true,
        args: &[arg("IP", Complete::Address)],
        kind: Kind::Address {
            address: Address::Source,
            read: AddressValue::ip,
            want: "an IP address",
            answer: Answer::Silent,
        },
        summary: "local address for connections to servers",
        detail: "Wins over `transparent`. With `no source` the system chooses again.",
        ..LIVE
    },
    Row {
        word: "tcp_fastclose",
        args: &[optional("up|down|both|off", Complete::Words(FAST_CLOSE))],
        kind: Kind::Choice {
            choice: Choice::TcpFastclose,
            words: FAST_CLOSE,
            default: 3,
            answer: Answer::Silent,
        },
        summary: "close both sides when one has ended",
        detail: "Normally the end of one side's data is passed on, and the other side may still send. With `up` the \
                 end from the server closes both, with `down` the end from the client, with `both` either; the \
                 default is `off`. Data already received is delivered first.",
        ..LIVE
    },
    Row {
        word: "tcp_nodelay",
        no: true,
        kind: Kind::Flag { flag: Flag::TcpNodelay, default: true },
        summary: "send small pieces at once",
        detail: "Sets TCP_NODELAY on both sides of connections made from now on. Without it a small piece waits until \
                 the one before it is acknowledged, which slows down protocols of many small messages, such as LDAP. \
                 Pen had this off by default.",
        ..LIVE
    },
    Row {
        word: "timeout",
        letter: Some('t'),
        args: SECONDS,
        kind: number(Number::Timeout, 1, 86_400, 3),
        unit: "seconds",
        summary: "how long a connect to a server may take",
        detail: "When it is over, the server is blacklisted and the client goes to the next one.",
        ..LIVE
    },
    Row {
        word: "transparent",
        no: true,
        kind: flag(Flag::Transparent),
        summary: "connect to servers with the client's address",
        detail: "Linux only. Servers see the client as if it had connected itself, so their replies must be routed \
                 to this host: docs/client-address.md has the recipe. A client of IPv4 is shown to servers of IPv4, one of \
                 IPv6 to servers of IPv6; between the families it is a plain connection. Needs root at start, or \
                 the capability CAP_NET_RAW; of root's privileges, `-u` then keeps this one. A pen that was started \
                 without `transparent` and has become another user cannot switch it on.",
        ..LIVE
    },
];

/// What Linux takes as the name of a network interface.
fn interface(word: &str) -> Result<String, String> {
    let is_name =
        word.len() <= INTERFACE_BYTES_MAX && !word.contains(['/', ':']) && !matches!(word, "." | "..");
    match is_name && !word.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Ok(word.to_owned()),
        false => Err(format!("want a network interface such as eth0, got {}", quoted(word))),
    }
}
