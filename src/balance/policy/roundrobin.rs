//! Every server in turn.

use super::Question;

/// Index of the server chosen last. It starts at 0, so that of several servers the second is the first to be chosen:
/// Pen's order.
#[derive(Debug, Default)]
pub struct RoundRobin {
    last: usize,
}

impl RoundRobin {
    /// The first usable server after the one chosen last, which comes last itself.
    pub fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let count = question.servers.len();
        let start = self.last + 1;
        let choice =
            (start..start + count).map(|step| step % count).find(|&index| question.is_usable(index))?;
        self.last = choice;
        Some(choice)
    }
}
