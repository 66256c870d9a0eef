//! How a server that comes back is ramped up (`slow_start`). Pure.
//!
//! Owns since when a server may be used and how its share grows from then. There is no timer: the share is computed at the
//! choice.

use pen_proto::weight::Weight;

/// Unit of shares.
pub const WHOLE: u32 = 1_000;
/// The beginning is the next choice: nobody knows the time when it is set.
const NEXT_CHOICE: u32 = u32::MAX;

/// Of one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ramp {
    /// When the server came back; 0 if it was always there.
    since_seconds: u32,
    length_ms: u32,
}

impl Ramp {
    /// It takes so long.
    pub fn set_length_ms(&mut self, length_ms: u64) {
        self.length_ms = u32::try_from(length_ms).unwrap_or(u32::MAX);
    }

    /// The server may be used from this second.
    pub fn begin(&mut self, since_seconds: u32) {
        self.since_seconds = since_seconds;
    }

    /// The server may be used from now on.
    pub fn begin_now(&mut self) {
        self.since_seconds = NEXT_CHOICE;
    }

    /// The server may be used, and this is now.
    pub fn settle(&mut self, now_seconds: u32) {
        self.since_seconds = self.since_seconds.min(now_seconds);
    }

    /// Since when.
    pub fn since_seconds(self) -> Option<u32> {
        (self.since_seconds < NEXT_CHOICE).then_some(self.since_seconds)
    }

    /// From this second on the server has its whole share.
    pub fn until_seconds(self) -> u32 {
        match (self.since_seconds, self.length_ms) {
            (0, _) | (_, 0) => 0,
            (since_seconds, length_ms) => since_seconds.saturating_add(length_ms.div_ceil(1000)),
        }
    }

    /// How much of its share the server has, from 1 to [`WHOLE`]. Time goes by in seconds, of which the middle counts.
    pub fn share(self, now_seconds: u32) -> u32 {
        if self.until_seconds() <= now_seconds {
            return WHOLE;
        }
        let past_ms = u64::from(now_seconds.saturating_sub(self.since_seconds)) * 1000 + 500;
        let share = past_ms * u64::from(WHOLE) / u64::from(self.length_ms);
        share.clamp(1, WHOLE.into()) as u32
    }
}

/// A weight of which so much counts, in millionths.
pub fn of_weight(weight: Weight, share: u32) -> u64 {
    u64::from(weight.thousandths()) * u64::from(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_within_its_time() {
        let mut ramp = Ramp::default();
        assert_eq!(ramp.share(7), WHOLE, "it was always there");
        ramp.begin(1_000);
        assert_eq!(ramp.share(1_000), WHOLE, "no time is set");
        ramp.set_length_ms(10_000);
        let shares = [999, 1_000, 1_001, 1_005, 1_009, 1_010].map(|now_seconds| ramp.share(now_seconds));
        assert_eq!(shares, [50, 50, 150, 550, 950, WHOLE]);
        ramp.set_length_ms(1_500);
        assert_eq!([1_000, 1_001, 1_002].map(|now_seconds| ramp.share(now_seconds)), [333, WHOLE, WHOLE]);
    }

    #[test]
    fn where_the_time_is_not_known_it_begins_with_the_next_choice() {
        let mut ramp = Ramp::default();
        ramp.set_length_ms(10_000);
        ramp.begin_now();
        assert_eq!((ramp.share(1_000), ramp.since_seconds()), (50, None));
        ramp.settle(1_000);
        assert_eq!((ramp.share(1_005), ramp.since_seconds()), (550, Some(1_000)));
        ramp.settle(2_000);
        assert_eq!(ramp.since_seconds(), Some(1_000));
    }
}
