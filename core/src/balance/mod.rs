//! Which server gets a client. Pure: the time is an argument, and nothing here opens a socket.
//!
//! Owns the client table, the servers' state and the rules between them. Workers share one [`Balancer`] behind a short
//! lock, taken to admit a client and to release its connection (and in between only when a connect fails), never across
//! a system call. Statistics and control commands read it in `status.rs`.
//!
//! The order of the rules is Pen's. On purpose different:
//!
//! - A place at a server is counted from the moment of the choice, so a maximum also holds while connects are under way.
//! - A connect that fails late fails over as well; each server is tried at most once for a connection.
//! - A client that its first server does not take goes where the policy in force prefers among those that take it, not
//!   to the neighbour, whose share would double.
//! - When nobody else takes a client, servers that failed are tried again; what the operator blacklisted is not.
//! - Gaps, port 0 and unspecified addresses are never chosen.
//! - A client that `client_acl` denies never reaches the emergency server.
//! - A server without a weight has weight 1.
//!
//! `now_seconds` is epoch seconds throughout and must not go back: a failure in the future counts as a blacklisting.

mod attempt;
mod clients;
mod direct;
mod glance;
mod idlers;
mod policy;
mod routes;
mod servers;
mod status;
mod tried;
mod walk;

pub use attempt::{Admission, Asker, Attempt, Refusal, Released};
pub use clients::{Room as ClientRoom, SlotKey};
pub use idlers::{IdlerPlace, IdlerTarget};
pub use pen_proto::endpoint::Places;
pub use routes::Route;
pub use servers::{Endpoint, SERVERS_MAX, ServerId, ServerSetup, TlsEndpoint};
pub use status::{add_idlers, add_live};

use crate::settings::Settings;
use attempt::Hold;
use clients::ClientTable;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};
use policy::Policies;
use servers::{Server, Servers};
use std::sync::Arc;
use tried::Tried;
use walk::Walk;

/// Clients, servers, and the choice between them.
pub struct Balancer {
    clients: ClientTable,
    servers: Servers,
    policies: Policies,
    tried: Tried,
    /// The server tried last.
    current: ServerId,
    /// Only servers that failed were left for a client, and none of them has taken one since.
    is_outage: bool,
}

impl Balancer {
    /// Without servers, and with room for `clients_max` clients (0 counts as 1).
    ///
    /// # Panics
    /// Without memory.
    pub fn new(clients_max: u32) -> Balancer {
        Balancer::with_clients(ClientTable::new(clients_max))
    }

    /// Without servers, and with this room for clients.
    pub fn in_room(clients: ClientRoom) -> Balancer {
        Balancer::with_clients(ClientTable::in_room(clients))
    }

    fn with_clients(clients: ClientTable) -> Balancer {
        Balancer {
            clients,
            servers: Servers::default(),
            policies: Policies::default(),
            tried: Tried::default(),
            current: ServerId::NONE,
            is_outage: false,
        }
    }

    /// Replaces the servers. What is known of each stays with its index: connections, totals, and the failure stamp
    /// unless the address changed. Clients stay with the index too, as in Pen.
    ///
    /// # Panics
    /// With more than [`SERVERS_MAX`] regular servers.
    pub fn set_servers(
        &mut self,
        regular: Vec<ServerSetup>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) {
        self.servers.set(regular, emergency, abuse);
    }

    /// Gives the clients a larger room; one that is not larger changes nothing.
    pub fn grow_clients(&mut self, room: ClientRoom) {
        self.clients.grow(room);
    }

    /// Whether `client_acl` denies the client and there is no abuse server for it: nothing need be asked of it.
    pub fn turns_away(&self, settings: &Settings, client: ClientAddr) -> bool {
        let has_abuse_server =
            || self.servers.get(ServerId::ABUSE).is_some_and(|server| server.setup.endpoint.is_complete());
        !permits(settings, settings.number(Number::ClientAcl), client) && !has_abuse_server()
    }

    /// What a client asks for that names this server in TLS, in lower case.
    pub fn route(&self, name: Option<&str>) -> Route {
        self.servers.route(name)
    }

    /// Blacklists a server for `seconds` from now, whatever the blacklist time; 0 releases it. A server that does not
    /// exist is ignored.
    pub fn blacklist(&mut self, settings: &Settings, server: ServerId, seconds: u32, now_seconds: u32) {
        let forgiven_seconds = forgiven_seconds(settings, now_seconds);
        self.servers.change(server, |server| server.blacklist(seconds, forgiven_seconds));
    }

    /// Counts the client and reserves a place for it at the first server that takes it. `port` is the client's, 0 for a
    /// Unix socket.
    pub fn admit(
        &mut self,
        settings: &Settings,
        asker: impl Into<Asker>,
        port: u16,
        now_seconds: u32,
    ) -> Admission {
        let asker = asker.into();
        let client = asker.client;
        let slot = self.clients.touch(client, now_seconds, settings.number(Number::Tracking));
        let walk = Walk::new(settings, asker, now_seconds);
        let (initial, refusal) = match permits(settings, settings.number(Number::ClientAcl), client) {
            true => (self.initial_server(walk, port, slot), Refusal::NoServer),
            false => (ServerId::ABUSE, Refusal::Denied),
        };
        let mut attempt = Attempt::new(slot, initial);
        match self.begin(walk, &mut attempt) {
            Some(endpoint) => Admission::Connect(attempt, endpoint),
            None => Admission::Refused(refusal),
        }
    }

    /// The connect failed or timed out. Blacklists the server and reserves a place at the next one; `None` when the
    /// client cannot be helped.
    pub fn failed(
        &mut self,
        settings: &Settings,
        asker: impl Into<Asker>,
        attempt: &mut Attempt,
        now_seconds: u32,
    ) -> Option<Arc<Endpoint>> {
        self.give_back(attempt, |_| ())?;
        self.servers.connect_failed(attempt.current, attempt.era, now_seconds);
        self.go_on(Walk::new(settings, asker.into(), now_seconds), attempt)
    }

    /// The server could not be tried for a reason on our side, such as no free local port. As [`Balancer::failed`], but
    /// nobody is blamed.
    pub fn passed_over(
        &mut self,
        settings: &Settings,
        asker: impl Into<Asker>,
        attempt: &mut Attempt,
        now_seconds: u32,
    ) -> Option<Arc<Endpoint>> {
        self.give_back(attempt, |_| ())?;
        self.go_on(Walk::new(settings, asker.into(), now_seconds), attempt)
    }

    /// The connect succeeded: the server's failures are forgotten. Needed only if [`Attempt::clears_failure`]. True when
    /// this ends what [`Attempt::begins_outage`] told.
    pub fn connected(&mut self, attempt: &Attempt) -> bool {
        if attempt.hold == Hold::Nothing {
            return false;
        }
        if let Some(index) = attempt.current.index() {
            self.policies.stood_in(index, self.tried.of(attempt.tried));
        }
        self.succeeded(attempt.current, attempt.era)
    }

    /// The client is served. When it loses this server some day, those that did not do before may be well again. For
    /// clients that can change servers as long as they like.
    pub fn forget_tried(&mut self, attempt: &mut Attempt) {
        self.tried.forget(&mut attempt.tried);
    }

    /// The server has accepted at another of its addresses: that one is tried first from now on. Needed only if
    /// [`Endpoint::is_second_choice`].
    pub fn prefer(&mut self, server: ServerId, endpoint: &Endpoint) {
        self.servers.change(server, |server| {
            if server.setup.endpoint.is_same_server(endpoint) {
                server.setup.put_at(Arc::new(endpoint.preferred()));
            }
        });
    }

    /// The connection has ended: gives its place back and adds up its bytes. Does nothing after a last failure.
    pub fn release(&mut self, mut attempt: Attempt, released: Released) {
        self.give_place_back(&mut attempt, released);
    }

    /// As [`Balancer::release`], before the attempt itself can be given up; to release it then does nothing more.
    pub fn give_place_back(&mut self, attempt: &mut Attempt, released: Released) {
        let Released { established, up_bytes, down_bytes } = released;
        let given_back = self.give_back(attempt, |server| {
            server.connections_total += u64::from(established);
            server.add_bytes(up_bytes, down_bytes);
        });
        if given_back.is_some() {
            self.clients.add_bytes(attempt.slot, down_bytes, up_bytes);
        }
        self.tried.forget(&mut attempt.tried);
    }

    /// Adds up bytes of a session that goes on, before it leaves a server.
    pub fn add_bytes(&mut self, attempt: &Attempt, up_bytes: u64, down_bytes: u64) {
        if self.change_held(attempt, |server| server.add_bytes(up_bytes, down_bytes)).is_some() {
            self.clients.add_bytes(attempt.slot, down_bytes, up_bytes);
        }
    }

    /// Whether the client might go to another server than its present one, as far as that can be told without trying.
    pub fn has_other(
        &self,
        settings: &Settings,
        attempt: &Attempt,
        client: ClientAddr,
        now_seconds: u32,
    ) -> bool {
        let is_final = matches!(attempt.current, ServerId::ABUSE | ServerId::EMERGENCY);
        if is_final || settings.flag(Flag::Stubborn) {
            return false;
        }
        let forgiven_seconds = forgiven_seconds(settings, now_seconds);
        let tried = self.tried.of(attempt.tried);
        let regular = self.servers.regular().iter().enumerate();
        let untried = regular
            .filter(|(index, _)| attempt.current.index() != Some(*index) && !tried.contains(*index))
            .map(|(_, server)| server);
        untried.chain(self.servers.get(ServerId::EMERGENCY)).any(|server| {
            server.is_last_resort(forgiven_seconds)
                && server.has_room(false)
                && permits(settings, server.setup.acl.into(), client)
        })
    }

    /// The connect was given up for a reason that says nothing about the server: the client left, or pen ran out of
    /// something. Gives the place back and blames nobody.
    pub fn abandon(&mut self, attempt: Attempt) {
        self.release(attempt, Released::default());
    }

    /// A remembered server, unless it has ceased to be configured.
    fn known(&self, remembered: ServerId) -> ServerId {
        let is_gone = remembered.index().is_some_and(|index| index >= self.servers.regular().len());
        if is_gone { ServerId::NONE } else { remembered }
    }

    /// A connect that began in this era succeeded. True when an outage is over.
    fn succeeded(&mut self, id: ServerId, era: u16) -> bool {
        let is_news = self.servers.change(id, |server| server.connect_succeeded(era)) == Some(true);
        is_news && id.index().is_some() && std::mem::take(&mut self.is_outage)
    }

    /// The one place where a server's connections are counted down, while `change` tells it how the connection ended;
    /// `None` when the attempt holds no place.
    fn give_back(&mut self, attempt: &mut Attempt, change: impl FnOnce(&mut Server)) -> Option<()> {
        let given_back = self.change_held(attempt, |server| {
            server.connections -= 1;
            change(server);
        });
        attempt.hold = Hold::Nothing;
        given_back
    }

    /// Changes the server at which the attempt holds a place; `None` when there is none.
    fn change_held(&mut self, attempt: &Attempt, change: impl FnOnce(&mut Server)) -> Option<()> {
        if attempt.hold == Hold::Nothing {
            return None;
        }
        self.servers.change(attempt.current, change)
    }
}

/// Failures up to this second are over.
fn forgiven_seconds(settings: &Settings, now_seconds: u32) -> i64 {
    let blacklist_seconds = i64::try_from(settings.number(Number::Blacklist)).unwrap_or(i64::MAX);
    i64::from(now_seconds).saturating_sub(blacklist_seconds)
}

/// A list that does not exist lets nobody pass.
fn permits(settings: &Settings, list: u64, client: ClientAddr) -> bool {
    let acl = usize::try_from(list).ok().and_then(|list| settings.acls.get(list));
    acl.is_some_and(|acl| acl.permits(client, &settings.countries))
}
