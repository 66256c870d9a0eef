//! The rows about UDP in the place of TCP.

use super::{NUMBER, SECONDS, flag, number};
use crate::commands::{Flag, Group, Kind, Number, Row, SECONDS_MAX, Scope, When};

const NEW: Row = Row { group: Group::Connections, ..super::NEW };

pub const ROWS: &[Row] = &[
    Row {
        word: "udp",
        letter: Some('U'),
        no: true,
        kind: flag(Flag::Udp),
        when: When::Start,
        summary: "balance UDP instead of TCP",
        detail: "All datagrams from one address and port of a client are a session: they go to one server, \
                 and the client gets the answers from the address that it asked. pen chooses a server for a \
                 session, limits, counts, lists and logs sessions as it does connections. When an ICMP error \
                 says that a server cannot be reached, pen skips it for `blacklist` seconds, and the session \
                 continues with the next one; see `udp_answers` for a server that is silent.",
        ..NEW
    },
    Row {
        word: "udp_answers",
        no: true,
        kind: Kind::Flag { flag: Flag::UdpAnswers, default: true },
        summary: "treat a UDP server that does not answer as failed",
        detail: "When a server has left a session without an answer for `timeout` seconds, and has answered \
                 nobody else in this time, pen skips it for `blacklist` seconds, and the session continues \
                 with the next one. This begins when some server has answered for the first time, so servers \
                 of a protocol without answers, such as syslog, never fail so; and pen does not skip a \
                 server when it could choose no other. Where most datagrams have no answer but some have, \
                 give `no udp_answers`.",
        ..NEW
    },
    Row {
        word: "udp_idle_timeout",
        args: SECONDS,
        kind: number(Number::UdpIdleTimeout, 0, SECONDS_MAX, 60),
        unit: "seconds",
        summary: "how long a UDP session may be silent; 0: as idle_timeout says",
        detail: "A session in which no datagram passed for this time ends; `idle_timeout` counts if it is \
                 shorter. What the client sends later begins another session, with the same server if pen \
                 still remembers the client.",
        ..NEW
    },
    Row {
        word: "udp_sessions_max",
        scope: Scope::Process,
        args: NUMBER,
        kind: number(Number::UdpSessionsMax, 1, 10_000_000, 10_000),
        unit: "sessions",
        summary: "how many UDP sessions there may be at once",
        detail: "`conn_max` and the limit on open files may allow fewer. When there is no room for another, \
                 pen ends the session that has been silent for the longest time; a session whose client \
                 continued after an answer ends only if there is no other. So datagrams from forged \
                 addresses displace one another and not the clients that are served.",
        ..NEW
    },
];
