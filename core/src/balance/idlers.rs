//! Which servers get the ready connections of `idlers`. Pure.
//!
//! Owns where they go, how long a server is spared that does not like them, and what a failed one says about its server;
//! it opens none. Each worker asks for its share from time to time, and tells what could not be connected and what ended.

use super::servers::Server;
use super::{Endpoint, Selection, ServerId, ServerSetup};
use pen_proto::commands::ProxyHeader;
use std::ops::Range;
use std::sync::Arc;

/// The longest pause.
const PAUSE_SECONDS_MAX: u32 = 3_600;
/// From this pause on a server gets a single one after it. Database servers count connections that end unused, and shut
/// out the whole host after a hundred.
const SINGLE_FROM_SECONDS: u32 = 60;

/// How a server takes connections that wait for a client. Each that it ends unused doubles the pause before the next; a
/// client that gets the server makes everything forgotten.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    pause_seconds: u32,
    until_seconds: u32,
}

impl Patience {
    fn ended(&mut self, now_seconds: u32) {
        self.pause_seconds = self.pause_seconds.saturating_mul(2).clamp(1, PAUSE_SECONDS_MAX);
        self.until_seconds = now_seconds.saturating_add(self.pause_seconds);
    }
}

/// A server that ready connections go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlerTarget {
    pub server: ServerId,
    pub endpoint: Arc<Endpoint>,
    /// Whether one that is connected is to be told by [`Selection::idler_connected`].
    pub clears_failure: bool,
    /// Of the server, when it was asked for.
    era: u16,
}

impl IdlerTarget {
    /// The same server at another place.
    pub fn at(&self, endpoint: Endpoint) -> IdlerTarget {
        IdlerTarget { endpoint: Arc::new(endpoint), ..self.clone() }
    }
}

/// How many of them it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlerPlace {
    pub target: IdlerTarget,
    /// Never 0.
    pub wanted: usize,
    /// Only up to so many are to be opened now.
    pub opened_max: usize,
}

impl Selection {
    /// Where the idlers with these numbers go, in the order of the servers.
    ///
    /// Number after number they go to one server after the other, so that any run of numbers is spread evenly, and so
    /// are all of them together. Servers without an address get none, nor does one with a maximum: its places are for
    /// clients. Nor does one with TLS, which may give up a handshake that is kept waiting, or with a PROXY header: what
    /// it says or does before it has one is of no use to the client that comes. Nor do those that are blacklisted; but
    /// when all are, one at a time tries whether a server that failed is well again.
    pub fn idler_places(&self, numbers: Range<u64>, now_seconds: u32) -> Vec<IdlerPlace> {
        let blacklist_seconds = self.rules.blacklist_seconds;
        let is_usable = |server: &Server| server.is_usable(blacklist_seconds, now_seconds);
        let is_outage = !self.servers.regular().iter().any(is_usable);
        let takes_idlers = |server: &Server| {
            let may_be_tried = match is_outage {
                true => server.is_last_resort(blacklist_seconds, now_seconds),
                false => is_usable(server),
            };
            let ServerSetup { max, proxy, endpoint, .. } = &server.setup;
            may_be_tried && *max == 0 && endpoint.tls().is_none() && *proxy == ProxyHeader::None
        };
        let servers: Vec<(usize, &Server)> =
            self.servers.regular().iter().enumerate().filter(|(_, server)| takes_idlers(server)).collect();
        let count = (numbers.end - numbers.start) as usize;
        let first = numbers.start as usize;
        let mut places: Vec<IdlerPlace> = (0..count.min(servers.len()))
            .map(|step| {
                let position = (first + step) % servers.len();
                let (index, server) = servers[position];
                let wanted = (count - step).div_ceil(servers.len());
                // Of all workers, the one with the first number has it.
                let single = usize::from(numbers.contains(&(position as u64)));
                let Patience { pause_seconds, until_seconds } = server.patience;
                let opened_max = match () {
                    () if now_seconds < until_seconds => 0,
                    () if is_outage || pause_seconds >= SINGLE_FROM_SECONDS => single,
                    () => wanted,
                };
                IdlerPlace { target: target(index, server), wanted, opened_max }
            })
            .collect();
        places.sort_unstable_by_key(|place| place.target.server);
        places
    }

    /// An idler could not be connected. The server is blacklisted, as by a client's connect that fails; unless it got
    /// another address or another verdict in the meantime.
    pub fn idler_failed(&mut self, target: &IdlerTarget, now_seconds: u32) {
        self.servers.connect_failed(target.server, target.era, now_seconds);
    }

    /// An idler is connected: the server's failures are forgotten. True when an outage is over by it, see
    /// [`Selection::connected`].
    pub fn idler_connected(&mut self, target: &IdlerTarget) -> bool {
        self.succeeded(target.server, target.era)
    }

    /// The server has ended an idler that no client had.
    pub fn idler_ended(&mut self, target: &IdlerTarget, now_seconds: u32) {
        self.servers.change(target.server, |server| {
            if server.era == target.era {
                server.patience.ended(now_seconds);
            }
        });
    }
}

fn target(index: usize, server: &Server) -> IdlerTarget {
    IdlerTarget {
        server: ServerId::regular(index),
        endpoint: server.setup.endpoint.clone(),
        clears_failure: server.standing.has_setback(),
        era: server.era,
    }
}

#[cfg(test)]
mod tests {
    use super::super::selection::keyed;
    use super::*;

    const NOW: u32 = 1_000_000;

    fn setup(port: u16) -> ServerSetup {
        ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], port).into()))
    }

    fn selection(servers: Vec<ServerSetup>) -> Selection {
        Selection::of(servers, Some(setup(98)), Some(setup(99)))
    }

    /// Server number and count.
    fn places(selection: &Selection, numbers: Range<u64>, now_seconds: u32) -> Vec<(i32, usize)> {
        let places = selection.idler_places(numbers, now_seconds);
        places.iter().map(|place| (place.target.server.number(), place.wanted)).collect()
    }

    #[test]
    fn every_share_and_all_shares_together_are_even() {
        for servers in 1..8_u16 {
            let selection = selection((1..=servers).map(setup).collect());
            for cuts in [[0, 5, 9, 20], [0, 1, 2, 3], [0, 0, 7, 7], [0, 6, 12, 19]] {
                let mut sums = vec![0; servers.into()];
                for share in cuts.windows(2) {
                    let places = places(&selection, share[0]..share[1], NOW);
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
        let mut selection = selection(vec![setup(1), limited, ServerSetup::default(), no_port, setup(5)]);
        assert_eq!(places(&selection, 0..5, NOW), [(0, 3), (4, 2)]);
        selection.blacklist(ServerId::regular(0), 7, NOW);
        assert_eq!(places(&selection, 0..5, NOW), [(4, 5)]);
        assert_eq!(places(&selection, 0..5, NOW + 7), [(0, 3), (4, 2)]);
        selection.set_servers(keyed(Vec::new()), Some(setup(98)), Some(setup(99)));
        assert_eq!(places(&selection, 0..5, NOW), []);
    }

    #[test]
    fn a_failure_blacklists_the_server_that_was_tried_and_no_other() {
        let mut selection = selection(vec![setup(1), setup(2)]);
        let target = |selection: &Selection| selection.idler_places(0..1, NOW)[0].target.clone();
        let tried = target(&selection);
        selection.set_servers(keyed(vec![setup(3), setup(2)]), None, None);
        selection.idler_failed(&tried, NOW);
        assert_eq!(places(&selection, 0..2, NOW), [(0, 1), (1, 1)], "it has another address by now");
        selection.idler_failed(&target(&selection), NOW);
        assert_eq!(places(&selection, 0..2, NOW), [(1, 2)]);
        assert_eq!(selection.server_statuses(NOW)[0].failures_total, 2);
    }

    /// Server number and how many may be opened.
    fn opened(selection: &Selection, numbers: Range<u64>, now_seconds: u32) -> Vec<(i32, usize)> {
        let places = selection.idler_places(numbers, now_seconds);
        places.iter().map(|place| (place.target.server.number(), place.opened_max)).collect()
    }

    #[test]
    fn where_all_have_failed_one_at_a_time_tries_whether_a_server_is_well_again() {
        let mut selection = selection(vec![setup(1), setup(2), setup(3)]);
        for place in selection.idler_places(0..2, NOW) {
            selection.idler_failed(&place.target, NOW);
        }
        assert_eq!(opened(&selection, 0..9, NOW), [(2, 9)]);
        selection.blacklist(ServerId::regular(2), 500, NOW);
        assert_eq!(opened(&selection, 0..9, NOW), [(0, 1), (1, 1)], "what was commanded stands");
        assert_eq!(opened(&selection, 9..18, NOW), [(0, 0), (1, 0)], "for another worker");
        let places = selection.idler_places(0..9, NOW);
        assert!(places.iter().all(|place| place.target.clears_failure));
        selection.idler_connected(&places[1].target);
        assert_eq!(opened(&selection, 0..9, NOW), [(1, 9)]);
    }

    #[test]
    fn every_end_doubles_the_pause_until_a_client_comes() {
        let mut selection = selection(vec![setup(1)]);
        let target = selection.idler_places(0..4, NOW)[0].target.clone();
        let mut now_seconds = NOW;
        for pause_seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600] {
            selection.idler_ended(&target, now_seconds);
            assert_eq!(opened(&selection, 0..4, now_seconds + pause_seconds - 1), [(0, 0)]);
            now_seconds += pause_seconds;
            let (single, all) = ([(0, 1)], [(0, 4)]);
            assert_eq!(opened(&selection, 0..4, now_seconds), if pause_seconds < 60 { all } else { single });
        }
        selection.idler_ended(&target, now_seconds);
        let client = pen_proto::addr::ClientAddr::Unix;
        let mut clients = super::super::clients::ClientTable::new(1);
        let mut chooser = super::super::Chooser { clients: &mut clients, selection: &mut selection };
        let admission = chooser.admit(client, 0, now_seconds);
        assert!(matches!(admission, super::super::Admission::Connect(..)));
        assert_eq!(opened(&selection, 0..4, now_seconds), [(0, 4)], "all is forgotten");
    }

    #[test]
    fn servers_with_proxy_or_tls_or_a_maximum_get_none() {
        let limited = ServerSetup { max: 3, ..setup(2) };
        let greeted = ServerSetup { proxy: ProxyHeader::V1, max: 3, ..setup(3) };
        let tls = super::super::TlsEndpoint {
            carrier: Endpoint::Inet(([127, 0, 0, 1], 4).into()),
            verify: false,
            name: String::new(),
            certificate: None,
        };
        let spoken_to = ServerSetup::new(Endpoint::Tls(tls.into()));
        let selection = selection(vec![setup(1), limited, greeted, spoken_to, ServerSetup::default()]);
        assert_eq!(places(&selection, 0..5, NOW), [(0, 5)]);
    }
}
