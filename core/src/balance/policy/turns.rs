//! The fewest connections for its weight, or every server in turn, as often as its weight says.
//!
//! A turn is a point on a line: a server has its turns one step apart, and the step is the shorter the greater its weight. So
//! in any run of choices a server has its share to within one, and its turns lie apart. Who has fewest connections is chosen
//! by these points among equals, so that idle servers get their shares, too.
//!
//! All servers stand in a [`Ranking`], which is told of each change of a server (`changes.rs`): a choice among a thousand
//! looks at a few. Where the first of all does not take the client, the others are compared one by one, by the same keys.

use super::ranking::Ranking;
use super::watch::Watch;
use super::{Glance, Policy, Question, ServerId};
use std::collections::HashMap;

/// Between two turns of a server of weight 1 in millionths.
const STEP: u64 = 1 << 60;

/// What servers are compared by, in this order; the least is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// [`SHUT`], or by [`Glance::standby`] and, with `top`, by how much it lacks to the greatest weight.
    rank: u64,
    /// See [`load`].
    load: u64,
    turn: u128,
}

/// The rank of a server that may not be chosen at all has this, too.
const SHUT: u64 = 1 << 63;

impl Key {
    const LAST: Key = Key { rank: u64::MAX, load: u64::MAX, turn: u128::MAX };
}

/// Connections for a weight above 0: a number that is compared as the quotient. It distinguishes any two quotients as
/// long as connections times weight in millionths stays below 2^53.
#[inline]
pub fn load(connections: u32, weight: u64) -> u64 {
    // Floating-point numbers of one sign are in the order of their bits.
    (f64::from(connections) / weight as f64).to_bits()
}

/// The turns of a server.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    /// Where the next one is.
    at: u128,
    /// By which it was placed there, in millionths; 0 where there is none.
    weight: u64,
    /// It cannot be used, so what it misses is not made up for.
    is_away: bool,
}

impl Turn {
    /// From here it is as far as before, in steps: what a server saved up or owes under another weight does not count more
    /// or less under this one.
    fn weigh(&mut self, weight: u64, here: u128) {
        if self.weight != weight {
            let ahead = self.at.saturating_sub(here);
            // A step of the old weight at most, so the product has room.
            self.at = here + ahead * u128::from(step(weight)) / u128::from(step(self.weight));
            self.weight = weight;
        }
    }

    /// One that comes back begins as a new one does, if its turn has gone by.
    fn meet(&mut self, is_open: bool, here: u128) {
        if self.is_away && is_open && self.at < here {
            self.at = here + u128::from(step(self.weight) / 2);
        }
        self.is_away = !is_open;
    }
}

fn is_open(question: &Question<'_>, glance: &Glance) -> bool {
    glance.is_usable(question.now_seconds) && !glance.is_full()
}

fn step(weight: u64) -> u64 {
    STEP / weight.max(1)
}

/// Goes by turns, and before that by connections or not.
#[derive(Debug, Default)]
pub struct Turns {
    by_connections: bool,
    /// Of each server, by index.
    turns: Vec<Turn>,
    /// The turn that was had last. None is before it for long.
    here: u128,
    ranking: Ranking<Key>,
    watch: Watch,
    by_weight_first: bool,
}

impl Turns {
    /// Those with the fewest connections for their weights come first.
    pub fn by_connections() -> Turns {
        Turns { by_connections: true, ..Turns::default() }
    }

    fn key(&self, question: &Question<'_>, index: usize, glance: &Glance) -> Key {
        let turn = &self.turns[index];
        if turn.weight == 0 {
            return Key::LAST;
        }
        let lack = if self.by_weight_first { u32::MAX - glance.weight().thousandths() } else { 0 };
        Key {
            rank: if is_open(question, glance) { 0 } else { SHUT }
                | u64::from(glance.standby()) << 32
                | u64::from(lack),
            load: if self.by_connections { load(glance.connections(), turn.weight) } else { 0 },
            turn: turn.at,
        }
    }

    /// Takes in what has changed of the servers since the last choice.
    fn follow(&mut self, question: &Question<'_>) {
        if self.by_weight_first != question.rules.only_top() {
            self.by_weight_first = question.rules.only_top();
            self.watch = Watch::default();
        }
        match self.watch.changed(question) {
            Some(changed) => changed.for_each(|index| self.look_at(question, index)),
            None => self.look_at_all(question),
        }
    }

    fn look_at(&mut self, question: &Question<'_>, index: usize) {
        let Some(glance) = question.glances().get(index) else { return };
        let weight = question.weight(index, glance);
        let turn = &mut self.turns[index];
        if turn.weight == 0 && weight > 0 {
            *turn = Turn { at: self.here + u128::from(step(weight) / 2), weight, is_away: false };
        }
        turn.meet(is_open(question, glance), self.here);
        turn.weigh(weight, self.here);
        self.watch.look(question, glance);
        self.ranking.set(index, self.key(question, index, glance));
    }

    fn look_at_all(&mut self, question: &Question<'_>) {
        let glances = question.glances();
        self.turns.resize(glances.len(), Turn::default());
        self.begin_turns(question);
        for (index, glance) in glances.iter().enumerate() {
            let turn = &mut self.turns[index];
            turn.meet(is_open(question, glance), self.here);
            turn.weigh(question.weight(index, glance), self.here);
            self.watch.look(question, glance);
        }
        let keys = glances.iter().enumerate().map(|(index, glance)| self.key(question, index, glance));
        self.ranking = Ranking::of(keys.collect(), Key::LAST);
    }

    /// The first turns of equal servers are spread over a step, in the order of their numbers.
    fn begin_turns(&mut self, question: &Question<'_>) {
        let mut newcomers: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, glance) in question.glances().iter().enumerate() {
            let weight = question.weight(index, glance);
            if self.turns[index].weight == 0 && weight > 0 {
                newcomers.entry(weight).or_default().push(index);
            }
        }
        for (weight, equals) in newcomers {
            let between = u128::from(step(weight)) / equals.len() as u128;
            for (place, index) in equals.into_iter().enumerate() {
                let at = self.here + between * place as u128 + between / 2;
                self.turns[index] = Turn { at, weight, is_away: false };
            }
        }
    }

    /// The first of all, if it takes this client, else the first of those that do.
    fn first(&self, question: &Question<'_>) -> Option<usize> {
        let first = self.ranking.first();
        // A client's own server has room for it beyond what the ranking knows of.
        let is_stranger = question.others.as_ref().is_none_or(|others| others.own == ServerId::NONE);
        if is_stranger && question.may_choose(first) {
            return Some(first);
        }
        let mut least = None;
        question.visit(|index, glance| {
            let mut key = self.key(question, index, glance);
            key.rank &= !SHUT;
            if least.is_none_or(|(_, least)| key < least) {
                least = Some((index, key));
            }
            true
        });
        least.map(|(index, _)| index)
    }
}

impl Policy for Turns {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        self.follow(question);
        let choice = self.first(question)?;
        let turn = &mut self.turns[choice];
        // One that was busy has one turn at once, and not all that it missed.
        self.here = self.here.max(turn.at);
        turn.at = self.here + u128::from(step(turn.weight));
        self.ranking.set(choice, self.key(question, choice, &question.glances()[choice]));
        Some(choice)
    }

    fn goes_by_weight_first(&self) -> bool {
        true
    }
}
