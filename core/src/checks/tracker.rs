//! How many checks in a row make a verdict. Pure.

use crate::balance::Health;

/// How many checks in a row it takes; 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// For the better.
    pub rise: u32,
    /// For the worse.
    pub fall: u32,
}

/// What checks have found so far about one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tracker {
    health: Option<Health>,
    /// Checks in a row that found it better than it counts, or worse, and the nearest of what they found.
    run: Option<(Health, u32)>,
}

impl Tracker {
    /// As the server counts; `None` before the first check.
    pub fn health(&self) -> Option<Health> {
        self.health
    }

    /// Takes what a check found and returns as what the server counts now. The first check decides at once.
    ///
    /// Checks that find it better in different degrees all count: when there are enough of them, it counts as the worst of
    /// them says. Checks that find it worse likewise, as the best of them says.
    pub fn take(&mut self, found: Health, turns: Turns) -> Health {
        let Some(present) = self.health else { return self.force(found) };
        if found == present {
            self.run = None;
            return present;
        }
        let is_better = found > present;
        let (nearest, count) = match self.run {
            Some((nearest, count)) if (nearest > present) == is_better => {
                (if is_better { nearest.min(found) } else { nearest.max(found) }, count + 1)
            }
            _ => (found, 1),
        };
        let wanted = if is_better { turns.rise } else { turns.fall };
        if count >= wanted.max(1) {
            return self.force(nearest);
        }
        self.run = Some((nearest, count));
        present
    }

    /// Has it count as this at once.
    pub fn force(&mut self, health: Health) -> Health {
        *self = Tracker { health: Some(health), run: None };
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEALTHS: [Health; 3] = [Health::Down, Health::Avoid, Health::Up];

    fn letter(health: Health) -> char {
        match health {
            Health::Down => 'd',
            Health::Avoid => 'a',
            Health::Up => 'u',
        }
    }

    fn of(letter: char) -> Health {
        HEALTHS.into_iter().find(|health| self::letter(*health) == letter).unwrap()
    }

    #[test]
    fn so_many_in_a_row_change_the_verdict() {
        for (rise, fall, found, counts) in [
            (1, 1, "uddu", "uddu"),
            (2, 3, "uddudddduu", "uuuuuudddu"),
            (3, 1, "dduduuu", "ddddddu"),
            (2, 2, "uada", "uuaa"),
            (2, 2, "dauau", "ddaaa"),
            (1, 2, "uadddau", "uuaadau"),
            (0, 0, "udu", "udu"),
        ] {
            let mut tracker = Tracker::default();
            let turns = Turns { rise, fall };
            let got: String = found.chars().map(|found| letter(tracker.take(of(found), turns))).collect();
            assert_eq!(got, counts, "rise {rise} fall {fall} {found}");
        }
    }

    #[test]
    fn nothing_is_known_before_the_first_check_and_force_is_at_once() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.health(), None);
        tracker.take(Health::Up, Turns { rise: 5, fall: 5 });
        assert_eq!(tracker.health(), Some(Health::Up));
        assert_eq!(tracker.force(Health::Down), Health::Down);
        assert_eq!(tracker.take(Health::Up, Turns { rise: 2, fall: 1 }), Health::Down);
        assert_eq!(tracker.take(Health::Up, Turns { rise: 2, fall: 1 }), Health::Up);
    }

    proptest! {
        /// It changes only after enough checks in a row on one side, and to something that one of them found.
        #[test]
        fn a_verdict_needs_its_checks(
            rise in 1..5u32, fall in 1..5u32,
            found in prop::collection::vec(0..3usize, 1..60),
        ) {
            let turns = Turns { rise, fall };
            let mut tracker = Tracker::default();
            let mut history: Vec<Health> = Vec::new();
            for found in found.into_iter().map(|index| HEALTHS[index]) {
                let before = tracker.health();
                let now = tracker.take(found, turns);
                history.push(found);
                let Some(before) = before.filter(|before| *before != now) else { continue };
                let wanted = if now > before { rise } else { fall } as usize;
                let last = &history[history.len().saturating_sub(wanted)..];
                prop_assert_eq!(last.len(), wanted);
                prop_assert!(last.iter().all(|seen| (*seen > before) == (now > before) && *seen != before));
                prop_assert!(last.contains(&now));
            }
        }

        #[test]
        fn enough_of_the_same_decide(start in 0..3usize, rise in 1..5u32, fall in 1..5u32, noise in prop::collection::vec(0..3usize, 0..20), last in 0..3usize) {
            let turns = Turns { rise, fall };
            let mut tracker = Tracker::default();
            tracker.take(HEALTHS[start], turns);
            for index in noise {
                tracker.take(HEALTHS[index], turns);
            }
            for _ in 0..2 * rise.max(fall) {
                tracker.take(HEALTHS[last], turns);
            }
            prop_assert_eq!(tracker.health(), Some(HEALTHS[last]));
        }
    }
}
