//! Since when a server has its place and is full: the states that nothing else dates. Pure.
//!
//! There is no clock here: what happens is dated by the last second that the servers were told.

use super::{Server, Servers};

/// What is configured of a server, as far as its state depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Not looked at yet.
    #[default]
    New,
    Unset,
    Removed,
    /// It waits for others to be gone, or for its group to be used.
    InReserve,
    InUse,
}

/// Of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    place: Place,
    placed_seconds: u32,
    /// When it became full last, or ceased to be.
    filled_seconds: u32,
    /// When it could be used again.
    back_seconds: u32,
}

impl Moments {
    /// Another server has the number.
    pub fn begin_anew(&mut self) {
        self.place = Place::New;
    }

    /// It can be used again.
    pub fn is_back(&mut self, now_seconds: u32) {
        self.back_seconds = now_seconds;
    }

    /// Since when it has been configured as it is.
    pub fn placed_seconds(self) -> Option<u32> {
        (self.placed_seconds > 0).then_some(self.placed_seconds)
    }

    /// Since when it could be used, if it was away.
    pub fn back_seconds(self) -> Option<u32> {
        (self.back_seconds > 0).then_some(self.back_seconds)
    }
}

impl Server {
    pub(super) fn note_place(&mut self, now_seconds: u32) {
        let place = match () {
            () if self.is_removed => Place::Removed,
            () if !self.is_complete => Place::Unset,
            () if self.setup.standby > 0 || self.setup.in_reserve => Place::InReserve,
            () => Place::InUse,
        };
        if self.moments.place != place {
            self.moments.place = place;
            self.moments.placed_seconds = now_seconds;
        }
    }

    /// Since when it would take clients, if it were not full or a standby.
    pub(super) fn at_hand_since_seconds(&self) -> Option<u32> {
        let ramped_up_seconds = self.ramp.until_seconds();
        let latest = self.moments.back_seconds.max(self.moments.filled_seconds).max(ramped_up_seconds);
        Some(latest.max(self.moments.placed_seconds)).filter(|since_seconds| *since_seconds > 0)
    }
}

impl Servers {
    /// What happens from now on happens in this second.
    #[inline]
    pub fn tell_time(&mut self, now_seconds: u32) {
        self.now_seconds = now_seconds;
    }

    /// A server has become full, or has room again.
    pub(super) fn note_filled(&mut self, index: usize) {
        self.slots[index].moments.filled_seconds = self.now_seconds;
    }
}
