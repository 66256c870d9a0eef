//! What is made of the checks of all servers of a service together, once in each interval: members that were named, and
//! weights that follow the time that checks take.

use pen_core::balance::ServerId;
use pen_core::checks::discovery::{Discovery, Named};
use pen_core::checks::latency::Latency;
use pen_core::checks::program::Member;
use pen_core::settings::Rounds;
use std::collections::BTreeMap;

/// The rounds of one service.
pub struct Round {
    pub rounds: Rounds,
    discovery: Discovery<Named>,
    /// The latest word about each member.
    known: BTreeMap<Named, Member>,
    pub next_ms: u64,
}

/// What a round sees of a server that is up.
pub struct Seen<'a> {
    pub server: ServerId,
    pub latency: &'a mut Latency,
    /// The members that it named, if it is ready.
    pub members: &'a [Member],
}

impl Round {
    pub fn new(rounds: Rounds, now_ms: u64) -> Round {
        let next_ms = now_ms + rounds.interval_ms;
        Round { rounds, discovery: Discovery::default(), known: BTreeMap::new(), next_ms }
    }

    /// Ends a round. Answers the members that there are, if they are asked for and anybody was ever named, and the shares
    /// of servers that have changed.
    pub fn end(&mut self, servers: &mut [Seen<'_>]) -> (Option<Vec<Member>>, Vec<(ServerId, u32)>) {
        (self.members(servers), self.shares(servers))
    }

    fn members(&mut self, servers: &[Seen<'_>]) -> Option<Vec<Member>> {
        let fall = self.rounds.discover?;
        let named = |server: &Seen<'_>| server.members.iter().map(Named::from).collect::<Vec<_>>();
        let lists: Vec<Vec<Named>> = servers.iter().map(named).collect();
        for member in servers.iter().flat_map(|server| server.members) {
            // Of two words the one that names a weight counts.
            let named = Named::from(member);
            if member.weight.is_some() || !self.known.contains_key(&named) {
                self.known.insert(named, member.clone());
            }
        }
        let members = self.discovery.round(lists.iter().map(Vec::as_slice), fall);
        self.known.retain(|named, _| members.contains(named));
        (!self.known.is_empty()).then(|| self.known.values().cloned().collect())
    }

    fn shares(&self, servers: &mut [Seen<'_>]) -> Vec<(ServerId, u32)> {
        if self.rounds.latency == 0 {
            return Vec::new();
        }
        let slowest_us = servers.iter().filter_map(|server| server.latency.smoothed_us()).max().unwrap_or(0);
        let share = |server: &mut Seen<'_>| Some((server.server, server.latency.share(slowest_us)?));
        servers.iter_mut().filter_map(share).collect()
    }
}
