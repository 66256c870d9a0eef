//! A service and its servers, as a program describes them before the start.

use super::error::Error;
use super::policy::{Policy, Shared};
use crate::checks::Check;
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{Command, ServerChange};
use pen_proto::names::{Name, with_name};
use pen_proto::parse;
use pen_proto::weight::Weight;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// What listens on some addresses and chooses among some servers, under settings of its own.
///
/// Mistakes in it are told by [`Builder::start`](crate::Builder::start).
///
/// ```
/// use pen::{Server, Service};
///
/// let web = Service::new("web")
///     .listen("127.0.0.1:0")
///     .server(Server::new("10.0.0.1:80").name("blue").weight(2.0))
///     .server("10.0.0.2:80")
///     .command("policy least_conn")
///     .command("blacklist 5");
/// # let _ = web;
/// ```
#[must_use = "a service does nothing until a builder has it"]
pub struct Service {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
    pub(super) listeners: Vec<Listen>,
    pub(super) servers: Vec<Server>,
    pub(super) policy: Option<Shared>,
    pub(super) check: Option<Arc<dyn Check>>,
}

/// Where a service listens.
#[derive(Debug)]
pub(super) enum Listen {
    /// In the language of commands; port 0 as well.
    At(String),
    /// At what the program has opened.
    On(OwnedFd),
}

impl Service {
    /// A service without listeners and servers. Its name is a letter, then letters, digits, `-`, `_` and `.`, at most 63.
    pub fn new(name: impl Into<String>) -> Service {
        let (lines, listeners, servers) = (Vec::new(), Vec::new(), Vec::new());
        Service { name: name.into(), lines, listeners, servers, policy: None, check: None }
    }

    /// Listens at an address: `127.0.0.1:80`, `[::1]:80`, `80` for all addresses, or the path of a Unix socket. An IP
    /// address with port 0, such as `127.0.0.1:0`, gets a free port, which
    /// [`ServiceHandle::addresses`](crate::ServiceHandle::addresses) tells. May be said several times.
    pub fn listen(mut self, address: impl ToString) -> Service {
        self.listeners.push(Listen::At(address.to_string()));
        self
    }

    /// Listens on a socket that the program has opened: a [`TcpListener`](std::net::TcpListener), a
    /// [`UnixListener`](std::os::unix::net::UnixListener), or, with `udp`, a [`UdpSocket`](std::net::UdpSocket). It
    /// is the balancer's from now on; the file of a Unix socket is removed when it is closed.
    pub fn listen_on(mut self, socket: impl Into<OwnedFd>) -> Service {
        self.listeners.push(Listen::On(socket.into()));
        self
    }

    /// One more server: a [`Server`], or its address.
    pub fn server(mut self, server: impl Into<Server>) -> Service {
        self.servers.push(server.into());
        self
    }

    /// Chooses servers by a policy of the program. It stands before the built-in ones, which the command `policy`
    /// names (`.command("policy least_conn")`): one of these chooses where it has no opinion.
    pub fn policy(mut self, policy: impl Policy) -> Service {
        self.policy = Some(Shared(Arc::new(Mutex::new(Box::new(policy)))));
        self
    }

    /// Checks servers by a check of the program. It takes the place of `check dummy`, which the service says from now on;
    /// `check_interval`, `check_timeout`, `check_rise` and `check_fall` count for it as for those of pen, and a server, or
    /// a later command, may name another check.
    pub fn check(mut self, check: impl Check) -> Service {
        self.check = Some(Arc::new(check));
        self.command("check dummy")
    }

    /// A line of the language of commands for this service, such as `udp` or `idle_timeout 60`. `docs/commands.md` lists
    /// them.
    pub fn command(mut self, line: impl Into<String>) -> Service {
        self.lines.push(line.into());
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut service = f.debug_struct("Service");
        service.field("name", &self.name).field("commands", &self.lines).field("servers", &self.servers);
        service.finish_non_exhaustive()
    }
}

/// A server of a [`Service`].
///
/// The simplest one is its address: `"10.0.0.1:80"`, `"db.example.org:3306"`, a path of a Unix socket, or a
/// [`SocketAddr`]. Fields of the command line may follow (`HOST[:PORT[:MAX[:HARD[:WEIGHT[:PRIO]]]]]`), and a name may stand
/// before it: `"blue=10.0.0.1:80"`.
///
/// ```
/// use pen::Server;
/// use std::net::SocketAddr;
///
/// let by_address = Server::from("10.0.0.1:80");
/// let by_socket_address = Server::from(SocketAddr::from(([10, 0, 0, 2], 80)));
/// let with_more = Server::new("10.0.0.3:80").name("blue").weight(0.5).keys("max 100 check connect");
/// # let _ = (by_address, by_socket_address, with_more);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a server does nothing until a service has it"]
pub struct Server {
    address: String,
    name: Option<String>,
    weight: Option<f64>,
    keys: Vec<String>,
}

impl Server {
    /// The server at this address.
    pub fn new(address: impl ToString) -> Server {
        Server { address: address.to_string(), name: None, weight: None, keys: Vec::new() }
    }

    /// Its name, which every command and every call takes in place of its number. It must differ from those of the other
    /// servers of its service.
    pub fn name(mut self, name: impl Into<String>) -> Server {
        self.name = Some(name.into());
        self
    }

    /// Its share of new clients, with policies that go by weight: from 0 to 65535, three decimals count. With 0 only
    /// clients that belong to it are sent to it.
    pub fn weight(mut self, weight: f64) -> Server {
        self.weight = Some(weight);
        self
    }

    /// Keys of the command `server N` with their values, such as `max 100` or `tls verify www.example.org`.
    pub fn keys(mut self, keys: impl Into<String>) -> Server {
        self.keys.push(keys.into());
        self
    }

    /// The command that adds it.
    pub(super) fn command(&self) -> Result<Command, Error> {
        let told = |trouble: String| Error::refused(format!("server {}: {trouble}", self.address));
        let (before, address) = with_name(&self.address).map_err(told)?;
        let name = self.name.as_deref().map(Name::parse).transpose().map_err(told)?.or(before);
        let spec = ServerSpec::parse(address).map_err(told)?;
        let mut changes = Vec::new();
        if let Some(weight) = self.weight {
            changes.push(ServerChange::Weight(weight_of(weight).map_err(told)?));
        }
        for keys in &self.keys {
            changes.extend(read_keys(keys).map_err(told)?);
        }
        Ok(Command::AddServer { name, spec, changes })
    }
}

fn read_keys(keys: &str) -> Result<Vec<ServerChange>, String> {
    let line = parse::line(&format!("server 0 {keys}")).map_err(|error| error.to_string())?;
    match line.and_then(|line| line.command) {
        Some(Command::Server { changes, .. }) => Ok(changes),
        _ => Err(format!("want keys with their values, got {keys:?}")),
    }
}

/// The weight that a program gives as a number.
pub(super) fn weight_of(weight: f64) -> Result<Weight, String> {
    // In the form in which people write it, so that the bounds are the same.
    Weight::parse(&format!("{weight:.3}")).map_err(|trouble| format!("weight: {trouble}"))
}

impl From<&str> for Server {
    fn from(address: &str) -> Server {
        Server::new(address)
    }
}

impl From<String> for Server {
    fn from(address: String) -> Server {
        Server::new(address)
    }
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Server {
        Server::new(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_command_or_an_error_that_names_it() {
        let command =
            Server::new("10.0.0.1:80:9").name("a").weight(0.5).keys("hard 12 prio 3").command().unwrap();
        let Command::AddServer { name, spec, changes } = command else { panic!("{command:?}") };
        assert_eq!((name.as_deref(), spec.to_string()), (Some("a"), "10.0.0.1:80:9".to_owned()));
        let written: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["weight 0.5", "hard 12", "prio 3"]);
        let named = Server::from("b=[::1]:80").command().unwrap();
        assert!(matches!(named, Command::AddServer { name: Some(name), .. } if &*name == "b"));
        for (server, error) in [
            (
                Server::new("10.0.0.1:80").weight(-1.0),
                "server 10.0.0.1:80: weight: want 0..65535, got \"-1.000\"",
            ),
            (
                Server::new("10.0.0.1:80").weight(f64::NAN),
                "server 10.0.0.1:80: weight: want 0..65535, got \"NaN\"",
            ),
            (
                Server::new("10.0.0.1:x y"),
                "server 10.0.0.1:x y: port: want 1..65535 or a service name, got \"x y\"",
            ),
            (Server::new("10.0.0.1:80").name("add"), "server 10.0.0.1:80: want another name than "),
            (
                Server::new("10.0.0.1:80").keys("enable"),
                "server 10.0.0.1:80: want keys with their values, got \"enable\"",
            ),
            (Server::new("10.0.0.1:80").keys("max x"), "server 10.0.0.1:80: "),
        ] {
            let told = server.command().unwrap_err().to_string();
            assert!(told.starts_with(error), "{told}");
        }
    }
}
