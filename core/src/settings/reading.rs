//! The lines of a configuration file that is read again: for which service each is, and about which server that there is
//! already. Pure.
//!
//! A server keeps its number while it stays: a line finds it by number or name, `server add` without a name by the
//! address. Then nothing that the server has, its clients and connections, is disturbed by where it stands in the file.

use super::{Config, MAIN, Said, ServiceConfig, changes_of};
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{Command, GroupChange, Scope, ServerChange, ServiceChange};
use pen_proto::names::{Name, ServerRef};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Reads line by line what a file says now.
pub struct Reading<'a> {
    /// In force.
    config: &'a Config,
    /// What the file said last.
    last: &'a Said,
    /// What it says now.
    said: Said,
    /// The services that the lines so far, or the command line, have made.
    services: BTreeSet<String>,
    of: HashMap<String, ReadService>,
}

/// What the lines so far have said of the servers of a service.
#[derive(Default)]
struct ReadService {
    names: HashMap<Name, usize>,
    /// Each line of `server add` without a name means another server.
    claimed: HashSet<usize>,
}

impl<'a> Reading<'a> {
    /// `base` is what the command line said, `last` what the file said when it was read last.
    pub fn new(config: &'a Config, base: &Config, last: &'a Said) -> Reading<'a> {
        let services = base.services.iter().map(|service| service.name.to_string()).collect();
        Reading { config, last, said: Said::default(), services, of: HashMap::new() }
    }

    /// What the file says now of what there is already.
    pub fn end(self) -> Said {
        self.said
    }

    /// Makes a line name its service and its server, by number, if there is such a server.
    pub fn settle(&mut self, service: &mut Option<Name>, command: &mut Command) {
        match command {
            Command::Service(ServiceChange::Add(name) | ServiceChange::Make(name)) => {
                self.services.insert(name.to_string());
            }
            Command::Service(ServiceChange::Remove { name, .. }) => _ = self.services.remove(&**name),
            Command::Ask(_)
            | Command::Do(_)
            | Command::Show(_)
            | Command::List(_)
            | Command::Explained(_) => {
                return;
            }
            _ => {}
        }
        if let Some(name) = service {
            self.services.insert(name.to_string());
            self.said.note_service(name);
        }
        let of_service = command.row().is_some_and(|row| row.scope == Scope::Service);
        let meant = match of_service {
            true => self.meant(service.as_ref()),
            false => Some(String::new()),
        };
        let Some(meant) = meant else { return };
        if of_service && service.is_none() {
            *service = Name::parse(&meant).ok();
        }
        let servers = self.settle_server(&meant, command);
        self.said.note(&meant, command, &servers);
    }

    /// For whom a line is, as at start.
    fn meant(&mut self, service: Option<&Name>) -> Option<String> {
        let name = match service {
            Some(name) => name.to_string(),
            None if self.services.contains(MAIN) || self.services.is_empty() => MAIN.to_string(),
            None if self.services.len() == 1 => self.services.first()?.clone(),
            None => return None,
        };
        self.services.insert(name.clone());
        Some(name)
    }

    /// The places of the servers that a line is about and that there are.
    fn settle_server(&mut self, service: &str, command: &mut Command) -> Vec<usize> {
        match command {
            Command::Server { server, changes } => {
                let index = self.find(service, server);
                if let Some(index) = index {
                    *server = number(index);
                    self.learn(service, changes, index);
                }
                index.into_iter().collect()
            }
            Command::AddServer { name, spec, changes } => {
                let Some(index) = self.find_added(service, name.as_ref(), spec, changes) else {
                    return Vec::new();
                };
                let changes = changes_of(name.as_ref(), spec, changes);
                self.learn(service, &changes, index);
                *command = Command::Server { server: number(index), changes };
                vec![index]
            }
            Command::ServerDeed { server: Some(server), .. } => {
                let index = self.find(service, server);
                if let Some(index) = index {
                    *server = number(index);
                }
                index.into_iter().collect()
            }
            Command::Group { name, change: GroupChange::Remove } => {
                self.service(service).map(|service| service.places_in(name)).unwrap_or_default()
            }
            Command::ServerDeed { server: None, .. } => {
                self.service(service).map(|service| (0..service.servers.len()).collect()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn service(&self, name: &str) -> Option<&'a ServiceConfig> {
        self.config.service(name)
    }

    fn learn(&mut self, service: &str, changes: &[ServerChange], index: usize) {
        let of = self.of.entry(service.to_owned()).or_default();
        of.claimed.insert(index);
        for change in changes {
            if let ServerChange::Name(name) = change {
                of.names.insert(name.clone(), index);
            }
        }
    }

    fn find(&self, service: &str, server: &ServerRef) -> Option<usize> {
        match server {
            ServerRef::Number(number) => Some(usize::from(*number)),
            ServerRef::Name(name) => self.find_name(service, name),
        }
    }

    fn find_name(&self, service: &str, name: &Name) -> Option<usize> {
        let said = self.of.get(service).and_then(|of| of.names.get(name)).copied();
        let config = self.service(service);
        let named = || config?.named_server(name);
        // A person may have given it another name meanwhile.
        let was = || {
            let index = self.last.server_named(service, name)?;
            config?.has_server(index).then_some(index)
        };
        said.or_else(named).or_else(was)
    }

    fn find_added(
        &self,
        service: &str,
        name: Option<&Name>,
        spec: &ServerSpec,
        changes: &[ServerChange],
    ) -> Option<usize> {
        let later = changes.iter().rev().find_map(|change| match change {
            ServerChange::Name(name) => Some(name),
            _ => None,
        });
        if let Some(name) = later.or(name) {
            return self.find_name(service, name);
        }
        let config = self.service(service)?;
        let claimed = self.of.get(service).map(|of| &of.claimed);
        let is_free = |index: &usize| claimed.is_none_or(|claimed| !claimed.contains(index));
        let was =
            self.last.servers_at(service, spec).find(|index| is_free(index) && config.has_server(*index));
        was.or_else(|| config.unnamed_servers(spec).find(is_free))
    }
}

/// Numbers of servers fit.
fn number(index: usize) -> ServerRef {
    ServerRef::Number(index as u16)
}
