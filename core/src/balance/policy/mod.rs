//! The ways to choose a client's first server. Pure.
//!
//! Owns which policy is in force and what a policy may see. A policy is asked first as in Pen, where it does not know
//! who is full or shut, and again for a client that its first choice did not take: then only among those that take it.
//! The chooser alone asks.
//!
//! A new policy is a [`Mode`] and a line in `rank.rs`, or a file here if it remembers something.

mod hash;
mod rank;
mod roundrobin;

use super::glance::{AVOIDED, Glance};
use super::routes::Route;
use super::rules::Rules;
use super::servers::{ServerId, Servers};
use super::tried::ServerSet;
use pen_proto::addr::ClientAddr;
use std::ops::Range;

/// Whom the choice is for, and between whom.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub client: ClientAddr,
    /// The client's port, 0 for a Unix socket.
    pub client_port: u16,
    pub rules: &'a Rules,
    pub servers: &'a Servers,
    /// What the client asks for: servers that do not serve it are not chosen.
    pub route: Route,
    pub now_seconds: u32,
    /// Only servers with this number of [`Glance::standby`].
    pub standby: u8,
    /// Set when the first choice did not do.
    pub others: Option<Others<'a>>,
}

/// Who is asked after the first choice: whoever takes the client.
#[derive(Clone, Copy)]
pub struct Others<'a> {
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
        let glance = &self.glances()[index];
        let serves = match glance.is_named() {
            true => !is_default && self.servers.regular()[index].serves(self.route),
            false => is_default,
        };
        serves && glance.standby() == self.standby
    }

    #[inline]
    fn may_choose(&self, index: usize) -> bool {
        let glance = &self.glances()[index];
        // Those that are full are done with by their glance, too.
        glance.is_usable(self.now_seconds)
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
        !others.tried.contains(index) && self.rules.lists.permit(glance.acl().into(), self.client)
    }

    /// The first server above this one, and round, that may be chosen.
    fn first_after(&self, index: usize) -> Option<usize> {
        self.first_after_of(index, |_| true)
    }

    /// The same for those alone that are also wanted.
    #[inline]
    fn first_after_of(&self, index: usize, is_wanted: impl Fn(&Glance) -> bool) -> Option<usize> {
        let glances = self.glances();
        let start = if index + 1 < glances.len() { index + 1 } else { 0 };
        // Most of a thousand servers that are down are done with here, in a loop without calls.
        let first_of = |range: Range<usize>| {
            let seen = glances[range.clone()].iter().zip(range);
            let usable = seen.filter(|(glance, _)| glance.is_usable(self.now_seconds));
            usable
                .filter(|(glance, _)| is_wanted(glance))
                .map(|(_, index)| index)
                .find(|&index| self.may_choose(index))
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

/// Those that stand by are asked for when none before them was chosen, and those to be avoided after all others.
fn by_standby(
    question: &Question<'_>,
    mut choose: impl FnMut(&Question<'_>) -> Option<usize>,
) -> Option<usize> {
    let numbers = 0..=question.servers.standby_max();
    let mut choose = |standby| choose(&Question { standby, ..*question });
    let choice = numbers.clone().find_map(&mut choose);
    if choice.is_some() || !question.glances().iter().any(Glance::is_avoided) {
        return choice;
    }
    numbers.into_iter().find_map(|standby| choose(standby | AVOIDED))
}

/// Who is preferred for a client that belongs to no server: Pen's modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every server in turn.
    #[default]
    RoundRobin,
    /// The smallest priority number.
    Prio,
    /// The fewest connections for its weight.
    Weight,
    /// By the client's address.
    Hash,
}

/// The policies and what they remember from one choice to the next.
#[derive(Debug, Default)]
pub struct Policies {
    round_robin: roundrobin::RoundRobin,
}

impl Policies {
    /// The first server to try; [`ServerId::NONE`] when there is none to choose from.
    pub fn choose(&mut self, question: &Question<'_>) -> ServerId {
        let choice = by_standby(question, |question| self.choose_among(question));
        choice.map_or(ServerId::NONE, ServerId::regular)
    }

    fn choose_among(&mut self, question: &Question<'_>) -> Option<usize> {
        match question.rules.mode {
            Mode::RoundRobin => self.round_robin.choose(question),
            Mode::Prio => rank::by_prio(question),
            Mode::Weight => rank::by_weight(question),
            Mode::Hash => hash::choose(question),
        }
    }

    /// The server to try after `index`, for a [`Question`] about others. Those whom the policy never chooses, or has no
    /// opinion of, come after the others in the order of their numbers.
    pub fn choose_other(&mut self, question: &Question<'_>, index: usize) -> Option<ServerId> {
        by_standby(question, |question| self.choose_other_among(question, index)).map(ServerId::regular)
    }

    fn choose_other_among(&mut self, question: &Question<'_>, index: usize) -> Option<usize> {
        let choice = match question.rules.mode {
            // Whom it does not choose are servers for their own clients.
            Mode::RoundRobin => return self.round_robin.choose_other(question),
            Mode::Prio => rank::by_prio(question),
            Mode::Weight => rank::by_weight(question),
            Mode::Hash => None,
        };
        choice.or_else(|| question.first_after(index))
    }

    /// A server has taken a client that others did not: it has had its turn, if it was theirs.
    pub fn stood_in(&mut self, index: usize, tried: &ServerSet) {
        self.round_robin.stood_in(index, tried);
    }
}

#[cfg(test)]
mod tests;
