//! Host names in the configuration: who needs looking up, the addresses last found, and helper threads that look up
//! while others go on.
//!
//! A running pen never waits for a name server in front of its control clients: `server.rs` has names looked up by
//! [`Helpers`] before it executes a command. At start and on reload waiting is fine ([`Names::look_up_now`]).

use crate::net::resolve;
use crate::settings::{Config, ServerEntry};
use pen_proto::addr::{Host, ListenAddr, Port};
use pen_proto::commands::{Command, LogTarget, ServerChange, ServerTls, host_name};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Helper threads at once; a name server that does not answer can hold no more than these.
pub const HELPERS_MAX: usize = 4;

/// Finds the address of a host name; may take as long as the resolver library likes.
pub type Lookup = fn(&str) -> Result<IpAddr, String>;

/// The first address that the system's resolver gives, as in Pen.
///
/// # Errors
///
/// A name that is unknown or cannot be looked up.
pub fn look_up(name: &str) -> Result<IpAddr, String> {
    resolve::socket_address(&Host::Name(name.into()), 0).map(|address| address.ip())
}

/// The names that must be looked up before `command` can be carried out.
pub fn names_in(command: &Command) -> Vec<String> {
    let name = |host: &Host| match host {
        Host::Name(name) => Some(name.clone()),
        Host::Ip(_) | Host::Unix(_) => None,
    };
    match command {
        Command::Listen(Some(address)) => name(&address.host).into_iter().collect(),
        Command::Log(Some(LogTarget::Network { host, .. })) => name(host).into_iter().collect(),
        Command::Server { changes, .. } => {
            let hosts = changes.iter().filter_map(|change| match change {
                ServerChange::Address(host) => name(host),
                _ => None,
            });
            hosts.collect()
        }
        _ => Vec::new(),
    }
}

/// The addresses last found, by name.
#[derive(Debug, Clone)]
pub struct Names {
    lookup: Lookup,
    known: HashMap<String, IpAddr>,
}

impl Names {
    pub fn new(lookup: Lookup) -> Names {
        Names { lookup, known: HashMap::new() }
    }

    /// The way these names are looked up, for [`Helpers`].
    pub fn lookup(&self) -> Lookup {
        self.lookup
    }

    /// Remembers what a look-up found.
    pub fn learn(&mut self, found: Vec<(String, IpAddr)>) {
        self.known.extend(found);
    }

    /// Looks a name up here and now. If it had an address before it keeps it when the look-up fails: a name server
    /// that is away for a moment takes no server away.
    ///
    /// # Errors
    ///
    /// The name never had an address.
    pub fn look_up_now(&mut self, name: &str) -> Result<(), String> {
        match (self.lookup)(name) {
            Ok(address) => {
                self.known.insert(name.to_string(), address);
                Ok(())
            }
            Err(_) if self.known.contains_key(name) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// `config` with every host and port of servers, listener and log a number, so that using it needs no look-up.
    ///
    /// # Errors
    ///
    /// A name that was not looked up before, or a service that is not known; with the setting it stands in.
    pub fn numeric(&self, config: &Config) -> Result<Config, String> {
        let mut config = config.clone();
        // First, because servers may have their port from it: the error belongs to where it was written.
        if let Some(ListenAddr { host, port, .. }) = &mut config.listen {
            self.number(host, port.as_mut()).map_err(|trouble| format!("listen: {trouble}"))?;
        }
        for (index, entry) in config.servers.iter_mut().enumerate() {
            self.number_server(entry.as_mut()).map_err(|trouble| format!("server {index}: {trouble}"))?;
        }
        self.number_server(config.emergency.as_mut()).map_err(|trouble| format!("-e: {trouble}"))?;
        self.number_server(config.abuse.as_mut()).map_err(|trouble| format!("-B: {trouble}"))?;
        if let Some(LogTarget::Network { host, port, .. }) = &mut config.log {
            self.number(host, Some(port)).map_err(|trouble| format!("log: {trouble}"))?;
        }
        Ok(config)
    }

    fn number_server(&self, entry: Option<&mut ServerEntry>) -> Result<(), String> {
        let Some(entry) = entry else { return Ok(()) };
        keep_name(entry)?;
        self.number(&mut entry.spec.host, entry.spec.port.as_mut())
    }

    fn number(&self, host: &mut Host, port: Option<&mut Port>) -> Result<(), String> {
        if let Host::Name(name) = host {
            let address = self.known.get(name).ok_or_else(|| format!("host {name:?} was never looked up"))?;
            *host = Host::Ip(*address);
        }
        if let Some(port) = port {
            *port = Port::Number(resolve::port_number(port)?);
        }
        Ok(())
    }
}

/// A server's certificate is for its name, which is about to become a number.
fn keep_name(entry: &mut ServerEntry) -> Result<(), String> {
    match (&mut entry.tls, &entry.spec.host) {
        (ServerTls::On { name: name @ None, .. }, Host::Name(host)) => *name = host_name(host),
        (ServerTls::On { verify: true, name: None }, Host::Unix(path)) => {
            return Err(format!("tls: want a name after verify, because {path} is none"));
        }
        _ => {}
    }
    Ok(())
}

/// The host names of everything that a configuration uses.
pub fn names_of(config: &Config) -> Vec<String> {
    let servers = config.servers.iter().chain([&config.emergency, &config.abuse]).flatten();
    let mut hosts: Vec<&Host> = servers.map(|entry| &entry.spec.host).collect();
    hosts.extend(config.listen.as_ref().map(|address| &address.host));
    if let Some(LogTarget::Network { host, .. }) = &config.log {
        hosts.push(host);
    }
    let mut names: Vec<String> = hosts
        .into_iter()
        .filter_map(|host| match host {
            Host::Name(name) => Some(name.clone()),
            Host::Ip(_) | Host::Unix(_) => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What a helper found out about all the names of one question.
pub type Found = Result<Vec<(String, IpAddr)>, String>;

/// Short-lived threads that look names up, at most [`HELPERS_MAX`] at once.
pub struct Helpers {
    sender: Sender<(u64, Found)>,
    receiver: Receiver<(u64, Found)>,
    busy: usize,
}

impl Default for Helpers {
    fn default() -> Helpers {
        let (sender, receiver) = channel();
        Helpers { sender, receiver, busy: 0 }
    }
}

impl Helpers {
    /// Whether another question can be taken now.
    pub fn are_free(&self) -> bool {
        self.busy < HELPERS_MAX
    }

    /// Starts a helper for a question; `done` is called on the helper's thread when [`Helpers::collect`] has its
    /// answer. Ask only while [`Helpers::are_free`].
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub fn ask(
        &mut self,
        question: u64,
        names: Vec<String>,
        lookup: Lookup,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<(), String> {
        let sender = self.sender.clone();
        let work = move || {
            let found = names.into_iter().map(|name| lookup(&name).map(|address| (name, address))).collect();
            // Fails only when the control server is gone, and then nobody waits.
            let _ = sender.send((question, found));
            done();
        };
        thread::Builder::new()
            .name("pen-names".into())
            .spawn(work)
            .map_err(|error| format!("cannot start a thread to look up a name: {error}"))?;
        self.busy += 1;
        Ok(())
    }

    /// The next answer, with its question's number; never waits.
    pub fn collect(&mut self) -> Option<(u64, Found)> {
        let answer = self.receiver.try_recv().ok()?;
        self.busy -= 1;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_address_while_the_name_server_is_away() {
        let mut names = Names::new(|name| Err(format!("no answer for {name}")));
        assert_eq!(names.look_up_now("a"), Err("no answer for a".into()));
        names.learn(vec![("a".into(), [10, 0, 0, 1].into())]);
        assert_eq!(names.look_up_now("a"), Ok(()));
    }
}
