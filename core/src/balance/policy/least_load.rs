//! The least load for its weight, each connection counting for a part of a load; those of equal load in turn. Servers of
//! unknown load come last: those with the fewest connections.

use super::{Glance, Policy, Question};
use std::cmp::Ordering;

/// Remembers whose turn it was.
#[derive(Debug, Default)]
pub struct LeastLoad {
    last: usize,
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
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Cost) -> Option<Ordering> {
        // Amounts take 53 bits at most, weights 36.
        let times = |amount: u64, weight: u64| u128::from(amount) * u128::from(weight);
        let amounts = times(self.amount, other.weight).cmp(&times(other.amount, self.weight));
        Some(self.is_unknown.cmp(&other.is_unknown).then(amounts))
    }
}

impl Policy for LeastLoad {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let mut least: Option<Cost> = None;
        // The first of those with the least cost, and the first of them behind the last choice.
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
        let choice = next.or(first)?;
        self.last = choice;
        Some(choice)
    }
}
