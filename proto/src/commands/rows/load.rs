//! The rows about the load of servers.

use super::arg;
use crate::commands::{Answer, Complete, Group, Kind, LoadSource, Row, Text};

const NEW: Row = Row { group: Group::Checks, ..super::NEW };

pub const ROWS: &[Row] = &[Row {
    word: "load",
    no: true,
    args: &[arg("none|snmp|agent|exec", Complete::Words(&["none", "snmp", "agent", "exec"]))],
    kind: Kind::Rest {
        text: Text::Load,
        read: |words| LoadSource::read(words).map(|source| source.to_string()),
        answer: Answer::Silent,
    },
    also: &["load snmp [v1|v2c] COMMUNITY [port P]", "load agent PORT", "load exec PROGRAM [ARGUMENT]..."],
    summary: "where pen reads the load of the servers of the service",
    detail: "pen reads it every `check_interval` seconds, beside `check`. `snmp`: the load average of the last minute, \
             from the SNMP agent of the server's host, UDP port 161 or P; the version is v2c unless you write v1. \
             `agent`: pen connects to the port and reads a line: a number is the load, and HAProxy's words count too: \
             `75%` (of the server's weight), `drain`, `maint`, `ready`, `down`, `up`, `maxconn:N`. `exec`: a program \
             answers each line `poll` with such a line, as with `check exec`. Without an answer the load is unknown, \
             and the server stays as it is. `servers json` shows the load, or why it is unknown. Replies and logs hide the \
             community; `write` keeps it. A server may have another source, `server N load`. See docs/load.md.",
    ..NEW
}];
