//! A running pen, as commands see it: workers, traffic log and listeners behind the trait `Running`.
//!
//! Everything given to it is numeric and valid; names were looked up and values checked before.

mod listeners;
mod setups;
mod status;

pub use listeners::listen_options;

use crate::balance::{ClientRoom, Pool, ServerId};
use crate::control::apply::{Deed, Running, Wanted};
use crate::control::plan::{Plan, Read};
use crate::dsr::Dsr;
use crate::dsr::open::Opened;
use crate::log::diag::{self, Severity};
use crate::log::target::OpenLog;
use crate::log::traffic::LogHub;
use crate::net::itself;
use crate::net::listen::{Listener, begin_no_more};
use crate::net::tls::{Loading, Tls};
use crate::runtime::{Parts, Runtime, worker_count};
use crate::service::ServiceParts;
use crate::settings::{Config, Settings};
use crate::sys::clock;
use crate::sys::errors::reason;
use listeners::NewListener;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::Status;
use setups::{client_room, put_servers, room_for};
use std::sync::{Arc, Mutex};

/// Number of the service that an instance has.
const MAIN: u16 = 0;

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
    /// A want of memory, threads or descriptors.
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
        let settings = config.settings();
        let mut pool = Pool::in_room(client_room(&settings)?);
        let selection = pool.add_selection(settings.rules());
        put_servers(&mut pool, selection, config);
        let main = ServiceParts {
            name: "main".into(),
            settings: settings.clone(),
            pool: Arc::new(Mutex::new(pool)),
            selection,
            listeners: listeners.into_iter().map(Arc::new).collect(),
            tls,
            log: hub.traffic_log(),
        };
        let workers = worker_count(&settings);
        let parts = Parts { workers, process: (&settings).into(), services: vec![main], dummy_name };
        let runtime = Runtime::start(parts).map_err(|error| format!("cannot start: {}", reason(&error)))?;
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
        let started = Dsr::start(opened, self.runtime.shared(), self.runtime.service(MAIN).clone());
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
            true => self.runtime.drain(MAIN),
            false => {
                begin_no_more(self.listeners().iter().map(AsRef::as_ref));
                self.runtime.set_listeners(MAIN, Vec::new());
            }
        }
    }

    pub fn connections_used(&self) -> u64 {
        self.runtime.connections_used() + self.dsr.as_ref().map_or(0, Dsr::flows)
    }

    /// Where clients are awaited.
    pub fn listeners(&self) -> Arc<Vec<Arc<Listener>>> {
        self.runtime.listeners(MAIN)
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

    fn set_settings(&mut self, settings: Settings) {
        diag::set_level(debug_level(&settings));
        let nodelay = settings.flag(Flag::TcpNodelay);
        if nodelay != self.settings.flag(Flag::TcpNodelay) {
            self.listeners().iter().for_each(|listener| listener.set_nodelay(nodelay));
        }
        self.settings = Arc::new(settings.clone());
        self.runtime.set_process((&settings).into());
        self.runtime.set_settings(MAIN, settings);
        self.tell_dsr();
    }

    fn set_servers(&mut self, config: &Config) {
        itself::look_around();
        let main = self.runtime.service(MAIN);
        put_servers(&mut main.pool(), main.selection, config);
        self.runtime.servers_changed();
        self.tell_dsr();
    }

    fn blacklist(&mut self, server: u16, seconds: u32) {
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        let server = ServerId::regular(server.into());
        let main = self.runtime.service(MAIN);
        main.with(|chooser| chooser.blacklist(server, seconds, now_seconds));
        self.runtime.servers_changed();
    }
}

/// Everything that a plan needs, open and not used yet.
pub struct Change {
    log: Option<OpenLog>,
    tls: Option<Tls>,
    room: Option<ClientRoom>,
    listener: Option<NewListener>,
}

impl Running for Instance {
    type Opened = Change;

    fn open(&mut self, plan: &Plan<'_>) -> Result<Change, String> {
        let config = plan.to;
        let open_log = || OpenLog::open(config.log()).map_err(|trouble| format!("log: {trouble}"));
        let log = plan.log.then(open_log).transpose()?;
        let load_tls =
            |read| load_tls_after(config, Some(&self.runtime.service(MAIN).tls().get()), read == Read::Again);
        let tls = plan.tls.map(load_tls).transpose()?;
        let room = if plan.settings || plan.servers { room_for(&self.runtime, config)? } else { None };
        // At last: what goes wrong after it would have to take it back.
        let listener = config.listen().filter(|_| plan.listen);
        let listener = listener.map(|address| self.listen(address, &config.settings())).transpose();
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
            self.runtime.set_tls(MAIN, tls);
        }
        if let Some(room) = opened.room {
            self.runtime.service(MAIN).pool().grow_clients(room);
        }
        if plan.settings {
            self.set_settings(plan.to.settings());
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
        self.status(wanted)
    }
}

/// How much the diagnostics tell under these settings.
pub fn debug_level(settings: &Settings) -> u8 {
    settings.number(Number::Debug).try_into().unwrap_or(u8::MAX)
}
