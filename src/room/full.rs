//! Saying that no more fits, and that it fits again.
//!
//! A full pen lets clients wait in the system's queue: nothing fails, so nobody would know. It is said once, however often a
//! place becomes free and is taken at once, and it is over when nobody had to wait for [`QUIET_MS`]. Noted by the workers;
//! pure, but for the atomics that they share.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

/// How long nobody must have had to wait until it is over.
pub const QUIET_MS: u64 = 5_000;

/// What is wanting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Want {
    /// `conn_max`, or what of it the limit of open files leaves; places of UDP sessions and of flows.
    Places = 1,
    /// `pending_max`.
    Connects = 2,
    /// The system has refused some before the count was reached.
    Descriptors = 4,
}

/// What is wanting at present. It is the last to be asked on the ordinary way: then it is one look at a number that does not
/// change.
#[derive(Debug, Default)]
pub struct Fullness {
    /// A bit for each [`Want`] that was noted.
    wants: AtomicU8,
    /// When somebody had to wait last; monotonic.
    last_ms: AtomicU64,
}

impl Fullness {
    /// Whether something is wanting.
    pub fn is_on(&self) -> bool {
        self.wants.load(SeqCst) != 0
    }

    /// Somebody has to wait for want of this. True when it is to be said.
    pub fn note(&self, want: Want, now_ms: u64) -> bool {
        self.last_ms.fetch_max(now_ms, SeqCst);
        self.wants.fetch_or(want as u8, SeqCst) & want as u8 == 0
    }

    /// Somebody has waited until now, if anybody had to wait.
    pub fn waited(&self, now_ms: u64) {
        if self.is_on() {
            self.last_ms.fetch_max(now_ms, SeqCst);
        }
    }

    /// When to look again whether it is over.
    pub fn look_ms(&self) -> Option<u64> {
        self.is_on().then(|| self.last_ms.load(SeqCst) + QUIET_MS)
    }

    /// Whether it is over, which is to be said: true once. `is_waited`: somebody waits still.
    pub fn is_over(&self, is_waited: bool, now_ms: u64) -> bool {
        if !self.is_on() {
            return false;
        }
        if is_waited {
            self.waited(now_ms);
        }
        now_ms >= self.last_ms.load(SeqCst) + QUIET_MS && self.wants.swap(0, SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_want_is_said_once_until_nobody_waits_any_more() {
        let full = Fullness::default();
        assert_eq!((full.look_ms(), full.is_over(false, 1_000)), (None, false));
        assert!(full.note(Want::Places, 1_000));
        assert!(!full.note(Want::Places, 2_000));
        assert!(full.note(Want::Connects, 3_000));
        assert_eq!(full.look_ms(), Some(3_000 + QUIET_MS));
        assert!(!full.is_over(false, 2_999 + QUIET_MS), "somebody had to wait");
        assert!(!full.is_over(true, 60_000), "somebody waits still");
        assert!(!full.is_over(false, 60_001));
        full.waited(70_000);
        assert!(!full.is_over(false, 60_000 + QUIET_MS));
        assert!(full.is_over(false, 70_000 + QUIET_MS));
        assert!(!full.is_over(false, 70_000 + QUIET_MS), "said once");
        assert!(!full.is_on());
        assert!(full.note(Want::Places, 90_000), "it is new");
    }
}
