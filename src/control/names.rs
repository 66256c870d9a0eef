//! Host names in the configuration: who needs looking up, and the addresses last found.
//!
//! Looks nothing up: whoever has a request carried out has its names looked up before, by `lookups.rs`.

use super::lookups::Found;
use crate::net::{resolve, srv};
use crate::settings::{Config, Place, ServerEntry, ServiceConfig, Which, spread};
use pen_proto::addr::{Host, ListenAddr, Port, SRV};
use pen_proto::commands::{
    Address, AddressValue, Assignment, Command, Entry, LogTarget, Number, ServerChange, ServerTls, host_name,
};
use pen_proto::weight::Weight;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Where a host name leads: one place, as in Pen, and more for when that one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    first: Place,
    more: Vec<Place>,
}

impl<Ip: Into<IpAddr>> From<Ip> for Addresses {
    fn from(ip: Ip) -> Addresses {
        Addresses { first: ip.into().into(), more: Vec::new() }
    }
}

impl Addresses {
    /// `None` without any.
    pub fn of(places: impl IntoIterator<Item = Place>) -> Option<Addresses> {
        let mut places = places.into_iter();
        Some(Addresses { first: places.next()?, more: places.collect() })
    }

    fn all(&self) -> Vec<Place> {
        std::iter::once(self.first).chain(self.more.iter().copied()).collect()
    }
}

/// Finds the addresses of a host name; may take as long as the resolver library likes.
pub type Lookup = fn(&str) -> Result<Addresses, String>;

/// What the system's resolver gives, in its order.
///
/// # Errors
///
/// A name that is unknown or cannot be looked up.
pub fn look_up(name: &str) -> Result<Addresses, String> {
    if let Some(service) = name.strip_prefix(SRV) {
        return look_up_service(service);
    }
    let found = resolve::addresses(name)?.into_iter().map(Place::from);
    Addresses::of(found).ok_or_else(|| format!("host \"{name}\": no address"))
}

/// The places to which SRV records lead: all addresses of their targets. Those of a higher priority number stand by.
fn look_up_service(service: &str) -> Result<Addresses, String> {
    let targets = srv::look_up(service)?;
    let are_weighed = targets.iter().any(|target| target.weight > 0);
    let (mut places, mut trouble) = (Vec::new(), String::new());
    let (mut standby, mut priority) = (0_u8, targets[0].priority);
    for target in &targets {
        if target.priority > priority {
            (standby, priority) = (standby.saturating_add(1), target.priority);
        }
        // Among others weight 0 is the smallest there is; it is not the weight of a server that is never chosen.
        let weight = are_weighed.then(|| Weight::whole(target.weight.max(1).into()));
        match resolve::addresses(&target.host) {
            Ok(ips) => places.extend(ips.into_iter().map(|ip| Place {
                ip,
                port: Some(target.port),
                weight,
                standby,
            })),
            Err(reason) => trouble = reason,
        }
    }
    Addresses::of(places).ok_or(trouble)
}

/// The names that must be looked up before `command` can be carried out.
pub fn names_in(command: &Command) -> Vec<String> {
    let name = |host: &Host| host.name().map(String::from);
    let named = |change: &ServerChange| match change {
        ServerChange::Address(host) => name(host),
        _ => None,
    };
    match command {
        Command::Set(Assignment::Address(_, address)) => address.host().and_then(name).into_iter().collect(),
        Command::Add(Entry::Listen(address)) => name(&address.host).into_iter().collect(),
        Command::Server { changes, .. } => changes.iter().filter_map(named).collect(),
        Command::AddServer { spec, changes, .. } => {
            name(&spec.host).into_iter().chain(changes.iter().filter_map(named)).collect()
        }
        _ => Vec::new(),
    }
}

/// The addresses last found, by name, and what the system's own files told: in a jail they cannot be read again.
#[derive(Debug, Clone)]
pub struct Names {
    lookup: Lookup,
    known: HashMap<String, Addresses>,
    /// Ports by the names of services.
    ports: HashMap<String, u16>,
    /// Addresses with a zone whose interface was there.
    zoned: HashSet<String>,
}

impl Names {
    pub fn new(lookup: Lookup) -> Names {
        Names { lookup, known: HashMap::new(), ports: HashMap::new(), zoned: HashSet::new() }
    }

    /// The way these names are looked up.
    pub fn lookup(&self) -> Lookup {
        self.lookup
    }

    /// Remembers what look-ups found. Returns the names for which they found nothing, with the reasons.
    pub fn learn(&mut self, found: Found) -> Vec<(String, String)> {
        let mut missing = Vec::new();
        for (name, result) in found {
            match result {
                Ok(address) => drop(self.known.insert(name, address)),
                Err(reason) => missing.push((name, reason)),
            }
        }
        missing
    }

    /// The address that the name had last.
    pub fn address_of(&self, name: &str) -> Option<IpAddr> {
        self.known.get(name).map(|known| known.first.ip)
    }

    /// Whether the name ever had an address.
    pub fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// `config` with every host and port of servers, listener and log a number, so that using it needs no look-up. A
    /// server of several addresses may become several; those of them that are in `before` keep their numbers.
    ///
    /// # Errors
    ///
    /// A name that was not looked up before, or a service that is not known; with the setting it stands in.
    pub fn numeric(&mut self, config: &Config, before: &Config) -> Result<Config, String> {
        let before: HashMap<&str, _> =
            before.services.iter().map(|service| (&*service.name, service)).collect();
        let services = config.services.iter().map(|service| {
            let before = before.get(&*service.name).copied();
            let numeric = self.numeric_service(service, before.map(AsRef::as_ref));
            let numeric = numeric.map_err(|trouble| service.of(&trouble))?;
            // What is as it was is the same one, so that nobody compares it once more.
            let same = before.filter(|before| ***before == numeric);
            Ok(same.cloned().unwrap_or_else(|| Arc::new(numeric)))
        });
        let services = services.collect::<Result<_, String>>()?;
        let mut process = config.process.clone();
        if let Some(AddressValue::Listen(address)) = process.values.address_mut(Address::MetricsListen) {
            let numbered = self.number(&mut address.host, address.port.as_mut());
            numbered.map_err(|trouble| format!("metrics_listen: {trouble}"))?;
        }
        Ok(Config::new(process, services))
    }

    fn numeric_service(
        &mut self,
        service: &ServiceConfig,
        before: Option<&ServiceConfig>,
    ) -> Result<ServiceConfig, String> {
        let mut service = service.clone();
        let waits = waits(&service);
        // First, because servers may have their port from it: the error belongs to where it was written.
        for ListenAddr { host, port, .. } in service.listeners_mut() {
            self.number(host, port.as_mut()).map_err(|trouble| format!("listen: {trouble}"))?;
        }
        let mut places = BTreeMap::new();
        for (index, entry) in service.servers.iter().enumerate() {
            let Some(entry) = entry.as_ref().filter(|entry| service.is_spread(entry)) else { continue };
            let known = entry.spec.host.name().and_then(|name| self.known.get(name));
            places.insert(index, known.map(Addresses::all).unwrap_or_default());
        }
        for (which, entry) in service.entries_mut() {
            let is_alone = !matches!(which, Which::Regular(_));
            if is_alone && entry.spec.host.service().is_some() && entry.spec.port.is_none() {
                let known = entry.spec.host.name().and_then(|name| self.known.get(name));
                entry.spec.port = known.and_then(|known| known.first.port).map(Port::Number);
            }
            self.number_server(entry, waits).map_err(|trouble| format!("{which}: {trouble}"))?;
        }
        spread(&mut service, &places, before);
        if let Some(AddressValue::Target(LogTarget::Network { host, port, .. })) =
            service.values.address_mut(Address::Log)
        {
            self.number(host, Some(port)).map_err(|trouble| format!("log: {trouble}"))?;
        }
        Ok(service)
    }

    /// With `waits` a name without an address is none of the operator's mistakes: the server waits for it.
    fn number_server(&mut self, entry: &mut ServerEntry, waits: bool) -> Result<(), String> {
        keep_name(entry)?;
        let known = entry.spec.host.name().and_then(|name| self.known.get(name));
        let is_unknown = known.is_none() && entry.spec.host.name().is_some();
        entry.host_name = entry.spec.host.name().unwrap_or_default().to_owned();
        entry.more = known.map(|known| known.more.iter().map(|place| place.ip).collect()).unwrap_or_default();
        if is_unknown && waits {
            // There it is never chosen.
            entry.spec.host = Host::Ip(Ipv4Addr::UNSPECIFIED.into());
        }
        self.number(&mut entry.spec.host, entry.spec.port.as_mut())
    }

    fn number(&mut self, host: &mut Host, port: Option<&mut Port>) -> Result<(), String> {
        if let Some(name) = host.name() {
            let address = self.known.get(name).ok_or_else(|| format!("host {name:?} was never looked up"))?;
            *host = Host::Ip(address.first.ip);
        } else if let Host::Name(zoned) = &*host
            && !self.zoned.contains(zoned)
        {
            // It keeps its zone, of which the interface must exist when it is first named.
            resolve::socket_address(host, 0)?;
            self.zoned.insert(zoned.clone());
        }
        if let Some(port) = port {
            *port = Port::Number(self.port_number(port)?);
        }
        Ok(())
    }

    fn port_number(&mut self, port: &Port) -> Result<u16, String> {
        let Port::Service(service) = port else { return resolve::port_number(port) };
        if let Some(number) = self.ports.get(service) {
            return Ok(*number);
        }
        let number = resolve::port_number(port)?;
        self.ports.insert(service.clone(), number);
        Ok(number)
    }
}

/// Whether a server whose name has no address waits for one.
fn waits(service: &ServiceConfig) -> bool {
    service.number(Number::Resolve) > 0
}

/// The host names of the servers of a service: those that are looked up again with `resolve`.
pub fn names_of_servers(service: &ServiceConfig) -> impl Iterator<Item = &str> {
    service.entries().filter_map(|(_, entry)| entry.spec.host.name())
}

/// Whether pen can do without an address of this name until there is one. A name that nobody has yet may become any
/// service's.
pub fn can_wait(config: &Config, name: &str) -> bool {
    let has_it = |service: &ServiceConfig| names_of_servers(service).any(|other| other == name);
    let is_new = !config.services.iter().any(|service| has_it(service));
    let is_of_process =
        config.process.values.metrics_listen().and_then(|address| address.host.name()) == Some(name);
    !is_of_process
        && config.services.iter().all(|service| {
            let is_needed = hosts_of_pen(service).any(|host| host.name() == Some(name));
            !is_needed && (waits(service) || !is_new && !has_it(service))
        })
}

/// The hosts that pen cannot do without.
fn hosts_of_pen(service: &ServiceConfig) -> impl Iterator<Item = &Host> {
    let log = service.log().and_then(|target| match target {
        LogTarget::Network { host, .. } => Some(host),
        _ => None,
    });
    service.listeners().map(|address| &address.host).chain(log)
}

/// A server's certificate is for its name, which is about to become a number.
fn keep_name(entry: &mut ServerEntry) -> Result<(), String> {
    match (&mut entry.tls, &entry.spec.host) {
        (ServerTls::On { name: name @ None, .. }, Host::Name(host)) if !host.starts_with(SRV) => {
            *name = host_name(host);
        }
        (ServerTls::On { verify: true, name: None, .. }, Host::Unix(host) | Host::Name(host)) => {
            return Err(format!("tls: want a name after verify, because {host} is none"));
        }
        _ => {}
    }
    Ok(())
}

/// The host names of everything that a configuration uses.
pub fn names_of(config: &Config) -> Vec<String> {
    let names = config
        .services
        .iter()
        .flat_map(|service| names_of_servers(service).chain(hosts_of_pen(service).filter_map(Host::name)));
    let of_process = config.process.values.metrics_listen().and_then(|address| address.host.name());
    let mut names: Vec<String> = names.chain(of_process).map(String::from).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MAIN;
    use pen_proto::addr::ServerSpec;

    #[test]
    fn a_name_keeps_its_address_while_the_name_server_is_away() {
        let mut names = Names::new(|_| unreachable!());
        let (name, reason) = ("a".to_string(), "no answer".to_string());
        assert_eq!(names.learn(vec![(name.clone(), Err(reason.clone()))]), [(name.clone(), reason.clone())]);
        assert!(!names.knows("a"));
        assert_eq!(names.learn(vec![(name.clone(), Ok([10, 0, 0, 1].into()))]), []);
        assert_eq!(names.learn(vec![(name.clone(), Err(reason.clone()))]), [(name, reason)]);
        assert!(names.knows("a"));
    }

    #[test]
    fn a_service_is_looked_up_once() {
        let mut names = Names::new(|_| unreachable!());
        names.ports.insert("in no file".into(), 7);
        let mut config = Config::default();
        let mut entry = ServerEntry::from(ServerSpec::at(Host::parse("10.0.0.1").unwrap()));
        entry.spec.port = Some(Port::Service("in no file".into()));
        config.make_service(MAIN).servers.push(Some(entry));
        let numeric = names.numeric(&config, &Config::default()).unwrap();
        let port = |config: &Config| config.services[0].servers[0].clone().unwrap().spec.port;
        assert_eq!(port(&numeric), Some(Port::Number(7)));
        config.make_service(MAIN).servers[0].as_mut().unwrap().spec.port =
            Some(Port::Service("in none either".into()));
        assert!(names.numeric(&config, &Config::default()).unwrap_err().starts_with("server 0: port: want"));
    }
}
