//! Members that checks have named become servers, and go again, while pen serves.
//!
//! Owns which servers a service should have for it; the engine adds and removes them as it does for a person. Called by the
//! main loop, which says what is returned here. Nobody waits for the names of members to be looked up.

use crate::control::apply::{Door, Engine, Placed, Request, Running};
use crate::control::lookups::{Bell, LOOKUP_MS, Lookups};
use crate::settings::{ServerEntry, ServiceConfig};
use pen_core::checks::program::Member;
use pen_proto::addr::{Host, Port, ServerSpec};
use pen_proto::commands::{Command, ServerChange, ServerDeed};
use pen_proto::names::{Name, ServerRef};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// How long a name that was not found is left alone.
const UNKNOWN_MS: u64 = 60_000;

/// The members of all services.
pub struct Discovery {
    lookups: Lookups,
    /// Names that were asked for, and when they may be asked for again.
    asked: HashMap<String, u64>,
}

impl Discovery {
    /// `bell` rings when [`Discovery::turn`] may have something to do.
    pub fn new(bell: Bell) -> Discovery {
        Discovery { lookups: Lookups::new(bell), asked: HashMap::new() }
    }

    /// Follows what checks have named. Returns what the operator should know, and what went wrong.
    pub fn turn<R: Running>(
        &mut self,
        engine: &mut Engine<R>,
        named: BTreeMap<String, Vec<Member>>,
        now_ms: u64,
    ) -> (Vec<String>, Vec<String>) {
        let (mut news, mut trouble) = (Vec::new(), Vec::new());
        for (_, found) in self.lookups.collect(now_ms) {
            if let Err(reasons) = engine.learn(found) {
                trouble.extend(reasons.lines().map(|reason| format!("discover: {reason}")));
            }
        }
        for (service, members) in named {
            self.ask(engine, &members, now_ms);
            match follow(engine, &service, &members) {
                Ok(told) => news.extend(told),
                Err(reason) => trouble.push(format!("discover: {reason}")),
            }
        }
        (news, trouble)
    }

    /// When [`Discovery::turn`] has something to do although nobody rings.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.lookups.deadline_ms()
    }

    fn ask<R: Running>(&mut self, engine: &Engine<R>, members: &[Member], now_ms: u64) {
        let names = members.iter().filter_map(|member| member.host.name());
        let unknown = names.filter(|name| engine.address_of(name).is_none());
        let due: BTreeSet<String> = unknown
            .filter(|name| self.asked.get(*name).is_none_or(|again_ms| *again_ms <= now_ms))
            .map(String::from)
            .collect();
        if due.is_empty() {
            return;
        }
        self.asked.retain(|_, again_ms| *again_ms > now_ms);
        self.asked.extend(due.iter().map(|name| (name.clone(), now_ms + UNKNOWN_MS)));
        self.lookups.ask(due, engine.lookup(), now_ms, LOOKUP_MS);
    }
}

/// Has the service have these members for servers, beside those that a person configured.
fn follow<R: Running>(
    engine: &mut Engine<R>,
    service: &str,
    members: &[Member],
) -> Result<Vec<String>, String> {
    let Some(config) = engine.numeric().service(service) else { return Ok(Vec::new()) };
    let present = present(config);
    let port = config.listeners().find_map(|listener| number_of(listener.port.as_ref()));
    let mut wanted: BTreeMap<SocketAddr, &Member> = BTreeMap::new();
    for member in members {
        let ip = match &member.host {
            Host::Ip(ip) => Some(*ip),
            host => host.name().and_then(|name| engine.address_of(name)),
        };
        if let (Some(ip), Some(port)) = (ip, member.port.or(port)) {
            wanted.entry(SocketAddr::new(ip.to_canonical(), port)).or_insert(member);
        }
    }
    let is_persons =
        |place: &SocketAddr| present.iter().any(|(other, _, is_ours)| other == place && !is_ours);
    wanted.retain(|place, _| !is_persons(place));
    let newcomers = wanted.iter().filter(|(place, _)| !present.iter().any(|(other, _, _)| other == *place));
    let gone = present.iter().filter(|(place, _, is_ours)| *is_ours && !wanted.contains_key(place));
    let mut news = Vec::new();
    let mut commands = Vec::new();
    for (_, index, _) in gone {
        news.push(config.of(&format!("{} is named no longer, and goes", config.called(*index))));
        // Numbers of servers fit.
        let server = Some(ServerRef::Number(*index as u16));
        commands.push(Command::ServerDeed { server, deed: ServerDeed::Remove { now: false } });
    }
    for (place, member) in newcomers {
        news.push(config.of(&format!("a check names {place}, which is a server now")));
        let spec = ServerSpec {
            port: Some(Port::Number(place.port())),
            weight: member.weight,
            ..ServerSpec::at(member.host.clone())
        };
        commands.push(Command::AddServer { name: None, spec, changes: Vec::new() });
    }
    let ours = present.iter().filter(|(_, _, is_ours)| *is_ours);
    commands.extend(ours.filter_map(|(place, index, _)| {
        let weight = wanted.get(place)?.weight?;
        let entry = config.servers.get(*index)?.as_ref()?;
        let changes = vec![ServerChange::Weight(weight)];
        let server = ServerRef::Number(*index as u16);
        (entry.spec.weight != Some(weight)).then_some(Command::Server { server, changes })
    }));
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let service = Some(Name::of_existing(service)?);
    let placed = |command| Placed { place: None, service: service.clone(), command };
    let request = Request { commands: commands.into_iter().map(placed).collect(), ..Request::default() };
    engine.carry_out(&request, Door::Check)?;
    Ok(news)
}

/// Where servers are, their numbers, and whether a check named them.
fn present(config: &ServiceConfig) -> Vec<(SocketAddr, usize, bool)> {
    let entries = config.servers.iter().enumerate();
    let entries = entries.filter_map(|(index, entry)| Some((index, entry.as_ref()?)));
    let places = |(index, entry): (usize, &ServerEntry)| {
        let port = number_of(entry.spec.port.as_ref());
        let ip: Option<IpAddr> = match entry.spec.host {
            Host::Ip(ip) => Some(ip),
            _ => None,
        };
        let ips: Vec<IpAddr> = ip.into_iter().chain(entry.more.iter().copied()).collect();
        let is_ours = entry.is_discovered;
        ips.into_iter()
            .filter_map(move |ip| Some((SocketAddr::new(ip.to_canonical(), port?), index, is_ours)))
    };
    entries.flat_map(places).collect()
}

fn number_of(port: Option<&Port>) -> Option<u16> {
    match port {
        Some(Port::Number(number)) => Some(*number),
        _ => None,
    }
}
