//! What differs between two configurations: what the running pen has to open, and then to switch to, to follow the new
//! one. Pure.
//!
//! Names only what differs, so that a reload of an unchanged file changes nothing, and one with a changed line touches
//! one service. Made by `apply.rs`, carried out by whoever is [`super::running::Running`].

use crate::settings::{Config, ServiceConfig};
use pen_proto::commands::{Flag, Text};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is opened again although its name has not changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refresh {
    pub log: bool,
    pub tls: bool,
    /// Nobody waits for the answer: what cannot be read again stays as it was, with a message.
    pub is_reload: bool,
}

/// The way from one configuration to another. Addresses in both are numeric (`Names::numeric`).
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Where it leads.
    pub to: &'a Config,
    /// Settings of the process differ.
    pub process: bool,
    /// Metrics are served elsewhere, or no longer.
    pub metrics: bool,
    /// Diagnostics go elsewhere, or their file is opened again.
    pub messages: bool,
    /// The services that something becomes of: first those that go, then those with a client table of their own.
    pub services: Vec<ServicePlan<'a>>,
}

/// What becomes of a service.
#[derive(Debug, Clone, Copy)]
pub struct ServicePlan<'a> {
    /// As it is to be; as it was when it goes.
    pub service: &'a Arc<ServiceConfig>,
    pub step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Add,
    /// Its listeners close at once, its connections end on their own.
    Remove,
    /// It goes and another one of this name comes: what it is of cannot change under connections.
    Replace,
    Change(Changes),
}

/// What of a service differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// The log is opened, again or under another name; without one, logging ends.
    pub log: bool,
    /// Certificates and keys are read.
    pub tls: Option<Read>,
    pub listeners: bool,
    pub settings: bool,
    pub servers: bool,
}

/// How certificates and keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// A file that is wrong is an error.
    First,
    /// They were read before, and nobody waits: what is wrong now leaves the old in force, with a message.
    Again,
}

impl<'a> Plan<'a> {
    /// What leads from `from` to `to`. `refresh` says what is opened again even when its name is the same.
    pub fn between(from: &'a Config, to: &'a Config, refresh: Refresh) -> Plan<'a> {
        let are_lists_new =
            (&from.process.acls, &from.process.countries) != (&to.process.acls, &to.process.countries);
        let is_process_new = !from.process.serves_as(&to.process);
        let before: HashMap<&str, _> =
            from.services.iter().map(|service| (&*service.name, service)).collect();
        let names: HashSet<&str> = to.services.iter().map(|service| &*service.name).collect();
        let gone = from.services.iter().filter(|service| !names.contains(&*service.name));
        let mut services: Vec<_> = gone.map(|service| ServicePlan { service, step: Step::Remove }).collect();
        // Who has its clients from another comes after that one.
        let (owners, sharers): (Vec<_>, Vec<_>) =
            to.services.iter().partition(|service| service.text(Text::ClientsFrom).is_none());
        let owner = |config: &'a Config, service: &'a ServiceConfig| &config.clients_of(service).name;
        let mut replaced: HashSet<&str> = HashSet::new();
        services.extend(owners.into_iter().chain(sharers).filter_map(|service| {
            let step = match before.get(&*service.name) {
                None => Step::Add,
                Some(before)
                    if is_of_another_kind(before, service)
                        || owner(from, before) != owner(to, service)
                        || replaced.contains(&**owner(to, service)) =>
                {
                    replaced.insert(&service.name);
                    Step::Replace
                }
                Some(before) => {
                    let mut changes = Changes::between(before, service, refresh);
                    changes.settings |= are_lists_new || is_process_new;
                    Some(Step::Change(changes)).filter(|_| changes != Changes::default())?
                }
            };
            Some(ServicePlan { service, step })
        }));
        let metrics = from.process.values.metrics_listen() != to.process.values.metrics_listen();
        let target = |config: &'a Config| config.process.text(Text::Messages);
        let messages = target(from) != target(to) || refresh.log && to.process.message_file().is_some();
        Plan { to, process: is_process_new, metrics, messages, services }
    }

    /// To the same configuration, with every log and the file of messages opened again.
    pub fn reopening_logs(config: &'a Config) -> Plan<'a> {
        let log = Step::Change(Changes { log: true, ..Changes::default() });
        let logging = config.services.iter().filter(|service| service.log().is_some());
        let services = logging.map(|service| ServicePlan { service, step: log }).collect();
        let messages = config.process.message_file().is_some();
        Plan { to: config, process: false, metrics: false, messages, services }
    }
}

impl ServicePlan<'_> {
    /// What has to be opened and used: everything, for a service that comes.
    pub fn changes(&self) -> Changes {
        match self.step {
            Step::Change(changes) => changes,
            Step::Remove => Changes::default(),
            Step::Add | Step::Replace => Changes {
                log: self.service.log().is_some(),
                tls: Some(Read::First),
                listeners: true,
                settings: true,
                servers: true,
            },
        }
    }
}

impl Changes {
    fn between(from: &Arc<ServiceConfig>, to: &Arc<ServiceConfig>, refresh: Refresh) -> Changes {
        let log = refresh.log && to.log().is_some();
        if Arc::ptr_eq(from, to) && !refresh.tls {
            return Changes { log, ..Changes::default() };
        }
        let tls = to.tls_plan();
        let is_new = from.tls_plan() != tls;
        let is_read = is_new || refresh.tls && tls.is_needed();
        let again = if refresh.is_reload && !is_new { Read::Again } else { Read::First };
        Changes {
            log: log || from.log() != to.log(),
            tls: is_read.then_some(again),
            listeners: !from.listeners().eq(to.listeners()),
            settings: !from.serves_as(to),
            servers: servers(from) != servers(to),
        }
    }
}

/// Whether it takes what the other does not.
fn is_of_another_kind(service: &ServiceConfig, other: &ServiceConfig) -> bool {
    service.flag(Flag::Udp) != other.flag(Flag::Udp)
}

fn servers(service: &ServiceConfig) -> impl PartialEq + '_ {
    let group = service.group_in_use();
    (&service.servers, &service.emergency, &service.abuse, service.check_said(), group)
}
