//! Servers that go: what the operator waits for while they drain or are removed. Pure.
//!
//! Owns who has become empty since it was asked last. The caller cuts connections and tells the operator.

use super::loaded::AgentWord;
use super::selection::Selection;
use super::servers::{Server, ServerId, ServerSetup};
use super::standing::Duty;
use pen_proto::called::Called;
use pen_proto::status::ServerState;

/// A server to which nobody is sent, and whose last connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    /// How messages name it.
    pub called: Called,
    /// Why nobody is sent to it: `Draining`, `Disabled`, `Removing`, or `Standby` when another group is in use.
    pub state: ServerState,
}

impl Emptied {
    fn new(server: ServerId, setup: &ServerSetup, state: ServerState) -> Emptied {
        Emptied { called: setup.called(server), state }
    }
}

/// Why a server that is not removed gets nobody.
fn state_of(setup: &ServerSetup) -> Option<ServerState> {
    match setup.duty {
        Duty::Enabled => setup.in_reserve.then_some(ServerState::Standby),
        Duty::Draining { .. } => Some(ServerState::Draining),
        Duty::Disabled { .. } => Some(ServerState::Disabled),
    }
}

impl Selection {
    /// Servers that have become empty since this was asked last, each once for a time that it drains, is disabled or is
    /// removed; one that is empty already at once.
    pub fn take_emptied(&mut self) -> Vec<Emptied> {
        std::mem::take(&mut self.emptied)
    }

    /// Servers whose connections are to be cut: whose time to drain is over, or that are down where `on_down` says so.
    pub fn overdue(&self, now_seconds: u32) -> Vec<ServerId> {
        let drained = self.deadlines().filter(|(_, until_seconds)| *until_seconds <= now_seconds);
        drained.map(|(id, _)| id).chain(self.fallen()).collect()
    }

    /// Servers that checks or their agents find down, and whose connections do not survive that.
    fn fallen(&self) -> impl Iterator<Item = ServerId> {
        let is_fallen = |server: &Server| {
            let is_down =
                server.standing.is_down() || matches!(server.standing.agent, AgentWord::Down { .. });
            server.setup.is_cut_when_down && server.connections > 0 && is_down
        };
        let regular = self.servers.regular().iter().enumerate();
        regular.filter(move |(_, server)| is_fallen(server)).map(|(index, _)| ServerId::regular(index))
    }

    /// When the first server becomes overdue, so far as is known now.
    pub fn first_overdue_at_seconds(&self) -> Option<u32> {
        self.deadlines().map(|(_, until_seconds)| until_seconds).min()
    }

    /// Whether any server that gets nobody still has connections, so that it may become empty.
    pub fn awaits_ends(&self) -> bool {
        self.servers.listed().iter().any(|server| server.is_leaving() && server.connections > 0)
            || self.fallen().next().is_some()
    }

    /// The smallest number for a new server: no server has it by `is_configured`, and no connection is left of an
    /// earlier one.
    pub fn free_number(&self, is_configured: impl Fn(usize) -> bool) -> usize {
        let is_held = |index: usize| self.servers.listed().get(index).is_some_and(|s| s.connections > 0);
        let mut numbers = (0..).filter(|index| !is_configured(*index) && !is_held(*index));
        numbers.next().unwrap_or(usize::MAX)
    }

    /// Forgets the totals of a server: connections, failures and bytes.
    pub fn reset(&mut self, server: ServerId) {
        self.servers.change(server, Server::reset);
    }

    fn deadlines(&self) -> impl Iterator<Item = (ServerId, u32)> {
        self.servers.regular().iter().enumerate().filter_map(|(index, server)| match server.setup.duty {
            Duty::Draining { until_seconds: Some(until_seconds), .. } if server.connections > 0 => {
                Some((ServerId::regular(index), until_seconds))
            }
            _ => None,
        })
    }

    /// A server that gets nobody has no connection any more.
    pub(super) fn emptied(&mut self, id: ServerId) {
        if let Some(setup) = self.servers.vacate(id) {
            return self.emptied.push(Emptied::new(id, &setup, ServerState::Removing));
        }
        let Some(server) = self.servers.get(id) else { return };
        if let Some(state) = state_of(&server.setup) {
            self.emptied.push(Emptied::new(id, &server.setup, state));
        }
    }

    /// Notes those that are empty already when they begin to leave; `were_leaving` before. Of those whose group is not in use
    /// nobody waits for the end of what there is not.
    pub(super) fn look_who_is_empty(&mut self, were_leaving: &[bool]) {
        for index in 0..self.servers.regular().len() {
            let server = &self.servers.regular()[index];
            let leaves = server.is_leaving() && state_of(&server.setup) != Some(ServerState::Standby);
            let began = leaves && !were_leaving.get(index).is_some_and(|was| *was);
            if began && server.connections == 0 {
                self.emptied(ServerId::regular(index));
            }
        }
    }
}

#[cfg(test)]
mod tests;
