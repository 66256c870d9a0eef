//! Which servers a client was sent to in vain. Pure.
//!
//! Owns a set for each connection that has lost a server, so that no client is sent to the same server twice. All the
//! others, nearly all there are, have none: an attempt has room for a number, and not for a set.

use super::servers::ServerId;
use crate::slab::Slab;
use std::num::NonZeroU32;

const WORD_BITS: usize = u64::BITS as usize;

/// Regular servers, by index.
#[derive(Debug, Default)]
pub struct ServerSet {
    words: Vec<u64>,
}

impl ServerSet {
    pub const EMPTY: &ServerSet = &ServerSet { words: Vec::new() };

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / WORD_BITS).is_some_and(|word| word >> (index % WORD_BITS) & 1 == 1)
    }

    fn insert(&mut self, index: usize) {
        let position = index / WORD_BITS;
        if position >= self.words.len() {
            self.words.resize(position + 1, 0);
        }
        self.words[position] |= 1 << (index % WORD_BITS);
    }
}

/// The set of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriedKey(NonZeroU32);

impl TriedKey {
    fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// The sets of all attempts.
#[derive(Debug, Default)]
pub struct Tried {
    sets: Slab<ServerSet>,
}

impl Tried {
    /// Adds a server that did not do. Of the special servers nothing need be remembered: nobody is sent on from them.
    pub fn add(&mut self, key: &mut Option<TriedKey>, server: ServerId) {
        let Some(index) = server.index() else { return };
        let set = *key.get_or_insert_with(|| {
            let number = self.sets.insert(ServerSet::default());
            TriedKey(NonZeroU32::MIN.saturating_add(number))
        });
        if let Some(set) = self.sets.get_mut(set.index()) {
            set.insert(index);
        }
    }

    pub fn of(&self, key: Option<TriedKey>) -> &ServerSet {
        key.and_then(|key| self.sets.get(key.index())).unwrap_or(ServerSet::EMPTY)
    }

    /// The attempt is over.
    pub fn forget(&mut self, key: &mut Option<TriedKey>) {
        if let Some(key) = key.take() {
            self.sets.remove(key.index());
            self.sets.recycle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_has_its_own_set_and_gives_it_back() {
        let mut tried = Tried::default();
        let (mut one, mut other) = (None, None);
        for index in [0, 63, 64, 4_095] {
            tried.add(&mut one, ServerId::regular(index));
        }
        tried.add(&mut other, ServerId::regular(1));
        let indices = |tried: &Tried, key| {
            (0..5_000).filter(|&index| tried.of(key).contains(index)).collect::<Vec<_>>()
        };
        assert_eq!(indices(&tried, one), [0, 63, 64, 4_095]);
        assert_eq!(indices(&tried, other), [1]);
        tried.forget(&mut one);
        tried.add(&mut one, ServerId::regular(7));
        assert_eq!((indices(&tried, one), indices(&tried, other)), (vec![7], vec![1]));
        assert_eq!(tried.sets.places(), 2, "a number is used again");
    }

    #[test]
    fn special_servers_need_no_set() {
        let (mut tried, mut key) = (Tried::default(), None);
        tried.add(&mut key, ServerId::EMERGENCY);
        assert_eq!(key, None);
        assert!(!tried.of(key).contains(0));
    }
}
