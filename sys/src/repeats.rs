//! Says the same trouble once a minute instead of a thousand times a second. Pure: time is an argument.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long repeats are only counted.
pub const QUIET: Duration = Duration::from_secs(60);

/// Troubles remembered at a time; of more, the one remembered longest is forgotten.
const KEYS_MAX: usize = 64;

/// What was said lately, and how often it was not.
#[derive(Default)]
pub struct Repeats {
    /// In the order of `said`.
    entries: Vec<Entry>,
}

struct Entry {
    key: String,
    text: String,
    said: Instant,
    /// Not said since.
    count: u64,
}

impl Repeats {
    pub const fn new() -> Repeats {
        Repeats { entries: Vec::new() }
    }

    /// The trouble `key` happened. Appends to `say` what is to be said now: `text` when it is new, and what is due.
    ///
    /// `text` is not formatted when it is only counted.
    pub fn happened(&mut self, key: &str, text: impl Display, now: Instant, say: &mut Vec<String>) {
        self.due(now, say);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.count += 1;
            return;
        }
        if self.entries.len() == KEYS_MAX {
            say.extend(self.entries.remove(0).repeated(now));
        }
        let text = text.to_string();
        say.push(text.clone());
        self.entries.push(Entry { key: key.into(), text, said: now, count: 0 });
    }

    /// Appends to `say` the troubles that came again, with their number, once their minute is over.
    pub fn due(&mut self, now: Instant, say: &mut Vec<String>) {
        let over = self.entries.partition_point(|entry| now.saturating_duration_since(entry.said) >= QUIET);
        let mut again: Vec<_> = self.entries.drain(..over).filter(|entry| entry.count > 0).collect();
        for entry in &mut again {
            say.extend(entry.repeated(now));
            (entry.said, entry.count) = (now, 0);
        }
        self.entries.append(&mut again);
    }

    /// When [`Repeats::due`] has something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.first().map(|entry| entry.said + QUIET)
    }
}

impl Entry {
    fn repeated(&self, now: Instant) -> Option<String> {
        let seconds = now.saturating_duration_since(self.said).as_secs();
        let times = if self.count == 1 { "once".into() } else { format!("{} times", self.count) };
        (self.count > 0).then(|| format!("{} ({times} more within {seconds} s)", self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said when `key` happens `at` seconds after `start`.
    fn happen(repeats: &mut Repeats, start: Instant, at: u64, key: &str) -> Vec<String> {
        let mut say = Vec::new();
        repeats.happened(key, format_args!("{key} is broken"), start + Duration::from_secs(at), &mut say);
        say
    }

    fn due(repeats: &mut Repeats, start: Instant, at: u64) -> Vec<String> {
        let mut say = Vec::new();
        repeats.due(start + Duration::from_secs(at), &mut say);
        say
    }

    #[test]
    fn says_it_once_then_counts_then_says_the_number() {
        let (mut repeats, start) = (Repeats::new(), crate::clock::now());
        assert_eq!(happen(&mut repeats, start, 0, "disk"), ["disk is broken"]);
        assert!(happen(&mut repeats, start, 1, "disk").is_empty());
        assert!(happen(&mut repeats, start, 59, "disk").is_empty());
        assert_eq!(due(&mut repeats, start, 60), ["disk is broken (2 times more within 60 s)"]);
        assert!(happen(&mut repeats, start, 61, "disk").is_empty());
        assert!(due(&mut repeats, start, 119).is_empty());
        assert_eq!(due(&mut repeats, start, 121), ["disk is broken (once more within 61 s)"]);
    }

    #[test]
    fn troubles_do_not_hide_each_other() {
        let (mut repeats, start) = (Repeats::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        assert_eq!(happen(&mut repeats, start, 30, "network"), ["network is broken"]);
        happen(&mut repeats, start, 31, "disk");
        assert_eq!(due(&mut repeats, start, 70), ["disk is broken (once more within 70 s)"]);
        assert_eq!(repeats.next_due(), Some(start + Duration::from_secs(90)));
    }

    #[test]
    fn what_stays_away_is_forgotten_and_new_again() {
        let (mut repeats, start) = (Repeats::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        assert!(due(&mut repeats, start, 60).is_empty());
        assert_eq!(repeats.next_due(), None);
        assert_eq!(happen(&mut repeats, start, 61, "disk"), ["disk is broken"]);
    }

    #[test]
    fn memory_is_bounded_and_no_count_is_lost() {
        let (mut repeats, start) = (Repeats::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "first");
        happen(&mut repeats, start, 1, "first");
        for key in 1..KEYS_MAX {
            happen(&mut repeats, start, 2, &key.to_string());
        }
        let said = happen(&mut repeats, start, 3, "last");
        assert_eq!(said, ["first is broken (once more within 3 s)", "last is broken"]);
        assert_eq!(repeats.entries.len(), KEYS_MAX);
    }

    #[test]
    fn a_repeat_costs_no_formatting() {
        struct Panics;
        impl Display for Panics {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("formatted")
            }
        }
        let (mut repeats, start) = (Repeats::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        repeats.happened("disk", Panics, start, &mut Vec::new());
    }
}
