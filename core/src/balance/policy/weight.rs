//! The server with the fewest connections for its weight.

use super::{Glance, Question};

/// Least `256 * connections / weight` rounded down; the lowest index among equals. Weight 0 is never chosen.
pub fn choose(question: &Question<'_>) -> Option<usize> {
    question.least(Glance::load)
}
