//! How often somebody may fail to come in: five times in a minute for each name and for each address. Pure: time is an
//! argument.
//!
//! With a password an attempt counts as wrong from its beginning, so that many at once do not slip through. With keys, of
//! which a client may try several, a connection counts when it has ended without a right one.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Wrong passwords in [`SPAN_MS`]; for one more nobody looks.
pub const WRONG_MAX: usize = 5;
/// How long a wrong password counts.
pub const SPAN_MS: u64 = 60_000;
/// Names and addresses that are remembered; for one more those that were quiet longest are forgotten.
const REMEMBERED_MAX: usize = 8_192;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Name(String),
    Address(IpAddr),
}

/// The memory of attempts.
#[derive(Debug, Default)]
pub struct Throttle {
    wrong: HashMap<Who, VecDeque<u64>>,
}

impl Throttle {
    /// Counts an attempt.
    ///
    /// # Errors
    /// There were too many; in so many seconds there may be another.
    pub fn attempt(&mut self, name: &str, address: IpAddr, now_ms: u64) -> Result<(), u64> {
        let both = both(name, address);
        let wait_ms = both.iter().filter_map(|who| self.wait_ms(who, now_ms)).max();
        if let Some(wait_ms) = wait_ms {
            return Err(wait_ms.div_ceil(1000).max(1));
        }
        for who in both {
            self.make_room(&who, now_ms);
            self.wrong.entry(who).or_default().push_back(now_ms);
        }
        Ok(())
    }

    /// The attempt of that time was right: it counts no more, and the name starts anew.
    pub fn was_right(&mut self, name: &str, address: IpAddr, at_ms: u64) {
        let [name, address] = both(name, address);
        self.wrong.remove(&name);
        if let Some(times) = self.wrong.get_mut(&address) {
            if let Some(index) = times.iter().position(|time| *time == at_ms) {
                times.remove(index);
            }
            if times.is_empty() {
                self.wrong.remove(&address);
            }
        }
    }

    /// Whether connections from there have failed too often.
    pub fn is_over(&mut self, address: IpAddr, now_ms: u64) -> bool {
        self.wait_ms(&Who::Address(network(address)), now_ms).is_some()
    }

    /// A connection from there has failed. Whether that is once too often.
    pub fn failed(&mut self, address: IpAddr, now_ms: u64) -> bool {
        let who = Who::Address(network(address));
        self.make_room(&who, now_ms);
        let times = self.wrong.entry(who).or_default();
        times.retain(|time| now_ms < time + SPAN_MS);
        times.push_back(now_ms);
        times.len() == WRONG_MAX
    }

    fn wait_ms(&mut self, who: &Who, now_ms: u64) -> Option<u64> {
        let times = self.wrong.get_mut(who)?;
        times.retain(|time| now_ms < time + SPAN_MS);
        let counts = times.len().checked_sub(WRONG_MAX)?;
        Some(times[counts] + SPAN_MS - now_ms)
    }

    fn make_room(&mut self, who: &Who, now_ms: u64) {
        if self.wrong.len() < REMEMBERED_MAX || self.wrong.contains_key(who) {
            return;
        }
        let last = |times: &VecDeque<u64>| times.back().copied().unwrap_or(0);
        self.wrong.retain(|_, times| now_ms < last(times) + SPAN_MS);
        if self.wrong.len() >= REMEMBERED_MAX {
            // Half of them at once: one at a time would mean to walk them all for each.
            let mut ages: Vec<u64> = self.wrong.values().map(last).collect();
            let (_, middle, _) = ages.select_nth_unstable(REMEMBERED_MAX / 2);
            let middle = *middle;
            self.wrong.retain(|_, times| last(times) > middle);
        }
    }
}

fn both(name: &str, address: IpAddr) -> [Who; 2] {
    [Who::Name(name.into()), Who::Address(network(address))]
}

/// IPv6 by /64, which is what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn five_wrong_ones_in_a_minute_are_enough() {
        let mut throttle = Throttle::default();
        for at in 0..5 {
            assert_eq!(throttle.attempt("anna", HERE, at * 1000), Ok(()));
        }
        assert_eq!(throttle.attempt("anna", HERE, 5_000), Err(55));
        assert_eq!(throttle.attempt("bob", HERE, 5_000), Err(55), "the address");
        assert_eq!(throttle.attempt("anna", address("192.0.2.1"), 5_000), Err(55), "the name");
        assert_eq!(throttle.attempt("bob", address("192.0.2.1"), 5_000), Ok(()));
        assert_eq!(throttle.attempt("anna", HERE, 59_999), Err(1));
        assert_eq!(throttle.attempt("anna", HERE, 60_000), Ok(()), "the first is forgotten");
        assert_eq!(throttle.attempt("anna", HERE, 60_000), Err(1));
    }

    #[test]
    fn a_right_one_starts_anew() {
        let mut throttle = Throttle::default();
        for at in 0..4 {
            throttle.attempt("anna", HERE, at).unwrap();
        }
        throttle.attempt("anna", HERE, 4).unwrap();
        throttle.was_right("anna", HERE, 4);
        assert_eq!(throttle.attempt("anna", HERE, 5), Ok(()), "the name");
        assert!(throttle.attempt("anna", HERE, 6).is_err(), "the address still has five");
    }

    #[test]
    fn connections_that_fail_close_the_door_for_their_address() {
        let (mut throttle, far) = (Throttle::default(), address("192.0.2.1"));
        let told: Vec<bool> = (0..6).map(|at| throttle.failed(far, at * 1000)).collect();
        assert_eq!(told, [false, false, false, false, true, false], "told once");
        assert!(throttle.is_over(far, 6_000) && !throttle.is_over(address("192.0.2.2"), 6_000));
        assert!(throttle.is_over(far, 60_999) && !throttle.is_over(far, 61_000));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut throttle = Throttle::default();
        for host in 0..5 {
            let from = address(&format!("2001:db8::{host}"));
            throttle.attempt(&format!("user{host}"), from, 0).unwrap();
        }
        assert!(throttle.attempt("user9", address("2001:db8::9"), 1).is_err());
        assert!(throttle.attempt("user9", address("2001:db8:0:1::9"), 1).is_ok());
    }

    #[test]
    fn the_memory_has_an_end() {
        let mut throttle = Throttle::default();
        for number in 0..2 * REMEMBERED_MAX as u32 {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            throttle.attempt(&number.to_string(), from, 0).unwrap();
        }
        assert!(throttle.wrong.len() <= REMEMBERED_MAX);
    }
}
