//! The rows about the load of servers.

use super::{arg, optional};
use crate::commands::{Answer, Arg, Choice, Complete, Group, Kind, LoadSource, Number, Row, Text};
use crate::load::LOAD_THOUSANDTHS_MAX;

const ON_DOWN: &[&str] = &["keep", "close"];
const OVERLOAD: &[&str] = &["relaxed", "strict"];
const NEW: Row = Row { group: Group::Checks, ..super::NEW };

const LOAD: &[Arg] = &[optional("L", Complete::Number)];

pub const ROWS: &[Row] = &[
    Row {
        word: "maxload",
        args: LOAD,
        kind: Kind::Decimal { number: Number::Maxload, max: LOAD_THOUSANDTHS_MAX, default: 0 },
        summary: "load at which a server counts as fully loaded; 0: none",
        detail: "Its effective load is its load in percent of this. With `overload strict` a server above it gets no \
                 new clients. `server N maxload` gives a server one of its own.",
        ..NEW
    },
    Row {
        word: "on_down",
        args: &[optional("keep|close", Complete::Words(ON_DOWN))],
        kind: Kind::Choice { choice: Choice::OnDown, words: ON_DOWN, default: 0, answer: Answer::Value },
        summary: "what becomes of the open connections of a server that a check, or its agent, finds down",
        detail: "`keep`, the default: they go on as long as they can. `close`: pen closes them, and their clients may \
                 connect anew, to another server. A failed connect of a client alone closes no connection.",
        ..NEW
    },
    Row {
        word: "overload",
        args: &[optional("relaxed|strict", Complete::Words(OVERLOAD))],
        kind: Kind::Choice { choice: Choice::Overload, words: OVERLOAD, default: 0, answer: Answer::Value },
        summary: "whether servers with more load than maxload get new clients",
        detail: "`strict`: they do not, as if they had their maximum of connections; where all have too much, clients \
                 wait (`queue`), or get the emergency server, or none. An unknown load is not too much. `relaxed`, the \
                 default: they do.",
        ..NEW
    },
    Row {
        word: "session_weight",
        args: LOAD,
        kind: Kind::Decimal { number: Number::SessionWeight, max: 1_000_000, default: 100 },
        summary: "load that an open connection counts for under policy least_load",
        detail: "It balances connections between two readings of the load. With 0 only the load counts.",
        ..NEW
    },
    Row {
        word: "load",
        no: true,
        args: &[arg("none|snmp|agent|exec", Complete::Words(&["none", "snmp", "agent", "exec"]))],
        kind: Kind::Rest {
            text: Text::Load,
            read: |words| LoadSource::read(words).map(|source| source.to_string()),
            answer: Answer::Silent,
        },
        also: &[
            "load snmp [v1|v2c] COMMUNITY [port P]",
            "load agent PORT",
            "load exec PROGRAM [ARGUMENT]...",
        ],
        summary: "where pen reads the load of the servers of the service",
        detail: "pen reads it every `check_interval` seconds, beside `check`. `snmp`: the load average of the last minute, \
             from the SNMP agent of the server's host, UDP port 161 or P; the version is v2c unless you write v1. \
             `agent`: pen connects to the port and reads a line: a number is the load, and HAProxy's words count too: \
             `75%` (of the server's weight), `drain`, `maint`, `ready`, `down`, `up`, `maxconn:N`. `exec`: a program \
             answers each line `poll` with such a line, as with `check exec`. Without an answer the load is unknown, \
             and the server stays as it is. `servers json` shows the load, or why it is unknown. Replies and logs hide the \
             community; `write` keeps it. A server may have another source, `server N load`. See docs/load.md.",
        ..NEW
    },
];
