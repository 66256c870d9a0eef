//! Weights that follow the time that checks take. Pure.
//!
//! The slowest of the servers that are up keeps its weight; every other one has as many times of its own as it is faster.

/// How much a share must change to be passed on, in percent: what is less is noise.
const CHANGE_PERCENT: u64 = 10;
/// The fastest counts at most so many times its weight: the difference between 50 us and 5 s is no measure of power.
const SHARE_THOUSANDTHS_MAX: u64 = 100_000;

/// The time that the checks of a server take, smoothed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    smoothed_us: Option<u64>,
    /// The share that was passed on last, in thousandths; 0 for none.
    share_thousandths: u32,
}

impl Latency {
    /// Takes the time of one more check, smoothed over so many before it.
    pub fn take(&mut self, took_us: u32, samples: u32) {
        let (took_us, samples) = (u64::from(took_us.max(1)), u64::from(samples));
        self.smoothed_us = Some(match self.smoothed_us {
            Some(old) => (took_us + old * samples) / (samples + 1),
            None => took_us,
        });
    }

    /// Smoothed; `None` before the first check that was answered.
    pub fn smoothed_us(&self) -> Option<u64> {
        self.smoothed_us
    }

    /// What its weight is to be multiplied by, in thousandths, beside a slowest server with `slowest_us`; `None` when that
    /// is nearly what was passed on before.
    pub fn share(&mut self, slowest_us: u64) -> Option<u32> {
        let own_us = self.smoothed_us?.max(1);
        let share = (slowest_us.max(own_us) * 1000 / own_us).min(SHARE_THOUSANDTHS_MAX);
        let before = u64::from(self.share_thousandths);
        if share.abs_diff(before) * 100 < before * CHANGE_PERCENT {
            return None;
        }
        self.share_thousandths = share as u32; // far below
        Some(self.share_thousandths)
    }

    /// Forgets what was passed on; true when there was something.
    pub fn forget_share(&mut self) -> bool {
        std::mem::take(&mut self.share_thousandths) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times_us: &[u32], samples: u32) -> Latency {
        let mut latency = Latency::default();
        times_us.iter().for_each(|took_us| latency.take(*took_us, samples));
        latency
    }

    #[test]
    fn times_are_smoothed_over_so_many() {
        assert_eq!(of(&[], 3).smoothed_us(), None);
        assert_eq!(of(&[1_000], 3).smoothed_us(), Some(1_000));
        assert_eq!(of(&[1_000, 5_000], 3).smoothed_us(), Some(2_000));
        assert_eq!(of(&[1_000, 5_000], 0).smoothed_us(), Some(5_000));
        assert_eq!(of(&[0], 1).smoothed_us(), Some(1));
    }

    #[test]
    fn the_slowest_keeps_its_weight_and_small_changes_are_not_passed_on() {
        let (mut fast, mut slow) = (of(&[50_000], 3), of(&[200_000], 3));
        assert_eq!((fast.share(200_000), slow.share(200_000)), (Some(4_000), Some(1_000)));
        assert_eq!(fast.share(205_000), None);
        assert_eq!(fast.share(220_000), Some(4_400));
        assert_eq!(of(&[1], 3).share(u64::MAX / 2_000), Some(100_000));
        assert_eq!(Latency::default().share(1), None);
        assert!(fast.forget_share() && !fast.forget_share());
        assert_eq!(fast.share(220_000), Some(4_400), "passed on anew");
    }
}
