//! Checks that a service brings along: begun here, awaited by their threads.

use super::Watcher;
use crate::slot::{Outcome, Work};
use pen_sys::errors::reason;

impl Watcher {
    pub(super) fn begin_own(&mut self, number: u32) {
        self.own_threads.retain(|thread| !thread.is_finished());
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        // No other check has this number, in whatever slot.
        self.own_turn = self.own_turn.wrapping_add(1);
        let turn = self.own_turn;
        match slot.service.begin_own(&slot.target, self.asking.clone(), (number, turn)) {
            None => self.found(number, Outcome::good()),
            Some(Ok(thread)) => {
                self.own_threads.push(thread);
                slot.work = Work::Own { turn, is_late: false };
                self.timers.arm(2 * number + 1, self.now_ms + slot.target.watch.timeout_ms);
            }
            Some(Err(error)) => self.ours(number, reason(&error)),
        }
    }

    /// It has not come in time, and its thread goes on.
    pub(super) fn own_is_late(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        if let Work::Own { is_late, .. } = &mut slot.work {
            *is_late = true;
        }
        self.found(number, Outcome::bad("no verdict in time"));
    }

    pub(super) fn own_verdict(&mut self, number: u32, turn: u32, outcome: Outcome) {
        let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let Work::Own { turn: expected, is_late } = slot.work else { return };
        if expected == turn {
            slot.work = Work::Nothing;
            if !is_late {
                self.found(number, outcome);
            }
        }
    }

    /// Waits for those that are under way.
    pub(super) fn end_own(&mut self) {
        for thread in self.own_threads.drain(..) {
            // It has said why.
            let _ = thread.join();
        }
    }
}
