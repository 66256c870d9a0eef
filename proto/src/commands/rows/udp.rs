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
        detail: "All datagrams from one address and port of a client are one session: they go to one server, and all \
                 that this server sends comes back from the address that the client spoke to. Sessions are chosen a \
                 server, limited, counted, listed and logged as connections are. A server of which an ICMP error \
                 tells that it cannot be reached is skipped for `blacklist` seconds, and its session goes on with the \
                 next; see `udp_answers` for one that is silent.",
        ..NEW
    },
    Row {
        word: "udp_answers",
        no: true,
        kind: Kind::Flag { flag: Flag::UdpAnswers, default: true },
        summary: "take a UDP server that does not answer for one that failed",
        detail: "A server that has left a session without an answer for `timeout` seconds, and in this time has \
                 answered nobody else either, is skipped for `blacklist` seconds, and the session goes on with the \
                 next. Not before some server has answered for the first time, so servers of a protocol without \
                 answers, such as syslog, are never judged; nor when no other server could be chosen. Where most \
                 datagrams have no answer but some have, give `no udp_answers`.",
        ..NEW
    },
    Row {
        word: "udp_idle_timeout",
        args: SECONDS,
        kind: number(Number::UdpIdleTimeout, 0, SECONDS_MAX, 60),
        unit: "seconds",
        summary: "how long a UDP session may be silent; 0: as idle_timeout says",
        detail: "A session in which no datagram passed for this time ends, or for that of `idle_timeout` if it is \
                 shorter. What its client sends later begins another, with the same server if the client is still \
                 remembered.",
        ..NEW
    },
    Row {
        word: "udp_sessions_max",
        scope: Scope::Process,
        args: NUMBER,
        kind: number(Number::UdpSessionsMax, 1, 10_000_000, 10_000),
        unit: "sessions",
        summary: "how many UDP sessions there may be at once",
        detail: "Not more than `conn_max` or the limit on open files allow. When there is no room for another, the one \
                 silent for the longest time ends; one whose client went on after an answer only if there is no \
                 other. So datagrams from invented addresses push out one another and not those who are served.",
        ..NEW
    },
];
