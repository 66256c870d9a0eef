//! One timer for each of many small numbers, such as the connections of a worker. Pure: the time is an argument.
//!
//! Owns deadlines and nothing about their meaning: a connection has a deadline for its connect, later one for being
//! idle. Each worker has a [`Timers`] of its own, and calls [`Wheel::expire`] with its coarse clock at each wake-up.
//!
//! A wheel of wheels: the lowest has a slot for each tick, each higher one a slot for a whole turn of the one below, and
//! a timer moves down as its time comes near. Arming, disarming and moving are O(1) on lists threaded through the
//! timers, and nothing ever looks at a timer that is far away.

use crate::chunked::Chunked;

/// The tick of [`Timers`].
pub const TICK_MS: u64 = 64;

const LEVEL_BITS: u32 = 6;
/// Slots of a wheel; their occupancy is one machine word.
const SLOTS: usize = 1 << LEVEL_BITS;
/// Seven wheels reach nine thousand years.
const LEVELS: usize = 7;
const TICK_LAST: u64 = (1 << (LEVEL_BITS as usize * LEVELS)) - 1;
const _: () = assert!(TICK_LAST < 1 << (u64::BITS - u16::BITS));

/// A number plus one, 0 for none.
type Link = u32;
const END: Link = 0;
/// The home of a timer that is not armed.
const NOWHERE: u16 = u16::MAX;

/// Every connection has one.
struct Timer {
    when: When,
    next: Link,
    previous: Link,
}

const DISARMED: Timer = Timer { when: When::new(0, NOWHERE), next: END, previous: END };

const _: () = assert!(size_of::<Timer>() == 16);

/// The deadline of a timer and its home, in one word.
#[derive(Clone, Copy)]
struct When(u64);

impl When {
    const fn new(deadline_tick: u64, home: u16) -> When {
        When(deadline_tick << u16::BITS | home as u64)
    }

    fn deadline_tick(self) -> u64 {
        self.0 >> u16::BITS
    }

    /// Level and slot in one number.
    fn home(self) -> u16 {
        self.0 as u16
    }
}

/// Timers of connections.
pub type Timers = Wheel<TICK_MS>;

/// Timers by number. Memory grows with the highest number ever armed. `TICK` is the unit of time, in milliseconds: a timer
/// may fire this much after its deadline, never before it, and all that are due within one fire together.
pub struct Wheel<const TICK: u64> {
    timers: Chunked<Timer>,
    heads: [[Link; SLOTS]; LEVELS],
    /// For each level, a bit for each slot with timers in it.
    occupied: [u64; LEVELS],
    /// Everything that was due before this tick has fired.
    now_tick: u64,
}

impl<const TICK: u64> Wheel<TICK> {
    /// `now_ms` is milliseconds since any fixed moment, as in all the calls to come.
    pub fn new(now_ms: u64) -> Wheel<TICK> {
        Wheel {
            timers: Chunked::default(),
            heads: [[END; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            now_tick: (now_ms / TICK).min(TICK_LAST),
        }
    }

    /// Lets `id` fire once `deadline_ms` has come, instead of at any deadline it had. A deadline in the past fires at the
    /// next [`Wheel::expire`].
    pub fn arm(&mut self, id: u32, deadline_ms: u64) {
        let deadline_tick = deadline_ms.div_ceil(TICK).clamp(self.now_tick, TICK_LAST);
        let index = id as usize;
        while index >= self.timers.len() {
            self.timers.push(DISARMED);
        }
        let when = self.timers[index].when;
        let armed = when.home() != NOWHERE;
        if armed && when.deadline_tick() == deadline_tick {
            return;
        }
        if armed {
            self.unlink(id);
        }
        self.link(id, deadline_tick);
    }

    /// Forgets the deadline of `id`, if it has one.
    pub fn disarm(&mut self, id: u32) {
        if self.is_armed(id) {
            self.unlink(id);
        }
    }

    /// Whether `id` has a deadline that has not fired.
    pub fn is_armed(&self, id: u32) -> bool {
        self.timers.get(id as usize).is_some_and(|timer| timer.when.home() != NOWHERE)
    }

    /// Calls `fire` for every timer whose deadline has come, in no particular order; they are disarmed. Time that goes
    /// back is taken for standing still.
    pub fn expire(&mut self, now_ms: u64, mut fire: impl FnMut(u32)) {
        let end_tick = (now_ms / TICK).clamp(self.now_tick, TICK_LAST);
        while let Some((level, slot, start_tick)) = self.earliest_slot() {
            if start_tick > end_tick {
                break;
            }
            self.now_tick = start_tick.max(self.now_tick);
            while let Some(id) = self.heads[level][slot].checked_sub(1) {
                let deadline_tick = self.timers[id as usize].when.deadline_tick();
                self.unlink(id);
                if deadline_tick <= self.now_tick {
                    fire(id);
                } else {
                    self.link(id, deadline_tick);
                }
            }
        }
        self.now_tick = end_tick;
    }

    /// When to call [`Wheel::expire`] next so that no timer is late by more than a tick; `None` without timers. For a
    /// deadline more than some seconds away it may name an earlier time.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.earliest_slot().map(|(_, _, start_tick)| start_tick.max(self.now_tick) * TICK)
    }

    /// Level, number and first tick of the slot whose time comes first. All timers of a level lie ahead in the present
    /// turn of that level's wheel, and after all those of the levels below.
    fn earliest_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = LEVEL_BITS * level as u32;
        let turn = self.now_tick >> (shift + LEVEL_BITS) << LEVEL_BITS;
        Some((level, slot as usize, (turn | u64::from(slot)) << shift))
    }

    fn link(&mut self, id: u32, deadline_tick: u64) {
        let (level, slot) = self.place(deadline_tick);
        let next = std::mem::replace(&mut self.heads[level][slot], id + 1);
        self.occupied[level] |= 1 << slot;
        if let Some(next) = next.checked_sub(1) {
            self.timers[next as usize].previous = id + 1;
        }
        let timer = &mut self.timers[id as usize];
        timer.next = next;
        timer.previous = END;
        timer.when = When::new(deadline_tick, (level * SLOTS + slot) as u16);
    }

    fn unlink(&mut self, id: u32) {
        let timer = &mut self.timers[id as usize];
        let (next, previous) = (timer.next, timer.previous);
        let home = usize::from(std::mem::replace(&mut timer.when, DISARMED.when).home());
        if let Some(next) = next.checked_sub(1) {
            self.timers[next as usize].previous = previous;
        }
        if let Some(previous) = previous.checked_sub(1) {
            self.timers[previous as usize].next = next;
            return;
        }
        let (level, slot) = (home / SLOTS, home % SLOTS);
        self.heads[level][slot] = next;
        if next == END {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// The lowest level in whose present turn the tick lies, and its slot there.
    fn place(&self, tick: u64) -> (usize, usize) {
        let differing = (tick ^ self.now_tick) | 1;
        let level = (differing.ilog2() / LEVEL_BITS) as usize;
        (level, (tick >> (LEVEL_BITS as usize * level)) as usize % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn fired(timers: &mut Timers, now_ms: u64) -> Vec<u32> {
        let mut ids = Vec::new();
        timers.expire(now_ms, |id| ids.push(id));
        ids.sort_unstable();
        ids
    }

    #[test]
    fn fires_once_within_a_tick_after_the_deadline() {
        let mut timers = Timers::new(1_000);
        timers.arm(7, 3_000);
        assert!(fired(&mut timers, 2_999).is_empty());
        assert_eq!(fired(&mut timers, 2_999 + TICK_MS), [7]);
        assert!(fired(&mut timers, 1_000_000).is_empty());
        assert_eq!(timers.next_deadline_ms(), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        let mut timers = Timers::new(10_000);
        timers.arm(0, 5);
        assert!(timers.next_deadline_ms().unwrap() <= 10_000);
        assert_eq!(fired(&mut timers, 10_000), [0]);
    }

    #[test]
    fn the_latest_deadline_counts_and_disarming_forgets_it() {
        let mut timers = Timers::new(0);
        timers.arm(1, 500);
        timers.arm(1, 90_000);
        timers.arm(2, 500);
        timers.disarm(2);
        timers.disarm(99);
        assert!(fired(&mut timers, 60_000).is_empty());
        assert_eq!(fired(&mut timers, 90_064), [1]);
    }

    #[test]
    fn a_near_deadline_costs_one_wake_up_however_long_nothing_was_armed() {
        let mut timers = Timers::new(0);
        timers.expire(1 << 40, |_| unreachable!("nothing is armed"));
        timers.arm(0, (1 << 40) + 3_000);
        let now_ms = timers.next_deadline_ms().unwrap();
        assert_eq!(fired(&mut timers, now_ms), [0]);
    }

    #[test]
    fn a_deadline_beyond_all_time_is_kept_and_disturbs_nobody() {
        let mut timers = Timers::new(0);
        timers.arm(3, u64::MAX);
        timers.arm(4, 1_000);
        assert_eq!(fired(&mut timers, 1_064), [4]);
        assert!(fired(&mut timers, 100 * 365 * 86_400_000).is_empty());
        assert!(timers.is_armed(3));
    }

    /// Waking up only when told to, a year away takes a wake-up per wheel, not one per turn of the lowest.
    #[test]
    fn a_far_deadline_costs_few_wake_ups() {
        let year_ms = 365 * 86_400_000;
        let mut timers = Timers::new(12_345);
        timers.arm(0, year_ms);
        for wake_ups in 1.. {
            let now_ms = timers.next_deadline_ms().unwrap();
            if fired(&mut timers, now_ms) == [0] {
                assert!((year_ms..year_ms + TICK_MS).contains(&now_ms), "fired at {now_ms}");
                return;
            }
            assert!(wake_ups < LEVELS, "{wake_ups} wake-ups");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Arm { id: u32, after_ms: u64 },
        Disarm { id: u32 },
        Pass { ms: u64 },
        Sleep,
    }

    /// Short, long and very long times, so that all the levels and the steps between them occur.
    fn span_ms() -> impl Strategy<Value = u64> {
        prop_oneof![0..200u64, 0..10_000u64, 0..1_000_000u64, 0..3_000_000_000u64]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40u32, span_ms()).prop_map(|(id, after_ms)| Step::Arm { id, after_ms }),
            1 => (0..40u32).prop_map(|id| Step::Disarm { id }),
            2 => span_ms().prop_map(|ms| Step::Pass { ms }),
            2 => Just(Step::Sleep),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list_of_deadlines(
            start_ms in prop_oneof![0..1_000u64, 1_700_000_000_000..1_900_000_000_000u64],
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut timers = Timers::new(start_ms);
            let mut deadlines = BTreeMap::new();
            let mut now_ms = start_ms;
            for step in steps {
                match step {
                    Step::Arm { id, after_ms } => {
                        timers.arm(id, now_ms + after_ms);
                        deadlines.insert(id, now_ms + after_ms);
                    }
                    Step::Disarm { id } => {
                        timers.disarm(id);
                        deadlines.remove(&id);
                    }
                    Step::Pass { ms } => now_ms += ms,
                    Step::Sleep => now_ms = now_ms.max(timers.next_deadline_ms().unwrap_or(0)),
                }
                for id in fired(&mut timers, now_ms) {
                    let deadline_ms = deadlines.remove(&id);
                    prop_assert!(deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms), "{} early", id);
                }
                for (&id, &deadline_ms) in &deadlines {
                    prop_assert!(timers.is_armed(id));
                    prop_assert!(now_ms < deadline_ms + TICK_MS, "{} late", id);
                }
                let latest_ms = deadlines.values().min().map(|deadline_ms| deadline_ms + TICK_MS);
                match (timers.next_deadline_ms(), latest_ms) {
                    (Some(next_ms), Some(latest_ms)) => prop_assert!(next_ms < latest_ms && next_ms > now_ms),
                    (next_ms, latest_ms) => prop_assert_eq!(next_ms, latest_ms),
                }
            }
        }
    }
}
