//! Rates out of counters, the last of them kept, and drawn as a line of blocks. Pure.

use std::collections::VecDeque;

/// Rates that are kept: a minute of them.
pub const KEPT: usize = 60;

/// What a server has counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub opened: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// Per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    pub opened: f64,
    pub sent_bytes: f64,
    pub received_bytes: f64,
}

impl Counts {
    /// What was added from there to here in so many milliseconds; `None` where a count went back, for then it began anew.
    pub fn since(&self, before: &Counts, elapsed_ms: u64) -> Option<Rates> {
        let seconds = elapsed_ms as f64 / 1000.0;
        let rate = |now: u64, then: u64| now.checked_sub(then).map(|more| more as f64 / seconds);
        let rates = Rates {
            opened: rate(self.opened, before.opened)?,
            sent_bytes: rate(self.sent_bytes, before.sent_bytes)?,
            received_bytes: rate(self.received_bytes, before.received_bytes)?,
        };
        (elapsed_ms > 0).then_some(rates)
    }
}

/// The last rates of something, the newest at the end.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<f32>);

impl History {
    pub fn push(&mut self, rate: f64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(rate as f32);
    }

    /// The newest in so many letters, each as high as its share of the greatest among them.
    pub fn graph(&self, width: usize, has_blocks: bool) -> String {
        const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '%', '#'];
        let letters = if has_blocks { BLOCKS } else { ASCII };
        let shown = self.0.iter().skip(self.0.len().saturating_sub(width));
        let top = shown.clone().copied().fold(0.0, f32::max);
        let letter = |rate: &f32| match *rate > 0.0 {
            // From 1 to 8.
            true => letters[(rate / top * 8.0).ceil().clamp(1.0, 8.0) as usize],
            false => letters[0],
        };
        let graph: String = shown.map(letter).collect();
        format!("{graph:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_unknown_when_a_count_began_anew() {
        let before = Counts { opened: 10, sent_bytes: 1000, received_bytes: 0 };
        let now = Counts { opened: 15, sent_bytes: 3000, received_bytes: 500 };
        let rates = Rates { opened: 2.5, sent_bytes: 1000.0, received_bytes: 250.0 };
        assert_eq!(now.since(&before, 2000), Some(rates));
        assert_eq!(before.since(&now, 2000), None);
        assert_eq!(now.since(&before, 0), None);
    }

    #[test]
    fn a_graph_shows_the_newest_by_the_greatest_of_them() {
        let mut history = History::default();
        [80.0, 0.0, 1.0, 5.0, 10.0].into_iter().for_each(|rate| history.push(rate));
        assert_eq!(history.graph(4, true), " ▁▄█");
        assert_eq!(history.graph(4, false), " .=#");
        assert_eq!(history.graph(7, false), "  # ...");
        (0..1000).for_each(|rate| history.push(rate.into()));
        assert_eq!(history.graph(200, true).chars().filter(|c| *c != ' ').count(), KEPT);
        assert_eq!(History::default().graph(3, true), "   ");
        assert_eq!(history.graph(0, true), "");
    }
}
