//! How many connections there are at a door, by address: one address must leave room for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Those who are inside, and how many there may be.
pub struct Crowd {
    counts: Mutex<HashMap<IpAddr, usize>>,
    all_max: usize,
    of_address_max: usize,
}

/// A connection's place; free again when it is dropped.
pub struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// So many in all, and from one address that is not this machine.
    pub fn new(all_max: usize, of_address_max: usize) -> Arc<Crowd> {
        Arc::new(Crowd { counts: Mutex::default(), all_max, of_address_max })
    }

    /// A place for somebody from this address, if there is one.
    pub fn enter(self: &Arc<Crowd>, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.get(&address).copied().unwrap_or(0);
        let is_full = all >= self.all_max || (own >= self.of_address_max && !address.is_loopback());
        if is_full {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Place { crowd: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
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
        let crowd = Crowd::new(20, 4);
        let far: IpAddr = "192.0.2.1".parse().unwrap();
        let mut inside: Vec<_> = (0..4).map(|_| crowd.enter(far).unwrap()).collect();
        assert!(crowd.enter(far).is_none());
        inside.pop();
        assert!(crowd.enter(far).is_some());
        let near = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        while let Some(place) = crowd.enter(near) {
            inside.push(place);
        }
        assert_eq!(inside.len(), 20);
        drop(inside);
        assert!(crowd.counts.lock().unwrap().is_empty());
    }
}
