//! A table of URIs and their servers. When it is full, the URI that nobody has asked for longest makes room.

use crate::lru::{Links, Lru, Slots};
use crate::uri::Uri;
use std::collections::HashMap;

/// As many as Octopus has.
pub const ASSIGNMENTS_MAX: usize = 65_535;

#[derive(Debug)]
struct Assignment {
    uri: Uri,
    server: u16,
    /// Of the server, when it was assigned.
    era: u32,
    links: Links,
}

/// What a server has.
#[derive(Debug, Clone, Copy, Default)]
struct Holder {
    uris: u32,
    /// Changes when all its URIs are forgotten.
    era: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Assignments {
    table: Vec<Assignment>,
    by_uri: HashMap<Uri, u32>,
    order: Lru,
    /// Of each server, by index.
    holders: Vec<Holder>,
}

impl Slots for Vec<Assignment> {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self[slot as usize].links
    }
}

impl Assignments {
    /// The index of the server that has the URI, for which somebody asks.
    pub fn find(&mut self, uri: Uri) -> Option<usize> {
        let slot = *self.by_uri.get(&uri)?;
        self.order.remove(&mut self.table, slot);
        self.order.push(&mut self.table, slot);
        self.holder(slot)
    }

    /// How many URIs the server has.
    pub fn count(&self, server: usize) -> u32 {
        self.holders.get(server).map_or(0, |holder| holder.uris)
    }

    /// The server has the URI from now on.
    pub fn assign(&mut self, uri: Uri, server: usize) {
        let slot = match self.by_uri.get(&uri) {
            Some(slot) => *slot,
            None => self.insert(uri),
        };
        self.give(slot, server);
    }

    /// The server has no URIs any more.
    pub fn forget(&mut self, server: usize) {
        if let Some(holder) = self.holders.get_mut(server) {
            *holder = Holder { uris: 0, era: holder.era.wrapping_add(1) };
        }
    }

    /// Gives so many URIs of a server to another one.
    pub fn move_some(&mut self, from: usize, to: usize, count: usize) {
        let slots = 0..self.table.len() as u32;
        let moving: Vec<u32> = slots.filter(|slot| self.holder(*slot) == Some(from)).take(count).collect();
        moving.into_iter().for_each(|slot| self.give(slot, to));
    }

    /// The server of an assignment; `None` when it has been forgotten.
    fn holder(&self, slot: u32) -> Option<usize> {
        let Assignment { server, era, .. } = self.table[slot as usize];
        let server = usize::from(server);
        (self.holders.get(server)?.era == era).then_some(server)
    }

    fn give(&mut self, slot: u32, server: usize) {
        self.take(slot);
        if server >= self.holders.len() {
            self.holders.resize(server + 1, Holder::default());
        }
        let holder = &mut self.holders[server];
        holder.uris += 1;
        let assignment = &mut self.table[slot as usize];
        // Indices of servers take 15 bits.
        (assignment.server, assignment.era) = (server as u16, holder.era);
    }

    /// Takes the URI from its server, if it has one.
    fn take(&mut self, slot: u32) {
        if let Some(server) = self.holder(slot) {
            self.holders[server].uris -= 1;
            self.table[slot as usize].era = self.holders[server].era.wrapping_sub(1);
        }
    }

    /// A place for one more URI, with no server yet.
    fn insert(&mut self, uri: Uri) -> u32 {
        let fresh = Assignment { uri, server: u16::MAX, era: 0, links: Links::default() };
        let slot = match self.table.len() < ASSIGNMENTS_MAX {
            true => {
                self.make_room();
                self.table.push(fresh);
                self.table.len() as u32 - 1
            }
            false => {
                let oldest = self.order.oldest().expect("a full table has an oldest assignment");
                self.take(oldest);
                self.order.remove(&mut self.table, oldest);
                let before = std::mem::replace(&mut self.table[oldest as usize], fresh);
                self.by_uri.remove(&before.uri);
                oldest
            }
        };
        self.by_uri.insert(uri, slot);
        self.order.push(&mut self.table, slot);
        slot
    }

    /// All of it with the first URI, so that no later one waits until the table has grown. Memory that is not used yet takes
    /// none of the system's.
    fn make_room(&mut self) {
        if self.table.is_empty() {
            self.table.reserve_exact(ASSIGNMENTS_MAX);
            self.by_uri.reserve(ASSIGNMENTS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Find(u64),
        Assign(u64, usize),
        Forget(usize),
        Move(usize, usize, usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..9u64).prop_map(Step::Find),
            (0..9u64, 0..4usize).prop_map(|(uri, server)| Step::Assign(uri, server)),
            (0..4usize).prop_map(Step::Forget),
            (0..4usize, 0..4usize, 0..5usize).prop_map(|(from, to, count)| Step::Move(from, to, count)),
        ]
    }

    proptest! {
        #[test]
        fn every_uri_has_the_server_that_it_was_given_last(steps in vec(any_step(), 0..80)) {
            let (mut table, mut model) = (Assignments::default(), HashMap::new());
            for step in steps {
                match step {
                    Step::Find(uri) => prop_assert_eq!(table.find(Uri(uri)), model.get(&uri).copied()),
                    Step::Assign(uri, server) => {
                        table.assign(Uri(uri), server);
                        model.insert(uri, server);
                    }
                    Step::Forget(server) => {
                        table.forget(server);
                        model.retain(|_, has| *has != server);
                    }
                    Step::Move(from, to, count) => {
                        let has = model.values().filter(|server| **server == from).count();
                        table.move_some(from, to, count);
                        for (uri, server) in &mut model {
                            *server = table.find(Uri(*uri)).unwrap_or(*server);
                        }
                        let has_left = model.values().filter(|server| **server == from).count();
                        let wanted = if from == to { has } else { has - count.min(has) };
                        prop_assert_eq!(has_left, wanted);
                    }
                }
                for server in 0..4 {
                    let uris = model.values().filter(|has| **has == server).count();
                    prop_assert_eq!(table.count(server) as usize, uris);
                }
            }
        }
    }

    #[test]
    fn the_uri_that_nobody_asked_for_longest_makes_room() {
        let mut table = Assignments::default();
        (0..ASSIGNMENTS_MAX as u64).for_each(|uri| table.assign(Uri(uri), 0));
        assert_eq!(table.find(Uri(0)), Some(0));
        table.assign(Uri(u64::MAX), 1);
        assert_eq!(
            (table.find(Uri(0)), table.find(Uri(1)), table.find(Uri(u64::MAX))),
            (Some(0), None, Some(1))
        );
        assert_eq!((table.count(0) as usize, table.count(1)), (ASSIGNMENTS_MAX - 1, 1));
    }
}
