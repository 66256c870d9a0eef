//! Every server in turn, as Pen has it.

use super::super::{Question, ServerSet};

/// Index of the server chosen last. It starts at 0, so that of several servers the second is the first to be chosen:
/// Pen's order.
#[derive(Debug, Default)]
pub struct Turns {
    last: usize,
}

impl Turns {
    #[cfg(test)]
    pub fn after(last: usize) -> Turns {
        Turns { last }
    }

    /// The first usable server after the one chosen last, which comes last itself.
    pub fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let choice = self.next(question)?;
        self.last = choice;
        Some(choice)
    }

    /// The same for a client whose server did not do. One that is full or shut has no turn. One that refused has had its
    /// own, and it is not known yet who stands in for it.
    pub fn choose_other(&mut self, question: &Question<'_>) -> Option<usize> {
        let has_refused = question.others.as_ref().is_some_and(|others| !others.tried.is_empty());
        if has_refused { self.next(question) } else { self.choose(question) }
    }

    /// The turn was that of a server that refused. This one took it, and is not to have its own at once.
    pub fn stood_in(&mut self, index: usize, tried: &ServerSet) {
        if tried.contains(self.last) {
            self.last = index;
        }
    }

    fn next(&self, question: &Question<'_>) -> Option<usize> {
        let last = self.last.checked_rem(question.glances().len())?;
        // The server of weight 0 that the client belongs to has been asked before.
        question.first_after_of(last, |glance| !question.servers.is_weightless_at(glance))
    }
}
