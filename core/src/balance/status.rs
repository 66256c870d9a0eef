//! What statistics and control commands see of a selection. Pure.
//!
//! Fills the status types of the protocol crate; it formats nothing. Totals are of ended connections until
//! [`add_live`] has added the open ones.

use super::checked::Untested;
use super::clients::Client;
use super::servers::{Server, ServerId, ServerSetup, TlsEndpoint};
use super::warmth::Warmth;
use super::{Chooser, Selection};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{LoadSource, Role, ServerTls};
use pen_proto::load::Load;
use pen_proto::status::{ClientStatus, ConnectionStatus, ServerState, ServerStatus, ServerTimes, bits};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

impl Selection {
    /// The server tried last; [`ServerId::NONE`] before the first client.
    pub fn current_server(&self) -> ServerId {
        self.current
    }

    /// How many regular servers would take clients, and how many there are, those of groups that are not in use left out.
    pub fn count_up(&self, now_seconds: u32) -> (u64, u64) {
        let is_counted = |server: &&Server| !server.setup.in_reserve && server.setup.role == Role::Member;
        let of_group = self.servers.regular().iter().filter(is_counted);
        let states = of_group.map(|server| server.state(self.rules.blacklist_seconds, now_seconds));
        states.fold((0, 0), |(up, all), state| match state {
            ServerState::Unset => (up, all),
            ServerState::Up | ServerState::Full | ServerState::Standby => (up + 1, all + 1),
            _ => (up, all + 1),
        })
    }

    /// Regular servers in order, gaps and those that are being removed included, then the emergency and the abuse server
    /// where configured.
    pub fn server_statuses(&self, now_seconds: u32) -> Vec<ServerStatus> {
        let regular = self.servers.listed().iter().enumerate();
        let regular = regular.map(|(index, server)| (ServerId::regular(index), server));
        let special = [ServerId::EMERGENCY, ServerId::ABUSE].into_iter().filter_map(|id| {
            let server = self.servers.get(id)?;
            (server.setup != ServerSetup::default()).then_some((id, server))
        });
        let blacklist_seconds = self.rules.blacklist_seconds;
        let status = |(id, server)| ServerStatus {
            uris: self.policies.uris(id),
            ..server_status(id, server, blacklist_seconds, now_seconds)
        };
        regular.chain(special).map(status).collect()
    }

    /// How many connections to its servers have ended.
    pub fn connections_ended(&self) -> u64 {
        let special =
            [ServerId::EMERGENCY, ServerId::ABUSE].into_iter().filter_map(|id| self.servers.get(id));
        self.servers.listed().iter().chain(special).map(|server| server.connections_total).sum()
    }
}

impl Chooser<'_> {
    /// How many clients are remembered in a range of slots.
    pub fn count_clients(&self, slots: Range<u32>, now_seconds: u32) -> u64 {
        self.clients.clients(slots, now_seconds, self.rules.tracking_seconds).count() as u64
    }

    /// The remembered clients in a range of slots, by slot. A large table is best read in several ranges, letting go of
    /// the lock in between.
    pub fn client_statuses(&self, slots: Range<u32>, now_seconds: u32) -> impl Iterator<Item = ClientStatus> {
        let clients = self.clients.clients(slots, now_seconds, self.rules.tracking_seconds);
        let servers = &self.servers;
        clients.map(move |client| client_status(&client, servers.known(client.server), now_seconds))
    }
}

fn server_status(id: ServerId, server: &Server, blacklist_seconds: u64, now_seconds: u32) -> ServerStatus {
    let setup = &server.setup;
    let state = server.state(blacklist_seconds, now_seconds);
    ServerStatus {
        index: id.number(),
        address: setup.address_text.clone(),
        port: setup.endpoint.port(),
        failed_at_epoch_seconds: server.standing.failed_at_seconds(),
        blacklisted_seconds: server.blacklisted_seconds(blacklist_seconds, now_seconds),
        connections: server.connections,
        idlers: 0, // the workers have them: `add_idlers`
        max: setup.max,
        hard: setup.hard,
        weight: setup.weight,
        prio: setup.prio,
        acl: setup.acl,
        proxy: setup.proxy.to_string(),
        role: server.role_at(now_seconds),
        tls: setup.endpoint.tls().map_or(ServerTls::Off, TlsEndpoint::said).to_string(),
        sent_bytes: server.sent_bytes,
        received_bytes: server.received_bytes,
        connections_total: server.connections_total,
        failures_total: server.failures_total,
        failed: server.standing.has_failed(),
        times: None, // the workers have them: `add_times`
        state: Some(state),
        name: setup.name.clone(),
        group: setup.group.clone(),
        in_reserve: setup.in_reserve,
        since_epoch_seconds: server.since_seconds(state).map(u64::from),
        reason: reason(state, server),
        discovered: setup.untested == Untested::NotUsed,
        check: (!setup.check_text.is_empty()).then(|| setup.check_text.clone()),
        check_us: server.checked.took_us,
        load: server.load(),
        maxload: Some(setup.maxload).filter(|maxload| *maxload > Load::default()),
        effective_load: server.effective_load_percent(),
        standby: setup.standby > 0,
        load_from: (setup.load_source != LoadSource::None).then(|| setup.load_source.shown()),
        load_error: server.loaded.as_ref().and_then(|loaded| loaded.error.as_deref()).map(String::from),
        uris: None, // the policy has them
    }
}

/// What is known of the cause beside the word.
fn reason(state: ServerState, server: &Server) -> Option<String> {
    let reason = match state {
        ServerState::Up => None,
        ServerState::Warming if server.warmth != Warmth::Warm => Some("warm_up"),
        ServerState::Warming => Some("slow_start"),
        ServerState::Avoid => return Some(server.verdict_reason()),
        ServerState::Down if server.standing.is_down() => return Some(server.verdict_reason()),
        ServerState::Disabled | ServerState::Draining if server.setup.duty.is_enabled() => {
            return Some(server.agent_reason());
        }
        ServerState::Down if !server.standing.has_failed() => return Some(server.agent_reason()),
        ServerState::Unset => Some("no address"),
        ServerState::Removing | ServerState::Disabled | ServerState::Draining | ServerState::Blacklisted => {
            Some("by command")
        }
        ServerState::Down => Some("connect failed"),
        ServerState::Full => match (server.is_overloaded(), server.load()) {
            (true, Some(load)) => return Some(format!("load {load} of {}", server.setup.maxload)),
            _ => Some("maximum of connections"),
        },
        ServerState::Standby if server.setup.in_reserve => Some("another group is in use"),
        ServerState::Standby => Some("waits for others to be gone"),
    };
    reason.map(String::from)
}

impl Server {
    fn agent_reason(&self) -> String {
        self.loaded.as_ref().map(|loaded| loaded.reason()).unwrap_or_default()
    }

    fn verdict_reason(&self) -> String {
        self.checked.reason.as_deref().unwrap_or("not checked yet").to_owned()
    }
}

fn client_status(client: &Client, server: ServerId, now_seconds: u32) -> ClientStatus {
    ClientStatus {
        slot: client.slot,
        address: client.address.to_string(),
        age_seconds: now_seconds.saturating_sub(client.last_use_seconds).into(),
        server: server.number(),
        connects: client.connects.into(),
        sent_bytes: client.to_client_bytes,
        received_bytes: client.from_client_bytes,
    }
}

/// What open connections add to the totals of their servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveServers(HashMap<ServerId, Live>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Live {
    connections: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

impl LiveServers {
    /// A connection that its server has accepted.
    pub fn add(&mut self, server: ServerId, sent_bytes: u64, received_bytes: u64) {
        self.add_some(server, Live { connections: 1, sent_bytes, received_bytes });
    }

    /// The connections of another worker.
    pub fn merge(&mut self, other: &LiveServers) {
        other.0.iter().for_each(|(server, live)| self.add_some(*server, *live));
    }

    fn add_some(&mut self, server: ServerId, more: Live) {
        let live = self.0.entry(server).or_default();
        live.connections += more.connections;
        live.sent_bytes += more.sent_bytes;
        live.received_bytes += more.received_bytes;
    }
}

/// Adds the connections that are still open to the totals of their servers, so that long ones are seen before they end.
/// The servers are ordered as [`Selection`] gives them, with the regular ones first.
pub fn add_live(servers: &mut [ServerStatus], live: &LiveServers) {
    for (server, live) in &live.0 {
        if let Some(status) = server_of(servers, server.number()) {
            status.connections_total += live.connections;
            status.sent_bytes += live.sent_bytes;
            status.received_bytes += live.received_bytes;
        }
    }
}

/// The same for flows of direct server return, of which nobody keeps sums.
pub fn add_flows(servers: &mut [ServerStatus], flows: &[ConnectionStatus]) {
    for flow in flows.iter().filter(|flow| flow.state & bits::CONNECTED != 0) {
        if let Some(server) = server_of(servers, flow.server) {
            server.connections_total += 1;
            server.sent_bytes += flow.up_bytes;
            server.received_bytes += flow.down_bytes;
        }
    }
}

/// The same for clients, which are ordered by slot.
pub fn add_live_to_clients(clients: &mut [ClientStatus], connections: &[ConnectionStatus]) {
    for connection in connections.iter().filter(|connection| connection.state & bits::CONNECTED != 0) {
        if let Some(client) = client_of(clients, connection) {
            client.sent_bytes += connection.down_bytes;
            client.received_bytes += connection.up_bytes;
        }
    }
}

/// Adds the ready connections that workers have to regular servers.
pub fn add_idlers(servers: &mut [ServerStatus], idlers: &[(ServerId, usize)]) {
    for (server, count) in idlers {
        // A server that has just ceased to be configured may still have some.
        let found = server.index().and_then(|index| servers.get_mut(index));
        if let Some(status) = found.filter(|status| status.index == server.number()) {
            status.idlers += *count as u32;
        }
    }
}

/// Adds how long servers took.
pub fn add_times<'a>(
    servers: &mut [ServerStatus],
    times: impl IntoIterator<Item = (&'a ServerId, &'a ServerTimes)>,
) {
    for (server, times) in times {
        if let Some(status) = server_of(servers, server.number()) {
            status.times.get_or_insert_default().add(times);
        }
    }
}

fn server_of(servers: &mut [ServerStatus], number: i32) -> Option<&mut ServerStatus> {
    let index = match usize::try_from(number) {
        Ok(index) => Some(index),
        Err(_) => servers.iter().rposition(|server| server.index == number),
    };
    servers.get_mut(index?).filter(|server| server.index == number)
}

/// The slot may have gone to another client since, so the address decides.
fn client_of<'a>(
    clients: &'a mut [ClientStatus],
    connection: &ConnectionStatus,
) -> Option<&'a mut ClientStatus> {
    let slot = u32::try_from(connection.client_slot).ok()?;
    let position = clients.binary_search_by_key(&slot, |client| client.slot).ok()?;
    let address = connection.client.parse::<SocketAddr>().map_or(ClientAddr::Unix, ClientAddr::from);
    Some(&mut clients[position]).filter(|client| client.address == address.to_string())
}
