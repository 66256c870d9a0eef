//! A running pen, as commands see it: workers, services, traffic logs and listeners behind the trait `Running`.
//!
//! Everything given to it is numeric and valid; names were looked up and values checked before.

mod ending;
mod leaving;
mod listeners;
mod metrics;
mod setups;
mod status;

pub use listeners::listen_options;
pub use metrics::open_metrics;

use crate::balance::{ClientRoom, Own, ServerId};
use crate::checks::{Check, Checks, Members};
use crate::control::apply::{Deed, Open, Running, Wanted};
use crate::control::plan::{Plan, Read, ServicePlan, Step};
use crate::dsr::Dsr;
use crate::dsr::open::Opened;
use crate::hooks::Embedding;
use crate::log::diag::{self, Severity};
use crate::log::messages::OpenMessages;
use crate::log::target::OpenLog;
use crate::log::traffic::LogHub;
use crate::net::itself;
use crate::net::listen::Listener;
use crate::net::tls::{Loading, Tls};
use crate::published::lock;
use crate::runtime::{Parts, Runtime};
use crate::service::{Service, ServiceParts};
use crate::settings::{Config, ProcessConfig, ServiceConfig, Settings};
use crate::shared::Detail;
use crate::sys::clock;
use crate::sys::errors::reason;
use pen_proto::commands::{Flag, Number, Text};
use pen_proto::status::{ConnectionStatus, Status};
use setups::{Setups, SharedPool, client_room, parts, pool, room_for};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::thread;

/// Workers, and the services that they serve.
pub struct Instance {
    runtime: Runtime,
    /// By name.
    served: BTreeMap<Arc<str>, Served>,
    /// Services that were removed, and the logs that their last connections still write.
    leaving: Vec<(Weak<Service>, LogHub)>,
    /// No log; those of the services are written by the same thread.
    logs: LogHub,
    /// The service that directs packets instead of listening, with `dsr_if`.
    dsr: Option<(Arc<str>, Dsr)>,
    watched: metrics::Watched,
    checks: Checks,
    stop_wanted: bool,
    draining: bool,
    /// Open for the next pen, though nobody is accepted there any more.
    kept: Vec<Arc<Listener>>,
    /// By the name of the service.
    brought: BTreeMap<Box<str>, Brought>,
}

/// A service, and what the main thread needs of it.
struct Served {
    number: u16,
    log: LogHub,
    /// The present settings, for statistics.
    settings: Settings,
    /// The service that it shares the client table of, for statistics.
    clients_from: Option<Box<str>>,
}

impl Served {
    /// It answers clients by itself.
    fn is_dummy(&self) -> bool {
        self.settings.flag(Flag::Dummy)
    }
}

/// What a service needs that is opened with more privileges than are left when it is served.
pub struct OpenService {
    pub listeners: Vec<Arc<Listener>>,
    pub tls: Tls,
    pub log: OpenLog,
}

impl Instance {
    /// Starts serving the services of `config`, for each of which `opened` has its part, in the same order.
    ///
    /// # Errors
    /// A want of memory, threads or descriptors.
    pub fn start(config: &Config, opened: Vec<OpenService>, extras: Extras) -> Result<Instance, String> {
        let Extras { dummy_name, embedding, brought } = extras;
        let cannot = |error: std::io::Error| format!("cannot start: {}", reason(&error));
        itself::look_around();
        let (logs, mut services, mut served) = (LogHub::new(), Vec::new(), BTreeMap::new());
        let mut pools: BTreeMap<Arc<str>, SharedPool> = BTreeMap::new();
        for (number, (service, opened)) in config.services.iter().zip(opened).enumerate() {
            let settings = config.settings(service);
            let mut log = logs.another();
            log.set_target(opened.log.into_output()).map_err(cannot)?;
            let owner = &config.clients_of(service).name;
            let pool = match pools.get(owner) {
                Some(pool) => Arc::clone(pool),
                None => pool(
                    client_room(&config.settings(config.clients_of(service)))
                        .map_err(|trouble| service.of(&trouble))?,
                ),
            };
            pools.insert(owner.clone(), pool.clone());
            let parts = parts(service, &settings, pool, opened.listeners, opened.tls, log.traffic_log());
            bring_policy(&brought, &parts);
            services.push(parts);
            let number = number as u16;
            served.insert(
                service.name.clone(),
                Served { number, log, settings, clients_from: clients_from(service) },
            );
        }
        let (workers, process) = (worker_count(&config.process), (&config.process).into());
        let parts = Parts { workers, process, services, dummy_name };
        let runtime = Runtime::start_in(parts, embedding).map_err(cannot)?;
        let checks = Checks::new(runtime.shared());
        let mut instance = Instance {
            runtime,
            served,
            leaving: Vec::new(),
            logs,
            dsr: None,
            checks,
            watched: metrics::Watched::default(),
            stop_wanted: false,
            draining: false,
            kept: Vec::new(),
            brought,
        };
        instance.set_environment(&config.process);
        for service in &config.services {
            instance.bring_check(&service.name);
            instance.check(service);
        }
        Ok(instance)
    }

    /// Directs the packets of a service from now on, instead of taking connections.
    ///
    /// # Errors
    /// A want of threads or descriptors.
    pub fn start_dsr(&mut self, name: &Arc<str>, opened: Opened) -> Result<(), String> {
        let Some(served) = self.served.get(name) else { return Ok(()) };
        let service = self.runtime.service(served.number).clone();
        let started = Dsr::start(opened, self.runtime.shared(), service);
        let dsr = started.map_err(|error| format!("cannot start: {}", reason(&error)))?;
        self.dsr = Some((name.clone(), dsr));
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

    /// Closes every connection, ends the workers and writes the logs to their end.
    pub fn stop(mut self) {
        self.checks.end();
        self.stop_metrics();
        if let Some((_, dsr)) = self.dsr.take() {
            dsr.stop();
        }
        self.runtime.stop();
        self.checks.stop();
        let served = self.served.into_values().map(|served| served.log);
        let leaving = self.leaving.into_iter().map(|(_, log)| log);
        served.chain(leaving).for_each(|log| _ = log.shutdown());
    }
}

/// What differs between the program pen, its demonstration and a pen inside of another program.
#[derive(Default)]
pub struct Extras {
    /// What a `dummy` pen answers; `None` for the original's words.
    pub dummy_name: Option<String>,
    /// Inside of another program.
    pub embedding: Option<Embedding>,
    /// What that brings along, by the name of the service.
    pub brought: BTreeMap<Box<str>, Brought>,
}

/// What a program brings along for a service.
#[derive(Default)]
pub struct Brought {
    /// Makes its policy for a selection.
    pub policy: Option<Box<dyn Fn() -> Box<dyn Own> + Send>>,
    pub check: Option<Arc<dyn Check>>,
}

fn bring_policy(brought: &BTreeMap<Box<str>, Brought>, parts: &ServiceParts) {
    let policy = brought.get(parts.name.as_str()).and_then(|brought| brought.policy.as_ref());
    if let Some(policy) = policy {
        lock(&parts.pool).at(parts.selection).bring(policy());
    }
}

/// How many workers there are.
pub fn worker_count(process: &ProcessConfig) -> usize {
    match process.number(Number::Threads) {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count as usize,
    }
}

/// Reads certificates and keys, for a service that starts.
///
/// # Errors
/// The command, its file and what is wrong with it.
pub fn load_tls(service: &ServiceConfig) -> Result<Tls, String> {
    load_tls_after(service, None, Read::First)
}

fn load_tls_after(service: &ServiceConfig, before: Option<&Tls>, read: Read) -> Result<Tls, String> {
    let mut loading = Loading { before, again: read == Read::Again, warnings: Vec::new() };
    let tls = Tls::load(&service.tls_plan(), &mut loading);
    loading.warnings.iter().for_each(|warning| diag::say(Severity::Notice, service.of(warning)));
    tls
}

/// Everything that a plan needs, open and not used yet.
pub struct Change {
    /// For each service of the plan.
    services: Vec<ServiceChange>,
    /// Where metrics are to be served, or nowhere; `None` when that stays.
    metrics: Option<Option<Arc<Listener>>>,
    /// Where diagnostics go; `None` when that stays.
    messages: Option<OpenMessages>,
}

struct ServiceChange {
    log: Option<OpenLog>,
    tls: Option<Tls>,
    room: Option<ClientRoom>,
    listeners: Option<Vec<Arc<Listener>>>,
}

impl Instance {
    /// All but the listeners.
    fn open_service(&self, plan: &Plan<'_>, part: &ServicePlan<'_>) -> Result<ServiceChange, String> {
        let (service, changes) = (part.service, part.changes());
        let present = match part.step {
            Step::Change(_) => self.present(&service.name),
            _ => None,
        };
        let open_log = || OpenLog::open(service.log()).map_err(|trouble| format!("log: {trouble}"));
        let log = changes.log.then(open_log).transpose()?;
        let before = present.map(|service| service.tls().get());
        let load_tls = |read| load_tls_after(service, before.as_deref(), read);
        let tls = changes.tls.map(load_tls).transpose()?;
        let room = match changes.settings || changes.servers {
            true => room_for(present, service, &plan.to.settings(service))?,
            false => None,
        };
        Ok(ServiceChange { log, tls, room, listeners: None })
    }

    fn set_environment(&mut self, process: &ProcessConfig) {
        self.checks.set_environment(process.text(Text::ExecEnvironment).unwrap_or_default());
    }

    /// Where the members are that checks name.
    pub fn members(&self) -> &Members {
        self.checks.members()
    }

    fn bring_check(&self, name: &str) {
        let check = self.brought.get(name).and_then(|brought| brought.check.as_ref());
        if let (Some(check), Some(service)) = (check, self.present(name)) {
            service.bring_check(check.clone());
        }
    }

    /// Has the servers of a service checked as it says.
    fn check(&mut self, service: &ServiceConfig) {
        let Some(served) = self.served.get(&service.name) else { return };
        let targets = match service.is_checked() || service.reads_loads() {
            true => Setups::of(service).targets(service),
            false => Vec::new(),
        };
        self.checks.follow(self.runtime.service(served.number), targets, service.rounds());
    }

    fn present(&self, name: &str) -> Option<&Arc<Service>> {
        Some(self.runtime.service(self.served.get(name)?.number))
    }

    fn add(&mut self, config: &Config, service: &ServiceConfig, change: ServiceChange) {
        // For a service that comes there is always some.
        let Some(room) = change.room else { return };
        let owner = Some(&config.clients_of(service).name).filter(|owner| **owner != service.name);
        let shared = owner.and_then(|owner| self.present(owner)).map(|owner| owner.shared_pool());
        let (settings, pool) = (config.settings(service), shared.unwrap_or_else(|| pool(room)));
        let mut log = self.logs.another();
        set_log(&mut log, change.log);
        let listeners = change.listeners.unwrap_or_default();
        let tls = change.tls.unwrap_or_default();
        let parts = parts(service, &settings, pool, listeners, tls, log.traffic_log());
        bring_policy(&self.brought, &parts);
        let clients_from = clients_from(service);
        match self.runtime.add_service(parts) {
            Ok(number) => {
                self.served.insert(service.name.clone(), Served { number, log, settings, clients_from });
                self.bring_check(&service.name);
                self.check(service);
            }
            Err(trouble) => diag::say(Severity::Error, service.of(&trouble)),
        }
    }

    fn remove(&mut self, name: &str) {
        let Some(Served { number, log, .. }) = self.served.remove(name) else { return };
        self.checks.forget(number);
        let service = Arc::downgrade(self.runtime.service(number));
        self.runtime.remove_service(number, false);
        self.leaving.retain(|(service, _)| service.strong_count() > 0);
        self.leaving.push((service, log));
    }

    fn change(&mut self, config: &Config, part: &ServicePlan<'_>, change: ServiceChange) {
        let (service, changes) = (part.service, part.changes());
        let Some(served) = self.served.get_mut(&service.name) else { return };
        let number = served.number;
        if let Some(listeners) = change.listeners {
            self.runtime.set_listeners(number, listeners);
        }
        if change.log.is_some() {
            set_log(&mut served.log, change.log);
        }
        if let Some(tls) = change.tls {
            self.runtime.set_tls(number, tls);
        }
        let present = self.runtime.service(number);
        if let Some(room) = change.room {
            present.pool().grow_clients(room);
        }
        if changes.settings {
            let settings = config.settings(service);
            let nodelay = settings.flag(Flag::TcpNodelay);
            if nodelay != served.settings.flag(Flag::TcpNodelay) {
                present.listeners().get().iter().for_each(|listener| listener.set_nodelay(nodelay));
            }
            let defers = settings.flag(Flag::DeferAccept);
            if defers != served.settings.flag(Flag::DeferAccept) {
                present.listeners().get().iter().for_each(|listener| listener.set_defer_accept(defers));
            }
            served.settings = settings.clone();
            self.runtime.set_settings(number, settings);
        }
        if changes.servers {
            itself::look_around();
            let setups = Setups::of(service);
            setups.put(&mut present.pool(), present.selection);
            present.serve_queue();
            self.runtime.servers_changed();
            self.check(service);
        }
        if let Some((name, dsr)) = &self.dsr
            && *name == service.name
        {
            // Its thread looks when it is woken.
            dsr.changed();
        }
    }

    /// Closes what is left of a service that was removed.
    fn cut(&self, name: &str) {
        let left = self.leaving.iter().filter_map(|(service, _)| service.upgrade());
        for service in left.filter(|service| service.name == name) {
            self.runtime.close_service(service.number);
        }
    }

    fn blacklist(&self, service: &str, server: u16, seconds: u32) -> bool {
        let Some(service) = self.present(service) else { return false };
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        let server = ServerId::regular(server.into());
        service.with(|chooser| chooser.blacklist(server, seconds, now_seconds));
        self.runtime.servers_changed();
        true
    }

    fn reset(&self, service: &str, server: u16) -> bool {
        let Some(present) = self.present(service) else { return false };
        present.with(|chooser| chooser.reset(ServerId::regular(server.into())));
        self.blacklist(service, server, 0)
    }
}

fn clients_from(service: &ServiceConfig) -> Option<Box<str>> {
    service.text(Text::ClientsFrom).map(Into::into)
}

fn set_log(log: &mut LogHub, opened: Option<OpenLog>) {
    if let Err(error) = log.set_target(opened.and_then(OpenLog::into_output)) {
        diag::say(Severity::Error, format_args!("log: cannot start writing: {}", reason(&error)));
    }
}

impl Running for Instance {
    type Opened = Change;

    fn open(&mut self, plan: &Plan<'_>) -> Result<Change, String> {
        let open = |part| {
            let opened = self.open_service(plan, part);
            opened.map_err(|trouble| part.service.of(&trouble))
        };
        let mut services = plan.services.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let metrics = self.open_metrics(plan)?;
        let messages = plan.messages.then(|| OpenMessages::open(&plan.to.process)).transpose()?;
        // At last: what goes wrong after it would have to take it back.
        let listeners = self.open_listeners(plan)?;
        services.iter_mut().zip(listeners).for_each(|(service, listeners)| service.listeners = listeners);
        Ok(Change { services, metrics, messages })
    }

    fn switch(&mut self, plan: &Plan<'_>, opened: Change) {
        if plan.process {
            diag::set_level(debug_level(&plan.to.process));
            self.runtime.set_process((&plan.to.process).into());
            self.set_environment(&plan.to.process);
        }
        if let Some(messages) = opened.messages {
            messages.begin();
        }
        if let Some(listener) = opened.metrics {
            self.serve_metrics_at(listener);
        }
        let listeners = opened.services.iter().map(|service| service.listeners.as_deref());
        self.leave_listeners(plan, listeners);
        for (part, change) in plan.services.iter().zip(opened.services) {
            match part.step {
                Step::Change(_) => self.change(plan.to, part, change),
                Step::Add => self.add(plan.to, part.service, change),
                Step::Remove => self.remove(&part.service.name),
                Step::Replace => {
                    self.remove(&part.service.name);
                    self.add(plan.to, part.service, change);
                }
            }
        }
    }

    fn free_number(&self, service: &str, is_configured: &dyn Fn(usize) -> bool) -> usize {
        match self.present(service) {
            Some(service) => service.with(|selection| selection.free_number(is_configured)),
            None => (0..).find(|index| !is_configured(*index)).unwrap_or_default(),
        }
    }

    fn seen_from(&mut self, end: SocketAddr) -> Vec<ConnectionStatus> {
        self.runtime.seen_from(end).into_iter().map(|(_, connection)| connection).collect()
    }

    fn act(&mut self, deed: Deed) -> bool {
        match deed {
            Deed::Blacklist { service, server, seconds } => return self.blacklist(&service, server, seconds),
            Deed::Reset { service, server } => return self.reset(&service, server),
            Deed::CutServer { service, server } => return self.cut_server(&service, server),
            Deed::Close { number } => {
                return match &self.dsr {
                    Some((_, dsr)) if dsr.close(number) => true,
                    _ => self.runtime.close_connection(number),
                };
            }
            Deed::Cut { service } => self.cut(&service),
            Deed::Stop => self.stop_wanted = true,
        }
        true
    }

    fn is_leaving(&self, name: &str) -> bool {
        self.leaving.iter().filter_map(|(service, _)| service.upgrade()).any(|service| service.name == name)
    }

    fn open_connections(&mut self) -> Open {
        let snapshot = self.runtime.snapshot(Detail::Each);
        let connections = snapshot.services.iter().flat_map(|service| &service.connections);
        let mut open =
            Open { numbers: connections.map(|open| open.number).collect(), max: snapshot.connections_max };
        if let Some((_, dsr)) = &self.dsr {
            let flows = dsr.snapshot();
            open.numbers.extend(flows.connections.iter().map(|flow| flow.number));
            open.max = flows.connections_max;
        }
        open
    }

    fn connections(&mut self) -> BTreeMap<Arc<str>, u64> {
        let snapshot = self.runtime.snapshot(Detail::Sums);
        let count = |served: &Served| {
            let own = snapshot.services.iter().find(|service| service.number == served.number);
            own.map_or(0, |service| service.open)
        };
        let mut counts: BTreeMap<_, _> =
            self.served.iter().map(|(name, served)| (name.clone(), count(served))).collect();
        if let Some((name, dsr)) = &self.dsr {
            counts.insert(name.clone(), dsr.flows());
        }
        counts
    }

    fn ask(&mut self, wanted: Wanted, service: &str) -> Status {
        self.status(wanted, service)
    }
}

/// How much the diagnostics tell.
pub fn debug_level(process: &ProcessConfig) -> u8 {
    process.number(Number::Debug).try_into().unwrap_or(u8::MAX)
}
