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

    /// The place of the least key, the first after this place among equals, and round.
    pub fn first_after(&self, place: usize) -> usize {
        let first = self.first();
        let mut node = self.keys.len() + place;
        if place >= self.keys.len() {
            return first;
        }
        while node > 1 {
            // What lies to the right of a left child comes after it.
            if node.is_multiple_of(2) {
                let winner = usize::from(self.known(node + 1));
                if self.keys[winner] == self.keys[first] {
                    return winner;
                }
            }
            node /= 2;
        }
        first
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

    /// The winner of a node, or the place of a leaf.
    fn known(&self, node: usize) -> u16 {
        match node.checked_sub(self.keys.len()) {
            Some(place) => place as u16,
            None => self.winners[node],
        }
    }

    fn winner(&self, node: usize) -> u16 {
        let (left, right) = (self.known(2 * node), self.known(2 * node + 1));
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
                for after in 0..=keys.len() {
                    let is_least = |place: &usize| Some(keys[*place]) == least.map(|least| keys[least]);
                    let next = (after + 1..keys.len()).find(is_least).or(least);
                    prop_assert_eq!(ranking.first_after(after), next.unwrap_or(0));
                }
                if !keys.is_empty() {
                    let place = place.index(keys.len());
                    keys[place] = key;
                    ranking.set(place, key);
                }
            }
        }
    }
}
