//! The least load for its weight, each connection counting for a part of a load; those of equal load in turn. Servers of
//! unknown load come last: those with the fewest connections.
//!
//! As with `turns.rs`, all servers stand in a [`Ranking`], which is told of each change, and a choice among a thousand looks at
//! a few.

use super::ranking::Ranking;
use super::watch::Watch;
use super::{Glance, Policy, Question, ServerId, Weight};
use std::cmp::Ordering;

/// Remembers whose turn it was.
#[derive(Debug, Default)]
pub struct LeastLoad {
    last: usize,
    ranking: Ranking<Key>,
    watch: Watch,
    /// By which the keys were made.
    made: Made,
}

/// The rules that keys depend on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Made {
    only_top: bool,
    session_weight_thousandths: u32,
}

/// What servers are compared by, in this order; the least is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// [`SHUT`], or by [`Glance::standby`] and, with `top`, by how much it lacks to the greatest weight.
    rank: u64,
    cost: Cost,
}

/// The rank of a server that may not be chosen at all.
const SHUT: u64 = u64::MAX;

impl Key {
    const LAST: Key = Key { rank: SHUT, cost: Cost { is_unknown: true, amount: u64::MAX, weight: 1 } };

    fn of(question: &Question<'_>, index: usize, glance: &Glance) -> Key {
        let has_weight = glance.weight() >= Weight::LEAST;
        if !has_weight || !glance.is_usable(question.now_seconds) || glance.is_full() {
            return Key::LAST;
        }
        let lack = if question.rules.only_top() { u32::MAX - glance.weight().thousandths() } else { 0 };
        let rank = u64::from(glance.standby()) << 32 | u64::from(lack);
        Key { rank, cost: Cost::of(question, index, glance) }
    }
}

/// What speaks against a server.
#[derive(Debug, Clone, Copy)]
struct Cost {
    is_unknown: bool,
    /// Thousandths of a load, or connections where the load is unknown.
    amount: u64,
    /// In millionths, above 0.
    weight: u64,
}

impl Cost {
    fn of(question: &Question<'_>, index: usize, glance: &Glance) -> Cost {
        let weight = question.weight(index, glance).max(1);
        let connections = u64::from(glance.connections());
        match question.servers.load_at(index) {
            None => Cost { is_unknown: true, amount: connections, weight },
            Some(load) => {
                let of_connections = connections * u64::from(question.rules.session_weight_thousandths);
                Cost { is_unknown: false, amount: u64::from(load.thousandths()) + of_connections, weight }
            }
        }
    }
}

impl PartialEq for Cost {
    fn eq(&self, other: &Cost) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cost {}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Cost) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cost {
    fn cmp(&self, other: &Cost) -> Ordering {
        let times = |amount: u64, weight: u64| u128::from(amount) * u128::from(weight);
        let amounts = times(self.amount, other.weight).cmp(&times(other.amount, self.weight));
        self.is_unknown.cmp(&other.is_unknown).then(amounts)
    }
}

impl LeastLoad {
    /// Takes in what has changed of the servers since the last choice.
    fn follow(&mut self, question: &Question<'_>) {
        let made = Made {
            only_top: question.rules.only_top(),
            session_weight_thousandths: question.rules.session_weight_thousandths,
        };
        if self.made != made {
            (self.made, self.watch) = (made, Watch::default());
        }
        let glances = question.glances();
        let Some(changed) = self.watch.changed(question) else {
            glances.iter().for_each(|glance| self.watch.look(question, glance));
            let keys = glances.iter().enumerate().map(|(index, glance)| Key::of(question, index, glance));
            self.ranking = Ranking::of(keys.collect(), Key::LAST);
            return;
        };
        for index in changed {
            if let Some(glance) = glances.get(index) {
                self.watch.look(question, glance);
                self.ranking.set(index, Key::of(question, index, glance));
            }
        }
    }

    /// The first of those with the least cost behind the last choice, and round, of all that take this client.
    pub(super) fn compare_all(&self, question: &Question<'_>) -> Option<usize> {
        let mut least: Option<Cost> = None;
        let (mut first, mut next) = (None, None);
        question.visit(|index, glance| {
            let cost = Cost::of(question, index, glance);
            if least.is_none_or(|least| cost < least) {
                (least, first, next) = (Some(cost), Some(index), None);
            }
            if least == Some(cost) && next.is_none() && index > self.last {
                next = Some(index);
            }
            true
        });
        next.or(first)
    }
}

impl Policy for LeastLoad {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        self.follow(question);
        let next = self.ranking.first_after(self.last);
        // A client's own server has room for it beyond what the ranking knows of.
        let is_stranger = question.others.as_ref().is_some_and(|others| others.own == ServerId::NONE);
        let choice = match is_stranger && question.may_choose(next) {
            true => Some(next),
            false => self.compare_all(question),
        };
        self.last = choice?;
        choice
    }

    fn goes_by_weight_first(&self) -> bool {
        true
    }
}
