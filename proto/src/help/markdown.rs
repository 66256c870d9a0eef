//! docs/commands.md, from the table. A test keeps the file equal to what this says.

use super::{facts, key_synopsis, rows_of, sentence, synopses};
use crate::commands::{DEBUG_LEVELS, Group, Row, SERVER_KEYS};

const HEAD: &str = "\
<!-- Written from the command table (proto/src/commands/rows.rs); a test compares. Do not edit. -->

# Commands and options

A command is one line: a word and its arguments, separated by blanks or tabs. Give commands

- to the control port (`-C`), for example with penctl,
- in the configuration file (`-F`), one on each line,
- on the command line with `-O`; frequent ones have option letters of their own.

A word that begins with `#` begins a comment. A word in double quotes may contain blanks, and `\\r`, `\\n`, `\\t`, `\\\\`,
`\\\"` and `\\xNN`, a byte in two hexadecimal digits: `web_stats \"/srv/the page.html\"`. `no` before a command that
switches something on switches it off. Times are in whole seconds. A line with an error changes nothing; the reply names
the wrong word and says what was expected.

Common terms, and the commands for them ([switching.md](switching.md) has those of HAProxy and nginx):

| Term | Commands |
|---|---|
| sticky sessions, affinity | the default; `clients_max`, `tracking`, `clients_from`, `no roundrobin` |
| round robin | `policy round_robin`, `roundrobin` |
| least connections | `policy least_conn`, `weight` |
| source hash, consistent hash | `policy source`, `hash` |
| primary and standby | `policy single`, `top`, `prio` |
| backup | `-e`, the emergency server |
| connection limits | `server N max`, `conn_max`, `pending_max` |
| drain, maintenance | `server N drain`, `server N disable`, `server N enable` |
| health checks, active | `check`, `check_interval`, `check_rise`, `check_fall`, `check_extra` |
| agent-check, load feedback | `load agent`, `check agent`, `load snmp` |
| health checks, passive | `blacklist` |
| connect timeout; client and server timeout | `timeout`; `idle_timeout` |
| failover, redispatch | the default; `stubborn` switches it off |
| CA, verify | `ssl_ca_file`, `ssl_client_certificate`; `ssl_server_ca_file`, `server N tls verify` |
| SNI routing, TLS passthrough | `server N sni` |
| send-proxy, accept-proxy | `server N proxy`, `proxy_accept` |
| access lists, allow and deny | `acl`, `client_acl` |
| reload, graceful stop | `reload` or HUP, USR2 with `shutdown_timeout` |
";

/// The text of docs/commands.md.
pub fn commands_md() -> String {
    let mut text = String::from(HEAD);
    for group in Group::ALL {
        text.push_str(&format!("\n## {}\n", group.title()));
        match group {
            Group::Obsolete => {
                text.push('\n');
                text.extend(rows_of(group).map(short_entry));
            }
            _ => text.extend(rows_of(group).map(entry)),
        }
    }
    text
}

fn entry(row: &Row) -> String {
    let lines = synopses(row);
    let mut text = format!("\n### `{}`\n", row.word);
    let also: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    text.push_str(&format!("\n{also}"));
    let said = [sentence(row.summary), row.detail.to_owned(), facts(row)];
    let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
    text.push_str(&format!("\n{}\n", said.join(" ")));
    if row.word == "server" {
        text.push_str("\n| key | |\n|---|---|\n");
        let key_line = |key| format!("| `{}` | {} |\n", key_synopsis(key).replace('|', "\\|"), key.summary);
        text.extend(SERVER_KEYS.iter().map(key_line));
    }
    if row.word == "debug" {
        text.push_str("\n| level | |\n|---|---|\n");
        text.extend(DEBUG_LEVELS.iter().map(|(level, said)| format!("| {level} | {said} |\n")));
    }
    text
}

/// One line for what there is little to say about.
fn short_entry(row: &Row) -> String {
    let names: Vec<_> = synopses(row).iter().map(|line| format!("`{line}`")).collect();
    let detail = if row.detail.is_empty() { facts(row) } else { row.detail.to_owned() };
    format!("- {}: {}. {detail}\n", names.join(", "), row.summary)
}
