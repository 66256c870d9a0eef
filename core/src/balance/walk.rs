//! From server to server until one takes the client. Pure.
//!
//! Owns the order: the first choice, whoever else takes the client, those that failed, the emergency server. A place is
//! taken here and nowhere else; `mod.rs` gives it back.

use super::attempt::{Asker, Attempt, Hold};
use super::chooser::Chooser;
use super::clients::SlotKey;
use super::idlers::Patience;
use super::policy::{Others, Question};
use super::servers::{Endpoint, Server, ServerId};
use super::tried::ServerSet;
use pen_proto::commands::Role;
use pen_proto::weight::Weight;
use std::sync::Arc;

/// For whom, and when.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub asker: Asker,
    pub now_seconds: u32,
}

/// What becomes of servers that failed and are still blacklisted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    PassedOver,
    TriedAgain,
    /// Passed over; but a new server that is not warm takes the client.
    ForCold,
}

impl Chooser<'_> {
    /// The client's own server, or the one that the policy in force chooses.
    pub(super) fn initial_server(&mut self, walk: Walk, client_port: u16, slot: SlotKey) -> ServerId {
        let selection = &mut *self.selection;
        let mut avoided = None;
        if !selection.rules.forgets_clients {
            let remembered = selection.servers.known(self.clients.server(slot));
            if let Some(index) = remembered.index() {
                let server = &selection.servers.regular()[index];
                let is_for_clients = !server.is_leaving() && server.role() == Role::Member;
                match server.serves(walk.asker.route) && is_for_clients {
                    true if server.standing.is_avoided() => avoided = Some(index),
                    true => return remembered,
                    false => {}
                }
            }
        }
        let choice = self.choice(walk, client_port);
        // Where only such are left, it stays with its own.
        let is_better = |index: usize| !self.selection.servers.glances()[index].is_avoided();
        match avoided {
            Some(own) if !choice.index().is_some_and(is_better) => ServerId::regular(own),
            _ => choice,
        }
    }

    /// What the policy chooses for a client that is not remembered. Nobody is counted, or gets a place: this is for whoever
    /// measures what a choice costs.
    #[doc(hidden)]
    pub fn choose_only(&mut self, asker: impl Into<Asker>, now_seconds: u32) -> ServerId {
        self.choice(Walk { asker: asker.into(), now_seconds }, 0)
    }

    fn choice(&mut self, walk: Walk, client_port: u16) -> ServerId {
        let selection = &mut *self.selection;
        let strangers = Others { own: ServerId::NONE, tried: ServerSet::EMPTY };
        let question = Question {
            role: Role::Member,
            client: walk.asker.client,
            client_port,
            rules: &selection.rules,
            servers: &selection.servers,
            route: walk.asker.route,
            uri: walk.asker.uri,
            now_seconds: walk.now_seconds,
            standby: 0,
            weight_min: Weight::ZERO,
            // Pen's first choice knows of no maximum and no list.
            others: selection.rules.weigh_all().then_some(strangers),
        };
        selection.policies.choose(&question)
    }

    /// Takes a place at the initial server, or at the next that takes the client, the emergency server excluded.
    pub(super) fn begin(&mut self, walk: Walk, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let initial = attempt.current;
        self.reserve(walk, attempt, initial, Failed::PassedOver).or_else(|| self.fail_over(walk, attempt))
    }

    /// On from a server that the client was sent to in vain.
    pub(super) fn go_on(&mut self, walk: Walk, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let next = self.try_another(walk, attempt).or_else(|| self.emergency(walk, attempt));
        if next.is_none() {
            self.selection.tried.forget(&mut attempt.tried);
        }
        next
    }

    /// The same, the emergency server excluded.
    pub(super) fn try_another(&mut self, walk: Walk, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        self.selection.tried.add(&mut attempt.tried, attempt.current);
        self.fail_over(walk, attempt)
    }

    /// For when no other server takes the client.
    pub(super) fn emergency(&mut self, walk: Walk, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let is_final = matches!(attempt.current, ServerId::ABUSE | ServerId::EMERGENCY);
        let may_have_it = !is_final && !self.selection.rules.stubborn;
        may_have_it.then(|| self.reserve(walk, attempt, ServerId::EMERGENCY, Failed::PassedOver)).flatten()
    }

    /// On from a server that did not do; each is tried once at most.
    fn fail_over(&mut self, walk: Walk, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let is_final = matches!(attempt.current, ServerId::ABUSE | ServerId::EMERGENCY);
        let is_stubborn = self.selection.rules.stubborn;
        if is_final || (is_stubborn && attempt.tried.is_some()) {
            return None;
        }
        if !is_stubborn && let Some(other) = self.other_server(walk, attempt) {
            return self.reserve(walk, attempt, other, Failed::PassedOver);
        }
        if !is_stubborn && let Some(cold) = self.cold_server(walk, attempt) {
            return self.reserve(walk, attempt, cold, Failed::ForCold);
        }
        let failed = self.failed_server(walk, attempt, is_stubborn)?;
        self.reserve(walk, attempt, failed, Failed::TriedAgain)
    }

    /// One that is not blacklisted and takes the client. As in Pen there is none where the policy found none to begin with.
    fn other_server(&mut self, walk: Walk, attempt: &Attempt) -> Option<ServerId> {
        let present = attempt.current.index()?;
        let selection = &mut *self.selection;
        let own = selection.servers.known(self.clients.server(attempt.slot));
        let others = Others { own, tried: selection.tried.of(attempt.tried) };
        let question = Question {
            role: Role::Member,
            client: walk.asker.client,
            client_port: 0,
            rules: &selection.rules,
            servers: &selection.servers,
            route: walk.asker.route,
            uri: walk.asker.uri,
            now_seconds: walk.now_seconds,
            standby: 0,
            weight_min: Weight::ZERO,
            others: Some(others),
        };
        selection.policies.choose_other(&question, present)
    }

    /// Of those that are not warm yet and would take the client, its own, or else the one with the fewest connections.
    fn cold_server(&self, walk: Walk, attempt: &Attempt) -> Option<ServerId> {
        let tried = self.selection.tried.of(attempt.tried);
        let own = self.selection.servers.known(self.clients.server(attempt.slot));
        let cold = self.selection.servers.warming_up().filter(|(index, _)| !tried.contains(*index));
        let cold = cold.map(|(index, server)| (ServerId::regular(index), server));
        let takes =
            |(id, server): &(ServerId, &Server)| self.takes(walk, attempt.slot, *id, server, Failed::ForCold);
        cold.filter(takes).min_by_key(|(id, server)| (*id != own, server.connections)).map(|(id, _)| id)
    }

    /// Of those that failed and would take the client, the one that failed longest ago. For a stubborn client its first
    /// server is the only one.
    fn failed_server(&self, walk: Walk, attempt: &Attempt, is_stubborn: bool) -> Option<ServerId> {
        let tried = self.selection.tried.of(attempt.tried);
        let only = attempt.current.index().filter(|_| is_stubborn);
        let failed = self.selection.servers.failed();
        let untried =
            failed.filter(|(index, _)| !tried.contains(*index) && only.is_none_or(|only| only == *index));
        let mut candidates = untried.map(|(index, server)| (ServerId::regular(index), server));
        let takes = |(id, server): &(ServerId, &Server)| {
            self.takes(walk, attempt.slot, *id, server, Failed::TriedAgain)
        };
        candidates.find(takes).map(|(id, _)| id)
    }

    fn takes(&self, walk: Walk, slot: SlotKey, id: ServerId, server: &Server, failed: Failed) -> bool {
        let is_special = id.index().is_none();
        // Nobody comes after the emergency server, nor after the abuse server.
        let blacklist_seconds = self.selection.rules.blacklist_seconds;
        let may_be_tried = match failed {
            Failed::PassedOver if !is_special => server.is_usable(blacklist_seconds, walk.now_seconds),
            Failed::ForCold => server.is_usable_cold(blacklist_seconds, walk.now_seconds),
            _ => server.is_last_resort(blacklist_seconds, walk.now_seconds),
        };
        let belongs = || self.selection.servers.known(self.clients.server(slot)) == id;
        may_be_tried
            && (is_special || server.serves(walk.asker.route))
            && ((server.has_room(false) && !self.selection.is_for_its_own(server))
                || (server.has_room(true) && belongs()))
            && self.selection.rules.lists.permit(server.setup.acl.into(), walk.asker.client)
    }

    /// Takes a place at the server, if it takes the client, and remembers that.
    pub(super) fn reserve(
        &mut self,
        walk: Walk,
        attempt: &mut Attempt,
        id: ServerId,
        failed: Failed,
    ) -> Option<Arc<Endpoint>> {
        let selection = &*self.selection;
        let server = selection.servers.get(id)?;
        if !self.takes(walk, attempt.slot, id, server, failed) {
            return None;
        }
        let is_last_resort = failed == Failed::TriedAgain;
        let begins = is_last_resort && !selection.is_outage;
        self.clients.remember(attempt.slot, server.key);
        let selection = &mut *self.selection;
        selection.is_outage |= is_last_resort;
        selection.current = id;
        let may_end_outage = selection.is_outage && id.index().is_some();
        selection.servers.change(id, |server| {
            server.connections += 1;
            server.patience = Patience::default();
            attempt.current = id;
            attempt.era = server.era;
            attempt.hold = match server.standing.has_setback() || may_end_outage {
                false => Hold::Place,
                true if is_last_resort => Hold::LastResort { begins },
                true => Hold::PlaceAfterFailure,
            };
            attempt.proxy = server.setup.proxy;
            server.setup.endpoint.clone()
        })
    }
}
