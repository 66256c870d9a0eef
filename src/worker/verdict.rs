//! What comes of a step of a connection.

use crate::conn::CloseReason;

/// What a step says of its connection. The worker's loop, which has looked it up, does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Verdict {
    /// It waits for an event or for its timer.
    Stay,
    /// It goes on after the others.
    Again,
    Close(CloseReason),
}

impl Verdict {
    /// What comes of two steps, one after the other.
    pub(super) fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Close(reason), _) | (_, Verdict::Close(reason)) => Verdict::Close(reason),
            (Verdict::Again, _) | (_, Verdict::Again) => Verdict::Again,
            (Verdict::Stay, Verdict::Stay) => Verdict::Stay,
        }
    }
}
