//! Where the servers are on the link: their hardware addresses, learned and learned again. Pure.
//!
//! Owns when a server is asked for and when its silence means that it is not there. It sends nothing: `director.rs`
//! asks it whom to ask, and tells it who answered.

use super::frame::Mac;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Between two questions to a server that has not answered, as in Pen.
const ASK_MS: u64 = 1_000;
/// From an answer to the next question. Pen asks again after 60 seconds and never forgets; this is how soon a server
/// that went away is noticed.
const LOOK_AGAIN_MS: u64 = 5_000;

/// Whether frames can be sent to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    At(Mac),
    /// It was asked and may still answer.
    Asked,
    /// It has not answered for too long.
    Silent,
}

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    mac: Option<Mac>,
    ask_at_ms: u64,
    /// The first question since its last answer; `None` when there was none.
    unanswered_since_ms: Option<u64>,
}

/// A question that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub ip: IpAddr,
    /// Where it was last.
    pub mac: Option<Mac>,
    /// It has kept silent for so long that it counts as gone.
    pub silent: bool,
}

/// The servers' hardware addresses, by address. As many as there are servers.
#[derive(Debug, Default)]
pub struct Neighbours {
    by_ip: HashMap<IpAddr, Neighbour>,
}

impl Neighbours {
    /// Knows these servers from now on and no others; of those it knew before it forgets nothing.
    pub fn set(&mut self, servers: impl IntoIterator<Item = IpAddr>, now_ms: u64) {
        let servers: HashSet<IpAddr> = servers.into_iter().collect();
        self.by_ip.retain(|ip, _| servers.contains(ip));
        let unknown = Neighbour { mac: None, ask_at_ms: now_ms, unanswered_since_ms: None };
        for ip in servers {
            self.by_ip.entry(ip).or_insert(unknown);
        }
    }

    /// An address that is no server's counts as silent.
    pub fn reach(&self, ip: IpAddr, now_ms: u64, patience_ms: u64) -> Reach {
        let Some(neighbour) = self.by_ip.get(&ip) else { return Reach::Silent };
        match neighbour.mac {
            _ if neighbour.is_silent(now_ms, patience_ms) => Reach::Silent,
            Some(mac) => Reach::At(mac),
            None => Reach::Asked,
        }
    }

    /// Somebody said that he is `ip`. Returns whether that is a server that was not known to be there.
    pub fn heard(&mut self, ip: IpAddr, mac: Mac, now_ms: u64) -> bool {
        let Some(neighbour) = self.by_ip.get_mut(&ip).filter(|_| mac.is_station()) else { return false };
        let moved = neighbour.mac != Some(mac);
        *neighbour =
            Neighbour { mac: Some(mac), ask_at_ms: now_ms + LOOK_AGAIN_MS, unanswered_since_ms: None };
        moved
    }

    /// Whom to ask now. Counts as asked.
    pub fn due(&mut self, now_ms: u64, patience_ms: u64) -> Vec<Due> {
        let due = self.by_ip.iter_mut().filter(|(_, neighbour)| neighbour.ask_at_ms <= now_ms);
        let ask = |(ip, neighbour): (&IpAddr, &mut Neighbour)| {
            neighbour.unanswered_since_ms.get_or_insert(now_ms);
            neighbour.ask_at_ms = now_ms + ASK_MS;
            Due { ip: *ip, mac: neighbour.mac, silent: neighbour.is_silent(now_ms, patience_ms) }
        };
        due.map(ask).collect()
    }

    /// Whether it is a server's address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.by_ip.contains_key(&ip)
    }

    /// When the next question is due; `None` without servers.
    pub fn next_ms(&self) -> Option<u64> {
        self.by_ip.values().map(|neighbour| neighbour.ask_at_ms).min()
    }

    /// Every server with its hardware address, if that is known, in order.
    pub fn list(&self) -> Vec<(IpAddr, Option<Mac>)> {
        let mut list: Vec<_> = self.by_ip.iter().map(|(ip, neighbour)| (*ip, neighbour.mac)).collect();
        list.sort_unstable_by_key(|(ip, _)| *ip);
        list
    }
}

impl Neighbour {
    fn is_silent(&self, now_ms: u64, patience_ms: u64) -> bool {
        self.unanswered_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= patience_ms)
    }
}

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
