//! What a policy that keeps an order of its own has seen of the servers.

use super::{Glance, Question};

/// Up to which change, and how long that is true. The default has seen nothing.
#[derive(Debug, Default)]
pub struct Watch {
    seen: u64,
    /// From this second on a server may be used again, or has a greater share.
    until_seconds: u32,
}

impl Watch {
    /// Indices of the servers that have changed since the last time; `None`: all must be looked at. Each look is told by
    /// [`Watch::look`].
    pub fn changed<'a>(&mut self, question: &Question<'a>) -> Option<impl Iterator<Item = usize> + use<'a>> {
        let changes = question.servers.changes();
        let changed = changes.since(self.seen).filter(|_| question.now_seconds < self.until_seconds);
        self.seen = changes.count();
        if changed.is_none() {
            self.until_seconds = match question.servers.are_ramped_up(question.now_seconds) {
                true => question.now_seconds + 1,
                false => u32::MAX,
            };
        }
        changed
    }

    /// A server is looked at: it may be used from a second that is known.
    pub fn look(&mut self, question: &Question<'_>, glance: &Glance) {
        if let Some(from_seconds) = glance.usable_after(question.now_seconds) {
            self.until_seconds = self.until_seconds.min(from_seconds);
        }
    }
}
