//! Pen's own choice: the first of its flags that is on, else every server in turn.

pub(super) mod hash;
pub(super) mod turns;

use super::{Policy, Question, ServerSet, rank};
use turns::Turns;

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

/// Goes by the mode of the rules, and remembers whose turn it was while another is in force.
#[derive(Debug, Default)]
pub struct Pen {
    turns: Turns,
}

impl Policy for Pen {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        match question.rules.mode {
            Mode::RoundRobin => self.turns.choose(question),
            Mode::Prio => rank::by_prio(question),
            Mode::Weight => rank::by_weight(question),
            Mode::Hash => hash::choose(question),
        }
    }

    /// Those whom the mode never chooses, or has no opinion of, come after the others in the order of their numbers.
    fn next(&mut self, question: &Question<'_>, index: usize) -> Option<usize> {
        let choice = match question.rules.mode {
            // Whom it does not choose are servers for their own clients.
            Mode::RoundRobin => return self.turns.choose_other(question),
            Mode::Prio => rank::by_prio(question),
            Mode::Weight => rank::by_weight(question),
            Mode::Hash => None,
        };
        choice.or_else(|| question.first_after(index))
    }

    fn stood_in(&mut self, index: usize, tried: &ServerSet) {
        self.turns.stood_in(index, tried);
    }
}
