//! Rankings of servers without memory: each chooses the lowest index among equals.

use super::{Glance, Question};

/// The smallest priority number.
pub fn by_prio(question: &Question<'_>) -> Option<usize> {
    question.least(|glance| glance.prio().into())
}

/// The fewest connections for its weight: least `256 * connections / weight` rounded down. Weight 0 is never chosen.
pub fn by_weight(question: &Question<'_>) -> Option<usize> {
    question.least(Glance::load)
}
