//! Which servers answer: what all workers know together of when each server was heard last.
//!
//! A session alone cannot tell a dead server from one that has nothing to say to its client; see `udp/upstream.rs`.

use crate::balance::ServerId;
use crate::settings::SERVERS_MAX;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A note is renewed when it is this old, so that workers do not write to the same memory for every datagram.
pub const NOTE_MS: u64 = 50;

/// The special servers have the numbers before 0.
const SPECIAL: usize = 3;

#[derive(Debug, Default)]
pub struct Answers {
    /// By server, monotonic; 0 before its first. There is no list before the first of all, so a pen for TCP has none.
    last_ms: OnceLock<Box<[AtomicU64]>>,
}

impl Answers {
    /// The server has sent something to some client.
    pub fn note(&self, server: ServerId, now_ms: u64) {
        let all =
            self.last_ms.get_or_init(|| (0..SERVERS_MAX + SPECIAL).map(|_| AtomicU64::new(0)).collect());
        let Some(last_ms) = of(server, all) else { return };
        let noted_ms = last_ms.load(Ordering::Relaxed);
        if noted_ms == 0 || now_ms >= noted_ms + NOTE_MS {
            last_ms.store(now_ms.max(1), Ordering::Relaxed);
        }
    }

    /// Whether any server has ever sent something: before that, nobody knows whether answers are to be expected.
    pub fn are_expected(&self) -> bool {
        self.last_ms.get().is_some()
    }

    /// Whether the server has sent nothing to anybody since then.
    pub fn is_silent_since(&self, server: ServerId, since_ms: u64) -> bool {
        let Some(all) = self.last_ms.get() else { return true };
        let Some(last_ms) = of(server, all) else { return false };
        let noted_ms = last_ms.load(Ordering::Relaxed);
        noted_ms == 0 || noted_ms + NOTE_MS <= since_ms
    }
}

fn of(server: ServerId, all: &[AtomicU64]) -> Option<&AtomicU64> {
    let index = usize::try_from(server.number() + SPECIAL as i32).ok()?;
    all.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_silent_when_nobody_has_heard_it() {
        let answers = Answers::default();
        let [a, b] = [0, 1].map(ServerId::regular);
        assert!(!answers.are_expected());
        assert!(answers.is_silent_since(a, 900));
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
