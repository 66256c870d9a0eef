//! A pen that only remembers what it was told, for the tests of this directory and of `reload.rs`.

use super::apply::{Deed, Open, Running, Wanted};
use super::plan::{Plan, Read, ServicePlan, Step};
use crate::settings::{Config, MAIN, ServiceConfig, Settings};
use pen_proto::commands::{Number, Text};
use pen_proto::status::{ConnectionStatus, ServerStatus, Status};
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What the fake was told, and how it is to behave.
#[derive(Debug, Default)]
pub struct Told {
    /// Everything that was done to it, in order, in words.
    pub deeds: Vec<String>,
    /// Names of logs and listeners that cannot be opened.
    pub broken: BTreeSet<String>,
    /// Deeds at which it panics, once.
    pub panics: BTreeSet<String>,
    pub settings: Option<Settings>,
    pub config: Option<Config>,
    pub status: Status,
}

/// A handle on what the fake was told; clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakePen(Rc<RefCell<Told>>);

impl FakePen {
    /// With two open connections, 0 and 7, of 500.
    pub fn new() -> FakePen {
        let fake = FakePen::default();
        let connection = |number| ConnectionStatus { number, down_fd: 9, up_fd: 11, ..Default::default() };
        fake.told_mut().status = Status {
            connections: vec![connection(0), connection(7)],
            connections_max: 500,
            time_local: "2026-11-21 01:31:47".into(),
            listen: vec!["127.0.0.1:4711".into()],
            ..Status::default()
        };
        fake
    }

    pub fn told(&self) -> Ref<'_, Told> {
        self.0.borrow()
    }

    pub fn told_mut(&self) -> RefMut<'_, Told> {
        self.0.borrow_mut()
    }

    /// What was done since it was last asked.
    pub fn deeds(&self) -> Vec<String> {
        std::mem::take(&mut self.told_mut().deeds)
    }

    fn did(&self, deed: String) {
        let panics = self.told_mut().panics.remove(&deed);
        assert!(!panics, "{deed} goes wrong on purpose");
        self.told_mut().deeds.push(deed);
    }

    fn set_servers(&self, service: &ServiceConfig) {
        let words = |entry: &Option<crate::settings::ServerEntry>| match entry {
            Some(entry) => entry.spec.to_string(),
            None => "-".into(),
        };
        let servers: Vec<String> = service.servers.iter().map(words).collect();
        self.did(of(service) + &format!("servers {}", servers.join(" ")));
        let status = |(index, entry): (usize, &Option<crate::settings::ServerEntry>)| ServerStatus {
            index: index as i32,
            address: entry.as_ref().map(|entry| entry.spec.host.to_string()).unwrap_or_default(),
            ..Default::default()
        };
        self.told_mut().status.servers = service.servers.iter().enumerate().map(status).collect();
    }

    fn open_name(&self, name: &str) -> Result<(), String> {
        if self.told().broken.contains(name) { Err(format!("{name}: broken")) } else { Ok(()) }
    }
}

/// What was opened for a service, in words.
#[derive(Debug, Default)]
pub struct FakeOpened {
    log: String,
    tls: String,
}

/// What a deed begins with: nothing for `main`.
fn of(service: &ServiceConfig) -> String {
    if &*service.name == MAIN { String::new() } else { format!("{}: ", service.name) }
}

impl FakePen {
    fn open_for(&self, part: &ServicePlan<'_>) -> Result<FakeOpened, String> {
        let (service, changes) = (part.service, part.changes());
        let mut opened = FakeOpened::default();
        if changes.log {
            opened.log = service.log().map(ToString::to_string).unwrap_or_default();
            self.open_name(&opened.log).map_err(|trouble| format!("log: {trouble}"))?;
        }
        if let Some(read) = changes.tls {
            let file = service.text(Text::SslCertificate).unwrap_or("no certificate");
            opened.tls = match self.open_name(file) {
                Err(_) if read == Read::Again => "old tls".into(),
                opened => opened.map(|()| format!("tls {file}"))?,
            };
        }
        if changes.settings || changes.servers {
            self.open_name(&format!("clients_max {}", service.number(Number::ClientsMax)))?;
        }
        for address in service.listeners().filter(|_| changes.listeners) {
            self.open_name(&address.text).map_err(|trouble| format!("listen: {trouble}"))?;
        }
        Ok(opened)
    }

    fn follow(&self, plan: &Plan<'_>, part: &ServicePlan<'_>, opened: FakeOpened) {
        let (service, changes) = (part.service, part.changes());
        let did = |deed: String| self.did(of(service) + &deed);
        match part.step {
            Step::Add => did("add".into()),
            Step::Remove => did("remove".into()),
            Step::Replace => did("replace".into()),
            Step::Change(_) => {}
        }
        for address in service.listeners().filter(|_| changes.listeners) {
            did(format!("listen {}", address.text));
        }
        if changes.log {
            did(format!("log {}", opened.log));
        }
        if changes.tls.is_some() {
            did(opened.tls);
        }
        if changes.settings {
            did("settings".into());
            self.told_mut().status.idlers_wanted = service.number(Number::Idlers);
            self.told_mut().settings = Some(plan.to.settings(service));
        }
        if changes.servers {
            self.set_servers(service);
            self.told_mut().config = Some(plan.to.clone());
        }
    }
}

impl Running for FakePen {
    type Opened = Vec<FakeOpened>;

    fn open(&mut self, plan: &Plan<'_>) -> Result<Vec<FakeOpened>, String> {
        let open = |part| self.open_for(part).map_err(|trouble| part.service.of(&trouble));
        plan.services.iter().map(open).collect()
    }

    fn switch(&mut self, plan: &Plan<'_>, opened: Vec<FakeOpened>) {
        if plan.process {
            self.did("process".into());
        }
        let parts = plan.services.iter().zip(opened);
        parts.for_each(|(part, opened)| self.follow(plan, part, opened));
    }

    fn is_leaving(&self, _service: &str) -> bool {
        false
    }

    fn open_connections(&mut self) -> Open {
        let status = self.ask(Wanted::Connections, MAIN);
        let numbers = status.connections.iter().map(|open| open.number).collect();
        Open { numbers, max: status.connections_max }
    }

    fn connections(&mut self) -> BTreeMap<Arc<str>, u64> {
        BTreeMap::new()
    }

    fn ask(&mut self, _wanted: Wanted, _service: &str) -> Status {
        assert!(!self.told_mut().panics.remove("status"), "the status goes wrong on purpose");
        self.told().status.clone()
    }

    fn free_number(&self, _service: &str, is_configured: &dyn Fn(usize) -> bool) -> usize {
        (0..).find(|index| !is_configured(*index)).unwrap_or_default()
    }

    fn seen_from(&mut self, _end: SocketAddr) -> Vec<ConnectionStatus> {
        self.told().status.connections.clone()
    }

    fn act(&mut self, deed: Deed) -> bool {
        match deed {
            Deed::Blacklist { server, seconds, .. } => self.did(format!("blacklist {server} {seconds}")),
            Deed::Cut { service } => self.did(format!("cut {service}")),
            Deed::Reset { server, .. } => self.did(format!("reset {server}")),
            Deed::CutServer { server, .. } => self.did(format!("cut {server}")),
            Deed::Stop => self.did("stop".into()),
            Deed::Close { number } => {
                let mut told = self.told_mut();
                let before = told.status.connections.len();
                told.status.connections.retain(|connection| connection.number != number);
                return told.status.connections.len() < before;
            }
        }
        true
    }
}
