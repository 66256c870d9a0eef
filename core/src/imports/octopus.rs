//! `octopuslb.conf` of Octopus 1.14: its directives and server blocks as pen's commands.
//!
//! The file means what it means to Octopus, and a note tells of each line where that is not what it says: Octopus takes
//! words by their beginnings, and ignores what it does not know. What ends Octopus at its start is an error here.

mod commands;

use super::{Errors, Imported, Note};
pub use commands::debug_level;
use pen_proto::addr::quoted;
use std::net::Ipv4Addr;

/// What ends up in the name of its run file, which pen's control socket takes.
pub const VERSION: &str = "1.14";
/// Of a line, in the original; the rest is another line to it.
const LINE_BYTES_MAX: usize = 1000;
/// Where its packages keep run files.
pub const RUN_DIR: &str = "/var/run/octopuslb";
/// Servers of each kind.
const SERVERS_MAX: usize = 512;

/// The directives, in the order in which the original compares beginnings.
const DIRECTIVES: [&str; 24] = [
    "binding_ip",
    "binding_port",
    "member_outbound_ip",
    "clone_outbound_ip",
    "algorithm",
    "clone_mode",
    "session_weight",
    "hash_rebalance_interval",
    "hash_rebalance_threshold",
    "hash_rebalance_size",
    "overload_mode",
    "default_maxc",
    "default_maxl",
    "shm_run_dir",
    "shm_perms",
    "fd_limit",
    "session_limit",
    "log_file",
    "debug_level",
    "use_syslog",
    "monitor_interval",
    "connect_timeout",
    "snmp_enable",
    "snmp_community_pw",
];

/// The keys of a server block.
const KEYS: [&str; 7] = ["ip", "port", "maxc", "maxl", "status", "clone", "standby"];

/// What a file says, before it becomes commands.
#[derive(Debug, Clone, PartialEq)]
struct File {
    ip: Ipv4Addr,
    port: u16,
    member_source: Ipv4Addr,
    clone_source: Ipv4Addr,
    policy: Algorithm,
    clones: bool,
    session_weight: Option<f64>,
    rebalance_interval: u32,
    rebalance_threshold: u32,
    rebalance_size: u32,
    is_strict: bool,
    maxc: u32,
    maxl: f64,
    run_dir: Option<String>,
    perms: u32,
    sessions: u32,
    log_file: Option<String>,
    debug: u32,
    monitor_interval: u32,
    connect_timeout: u32,
    snmp: bool,
    community: Option<String>,
    servers: Vec<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    LeastConn,
    LeastLoad,
    RoundRobin,
    Hash,
    Static,
}

impl Algorithm {
    fn word(self) -> &'static str {
        match self {
            Algorithm::LeastConn => "least_conn",
            Algorithm::LeastLoad => "least_load",
            Algorithm::RoundRobin => "round_robin",
            Algorithm::Hash => "uri_hash",
            Algorithm::Static => "uri_static",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Server {
    line: usize,
    name: String,
    ip: Option<Ipv4Addr>,
    port: u16,
    maxc: u32,
    maxl: f64,
    enabled: bool,
    clone: bool,
    standby: bool,
}

impl Default for File {
    fn default() -> File {
        File {
            ip: Ipv4Addr::UNSPECIFIED,
            port: 1080,
            member_source: Ipv4Addr::UNSPECIFIED,
            clone_source: Ipv4Addr::UNSPECIFIED,
            policy: Algorithm::LeastConn,
            clones: false,
            session_weight: None,
            rebalance_interval: 30,
            rebalance_threshold: 30,
            rebalance_size: 5,
            is_strict: false,
            maxc: 500,
            maxl: 4.0,
            run_dir: None,
            perms: 0o644,
            sessions: 0,
            log_file: None,
            debug: 0,
            monitor_interval: 5,
            connect_timeout: 5,
            snmp: false,
            community: None,
            servers: Vec::new(),
        }
    }
}

/// Whether a text looks as such a file.
pub fn is_one(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        line.starts_with('[') && line.ends_with(']')
            || line.split_once('=').is_some_and(|(word, _)| DIRECTIVES.contains(&word.trim()))
    })
}

/// Translates a file.
///
/// # Errors
/// What is wrong, line by line.
pub fn import(text: &str) -> Result<Imported, Errors> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line(index + 1, line);
    }
    if let Some(open) = &reader.open {
        reader
            .imported
            .note(open.line, format!("{}: no [/] ends the block; Octopus has no such server", open.name));
    }
    let Reader { file, mut imported, errors, .. } = reader;
    match errors.is_empty() {
        true => {
            file.write(&mut imported);
            Ok(imported)
        }
        false => Err(errors),
    }
}

#[derive(Default)]
struct Reader {
    file: File,
    open: Option<Server>,
    imported: Imported,
    errors: Errors,
}

impl Reader {
    fn line(&mut self, number: usize, text: &str) {
        if text.len() > LINE_BYTES_MAX {
            self.imported.note(
                number,
                format!(
                    "want at most {LINE_BYTES_MAX} bytes in a line; Octopus takes the rest for another line"
                ),
            );
        }
        let line = text.trim();
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
        {
            return self.header(number, name);
        }
        let Some((word, value)) = line.split_once('=') else {
            return self
                .imported
                .note(number, format!("want NAME=VALUE, got {}; Octopus ignores the line", quoted(line)));
        };
        let (word, value) = (word.trim(), value.trim());
        let end = value.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(value.len());
        let (value, rest) = value.split_at(end);
        if rest.starts_with('=') || !rest.is_empty() && !rest.trim_start().starts_with('#') {
            let text =
                format!("{word}: the value is {}; Octopus ignores {}", quoted(value), quoted(rest.trim()));
            self.imported.note(number, text);
        }
        let known: &[&str] = if self.open.is_some() { &KEYS } else { &DIRECTIVES };
        let Some(known) = known.iter().find(|known| word.starts_with(**known)) else {
            let hint = match (self.open.is_some(), KEYS.contains(&word), DIRECTIVES.contains(&word)) {
                (false, true, _) => "it belongs in a [NAME] block".to_owned(),
                (true, _, true) => "it belongs outside of [NAME] blocks".to_owned(),
                _ => format!("want one of {}", known.join(", ")),
            };
            return self.imported.note(number, format!("{}: {hint}; Octopus ignores the line", quoted(word)));
        };
        if *known != word {
            let text = format!("{}: Octopus goes by the beginning and takes it for {known}", quoted(word));
            self.imported.note(number, text);
        }
        let done = match self.open.is_some() {
            true => self.key(number, known, value),
            false => self.directive(number, known, value),
        };
        if let Err(trouble) = done {
            let text = format!("{known}: {trouble}, got {}", quoted(value));
            self.errors.push(Note { place: number.into(), text });
        }
    }

    fn header(&mut self, number: usize, name: &str) {
        let before = self.open.take();
        if name.trim() == "/" {
            match before {
                None => self.imported.note(number, "[/] ends no block"),
                Some(server) => self.close(server),
            }
            return;
        }
        if let Some(before) = before {
            let text = format!("{}: no [/] ends the block; Octopus has no such server", before.name);
            self.imported.note(before.line, text);
        }
        let File { maxc, maxl, .. } = self.file;
        self.open = Some(Server {
            line: number,
            name: name.to_owned(),
            ip: None,
            port: 80,
            maxc,
            maxl,
            enabled: true,
            clone: false,
            standby: false,
        });
    }

    fn close(&mut self, server: Server) {
        let mut wrong = |text: String| self.errors.push(Note { place: server.line.into(), text });
        if server.ip.is_none() {
            wrong(format!("{}: want ip=ADDRESS in the block", server.name));
        }
        if self.file.servers.iter().filter(|other| other.clone == server.clone).count() == SERVERS_MAX {
            wrong(format!("want at most {SERVERS_MAX} members and as many clones"));
        }
        self.file.servers.push(server);
    }

    fn directive(&mut self, number: usize, word: &str, value: &str) -> Result<(), String> {
        let file = &mut self.file;
        match word {
            "binding_ip" => file.ip = address(value)?,
            "binding_port" => file.port = port(value)?,
            "member_outbound_ip" => file.member_source = address(value)?,
            "clone_outbound_ip" => file.clone_source = address(value)?,
            "algorithm" => {
                file.policy = one_of(
                    value,
                    &[
                        ("LC", Algorithm::LeastConn),
                        ("LL", Algorithm::LeastLoad),
                        ("RR", Algorithm::RoundRobin),
                        ("HASH", Algorithm::Hash),
                        ("STATIC", Algorithm::Static),
                    ],
                )?
            }
            "clone_mode" => file.clones = one_of(value, &[("enabled", true), ("disabled", false)])?,
            "session_weight" => file.session_weight = Some(positive(value)?),
            "hash_rebalance_interval" => file.rebalance_interval = whole(value, 0, SECONDS_MAX)?,
            "hash_rebalance_threshold" => file.rebalance_threshold = whole(value, 0, 99)?,
            "hash_rebalance_size" => file.rebalance_size = whole(value, 0, 99)?,
            "overload_mode" => file.is_strict = one_of(value, &[("STRICT", true), ("RELAXED", false)])?,
            "default_maxc" => {
                file.maxc = whole(value, 0, CONNECTIONS_MAX)?;
                self.late(number, word);
            }
            "default_maxl" => {
                file.maxl = positive(value)?;
                self.late(number, word);
            }
            "shm_run_dir" => file.run_dir = Some(path(value)?),
            "shm_perms" => {
                file.perms = u32::from_str_radix(value, 8)
                    .ok()
                    .filter(|mode| *mode <= 0o777)
                    .ok_or("want three octal digits".to_owned())?
            }
            "fd_limit" => {
                if whole(value, 0, u32::MAX)? > 0 {
                    let text = "fd_limit: pen takes as many descriptors as the system's hard limit allows; set that, \
                                with LimitNOFILE= of systemd or ulimit -Hn";
                    self.imported.note(number, text);
                }
            }
            "session_limit" => file.sessions = whole(value, 0, CONNECTIONS_MAX)?,
            "log_file" => file.log_file = Some(path(value)?),
            "debug_level" => file.debug = whole(value, 0, 6)?,
            "use_syslog" => {
                if one_of(value, &[("1", true), ("0", false)])? {
                    let text = "use_syslog: messages go to one place, here the log_file; `messages syslog` sends all of \
                                them there";
                    self.imported.note(number, text);
                }
            }
            "monitor_interval" => file.monitor_interval = whole(value, 0, SECONDS_MAX)?,
            "connect_timeout" => file.connect_timeout = whole(value, 1, 3600)?,
            "snmp_enable" => file.snmp = one_of(value, &[("on", true), ("off", false)])?,
            "snmp_community_pw" => file.community = Some(path(value)?),
            other => unreachable!("{other} is in the list of directives"),
        }
        Ok(())
    }

    /// A default that some servers have not got.
    fn late(&mut self, number: usize, word: &str) {
        if !self.file.servers.is_empty() {
            self.imported.note(number, format!("{word}: holds for the blocks below it, not for those above"));
        }
    }

    fn key(&mut self, number: usize, word: &str, value: &str) -> Result<(), String> {
        let Some(server) = &mut self.open else { return Ok(()) };
        match word {
            "ip" => server.ip = Some(address(value)?),
            "port" => server.port = port(value)?,
            "maxc" => server.maxc = whole(value, 0, CONNECTIONS_MAX)?,
            "maxl" => server.maxl = positive(value)?,
            "status" => match one_of(value, &[("enabled", true), ("disabled", false)]) {
                Ok(enabled) => server.enabled = enabled,
                Err(wanted) => {
                    let state = if server.enabled { "enabled" } else { "disabled" };
                    let text = format!(
                        "status: {wanted}, got {}; Octopus ignores the line, the server is {state}",
                        quoted(value)
                    );
                    self.imported.note(number, text);
                }
            },
            "clone" => match one_of(value, &[("true", true), ("false", false)]) {
                Ok(clone) => {
                    if server.standby && !clone {
                        let text = "clone=false: behind standby=true it makes the server no standby, in Octopus; \
                                    put it before standby";
                        self.imported.note(number, text);
                        server.standby = false;
                    }
                    server.clone = clone;
                }
                Err(wanted) => {
                    let kind = if server.clone { "clone" } else { "member, which answers clients" };
                    let text = format!(
                        "clone: {wanted}, got {}; Octopus ignores the line, the server is a {kind}",
                        quoted(value)
                    );
                    self.imported.note(number, text);
                }
            },
            "standby" => match one_of(value, &[("true", true), ("false", false)]) {
                Ok(standby) => server.standby = standby,
                Err(wanted) => {
                    let no = if server.standby { "a" } else { "no" };
                    let text = format!(
                        "standby: {wanted}, got {}; Octopus ignores the line, the server is {no} standby",
                        quoted(value)
                    );
                    self.imported.note(number, text);
                }
            },
            other => unreachable!("{other} is in the list of keys"),
        }
        Ok(())
    }
}

/// A day would do for intervals; this is what pen's commands take.
const SECONDS_MAX: u32 = 86_400;
const CONNECTIONS_MAX: u32 = 65_535;

fn address(value: &str) -> Result<Ipv4Addr, String> {
    value.parse().map_err(|_| "want an IPv4 address".to_owned())
}

fn port(value: &str) -> Result<u16, String> {
    whole(value, 1, 65_535).map(|port| port as u16)
}

fn whole(value: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| match max {
        u32::MAX => format!("want a number from {min}"),
        _ => format!("want {min} to {max}"),
    })
}

fn positive(value: &str) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number: &f64| number.is_finite() && (0.0..=1e6).contains(number));
    number.ok_or_else(|| "want a number, 0 or more".to_owned())
}

fn path(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("want a value".into()) } else { Ok(value.to_owned()) }
}

/// As the original: the value begins with the word.
fn one_of<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| value.starts_with(word)).map(|(_, meaning)| *meaning);
    let wanted = || format!("want {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or "));
    found.ok_or_else(wanted)
}

#[cfg(test)]
#[path = "octopus_tests.rs"]
mod tests;
