//! How much one client may have: connections at once, and new ones within some seconds. Pure.
//!
//! Owns what is counted for each client, in constant time for each connection. Who has connections is never forgotten: there
//! are no more of those than connections. Of the others so many are remembered, and who has come more than once recently
//! outlasts who has come once: a flood of invented addresses pushes out itself, and frees no busy client from its limit.

use crate::lru::{Links, Lru, Slots};
use crate::slab::Slab;
use pen_proto::addr::ClientAddr;
use pen_proto::rate::Rate;
use std::collections::HashMap;
use std::net::IpAddr;

/// Clients without connections that are remembered.
pub const IDLE_CLIENTS_MAX: usize = 65_536;

/// What the rules allow one client; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientLimits {
    pub connections_max: u32,
    pub rate: Rate,
}

impl ClientLimits {
    pub fn are_set(self) -> bool {
        self.connections_max > 0 || self.rate.count > 0
    }
}

/// Where a client's count lies. An address of IPv6 counts for its network of 64 bits, of which one host has all.
type Key = u128;

fn key(client: ClientAddr) -> Option<Key> {
    match client {
        ClientAddr::Ip(IpAddr::V4(address)) => Some(address.to_ipv6_mapped().to_bits()),
        ClientAddr::Ip(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(_) => Some(address.to_bits()),
            None => Some(address.to_bits() >> 64 << 64),
        },
        ClientAddr::Unix => None,
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    links: Links,
    connections: u32,
    visits: Visits,
}

/// New connections in the window of the rate that began last, and in the one before it.
#[derive(Debug, Clone, Copy, Default)]
struct Visits {
    since_seconds: u32,
    count: u32,
    before: u32,
}

impl Visits {
    /// Begins another window where this one is over.
    fn turn(&mut self, rate: Rate, now_seconds: u32) {
        let windows = now_seconds.saturating_sub(self.since_seconds) / rate.seconds.max(1);
        self.before = match windows {
            0 => return,
            1 => self.count,
            _ => 0,
        };
        self.count = 0;
        self.since_seconds += windows * rate.seconds.max(1);
    }

    /// How many there were in the time of a whole window, at most: those of the window before count as far as it
    /// reaches.
    fn lately(&self, rate: Rate, now_seconds: u32) -> u64 {
        let window = u64::from(rate.seconds.max(1));
        let left = window.saturating_sub(u64::from(now_seconds.saturating_sub(self.since_seconds)));
        u64::from(self.count) + (u64::from(self.before) * left).div_ceil(window)
    }

    fn is_single(&self) -> bool {
        self.count + self.before <= 1
    }
}

#[derive(Debug, Default)]
struct Entries(Slab<Entry>);

impl Slots for Entries {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self.0.get_mut(slot).expect("a listed client").links
    }
}

/// What is counted, for one service.
#[derive(Debug, Default)]
pub struct Limiter {
    index: HashMap<Key, u32>,
    entries: Entries,
    /// Without connections, and have come once lately.
    once: Lru,
    /// Without connections, and have come more often.
    often: Lru,
}

impl Limiter {
    /// Counts one more connection of the client; false when it has as many as it may.
    pub fn enter(&mut self, limits: ClientLimits, client: ClientAddr, now_seconds: u32) -> bool {
        let Some(key) = key(client) else { return true };
        let slot = match self.index.get(&key) {
            Some(slot) => *slot,
            None => self.add(key, now_seconds),
        };
        let Some(entry) = self.entries.0.get_mut(slot) else { return true };
        let Entry { connections, visits, .. } = *entry;
        let was_idle = connections == 0;
        let was_single = visits.is_single();
        entry.visits.turn(limits.rate, now_seconds);
        let is_below = |count: u64, max: u32| max == 0 || count < max.into();
        let may = is_below(connections.into(), limits.connections_max)
            && is_below(entry.visits.lately(limits.rate, now_seconds), limits.rate.count);
        if may {
            entry.connections += 1;
            entry.visits.count = entry.visits.count.saturating_add(1);
        }
        if was_idle {
            let list = if was_single { &mut self.once } else { &mut self.often };
            list.remove(&mut self.entries, slot);
            if !may {
                self.rest(slot);
            }
        }
        may
    }

    /// Clients with connections.
    pub fn busy_clients(&self) -> usize {
        self.index.len() - self.once.len() - self.often.len()
    }

    /// A connection that was counted has ended.
    pub fn leave(&mut self, client: ClientAddr) {
        let Some(slot) = key(client).and_then(|key| self.index.get(&key).copied()) else { return };
        let Some(entry) = self.entries.0.get_mut(slot) else { return };
        entry.connections -= 1;
        if entry.connections == 0 {
            self.rest(slot);
        }
    }

    /// Into the list of those without connections, in the place of another if there are too many.
    fn rest(&mut self, slot: u32) {
        let is_single = self.entries.0.get_mut(slot).is_none_or(|entry| entry.visits.is_single());
        let list = if is_single { &mut self.once } else { &mut self.often };
        list.push(&mut self.entries, slot);
        if self.once.len() + self.often.len() > IDLE_CLIENTS_MAX {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let list = if self.once.len() > 0 { &mut self.once } else { &mut self.often };
        let Some(slot) = list.oldest() else { return };
        list.remove(&mut self.entries, slot);
        if let Some(entry) = self.entries.0.remove(slot) {
            self.index.remove(&entry.key);
        }
        self.entries.0.recycle();
    }

    /// A client that is not known, without connections.
    fn add(&mut self, key: Key, now_seconds: u32) -> u32 {
        let visits = Visits { since_seconds: now_seconds, ..Visits::default() };
        let slot = self.entries.0.insert(Entry { key, links: Links::default(), connections: 0, visits });
        self.index.insert(key, slot);
        self.once.push(&mut self.entries, slot);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v4(number: u32) -> ClientAddr {
        ClientAddr::Ip(Ipv4Addr::from_bits(number).into())
    }

    fn limits(connections_max: u32, count: u32, seconds: u32) -> ClientLimits {
        ClientLimits { connections_max, rate: Rate { count, seconds } }
    }

    #[test]
    fn a_client_has_so_many_connections_and_others_have_theirs() {
        let (mut limiter, limits) = (Limiter::default(), limits(2, 0, 0));
        let enter = |limiter: &mut Limiter, number| limiter.enter(limits, v4(number), 9);
        assert_eq!([1, 1, 1, 2].map(|number| enter(&mut limiter, number)), [true, true, false, true]);
        limiter.leave(v4(1));
        assert_eq!([1, 1].map(|number| enter(&mut limiter, number)), [true, false]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_a_mapped_address_is_that_of_ipv4() {
        let (mut limiter, limits) = (Limiter::default(), limits(1, 0, 0));
        let v6 = |bits: u128| ClientAddr::Ip(Ipv6Addr::from_bits(bits).into());
        assert!(limiter.enter(limits, v6(0x2001_0db8_0000_0001 << 64 | 1), 9));
        assert!(!limiter.enter(limits, v6(0x2001_0db8_0000_0001 << 64 | 0xffff), 9));
        assert!(limiter.enter(limits, v6(0x2001_0db8_0000_0002 << 64 | 1), 9));
        assert!(limiter.enter(limits, v4(7), 9));
        assert!(!limiter.enter(limits, ClientAddr::Ip(Ipv4Addr::from_bits(7).to_ipv6_mapped().into()), 9));
        assert!(limiter.enter(limits, v4(8), 9), "another mapped one");
        assert!((0..5).all(|_| limiter.enter(limits, ClientAddr::Unix, 9)));
    }

    /// However they are spread, no window of the rate's length sees more than it allows.
    #[test]
    fn a_client_comes_so_often_in_any_window() {
        let (mut limiter, limits) = (Limiter::default(), limits(0, 5, 10));
        let mut came = Vec::new();
        for now_seconds in 100..200 {
            for _ in 0..3 {
                if limiter.enter(limits, v4(1), now_seconds) {
                    came.push(now_seconds);
                    limiter.leave(v4(1));
                }
            }
        }
        for end in 110..=200 {
            let within = came.iter().filter(|at| (end - 10..end).contains(*at)).count();
            assert!(within <= 5, "{within} in the seconds to {end}: {came:?}");
        }
        assert!(came.len() >= 30, "{came:?}");
    }

    /// A flood of addresses that come once pushes out its own, not who has come more often.
    #[test]
    fn a_flood_frees_nobody_from_a_limit_and_needs_bounded_room() {
        let (mut limiter, limits) = (Limiter::default(), limits(3, 2, 1_000));
        let busy = [1, 2].map(v4);
        for client in busy {
            assert!(limiter.enter(limits, client, 9) && limiter.enter(limits, client, 9));
        }
        // One of them has connections, one has none any more.
        limiter.leave(busy[0]);
        limiter.leave(busy[0]);
        for number in 0..3 * IDLE_CLIENTS_MAX as u32 {
            assert!(limiter.enter(limits, v4(1_000 + number), 9));
            limiter.leave(v4(1_000 + number));
        }
        assert_eq!(busy.map(|client| limiter.enter(limits, client, 10)), [false, false]);
        assert!(limiter.index.len() <= IDLE_CLIENTS_MAX + 1 + 1, "{}", limiter.index.len());
        assert!(limiter.entries.0.places() <= IDLE_CLIENTS_MAX + 2 + 1);
    }
}
