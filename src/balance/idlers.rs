//! Which servers get the ready connections of `idlers`. Pure.
//!
//! Owns where they go and what a failed one says about its server; it opens none. Each worker asks for its share from
//! time to time, and tells what could not be connected.

use super::servers::Server;
use super::{Balancer, Endpoint, ServerId, ServerSetup, forgiven_seconds};
use crate::settings::Settings;
use std::ops::Range;
use std::sync::Arc;

/// A server that ready connections go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlerTarget {
    pub server: ServerId,
    pub endpoint: Arc<Endpoint>,
    /// Of the server, when it was asked for.
    era: u16,
}

/// How many of them it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlerPlace {
    pub target: IdlerTarget,
    /// Never 0.
    pub wanted: usize,
}

impl Balancer {
    /// Where the idlers with these numbers go, in the order of the servers.
    ///
    /// Number after number they go to one server after the other, so that any run of numbers is spread evenly, and so
    /// are all of them together. Servers that are blacklisted or have no address get none, nor does one with a maximum:
    /// its places are for clients. Nor does one with TLS: a handshake that was kept waiting may be given up by it.
    pub fn idler_places(
        &self,
        settings: &Settings,
        numbers: Range<u64>,
        now_seconds: u32,
    ) -> Vec<IdlerPlace> {
        let forgiven_seconds = forgiven_seconds(settings, now_seconds);
        let takes_idlers = |server: &Server| {
            let ServerSetup { max, endpoint, .. } = &server.setup;
            server.is_usable(forgiven_seconds) && *max == 0 && endpoint.tls().is_none()
        };
        let servers: Vec<(usize, &Server)> =
            self.servers.regular().iter().enumerate().filter(|(_, server)| takes_idlers(server)).collect();
        let count = (numbers.end - numbers.start) as usize;
        let first = numbers.start as usize;
        let mut places: Vec<IdlerPlace> = (0..count.min(servers.len()))
            .map(|step| {
                let (index, server) = servers[(first + step) % servers.len()];
                let wanted = (count - step).div_ceil(servers.len());
                IdlerPlace { target: target(index, server), wanted }
            })
            .collect();
        places.sort_unstable_by_key(|place| place.target.server);
        places
    }

    /// An idler could not be connected. The server is blacklisted, as by a client's connect that fails; unless it got
    /// another address or another verdict in the meantime.
    pub fn idler_failed(&mut self, target: &IdlerTarget, now_seconds: u32) {
        self.servers.change(target.server, |server| server.connect_failed(target.era, now_seconds));
    }
}

fn target(index: usize, server: &Server) -> IdlerTarget {
    IdlerTarget { server: ServerId::regular(index), endpoint: server.setup.endpoint.clone(), era: server.era }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_000_000;

    fn setup(port: u16) -> ServerSetup {
        ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], port).into()))
    }

    fn balancer(servers: Vec<ServerSetup>) -> Balancer {
        let mut balancer = Balancer::new(1);
        balancer.set_servers(servers, Some(setup(98)), Some(setup(99)));
        balancer
    }

    /// Server number and count.
    fn places(balancer: &Balancer, numbers: Range<u64>, now_seconds: u32) -> Vec<(i32, usize)> {
        let places = balancer.idler_places(&Settings::default(), numbers, now_seconds);
        places.iter().map(|place| (place.target.server.number(), place.wanted)).collect()
    }

    #[test]
    fn every_share_and_all_shares_together_are_even() {
        for servers in 1..8_u16 {
            let balancer = balancer((1..=servers).map(setup).collect());
            for cuts in [[0, 5, 9, 20], [0, 1, 2, 3], [0, 0, 7, 7], [0, 6, 12, 19]] {
                let mut sums = vec![0; servers.into()];
                for share in cuts.windows(2) {
                    let places = places(&balancer, share[0]..share[1], NOW);
                    let all: usize = places.iter().map(|(_, wanted)| wanted).sum();
                    assert_eq!(all as u64, share[1] - share[0], "{servers} servers, {share:?}");
                    let most = places.iter().map(|(_, wanted)| *wanted).max().unwrap_or(0);
                    assert!(most <= all.div_ceil(servers.into()), "{places:?}");
                    assert!(places.is_sorted() && places.iter().all(|(_, wanted)| *wanted > 0), "{places:?}");
                    for (server, wanted) in places {
                        sums[server as usize] += wanted;
                    }
                }
                let (least, most) = (sums.iter().min().unwrap(), sums.iter().max().unwrap());
                assert!(most - least <= 1, "{sums:?}");
            }
        }
    }

    #[test]
    fn servers_that_cannot_be_used_or_have_a_maximum_get_none() {
        let limited = ServerSetup { max: 3, ..setup(2) };
        let no_port = setup(0);
        let mut balancer = balancer(vec![setup(1), limited, ServerSetup::default(), no_port, setup(5)]);
        assert_eq!(places(&balancer, 0..5, NOW), [(0, 3), (4, 2)]);
        balancer.blacklist(&Settings::default(), ServerId::regular(0), 7, NOW);
        assert_eq!(places(&balancer, 0..5, NOW), [(4, 5)]);
        assert_eq!(places(&balancer, 0..5, NOW + 7), [(0, 3), (4, 2)]);
        balancer.set_servers(Vec::new(), Some(setup(98)), Some(setup(99)));
        assert_eq!(places(&balancer, 0..5, NOW), []);
    }

    #[test]
    fn a_failure_blacklists_the_server_that_was_tried_and_no_other() {
        let mut balancer = balancer(vec![setup(1), setup(2)]);
        let target =
            |balancer: &Balancer| balancer.idler_places(&Settings::default(), 0..1, NOW)[0].target.clone();
        let tried = target(&balancer);
        balancer.set_servers(vec![setup(3), setup(2)], None, None);
        balancer.idler_failed(&tried, NOW);
        assert_eq!(places(&balancer, 0..2, NOW), [(0, 1), (1, 1)], "it has another address by now");
        balancer.idler_failed(&target(&balancer), NOW);
        assert_eq!(places(&balancer, 0..2, NOW), [(1, 2)]);
        assert_eq!(balancer.server_statuses(&Settings::default(), NOW)[0].failures_total, 2);
    }
}
