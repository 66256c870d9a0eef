//! The commands that turn one configuration into another, and no others. Pure.
//!
//! Each is carried out on a copy as soon as it is found, so that what follows sees what it has done: a server that gets
//! another's name, or a group that loses its last server on the way. What a kind of setting says for itself stands in
//! `write.rs`; a new one needs nothing here.

use super::write::{changes_of_entry, rows};
use super::{Config, ServerEntry, ServiceConfig};
use crate::acl::Acl;
use crate::balance::Duty;
use pen_proto::commands::{
    Address, Command, Kind, List, ProxyHeader, Role, Row, Scope, ServerChange, ServerTls, Setting, Text, When,
};
use pen_proto::parse;
use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::Arc;

/// The commands, a line each, that turn `from` into `to`, in an order in which they can be carried out. What only the start
/// of pen can say is passed over: see [`only_at_start`].
///
/// # Errors
/// `to` cannot be had, with the command that failed.
pub fn difference(from: &Config, to: &Config) -> Result<Vec<String>, String> {
    let mut now = from.clone();
    now.process.is_running = true;
    let mut way = Way { now, lines: Vec::new() };
    way.process(to)?;
    way.services(to)?;
    for service in &to.services {
        way.service(service)?;
    }
    Ok(way.lines)
}

/// What `to` says otherwise and only the start of pen can change, a sentence each.
pub fn only_at_start(from: &Config, to: &Config) -> Vec<String> {
    let mut told = Vec::new();
    for row in rows().filter(|row| row.when == When::Start) {
        let Some(setting) = row.kind.setting() else { continue };
        let mut tell = |service: Option<&ServiceConfig>, now: Option<String>, then: Option<String>| {
            if now != then {
                let [now, then] = [now, then].map(|value| value.unwrap_or_else(|| "not set".into()));
                let text = format!("{} {then}: only at start: now {now}", row.word);
                told.push(service.map_or_else(|| text.clone(), |service| service.of(&text)));
            }
        };
        match row.scope {
            Scope::Process => tell(None, from.process.values.said(setting), to.process.values.said(setting)),
            Scope::Service => {
                for service in &to.services {
                    let before = from.service(&service.name);
                    if let Some(before) = before.filter(|before| before.listeners().next().is_some()) {
                        tell(Some(service), before.values.said(setting), service.values.said(setting));
                    }
                }
            }
        }
    }
    told
}

impl ServiceConfig {
    /// What of it no line of a file says: what only the start of pen can change, the servers of `-e` and `-B`, and those
    /// that checks have found. Everything else has its default.
    pub fn unsaid(&self) -> ServiceConfig {
        let mut service = ServiceConfig::named(&self.name);
        for row in rows().filter(|row| row.scope == Scope::Service && row.when == When::Start) {
            if let Some(assignment) = row.kind.setting().and_then(|setting| self.values.get(setting)) {
                service.values.set(&assignment);
            }
        }
        let found = |entry: &Option<ServerEntry>| entry.clone().filter(|entry| entry.is_discovered);
        service.servers = self.servers.iter().map(found).collect();
        (service.emergency, service.abuse) = (self.emergency.clone(), self.abuse.clone());
        service
    }
}

/// How far it has got.
struct Way {
    now: Config,
    lines: Vec<String>,
}

impl Way {
    /// One more command.
    fn go(&mut self, line: String) -> Result<(), String> {
        let wrong = |trouble: String| format!("{line}: {trouble}");
        let read = parse::line(&line).map_err(|error| wrong(error.to_string()))?;
        if let Some(command) = read.as_ref().and_then(|line| line.command.as_ref()) {
            let service = read.as_ref().and_then(|line| line.service.as_deref());
            self.now.apply(service, command, 0).map_err(wrong)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// One more command for a service.
    fn go_for(&mut self, service: &str, line: &str) -> Result<(), String> {
        match self.now.meant(None).is_ok_and(|meant| *meant.name == *service) {
            true => self.go(line.to_owned()),
            false => self.go(format!("service {service} {line}")),
        }
    }

    fn of(&self, service: &str) -> &ServiceConfig {
        self.now.service(service).expect("it was made before")
    }

    fn process(&mut self, to: &Config) -> Result<(), String> {
        for row in live(Scope::Process) {
            if matches!(row.kind, Kind::List(List::Acl)) {
                for list in 0..to.process.acls.len() {
                    self.acl(list, &to.process.acls[list])?;
                }
                continue;
            }
            let (before, after) = (plain(&self.now.process.scoped), plain(&to.process.scoped));
            if only_shrinks(row, &before, &after) || before.line_of(row) == after.line_of(row) {
                continue;
            }
            for line in after.line_of(row).lines() {
                self.go(line.to_owned())?;
            }
        }
        Ok(())
    }

    /// What was added at the end is added; of any other list all is said.
    fn acl(&mut self, list: usize, to: &Acl) -> Result<(), String> {
        let before = &self.now.process.acls[list];
        if before == to {
            return Ok(());
        }
        let entries = to.entries();
        let kept = match entries.get(..before.entries().len()) {
            Some(same) if same == before.entries() => same.len(),
            _ => {
                self.go(format!("no acl {list}"))?;
                0
            }
        };
        entries[kept..].iter().try_for_each(|entry| self.go(format!("acl {list} {entry}")))
    }

    /// Those that come, then those that go: what they listen at is free before others listen there.
    fn services(&mut self, to: &Config) -> Result<(), String> {
        for service in &to.services {
            if self.now.service(&service.name).is_none() {
                self.go(format!("service add {}", service.name))?;
            }
        }
        let stays = |service: &Arc<ServiceConfig>| to.service(&service.name).is_some();
        let (stay, gone): (Vec<_>, Vec<_>) = self.now.services.clone().into_iter().partition(stays);
        let gone_name = |name: &str| gone.iter().any(|service| *service.name == *name);
        for service in &stay {
            if service.text(Text::ClientsFrom).is_some_and(gone_name) {
                self.go_for(&service.name, "no clients_from")?;
            }
        }
        gone.iter().try_for_each(|service| self.go(format!("service remove {}", service.name)))
    }

    fn service(&mut self, to: &ServiceConfig) -> Result<(), String> {
        for row in live(Scope::Service) {
            match row.kind {
                Kind::Address { address: Address::Listen, .. } => self.listeners(to)?,
                Kind::Server => {
                    self.group_in_use(to, true)?;
                    self.servers(to)?;
                }
                Kind::Group => self.groups(to)?,
                _ => self.row(to, row)?,
            }
        }
        Ok(())
    }

    fn row(&mut self, to: &ServiceConfig, row: &'static Row) -> Result<(), String> {
        let now = self.of(&to.name);
        if only_shrinks(row, now, to) {
            return Ok(());
        }
        let (before, after) = (now.lines_of(row), to.lines_of(row));
        let lines: Vec<String> = match row.kind {
            _ if before == after => Vec::new(),
            Kind::List(List::ProxyAccept) => {
                let rest = now.proxy_accept.len() <= to.proxy_accept.len();
                match rest && to.proxy_accept.starts_with(&now.proxy_accept) {
                    true => {
                        let added = &to.proxy_accept[now.proxy_accept.len()..];
                        added.iter().map(|peer| format!("proxy_accept {peer}")).collect()
                    }
                    false => after.lines().map(str::to_owned).collect(),
                }
            }
            // Texts are added behind those that stay; the first line takes all away.
            Kind::List(List::CloneIgnore) => {
                let stay = after.starts_with(&before);
                after[if stay { before.len() } else { 0 }..].lines().map(str::to_owned).collect()
            }
            Kind::List(_) => {
                let known: HashSet<&str> = before.lines().collect();
                after.lines().filter(|line| !known.contains(line)).map(str::to_owned).collect()
            }
            // What shares no table has no line.
            Kind::Text { text: Text::ClientsFrom, .. } if after.is_empty() => vec!["no clients_from".into()],
            _ => after.lines().map(str::to_owned).collect(),
        };
        lines.iter().try_for_each(|line| self.go_for(&to.name, line))
    }

    fn listeners(&mut self, to: &ServiceConfig) -> Result<(), String> {
        let name = &to.name;
        let now = self.of(name);
        let first = to.listen().map(|address| address.text.clone());
        let has_other_first = now.listen().map(|address| &address.text) != first.as_ref();
        let texts = |service: &ServiceConfig| -> Vec<String> {
            service.more_listeners.iter().map(|address| address.text.clone()).collect()
        };
        let (before, after) = (texts(now), texts(to));
        if let (true, Some(first)) = (has_other_first, &first) {
            self.go_for(name, &format!("listen {first}"))?;
        } else {
            let was_first = now.listen().filter(|_| has_other_first).map(|address| address.text.clone());
            let gone = before.iter().filter(|text| !after.contains(text)).chain(&was_first);
            let gone: Vec<String> = gone.cloned().collect();
            gone.iter().try_for_each(|text| self.go_for(name, &format!("listen remove {text}")))?;
        }
        let left = texts(self.of(name));
        let added: Vec<&String> = after.iter().filter(|text| !left.contains(text)).collect();
        added.into_iter().try_for_each(|text| self.go_for(name, &format!("listen add {text}")))
    }

    fn servers(&mut self, to: &ServiceConfig) -> Result<(), String> {
        let name = &to.name;
        let count = self.of(name).servers.len().max(to.servers.len());
        let wanted_names: HashSet<(usize, &str)> = to
            .servers
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((index, entry.as_ref()?.name.as_deref()?)))
            .collect();
        let mut ways = Vec::new();
        for index in 0..count {
            let now = Said::at(self.of(name), index);
            let then = Said::at(to, index);
            // Another server is to have its name.
            let is_in_the_way = now.as_ref().and_then(Said::name).is_some_and(|name| {
                wanted_names.iter().any(|(other, wanted)| *other != index && *wanted == name)
            });
            match (now, then) {
                (Some(now), Some(then)) => match now.changes_to(&then).filter(|_| !is_in_the_way) {
                    Some(changes) => ways.push((index, changes, then.duty)),
                    None => {
                        self.go_for(name, &format!("server {index} remove"))?;
                        ways.push((index, then.changes, then.duty));
                    }
                },
                (None, Some(then)) => ways.push((index, then.changes, then.duty)),
                (Some(_), None) => self.go_for(name, &format!("server {index} remove"))?,
                (None, None) => {}
            }
        }
        for (index, changes, after) in ways {
            self.change_server(name, index, &changes)?;
            let entry = self.of(name).servers.get(index).and_then(Option::as_ref);
            let before = entry.map_or(Duty::Enabled, |entry| entry.duty);
            if discriminant(&before) != discriminant(&after) {
                let word = match after {
                    Duty::Enabled => "enable",
                    Duty::Draining { .. } => "drain",
                    Duty::Disabled { .. } => "disable",
                };
                self.go_for(name, &format!("server {index} {word}"))?;
            }
        }
        Ok(())
    }

    /// In one line, unless a value takes the rest of the line before the last.
    fn change_server(&mut self, name: &str, index: usize, changes: &[ServerChange]) -> Result<(), String> {
        let words: Vec<String> = changes.iter().map(ServerChange::to_string).collect();
        if words.is_empty() {
            return Ok(());
        }
        let line = format!("server {index} {}", words.join(" "));
        let is_understood = matches!(
            parse::parse_line(&line),
            Ok(Some(Command::Server { changes: read, .. })) if read == changes
        );
        match is_understood {
            true => self.go_for(name, &line),
            false => words.iter().try_for_each(|word| self.go_for(name, &format!("server {index} {word}"))),
        }
    }

    fn groups(&mut self, to: &ServiceConfig) -> Result<(), String> {
        let before = self.of(&to.name).groups.policies.clone();
        for group in before.keys().filter(|group| !to.groups.policies.contains_key(group)) {
            self.go_for(&to.name, &format!("no group {group} policy"))?;
        }
        let lines = to.group_policy_lines();
        let known = self.of(&to.name).group_policy_lines();
        for line in lines.iter().filter(|line| !known.contains(line)) {
            self.go_for(&to.name, line)?;
        }
        self.group_in_use(to, false)
    }

    /// `only_early`: as long as the group of before may lose its servers.
    fn group_in_use(&mut self, to: &ServiceConfig, only_early: bool) -> Result<(), String> {
        let now = self.of(&to.name);
        let (used, wanted) = (now.groups.used.clone(), to.group_in_use());
        let is_same = now.group_in_use() == wanted;
        if only_early {
            return match wanted.filter(|group| !is_same && !now.places_in(group).is_empty()) {
                Some(group) => self.go_for(&to.name, &format!("group {group} use")),
                None => Ok(()),
            };
        }
        match (used, wanted, &to.groups.used) {
            (None, Some(group), Some(_)) if is_same => self.go_for(&to.name, &format!("group {group} use")),
            _ if is_same => Ok(()),
            (Some(used), _, None) => {
                self.go_for(&to.name, &format!("no group {used} use"))?;
                match wanted.filter(|_| self.of(&to.name).group_in_use() != wanted) {
                    Some(group) => self.go_for(&to.name, &format!("group {group} use")),
                    None => Ok(()),
                }
            }
            (_, Some(group), _) => self.go_for(&to.name, &format!("group {group} use")),
            (_, None, _) => Ok(()),
        }
    }
}

/// What was said of the server in a place.
struct Said {
    changes: Vec<ServerChange>,
    duty: Duty,
    has_address: bool,
}

impl Said {
    fn at(service: &ServiceConfig, index: usize) -> Option<Said> {
        let entry: Option<&ServerEntry> = service.servers.get(index).and_then(Option::as_ref);
        match entry {
            // All its priorities, so that one that is no longer said is seen.
            Some(entry) => {
                let mut changes = changes_of_entry(entry, true);
                changes.extend(entry.load.clone().map(ServerChange::Load));
                Some(Said { changes, duty: entry.duty, has_address: true })
            }
            None => {
                let changes = service.unaddressed.get(&index)?.clone();
                Some(Said { changes, duty: Duty::Enabled, has_address: false })
            }
        }
    }

    fn name(&self) -> Option<&str> {
        self.changes.iter().find_map(|change| match change {
            ServerChange::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What makes the other of it; `None` when something of it cannot be taken back.
    fn changes_to(&self, then: &Said) -> Option<Vec<ServerChange>> {
        if self.has_address && !then.has_address {
            return None;
        }
        let lost = self.changes.iter().filter(|change| !then.changes.iter().any(|it| it.has_key_of(change)));
        let taken_back = |change: &ServerChange| match change {
            // What waits for its address is kept as it was said.
            _ if !then.has_address => None,
            ServerChange::Proxy(_) => Some(ServerChange::Proxy(ProxyHeader::None)),
            ServerChange::Tls(_) => Some(ServerChange::Tls(ServerTls::Off)),
            ServerChange::Group(_) => Some(ServerChange::Group(None)),
            ServerChange::Standby(_) => Some(ServerChange::Standby(false)),
            ServerChange::Role(_) => Some(ServerChange::Role(Role::Member)),
            ServerChange::Source(_) => Some(ServerChange::Source(None)),
            ServerChange::WarmUp(_) => Some(ServerChange::WarmUp(0)),
            _ => None,
        };
        let mut changes = lost.map(taken_back).collect::<Option<Vec<_>>>()?;
        changes.extend(then.changes.iter().filter(|change| !self.changes.contains(change)).cloned());
        Some(changes)
    }
}

/// The rows of a scope that a running pen can be told.
fn live(scope: Scope) -> impl Iterator<Item = &'static Row> {
    rows().filter(move |row| row.scope == scope && row.when != When::Start)
}

/// The settings without what is known of the command line.
fn plain(scoped: &super::Scoped) -> super::Scoped {
    super::Scoped { values: scoped.values.clone(), on_command_line: Default::default() }
}

/// Whether it is a number that would have to shrink and only grows.
fn only_shrinks(row: &Row, now: &super::Scoped, to: &super::Scoped) -> bool {
    match row.kind.setting() {
        Some(Setting::Number(number)) => number.only_grows() && to.number(number) < now.number(number),
        _ => false,
    }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
