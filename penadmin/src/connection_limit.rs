//! How many connections there are at a door, by address: one address must leave room for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Those who are inside, and how many there may be.
pub struct ConnectionLimit {
    counts: Mutex<HashMap<IpAddr, usize>>,
    all_max: usize,
    of_address_max: usize,
}

/// A connection's place; free again when it is dropped.
pub struct Place {
    limit: Arc<ConnectionLimit>,
    address: IpAddr,
}

impl ConnectionLimit {
    /// So many in all, and from one address that is not this machine.
    pub fn new(all_max: usize, of_address_max: usize) -> Arc<ConnectionLimit> {
        Arc::new(ConnectionLimit { counts: Mutex::default(), all_max, of_address_max })
    }

    /// A place for somebody from this address, if there is one.
    pub fn enter(self: &Arc<ConnectionLimit>, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.get(&address).copied().unwrap_or(0);
        let is_full = all >= self.all_max || (own >= self.of_address_max && !address.is_loopback());
        if is_full {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Place { limit: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limit.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let limit = ConnectionLimit::new(20, 4);
        let far: IpAddr = "192.0.2.1".parse().unwrap();
        let mut inside: Vec<_> = (0..4).map(|_| limit.enter(far).unwrap()).collect();
        assert!(limit.enter(far).is_none());
        inside.pop();
        assert!(limit.enter(far).is_some());
        let near = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        while let Some(place) = limit.enter(near) {
            inside.push(place);
        }
        assert_eq!(inside.len(), 20);
        drop(inside);
        assert!(limit.counts.lock().unwrap().is_empty());
    }
}
