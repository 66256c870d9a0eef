//! One service of a running balancer.

use super::balancer::seconds_of;
use super::error::Error;
use super::info::ServerInfo;
use super::line::Line;
use super::service::{Server, weight_of};
use crate::control::apply::{Running, Wanted};
use pen_proto::commands::{Command, SECONDS_MAX, ServerChange, ServerDeed};
use pen_proto::names::{Name, ServerRef};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

/// A service of a running [`Balancer`](crate::Balancer), from [`Balancer::service`](crate::Balancer::service).
///
/// Servers are called by their name, or by their number: `"blue"`, `0`.
///
/// ```
/// use pen::{Balancer, Server, ServerState, Service};
///
/// let web = Service::new("web").listen("127.0.0.1:0").server("blue=127.0.0.1:9001");
/// let balancer = Balancer::builder().service(web).start()?;
/// let web = balancer.service("web");
///
/// web.add(Server::new("127.0.0.1:9002").name("green"))?;
/// web.set_weight("green", 2.5)?;
/// web.drain("blue", None)?;
///
/// let servers = web.servers()?;
/// assert_eq!(servers[0].state, ServerState::Draining);
/// assert_eq!((servers[1].name.as_deref(), servers[1].weight), (Some("green"), 2.5));
/// assert_eq!(web.command("policy")?, "pen\n");
/// # Ok::<(), pen::Error>(())
/// ```
///
/// # Errors
/// Every call fails when there is no such service or server, or when the balancer has ended; the others say what else may
/// go wrong.
#[derive(Clone)]
pub struct ServiceHandle<'a> {
    line: &'a Line,
    name: String,
}

impl<'a> ServiceHandle<'a> {
    pub(super) fn new(line: &'a Line, name: String) -> ServiceHandle<'a> {
        ServiceHandle { line, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, with the real ports. Unix sockets are not among them.
    ///
    /// # Errors
    /// There is no such service.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let name = self.name.clone();
        let asked = self.line.ask(move |engine| {
            engine.config().meant(Some(&name))?;
            Ok(engine.running().map(|running| running.addresses(&name)).unwrap_or_default())
        });
        asked?.map_err(|trouble: String| Error::refused(trouble))
    }

    /// Its servers, but for the emergency and the abuse server.
    ///
    /// # Errors
    /// There is no such service.
    pub fn servers(&self) -> Result<Vec<ServerInfo>, Error> {
        let name = self.name.clone();
        let asked = self.line.ask(move |engine| {
            engine.config().meant(Some(&name))?;
            let status = engine.running().map(|running| running.ask(Wanted::Servers, &name));
            Ok(status.unwrap_or_default().servers.iter().filter_map(ServerInfo::of).collect())
        });
        asked?.map_err(|trouble: String| Error::refused(trouble))
    }

    /// Carries out a line of the language of commands for this service; see
    /// [`Balancer::command`](crate::Balancer::command).
    ///
    /// # Errors
    /// The command is wrong or could not be carried out, and nothing has changed.
    pub fn command(&self, line: &str) -> Result<String, Error> {
        let service = self.service()?;
        self.line.say(line, Some(service))
    }

    /// Adds a server; returns its number.
    ///
    /// # Errors
    /// Something is wrong with it, or its name is taken.
    pub fn add(&self, server: impl Into<Server>) -> Result<usize, Error> {
        let reply = self.line.command(Some(self.service()?), server.into().command()?)?;
        reply.trim().parse().map_err(|_| Error::refused(format!("server add: answered {reply:?}")))
    }

    /// Takes a server away. Its connections end on their own.
    ///
    /// # Errors
    /// There is no such server.
    pub fn remove(&self, server: impl Display) -> Result<(), Error> {
        self.deed(server, ServerDeed::Remove { now: false })
    }

    /// Takes a server away and cuts its connections.
    ///
    /// # Errors
    /// There is no such server.
    pub fn remove_now(&self, server: impl Display) -> Result<(), Error> {
        self.deed(server, ServerDeed::Remove { now: true })
    }

    /// Sends nobody to a server any more; its connections may end, and are cut after `at_most`, in whole seconds rounded
    /// up. It is still checked. [`ServiceHandle::enable`] takes it back into service.
    ///
    /// # Errors
    /// There is no such server.
    pub fn drain(&self, server: impl Display, at_most: Option<Duration>) -> Result<(), Error> {
        let most = at_most.map(|limit| seconds_of(limit).clamp(1, SECONDS_MAX));
        // The bound makes it fit.
        self.deed(server, ServerDeed::Drain(most.map(|seconds| seconds as u32)))
    }

    /// Sends nobody to a server any more, and checks it no longer; its connections go on.
    ///
    /// # Errors
    /// There is no such server.
    pub fn disable(&self, server: impl Display) -> Result<(), Error> {
        self.deed(server, ServerDeed::Disable)
    }

    /// Takes a server back into service that drains or is disabled.
    ///
    /// # Errors
    /// There is no such server.
    pub fn enable(&self, server: impl Display) -> Result<(), Error> {
        self.deed(server, ServerDeed::Enable)
    }

    /// Gives a server another weight, from 0 to 65535; three decimals count.
    ///
    /// # Errors
    /// There is no such server, or the weight is out of bounds.
    pub fn set_weight(&self, server: impl Display, weight: f64) -> Result<(), Error> {
        let weight = weight_of(weight).map_err(Error::refused)?;
        let (server, changes) = (server_of(server)?, vec![ServerChange::Weight(weight)]);
        self.line.command(Some(self.service()?), Command::Server { server, changes }).map(drop)
    }

    fn deed(&self, server: impl Display, deed: ServerDeed) -> Result<(), Error> {
        let server = Some(server_of(server)?);
        self.line.command(Some(self.service()?), Command::ServerDeed { server, deed }).map(drop)
    }

    fn service(&self) -> Result<Name, Error> {
        Name::of_existing(&self.name).map_err(|trouble| Error::refused(format!("service: {trouble}")))
    }
}

fn server_of(server: impl Display) -> Result<ServerRef, Error> {
    ServerRef::parse(&server.to_string()).map_err(|trouble| Error::refused(format!("server: {trouble}")))
}

impl fmt::Debug for ServiceHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceHandle").field(&self.name).finish()
    }
}
