//! From server to server until one takes the client. Pure.
//!
//! Owns the order: the first choice, whoever else takes the client, those that failed, the emergency server. A place is
//! taken here and nowhere else; `mod.rs` gives it back.

use super::attempt::{Asker, Attempt, Hold};
use super::clients::SlotKey;
use super::idlers::Patience;
use super::policy::{Others, Question};
use super::servers::{Endpoint, Server, ServerId};
use super::{Balancer, forgiven_seconds, permits};
use crate::settings::Settings;
use pen_proto::commands::Flag;
use std::sync::Arc;

/// For whom, and under which rules.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    settings: &'a Settings,
    asker: Asker,
    /// Failures up to this second are over.
    forgiven_seconds: i64,
}

/// What becomes of servers that failed and are still blacklisted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    PassedOver,
    TriedAgain,
}

impl Walk<'_> {
    pub fn new(settings: &Settings, asker: Asker, now_seconds: u32) -> Walk<'_> {
        Walk { settings, asker, forgiven_seconds: forgiven_seconds(settings, now_seconds) }
    }
}

impl Balancer {
    /// The client's own server, or the one that the policy in force chooses.
    pub(super) fn initial_server(&mut self, walk: Walk<'_>, client_port: u16, slot: SlotKey) -> ServerId {
        let untracked = walk.settings.flag(Flag::Roundrobin);
        let remembered = self.known(self.clients.server(slot));
        let serves = |index: usize| self.servers.regular()[index].serves(walk.asker.route);
        if !untracked && remembered.index().is_some_and(serves) {
            return remembered;
        }
        let question = Question {
            client: walk.asker.client,
            client_port,
            untracked,
            servers: &self.servers,
            route: walk.asker.route,
            forgiven_seconds: walk.forgiven_seconds,
            others: None,
        };
        self.policies.choose(walk.settings, &question)
    }

    /// Takes a place at the initial server, or at the next that takes the client.
    pub(super) fn begin(&mut self, walk: Walk<'_>, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let initial = attempt.current;
        self.reserve(walk, attempt, initial, Failed::PassedOver).or_else(|| self.fail_over(walk, attempt))
    }

    /// On from a server that the client was sent to in vain.
    pub(super) fn go_on(&mut self, walk: Walk<'_>, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        self.tried.add(&mut attempt.tried, attempt.current);
        let next = self.fail_over(walk, attempt);
        if next.is_none() {
            self.tried.forget(&mut attempt.tried);
        }
        next
    }

    /// On from a server that did not do; each is tried once at most.
    fn fail_over(&mut self, walk: Walk<'_>, attempt: &mut Attempt) -> Option<Arc<Endpoint>> {
        let is_final = matches!(attempt.current, ServerId::ABUSE | ServerId::EMERGENCY);
        let is_stubborn = walk.settings.flag(Flag::Stubborn);
        if is_final || (is_stubborn && attempt.tried.is_some()) {
            return None;
        }
        if !is_stubborn && let Some(other) = self.other_server(walk, attempt) {
            return self.reserve(walk, attempt, other, Failed::PassedOver);
        }
        if let Some(failed) = self.failed_server(walk, attempt, is_stubborn) {
            return self.reserve(walk, attempt, failed, Failed::TriedAgain);
        }
        if is_stubborn { None } else { self.reserve(walk, attempt, ServerId::EMERGENCY, Failed::PassedOver) }
    }

    /// One that is not blacklisted and takes the client. As in Pen there is none where the policy found none to begin with.
    fn other_server(&mut self, walk: Walk<'_>, attempt: &Attempt) -> Option<ServerId> {
        let present = attempt.current.index()?;
        let own = self.clients.server(attempt.slot);
        let others = Others { settings: walk.settings, own, tried: self.tried.of(attempt.tried) };
        let question = Question {
            client: walk.asker.client,
            client_port: 0,
            untracked: false,
            servers: &self.servers,
            route: walk.asker.route,
            forgiven_seconds: walk.forgiven_seconds,
            others: Some(others),
        };
        self.policies.choose_other(walk.settings, &question, present)
    }

    /// Of those that failed and would take the client, the one that failed longest ago. For a stubborn client its first
    /// server is the only one.
    fn failed_server(&self, walk: Walk<'_>, attempt: &Attempt, is_stubborn: bool) -> Option<ServerId> {
        let tried = self.tried.of(attempt.tried);
        let only = attempt.current.index().filter(|_| is_stubborn);
        let untried = self
            .servers
            .failed()
            .filter(|(index, _)| !tried.contains(*index) && only.is_none_or(|only| only == *index));
        let mut candidates = untried.map(|(index, server)| (ServerId::regular(index), server));
        let takes = |(id, server): &(ServerId, &Server)| {
            self.takes(walk, attempt.slot, *id, server, Failed::TriedAgain)
        };
        candidates.find(takes).map(|(id, _)| id)
    }

    fn takes(&self, walk: Walk<'_>, slot: SlotKey, id: ServerId, server: &Server, failed: Failed) -> bool {
        let is_special = id.index().is_none();
        // Nobody comes after the emergency server, nor after the abuse server.
        let may_be_tried = match failed == Failed::TriedAgain || is_special {
            true => server.is_last_resort(walk.forgiven_seconds),
            false => server.is_usable(walk.forgiven_seconds),
        };
        may_be_tried
            && (is_special || server.serves(walk.asker.route))
            && server.has_room(self.clients.server(slot) == id)
            && permits(walk.settings, server.setup.acl.into(), walk.asker.client)
    }

    /// Takes a place at the server, if it takes the client, and remembers that.
    fn reserve(
        &mut self,
        walk: Walk<'_>,
        attempt: &mut Attempt,
        id: ServerId,
        failed: Failed,
    ) -> Option<Arc<Endpoint>> {
        let server = self.servers.get(id)?;
        if !self.takes(walk, attempt.slot, id, server, failed) {
            return None;
        }
        let is_last_resort = failed == Failed::TriedAgain;
        let begins = is_last_resort && !self.is_outage;
        self.is_outage |= is_last_resort;
        self.clients.remember(attempt.slot, id);
        self.current = id;
        self.servers.change(id, |server| {
            server.connections += 1;
            server.patience = Patience::default();
            attempt.current = id;
            attempt.era = server.era;
            attempt.hold = match server.failed_at_seconds {
                None => Hold::Place,
                Some(_) if is_last_resort => Hold::LastResort { begins },
                Some(_) => Hold::PlaceAfterFailure,
            };
            attempt.proxy = server.setup.proxy;
            server.setup.endpoint.clone()
        })
    }
}
