//! Says the same trouble once a minute instead of a thousand times a second, and less often the longer it lasts. Pure: time
//! is an argument.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long repeats are only counted, at first.
pub const QUIET: Duration = Duration::from_secs(60);

/// The same after it was doubled with every repeat that was told.
const QUIET_MAX: Duration = Duration::from_secs(600);

/// Troubles remembered at a time; of more, the one said longest ago is forgotten.
const KEYS_MAX: usize = 64;

/// What was said lately, and how often it was not.
pub struct Repeats<Tag> {
    entries: Vec<Entry<Tag>>,
}

struct Entry<Tag> {
    key: String,
    /// How it is said.
    tag: Tag,
    text: String,
    said: Instant,
    quiet: Duration,
    /// Not said since.
    count: u64,
}

impl<Tag: Copy> Repeats<Tag> {
    pub const fn new() -> Self {
        Repeats { entries: Vec::new() }
    }

    /// The trouble `key` happened. Appends to `say` what is to be said now: `text` when it is new, and what is due.
    ///
    /// `text` is not formatted when it is only counted.
    pub fn happened(
        &mut self,
        key: &str,
        tag: Tag,
        text: impl Display,
        now: Instant,
        say: &mut Vec<(Tag, String)>,
    ) {
        self.due(now, say);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.count += 1;
            return;
        }
        if self.entries.len() == KEYS_MAX {
            let oldest = (0..KEYS_MAX).min_by_key(|&index| self.entries[index].said).unwrap_or(0);
            say.extend(self.entries.remove(oldest).repeated(now));
        }
        let text = text.to_string();
        say.push((tag, text.clone()));
        self.entries.push(Entry { key: key.into(), tag, text, said: now, quiet: QUIET, count: 0 });
    }

    /// Appends to `say` the troubles that came again, with their number, once their time is over.
    pub fn due(&mut self, now: Instant, say: &mut Vec<(Tag, String)>) {
        self.entries.retain_mut(|entry| {
            if now < entry.due() {
                return true;
            }
            say.extend(entry.repeated(now));
            let goes_on = entry.count > 0;
            (entry.said, entry.count) = (now, 0);
            entry.quiet = QUIET_MAX.min(entry.quiet * 2);
            goes_on
        });
    }

    /// When [`Repeats::due`] has something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.iter().map(Entry::due).min()
    }
}

impl<Tag: Copy> Entry<Tag> {
    fn due(&self) -> Instant {
        self.said + self.quiet
    }

    fn repeated(&self, now: Instant) -> Option<(Tag, String)> {
        let seconds = now.saturating_duration_since(self.said).as_secs();
        let times = if self.count == 1 { "once".into() } else { format!("{} times", self.count) };
        let text = || format!("{} ({times} more within {seconds} s)", self.text);
        (self.count > 0).then(|| (self.tag, text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said when `key` happens `at` seconds after `start`.
    fn happen(repeats: &mut Repeats<()>, start: Instant, at: u64, key: &str) -> Vec<String> {
        let mut say = Vec::new();
        repeats.happened(key, (), format_args!("{key} is broken"), start + Duration::from_secs(at), &mut say);
        say.into_iter().map(|((), text)| text).collect()
    }

    fn due(repeats: &mut Repeats<()>, start: Instant, at: u64) -> Vec<String> {
        let mut say = Vec::new();
        repeats.due(start + Duration::from_secs(at), &mut say);
        say.into_iter().map(|((), text)| text).collect()
    }

    #[test]
    fn says_it_once_then_counts_then_says_the_number() {
        let (mut repeats, start) = (Repeats::<()>::new(), crate::clock::now());
        assert_eq!(happen(&mut repeats, start, 0, "disk"), ["disk is broken"]);
        assert!(happen(&mut repeats, start, 1, "disk").is_empty());
        assert!(happen(&mut repeats, start, 59, "disk").is_empty());
        assert_eq!(due(&mut repeats, start, 60), ["disk is broken (2 times more within 60 s)"]);
        assert!(happen(&mut repeats, start, 61, "disk").is_empty());
        assert!(due(&mut repeats, start, 179).is_empty(), "twice as long as before");
        assert_eq!(due(&mut repeats, start, 181), ["disk is broken (once more within 121 s)"]);
        for (from, until) in [(181, 421), (421, 901), (901, 1501), (1501, 2101)] {
            happen(&mut repeats, start, from + 1, "disk");
            assert!(due(&mut repeats, start, until - 1).is_empty());
            assert_eq!(due(&mut repeats, start, until).len(), 1, "{until}");
        }
        assert!(due(&mut repeats, start, 2701).is_empty());
        assert_eq!(happen(&mut repeats, start, 2702, "disk"), ["disk is broken"]);
    }

    #[test]
    fn troubles_do_not_hide_each_other() {
        let (mut repeats, start) = (Repeats::<()>::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        assert_eq!(happen(&mut repeats, start, 30, "network"), ["network is broken"]);
        happen(&mut repeats, start, 31, "disk");
        assert_eq!(due(&mut repeats, start, 70), ["disk is broken (once more within 70 s)"]);
        assert_eq!(repeats.next_due(), Some(start + Duration::from_secs(90)));
    }

    #[test]
    fn what_stays_away_is_forgotten_and_new_again() {
        let (mut repeats, start) = (Repeats::<()>::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        assert!(due(&mut repeats, start, 60).is_empty());
        assert_eq!(repeats.next_due(), None);
        assert_eq!(happen(&mut repeats, start, 61, "disk"), ["disk is broken"]);
    }

    #[test]
    fn memory_is_bounded_and_no_count_is_lost() {
        let (mut repeats, start) = (Repeats::<()>::new(), crate::clock::now());
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
        let (mut repeats, start) = (Repeats::<()>::new(), crate::clock::now());
        happen(&mut repeats, start, 0, "disk");
        repeats.happened("disk", (), Panics, start, &mut Vec::new());
    }
}
