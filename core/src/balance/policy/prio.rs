//! The server with the smallest priority number.

use super::Question;

/// The lowest index among equals.
pub fn choose(question: &Question<'_>) -> Option<usize> {
    question.least(|glance| glance.prio().into())
}
