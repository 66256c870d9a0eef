//! How many datagrams to ask a socket for at once. Pure.
//!
//! A system call that asks for many also looks whether there is one more than there are, and takes some hundred nanoseconds
//! for that. Most sockets have one at a time. What is left because too few were asked for brings another event.

/// After so many calls that brought what was asked for, one asks for more.
const FULL_MAX: u8 = 4;

/// What a socket had the last times.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    usual: u8,
    full: u8,
}

impl Default for Burst {
    /// Of a socket of which nothing is known.
    fn default() -> Burst {
        Burst { usual: 1, full: FULL_MAX }
    }
}

impl Burst {
    /// How many to ask for, at most `most`.
    pub fn ask(&self, most: usize) -> usize {
        let usual = usize::from(self.usual);
        if self.full < FULL_MAX { usual.min(most) } else { (2 * usual).min(most) }
    }

    /// So many came when so many were asked for.
    pub fn took(&mut self, count: usize, asked: usize) {
        let usual = usize::from(self.usual);
        let next = match (count < asked, asked > usual) {
            (true, _) => count.max(usual / 2).max(1),
            (false, true) => asked,
            (false, false) => usual,
        };
        self.full = match count < asked {
            true => 0,
            false if asked > usual => FULL_MAX,
            false => self.full.saturating_add(1),
        };
        self.usual = next.min(u8::MAX.into()) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls, and datagrams asked for that were not there, until `waiting` datagrams are taken.
    fn take(burst: &mut Burst, mut waiting: usize) -> (usize, usize) {
        let (mut calls, mut in_vain) = (0, 0);
        while waiting > 0 {
            let asked = burst.ask(32);
            let count = waiting.min(asked);
            burst.took(count, asked);
            waiting -= count;
            calls += 1;
            in_vain += asked - count;
        }
        (calls, in_vain)
    }

    #[test]
    fn one_at_a_time_is_asked_for_alone_most_of_the_time() {
        let mut burst = Burst::default();
        let all: Vec<_> = (0..100).map(|_| take(&mut burst, 1)).collect();
        assert!(all.iter().all(|(calls, _)| *calls == 1));
        assert!(all.iter().map(|(_, in_vain)| in_vain).sum::<usize>() <= 21);
    }

    #[test]
    fn many_are_taken_with_few_calls() {
        let mut burst = Burst::default();
        take(&mut burst, 1);
        assert!(take(&mut burst, 1000).0 <= 40, "it learns");
        assert!(take(&mut burst, 320).0 <= 12);
        take(&mut burst, 1);
        assert!(take(&mut burst, 32).0 <= 2, "it does not forget at once");
    }
}
