//! Newcomers that come faster than there is time to open sessions for them. Pure.
//!
//! A session costs some thirty times what a datagram of a known client does, and whoever sends in ever new names makes the
//! queue of a listener run over for all. So once the queue has not become empty for a while, only a few newcomers get a
//! session in each turn, and the rest of the queue is gone through for those who have one.

/// Batches of a turn in the ordinary case, before others have theirs.
pub const BATCHES: usize = 8;
/// Batches of a turn in which most datagrams are let go: they cost as little as those of the ordinary case.
pub const BATCHES_CROWDED: usize = 32;
/// Turns that may end with datagrams left. With more, a queue of the usual size (net.core.rmem_max) would have run over.
const FULL_TURNS_MAX: u8 = 2;
/// Newcomers of a turn when there is a crowd.
const NEWCOMERS: u32 = 64;

/// What is known of the queue of a listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crowd {
    full_turns: u8,
    newcomers: u32,
}

impl Crowd {
    /// Begins a turn, and tells how many batches it may have.
    pub fn begin_turn(&mut self) -> usize {
        self.newcomers = 0;
        if self.is_there() { BATCHES_CROWDED } else { BATCHES }
    }

    /// A turn has ended: how many full batches it had, and whether it took everything that waited.
    pub fn end_turn(&mut self, full_batches: usize, has_more: bool) {
        if has_more {
            self.full_turns = self.full_turns.saturating_add(1);
        } else if !self.is_there() || full_batches == 0 {
            self.full_turns = 0;
        }
    }

    /// Whether there are more than can be served.
    pub fn is_there(&self) -> bool {
        self.full_turns >= FULL_TURNS_MAX
    }

    /// Whether one who is not known may have a session.
    pub fn admits(&mut self) -> bool {
        self.newcomers += 1;
        !self.is_there() || self.newcomers <= NEWCOMERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(crowd: &mut Crowd) -> usize {
        (0..1000).filter(|_| crowd.admits()).count()
    }

    #[test]
    fn everybody_is_admitted_while_the_queue_becomes_empty() {
        let mut crowd = Crowd::default();
        for full_batches in [0, 7, BATCHES, 3] {
            assert_eq!(crowd.begin_turn(), BATCHES);
            assert_eq!(admitted(&mut crowd), 1000);
            crowd.end_turn(full_batches, full_batches == BATCHES);
        }
    }

    #[test]
    fn in_a_crowd_few_are_admitted_until_hardly_anybody_waits() {
        let mut crowd = Crowd::default();
        for _ in 0..FULL_TURNS_MAX {
            assert!(!crowd.is_there());
            crowd.begin_turn();
            crowd.end_turn(BATCHES, true);
        }
        for (full_batches, has_more) in [(BATCHES_CROWDED, true), (BATCHES_CROWDED, true), (3, false)] {
            assert_eq!(crowd.begin_turn(), BATCHES_CROWDED);
            assert_eq!(admitted(&mut crowd), NEWCOMERS as usize);
            crowd.end_turn(full_batches, has_more);
        }
        crowd.begin_turn();
        crowd.end_turn(0, false);
        assert!(!crowd.is_there());
        assert_eq!(crowd.begin_turn(), BATCHES);
        assert_eq!(admitted(&mut crowd), 1000);
    }
}
