//! Which servers a service has because checks named them. Pure.
//!
//! Members that ready servers name come at once. One that is no longer named goes after so many rounds in which some ready
//! server named others: a node that has lost the rest of its cluster names nobody but itself, and one that names nobody
//! says nothing.

use super::program::Member;
use std::collections::{BTreeMap, BTreeSet};

/// Servers that one service may have because checks named them.
pub const DISCOVERED_MAX: usize = 256;

/// The members of one service. `K` is what they are told apart by: where they are.
#[derive(Debug, Clone)]
pub struct Discovery<K> {
    /// Rounds in a row in which somebody was named and this one was not.
    missed: BTreeMap<K, u32>,
}

impl<K> Default for Discovery<K> {
    fn default() -> Discovery<K> {
        Discovery { missed: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Discovery<K> {
    /// Ends a round. `named` is what each ready server named in it; `fall`: see the module. Returns the members that there
    /// are from now on.
    pub fn round<'a>(&mut self, named: impl IntoIterator<Item = &'a [K]>, fall: u32) -> BTreeSet<K>
    where
        K: 'a,
    {
        let lists = named.into_iter().filter(|list| !list.is_empty());
        let named: BTreeSet<&K> = lists.flatten().collect();
        if !named.is_empty() {
            for (member, missed) in &mut self.missed {
                *missed = if named.contains(member) { 0 } else { missed.saturating_add(1) };
            }
            self.missed.retain(|_, missed| *missed < fall.max(1));
            for member in named {
                if self.missed.len() >= DISCOVERED_MAX {
                    break;
                }
                self.missed.entry(member.clone()).or_insert(0);
            }
        }
        self.missed.keys().cloned().collect()
    }
}

/// What members are told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    pub host: String,
    /// `None`: that of the service.
    pub port: Option<u16>,
}

impl From<&Member> for Named {
    fn from(member: &Member) -> Named {
        Named { host: member.host.to_string(), port: member.port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(discovery: &mut Discovery<u32>, lists: &[&[u32]], fall: u32) -> Vec<u32> {
        discovery.round(lists.iter().copied(), fall).into_iter().collect()
    }

    #[test]
    fn lists_are_joined_and_one_that_nobody_names_goes_after_its_rounds() {
        let mut discovery = Discovery::default();
        assert_eq!(round(&mut discovery, &[&[1, 2], &[2, 3]], 2), [1, 2, 3]);
        assert_eq!(round(&mut discovery, &[&[1]], 2), [1, 2, 3]);
        assert_eq!(round(&mut discovery, &[&[1], &[3]], 2), [1, 3], "3 was named again, 2 was not");
        assert_eq!(round(&mut discovery, &[&[1]], 2), [1, 3]);
        assert_eq!(round(&mut discovery, &[&[1]], 2), [1]);
    }

    #[test]
    fn who_names_nobody_removes_nobody() {
        let mut discovery = Discovery::default();
        round(&mut discovery, &[&[1, 2]], 1);
        for _ in 0..5 {
            assert_eq!(round(&mut discovery, &[], 1), [1, 2], "nobody is ready");
            assert_eq!(round(&mut discovery, &[&[]], 1), [1, 2]);
        }
        assert_eq!(round(&mut discovery, &[&[], &[2]], 1), [2]);
    }

    #[test]
    fn there_are_only_so_many() {
        let mut discovery = Discovery::default();
        let many: Vec<u32> = (0..1_000).collect();
        assert_eq!(round(&mut discovery, &[&many], 1).len(), DISCOVERED_MAX);
        assert_eq!(round(&mut discovery, &[&[5_000, 5_001]], 1), [5_000, 5_001]);
    }

    proptest! {
        /// A member is there exactly if it was named in one of the last `fall` rounds in which anybody was.
        #[test]
        fn members_are_those_of_the_last_rounds(
            fall in 1..4u32,
            rounds in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..6u32, 0..4), 0..3), 1..30),
        ) {
            let mut discovery = Discovery::default();
            let mut told: Vec<BTreeSet<u32>> = Vec::new();
            for lists in rounds {
                let named: BTreeSet<u32> = lists.iter().flatten().copied().collect();
                if !named.is_empty() {
                    told.push(named);
                }
                let members = discovery.round(lists.iter().map(Vec::as_slice), fall);
                let last = &told[told.len().saturating_sub(fall as usize)..];
                let expected: BTreeSet<u32> = last.iter().flatten().copied().collect();
                prop_assert_eq!(members, expected);
            }
        }
    }
}
