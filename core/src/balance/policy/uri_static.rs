//! By what the client asks for, without memory: of N servers that may be chosen, in the order of their numbers, the one whose
//! place is the hash modulo N. That is the algorithm STATIC of Octopus: balancers with the same servers in the same order
//! choose alike, and when one server goes, nearly all URIs move.

use super::turns::Turns;
use super::watch::Watch;
use super::{Glance, Policy, Question};
use pen_proto::weight::Weight;

/// Where clients go that ask for nothing, and who may be chosen.
#[derive(Debug)]
pub struct UriStatic {
    others: Turns,
    watch: Watch,
    able: Members,
}

impl Default for UriStatic {
    fn default() -> UriStatic {
        UriStatic { others: Turns::by_connections(), watch: Watch::default(), able: Members::default() }
    }
}

impl UriStatic {
    fn follow(&mut self, question: &Question<'_>) {
        let glances = question.glances();
        match self.watch.changed(question) {
            Some(changed) => {
                changed
                    .filter(|index| *index < glances.len())
                    .for_each(|index| self.look_at(question, index));
            }
            None => {
                self.able = Members::default();
                (0..glances.len()).for_each(|index| self.look_at(question, index));
            }
        }
    }

    fn look_at(&mut self, question: &Question<'_>, index: usize) {
        let glance = &question.glances()[index];
        self.watch.look(question, glance);
        self.able.set(index, is_able(question, glance));
    }
}

/// Whether it may be chosen by anybody to whom no server is different.
fn is_able(question: &Question<'_>, glance: &Glance) -> bool {
    glance.is_usable(question.now_seconds)
        && !glance.is_full()
        && glance.standby() == 0
        && glance.weight() >= Weight::LEAST
}

impl Policy for UriStatic {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let Some(uri) = question.uri else { return self.others.choose(question) };
        let among = |count: usize| uri.0.checked_rem(count as u64).map(|place| place as usize);
        if question.is_plain() && question.standby == 0 && question.weight_min == Weight::LEAST {
            self.follow(question);
            return self.able.nth(among(self.able.count)?);
        }
        let mut able = Vec::new();
        question.visit(|index, _| {
            able.push(index);
            true
        });
        among(able.len()).map(|place| able[place])
    }
}

/// Some of the numbers from 0, one bit for each.
#[derive(Debug, Default)]
struct Members {
    words: Vec<u64>,
    count: usize,
}

impl Members {
    fn set(&mut self, index: usize, is_member: bool) {
        let (at, bit) = (index / 64, 1 << (index % 64));
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let word = &mut self.words[at];
        self.count -= usize::from(*word & bit != 0);
        *word = if is_member { *word | bit } else { *word & !bit };
        self.count += usize::from(is_member);
    }

    /// The member before which there are so many.
    fn nth(&self, mut before: usize) -> Option<usize> {
        for (at, word) in self.words.iter().enumerate() {
            let count = word.count_ones() as usize;
            if before < count {
                let rest = (0..before).fold(*word, |rest, _| rest & (rest - 1));
                return Some(at * 64 + rest.trailing_zeros() as usize);
            }
            before -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn members_are_counted_and_found(changes in vec((0..300usize, any::<bool>()), 0..400)) {
            let (mut members, mut model) = (Members::default(), BTreeSet::new());
            for (index, is_member) in changes {
                members.set(index, is_member);
                if is_member { model.insert(index) } else { model.remove(&index) };
            }
            prop_assert_eq!(members.count, model.len());
            let found: Vec<_> = (0..=model.len()).map_while(|place| members.nth(place)).collect();
            prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
        }
    }
}
