//! Servers as they were configured, turned into what the choice works with, and the memory for them.

use crate::balance::{ClientRoom, Endpoint, Places, Pool, SelectionKey, ServerId, ServerSetup, TlsEndpoint};
use crate::checks::Target;
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::resolve;
use crate::net::tls::Tls;
use crate::service::{Service, ServiceParts};
use crate::settings::{ServerEntry, ServiceConfig, Settings};
use crate::sys::published::lock;
use crate::sys::{clock, limits};
use pen_proto::addr::{Host, Port};
use pen_proto::commands::{Check, Number, OnDown, ServerTls, Text};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is allocated for a server when the servers are exchanged, generously.
const SERVER_BYTES: usize = 4 << 10;

/// The memory that servers and clients want beyond what a service that is `present` has.
///
/// # Errors
/// The command with how much it wants.
pub fn room_for(
    present: Option<&Arc<Service>>,
    service: &ServiceConfig,
    settings: &Settings,
) -> Result<Option<ClientRoom>, String> {
    // Taken outside the lock of the pool; a smaller table than now is not wanted.
    limits::memory_for(service.servers.len() * SERVER_BYTES).map_err(|reason| format!("server: {reason}"))?;
    let clients_max = present.map_or(0, |present| present.pool().clients_max());
    let is_larger = present.is_none() || settings.number(Number::ClientsMax) > clients_max.into();
    is_larger.then(|| client_room(settings)).transpose()
}

/// Memory for the clients of these settings.
///
/// # Errors
/// As [`room_for`].
pub fn client_room(settings: &Settings) -> Result<ClientRoom, String> {
    let clients_max = settings.number(Number::ClientsMax);
    ClientRoom::new(clients_max as u32)
        .map_err(|_| format!("clients_max: no memory for {clients_max} clients"))
}

/// A client table and the services that share it.
pub type SharedPool = Arc<Mutex<Pool>>;

/// A client table of this size, which no service has yet.
pub fn pool(room: ClientRoom) -> SharedPool {
    Arc::new(Mutex::new(Pool::in_room(room).seeded(seed())))
}

/// What is drawn by lot follows from it: `PEN_SEED` in the environment, for tests, or else chance.
fn seed() -> u64 {
    let wanted = std::env::var("PEN_SEED").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| RandomState::new().hash_one(()))
}

/// What a service begins with.
pub fn parts(
    service: &ServiceConfig,
    settings: &Settings,
    pool: SharedPool,
    listeners: Vec<Arc<Listener>>,
    tls: Tls,
    log: TrafficLog,
) -> ServiceParts {
    let setups = Setups::of(service);
    let selection = {
        let mut pool = lock(&pool);
        let selection = pool.add_selection(settings.rules());
        setups.put(&mut pool, selection);
        selection
    };
    ServiceParts {
        name: service.name.to_string(),
        settings: settings.clone(),
        pool,
        selection,
        listeners,
        tls,
        log,
    }
}

/// The servers of a service, made before the pool is locked: ten thousand take a while.
pub struct Setups {
    regular: Vec<ServerSetup>,
    emergency: Option<ServerSetup>,
    abuse: Option<ServerSetup>,
}

impl Setups {
    /// Of a configuration in which all addresses are numeric.
    pub fn of(config: &ServiceConfig) -> Setups {
        let check = config.check();
        let setup = |entry: &ServerEntry| server_setup(entry, config.text(Text::DsrIf).is_some());
        let (in_use, source) = (config.group_in_use(), config.load_source());
        let placed = |entry: &ServerEntry| ServerSetup {
            group: entry.group.as_ref().map(ToString::to_string),
            in_reserve: entry.group.is_some() && entry.group.as_ref() != in_use,
            standby: config.standby_place(entry),
            maxload: config.maxload(entry),
            is_strict: config.is_strict(),
            is_cut_when_down: config.values.choice::<OnDown>() == OnDown::Close,
            load_source: config.load_watch(entry, &source).map(|load| load.source).unwrap_or_default(),
            ..setup(entry)
        };
        let checked = |entry: &ServerEntry| with_check(placed(entry), entry, config, &check);
        let gap = || ServerSetup::new(Endpoint::Unset);
        let regular = config.servers.iter().map(|entry| entry.as_ref().map_or_else(gap, checked)).collect();
        let [emergency, abuse] = [&config.emergency, &config.abuse].map(|entry| entry.as_ref().map(setup));
        Setups { regular, emergency, abuse }
    }

    /// Those that are checked or asked for their load, and how.
    pub fn targets(&self, config: &ServiceConfig) -> Vec<Target> {
        let check = config.check();
        let servers = self.regular.iter().zip(&config.servers).enumerate();
        let targets = servers.filter_map(|(index, (setup, entry))| {
            let watch = config.watch(entry.as_ref()?, &check)?;
            Target::of(ServerId::regular(index), config.called(index), setup, watch)
        });
        let mut targets: Vec<Target> = targets.collect();
        let source = config.load_source();
        let servers = self.regular.iter().zip(&config.servers).enumerate();
        targets.extend(servers.filter_map(|(index, (setup, entry))| {
            let load = config.load_watch(entry.as_ref()?, &source)?;
            Target::of_load(ServerId::regular(index), config.called(index), setup, load)
        }));
        targets
    }

    /// Has clients of the service sent to them.
    pub fn put(self, pool: &mut Pool, selection: SelectionKey) {
        pool.at(selection).tell_time(clock::steady_epoch_seconds(clock::monotonic_ms()));
        pool.set_servers(selection, self.regular, self.emergency, self.abuse);
    }
}

fn with_check(setup: ServerSetup, entry: &ServerEntry, config: &ServiceConfig, check: &Check) -> ServerSetup {
    match config.watch(entry, check) {
        Some(watch) => {
            let (untested, check_text) = (watch.untested(entry), watch.check.to_string());
            ServerSetup { untested, check_text, extra: watch.extra, ..setup }
        }
        None => setup,
    }
}

/// `by_host`: the client's port is kept, so the server needs none.
fn server_setup(entry: &ServerEntry, by_host: bool) -> ServerSetup {
    let spec = &entry.spec;
    let endpoint = match (&spec.host, &spec.port) {
        (Host::Unix(path), _) => Endpoint::Unix(Arc::from(Path::new(path))),
        (Host::Ip(ip), None) if by_host => Endpoint::Host(*ip),
        // Without a port, or with address 0.0.0.0, the endpoint is incomplete and never chosen.
        (_, None) => Endpoint::Unset,
        // The interface of its zone has gone.
        (host, Some(port)) => match internet_address(host, port) {
            None => Endpoint::Unset,
            Some(first) => match entry.more.is_empty() || by_host {
                true => Endpoint::Inet(first),
                false => {
                    let more = entry.more.iter().map(|ip| SocketAddr::new(*ip, first.port()));
                    Endpoint::AnyOf(Places::new(std::iter::once(first).chain(more).collect()))
                }
            },
        },
    };
    let endpoint = endpoint.from_source(entry.source);
    let endpoint = match &entry.tls {
        ServerTls::Off => endpoint,
        ServerTls::On { verify, name, certificate } => {
            let name = name.clone().unwrap_or_else(|| spec.host.to_string());
            let certificate = certificate.clone();
            Endpoint::Tls(Arc::new(TlsEndpoint { carrier: endpoint, verify: *verify, name, certificate }))
        }
    };
    ServerSetup {
        duty: entry.duty,
        max: spec.max,
        hard: spec.hard,
        weight: spec.weight,
        prio: spec.prio,
        acl: entry.acl,
        name: entry.member_name().or_else(|| entry.name.as_ref().map(ToString::to_string)),
        // Of several servers behind a name, each is known by its own.
        host_name: if entry.member.is_some() { String::new() } else { entry.host_name.clone() },
        sni: entry.sni.0.clone(),
        proxy: entry.proxy,
        role: entry.role,
        slow_start_ms: entry.slow_start_ms,
        warm_up_ms: entry.warm_up_ms,
        ..ServerSetup::new(endpoint)
    }
}

/// `None` when the system no longer knows it.
fn internet_address(host: &Host, port: &Port) -> Option<SocketAddr> {
    let port = resolve::port_number(port).ok()?;
    resolve::socket_address(host, port).ok()
}
