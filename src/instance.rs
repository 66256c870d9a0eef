//! A running pen, as commands see it: workers, traffic log and listeners behind the trait `Running`.
//!
//! Everything given to it is numeric and valid; names were looked up and values checked before.

use crate::balance::{
    Balancer, ClientRoom, Endpoint, Places, ServerId, ServerSetup, TlsEndpoint, add_idlers, add_live,
};
use crate::control::apply::{Deed, Running, Wanted};
use crate::control::plan::{Plan, Read};
use crate::dsr::open::Opened;
use crate::dsr::{self, Dsr};
use crate::log::diag::{self, Severity};
use crate::log::local_time;
use crate::log::target::OpenLog;
use crate::log::traffic::LogHub;
use crate::net::listen::{ListenOptions, Listener, begin_no_more};
use crate::net::tls::{Loading, Tls};
use crate::net::{itself, resolve};
use crate::runtime::{Parts, Runtime, Snapshot, add_totals, worker_count};
use crate::settings::{Config, ServerEntry, Settings};
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::sys::limits;
use pen_proto::addr::{Host, ListenAddr};
use pen_proto::commands::{Flag, Number, ServerTls};
use pen_proto::status::{ClientStatus, Status};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Slots of the client table read under one hold of the balancer's lock: some tens of microseconds.
const SLOTS_PER_LOOK: u32 = 1024;

/// What is allocated for a server when the servers are exchanged, generously.
const SERVER_BYTES: usize = 4 << 10;

/// Workers and what they were started with.
pub struct Instance {
    runtime: Runtime,
    log: LogHub,
    /// The present settings, for statistics.
    settings: Arc<Settings>,
    /// Instead of listeners, with `dsr_if`.
    dsr: Option<Dsr>,
    stop_wanted: bool,
    draining: bool,
}

impl Instance {
    /// Starts serving. The listeners are open and TLS is loaded, so that they could be opened with more privileges than
    /// are left now.
    ///
    /// # Errors
    /// A server without a port, or a want of threads or descriptors.
    pub fn start(
        config: &Config,
        listeners: Vec<Listener>,
        log: OpenLog,
        tls: Tls,
        dummy_name: Option<String>,
    ) -> Result<Instance, String> {
        let mut hub = LogHub::new();
        hub.set_target(log.into_output()).map_err(|error| format!("cannot start: {}", reason(&error)))?;
        itself::look_around();
        let settings = config.settings.clone();
        let mut balancer = Balancer::in_room(client_room(&settings)?);
        put_servers(&mut balancer, config)?;
        let parts = Parts { settings: settings.clone(), balancer, listeners, tls, dummy_name };
        let runtime = Runtime::start(parts, || hub.traffic_log())
            .map_err(|error| format!("cannot start: {}", reason(&error)))?;
        Ok(Instance {
            runtime,
            log: hub,
            settings: Arc::new(settings),
            dsr: None,
            stop_wanted: false,
            draining: false,
        })
    }

    /// Directs packets from now on, instead of taking connections.
    ///
    /// # Errors
    /// A want of threads or descriptors.
    pub fn start_dsr(&mut self, opened: Opened) -> Result<(), String> {
        let started = Dsr::start(opened, self.runtime.shared());
        self.dsr = Some(started.map_err(|error| format!("cannot start: {}", reason(&error)))?);
        Ok(())
    }

    /// Lets `bell` ring when a worker ends by itself. Look at [`Instance::has_failed`] afterwards.
    pub fn ring_on_failure(&self, bell: impl Fn() + Send + 'static) {
        self.runtime.ring_on_failure(bell);
    }

    /// Whether a worker has ended by itself. The others go on until [`Instance::stop`].
    pub fn has_failed(&self) -> bool {
        self.runtime.has_failed()
    }

    /// Whether the command `exit` was given.
    pub fn stop_wanted(&self) -> bool {
        self.stop_wanted
    }

    /// Takes no more clients; those that are connected go on.
    pub fn drain(&mut self) {
        self.draining = true;
        if let Some(dsr) = &self.dsr {
            dsr.drain();
        }
        match self.settings.flag(Flag::Udp) {
            true => self.runtime.drain(),
            false => {
                begin_no_more(&self.listeners());
                self.runtime.set_listeners(Vec::new());
            }
        }
    }

    pub fn connections_used(&self) -> u64 {
        self.runtime.connections_used() + self.dsr.as_ref().map_or(0, Dsr::flows)
    }

    /// Where clients are awaited.
    pub fn listeners(&self) -> Arc<Vec<Listener>> {
        self.runtime.listeners()
    }

    /// The client table, some slots at a time: a worker that wants to choose waits for a part of it, not for all.
    fn clients(&self, now_seconds: u32) -> Vec<ClientStatus> {
        let mut clients = Vec::new();
        let mut start = 0;
        loop {
            let balancer = self.runtime.balancer();
            let used = balancer.client_slots_used();
            let end = used.min(start + SLOTS_PER_LOOK);
            clients.extend(balancer.client_statuses(&self.settings, start..end, now_seconds));
            if end == used {
                return clients;
            }
            start = end;
        }
    }

    /// Closes every connection, ends the workers and writes the log to its end.
    pub fn stop(mut self) {
        if let Some(dsr) = self.dsr.take() {
            dsr.stop();
        }
        self.runtime.stop();
        self.log.shutdown();
    }
}

/// Reads certificates and keys, for a pen that starts.
///
/// # Errors
/// The command, its file and what is wrong with it.
pub fn load_tls(config: &Config) -> Result<Tls, String> {
    load_tls_after(config, None, false)
}

fn load_tls_after(config: &Config, before: Option<&Tls>, again: bool) -> Result<Tls, String> {
    let mut loading = Loading { before, again, warnings: Vec::new() };
    let tls = Tls::load(&config.tls_plan(), &mut loading);
    loading.warnings.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    tls
}

impl Instance {
    /// Its thread looks when it is woken.
    fn tell_dsr(&self) {
        if let Some(dsr) = &self.dsr {
            dsr.changed();
        }
    }

    /// Taken outside the lock of the balancer; a smaller table than now is not wanted.
    fn make_room(&self, config: &Config) -> Result<Option<ClientRoom>, String> {
        limits::memory_for(config.servers.len() * SERVER_BYTES)
            .map_err(|reason| format!("server: {reason}"))?;
        let is_larger =
            config.settings.number(Number::ClientsMax) > self.runtime.balancer().clients_max().into();
        is_larger.then(|| client_room(&config.settings)).transpose()
    }

    /// Opened before the old one is closed, beside it where they overlap: nobody meets a gap.
    fn listen(&mut self, address: &ListenAddr, settings: &Settings) -> Result<NewListener, String> {
        if self.draining {
            return Err("pen is about to end and takes no more clients".into());
        }
        if let Some(dsr) = &mut self.dsr {
            return dsr.serve(address).map(|()| NewListener::Directed);
        }
        let before = self.listeners();
        let options = listen_options(settings);
        if let Some(renamed) = before.iter().find_map(|old| old.renamed(address, options)) {
            return renamed.map(NewListener::Renamed).map_err(|error| reason(&error));
        }
        let shared = before.iter().any(|old| overlaps(old, address));
        before.iter().for_each(|old| old.share(shared));
        let opened = Listener::open(address, ListenOptions { shared, ..options });
        if opened.is_err() {
            before.iter().for_each(|old| old.share(old.is_divided()));
        }
        opened.map(NewListener::Opened).map_err(|error| error.to_string())
    }

    fn use_listener(&mut self, listener: NewListener) {
        match listener {
            NewListener::Directed => {}
            NewListener::Renamed(listener) => self.runtime.set_listeners(vec![listener]),
            NewListener::Opened(listener) => {
                listener.share(listener.is_divided());
                begin_no_more(&self.listeners());
                self.runtime.set_listeners(vec![listener]);
            }
        }
    }

    fn set_settings(&mut self, settings: Settings) {
        diag::set_level(debug_level(&settings));
        let nodelay = settings.flag(Flag::TcpNodelay);
        if nodelay != self.settings.flag(Flag::TcpNodelay) {
            self.listeners().iter().for_each(|listener| listener.set_nodelay(nodelay));
        }
        self.settings = Arc::new(settings.clone());
        self.runtime.set_settings(settings);
        self.tell_dsr();
    }

    fn set_servers(&mut self, config: &Config) {
        itself::look_around();
        if let Err(reason) = put_servers(&mut self.runtime.balancer(), config) {
            diag::say(Severity::Error, reason);
        }
        self.runtime.servers_changed();
        self.tell_dsr();
    }

    fn blacklist(&mut self, server: u16, seconds: u32) {
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        let server = ServerId::regular(server.into());
        self.runtime.balancer().blacklist(&self.settings, server, seconds, now_seconds);
        self.runtime.servers_changed();
    }
}

/// Everything that a plan needs, open and not used yet.
pub struct Change {
    /// `Some(None)`: logging ends.
    log: Option<OpenLog>,
    tls: Option<Tls>,
    room: Option<ClientRoom>,
    listener: Option<NewListener>,
}

/// What a listening address becomes.
enum NewListener {
    /// It takes the place of the present ones.
    Opened(Listener),
    /// The present one, for an address that is written in another way.
    Renamed(Listener),
    /// Packets to it are directed.
    Directed,
}

impl Running for Instance {
    type Opened = Change;

    fn open(&mut self, plan: &Plan<'_>) -> Result<Change, String> {
        let config = plan.to;
        let open_log = || OpenLog::open(config.log.as_ref()).map_err(|trouble| format!("log: {trouble}"));
        let log = plan.log.then(open_log).transpose()?;
        let load_tls = |read| load_tls_after(config, Some(&self.runtime.tls()), read == Read::Again);
        let tls = plan.tls.map(load_tls).transpose()?;
        let room = if plan.settings || plan.servers { self.make_room(config)? } else { None };
        // At last: what goes wrong after it would have to take it back.
        let listener = config.listen.as_ref().filter(|_| plan.listen);
        let listener = listener.map(|address| self.listen(address, &config.settings)).transpose();
        Ok(Change { log, tls, room, listener: listener.map_err(|trouble| format!("listen: {trouble}"))? })
    }

    fn switch(&mut self, plan: &Plan<'_>, opened: Change) {
        if let Some(listener) = opened.listener {
            self.use_listener(listener);
        }
        if let Some(log) = opened.log
            && let Err(error) = self.log.set_target(log.into_output())
        {
            diag::say(Severity::Error, format_args!("log: cannot start writing: {}", reason(&error)));
        }
        if let Some(tls) = opened.tls {
            self.runtime.set_tls(tls);
        }
        if let Some(room) = opened.room {
            self.runtime.balancer().grow_clients(room);
        }
        if plan.settings {
            self.set_settings(plan.to.settings.clone());
        }
        if plan.servers {
            self.set_servers(plan.to);
        }
    }

    fn act(&mut self, deed: Deed) -> bool {
        match deed {
            Deed::Blacklist { server, seconds } => self.blacklist(server, seconds),
            Deed::Close { number } => {
                return match &self.dsr {
                    Some(dsr) => dsr.close(number),
                    None => self.runtime.close_connection(number),
                };
            }
            Deed::Stop => self.stop_wanted = true,
        }
        true
    }

    fn ask(&mut self, wanted: Wanted) -> Status {
        let Snapshot {
            connections,
            totals,
            connections_last,
            connections_used,
            connections_max,
            workers,
            full,
            idlers,
        } = self.runtime.snapshot();
        let now_ms = clock::monotonic_ms();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            time_local: local_time::stamp(&local_time::now()).to_string(),
            time_epoch_seconds: clock::epoch_ms() / 1000,
            uptime_seconds: now_ms / 1000,
            listen: self.listeners().iter().map(|listener| listener.text.to_string()).collect(),
            workers,
            connections,
            connections_used,
            connections_max,
            connections_last,
            full,
            idlers: idlers.iter().map(|(_, count)| *count as u64).sum(),
            idlers_wanted: self.settings.number(Number::Idlers),
            udp: self.settings.flag(Flag::Udp),
            totals,
            ..Status::default()
        };
        status.totals.log_lines_dropped = self.log.dropped_lines();
        status.mode = self.settings.mode();
        if let Some(dsr) = &self.dsr {
            add_dsr(&mut status, dsr);
        }
        let now_seconds = clock::steady_epoch_seconds(now_ms);
        {
            let balancer = self.runtime.balancer();
            status.current_server = balancer.current_server().number();
            status.servers = balancer.server_statuses(&self.settings, now_seconds);
            status.clients_max = balancer.clients_max().into();
        }
        if matches!(wanted, Wanted::Clients | Wanted::Everything) {
            status.clients = self.clients(now_seconds);
        }
        add_live(&mut status.servers, &mut status.clients, &status.connections);
        add_idlers(&mut status.servers, &idlers);
        status
    }
}

fn client_room(settings: &Settings) -> Result<ClientRoom, String> {
    let clients_max = settings.number(Number::ClientsMax);
    ClientRoom::new(clients_max as u32)
        .map_err(|_| format!("clients_max: no memory for {clients_max} clients"))
}

/// Flows count as connections.
fn add_dsr(status: &mut Status, dsr: &Dsr) {
    let dsr::Snapshot { connections, connections_max, totals, status: dsr_status } = dsr.snapshot();
    status.listen = vec![dsr.text.clone()];
    status.connections_used = connections.len() as u64;
    status.connections_max = connections_max;
    status.connections = connections;
    add_totals(&mut status.totals, &totals);
    status.dsr = Some(dsr_status);
}

/// How much the diagnostics tell under these settings.
pub fn debug_level(settings: &Settings) -> u8 {
    settings.number(Number::Debug).try_into().unwrap_or(u8::MAX)
}

/// Whether one may be in the way of the other: they have the same port.
fn overlaps(old: &Listener, new: &ListenAddr) -> bool {
    let port = new.port.as_ref().and_then(|port| resolve::port_number(port).ok());
    port.is_some() && old.address.map(|old| old.port()) == port
}

/// How the main listener is opened under these settings.
pub fn listen_options(settings: &Settings) -> ListenOptions {
    ListenOptions {
        backlog: settings.number(Number::ListenQueue),
        nodelay: settings.flag(Flag::TcpNodelay),
        private: false,
        datagram_sockets: if settings.flag(Flag::Udp) { worker_count(settings) } else { 0 },
        shared: false,
    }
}

fn put_servers(balancer: &mut Balancer, config: &Config) -> Result<(), String> {
    let setup = |entry: &Option<ServerEntry>| match entry {
        Some(entry) => server_setup(entry, config.dsr_if.is_some()),
        None => Ok(ServerSetup::new(Endpoint::Unset)),
    };
    let special = |entry: &ServerEntry| server_setup(entry, config.dsr_if.is_some());
    let regular = config.servers.iter().map(setup).collect::<Result<Vec<_>, _>>()?;
    let emergency = config.emergency.as_ref().map(special).transpose()?;
    let abuse = config.abuse.as_ref().map(special).transpose()?;
    balancer.set_servers(regular, emergency, abuse);
    Ok(())
}

/// `by_host`: the client's port is kept, so the server needs none.
fn server_setup(entry: &ServerEntry, by_host: bool) -> Result<ServerSetup, String> {
    let spec = &entry.spec;
    let endpoint = match (&spec.host, &spec.port) {
        (Host::Unix(path), _) => Endpoint::Unix(Arc::from(Path::new(path))),
        (Host::Ip(ip), None) if by_host => Endpoint::Host(*ip),
        // Without a port, or with address 0.0.0.0, the endpoint is incomplete and never chosen.
        (_, None) => Endpoint::Unset,
        (host, Some(port)) => {
            let port = resolve::port_number(port)?;
            let first = resolve::socket_address(host, port)?;
            match entry.more.is_empty() || by_host {
                true => Endpoint::Inet(first),
                false => {
                    let more = entry.more.iter().map(|ip| SocketAddr::new(*ip, port));
                    Endpoint::AnyOf(Places::new(std::iter::once(first).chain(more).collect()))
                }
            }
        }
    };
    let endpoint = match &entry.tls {
        ServerTls::Off => endpoint,
        ServerTls::On { verify, name, certificate } => {
            let name = name.clone().unwrap_or_else(|| spec.host.to_string());
            let certificate = certificate.clone();
            Endpoint::Tls(Arc::new(TlsEndpoint { carrier: endpoint, verify: *verify, name, certificate }))
        }
    };
    Ok(ServerSetup {
        max: spec.max,
        hard: spec.hard,
        weight: spec.weight,
        prio: spec.prio,
        acl: entry.acl,
        sni: entry.sni.0.clone(),
        proxy: entry.proxy,
        ..ServerSetup::new(endpoint)
    })
}
