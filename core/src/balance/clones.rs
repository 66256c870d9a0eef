//! Which clone gets a copy of what a client says. Pure.
//!
//! Owns whether a connection has a clone, and the policy's memory of clones, which have their own turns and counts. Members
//! and clones are two lots of the same servers; nobody is sent to a server in the role that it has not.

use super::attempt::{Asker, Attempt, Hold, Released};
use super::chooser::Chooser;
use super::policy::{Others, Policies, Question};
use super::selection::Selection;
use super::servers::{Endpoint, ServerId, Servers};
use super::tried::ServerSet;
use pen_proto::commands::{PolicyKind, ProxyHeader, Role};
use pen_proto::weight::Weight;
use std::sync::Arc;

/// Steps of this length, a golden section of the whole, are spread as evenly as can be however many are made: of any
/// connections in a row the wanted share has a clone, and no pattern of theirs decides which.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The choice between clones.
#[derive(Debug)]
pub(super) struct Clones {
    policies: Policies,
    /// Where the next connection stands in the whole of 2^64.
    place: u64,
}

/// The place of a connection at its clone. Hand it to [`Chooser::release_clone`] in the end.
#[derive(Debug)]
#[must_use = "the clone's connection count is given back by release_clone"]
pub struct CloneAttempt(Attempt);

impl CloneAttempt {
    /// The clone.
    pub fn server(&self) -> ServerId {
        self.0.current
    }

    /// What the connection to it begins with.
    pub fn proxy(&self) -> ProxyHeader {
        self.0.proxy
    }

    /// Whether a connect that succeeds is to be told by [`Chooser::clone_connected`].
    pub fn clears_failure(&self) -> bool {
        self.0.clears_failure()
    }
}

impl Clones {
    pub fn new(kind: PolicyKind, seed: u64) -> Clones {
        // Another lot than that of the members.
        Clones { policies: Policies::new(Role::Clone, kind, !seed), place: 0 }
    }

    pub fn follow(&mut self, kind: PolicyKind, servers: &Servers) {
        self.policies.follow(kind, servers);
    }

    pub fn servers_changed(&mut self, servers: &Servers) {
        self.policies.servers_changed(servers);
    }

    /// Whether the next connection is one of those that have a clone.
    fn is_next(&mut self, percent: u64) -> bool {
        self.place = self.place.wrapping_add(STEP);
        u128::from(self.place) * 100 < u128::from(percent) << 64
    }
}

impl Selection {
    /// Whether connections may have clones at all.
    pub fn may_clone(&self) -> bool {
        self.rules.clone_percent > 0 && self.servers.has_clones()
    }

    /// Whether any server is a clone.
    pub fn has_clones(&self) -> bool {
        self.servers.has_clones()
    }

    /// Whether any clone could be given a connection now.
    pub fn has_usable_clone(&self, now_seconds: u32) -> bool {
        self.servers.glances_as(Role::Clone).iter().any(|glance| glance.is_usable(now_seconds))
    }

    /// The server, if a copy for this client may go there now.
    fn takes_copy(&self, id: ServerId, asker: &Asker, now_seconds: u32) -> Option<ServerId> {
        let server = self.servers.get(id)?;
        let usable_from = server.usable_as_from_seconds(Role::Clone, self.rules.blacklist_seconds);
        let takes_it = usable_from <= now_seconds.into()
            && server.serves(asker.route)
            && server.has_room(false)
            && self.rules.lists.permit(server.setup.acl.into(), asker.client);
        takes_it.then_some(id)
    }

    /// By the policy, among the clones alone.
    fn choose_clone(&mut self, asker: &Asker, client_port: u16, now_seconds: u32) -> Option<ServerId> {
        let question = Question {
            role: Role::Clone,
            client: asker.client,
            client_port,
            rules: &self.rules,
            servers: &self.servers,
            route: asker.route,
            uri: asker.uri,
            now_seconds,
            standby: 0,
            weight_min: Weight::ZERO,
            others: Some(Others { own: ServerId::NONE, tried: ServerSet::EMPTY }),
        };
        let first = self.clones.policies.choose(&question);
        if self.takes_copy(first, asker, now_seconds).is_some() {
            return Some(first);
        }
        // Pen's `hash` does not look whether its choice is there.
        let question = Question { servers: &self.servers, rules: &self.rules, ..question };
        let other = self.clones.policies.choose_other(&question, first.index()?)?;
        self.takes_copy(other, asker, now_seconds)
    }
}

impl Chooser<'_> {
    /// Reserves a place at a clone for a client that has been admitted to `member`, if it is to have one and one takes it.
    pub fn admit_clone(
        &mut self,
        member: ServerId,
        asker: impl Into<Asker>,
        client_port: u16,
        now_seconds: u32,
    ) -> Option<(CloneAttempt, Arc<Endpoint>)> {
        let selection = &mut *self.selection;
        if !selection.may_clone() || !selection.clones.is_next(selection.rules.clone_percent) {
            return None;
        }
        let choice = selection.choose_clone(&asker.into(), client_port, now_seconds)?;
        // A new server may have the client itself, where there is no other.
        if choice == member {
            return None;
        }
        let mut attempt = Attempt::of_copy();
        let endpoint = selection.servers.change(choice, |server| {
            server.connections += 1;
            attempt.current = choice;
            attempt.era = server.era;
            attempt.proxy = server.setup.proxy;
            attempt.hold = match server.standing.has_setback() {
                true => Hold::PlaceAfterFailure,
                false => Hold::Place,
            };
            server.setup.endpoint.clone()
        })?;
        Some((CloneAttempt(attempt), endpoint))
    }

    /// The clone has accepted: its failures are forgotten. Needed only if [`CloneAttempt::clears_failure`].
    pub fn clone_connected(&mut self, attempt: &CloneAttempt) {
        self.selection.servers.change(attempt.0.current, |server| server.connect_succeeded(attempt.0.era));
    }

    /// The connect to the clone failed or timed out: it is passed over for the blacklist time.
    pub fn clone_failed(&mut self, attempt: &CloneAttempt, now_seconds: u32) {
        self.selection.servers.connect_failed(attempt.0.current, attempt.0.era, now_seconds);
    }

    /// The connection to the clone is over.
    pub fn release_clone(&mut self, attempt: CloneAttempt, released: Released) {
        let Released { established, up_bytes, down_bytes } = released;
        let mut attempt = attempt.0;
        self.selection.give_back(&mut attempt, |server| {
            server.connections_total += u64::from(established);
            server.add_bytes(up_bytes, down_bytes);
        });
    }
}

#[cfg(test)]
#[path = "clones_tests.rs"]
mod tests;
