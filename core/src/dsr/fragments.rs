//! Where the first fragment of a packet went, so that the others, which have no ports, follow it. Pure.
//!
//! A table of fixed size in which a newer packet takes the place of an older one. Only `director.rs` uses it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Packets whose fragments are on their way at the same time; a power of two.
const PLACES: usize = 1024;
/// No receiver waits longer for the rest of a packet (RFC 8200, 4.5; RFC 791 says 15 to 120 seconds).
const LIFE_MS: u64 = 60_000;

/// What the fragments of a packet have in common. The destination is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    pub source: IpAddr,
    pub mark: u32,
    pub protocol: u8,
}

struct Place {
    key: FragmentKey,
    server: IpAddr,
    since_ms: u64,
}

#[derive(Default)]
pub struct Fragments {
    /// Empty until the first fragment comes.
    places: Vec<Option<Place>>,
    hasher: RandomState,
}

impl Fragments {
    pub fn remember(&mut self, key: FragmentKey, server: IpAddr, now_ms: u64) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let at = self.place_of(&key);
        self.places[at] = Some(Place { key, server, since_ms: now_ms });
    }

    /// The server that has the first fragment.
    pub fn server(&self, key: &FragmentKey, now_ms: u64) -> Option<IpAddr> {
        let place = self.places.get(self.place_of(key))?.as_ref()?;
        let is_it = place.key == *key && now_ms.saturating_sub(place.since_ms) <= LIFE_MS;
        is_it.then_some(place.server)
    }

    fn place_of(&self, key: &FragmentKey) -> usize {
        self.hasher.hash_one(key) as usize % PLACES
    }
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
