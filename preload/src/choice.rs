//! Which server a connection goes to: pen's own selection, without clients to remember.
//!
//! Owns the servers of this process and how they stand. Opens nothing; the caller says what time it is.

use pen_core::balance::{Admission, Attempt, Endpoint, Pool, Released, Rules, SelectionKey, ServerSetup};
use pen_core::settings::Settings as Defaults;
use pen_core::stats::glb::Destination as Row;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::PolicyKind;
use pen_proto::glb::Share;
use pen_proto::status::ServerState;
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
    /// By their numbers; removed ones leave a gap.
    servers: Vec<Option<(SocketAddr, Weight)>>,
}

impl Choice {
    /// Without servers; `seed` differs from process to process.
    pub fn new(policy: PolicyKind, top: bool, blacklist_seconds: u64, seed: u64) -> Choice {
        let mut pool = Pool::new(1).seeded(seed);
        let key = pool.add_selection(Rules {
            policy,
            top,
            forgets_clients: true,
            blacklist_seconds,
            ..Defaults::default().rules()
        });
        let has_counts = policy == PolicyKind::LeastConn;
        Choice { pool, key, client: ClientAddr::Unix, has_counts, servers: Vec::new() }
    }

    /// Adds a server, changes its weight, or removes it. False when there is none to remove.
    pub fn put(&mut self, address: SocketAddr, share: Share) -> bool {
        let is_it = |server: &&mut Option<(SocketAddr, Weight)>| {
            server.as_ref().is_some_and(|(known, _)| *known == address)
        };
        match (self.servers.iter_mut().find(is_it), share) {
            (Some(server), Share::Weight(weight)) => *server = Some((address, weight)),
            (Some(server), Share::Nothing) => *server = None,
            (None, Share::Nothing) => return false,
            (None, Share::Weight(weight)) => {
                let server = Some((address, weight));
                match self.servers.iter_mut().find(|server| server.is_none()) {
                    Some(gap) => *gap = server,
                    None => self.servers.push(server),
                }
            }
        }
        let setups = self.servers.iter().map(|server| match server {
            None => ServerSetup::default(),
            Some((address, weight)) => {
                ServerSetup { weight: Some(*weight), ..ServerSetup::new(Endpoint::Inet(*address)) }
            }
        });
        self.pool.set_servers(self.key, setups.collect(), None, None);
        true
    }

    /// Whether there is any server.
    pub fn has_servers(&self) -> bool {
        self.servers.iter().any(Option::is_some)
    }

    /// As `getinfo` shows them.
    pub fn rows(&mut self, now_seconds: u32) -> Vec<Row> {
        let statuses = self.pool.at(self.key).server_statuses(now_seconds);
        let rows = statuses.iter().zip(&self.servers).filter_map(|(status, server)| {
            let (address, weight) = (*server)?;
            Some(Row {
                host: address.ip().to_string(),
                port: address.port(),
                weight,
                connections: status.connections,
                is_good: status.state == Some(ServerState::Up),
            })
        });
        rows.collect()
    }

    /// Forgets where the process was: for one that has just been forked, which would go its parent's way.
    pub fn begin_anew(&mut self, seed: u64) {
        self.client = ClientAddr::Ip(IpAddr::V6(Ipv6Addr::from(u128::from(seed) << 64 | u128::from(seed))));
        if self.servers.len() > 1 {
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
