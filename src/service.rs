//! A service at run time: who listens, under which rules, before which servers. What all workers share of it.
//!
//! Owns no thread. The main thread exchanges settings, TLS and listeners as wholes and tells the workers through
//! [`crate::shared::Shared`]; each worker has copies of its own (`worker/services.rs`).

mod answers;

use crate::balance::{Chooser, Pool, SelectionKey, ServerId, Waiting};
use crate::checks::{Asking, Check};
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::tls::Tls;
use crate::os;
use crate::published::{Published, lock};
use crate::settings::Settings;
use crate::shared::Shared;
pub use answers::Answers;
use pen_proto::commands::Flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

/// What a service begins with.
pub struct ServiceParts {
    pub name: String,
    pub settings: Settings,
    /// Its clients and its selection; services that remember clients together have the same pool.
    pub pool: Arc<Mutex<Pool>>,
    pub selection: SelectionKey,
    pub listeners: Vec<Arc<Listener>>,
    pub tls: Tls,
    /// Where its traffic is logged: each worker gets an end of its own.
    pub log: TrafficLog,
}

pub struct Service {
    /// What connections and messages name it by. A service that is removed keeps it until its last connection has ended.
    pub number: u16,
    pub name: String,
    /// It takes datagrams; otherwise connections. As `udp` said when it began.
    pub is_udp: bool,
    settings: Published<Settings>,
    tls: Published<Tls>,
    listeners: Published<Vec<Arc<Listener>>>,
    /// Held to choose and to release, never across a system call.
    pool: Arc<Mutex<Pool>>,
    /// Its own, in the pool.
    pub selection: SelectionKey,
    /// UDP: no new sessions.
    draining: AtomicBool,
    /// UDP: clients are no longer heard; the next pen will hear them.
    deaf: AtomicBool,
    /// UDP: which servers are heard.
    answers: Answers,
    log: TrafficLog,
    /// By what its servers are checked at once, if they are checked.
    asking: Mutex<Option<Asking>>,
    /// Takes the place of `check dummy`, in a pen inside of another program.
    own_check: OnceLock<Arc<dyn Check>>,
    /// Who reaches the workers; set by the first of them.
    workers: OnceLock<Weak<Shared>>,
}

impl Service {
    pub fn new(number: u16, parts: ServiceParts) -> Service {
        Service {
            number,
            name: parts.name,
            is_udp: parts.settings.flag(Flag::Udp),
            settings: Published::new(parts.settings),
            tls: Published::new(parts.tls),
            listeners: Published::new(parts.listeners),
            pool: parts.pool,
            selection: parts.selection,
            draining: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            answers: Answers::default(),
            log: parts.log,
            asking: Mutex::default(),
            own_check: OnceLock::new(),
            workers: OnceLock::new(),
        }
    }

    /// Its clients and, at [`Service::selection`], its servers. Hold it briefly, never across a system call.
    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// The same, for a service that shares its clients.
    pub fn shared_pool(&self) -> Arc<Mutex<Pool>> {
        self.pool.clone()
    }

    /// Has something decided about its servers and clients, which must take no system call.
    #[inline]
    pub fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> T {
        let mut pool = self.pool();
        let mut chooser = pool.at(self.selection);
        let decided = decide(&mut chooser);
        if chooser.may_serve_queue() {
            let called = chooser.serve_queue(os::steady_epoch_seconds(os::monotonic_ms()));
            drop(pool);
            self.call(called);
        }
        decided
    }

    /// Places have come free, or there are others: who waits for one is served.
    pub fn serve_queue(&self) {
        self.with(|_| ());
    }

    fn call(&self, called: Vec<Waiting>) {
        if let Some(workers) = self.workers.get().and_then(Weak::upgrade) {
            called.into_iter().for_each(|waiting| workers.call(waiting));
        }
    }

    /// Has its servers checked by this when a client waits for it.
    pub fn ask_for_checks_by(&self, asking: Option<Asking>) {
        *lock(&self.asking) = asking;
    }

    /// Has this server checked now, without waiting for it: those who wait are called.
    pub fn check_now(&self, server: ServerId) {
        if let Some(asking) = &*lock(&self.asking) {
            asking.poll(self.number, server);
        }
    }

    /// Has its servers checked by the program around pen where they would be by `check dummy`.
    pub fn bring_check(&self, check: Arc<dyn Check>) {
        // It has one all its life, or none.
        let _ = self.own_check.set(check);
    }

    pub fn own_check(&self) -> Option<&Arc<dyn Check>> {
        self.own_check.get()
    }

    /// Reaches its workers by this from now on.
    pub fn belong_to(&self, workers: &Arc<Shared>) {
        // It belongs to the same all its life.
        let _ = self.workers.set(Arc::downgrade(workers));
    }

    /// Rules of the choice at once, everything else as workers follow; they must be told.
    pub fn set_settings(&self, settings: Settings) {
        self.with(|chooser| chooser.set_rules(settings.rules()));
        self.settings.set(settings);
    }

    pub fn settings(&self) -> &Published<Settings> {
        &self.settings
    }

    /// What is loaded for TLS.
    pub fn tls(&self) -> &Published<Tls> {
        &self.tls
    }

    pub fn listeners(&self) -> &Published<Vec<Arc<Listener>>> {
        &self.listeners
    }

    /// When each UDP server was heard last.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// UDP: whether clients that are not known yet are no longer heard.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The workers must be told.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// UDP: whether what clients send is left in the sockets. Servers are heard still.
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// The workers must be told.
    pub fn hear_no_more(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// One more end of its traffic log, for a worker.
    pub fn traffic_log(&self) -> TrafficLog {
        self.log.another()
    }
}

impl Drop for Service {
    /// Whoever has a connection of it keeps it.
    fn drop(&mut self) {
        self.pool().remove_selection(self.selection);
    }
}
