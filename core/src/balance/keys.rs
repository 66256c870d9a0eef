//! What a client's slot remembers of its server: 16 bits that stand for a name, or for a number where there is none. Pure.
//!
//! Services that share a client table have each their own servers and numbers; a name means the same server in all of
//! them. Owns the numbers of names. A name keeps its number while any server has it or no other name needs the number.

use super::servers::{SERVER_NUMBERS, ServerId};
use std::collections::{HashMap, HashSet};

/// The first number of a name; below are the numbers of servers without one.
const NAMES_FROM: u16 = SERVER_NUMBERS as u16;
/// How many names there may be: up to the numbers of the special servers.
const NAMES_MAX: usize = (u16::MAX - 2 - NAMES_FROM) as usize;

/// Stands for a server in the slots of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerKey(u16);

impl Default for ServerKey {
    fn default() -> ServerKey {
        ServerKey::NONE
    }
}

impl ServerKey {
    /// No server.
    pub const NONE: ServerKey = ServerKey(ServerId::NONE.raw());

    /// Of a server without a name, or a special one.
    pub fn numbered(id: ServerId) -> ServerKey {
        ServerKey(id.raw())
    }

    /// The place of its name among all; `None` for a server without one.
    pub fn name_index(self) -> Option<usize> {
        let index = usize::from(self.0.checked_sub(NAMES_FROM)?);
        (index < NAMES_MAX).then_some(index)
    }

    /// The server of this number, where the key stands for no name.
    pub fn id(self) -> Option<ServerId> {
        self.name_index().is_none().then(|| ServerId::from_raw(self.0))
    }
}

/// The names of all servers of a pool.
#[derive(Debug, Default)]
pub struct Names {
    keys: HashMap<Box<str>, ServerKey>,
    /// Numbers that were taken from their names.
    free: Vec<ServerKey>,
}

impl Names {
    /// What stands for this name; `None` when no number is left.
    pub fn key(&mut self, name: &str) -> Option<ServerKey> {
        if let Some(key) = self.keys.get(name) {
            return Some(*key);
        }
        let used = self.keys.len() + self.free.len();
        let fresh = || (used < NAMES_MAX).then(|| ServerKey(NAMES_FROM + used as u16));
        let key = self.free.pop().or_else(fresh)?;
        self.keys.insert(name.into(), key);
        Some(key)
    }

    /// Takes the numbers of all names but these. Nothing may remember them any more: answers which they are.
    pub fn reclaim(&mut self, in_use: &HashSet<ServerKey>) -> HashSet<ServerKey> {
        let unused: HashSet<ServerKey> =
            self.keys.values().copied().filter(|key| !in_use.contains(key)).collect();
        self.keys.retain(|_, key| in_use.contains(key));
        self.free.extend(&unused);
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_a_number_or_for_a_name() {
        for id in [
            ServerId::regular(0),
            ServerId::regular(SERVER_NUMBERS - 1),
            ServerId::EMERGENCY,
            ServerId::ABUSE,
        ] {
            let key = ServerKey::numbered(id);
            assert_eq!((key.id(), key.name_index()), (Some(id), None));
        }
        assert_eq!(ServerKey::NONE.id(), Some(ServerId::NONE));
        let mut names = Names::default();
        let keys = ["a", "b", "a"].map(|name| names.key(name).unwrap());
        assert_eq!(keys.map(ServerKey::name_index), [Some(0), Some(1), Some(0)]);
        assert_eq!(keys.map(ServerKey::id), [None; 3]);
    }

    #[test]
    fn numbers_are_given_again_when_they_are_needed() {
        let mut names = Names::default();
        let all: Vec<ServerKey> = (0..NAMES_MAX).map(|at| names.key(&at.to_string()).unwrap()).collect();
        assert_eq!(all.last().and_then(|key| key.name_index()), Some(NAMES_MAX - 1));
        assert_eq!(names.key("more"), None);
        let in_use = HashSet::from([all[7]]);
        assert_eq!(names.reclaim(&in_use).len(), NAMES_MAX - 1);
        assert_eq!(names.key("7"), Some(all[7]));
        let more = names.key("more").unwrap();
        assert_ne!(more, all[7]);
        assert_eq!(names.key("more"), Some(more));
    }
}
