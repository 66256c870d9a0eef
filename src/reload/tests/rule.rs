//! The rule of HUP: what the file says is so afterwards, what it said last and says no longer has the value of the command
//! line or the default, and what neither says stays. For any two files and any commands between them.

use super::*;
use crate::settings::ServiceConfig;
use pen_proto::commands::TlsOption;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What the command line says.
const BASE: &[&str] = &[
    "blacklist 9",
    "acl 1 permit 10.200.0.0/16",
    "proxy_accept 10.0.0.1",
    "server 0 address 10.9.0.1 port 80 weight 7",
];

/// One line of a file, or one command.
#[derive(Debug, Clone)]
enum Line {
    /// A setting with one value.
    Set(&'static str, u8),
    /// Where there is such a server already, unless the address is told.
    Server {
        number: u8,
        address: Option<u8>,
        key: &'static str,
        value: u8,
    },
    Duty(u8, &'static str),
    Remove(u8),
    Acl(Option<u8>),
    ProxyAccept(Option<u8>),
    ListenAdd(u8),
}

fn line() -> impl Strategy<Value = Line> {
    let set = (prop::sample::select(vec!["blacklist", "tracking", "timeout", "hash", "ticket"]), 1..4u8);
    let key = prop::sample::select(vec!["weight", "max", "prio"]);
    let server = (0..4u8, prop::option::weighted(0.7, 1..4u8), key, 1..4u8);
    prop_oneof![
        3 => set.prop_map(|(word, value)| Line::Set(word, value)),
        5 => server.prop_map(|(number, address, key, value)| Line::Server { number, address, key, value }),
        1 => (0..4u8, prop::sample::select(vec!["enable", "disable", "drain"])).prop_map(|(n, duty)| Line::Duty(n, duty)),
        1 => (0..4u8).prop_map(Line::Remove),
        3 => prop::option::weighted(0.9, 1..5u8).prop_map(Line::Acl),
        2 => prop::option::weighted(0.9, 1..4u8).prop_map(Line::ProxyAccept),
        2 => (1..4u8).prop_map(Line::ListenAdd),
    ]
}

/// Lines, each for `main` or else for the service `api`.
type Lines = Vec<(bool, Line)>;

fn lines() -> impl Strategy<Value = Lines> {
    prop::collection::vec((prop::bool::weighted(0.6), line()), 0..12)
}

/// A setting, a server and so on by its name, and the value that it has.
type Facts = BTreeMap<String, String>;

/// What a model of one service remembers; lists are text in order.
#[derive(Debug, Clone, Default)]
struct Model {
    facts: Facts,
    peers: BTreeSet<u8>,
    listeners: BTreeSet<u8>,
}

/// What a file says of a service.
#[derive(Debug, Clone, Default)]
struct Spoken {
    facts: Facts,
    peers: BTreeSet<u8>,
    are_peers_cleared: bool,
    listeners: BTreeSet<u8>,
}

fn is_there(facts: &Facts, number: u8) -> bool {
    facts.contains_key(&format!("server {number} address"))
}

fn of_server(number: u8) -> String {
    format!("server {number} ")
}

/// The line as it is written, if it can be carried out after those before it; what it says is noted.
fn speak(line: &Line, said: &mut Spoken, acl: &mut (bool, Vec<u8>), live: Option<&Facts>) -> Option<String> {
    let there = live.unwrap_or(&said.facts).clone();
    Some(match line {
        Line::Set(word @ ("hash" | "ticket"), value) => {
            let (no, on) = if value % 2 == 0 { ("no ", false) } else { ("", true) };
            said.facts.insert((*word).into(), on.to_string());
            let command = if *word == "ticket" { "ssl_option no_ticket" } else { word };
            format!("{no}{command}")
        }
        Line::Set(word, value) => {
            said.facts.insert((*word).into(), value.to_string());
            format!("{word} {value}")
        }
        Line::Server { number, address, key, value } => {
            let address = address.map(|host| {
                said.facts.insert(format!("server {number} address"), format!("10.0.1.{host}"));
                format!("address 10.0.1.{host} ")
            });
            if address.is_none() && !is_there(&there, *number) {
                return None;
            }
            said.facts.insert(format!("server {number} {key}"), value.to_string());
            format!("server {number} {}{key} {value}", address.unwrap_or_default())
        }
        Line::Duty(number, duty) if is_there(&there, *number) => {
            said.facts.insert(format!("server {number} duty"), (*duty).into());
            format!("server {number} {duty}")
        }
        Line::Remove(number) if live.is_some() && is_there(&there, *number) => {
            format!("server {number} remove")
        }
        Line::Duty(..) | Line::Remove(_) => return None,
        Line::Acl(Some(entry)) => {
            acl.1.push(*entry);
            format!("acl 1 permit 10.{entry}.0.0/16")
        }
        Line::Acl(None) => {
            *acl = (true, Vec::new());
            "no acl 1".into()
        }
        Line::ProxyAccept(Some(peer)) => {
            said.peers.insert(*peer);
            format!("proxy_accept 10.0.0.{peer}")
        }
        Line::ProxyAccept(None) => {
            (said.are_peers_cleared, said.peers) = (true, BTreeSet::new());
            "no proxy_accept".into()
        }
        Line::ListenAdd(port) => {
            said.listeners.insert(*port);
            format!("listen add 127.0.0.1:{port}")
        }
    })
}

/// The service and the line for it; each listens at an address of its own.
fn of(number: usize, line: &str) -> String {
    match number {
        0 => format!("main {line}"),
        _ => format!("api {}", line.replace("127.0.0.1", "127.0.0.2")),
    }
}

/// A file of these lines, and what it says: of `main` and `api`, and of the access list.
struct Written {
    text: String,
    of: [Spoken; 2],
    has_api: bool,
    acl: (bool, Vec<u8>),
}

fn written(lines: &Lines) -> Written {
    let mut written =
        Written { text: LISTEN.into(), of: Default::default(), has_api: false, acl: (false, Vec::new()) };
    for (is_main, line) in lines {
        let number = usize::from(!is_main);
        if let Some(line) = speak(line, &mut written.of[number], &mut written.acl, None) {
            written.has_api |= !is_main;
            written.text += &format!("service {}\n", of(number, &line));
        }
    }
    written
}

/// What `facts` are after a file has said its own: those of `last` that it says no longer are as in `base`.
fn merged(now: &Model, base: &Model, last: &Spoken, new: &Spoken) -> Model {
    let mut model = now.clone();
    for number in 0..4 {
        let gone =
            is_there(&last.facts, number) && !is_there(&new.facts, number) && !is_there(&base.facts, number);
        if gone {
            model.facts.retain(|fact, _| !fact.starts_with(&of_server(number)));
        }
    }
    for fact in last.facts.keys().filter(|fact| !new.facts.contains_key(*fact)) {
        match base.facts.get(fact) {
            Some(value) => _ = model.facts.insert(fact.clone(), value.clone()),
            None => _ = model.facts.remove(fact),
        }
    }
    model.facts.extend(new.facts.clone());
    let cleared = if last.are_peers_cleared { base.peers.clone() } else { BTreeSet::new() };
    for peer in last.peers.union(&cleared) {
        match base.peers.contains(peer) {
            true => model.peers.insert(*peer),
            false => model.peers.remove(peer),
        };
    }
    if new.are_peers_cleared {
        model.peers.clear();
    }
    model.peers.extend(&new.peers);
    model.listeners.retain(|port| !last.listeners.contains(port));
    model.listeners.extend(&new.listeners);
    model
}

/// What is configured, in the words of the model.
fn observed(service: &ServiceConfig) -> Model {
    let mut facts = Facts::new();
    let mut tell = |name: String, value: String, default: &str| {
        if value != default {
            facts.insert(name, value);
        }
    };
    for (word, number, default) in [
        ("blacklist", Number::Blacklist, "30"),
        ("tracking", Number::Tracking, "0"),
        ("timeout", Number::Timeout, "3"),
    ] {
        tell(word.into(), service.number(number).to_string(), default);
    }
    tell("hash".into(), service.flag(Flag::Hash).to_string(), "false");
    tell("ticket".into(), service.ssl_options.is_on(TlsOption::NoTicket).to_string(), "false");
    for (number, entry) in service.servers.iter().enumerate() {
        let Some(entry) = entry else { continue };
        let mut tell =
            |key: &str, value: String, default: &str| tell(format!("server {number} {key}"), value, default);
        tell("address", entry.spec.host.to_string(), "");
        tell("weight", entry.spec.weight.map(|weight| weight.to_string()).unwrap_or_default(), "");
        tell("max", entry.spec.max.to_string(), "0");
        tell("prio", entry.spec.prio.to_string(), "0");
        let duty = format!("{:?}", entry.duty).to_lowercase();
        tell("duty", duty.split(' ').next().unwrap_or_default().into(), "enabled");
    }
    let last = |text: String| text.rsplit('.').next().and_then(|last| last.parse().ok());
    let peers = service.proxy_accept.iter().filter_map(|peer| last(peer.to_string().replace("/32", "")));
    let listeners = service.more_listeners.iter().filter_map(|at| at.text.rsplit(':').next()?.parse().ok());
    Model { facts, peers: peers.collect(), listeners: listeners.collect() }
}

/// Without what says the default, which cannot be seen.
fn visible(model: &Model) -> Model {
    let is_default = |fact: &str, value: &str| match fact {
        "blacklist" => value == "30",
        "timeout" => value == "3",
        fact => value == "false" || fact.ends_with(" duty") && value == "enable",
    };
    let facts = model.facts.iter().filter(|(fact, value)| !is_default(fact, value));
    let word = |fact: &String, value: &String| match &value[..] {
        "drain" => (fact.clone(), "draining".to_string()),
        "disable" => (fact.clone(), "disabled".to_string()),
        value => (fact.clone(), value.to_string()),
    };
    Model { facts: facts.map(|(fact, value)| word(fact, value)).collect(), ..model.clone() }
}

fn entries(engine: &Engine<FakePen>) -> Vec<String> {
    engine.config().process.acls[1].entries().iter().map(ToString::to_string).collect()
}

fn command(engine: &mut Engine<FakePen>, line: &str) {
    let request = engine.understand(line, None).unwrap();
    engine.carry_out(&request, Door::Control).unwrap_or_else(|trouble| panic!("{line}: {trouble}"));
}

/// Looks as the model does at what is configured.
fn assert_is(engine: &Engine<FakePen>, name: &str, model: &Model) {
    let service = engine.config().service(name).unwrap_or_else(|| panic!("no service {name}"));
    let (seen, wanted) = (observed(service), visible(model));
    assert_eq!(seen.facts, wanted.facts, "{name}");
    assert_eq!((seen.peers, seen.listeners), (wanted.peers, wanted.listeners), "{name}");
}

fn check(first: &Lines, live: &Lines, second: &Lines) {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (a, b) = (written(first), written(second));
    let (mut engine, pen) = started_after(BASE, &file, &a.text);
    let base = [observed(&engine.base().services[0]), Model::default()];
    let nothing = Spoken::default();
    let mut now = [0, 1].map(|number| merged(&base[number], &base[number], &nothing, &a.of[number]));
    for (number, name) in ["main", "api"].iter().enumerate().take(1 + usize::from(a.has_api)) {
        assert_is(&engine, name, &now[number]);
    }
    let before = engine.config().clone();
    assert_eq!(reload(&mut engine), Ok(Vec::new()), "{}", a.text);
    assert_eq!((pen.deeds(), engine.config() == &before), (vec![], true), "unchanged:\n{}", a.text);
    // Commands; `api` is there for them.
    let (mut has_api, mut last) = (a.has_api, a.of.clone());
    let base_list = vec!["permit 10.200.0.0 255.255.0.0".to_string()];
    let (mut of_file, mut live_list) = (a.acl.1.clone(), (false, Vec::new()));
    for (is_main, line) in live {
        let number = usize::from(!is_main);
        if !is_main && !has_api {
            command(&mut engine, "service add api");
            has_api = true;
        }
        let mut said = Spoken::default();
        let is_known = match line {
            Line::ListenAdd(port) => now[number].listeners.contains(port),
            _ => false,
        };
        let there = now[number].facts.clone();
        let text = speak(line, &mut said, &mut live_list, Some(&there)).filter(|_| !is_known);
        let Some(text) = text else { continue };
        command(&mut engine, &format!("service {}", of(number, &text)));
        if let Line::Remove(server) = line {
            let is_its = |fact: &String| fact.starts_with(&of_server(*server));
            now[number].facts.retain(|fact, _| !is_its(fact));
            last[number].facts.retain(|fact, _| !is_its(fact));
        }
        if said.are_peers_cleared {
            now[number].peers.clear();
        }
        now[number].facts.extend(said.facts);
        now[number].peers.extend(&said.peers);
        now[number].listeners.extend(&said.listeners);
    }
    if live_list.0 {
        of_file.clear();
    }
    // The other file.
    let mut news =
        again(&mut engine, &file, &b.text).unwrap_or_else(|trouble| panic!("{}: {trouble}", b.text));
    news.retain(|line| line != "service api: listens nowhere");
    assert_eq!(news, Vec::<String>::new(), "{}", b.text);
    let of_api = b.has_api || has_api && !a.has_api;
    assert_eq!(engine.config().service("api").is_some(), of_api);
    for (number, name) in ["main", "api"].iter().enumerate().take(1 + usize::from(of_api)) {
        assert_is(&engine, name, &merged(&now[number], &base[number], &last[number], &b.of[number]));
    }
    let permit = |entries: &[u8]| {
        entries.iter().map(|entry| format!("permit 10.{entry}.0.0 255.255.0.0")).collect::<Vec<_>>()
    };
    let is_base_there = match (b.acl.0, a.acl.0) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => !live_list.0,
    };
    let kept = if is_base_there { base_list } else { Vec::new() };
    let after = if b.acl.0 { Vec::new() } else { permit(&live_list.1) };
    assert_eq!(entries(&engine), [kept, permit(&b.acl.1), after].concat(), "{of_file:?}");
    let (before, _) = (engine.config().clone(), pen.deeds());
    assert_eq!(reload(&mut engine), Ok(Vec::new()));
    assert_eq!((pen.deeds(), engine.config() == &before), (vec![], true), "unchanged:\n{}", b.text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hup_does_what_the_rule_says(first in lines(), live in lines(), second in lines()) {
        check(&first, &live, &second);
    }
}
