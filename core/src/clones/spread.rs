//! How long many took, for any part of them: counts in buckets that grow with the time, so that each time is known to an
//! eighth. Counts of several workers add up.

use pen_proto::status::SpreadStatus;

/// Buckets of each power of two, as a power of two.
const PARTS_LOG2: u32 = 3;
const PARTS: usize = 1 << PARTS_LOG2;
/// Up to 2^40 us, twelve days; what is longer counts as that.
const BUCKETS: usize = (40 - PARTS_LOG2 as usize + 1) * PARTS;

/// Times in microseconds.
#[derive(Debug, Clone)]
pub struct Spread {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { counts: Box::new([0; BUCKETS]) }
    }
}

/// Times below 8 us have a bucket each.
fn bucket(us: u64) -> usize {
    let power = us.max(1).ilog2();
    let bucket = match power.checked_sub(PARTS_LOG2) {
        None => us as usize,
        Some(shift) => (shift as usize + 1) * PARTS + (us >> shift) as usize % PARTS,
    };
    bucket.min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle_us(bucket: usize) -> u64 {
    match (bucket / PARTS).checked_sub(1) {
        None => bucket as u64,
        Some(shift) => (((PARTS + bucket % PARTS) as u64) << shift) + ((1 << shift) >> 1),
    }
}

impl Spread {
    pub fn note(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
    }

    /// Those of another worker.
    pub fn add(&mut self, more: &Spread) {
        self.counts.iter_mut().zip(&*more.counts).for_each(|(count, more)| *count += more);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// So long took the one that so many of 1000 were quicker than.
    pub fn quantile_us(&self, thousandths: u64) -> Option<u64> {
        let place = (self.count().checked_sub(1)? * thousandths).div_ceil(1000);
        let mut before = 0;
        self.counts
            .iter()
            .position(|count| {
                before += count;
                before > place
            })
            .map(middle_us)
    }

    pub fn status(&self) -> SpreadStatus {
        SpreadStatus { count: self.count(), median_us: self.quantile_us(500), p99_us: self.quantile_us(990) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_one_another_and_their_middles_are_in_them() {
        for number in 0..BUCKETS {
            assert_eq!(bucket(middle_us(number)), number);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(Spread::default().quantile_us(500), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_known_to_an_eighth(mut times in prop::collection::vec(0u64..10_000_000, 1..300)) {
            let (mut one, mut other) = (Spread::default(), Spread::default());
            for (place, us) in times.iter().enumerate() {
                if place % 2 == 0 { one.note(*us) } else { other.note(*us) }
            }
            one.add(&other);
            times.sort_unstable();
            for thousandths in [0, 500, 990, 1000] {
                let place = ((times.len() as u64 - 1) * thousandths).div_ceil(1000) as usize;
                let (told, exact) = (one.quantile_us(thousandths).unwrap(), times[place]);
                prop_assert!(told.abs_diff(exact) <= exact / 8 + 1, "{told} instead of {exact}");
            }
        }
    }
}
