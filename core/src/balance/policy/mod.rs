//! The ways to choose a client's first server. Pure.
//!
//! Owns which policy is in force and what a policy may see. A policy is asked first as in Pen, where it does not know
//! who is full or shut, and again for a client that its first choice did not take: then only among those that take it.
//! The balancer alone asks.
//!
//! A new policy is a file here and a line in [`POLICIES`].

mod hash;
mod prio;
mod roundrobin;
mod weight;

use super::glance::Glance;
use super::permits;
use super::routes::Route;
use super::servers::{ServerId, Servers};
use super::tried::ServerSet;
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::Flag;
use std::ops::Range;

/// Whom the choice is for, and between whom.
pub struct Question<'a> {
    pub client: ClientAddr,
    /// The client's port, 0 for a Unix socket.
    pub client_port: u16,
    /// Whether clients are not to be tracked (`-r`), which spreads the hash over their ports.
    pub untracked: bool,
    pub servers: &'a Servers,
    /// What the client asks for: servers that do not serve it are not chosen.
    pub route: Route,
    /// Failures up to this second are over.
    pub forgiven_seconds: i64,
    /// Set when the first choice did not do.
    pub others: Option<Others<'a>>,
}

/// Who is asked after the first choice: whoever takes the client.
pub struct Others<'a> {
    pub settings: &'a Settings,
    /// The server that the client belongs to, which has more room for it than for strangers.
    pub own: ServerId,
    /// They had their chance.
    pub tried: &'a ServerSet,
}

impl Question<'_> {
    /// Of all regular servers, gaps included.
    fn glances(&self) -> &[Glance] {
        self.servers.glances()
    }

    /// Whether this server is for what the client asks for.
    fn serves(&self, index: usize) -> bool {
        let is_default = self.route == Route::DEFAULT;
        match self.glances()[index].is_named() {
            true => !is_default && self.servers.regular()[index].serves(self.route),
            false => is_default,
        }
    }

    #[inline]
    fn may_choose(&self, index: usize) -> bool {
        let glance = &self.glances()[index];
        // Those that are full are done with by their glance, too.
        glance.is_usable(self.forgiven_seconds)
            && (!glance.is_full() || self.takes_above_max(index))
            && self.serves(index)
            && self.others.as_ref().is_none_or(|others| self.takes(others, index, glance))
    }

    /// The first choice knows of no maximum. Later the client's own server has more room for it than for strangers.
    #[inline]
    fn takes_above_max(&self, index: usize) -> bool {
        self.others.as_ref().is_none_or(|others| {
            others.own.index() == Some(index) && self.servers.regular()[index].has_room(true)
        })
    }

    fn takes(&self, others: &Others<'_>, index: usize, glance: &Glance) -> bool {
        !others.tried.contains(index) && permits(others.settings, glance.acl().into(), self.client)
    }

    /// The first server above this one, and round, that may be chosen.
    fn first_after(&self, index: usize) -> Option<usize> {
        let glances = self.glances();
        let start = if index + 1 < glances.len() { index + 1 } else { 0 };
        // Most of a thousand servers that are down are done with here, in a loop without calls.
        let first_of = |range: Range<usize>| {
            let seen = glances[range.clone()].iter().zip(range);
            let usable = seen.filter(|(glance, _)| glance.is_usable(self.forgiven_seconds));
            usable.map(|(_, index)| index).find(|&index| self.may_choose(index))
        };
        first_of(start..glances.len()).or_else(|| first_of(0..start))
    }

    /// The server with the least of something among those that may be chosen, the lowest index among equals.
    /// [`u64::MAX`] is never chosen.
    fn least(&self, measure: impl Fn(&Glance) -> u64) -> Option<usize> {
        let (mut least, mut choice) = (u64::MAX, None);
        for (index, glance) in self.glances().iter().enumerate() {
            // Of many servers few have less than all before them: the others are done with after one comparison.
            if measure(glance) < least && self.may_choose(index) {
                (least, choice) = (measure(glance), Some(index));
                if least == 0 {
                    break;
                }
            }
        }
        choice
    }
}

type Choose = fn(&Question<'_>) -> Option<usize>;

/// The first one switched on is in force; round robin when none is.
const POLICIES: [(Flag, Choose); 3] =
    [(Flag::Prio, prio::choose), (Flag::Weight, weight::choose), (Flag::Hash, hash::choose)];

/// The policies and what they remember from one choice to the next.
#[derive(Debug, Default)]
pub struct Policies {
    round_robin: roundrobin::RoundRobin,
}

impl Policies {
    /// The first server to try; [`ServerId::NONE`] when there is none to choose from.
    pub fn choose(&mut self, settings: &Settings, question: &Question<'_>) -> ServerId {
        let choice = match in_force(settings) {
            Some((_, choose)) => choose(question),
            None => self.round_robin.choose(question),
        };
        choice.map_or(ServerId::NONE, ServerId::regular)
    }

    /// The server to try after `index`, for a [`Question`] about others. Those whom the policy never chooses, or has no
    /// opinion of, come after the others in the order of their numbers.
    pub fn choose_other(
        &mut self,
        settings: &Settings,
        question: &Question<'_>,
        index: usize,
    ) -> Option<ServerId> {
        let choice = match in_force(settings) {
            Some((Flag::Hash, _)) => None,
            Some((_, choose)) => choose(question),
            None => self.round_robin.choose_other(question),
        };
        choice.or_else(|| question.first_after(index)).map(ServerId::regular)
    }

    /// A server has taken a client that others did not: it has had its turn, if it was theirs.
    pub fn stood_in(&mut self, index: usize, tried: &ServerSet) {
        self.round_robin.stood_in(index, tried);
    }
}

fn in_force(settings: &Settings) -> Option<(Flag, Choose)> {
    POLICIES.into_iter().find(|(flag, _)| settings.flag(*flag))
}

#[cfg(test)]
mod tests;
