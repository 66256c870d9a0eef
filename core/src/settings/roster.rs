//! The servers of a service as they come, get names, rest and go.

use super::{SERVERS_MAX, ServerEntry, ServiceConfig};
use crate::balance::Duty;
use pen_proto::addr::ServerSpec;
use pen_proto::called::Called;
use pen_proto::commands::{ServerChange, ServerDeed};
use pen_proto::names::{Name, ServerRef};

impl ServiceConfig {
    /// The place of the server that is meant. A number is taken as it is.
    ///
    /// # Errors
    /// No server has this name.
    pub fn find(&self, server: &ServerRef) -> Result<usize, String> {
        match server {
            ServerRef::Number(number) => Ok(usize::from(*number)),
            ServerRef::Name(name) => {
                self.named_server(name).ok_or_else(|| format!("server {name}: no such server"))
            }
        }
    }

    /// Whether something was said of the server in this place.
    pub fn has_server(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(Option::is_some) || self.unaddressed.contains_key(&index)
    }

    /// Where the server of this name is.
    pub fn named_server(&self, name: &Name) -> Option<usize> {
        let has_name = |entry: &Option<ServerEntry>| {
            entry.as_ref().is_some_and(|entry| entry.name.as_ref() == Some(name))
        };
        let waits = |(index, changes): (&usize, &Vec<ServerChange>)| {
            changes.contains(&ServerChange::Name(name.clone())).then_some(*index)
        };
        self.servers.iter().position(has_name).or_else(|| self.unaddressed.iter().find_map(waits))
    }

    /// Where servers without a name have this address.
    pub(super) fn unnamed_servers(&self, spec: &ServerSpec) -> impl Iterator<Item = usize> {
        let is_it = move |entry: &ServerEntry| {
            let has_port = spec.port.is_none() || entry.spec.port == spec.port;
            entry.name.is_none() && entry.spec.host == spec.host && has_port
        };
        let servers = self.servers.iter().enumerate();
        servers.filter(move |(_, entry)| entry.as_ref().is_some_and(is_it)).map(|(index, _)| index)
    }

    /// How a message names the server in a place.
    pub fn called(&self, index: usize) -> Called {
        let number = index.try_into().unwrap_or(i32::MAX);
        let entry = self.servers.get(index).and_then(Option::as_ref);
        entry.map_or_else(
            || Called::new(number, None, "", String::new()),
            |entry| {
                let member = entry.member_name();
                let name = member.as_deref().or(entry.name.as_deref());
                Called::new(number, name, &entry.host_name, entry.spec.address())
            },
        )
    }

    /// The first place that is free and that `is_held` by no connection of an earlier server.
    pub fn free_place(&self, is_held: impl Fn(usize) -> bool) -> usize {
        (0..).find(|index| !self.has_server(*index) && !is_held(*index)).unwrap_or(SERVERS_MAX)
    }

    /// Puts a new server in a free place. Replies the number.
    ///
    /// # Errors
    /// There are too many servers, or another one has the name.
    pub fn add_server(
        &mut self,
        index: usize,
        name: Option<&Name>,
        spec: &ServerSpec,
        changes: &[ServerChange],
    ) -> Result<String, String> {
        if index >= SERVERS_MAX {
            return Err(format!("server add: want at most {SERVERS_MAX} servers"));
        }
        let named = name.cloned().map(ServerChange::Name);
        let changes: Vec<&ServerChange> = named.iter().chain(changes).collect();
        for change in &changes {
            self.check_name(index, change)?;
        }
        changes.iter().filter_map(|change| change.group()).for_each(|group| self.name_group(group));
        let mut entry = ServerEntry::from(spec.clone());
        changes.into_iter().for_each(|change| entry.change(change));
        if index >= self.servers.len() {
            self.servers.resize(index + 1, None);
        }
        self.servers[index] = Some(entry);
        Ok(format!("{index}\n"))
    }

    /// Changes a server that was added before, when it is said again. Replies the number.
    ///
    /// # Errors
    /// Another one has the name.
    pub fn change_added(&mut self, index: usize, changes: &[ServerChange]) -> Result<String, String> {
        changes.iter().try_for_each(|change| self.check_name(index, change))?;
        if self.servers.get(index).is_some_and(Option::is_some) {
            changes.iter().for_each(|change| self.change_slot(index, change));
        }
        Ok(format!("{index}\n"))
    }

    /// A name that a server is to have must be nobody else's.
    ///
    /// # Errors
    /// Whose it is.
    pub(super) fn check_name(&self, index: usize, change: &ServerChange) -> Result<(), String> {
        let ServerChange::Name(name) = change else { return Ok(()) };
        match self.named_server(name) {
            Some(other) if other != index => Err(format!("server: name: server {other} is {name} already")),
            _ => Ok(()),
        }
    }

    /// The places of the servers that a deed is about.
    ///
    /// # Errors
    /// There is no such server.
    pub fn places_of(&self, server: Option<&ServerRef>) -> Result<Vec<usize>, String> {
        let Some(server) = server else {
            return Ok((0..self.servers.len()).filter(|index| self.servers[*index].is_some()).collect());
        };
        let index = self.find(server)?;
        match self.has_server(index) {
            true => Ok(vec![index]),
            false => Err(format!("server {server}: no such server")),
        }
    }

    /// What of a deed is kept. Counts and connections are the running pen's.
    ///
    /// # Errors
    /// There is no such server, or one without an address, of which nothing but its end can be said.
    pub(super) fn do_to_servers(
        &mut self,
        server: Option<&ServerRef>,
        deed: ServerDeed,
        is_running: bool,
        now_seconds: u32,
    ) -> Result<String, String> {
        if let Some(server) = server.filter(|_| !is_running && deed.is_kept()) {
            let index = self.find(server)?;
            if index < SERVERS_MAX && self.servers.get(index).is_none_or(Option::is_none) {
                // It may still come, as an argument of the command line.
                let duty = self.early_duties.entry(index).or_default();
                *duty = duty_after(deed, *duty, now_seconds);
                return Ok(String::new());
            }
        }
        for index in self.places_of(server)? {
            if let ServerDeed::Remove { .. } = deed {
                let left = self.group_at(index);
                self.unaddressed.remove(&index);
                self.servers[index] = None;
                self.leave_group(left);
                continue;
            }
            let Some(entry) = &mut self.servers[index] else {
                return Err(format!("server {index}: want an address first"));
            };
            entry.duty = duty_after(deed, entry.duty, now_seconds);
        }
        Ok(String::new())
    }
}

/// What a server that had one duty has after a deed. What it was told already began when it was told first.
fn duty_after(deed: ServerDeed, before: Duty, now_seconds: u32) -> Duty {
    match (deed, before) {
        (ServerDeed::Enable, _) => Duty::Enabled,
        (ServerDeed::Disable, Duty::Disabled { since_seconds }) => Duty::Disabled { since_seconds },
        (ServerDeed::Disable, _) => Duty::Disabled { since_seconds: now_seconds },
        (ServerDeed::Drain(seconds), before) => {
            let since_seconds = match before {
                Duty::Draining { since_seconds, .. } => since_seconds,
                _ => now_seconds,
            };
            let until_seconds = seconds.map(|seconds| now_seconds.saturating_add(seconds));
            Duty::Draining { since_seconds, until_seconds }
        }
        (ServerDeed::Reset | ServerDeed::Remove { .. }, before) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Applied, Config};
    use pen_proto::parse::parse_line;

    fn apply(config: &mut Config, line: &str) -> Result<String, String> {
        apply_at(config, line, 0)
    }

    fn apply_at(config: &mut Config, line: &str, now_seconds: u32) -> Result<String, String> {
        let command = parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect("a command");
        match config.apply(None, &command, now_seconds)? {
            Applied::Reply(reply) => Ok(reply),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn done(config: &mut Config, lines: &[&str]) {
        for line in lines {
            apply(config, line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_new_server_gets_the_first_free_number() {
        let mut config = Config::default();
        assert_eq!(
            apply(&mut config, "server add alpha=10.0.0.1:80:5 weight 0.5 name beta"),
            Ok("0\n".into())
        );
        done(&mut config, &["server 2 max 3", "server beta prio 4"]);
        assert_eq!(apply(&mut config, "server add 10.0.0.2"), Ok("1\n".into()));
        assert_eq!(apply(&mut config, "server add 10.0.0.3"), Ok("3\n".into()), "2 waits for its address");
        done(&mut config, &["server 1 remove", "server 2 remove now"]);
        assert_eq!(apply(&mut config, "server add gamma=/run/app"), Ok("1\n".into()));
        let service = &config.services[0];
        let entry = service.servers[0].as_ref().unwrap();
        assert_eq!((entry.spec.prio, entry.spec.max), (4, 5));
        let called = |index| service.called(index).to_string();
        assert_eq!(called(0), "server 0 (beta, 10.0.0.1:80)");
        assert_eq!([called(3), called(7)], ["server 3 (10.0.0.3)", "server 7"]);
        assert_eq!(service.free_place(|index| index == 2), 4);
    }

    #[test]
    fn a_name_is_one_servers() {
        let mut config = Config::default();
        done(
            &mut config,
            &["server add a=10.0.0.1", "server 5 name b", "server 0 name a", "server a name c"],
        );
        config.process.is_running = true;
        for (line, error) in [
            ("server a max 1", "server a: no such server"),
            ("server add b=10.0.0.2", "server: name: server 5 is b already"),
            ("server 3 address 10.0.0.2 name c", "server: name: server 0 is c already"),
            ("server b disable", "server 5: want an address first"),
            ("server 4 disable", "server 4: no such server"),
            ("server 4 reset", "server 4: no such server"),
        ] {
            let before = config.clone();
            assert_eq!(apply(&mut config, line), Err(error.into()), "{line}");
            assert_eq!(config, before, "{line}");
        }
        done(&mut config, &["server b address 10.0.0.2", "server c remove", "server b name c"]);
    }

    #[test]
    fn before_pen_runs_a_server_may_be_told_what_it_is_to_do_when_it_comes() {
        let mut config = Config::default();
        done(
            &mut config,
            &["server 0 disable", "server 1 drain", "server 1 address ::1", "server 2 disable"],
        );
        done(&mut config, &["server 2 enable", "server 2 address ::1"]);
        let service = config.service_mut("main").unwrap();
        service.place_server(0, "alpha=10.0.0.1:80").unwrap();
        let duties = service.servers.iter().flatten().map(|entry| entry.duty).collect::<Vec<_>>();
        let draining = Duty::Draining { since_seconds: 0, until_seconds: None };
        assert_eq!(duties, [Duty::Disabled { since_seconds: 0 }, draining, Duty::Enabled]);
        assert!(service.early_duties.is_empty());
    }

    #[test]
    fn what_a_server_was_told_lasts_until_it_is_enabled() {
        let mut config = Config::default();
        done(&mut config, &["server add a=10.0.0.1", "server add 10.0.0.2"]);
        let mut told = |line: &str, now_seconds| {
            apply_at(&mut config, line, now_seconds).unwrap();
            config.services[0].servers.iter().flatten().map(|entry| entry.duty).collect::<Vec<_>>()
        };
        let (enabled, disabled) = (Duty::Enabled, |since_seconds| Duty::Disabled { since_seconds });
        assert_eq!(told("server a disable", 5), [disabled(5), enabled]);
        assert_eq!(told("server all disable", 7), [disabled(5), disabled(7)]);
        let draining = |since_seconds, until_seconds| Duty::Draining { since_seconds, until_seconds };
        assert_eq!(told("server 1 drain", 8), [disabled(5), draining(8, None)]);
        assert_eq!(told("server 1 drain 10", 9), [disabled(5), draining(8, Some(19))]);
        assert_eq!(told("server all reset", 9), [disabled(5), draining(8, Some(19))]);
        assert_eq!(told("server all enable", 9), [enabled, enabled]);
    }
}
