//! Which servers have come back, and are ramped up.

use super::super::warmth::Warmth;
use super::{Glance, Server, Servers};

impl Servers {
    /// For servers that are ramped up already, too.
    pub fn set_slow_start_ms(&mut self, slow_start_ms: u64) {
        if self.slow_start_ms != slow_start_ms {
            self.slow_start_ms = slow_start_ms;
            self.look_again();
        }
    }

    /// Whether any server has less than its share.
    pub fn are_ramped_up(&self, now_seconds: u32) -> bool {
        self.ramped_up_seconds > now_seconds
    }

    /// Servers that came back since the last choice did so now at the latest. True when some have another role now.
    #[inline]
    pub fn settle(&mut self, now_seconds: u32) -> bool {
        self.tell_time(now_seconds);
        let are_warm = self.warm_seconds.is_some_and(|warm_seconds| warm_seconds <= now_seconds);
        if are_warm || (self.are_new && self.has_clones()) {
            self.settle_warmth(now_seconds);
        }
        if std::mem::take(&mut self.are_new) {
            let blacklist_seconds = self.blacklist_seconds;
            let usable = |server: &&mut Server| server.is_usable(blacklist_seconds, now_seconds);
            self.slots.iter_mut().filter(usable).for_each(|server| server.ramp.settle(now_seconds));
            self.look_again();
        }
        are_warm
    }

    /// A regular server was usable from this second, and now is from that one.
    pub(super) fn note_return(&mut self, index: usize, before: u32, after: u32) {
        let Server { ramp, moments, .. } = &mut self.slots[index];
        match (before, after) {
            (_, Glance::NEVER) => return,
            (Glance::NEVER, from_seconds) if from_seconds <= self.now_seconds => {
                ramp.begin_now();
                moments.is_back(self.now_seconds);
            }
            // Where it failed the ramp has begun with the end of that.
            (_, 0) => {}
            (_, usable_from_seconds) => {
                ramp.begin(usable_from_seconds);
                moments.is_back(usable_from_seconds);
            }
        }
        self.are_new = true;
    }

    /// From when each server is usable, and its era.
    pub(super) fn usable_before(&self) -> Vec<(u32, u16)> {
        let known = self.glances.iter().zip(&self.slots);
        known.map(|(glance, server)| (glance.usable_from_seconds(), server.era)).collect()
    }

    /// After a change of what is configured; those that are there from the beginning do not come back.
    pub(super) fn note_returns(&mut self, before: &[(u32, u16)]) {
        if before.is_empty() {
            return;
        }
        for index in 0..self.count {
            let (from, era) = before.get(index).copied().unwrap_or((Glance::NEVER, 0));
            // At another address there is another server.
            let from = if self.slots[index].era == era { from } else { Glance::NEVER };
            let after = self.glances[index].usable_from_seconds();
            if from != after {
                self.note_return(index, from, after);
            }
        }
        self.are_new |= self.regular().iter().any(|server| server.warmth == Warmth::Cold);
        self.look_again();
    }
}
