//! How many connections there are at a door, by network: one network must leave room for others.

use crate::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Those who are inside, and how many there may be.
pub struct ConnectionLimit {
    counts: Mutex<HashMap<IpAddr, usize>>,
    all_max: usize,
    of_network_max: usize,
}

/// A connection's place; free again when it is dropped.
pub struct Place {
    limit: Arc<ConnectionLimit>,
    network: IpAddr,
}

impl ConnectionLimit {
    /// So many in all, and from one network that is not this machine.
    pub fn new(all_max: usize, of_network_max: usize) -> Arc<ConnectionLimit> {
        Arc::new(ConnectionLimit { counts: Mutex::default(), all_max, of_network_max })
    }

    /// A place for somebody from this address, if there is one.
    pub fn enter(self: &Arc<ConnectionLimit>, address: IpAddr) -> Option<Place> {
        let network = network::of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.get(&network).copied().unwrap_or(0);
        let is_full = all >= self.all_max || (own >= self.of_network_max && !network.is_loopback());
        if is_full {
            return None;
        }
        counts.insert(network, own + 1);
        Some(Place { limit: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limit.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_leaves_room_for_others() {
        let limit = ConnectionLimit::new(20, 4);
        let far = |host: usize| format!("2001:db8::{host}").parse().unwrap();
        let mut inside: Vec<_> = (0..4).map(|host| limit.enter(far(host)).unwrap()).collect();
        assert!(limit.enter(far(4)).is_none());
        inside.pop();
        assert!(limit.enter(far(5)).is_some());
        let near = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        while let Some(place) = limit.enter(near) {
            inside.push(place);
        }
        assert_eq!(inside.len(), 20);
        drop(inside);
        assert!(limit.counts.lock().unwrap().is_empty());
    }
}
