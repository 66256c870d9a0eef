//! Which server a connection goes to: pen's own selection, without clients to remember.
//!
//! Owns the servers of this process and how they stand. Opens nothing; the caller says what time it is.

use crate::settings::Settings;
use pen_checks::Target;
use pen_core::balance::{
    Admission, Attempt, Chooser, Endpoint, Pool, Released, Rules, SelectionKey, ServerId, ServerSetup,
    Untested,
};
use pen_core::settings::Watch;
use pen_core::stats::glb::Destination as Row;
use pen_proto::addr::ClientAddr;
use pen_proto::called::Called;
use pen_proto::commands::PolicyKind;
use pen_proto::glb::Share;
use pen_proto::status::ServerState;
use pen_proto::weight::Weight;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The first choices of a process are thrown away, so that many short processes do not all begin with the same server.
const THROWN_AWAY_MAX: u64 = 64;

/// Servers that were found by checks, by their addresses, with the weights that those named.
pub type Members = BTreeMap<SocketAddr, Option<Weight>>;

struct Server {
    address: SocketAddr,
    weight: Weight,
    /// A check named it, and nobody else.
    is_discovered: bool,
}

pub struct Choice {
    pool: Pool,
    key: SelectionKey,
    /// Who asks. It is the same for the whole process, and with `source` it decides.
    client: ClientAddr,
    has_counts: bool,
    /// How servers count that are checked and were not yet; [`Untested::Unchecked`]: they are not.
    untested: Untested,
    /// By their numbers; removed ones leave a gap.
    servers: Vec<Option<Server>>,
}

impl Choice {
    /// Without servers; `seed` differs from process to process.
    pub fn new(settings: &Settings, seed: u64) -> Choice {
        let Settings { policy, top, blacklist_seconds, .. } = *settings;
        let untested = match &settings.watchdog {
            None => Untested::Unchecked,
            // What it knows is more than whether it can be reached.
            Some(watchdog) if watchdog.watch.check.is_program() => Untested::Avoided,
            Some(_) => Untested::Used,
        };
        let mut pool = Pool::new(1).seeded(seed);
        let key = pool.add_selection(Rules {
            top,
            forgets_clients: true,
            blacklist_seconds,
            ..Rules::of_policy(policy)
        });
        let has_counts = policy == PolicyKind::LeastConn;
        Choice { pool, key, client: ClientAddr::Unix, has_counts, untested, servers: Vec::new() }
    }

    /// Adds a server, changes its weight, or removes it. False when there is none to remove.
    pub fn put(&mut self, address: SocketAddr, share: Share) -> bool {
        let present = self.place_of(address);
        match (present, share) {
            (None, Share::Nothing) => return false,
            (Some(index), Share::Nothing) => self.servers[index] = None,
            (_, Share::Weight(weight)) => self.place(Server { address, weight, is_discovered: false }),
        }
        self.servers_changed();
        true
    }

    /// These are all that checks name. Those that a person configured stay as they are. Whether anything has changed.
    pub fn follow(&mut self, members: &Members) -> bool {
        let mut is_changed = false;
        for server in &mut self.servers {
            let is_gone = |server: &Server| server.is_discovered && !members.contains_key(&server.address);
            if server.as_ref().is_some_and(is_gone) {
                *server = None;
                is_changed = true;
            }
        }
        for (address, weight) in members {
            let present = self.place_of(*address).and_then(|index| self.servers[index].as_ref());
            let known = match present {
                Some(server) if !server.is_discovered => continue,
                present => present.map(|server| server.weight),
            };
            let weight = weight.or(known).unwrap_or(Weight::ONE);
            if known != Some(weight) {
                self.place(Server { address: *address, weight, is_discovered: true });
                is_changed = true;
            }
        }
        if is_changed {
            self.servers_changed();
        }
        is_changed
    }

    fn place_of(&self, address: SocketAddr) -> Option<usize> {
        let is_it = |server: &Option<Server>| server.as_ref().is_some_and(|server| server.address == address);
        self.servers.iter().position(is_it)
    }

    fn place(&mut self, server: Server) {
        let gap = || self.servers.iter().position(Option::is_none);
        match self.place_of(server.address).or_else(gap) {
            Some(index) => self.servers[index] = Some(server),
            None => self.servers.push(Some(server)),
        }
    }

    fn setup(&self, server: &Server) -> ServerSetup {
        let untested = match self.untested {
            Untested::Used | Untested::Avoided if server.is_discovered => Untested::NotUsed,
            untested => untested,
        };
        ServerSetup {
            weight: Some(server.weight),
            untested,
            ..ServerSetup::new(Endpoint::Inet(server.address))
        }
    }

    fn servers_changed(&mut self) {
        let setup = |server: &Option<Server>| {
            server.as_ref().map_or_else(ServerSetup::default, |server| self.setup(server))
        };
        let setups = self.servers.iter().map(setup).collect();
        self.pool.set_servers(self.key, setups, None, None);
    }

    /// The servers to be checked.
    pub fn targets(&self, watch: &Watch) -> Vec<Target> {
        let servers = self.servers.iter().enumerate();
        let target = |(index, server): (usize, &Option<Server>)| {
            let setup = self.setup(server.as_ref()?);
            let called = Called::numbered(index as i32, &setup.endpoint);
            Target::of(ServerId::regular(index), called, &setup, watch.clone())
        };
        servers.filter_map(target).collect()
    }

    /// For what checks have to say.
    pub fn chooser(&mut self) -> Chooser<'_> {
        self.pool.at(self.key)
    }

    /// Whether there is any server.
    pub fn has_servers(&self) -> bool {
        self.servers.iter().any(Option::is_some)
    }

    /// As `getinfo` shows them.
    pub fn rows(&mut self, now_seconds: u32) -> Vec<Row> {
        let statuses = self.pool.at(self.key).server_statuses(now_seconds);
        let rows = statuses.iter().zip(&self.servers).filter_map(|(status, server)| {
            let Server { address, weight, .. } = server.as_ref()?;
            Some(Row {
                host: address.ip().to_string(),
                port: address.port(),
                weight: *weight,
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
