//! How long things took: counts of times in fixed buckets, which add up over workers.

use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets in milliseconds, as Prometheus wants them in seconds; beyond the last one is a bucket
/// without a bound. The clock behind the times ticks in milliseconds, so there is no bound below.
pub const BOUNDS: [(u64, &str); 13] = [
    (1, "0.001"),
    (2, "0.002"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1"),
    (2_500, "2.5"),
    (5_000, "5"),
    (10_000, "10"),
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Times, sorted into buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// How many times fell into each bucket alone.
    counts: [u64; BUCKETS],
    /// Of all times, in milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    pub fn observe(&mut self, ms: u64) {
        let bucket = BOUNDS.iter().position(|(bound, _)| ms <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    /// Those of another worker.
    pub fn add(&mut self, more: &Histogram) {
        self.counts.iter_mut().zip(more.counts).for_each(|(count, more)| *count += more);
        self.sum_ms = self.sum_ms.saturating_add(more.sum_ms);
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// For each bound, how many times were no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS.iter().map(|(_, seconds)| *seconds).zip(sums)
    }
}

/// How long a server took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTimes {
    /// From the beginning of a connect until it had succeeded; with TLS towards the server, its handshake included.
    pub connect: Histogram,
    /// From the beginning of the connect, or where that was ready before its client, or with UDP, from the client's first
    /// bytes, to the server's first.
    pub first_byte: Histogram,
}

impl ServerTimes {
    pub fn add(&mut self, more: &ServerTimes) {
        self.connect.add(&more.connect);
        self.first_byte.add(&more.first_byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let mut histogram = Histogram::default();
        [0, 1, 2, 3, 10_000, 10_001, u64::MAX].into_iter().for_each(|ms| histogram.observe(ms));
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!((cumulative[0], cumulative[1], cumulative[2]), (("0.001", 2), ("0.002", 3), ("0.005", 4)));
        assert_eq!((cumulative[12], histogram.count()), (("10", 5), 7));
        assert_eq!(histogram.sum_ms, u64::MAX, "it does not begin anew");
        let mut twice = histogram;
        twice.add(&histogram);
        assert_eq!(twice.count(), 14);
        let json = serde_json::to_string(&twice).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), twice);
    }

    #[test]
    fn bounds_grow_and_are_said_as_they_are() {
        assert!(BOUNDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (ms, seconds) in BOUNDS {
            assert_eq!(seconds.parse::<f64>().unwrap() * 1000.0, ms as f64, "{seconds}");
        }
    }
}
