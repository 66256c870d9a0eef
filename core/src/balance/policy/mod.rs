//! The ways to choose a client's first server. Pure.
//!
//! Owns which policy is in force and what a policy may see. A policy is asked for a server that takes the client, and again
//! when one did not; only Pen's own is asked first as in Pen, where it does not know who is full or shut. The chooser
//! alone asks.
//!
//! Rankings without memory live together in `rank.rs`. A policy that remembers something from one choice to the next has a
//! file and is a [`Policy`].

mod least_load;
mod mix;
mod own;
mod pen;
mod random;
mod rank;
mod ranking;
mod single;
mod source;
mod turns;
mod uri_hash;
mod uri_static;
mod watch;

use super::glance::{AVOIDED, Glance};
use super::ramp;
use super::routes::Route;
use super::rules::Rules;
use super::servers::{Server, ServerId, Servers};
use super::tried::ServerSet;
use crate::uri::Uri;
use own::Brought;
pub use own::{Candidate, Own, View};
pub use pen::Mode;
use pen::Pen;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{PolicyKind, Role};
use pen_proto::weight::Weight;
use std::fmt;
use std::ops::Range;

/// Whom the choice is for, and between whom.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Whether a server for the client is asked for, or one that gets a copy.
    pub role: Role,
    pub client: ClientAddr,
    /// The client's port, 0 for a Unix socket.
    pub client_port: u16,
    pub rules: &'a Rules,
    pub servers: &'a Servers,
    /// What the client asks for: servers that do not serve it are not chosen.
    pub route: Route,
    /// What it asks for in its first request, if that is known.
    pub uri: Option<Uri>,
    pub now_seconds: u32,
    /// Only servers with this number of [`Glance::standby`].
    pub standby: u8,
    /// Only servers with this weight at least.
    pub weight_min: Weight,
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
        self.servers.glances_as(self.role)
    }

    /// Whether this server is for what the client asks for.
    fn serves(&self, index: usize) -> bool {
        let is_default = self.route == Route::DEFAULT;
        let glance = &self.glances()[index];
        let serves = match glance.is_named() {
            true => !is_default && self.servers.regular()[index].serves(self.route),
            false => is_default,
        };
        let is_of_role = self.servers.regular()[index].role() == self.role;
        serves && is_of_role && glance.standby() == self.standby && glance.weight() >= self.weight_min
    }

    #[inline]
    fn may_choose(&self, index: usize) -> bool {
        self.glances().get(index).is_some_and(|glance| {
            self.has_place(index, glance)
                && self.serves(index)
                && self.others.as_ref().is_none_or(|others| self.takes(others, index, glance))
        })
    }

    /// What a glance tells: those that are full are done with by it, too.
    #[inline]
    fn has_place(&self, index: usize, glance: &Glance) -> bool {
        glance.is_usable(self.now_seconds)
            && glance.weight() >= self.weight_min
            && glance.standby() == self.standby
            && (!glance.is_full() || self.takes_above_max(index))
    }

    /// Where no server is different, a glance tells all there is to know of each.
    fn is_plain(&self) -> bool {
        let takes_all =
            |others: &Others<'_>| others.tried.is_empty() && self.rules.lists.permit(0, self.client);
        self.servers.are_alike() && self.route == Route::DEFAULT && self.others.as_ref().is_none_or(takes_all)
    }

    /// Shows all that may be chosen, in the order of their numbers, as long as more are wanted.
    #[inline]
    fn visit<'s>(&'s self, mut wants_more: impl FnMut(usize, &'s Glance) -> bool) {
        let is_plain = self.is_plain();
        for (index, glance) in self.glances().iter().enumerate() {
            let may_be = if is_plain { self.has_place(index, glance) } else { self.may_choose(index) };
            if may_be && !wants_more(index, glance) {
                break;
            }
        }
    }

    /// Its weight as it counts now, in millionths: less for a server that is ramped up.
    #[inline]
    fn weight(&self, index: usize, glance: &Glance) -> u64 {
        ramp::of_weight(glance.weight(), self.share(index, glance))
    }

    /// How much of its share a server has, in parts of [`ramp::WHOLE`].
    #[inline]
    fn share(&self, index: usize, glance: &Glance) -> u32 {
        match glance.ramped_up_seconds() <= self.now_seconds {
            true => ramp::WHOLE,
            false => self.servers.regular()[index].ramp.share(self.now_seconds),
        }
    }

    /// The first of all that may be chosen.
    fn first(&self) -> Option<usize> {
        (0..self.glances().len()).find(|index| self.may_choose(*index))
    }

    /// The highest weight of those that may be chosen.
    fn top(&self) -> Option<Weight> {
        let mut top = None;
        for (index, glance) in self.glances().iter().enumerate() {
            // Few have more than all before them: the others are done with after one comparison.
            if Some(glance.weight()) > top && self.may_choose(index) {
                top = Some(glance.weight());
            }
        }
        top
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

/// Those that stand by are asked for when none before them was chosen, and those to be avoided after all others; of each
/// lot, where the rules say so, only those of the highest weight.
fn by_standby(
    policy: &mut dyn Policy,
    question: &Question<'_>,
    mut choose: impl FnMut(&mut dyn Policy, &Question<'_>) -> Option<usize>,
) -> Option<usize> {
    let numbers = 0..=question.servers.standby_max();
    let weight_min = if question.rules.weigh_all() { Weight::LEAST } else { Weight::ZERO };
    let only_top = question.rules.only_top() && !policy.goes_by_weight_first();
    let mut choose = |standby| {
        let all = Question { standby, weight_min, ..*question };
        let top = only_top.then(|| all.top()).flatten();
        choose(policy, &Question { weight_min: top.unwrap_or(weight_min), ..all })
    };
    let choice = numbers.clone().find_map(&mut choose);
    if choice.is_some() || !question.glances().iter().any(Glance::is_avoided) {
        return choice;
    }
    numbers.into_iter().find_map(|standby| choose(standby | AVOIDED))
}

/// A way to choose, with what it remembers from one choice to the next.
trait Policy: fmt::Debug + Send {
    /// The first server to try.
    fn choose(&mut self, question: &Question<'_>) -> Option<usize>;

    /// The server to try after `index`, for a [`Question`] about others.
    fn next(&mut self, question: &Question<'_>, _index: usize) -> Option<usize> {
        self.choose(question)
    }

    /// Whether it chooses only among servers of the highest weight by itself, where the rules say so.
    fn goes_by_weight_first(&self) -> bool {
        false
    }

    /// A server has taken a client that others did not.
    fn stood_in(&mut self, _index: usize, _tried: &ServerSet) {}

    /// What is configured of the servers has changed. Those of this role are chosen.
    fn servers_changed(&mut self, _servers: &Servers, _role: Role) {}

    /// How many URIs have this server; `None` where that is no matter.
    fn uris(&self, _index: usize) -> Option<u32> {
        None
    }
}

fn policy(kind: PolicyKind, seed: u64) -> Box<dyn Policy> {
    match kind {
        PolicyKind::Pen => Box::<Pen>::default(),
        PolicyKind::RoundRobin => Box::<turns::Turns>::default(),
        PolicyKind::LeastConn => Box::new(turns::Turns::by_connections()),
        PolicyKind::Single => Box::<single::Single>::default(),
        PolicyKind::Random => Box::new(random::Random::new(seed)),
        PolicyKind::Source => Box::<source::Source>::default(),
        PolicyKind::UriHash => Box::<uri_hash::UriHash>::default(),
        PolicyKind::UriStatic => Box::<uri_static::UriStatic>::default(),
        PolicyKind::LeastLoad => Box::<least_load::LeastLoad>::default(),
    }
}

/// The policy in force.
#[derive(Debug)]
pub struct Policies {
    own: Brought,
    /// Of the servers that it chooses.
    role: Role,
    kind: PolicyKind,
    seed: u64,
    policy: Box<dyn Policy>,
}

impl Policies {
    /// What is drawn by lot follows from `seed`.
    pub fn new(role: Role, kind: PolicyKind, seed: u64) -> Policies {
        Policies { own: Brought::default(), role, kind, seed, policy: policy(kind, seed) }
    }

    /// This one is asked first from now on.
    pub fn bring(&mut self, own: Box<dyn Own>) {
        self.own = Brought::of(own);
    }

    /// Goes by this one from now on.
    pub fn follow(&mut self, kind: PolicyKind, servers: &Servers) {
        if self.kind != kind {
            let own = std::mem::take(&mut self.own);
            *self = Policies { own, ..Policies::new(self.role, kind, self.seed) };
            self.servers_changed(servers);
        }
    }

    /// What is configured of the servers has changed.
    pub fn servers_changed(&mut self, servers: &Servers) {
        self.policy.servers_changed(servers, self.role);
    }

    /// The first server to try; [`ServerId::NONE`] when there is none to choose from.
    pub fn choose(&mut self, question: &Question<'_>) -> ServerId {
        let Policies { own, policy, .. } = self;
        let choice = by_standby(&mut **policy, question, |policy, question| {
            own.choose(question).or_else(|| policy.choose(question))
        });
        choice.map_or(ServerId::NONE, ServerId::regular)
    }

    /// The server to try after `index`, for a [`Question`] about others.
    pub fn choose_other(&mut self, question: &Question<'_>, index: usize) -> Option<ServerId> {
        let Policies { own, policy, .. } = self;
        let choice = by_standby(&mut **policy, question, |policy, question| {
            own.choose(question).or_else(|| policy.next(question, index))
        });
        choice.map(ServerId::regular)
    }

    /// How many URIs have this server; `None` where that is no matter.
    pub fn uris(&self, id: ServerId) -> Option<u32> {
        id.index().and_then(|index| self.policy.uris(index))
    }

    /// A server has taken a client that others did not: it has had its turn, if it was theirs.
    pub fn stood_in(&mut self, index: usize, tried: &ServerSet) {
        self.policy.stood_in(index, tried);
    }
}

#[cfg(test)]
mod tests;
