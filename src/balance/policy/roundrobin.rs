//! Every server in turn.

use super::Question;

/// Index of the server chosen last. It starts at 0, so that of several servers the second is the first to be chosen:
/// Pen's order.
#[derive(Debug, Default)]
pub struct RoundRobin {
    last: usize,
}

impl RoundRobin {
    #[cfg(test)]
    pub fn after(last: usize) -> RoundRobin {
        RoundRobin { last }
    }

    /// The first usable server after the one chosen last, which comes last itself.
    pub fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let count = question.glances().len();
        let start = (self.last + 1).checked_rem(count)?;
        let choice = (start..count).chain(0..start).find(|&index| question.may_choose(index))?;
        self.last = choice;
        Some(choice)
    }
}
