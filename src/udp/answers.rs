//! Which servers answer: what all workers know together of when each server was heard last.
//!
//! A session alone cannot tell a dead server from one that has nothing to say to its client; see `upstream.rs`.

use crate::balance::ServerId;
use crate::settings::SERVERS_MAX;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A note is renewed when it is this old, so that workers do not write to the same memory for every datagram.
pub const NOTE_MS: u64 = 50;

/// The special servers have the numbers before 0.
const SPECIAL: usize = 3;

#[derive(Debug)]
pub struct Answers {
    any: AtomicBool,
    /// By server, monotonic; 0 before the first.
    last_ms: Box<[AtomicU64]>,
}

impl Default for Answers {
    fn default() -> Answers {
        let last_ms = (0..SERVERS_MAX + SPECIAL).map(|_| AtomicU64::new(0)).collect();
        Answers { any: AtomicBool::new(false), last_ms }
    }
}

impl Answers {
    /// The server has sent something to some client.
    pub fn note(&self, server: ServerId, now_ms: u64) {
        let Some(last_ms) = self.of(server) else { return };
        let noted_ms = last_ms.load(Ordering::Relaxed);
        if noted_ms == 0 || now_ms >= noted_ms + NOTE_MS {
            last_ms.store(now_ms.max(1), Ordering::Relaxed);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any server has ever sent something: before that, nobody knows whether answers are to be expected.
    pub fn are_expected(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether the server has sent nothing to anybody since then.
    pub fn is_silent_since(&self, server: ServerId, since_ms: u64) -> bool {
        let Some(last_ms) = self.of(server) else { return false };
        let noted_ms = last_ms.load(Ordering::Relaxed);
        noted_ms == 0 || noted_ms + NOTE_MS <= since_ms
    }

    fn of(&self, server: ServerId) -> Option<&AtomicU64> {
        let index = usize::try_from(server.number() + SPECIAL as i32).ok()?;
        self.last_ms.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_silent_when_nobody_has_heard_it() {
        let answers = Answers::default();
        let [a, b] = [0, 1].map(ServerId::regular);
        assert!(!answers.are_expected());
        answers.note(a, 1000);
        assert!(answers.are_expected());
        assert!(!answers.is_silent_since(a, 900));
        assert!(!answers.is_silent_since(a, 1000 + NOTE_MS - 1), "the note may be so much too old");
        assert!(answers.is_silent_since(a, 1000 + NOTE_MS));
        assert!(answers.is_silent_since(b, 0), "it was never heard");
        answers.note(ServerId::EMERGENCY, 2000);
        assert!(!answers.is_silent_since(ServerId::EMERGENCY, 2000));
        assert!(answers.is_silent_since(a, 2000));
    }
}
