//! Which server a connection goes to: pen's own selection, without clients to remember.
//!
//! Owns the servers of this process and how they stand. Opens nothing; the caller says what time it is.

use pen_core::balance::{
    Admission, Attempt, Endpoint, Mode, Pool, Released, Rules, SelectionKey, ServerSetup,
};
use pen_core::settings::Settings as Defaults;
use pen_proto::addr::ClientAddr;
use pen_proto::glb::options::Policy;
use pen_proto::weight::Weight;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The first choices of a process are thrown away, so that many short processes do not all begin with the same server.
const THROWN_AWAY_MAX: u64 = 64;

pub struct Choice {
    pool: Pool,
    key: SelectionKey,
    /// Who asks. It is the same for the whole process, and with `source` it decides.
    client: ClientAddr,
    has_counts: bool,
    servers: usize,
}

impl Choice {
    /// Among these servers; `seed` differs from process to process.
    pub fn new(
        policy: Policy,
        top: bool,
        blacklist_seconds: u64,
        servers: &[(SocketAddr, Weight)],
        seed: u64,
    ) -> Choice {
        let mut pool = Pool::new(1);
        let key = pool.add_selection(rules(policy, top, blacklist_seconds));
        let setups = servers.iter().map(|(address, weight)| ServerSetup {
            weight: Some(*weight),
            ..ServerSetup::new(Endpoint::Inet(*address))
        });
        pool.set_servers(key, setups.collect(), None, None);
        let mut choice = Choice {
            pool,
            key,
            client: ClientAddr::Unix,
            has_counts: policy == Policy::LeastConnected,
            servers: servers.len(),
        };
        choice.begin_anew(seed);
        choice
    }

    /// Forgets where the process was: for one that has just been forked, which would go its parent's way.
    pub fn begin_anew(&mut self, seed: u64) {
        self.client = ClientAddr::Ip(IpAddr::V6(Ipv6Addr::from(u128::from(seed) << 64 | u128::from(seed))));
        if self.servers > 1 {
            for _ in 0..seed % THROWN_AWAY_MAX {
                if let Some((attempt, _)) = self.begin(0) {
                    self.end(attempt);
                }
            }
        }
    }

    /// Whether it matters to the policy how many connections each server has.
    pub fn has_counts(&self) -> bool {
        self.has_counts
    }

    /// A server for a new connection; `None` when there is none.
    pub fn begin(&mut self, now_seconds: u32) -> Option<(Attempt, SocketAddr)> {
        match self.pool.at(self.key).admit(self.client, 0, now_seconds) {
            Admission::Connect(attempt, endpoint) => Some((attempt, endpoint.internet_address()?)),
            Admission::Refused(_) => None,
        }
    }

    /// The server did not take the connection: it is passed over for a while. The next one.
    pub fn failed(&mut self, attempt: &mut Attempt, now_seconds: u32) -> Option<SocketAddr> {
        let next = self.pool.at(self.key).failed(self.client, attempt, now_seconds);
        next.and_then(|endpoint| endpoint.internet_address())
    }

    /// The server could not be tried, which is not its fault. The next one.
    pub fn passed_over(&mut self, attempt: &mut Attempt, now_seconds: u32) -> Option<SocketAddr> {
        let next = self.pool.at(self.key).passed_over(self.client, attempt, now_seconds);
        next.and_then(|endpoint| endpoint.internet_address())
    }

    /// Whether there would be a next one.
    pub fn has_other(&mut self, attempt: &Attempt, now_seconds: u32) -> bool {
        self.pool.at(self.key).has_other(attempt, self.client, now_seconds)
    }

    pub fn connected(&mut self, attempt: &Attempt) {
        if attempt.clears_failure() {
            self.pool.at(self.key).connected(attempt);
        }
    }

    /// The connection is over, or does not count any more.
    pub fn end(&mut self, attempt: Attempt) {
        self.pool.at(self.key).release(attempt, Released::default());
    }
}

fn rules(policy: Policy, _top: bool, blacklist_seconds: u64) -> Rules {
    let mode = match policy {
        Policy::LeastConnected => Mode::Weight,
        Policy::Source => Mode::Hash,
        Policy::RoundRobin | Policy::Single | Policy::Random => Mode::RoundRobin,
    };
    Rules { mode, forgets_clients: true, blacklist_seconds, ..Defaults::default().rules() }
}
