//! The server with the smallest priority number.

use super::Question;

/// The lowest index among equals.
pub fn choose(question: &Question<'_>) -> Option<usize> {
    question.usable().min_by_key(|(index, server)| (server.setup.prio, *index)).map(|(index, _)| index)
}
