//! How often somebody may fail to come in. Pure: time is an argument.
//!
//! Wrong passwords count for a name and the network that they come from together, so that nobody keeps a user out who
//! comes from elsewhere; and for the network alone, whatever the names. An attempt counts as wrong from its beginning, so
//! that many at once do not slip through. With keys, of which a client may try several, a connection counts when it has
//! ended without a right one.
//!
//! Networks from which somebody has come in are remembered: who comes from there need not wait behind strangers.

use crate::network;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Wrong passwords for one name from one network in [`SPAN_MS`]; for one more nobody looks.
pub const WRONG_MAX: usize = 5;
/// Wrong passwords for all names from one network.
pub const OF_NETWORK_MAX: usize = 20;
/// Connections from one network that ended without a login.
pub const CONNECTIONS_MAX: usize = 5;
/// How long a failure counts.
pub const SPAN_MS: u64 = 60_000;
/// What is remembered of failures; for one more those that were quiet longest are forgotten.
const REMEMBERED_MAX: usize = 8_192;
/// Networks from which somebody came in; for one more the one that was quiet longest is forgotten.
const KNOWN_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Name(IpAddr, String),
    Network(IpAddr),
    Connections(IpAddr),
}

impl Who {
    /// So many failures are enough.
    fn most(&self) -> usize {
        match self {
            Who::Name(..) => WRONG_MAX,
            Who::Network(_) => OF_NETWORK_MAX,
            Who::Connections(_) => CONNECTIONS_MAX,
        }
    }
}

/// The memory of attempts.
#[derive(Debug, Default)]
pub struct Throttle {
    wrong: HashMap<Who, VecDeque<u64>>,
    /// The last one came in last.
    known: VecDeque<IpAddr>,
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

    /// The attempt of that time was right: it counts no more, and the name starts anew there.
    pub fn was_right(&mut self, name: &str, address: IpAddr, at_ms: u64) {
        let [name, network] = both(name, address);
        self.wrong.remove(&name);
        if let Some(times) = self.wrong.get_mut(&network) {
            if let Some(index) = times.iter().position(|time| *time == at_ms) {
                times.remove(index);
            }
            if times.is_empty() {
                self.wrong.remove(&network);
            }
        }
        let network = network::of(address);
        self.known.retain(|known| *known != network);
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(network);
    }

    /// Whether somebody has come in from there before.
    pub fn is_known(&self, address: IpAddr) -> bool {
        self.known.contains(&network::of(address))
    }

    /// Whether connections from there have failed too often.
    pub fn is_over(&mut self, address: IpAddr, now_ms: u64) -> bool {
        self.wait_ms(&Who::Connections(network::of(address)), now_ms).is_some()
    }

    /// A connection from there has failed. Whether that is once too often.
    pub fn failed(&mut self, address: IpAddr, now_ms: u64) -> bool {
        let who = Who::Connections(network::of(address));
        self.make_room(&who, now_ms);
        let times = self.wrong.entry(who).or_default();
        times.retain(|time| now_ms < time + SPAN_MS);
        times.push_back(now_ms);
        times.len() == CONNECTIONS_MAX
    }

    fn wait_ms(&mut self, who: &Who, now_ms: u64) -> Option<u64> {
        let times = self.wrong.get_mut(who)?;
        times.retain(|time| now_ms < time + SPAN_MS);
        let counts = times.len().checked_sub(who.most())?;
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
    let network = network::of(address);
    [Who::Name(network, name.into()), Who::Network(network)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn five_wrong_ones_in_a_minute_are_enough_for_a_name_where_they_come_from() {
        let (mut throttle, elsewhere) = (Throttle::default(), address("192.0.2.1"));
        for at in 0..5 {
            assert_eq!(throttle.attempt("anna", HERE, at * 1000), Ok(()));
        }
        assert_eq!(throttle.attempt("anna", HERE, 5_000), Err(55));
        assert_eq!(
            throttle.attempt("anna", elsewhere, 5_000),
            Ok(()),
            "a stranger keeps nobody out elsewhere"
        );
        assert_eq!(throttle.attempt("bob", HERE, 5_000), Ok(()), "nor others here");
        assert_eq!(throttle.attempt("anna", HERE, 59_999), Err(1));
        assert_eq!(throttle.attempt("anna", HERE, 60_000), Ok(()), "the first is forgotten");
        assert_eq!(throttle.attempt("anna", HERE, 60_000), Err(1));
    }

    #[test]
    fn a_network_has_an_end_whatever_the_names() {
        let mut throttle = Throttle::default();
        for number in 0..OF_NETWORK_MAX {
            let from = address(&format!("2001:db8::{number}"));
            throttle.attempt(&format!("user{number}"), from, 0).unwrap();
        }
        assert_eq!(throttle.attempt("anna", address("2001:db8::9"), 1), Err(60));
        assert_eq!(throttle.attempt("anna", address("2001:db8:0:1::9"), 1), Ok(()));
    }

    #[test]
    fn a_right_one_starts_anew_and_its_network_is_known() {
        let mut throttle = Throttle::default();
        for at in 0..5 {
            throttle.attempt("anna", HERE, at).unwrap();
        }
        assert!(throttle.attempt("anna", HERE, 5).is_err() && !throttle.is_known(HERE));
        throttle.was_right("anna", HERE, 4);
        assert!(throttle.is_known(HERE));
        for at in 5..10 {
            assert_eq!(throttle.attempt("anna", HERE, at), Ok(()));
        }
        for number in 0..OF_NETWORK_MAX - 9 {
            assert_eq!(throttle.attempt(&format!("user{number}"), HERE, 10), Ok(()));
        }
        assert!(throttle.attempt("bob", HERE, 11).is_err(), "the others still count for the network");
    }

    #[test]
    fn so_many_networks_are_known() {
        let mut throttle = Throttle::default();
        let from = |number: usize| IpAddr::V4(std::net::Ipv4Addr::from_bits(number as u32));
        for number in 0..=KNOWN_MAX {
            throttle.was_right("anna", from(number), 0);
            throttle.was_right("anna", from(1), 0);
        }
        assert!(!throttle.is_known(from(0)) && throttle.is_known(from(1)) && throttle.is_known(from(3)));
        assert_eq!(throttle.known.len(), KNOWN_MAX);
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
    fn the_memory_has_an_end() {
        let mut throttle = Throttle::default();
        for number in 0..2 * REMEMBERED_MAX as u32 {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            throttle.attempt(&number.to_string(), from, 0).unwrap();
        }
        assert!(throttle.wrong.len() <= REMEMBERED_MAX);
    }
}
