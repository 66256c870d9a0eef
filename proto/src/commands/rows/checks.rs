//! The rows about checks of servers.

use super::{NUMBER, arg, flag, number, optional};
use crate::addr::quoted;
use crate::commands::{Answer, Arg, Check, Complete, Flag, Group, Kind, Number, Row, Scope, Text, When};
use std::borrow::Cow;

const NEW: Row = Row { group: Group::Checks, ..super::NEW };
const SECONDS: &[Arg] = &[optional("S", Complete::Number)];
const DAY_MS: u64 = 86_400_000;

/// Seconds with decimals; the bounds and the default are milliseconds.
const fn seconds(number: Number, min_ms: u64, max_ms: u64, default_ms: u64) -> Kind {
    Kind::Seconds { number, min_ms, max_ms, default_ms }
}

/// Names of variables, written with blanks between them.
fn environment(words: &[Cow<'_, str>]) -> Result<String, String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = |word: &str| {
        !word.is_empty() && word.chars().all(is_letter) && !word.starts_with(|c: char| c.is_ascii_digit())
    };
    match words.iter().find(|word| !is_name(word)) {
        Some(word) => Err(format!("want names of variables, got {}", quoted(word))),
        None => Ok(words.join(" ")),
    }
}

pub const ROWS: &[Row] = &[
    Row {
        word: "check",
        no: true,
        args: &[arg(
            "none|connect|...",
            Complete::Words(&["none", "connect", "send", "http", "tls", "agent", "exec", "dummy"]),
        )],
        kind: Kind::Rest {
            text: Text::Check,
            read: |words| Check::read(words).map(|check| check.to_string()),
            answer: Answer::Silent,
        },
        also: &[
            "check send TEXT expect TEXT",
            "check http PATH [status N|N-N] [host HOST] [expect TEXT]",
            "check tls [NAME]",
            "check agent PORT",
            "check exec PROGRAM [ARGUMENT]...",
        ],
        summary: "health check of the servers of the service",
        detail: "`connect`: a connection can be made. `send`: pen sends the server a text, which may be \
                 empty, and the other text is among the first 64 KiB of the answer. `http`: the server \
                 answers GET of the path with a status from 200 to 399, or the given one, and with the text \
                 in its body. `tls`: a TLS handshake succeeds. `agent`: pen connects to the \
                 port at the server's host and reads a line; HAProxy's words count, as with `load agent`. `exec`: a program decides; pen starts it once \
                 for each server with HOST:PORT before its arguments, and for each check it reads a line \
                 `poll` and answers 3 (ready), 2 (only if no other is left), 1 or 0 (down). `dummy`: the \
                 server is always up. A server that is down gets no clients until a check succeeds; a check \
                 that succeeds ends the blacklisting that a failed connect began. Checks connect as clients' \
                 connections do: with TLS to a server with `tls`, with a PROXY header that says LOCAL to one \
                 with `proxy`. Write texts with blanks in quotes. A server may have a check of its own, \
                 `server N check`. See docs/checks.md.",
        ..NEW
    },
    Row {
        word: "exec_enabled",
        no: true,
        scope: Scope::Process,
        when: When::Start,
        kind: flag(Flag::ExecEnabled),
        summary: "accept check exec from control clients on other machines too",
        detail: "Otherwise pen accepts programs only from files, the command line and Unix control sockets.",
        ..NEW
    },
    Row {
        word: "exec_environment",
        no: true,
        scope: Scope::Process,
        args: &[optional("NAME...", Complete::Text)],
        kind: Kind::Rest { text: Text::ExecEnvironment, read: environment, answer: Answer::Silent },
        summary: "environment variables for programs of check exec",
        detail: "In addition to PATH, HOME and LANG, with the values that pen has. pen restarts programs \
                 that run.",
        ..NEW
    },
    Row {
        word: "check_interval",
        args: SECONDS,
        kind: seconds(Number::CheckInterval, 0, DAY_MS, 1_000),
        unit: "seconds",
        summary: "seconds from one health check of a server to the next",
        detail: "With 0 pen makes no more checks and keeps the result of the last one.",
        ..NEW
    },
    Row {
        word: "check_timeout",
        args: SECONDS,
        kind: seconds(Number::CheckTimeout, 1, 3_600_000, 1_000),
        unit: "seconds",
        summary: "how long a health check may take",
        detail: "From the connect to the last byte of the answer. A check that takes longer has failed.",
        ..NEW
    },
    Row {
        word: "check_extra",
        args: SECONDS,
        kind: seconds(Number::CheckExtra, 0, DAY_MS, 0),
        unit: "seconds",
        summary: "check the server of a new client first if its last good check is older than so many seconds; 0: off",
        detail: "The client waits until the check has ended, `check_timeout` at most. If the check fails, the client gets \
                 another server. Clients that wait for the same server share one check. With `policy single` and with \
                 `check_interval 0` there is none.",
        ..NEW
    },
    Row {
        word: "check_rise",
        args: NUMBER,
        kind: number(Number::CheckRise, 1, 1_000, 1),
        unit: "checks",
        summary: "successful checks in a row after which a server that was down is up",
        detail: "The first check of a server decides alone.",
        ..NEW
    },
    Row {
        word: "check_fall",
        args: NUMBER,
        kind: number(Number::CheckFall, 1, 1_000, 1),
        unit: "checks",
        summary: "failed checks in a row after which a server that was up is down",
        detail: "A failed connect of a client blacklists the server nevertheless.",
        ..NEW
    },
    Row {
        word: "check_port",
        args: NUMBER,
        kind: number(Number::CheckPort, 0, 65_535, 0),
        unit: "",
        summary: "port to check instead of the server's own",
        detail: "With 0 it is the server's own. A check of another port does not end a blacklisting that a \
                 failed connect began.",
        ..NEW
    },
    Row {
        word: "discover",
        no: true,
        kind: flag(Flag::Discover),
        summary: "add the members of a cluster that a check names, and remove those that are gone",
        detail: "A program of `check exec` may name members behind its state. Those that servers in state 3 name become \
                 servers, which are checked before they get a client. A member goes when no such server has named it \
                 for `check_fall` rounds of `check_interval` seconds; a server that names nobody removes nobody. \
                 Servers that a person configured stay. A member without a port has that of `listen`. `write` leaves \
                 discovered servers out.",
        ..NEW
    },
    Row {
        word: "latency",
        args: NUMBER,
        kind: number(Number::Latency, 0, 1_000, 0),
        unit: "checks",
        summary: "let weights follow the time that checks take, smoothed over so many; 0: off",
        detail: "The slowest server that is up keeps its weight; a server that answers its checks n times as fast counts \
                 n times its own. Changes below 10 percent are passed over. Policies that do not weigh are not affected.",
        ..NEW
    },
];
