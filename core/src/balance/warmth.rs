//! How a new server gets warm (`warm_up`): it is a clone until then. Pure.
//!
//! Owns since when it warms up. There is no timer: who chooses or lists servers looks whether the time is over.

/// Of one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Warmth {
    /// It was always there, or has been a clone for long enough.
    #[default]
    Warm,
    /// It is new, and nobody could be sent to it yet.
    Cold,
    /// It has been usable since this second.
    Since(u32),
}

impl Warmth {
    /// The second from which it is warm, if that is to come and known.
    pub fn until_seconds(self, length_ms: u64) -> Option<u32> {
        let Warmth::Since(since_seconds) = self else { return None };
        let length_seconds = u32::try_from(length_ms.div_ceil(1000)).unwrap_or(u32::MAX);
        Some(since_seconds.saturating_add(length_seconds))
    }

    /// What it is at this second, when it can be used.
    pub fn settled(self, length_ms: u64, now_seconds: u32) -> Warmth {
        match self {
            Warmth::Cold => Warmth::Since(now_seconds),
            _ if self.until_seconds(length_ms).is_some_and(|until| until <= now_seconds) => Warmth::Warm,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_warms_up_from_its_first_usable_second() {
        let since = Warmth::Cold.settled(1_500, 1_000);
        assert_eq!((since, since.until_seconds(1_500)), (Warmth::Since(1_000), Some(1_002)));
        assert_eq!(since.settled(1_500, 1_001), since);
        assert_eq!(since.settled(1_500, 1_002), Warmth::Warm);
        assert_eq!(Warmth::Warm.settled(1_500, 1_003), Warmth::Warm);
    }
}
