//! The commands of Octopus's shell, read. Pure.

use pen_proto::addr::quoted;
use std::net::Ipv4Addr;

/// Each with its arguments, what help says of it, and the fewest letters that are enough.
pub const COMMANDS: [(&str, &str, &str, usize); 25] = [
    ("show", "", "show servers", 1),
    ("create", "[m|c] name ip port", "create a member or clone, disabled", 1),
    ("delete", "[m|c] #", "delete a server", 6),
    ("disable", "[m|c] #|all", "disable servers", 1),
    ("enable", "[m|c] #|all", "enable servers", 1),
    ("maxc", "[m|c] # value", "set the maximum of connections", 4),
    ("standby", "[m|c] #", "make a server a standby, or no standby", 7),
    ("maxl", "[m|c] # value", "set the maximum load", 4),
    ("overload", "strict|relaxed", "may overloaded servers be chosen", 1),
    ("algorithm", "rr|lc|ll|hash|static", "set the balancing algorithm", 1),
    ("hrt", "0-100", "set the hash rebalance threshold", 3),
    ("hrs", "0-100", "set the hash rebalance size", 3),
    ("hri", "seconds", "set the hash rebalance interval, 0: never", 3),
    ("snmp", "on|off", "ask servers for their load", 4),
    ("clone", "enable|disable", "copy traffic to clones", 5),
    ("monitor", "seconds", "set the monitor interval", 7),
    ("reset", "[m|c] #|all", "reset counters", 1),
    ("info", "", "show settings", 1),
    ("scan", "", "look for instances again", 4),
    ("debug", "0-6", "set the debug level", 5),
    ("quit", "", "leave", 1),
    ("kill", "", "end the balancer", 4),
    ("examples", "", "show examples", 2),
    ("x", "", "switch extended output on or off", 1),
    ("?", "", "show this list", 1),
];

/// What may be said where nothing may be changed, in the order of its help.
pub const READ_ONLY: [&str; 6] = ["show", "info", "scan", "quit", "examples", "?"];

pub const EXAMPLES: &str = "\
show all servers:                          show
create a member:                           create member web1 10.0.0.1 80
set its maximum of connections:            maxc member 0 1000
set its maximum load:                      maxl member 0 4.0
create a clone:                            create clone test1 10.0.1.1 80
switch cloning on:                         clone enable
choose no overloaded servers:              overload strict
choose the server with least connections:  algorithm lc
";

/// What a line wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    Show,
    Info,
    Help,
    Examples,
    Extended,
    Scan,
    Quit,
    Kill,
    Create { clone: bool, name: String, ip: Ipv4Addr, port: u16 },
    Delete(Which),
    Enable(Whom),
    Disable(Whom),
    Reset(Whom),
    Standby(Which),
    MaxConnections(Which, u32),
    MaxLoad(Which, f64),
    Algorithm(Algorithm),
    Overload { strict: bool },
    Clone { enable: bool },
    Monitor(u32),
    Debug(u32),
    RebalanceThreshold(u32),
    RebalanceSize(u32),
    RebalanceInterval(u32),
    Snmp { on: bool },
}

impl Wish {
    /// Whether it changes nothing.
    pub fn only_looks(&self) -> bool {
        use Wish::{Examples, Extended, Help, Info, Quit, Scan, Show};
        matches!(self, Show | Info | Help | Examples | Extended | Scan | Quit)
    }
}

/// A server: a member or clone by its number, or a server by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Member(usize),
    Clone(usize),
    Named(String),
}

/// One server, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    All,
    One(Which),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    RoundRobin,
    LeastConnections,
    LeastLoad,
    Hash,
    Static,
}

impl Algorithm {
    /// The word in Octopus's shell, pen's policy, and the name on the screen.
    pub const ALL: [(Algorithm, &str, &str, &str); 5] = [
        (Algorithm::RoundRobin, "rr", "round_robin", "Round Robin"),
        (Algorithm::LeastConnections, "lc", "least_conn", "Least Connections"),
        (Algorithm::LeastLoad, "ll", "least_load", "Least Load"),
        (Algorithm::Hash, "hash", "uri_hash", "Hash"),
        (Algorithm::Static, "static", "uri_static", "Static"),
    ];
}

/// Reads a line; `None` for an empty one.
///
/// # Errors
/// What is wrong, as Octopus says it.
pub fn read(line: &str) -> Result<Option<Wish>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((first, arguments)) = words.split_first() else { return Ok(None) };
    let command = match *first {
        "exit" => "quit",
        word => {
            meant(word).ok_or_else(|| format!("ERROR: Unknown command {}, ? lists them", quoted(word)))?
        }
    };
    let wish = match command {
        "show" => Wish::Show,
        "info" => Wish::Info,
        "?" => Wish::Help,
        "examples" => Wish::Examples,
        "x" => Wish::Extended,
        "scan" => Wish::Scan,
        "quit" => Wish::Quit,
        "kill" => Wish::Kill,
        _ => return with_arguments(command, arguments).map(Some),
    };
    match arguments {
        [] => Ok(Some(wish)),
        _ => Err(wants(command)),
    }
}

fn with_arguments(command: &'static str, words: &[&str]) -> Result<Wish, String> {
    let wrong = |place: usize| format!("ERROR: Argument {place} invalid: want {}", usage(command));
    match (command, words) {
        ("create", _) => create(words),
        ("delete", _) => which(command, words).map(Wish::Delete),
        ("standby", _) => which(command, words).map(Wish::Standby),
        ("enable", _) => whom(command, words).map(Wish::Enable),
        ("disable", _) => whom(command, words).map(Wish::Disable),
        ("reset", _) => whom(command, words).map(Wish::Reset),
        ("maxc" | "maxl", [target @ .., value]) if !target.is_empty() => {
            let (which, place) = (which(command, target)?, words.len());
            let load = || value.parse().ok().filter(|load: &f64| load.is_finite() && *load > 0.0);
            match command {
                "maxc" => number(value, 65_535).map(|value| Wish::MaxConnections(which, value)),
                _ => load().map(|load| Wish::MaxLoad(which, load)),
            }
            .ok_or_else(|| wrong(place))
        }
        ("algorithm", [word]) => {
            let found = Algorithm::ALL.iter().find(|(_, name, ..)| name.eq_ignore_ascii_case(word));
            found.map(|(algorithm, ..)| Wish::Algorithm(*algorithm)).ok_or_else(|| wrong(1))
        }
        ("overload", [word]) => {
            let strict = one_of(word, "strict", "relaxed").ok_or_else(|| wrong(1))?;
            Ok(Wish::Overload { strict })
        }
        ("clone", [word]) => {
            one_of(word, "enable", "disable").map(|enable| Wish::Clone { enable }).ok_or_else(|| wrong(1))
        }
        ("snmp", ["on"]) => Ok(Wish::Snmp { on: true }),
        ("snmp", ["off"]) => Ok(Wish::Snmp { on: false }),
        ("monitor", [word]) => number(word, 86_400).map(Wish::Monitor).ok_or_else(|| wrong(1)),
        ("debug", [word]) => number(word, 6).map(Wish::Debug).ok_or_else(|| wrong(1)),
        ("hrt", [word]) => number(word, 100).map(Wish::RebalanceThreshold).ok_or_else(|| wrong(1)),
        ("hrs", [word]) => number(word, 100).map(Wish::RebalanceSize).ok_or_else(|| wrong(1)),
        ("hri", [word]) => number(word, 86_400).map(Wish::RebalanceInterval).ok_or_else(|| wrong(1)),
        ("snmp", [_]) => Err(wrong(1)),
        _ => Err(wants(command)),
    }
}

fn create(words: &[&str]) -> Result<Wish, String> {
    let (clone, words) = match words {
        [kind, rest @ ..] if rest.len() == 3 => (is_clone(kind)?, rest),
        words => (false, words),
    };
    let [name, ip, port] = words else { return Err(wants("create")) };
    let ip = ip
        .parse()
        .map_err(|_| format!("ERROR: Invalid IP address: want an IPv4 address, got {}", quoted(ip)))?;
    let port = number(port, 65_535).filter(|port| *port > 0);
    let port = port.ok_or("ERROR: Invalid port: want 1 to 65535")? as u16;
    Ok(Wish::Create { clone, name: (*name).to_owned(), ip, port })
}

/// The command that a word begins: one whose shortest form it has, or the only one.
fn meant(word: &str) -> Option<&'static str> {
    let begun = || COMMANDS.iter().filter(|(command, ..)| command.starts_with(word));
    let exact = begun().find(|(command, ..)| *command == word);
    let short = || begun().find(|(_, _, _, letters)| *letters == word.len());
    let only = || if begun().count() == 1 { begun().next() } else { None };
    exact.or_else(only).or_else(short).map(|(command, ..)| *command)
}

fn usage(command: &str) -> String {
    let arguments =
        COMMANDS.iter().find(|(name, ..)| *name == command).map_or("", |(_, arguments, ..)| arguments);
    format!("{command} {arguments}").trim_end().to_owned()
}

fn wants(command: &str) -> String {
    format!("ERROR: Invalid arguments: want {}", usage(command))
}

fn number(word: &str, max: u32) -> Option<u32> {
    word.parse().ok().filter(|number| *number <= max)
}

/// By the beginnings of the words; whether it is the first.
fn one_of(word: &str, first: &str, second: &str) -> Option<bool> {
    match (first.starts_with(word), second.starts_with(word)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn is_clone(kind: &str) -> Result<bool, String> {
    match kind.chars().next() {
        Some('m') => Ok(false),
        Some('c') => Ok(true),
        _ => Err(format!("ERROR: Invalid type: want member or clone, got {}", quoted(kind))),
    }
}

fn which(command: &str, words: &[&str]) -> Result<Which, String> {
    match words {
        [id] => Ok(id.parse().map_or_else(|_| Which::Named((*id).to_owned()), Which::Member)),
        [kind, id] => {
            let clone = is_clone(kind)?;
            match (id.parse(), clone) {
                (Ok(number), false) => Ok(Which::Member(number)),
                (Ok(number), true) => Ok(Which::Clone(number)),
                (Err(_), _) => Ok(Which::Named((*id).to_owned())),
            }
        }
        _ => Err(wants(command)),
    }
}

fn whom(command: &str, words: &[&str]) -> Result<Whom, String> {
    match words {
        ["a" | "all"] | [_, "a" | "all"] => Ok(Whom::All),
        _ => which(command, words).map(Whom::One),
    }
}

/// What `?` prints.
pub fn help(is_read_only: bool) -> String {
    let shown = COMMANDS.iter().filter(|(name, ..)| !is_read_only || READ_ONLY.contains(name));
    shown
        .map(|(name, arguments, says, letters)| {
            let short = if *letters < name.len() {
                format!("[{}]{}", &name[..*letters], &name[*letters..])
            } else {
                (*name).to_owned()
            };
            format!("{:<40} {says}\n", format!("{short} {arguments}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Wish {
        read(line).unwrap().unwrap()
    }

    #[test]
    fn one_letter_is_enough_where_octopus_says_so() {
        for (short, long) in [
            ("s", "show"),
            ("i", "info"),
            ("c member a 10.0.0.1 80", "create member a 10.0.0.1 80"),
            ("e 0", "enable 0"),
            ("d 0", "disable 0"),
            ("r all", "reset a"),
            ("a lc", "algorithm LC"),
            ("o s", "overload strict"),
            ("clone e", "clone enable"),
            ("q", "exit"),
            ("ex", "examples"),
            ("sc", "scan"),
            ("del 1", "delete member 1"),
        ] {
            assert_eq!(wish(short), wish(long), "{short}");
        }
        assert_eq!(read("   "), Ok(None));
    }

    #[test]
    fn members_are_meant_where_no_kind_is_said() {
        assert_eq!(wish("maxc 2 10"), Wish::MaxConnections(Which::Member(2), 10));
        assert_eq!(wish("maxc c 2 10"), Wish::MaxConnections(Which::Clone(2), 10));
        assert_eq!(wish("maxl clone 0 2.5"), Wish::MaxLoad(Which::Clone(0), 2.5));
        assert_eq!(wish("disable web1"), Wish::Disable(Whom::One(Which::Named("web1".into()))));
        assert_eq!(wish("enable m all"), Wish::Enable(Whom::All));
        let ip = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(
            wish("create w 10.0.0.1 80"),
            Wish::Create { clone: false, name: "w".into(), ip, port: 80 }
        );
        assert_eq!(
            wish("create c w 10.0.0.1 80"),
            Wish::Create { clone: true, name: "w".into(), ip, port: 80 }
        );
    }

    #[test]
    fn what_is_wrong_is_refused_and_said() {
        for (line, expected) in [
            ("bogus", "ERROR: Unknown command \"bogus\", ? lists them"),
            ("de", "ERROR: Unknown command \"de\", ? lists them"),
            ("algorithm fast", "ERROR: Argument 1 invalid: want algorithm rr|lc|ll|hash|static"),
            ("algorithm", "ERROR: Invalid arguments: want algorithm rr|lc|ll|hash|static"),
            ("maxc m 0 many", "ERROR: Argument 3 invalid: want maxc [m|c] # value"),
            ("delete x 0", "ERROR: Invalid type: want member or clone, got \"x\""),
            ("create w host 80", "ERROR: Invalid IP address: want an IPv4 address, got \"host\""),
            ("create w 10.0.0.1 0", "ERROR: Invalid port: want 1 to 65535"),
            ("show all", "ERROR: Invalid arguments: want show"),
            ("debug 7", "ERROR: Argument 1 invalid: want debug 0-6"),
            ("overload x", "ERROR: Argument 1 invalid: want overload strict|relaxed"),
        ] {
            assert_eq!(read(line).unwrap_err(), expected);
        }
    }

    #[test]
    fn help_is_shorter_where_nothing_may_be_changed() {
        assert_eq!(help(false).lines().count(), COMMANDS.len());
        assert!(help(false).starts_with("[s]how "));
        assert_eq!(help(true).lines().count(), READ_ONLY.len());
        assert!(!wish("kill").only_looks() && wish("info").only_looks());
    }
}
