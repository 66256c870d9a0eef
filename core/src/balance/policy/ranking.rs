//! The least of many keys, known again a few comparisons after one of them has changed.

/// A tree of winners: each node knows the least of the keys below it. The keys are its leaves.
#[derive(Debug)]
pub struct Ranking<K> {
    /// As many as a power of two, the last ones perhaps without a meaning.
    keys: Vec<K>,
    /// Places of keys. The node at 1 is the root, those below the one at N are at 2 N and 2 N + 1.
    winners: Vec<u16>,
}

impl<K> Default for Ranking<K> {
    fn default() -> Ranking<K> {
        Ranking { keys: Vec::new(), winners: Vec::new() }
    }
}

impl<K: Ord + Clone> Ranking<K> {
    /// Of these keys; `last` is one that no other comes after.
    ///
    /// # Panics
    /// With more than 65,536 keys.
    pub fn of(mut keys: Vec<K>, last: K) -> Ranking<K> {
        let places = keys.len().next_power_of_two();
        assert!(places <= 1 << u16::BITS, "{places} places");
        keys.resize(places, last);
        let mut ranking = Ranking { keys, winners: vec![0; places] };
        (1..places).rev().for_each(|node| ranking.winners[node] = ranking.winner(node));
        ranking
    }

    /// The place of the least key, the first among equals. Without keys that is 0.
    pub fn first(&self) -> usize {
        self.winners.get(1).map_or(0, |winner| usize::from(*winner))
    }

    /// Gives the place another key.
    ///
    /// # Panics
    /// For a place that does not exist.
    pub fn set(&mut self, place: usize, key: K) {
        if self.keys[place] == key {
            return;
        }
        self.keys[place] = key;
        let mut node = (self.keys.len() + place) / 2;
        while node > 0 {
            let winner = self.winner(node);
            let before = std::mem::replace(&mut self.winners[node], winner);
            // Above a node that neither was nor is won by this key, nothing has changed.
            if before == winner && usize::from(winner) != place {
                return;
            }
            node /= 2;
        }
    }

    fn winner(&self, node: usize) -> u16 {
        let places = self.keys.len();
        let of = |child: usize| match child.checked_sub(places) {
            Some(place) => place as u16,
            None => self.winners[child],
        };
        let (left, right) = (of(2 * node), of(2 * node + 1));
        if self.keys[usize::from(right)] < self.keys[usize::from(left)] { right } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_is_the_least_whatever_changes(
            keys in vec(0..9u8, 0..20),
            changes in vec((any::<prop::sample::Index>(), 0..9u8), 0..40),
        ) {
            let mut ranking = Ranking::of(keys.clone(), u8::MAX);
            let mut keys = keys;
            for (place, key) in changes {
                let least = (0..keys.len()).min_by_key(|place| keys[*place]);
                prop_assert_eq!(ranking.first(), least.unwrap_or(0));
                if !keys.is_empty() {
                    let place = place.index(keys.len());
                    keys[place] = key;
                    ranking.set(place, key);
                }
            }
        }
    }
}
