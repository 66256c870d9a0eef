//! Groups of a service's servers, of which one is in use. Pure.
//!
//! A group is there as long as a server is in it. The first named is in use until a command chooses another; which that
//! was is remembered, so that a server with a smaller number that gets a group later switches nothing.

use super::{Applied, ServerEntry, ServiceConfig};
use pen_proto::commands::{GroupChange, OneOf, PolicyKind, ServerChange};
use pen_proto::names::Name;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What was said of groups, beside whose servers are in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Groups {
    /// Chosen by a command.
    pub used: Option<Name>,
    /// Named before all others that there are.
    first: Option<Name>,
    /// Those that have one of their own.
    pub policies: BTreeMap<Name, PolicyKind>,
}

impl ServiceConfig {
    /// The group that clients are sent to; `None` where no server is in a group.
    pub fn group_in_use(&self) -> Option<&Name> {
        let Groups { used, first, .. } = &self.groups;
        let first = first.as_ref().filter(|name| self.has_group(name));
        used.as_ref().or(first).or_else(|| self.group_names().next())
    }

    /// The groups that there are, each once, in the order of their servers.
    pub fn groups(&self) -> Vec<&Name> {
        let mut names: Vec<&Name> = Vec::new();
        for name in self.group_names() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether the server gets no clients because another group is in use.
    pub fn is_in_reserve(&self, entry: &ServerEntry) -> bool {
        entry.group.is_some() && entry.group.as_ref() != self.group_in_use()
    }

    /// The policy that is in force when this group is in use.
    pub fn policy_of(&self, group: Option<&Name>) -> PolicyKind {
        let own = group.and_then(|name| self.groups.policies.get(name)).copied();
        own.unwrap_or_else(|| self.values.choice())
    }

    /// The policy in force.
    pub fn policy(&self) -> PolicyKind {
        match self.groups.policies.is_empty() {
            true => self.values.choice(),
            false => self.policy_of(self.group_in_use()),
        }
    }

    /// The places of the servers in a group.
    pub fn places_in(&self, group: &Name) -> Vec<usize> {
        let is_in = |entry: &Option<ServerEntry>| {
            entry.as_ref().is_some_and(|entry| entry.group.as_ref() == Some(group))
        };
        self.servers.iter().enumerate().filter(|(_, entry)| is_in(entry)).map(|(index, _)| index).collect()
    }

    fn has_group(&self, group: &Name) -> bool {
        self.group_names().any(|name| name == group)
    }

    fn group_names(&self) -> impl Iterator<Item = &Name> {
        self.servers.iter().flatten().filter_map(|entry| entry.group.as_ref())
    }

    /// A server is about to be in this group.
    pub(super) fn name_group(&mut self, group: &Name) {
        let is_there = |name: &Name| {
            let waiting = self.unaddressed.values().flatten();
            self.has_group(name) || waiting.filter_map(ServerChange::group).any(|other| other == name)
        };
        if !self.groups.first.as_ref().is_some_and(is_there) {
            let first = self.group_names().next().unwrap_or(group).clone();
            self.groups.first = Some(first);
        }
    }

    /// The group of the server in this place.
    pub(super) fn group_at(&self, index: usize) -> Option<Name> {
        self.servers.get(index)?.as_ref()?.group.clone()
    }

    /// A server has left this group. What was said of a group goes with its last server, but that it is in use: see
    /// [`ServiceConfig::check_groups`].
    pub(super) fn leave_group(&mut self, group: Option<Name>) {
        if let Some(group) = group.filter(|group| !self.has_group(group)) {
            self.groups.policies.remove(&group);
        }
    }

    /// Carries out what a command says of a group. That it is there is looked at when all is said: a file may name its
    /// servers later.
    ///
    /// # Errors
    /// It cannot go because it is in use, or is not there.
    pub(super) fn change_group(
        &mut self,
        name: &Name,
        change: GroupChange,
        is_running: bool,
    ) -> Result<Applied, String> {
        if is_running && !self.has_group(name) {
            let known = self.groups.used.as_ref() == Some(name) || self.groups.policies.contains_key(name);
            if !known {
                return Err(self.no_such_group(name));
            }
        }
        match change {
            GroupChange::Use => self.groups.used = Some(name.clone()),
            GroupChange::NotUsed => {
                if self.groups.used.as_ref() == Some(name) {
                    self.groups.used = None;
                }
            }
            GroupChange::Policy(Some(policy)) => _ = self.groups.policies.insert(name.clone(), policy),
            GroupChange::Policy(None) => _ = self.groups.policies.remove(name),
            GroupChange::Remove => self.remove_group(name)?,
        }
        let note = match change {
            GroupChange::Use | GroupChange::Policy(Some(_)) => self.idle_modes(),
            _ => None,
        };
        Ok(Applied::Reply(note.map(|note| note + "\n").unwrap_or_default()))
    }

    fn remove_group(&mut self, name: &Name) -> Result<(), String> {
        if self.group_in_use() == Some(name) {
            let others: Vec<&Name> = self.groups().into_iter().filter(|other| *other != name).collect();
            return Err(match others.is_empty() {
                true => format!("group {name} remove: it is in use, and there is no other group"),
                false => format!(
                    "group {name} remove: it is in use; want group NAME use before, of {}",
                    listed(&others)
                ),
            });
        }
        for index in self.places_in(name) {
            self.servers[index] = None;
        }
        self.groups.policies.remove(name);
        Ok(())
    }

    /// Whether what was said is about groups that there are.
    ///
    /// # Errors
    /// A group that was chosen, or has a policy, and has no server.
    pub(super) fn check_groups(&self) -> Result<(), String> {
        let Groups { used, policies, .. } = &self.groups;
        match used.iter().chain(policies.keys()).find(|name| !self.has_group(name)) {
            Some(name) => Err(self.no_such_group(name)),
            None => Ok(()),
        }
    }

    fn no_such_group(&self, name: &Name) -> String {
        let groups = self.groups();
        let there = match groups.is_empty() {
            true => "no server is in a group".to_owned(),
            false => format!("there are {}", listed(&groups)),
        };
        match self.groups.used.as_ref() == Some(name) {
            true => format!("group {name}: it is in use and would have no server; {there}"),
            false => format!("group {name}: no such group; {there}"),
        }
    }

    /// The lines that bring back what was said of groups. Those of the servers stand before.
    pub(super) fn group_lines(&self) -> String {
        let mut lines: String = self.group_policy_lines().iter().map(|line| line.clone() + "\n").collect();
        let first = self.group_names().next();
        let in_use =
            self.groups.used.as_ref().or_else(|| self.group_in_use().filter(|name| Some(*name) != first));
        if let Some(name) = in_use {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "group {name} use");
        }
        lines
    }

    /// Those about policies alone.
    pub(super) fn group_policy_lines(&self) -> Vec<String> {
        let line = |(name, policy): (&Name, &PolicyKind)| format!("group {name} policy {}", policy.word());
        self.groups.policies.iter().map(line).collect()
    }
}

fn listed(names: &[&Name]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::settings::{Applied, Config, ServiceConfig, check};
    use pen_proto::commands::PolicyKind;
    use pen_proto::parse::parse_line;

    fn apply(config: &mut Config, line: &str) -> Result<String, String> {
        let command = parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect("a command");
        match config.apply(None, &command, 0)? {
            Applied::Reply(reply) => check(config).map(|()| reply),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn after(lines: &[&str]) -> Config {
        let mut config = Config::default();
        for line in lines {
            apply(&mut config, line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        config.process.is_running = true;
        config
    }

    fn in_use(config: &Config) -> &str {
        config.services[0].group_in_use().map_or("-", |name| name.as_str())
    }

    fn in_reserve(config: &Config) -> Vec<usize> {
        let service: &ServiceConfig = &config.services[0];
        let entries = service.servers.iter().enumerate();
        let reserve = entries.filter(|(_, entry)| entry.as_ref().is_some_and(|it| service.is_in_reserve(it)));
        reserve.map(|(index, _)| index).collect()
    }

    const FOUR: &[&str] = &[
        "server 1 address ::1 group green",
        "server 0 address ::1 group blue",
        "server 2 address ::1",
        "server add [::1] group blue",
    ];

    #[test]
    fn the_first_named_is_in_use_until_another_is_used() {
        let mut config = after(FOUR);
        assert_eq!((in_use(&config), in_reserve(&config)), ("green", vec![0, 3]));
        for (line, group, reserve) in [
            ("group blue use", "blue", vec![1]),
            ("no group green use", "blue", vec![1]),
            ("no group blue use", "green", vec![0, 3]),
            ("server 1 group all", "blue", vec![]),
            ("server 2 group green", "blue", vec![2]),
            ("server 0 group green", "blue", vec![0, 2]),
            ("server 3 remove", "green", vec![]),
        ] {
            assert_eq!(apply(&mut config, line), Ok(String::new()), "{line}");
            assert_eq!((in_use(&config), in_reserve(&config)), (group, reserve), "{line}");
        }
        let nobody = after(&["server 0 address ::1"]);
        assert_eq!((in_use(&nobody), in_reserve(&nobody)), ("-", vec![]));
    }

    #[test]
    fn a_group_in_use_stays_and_has_a_server() {
        let mut config = after(&[FOUR, &["group blue use"]].concat());
        for (line, error) in [
            ("group blue remove", "group blue remove: it is in use; want group NAME use before, of green"),
            ("group red use", "group red: no such group; there are blue, green"),
            ("group red remove", "group red: no such group; there are blue, green"),
            ("group red policy random", "group red: no such group; there are blue, green"),
        ] {
            let before = config.clone();
            assert_eq!(apply(&mut config, line), Err(error.into()), "{line}");
            assert_eq!(config, before, "{line}");
        }
        let mut emptied = config.clone();
        apply(&mut emptied, "server 3 remove").unwrap();
        let error = apply(&mut emptied, "server 0 group green").unwrap_err();
        assert_eq!(error, "group blue: it is in use and would have no server; there are green");
        assert_eq!(apply(&mut config, "group green remove"), Ok(String::new()));
        assert_eq!(config.services[0].groups().len(), 1);
        assert!(config.services[0].servers[1].is_none());
        let only = "group blue remove: it is in use, and there is no other group";
        assert_eq!(apply(&mut config, "group blue remove"), Err(only.into()));
    }

    #[test]
    fn a_policy_of_its_own_goes_with_the_last_server() {
        let mut config = after(&[FOUR, &["policy random", "group blue policy source"]].concat());
        let policy = |config: &Config| config.settings(&config.services[0]).choice::<PolicyKind>();
        assert_eq!(policy(&config), PolicyKind::Random);
        apply(&mut config, "group blue use").unwrap();
        assert_eq!(policy(&config), PolicyKind::Source);
        assert_eq!(apply(&mut config, "hash"), Ok("hash: without effect with policy source\n".into()));
        apply(&mut config, "no group blue policy").unwrap();
        assert_eq!(policy(&config), PolicyKind::Random);
        apply(&mut config, "group green policy least_conn").unwrap();
        apply(&mut config, "server 1 remove").unwrap();
        assert!(config.services[0].groups.policies.is_empty());
    }

    #[test]
    fn a_file_may_speak_of_a_group_before_its_servers() {
        let lines =
            ["group blue use", "group blue policy single", "server 1 group blue", "server 0 address ::1"];
        let mut config = Config::default();
        for line in lines.iter().chain(&["server 1 address ::1", "server 0 group green"]) {
            let command = parse_line(line).unwrap().unwrap();
            config.apply(None, &command, 0).unwrap();
        }
        check(&config).unwrap();
        assert_eq!(in_use(&config), "blue");
        let text = config.write("now");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("group")).collect();
        assert_eq!(lines, ["group blue policy single", "group blue use"]);
        let unknown = Config { services: Vec::new(), ..config };
        let mut unknown = unknown;
        unknown.apply(None, &parse_line("group blu use").unwrap().unwrap(), 0).unwrap();
        let error = check(&unknown).unwrap_err();
        assert_eq!(error, "group blu: it is in use and would have no server; no server is in a group");
    }
}
