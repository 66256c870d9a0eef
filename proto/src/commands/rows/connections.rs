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
        detail: "Further clients wait until one is closed. With 0 the limit on open files decides. The \
                 number only grows: one that is smaller than the present one changes nothing.",
        ..LIVE
    },
    Row {
        word: "connection",
        args: &[optional("N", Complete::Connection)],
        kind: Kind::Question(Argument::Number { max: u32::MAX, default: Some(0), of: Question::Connection }),
        summary: "show one connection",
        detail: "Prints state, descriptors, client, server and unsent bytes of connection N (default: 0).",
        ..LIVE
    },
    Row {
        word: "connections",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Connections)),
        summary: "list the open connections",
        detail: "Prints a line for each. With `json`, prints one JSON array.",
        ..NEW
    },
    Row {
        word: "defer_accept",
        no: true,
        kind: flag(Flag::DeferAccept),
        summary: "take a client when it has sent something",
        detail: "TCP_DEFER_ACCEPT: a client that only connects costs nothing for a second. Not for protocols in \
                 which the server speaks first.",
        ..NEW
    },
    Row {
        word: "dummy",
        no: true,
        kind: flag(Flag::Dummy),
        summary: "answer clients directly, without any server",
        detail: "pen answers whatever a client sends with a fixed HTTP page: to measure pen without servers.",
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
        detail: "Servers learn the client's address from these headers. Without an argument pen does what \
                 Pen did: it changes the first request of a connection and no later one, and leaves a header \
                 that the client sent as it is, so a client can forge it. With `replace` pen changes every \
                 request of a connection: it removes such headers, also those written with `_` for `-`, and \
                 adds the right ones. Use it when clients reach pen directly. With `append` pen adds the \
                 address to the end of X-Forwarded-For in every request, and leaves an X-Forwarded-Proto \
                 that is there. Use it behind another proxy. Both follow the lengths of requests. pen closes \
                 a connection when two servers could disagree about where a request ends, and after the \
                 answer to a request that is malformed but that a server could accept. What follows CONNECT \
                 or Upgrade is another protocol and passes once the server has agreed. `replace` refuses \
                 clients of HTTP/2, whose requests cannot be changed; `replace h2` and all other forms let \
                 them pass. What is not HTTP passes unchanged; `pen_http_unedited_total` in `metrics` counts \
                 connections in which pen added nothing, and `-d` reports them. The option `-H` takes no \
                 argument.",
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
        detail: "pen closes a connection on which no byte passed for this time. Other programs call this the \
                 client and server timeout.",
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
        detail: "When the server of a client has one ready, the client gets it and need not wait for a \
                 connect: its first byte comes a round trip sooner. The choice of the server does not \
                 change. pen spreads idlers evenly over its threads and over the usable servers without \
                 `max`, `tls` or `proxy`; so give at least one for each thread and server. With \
                 `transparent` there are none, because every connection has the client's address. To a \
                 server, idlers are clients that say nothing for a while. Each one that the server closes \
                 doubles the pause before the server gets the next, from one second to an hour; from a \
                 minute on it gets one at a time; a client that uses the server ends the pause. Know your \
                 server before you give it idlers: MariaDB and MySQL count each connection that ends without \
                 a login, and block pen's host after `max_connect_errors` of them (100) in a row; sshd \
                 counts them as logins under way (`MaxStartups`). The reply is `Idlers: HAVE/WANTED`, and a \
                 line that names servers with `proxy`.",
        ..LIVE
    },
    Row {
        word: "dsr_if",
        args: &[optional("INTERFACE", Complete::Text)],
        kind: Kind::Text { text: Text::DsrIf, read: interface, answer: Answer::Value },
        when: When::Start,
        summary: "direct server return: servers answer clients themselves",
        detail: "pen accepts no connections. It forwards the packets of clients to servers on the same \
                 network, changing only hardware addresses, and the servers answer the clients directly. The \
                 servers have the listening address, such as `192.0.2.10:80` or, for all ports, `192.0.2.10` \
                 or `[2001:db8::10]`, on their loopback interfaces; this host does not have it, and pen \
                 answers ARP and neighbour discovery for it on INTERFACE. Policies, affinity, maxima and \
                 blacklists work as usual; `conn_max` limits the flows that pen tracks (262144 if not set). \
                 pen blacklists a server that does not answer on INTERFACE for the time of `timeout`. \
                 Settings about the bytes of connections have no effect. Linux only; needs root at start or \
                 the capability CAP_NET_RAW. docs/direct-server-return.md has the recipe.",
        ..LIVE
    },
    Row {
        word: "keepalive",
        no: true,
        kind: flag(Flag::Keepalive),
        summary: "let the system probe silent connections to servers",
        detail: "Sets SO_KEEPALIVE on new connections, so that pen notices a server that vanished. \
                 `keepalive_idle`, `keepalive_interval` and `keepalive_probes` say how soon; otherwise the \
                 system decides (on Linux after more than two hours).",
        ..LIVE
    },
    Row {
        word: "keepalive_idle",
        args: SECONDS,
        kind: number(Number::KeepaliveIdle, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "silence after which keepalive begins to probe; 0: as the system does",
        detail: "TCP_KEEPIDLE, for new connections. Has an effect only with `keepalive`.",
        ..NEW
    },
    Row {
        word: "keepalive_interval",
        args: SECONDS,
        kind: number(Number::KeepaliveInterval, 0, KEEPALIVE_SECONDS_MAX, 0),
        unit: "seconds",
        summary: "time between two probes of keepalive; 0: as the system does",
        detail: "TCP_KEEPINTVL, for new connections. Has an effect only with `keepalive`.",
        ..NEW
    },
    Row {
        word: "keepalive_probes",
        args: NUMBER,
        kind: number(Number::KeepaliveProbes, 0, KEEPALIVE_PROBES_MAX, 0),
        unit: "probes",
        summary: "probes of keepalive that may go unanswered; 0: as the system does",
        detail: "TCP_KEEPCNT, for new connections: after so many unanswered probes the system closes the \
                 connection. Has an effect only with `keepalive`.",
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
        detail: "pen opens the new address before it closes the old one. Open connections continue, and pen \
                 serves every client that has connected to the old address, even if `conn_max` has no room. \
                 ADDRESS is `PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket. With `add` the \
                 service listens there too, with `remove` no longer; ADDRESS alone replaces all.",
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
        detail: "A client that connects and says nothing then costs no connection to a server. Do not use it \
                 for protocols in which the server speaks first, such as SMTP.",
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
        detail: "While so many connects wait for an answer, pen accepts no further client.",
        ..LIVE
    },
    Row {
        word: "proxy_accept",
        no: true,
        args: &[optional("NETWORK|unix", Complete::Address)],
        no_args: &[optional("NETWORK|unix", Complete::Address)],
        kind: Kind::List(List::ProxyAccept),
        summary: "trusted proxies, whose PROXY headers name the client",
        detail: "Connections from NETWORK (`10.0.0.0/8`, `2001:db8::/32` or a single address), or with \
                 `unix` those through a Unix socket, come from a proxy that names its client in a PROXY \
                 header, version 1 or 2, at their very beginning. pen uses this client everywhere: in access \
                 lists, for the choice of the server, in logs, statistics and headers to servers. The header \
                 is required: pen closes the connection when a valid one does not arrive within \
                 `proxy_timeout`. With UDP each datagram must begin with a header of version 2. Connections \
                 from elsewhere are those of ordinary clients. The command may be repeated; without an \
                 argument it lists the networks, one on each line. `no proxy_accept NETWORK` removes one, \
                 `no proxy_accept` all.",
        ..NEW
    },
    Row {
        word: "proxy_timeout",
        args: SECONDS,
        kind: number(Number::ProxyTimeout, 1, 86_400, 5),
        unit: "seconds",
        summary: "how long a PROXY header may take to arrive",
        detail: "Seconds since the beginning of a connection from a network of `proxy_accept`. Use more than \
                 3 seconds, so that one packet may be lost.",
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
        detail: "Takes precedence over `transparent`. With `no source` the system chooses again.",
        ..LIVE
    },
    Row {
        word: "reset_on_close",
        no: true,
        kind: flag(Flag::ResetOnClose),
        summary: "end connections with a reset",
        detail: "With `tcp_fastclose both` sockets leave no TIME_WAIT behind; an end that pen has passed on before it \
                 closes a connection still does. What the peer has not received by then is lost: for protocols whose \
                 peers know the end of their data.",
        ..NEW
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
        detail: "Normally pen passes the end of one side's data on, and the other side may still send. With \
                 `up` the end from the server closes both, with `down` the end from the client, with `both` \
                 either; the default is `off`. pen delivers the data that it has received first.",
        ..LIVE
    },
    Row {
        word: "tcp_nodelay",
        no: true,
        kind: Kind::Flag { flag: Flag::TcpNodelay, default: true },
        summary: "send small pieces at once",
        detail: "Sets TCP_NODELAY on both sides of new connections. Without it a small piece waits until the \
                 one before it is acknowledged, which slows down protocols of many small messages, such as \
                 LDAP. In Pen this was off by default.",
        ..LIVE
    },
    Row {
        word: "timeout",
        letter: Some('t'),
        args: SECONDS,
        kind: number(Number::Timeout, 1, 86_400, 3),
        unit: "seconds",
        summary: "how long a connect to a server may take",
        detail: "When the time is over, pen blacklists the server and sends the client to the next one. \
                 Other programs call this the connect timeout.",
        ..LIVE
    },
    Row {
        word: "transparent",
        no: true,
        kind: flag(Flag::Transparent),
        summary: "connect to servers with the client's address",
        detail: "Servers see the client as if it had connected itself, so their replies must be routed to \
                 this host: docs/client-address.md has the recipe. Servers with IPv4 addresses see the \
                 addresses of IPv4 clients, servers with IPv6 addresses those of IPv6 clients; between the \
                 families the connection comes from pen's own address. Linux only. Needs root at start, or \
                 the capability CAP_NET_RAW; of root's privileges, `-u` keeps this one. A pen that was \
                 started without `transparent` and has become another user cannot switch it on.",
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
