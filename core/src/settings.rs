//! What the operator configured, as values. Pure: nothing here opens, binds or looks anything up.
//!
//! A [`Config`] is a tree: the process, its services, and their servers. Commands change it through [`Config::apply`], each
//! in the scope that its row has; `control/apply` makes the running pen follow. [`Settings`] is what workers read of a
//! service, resolved and swapped as a whole. How a `Config` becomes commands again is in `settings/write.rs`.

mod checks;
mod difference;
mod fit;
mod groups;
mod loads;
mod members;
mod process;
mod reading;
mod roster;
mod rules;
mod said;
mod scoped;
mod server;
mod service;
mod tls;
mod values;
mod write;

pub use checks::{OwnCheck, Rounds, Watch};
pub use difference::{difference, only_at_start};
pub use fit::{check, check_listeners, of_service, settle_ports};
pub use groups::Groups;
pub use loads::LoadWatch;
pub use members::{MEMBERS_MAX, Member, Place, members_told, spread};
pub use pen_proto::commands::SERVERS_MAX;
pub use process::{ProcessConfig, ProcessSettings, STDERR, SYSLOG};
pub use reading::Reading;
pub use said::{Said, TakenBack, changes_of};
pub use scoped::Scoped;
pub use server::ServerEntry;
pub use service::{LISTENS_NOWHERE, ServiceConfig, Which, no_such_server};
pub use values::Values;

use crate::acl::{ACL_COUNT, Acl, CountrySource};
use crate::clones::Ignored;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{
    Command, Entry, Flag, GroupChange, Number, OneOf, Question, Scope, ServerDeed, ServiceChange, Text,
};
use pen_proto::network::Downstream;
pub use pen_proto::status::MAIN;
use std::net::IpAddr;
use std::sync::Arc;

/// Most services of one pen. Each has a number of 16 bits, which it keeps until its last connection has ended.
pub const SERVICES_MAX: usize = 32_768;

/// Most entries of one access list. A client does not notice how many there are; this is for the memory, 64 to 90 MB.
pub const ACL_ENTRIES_MAX: usize = 1_000_000;
/// Most networks of `proxy_accept`: each new client is compared with them in turn.
pub const PROXY_ACCEPT_MAX: usize = 1024;

/// What whoever serves clients goes by; swapped as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    values: Values,
    /// Who is believed when it says for whom it connects; each once.
    pub proxy_accept: Vec<Downstream>,
    /// Lines of answers that are not compared.
    pub clone_ignore: Ignored,
    pub acls: [Acl; ACL_COUNT],
    /// Whom the access lists ask for countries; what `geoip` names, once it is read.
    pub countries: CountrySource,
}

impl Settings {
    pub fn flag(&self, flag: Flag) -> bool {
        self.values.flag(flag)
    }

    pub fn set_flag(&mut self, flag: Flag, on: bool) {
        self.values.set_flag(flag, on);
    }

    pub fn number(&self, number: Number) -> u64 {
        self.values.number(number)
    }

    pub fn set_number(&mut self, number: Number, value: u64) {
        self.values.set_number(number, value);
    }

    /// What is one of a few words, by the type of its values: `choice::<HttpMode>()`.
    pub fn choice<T: OneOf>(&self) -> T {
        self.values.choice()
    }

    pub fn set_choice<T: OneOf>(&mut self, value: T) {
        self.values.set_choice(value);
    }

    /// Local address of upstream sockets.
    pub fn source(&self) -> Option<IpAddr> {
        self.values.source()
    }

    /// The list of addresses that the tarpit takes; `None`: there is no tarpit.
    pub fn tarpit_acl(&self) -> Option<usize> {
        self.values.tarpit_acl()
    }

    /// How servers are chosen, as Pen's `mode` answers.
    pub fn mode(&self) -> String {
        self.values.mode()
    }

    /// Whether this peer is a downstream, which says for whom it sends.
    pub fn trusts(&self, peer: ClientAddr) -> bool {
        self.proxy_accept.iter().any(|downstream| downstream.includes(peer))
    }
}

/// Everything that was configured.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub process: ProcessConfig,
    /// `main` first, then in the order in which they were made. Shared with the configuration that they were copied from,
    /// as long as neither changes.
    pub services: Vec<Arc<ServiceConfig>>,
    /// Where in the list the last line was for somebody: the next one of a file is mostly for the same.
    latest: usize,
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        self.process == other.process && self.services == other.services
    }
}

/// What [`Config::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// A value was set or asked for; the reply with its line ends, often empty.
    Reply(String),
    /// A value was set or asked for; only the running pen knows the reply.
    ReplyLater,
    /// The command is about the running pen and left the configuration alone.
    NotStored,
}

impl Config {
    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&ServiceConfig> {
        self.position(name).map(|at| &*self.services[at])
    }

    /// The same, to be changed.
    pub fn service_mut(&mut self, name: &str) -> Option<&mut ServiceConfig> {
        self.latest = self.position(name)?;
        Some(Arc::make_mut(&mut self.services[self.latest]))
    }

    fn position(&self, name: &str) -> Option<usize> {
        let is_it = |service: &Arc<ServiceConfig>| *service.name == *name;
        match self.services.get(self.latest).is_some_and(is_it) {
            true => Some(self.latest),
            false => self.services.iter().position(is_it),
        }
    }

    /// With these services, `main` first.
    pub fn new(process: ProcessConfig, services: Vec<Arc<ServiceConfig>>) -> Config {
        Config { process, services, latest: 0 }
    }

    /// The service with this name, which is made if there is none.
    pub fn make_service(&mut self, name: &str) -> &mut ServiceConfig {
        let known = self.position(name);
        let at = known.unwrap_or_else(|| {
            // `main` is the first, whenever it is made.
            let at = if name == MAIN { 0 } else { self.services.len() };
            self.services.insert(at, Arc::new(ServiceConfig::named(name)));
            at
        });
        self.latest = at;
        Arc::make_mut(&mut self.services[at])
    }

    /// Whom a line is for: the service that it names, or else `main`, or else the only one.
    ///
    /// # Errors
    /// There is no such service, or it is not clear which is meant. The text names those there are.
    pub fn meant(&self, service: Option<&str>) -> Result<&ServiceConfig, String> {
        let names = || self.services.iter().map(|service| &*service.name).collect::<Vec<_>>().join(", ");
        match (service, &self.services[..]) {
            (Some(name), _) => self
                .service(name)
                .ok_or_else(|| format!("service {name}: no such service; there are {}", names())),
            (None, [only]) => Ok(only),
            (None, _) => self.service(MAIN).ok_or_else(|| format!("want service and one of {}", names())),
        }
    }

    /// The service whose client table this one has: itself, or the one at the end of `clients_from`.
    pub fn clients_of<'a>(&'a self, service: &'a ServiceConfig) -> &'a ServiceConfig {
        let mut owner = service;
        // Those that go round in a circle are refused, see `fit.rs`.
        for _ in 0..self.services.len() {
            match owner.text(Text::ClientsFrom).and_then(|name| self.service(name)) {
                Some(next) => owner = next,
                None => break,
            }
        }
        owner
    }

    /// Has the service be there.
    ///
    /// # Errors
    /// There are too many.
    pub fn find_or_make(&mut self, name: &str) -> Result<(), String> {
        if self.services.len() >= SERVICES_MAX && self.position(name).is_none() {
            return Err(format!("service {name}: want at most {SERVICES_MAX} services"));
        }
        self.make_service(name);
        Ok(())
    }

    /// Whether what a command adds is there already, or what it removes is not: a file that is read again says nothing new
    /// then, and nothing wrong.
    pub fn is_so(&self, service: Option<&str>, command: &Command) -> bool {
        let listens = |address| self.meant(service).is_ok_and(|service| service.listens_at(address));
        match command {
            Command::Add(Entry::Listen(address)) => listens(address),
            Command::Remove(Entry::Listen(address)) => !listens(address),
            Command::Service(ServiceChange::Remove { name, .. }) => self.service(name).is_none(),
            // At start this is more likely a mistake.
            Command::Group { name, change: GroupChange::Remove } => {
                self.meant(service).is_ok_and(|service| service.places_in(name).is_empty())
            }
            Command::Remove(Entry::ProxyAccept(peer)) if self.process.is_running => {
                self.meant(service).is_ok_and(|service| !service.proxy_accept.contains(peer))
            }
            Command::Remove(Entry::CloneIgnore(text)) if self.process.is_running => {
                self.meant(service).is_ok_and(|service| !service.clone_ignore.contains(text))
            }
            Command::ServerDeed { server: Some(server), deed: ServerDeed::Remove { .. } }
                if self.process.is_running =>
            {
                self.meant(service).is_ok_and(|service| service.places_of(Some(server)).is_err())
            }
            _ => false,
        }
    }

    fn change_services(&mut self, change: &ServiceChange) -> Result<(), String> {
        match change {
            ServiceChange::Add(name) if self.service(name).is_some() => {
                return Err(format!("service add: {name} is there already"));
            }
            ServiceChange::Add(name) | ServiceChange::Make(name) => self.find_or_make(name)?,
            ServiceChange::Remove { name, .. } => {
                self.meant(Some(name)).map_err(|trouble| trouble.replacen("service", "service remove", 1))?;
                if self.services.len() == 1 {
                    return Err(format!("service remove: {name} is the last one and stays"));
                }
                self.services.retain(|service| *service.name != **name);
            }
        }
        Ok(())
    }

    /// What whoever serves the clients of a service goes by, settings of the process included.
    pub fn settings(&self, service: &ServiceConfig) -> Settings {
        let mut values = service.values.for_workers();
        values.take_over(&self.process.values, Scope::Process);
        values.set_choice(service.policy());
        Settings {
            values,
            proxy_accept: service.proxy_accept.clone(),
            clone_ignore: Ignored::new(service.clone_ignore.iter().cloned()),
            acls: self.process.acls.clone(),
            countries: self.process.countries.clone(),
        }
    }

    /// Carries out what a command means for the configuration, all or nothing. Values are taken as the parser passed
    /// them, within the bounds of their rows. `service` is the one that the line names; the first line of a service that
    /// names none makes `main`.
    ///
    /// # Errors
    /// A limit is exceeded, or a service or server does not exist. The text begins with the command.
    pub fn apply(
        &mut self,
        service: Option<&str>,
        command: &Command,
        now_seconds: u32,
    ) -> Result<Applied, String> {
        if let Some(name) = service {
            self.meant(Some(name))?;
        }
        if let Command::Service(change) = command {
            return self.change_services(change).map(|()| Applied::Reply(String::new()));
        }
        if command.row().is_none_or(|row| row.scope == Scope::Process) {
            return self.process.apply(command);
        }
        let is_for_running = match command {
            Command::Ask(question) => *question != Question::Mode,
            Command::Do(_) => true,
            _ => false,
        };
        let is_first = service.is_none() && self.services.is_empty() && !is_for_running;
        if is_first {
            self.make_service(MAIN);
        }
        if is_for_running && self.services.is_empty() {
            return Ok(Applied::NotStored);
        }
        let name = self.meant(service)?.name.clone();
        let is_running = self.process.is_running;
        let applied = match self.service_mut(&name) {
            Some(service) => service.apply(command, is_running, now_seconds),
            None => Ok(Applied::NotStored),
        };
        if is_first && applied.is_err() {
            self.services.clear();
        }
        applied
    }
}

#[cfg(test)]
mod tests;
