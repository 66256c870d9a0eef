//! The running balancer as the main thread sees it: workers, the state they share, and messages to them.

mod alarm;
mod full;

use crate::balance::{Pool, SelectionKey, ServerId};
use crate::log::diag::{self, Severity};
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::poller::{Poller, Waker};
use crate::net::tls::Tls;
use crate::settings::Settings;
use crate::sys::limits;
use crate::udp::{Answers, UdpWorker};
use crate::worker::{Mailbox, Message, Report, Worker};
use alarm::{Alarm, RaisedAtEnd};
use full::Fullness;
pub use full::Want;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::{ConnectionStatus, Totals};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the main thread waits for the answer of a busy worker.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What the workers share. Everything else a worker owns alone.
pub struct Shared {
    settings: Mutex<Arc<Settings>>,
    listeners: Mutex<Arc<Vec<Listener>>>,
    tls: Mutex<Arc<Tls>>,
    /// Moves with every change of the three above and with every message.
    generation: AtomicU64,
    /// Held to choose and to release, never across a system call.
    pool: Mutex<Pool>,
    pub selection: SelectionKey,
    connections: AtomicU64,
    connections_max: AtomicU64,
    /// Connects under way.
    pending: AtomicU64,
    /// Connections to servers kept ready for clients, those still connecting included.
    idlers: AtomicU64,
    /// Moves when all workers are to give up their idlers.
    idlers_shed: AtomicU64,
    /// Workers that stopped accepting for want of room.
    paused: AtomicU64,
    /// Whether that was said.
    full: Fullness,
    /// UDP: no new sessions.
    draining: AtomicBool,
    /// UDP: which servers are heard.
    answers: Answers,
    seats: Vec<Seat>,
    dummy_name: Option<String>,
}

/// What others need to reach a worker.
#[derive(Debug)]
struct Seat {
    mailbox: Mailbox,
    waker: Waker,
}

/// A panic elsewhere does not make the state behind a lock unusable: every holder leaves it consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared {
    /// For as many workers as there are wakers.
    pub fn new(parts: Parts, wakers: impl Iterator<Item = Waker>) -> Shared {
        Shared {
            connections_max: AtomicU64::new(effective_connections_max(&parts.settings)),
            settings: Mutex::new(Arc::new(parts.settings)),
            listeners: Mutex::new(Arc::new(parts.listeners)),
            tls: Mutex::new(Arc::new(parts.tls)),
            generation: AtomicU64::new(0),
            pool: Mutex::new(parts.pool),
            selection: parts.selection,
            connections: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            idlers: AtomicU64::new(0),
            idlers_shed: AtomicU64::new(0),
            paused: AtomicU64::new(0),
            full: Fullness::default(),
            draining: AtomicBool::new(false),
            answers: Answers::default(),
            seats: wakers.map(|waker| Seat { mailbox: Mailbox::default(), waker }).collect(),
            dummy_name: parts.dummy_name,
        }
    }

    /// Clients and servers; `pool().at(selection)` chooses between them.
    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The present settings and listeners, with the generation they are at least as new as.
    pub fn published(&self) -> (u64, Arc<Settings>, Arc<Vec<Listener>>) {
        let generation = self.generation();
        (generation, lock(&self.settings).clone(), lock(&self.listeners).clone())
    }

    /// What is loaded for TLS at present; read it after [`Shared::published`].
    pub fn tls(&self) -> Arc<Tls> {
        lock(&self.tls).clone()
    }

    /// Has the workers woken when a certificate was looked for.
    fn wake_when_found(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        self.tls().on_found(move || {
            if let Some(shared) = shared.upgrade() {
                shared.announce();
            }
        });
    }

    pub fn set_settings(&self, settings: Settings) {
        self.connections_max.store(effective_connections_max(&settings), Ordering::Relaxed);
        self.pool().at(self.selection).set_rules(settings.rules());
        *lock(&self.settings) = Arc::new(settings);
        self.announce();
    }

    pub fn take_messages(&self, worker: usize) -> Vec<Message> {
        std::mem::take(&mut lock(&self.seats[worker].mailbox.0))
    }

    /// Counts a connection in; false when there is no room, and then nothing is counted.
    pub fn take_room(&self, pending_max: u64) -> bool {
        if self.pending.load(Ordering::Relaxed) >= pending_max {
            return false;
        }
        if self.connections.fetch_add(1, Ordering::SeqCst) < self.connections_max.load(Ordering::Relaxed) {
            return true;
        }
        self.connections.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Counts a connection in, whether there is room or not.
    pub fn take_room_anyway(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    pub fn has_room(&self, pending_max: u64) -> bool {
        self.connections.load(Ordering::SeqCst) < self.connections_max.load(Ordering::Relaxed)
            && self.pending.load(Ordering::SeqCst) < pending_max
    }

    /// Somebody has to wait, or to go, for want of this. It is said once, in the words of `text`, until it is over.
    pub fn note_full(&self, want: Want, now_ms: u64, text: impl FnOnce(&Shared) -> String) {
        if self.full.note(want, now_ms) {
            diag::say(Severity::Notice, text(self));
        }
    }

    /// What the limit of connections is made of, for whoever is told that it is reached.
    pub fn limits(&self, settings: &Settings) -> String {
        format!("conn_max {}; {} open files", settings.number(Number::ConnMax), limits::open_files())
    }

    /// Says that there is room again, if it was said that there is none and nobody had to wait lately.
    pub fn look_whether_full(&self, now_ms: u64) {
        let is_waited = || self.paused.load(Ordering::SeqCst) > 0;
        if self.full.is_on() && self.full.is_over(is_waited(), now_ms) {
            let seconds = full::QUIET_MS / 1000;
            let text = format_args!("there is room again: nobody had to wait for {seconds} s");
            diag::say(Severity::Notice, text);
        }
    }

    /// When to [`Shared::look_whether_full`] next.
    pub fn full_look_ms(&self) -> Option<u64> {
        self.full.look_ms()
    }

    /// Connections, or sessions.
    pub fn connections_used(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connects to servers under way.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::SeqCst)
    }

    /// How many connections there may be.
    pub fn connections_max(&self) -> u64 {
        self.connections_max.load(Ordering::Relaxed)
    }

    pub fn give_room(&self) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts an idler in; false when there is no room beside the connections, or clients wait for room, and then
    /// nothing is counted.
    pub fn take_idler_room(&self) -> bool {
        if self.paused.load(Ordering::SeqCst) > 0 {
            return false;
        }
        self.idlers.fetch_add(1, Ordering::SeqCst);
        if self.is_crowded() {
            self.give_idler_room();
            return false;
        }
        true
    }

    pub fn give_idler_room(&self) {
        self.idlers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether connections have taken room that idlers hold. They do not ask: idlers have to make way.
    pub fn is_crowded(&self) -> bool {
        let used = self.connections.load(Ordering::SeqCst) + self.idlers.load(Ordering::SeqCst);
        used > self.connections_max.load(Ordering::Relaxed)
    }

    /// Asks all workers to give up their idlers, if there are any.
    pub fn shed_idlers(&self) {
        if self.idlers.load(Ordering::SeqCst) > 0 {
            self.idlers_shed.fetch_add(1, Ordering::SeqCst);
            self.announce();
        }
    }

    /// Moves with every [`Shared::shed_idlers`].
    pub fn idlers_shed(&self) -> u64 {
        self.idlers_shed.load(Ordering::SeqCst)
    }

    /// Whether the end of a UDP pen is awaited.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// When each UDP server was heard last.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    pub fn add_pending(&self) {
        self.pending.fetch_add(1, Ordering::SeqCst);
    }

    pub fn remove_pending(&self) {
        self.pending.fetch_sub(1, Ordering::SeqCst);
        self.wake_paused();
    }

    pub fn add_paused(&self) {
        self.paused.fetch_add(1, Ordering::SeqCst);
    }

    pub fn remove_paused(&self, now_ms: u64) {
        self.full.waited(now_ms);
        self.paused.fetch_sub(1, Ordering::SeqCst);
    }

    /// There is room again: whoever waits for it looks.
    pub fn wake_paused(&self) {
        if self.paused.load(Ordering::SeqCst) > 0 {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        self.seats.iter().for_each(|seat| seat.waker.wake());
    }

    /// The number under which operators know a worker's connection: dense, and the local one when there is one worker.
    pub fn global_number(&self, worker: usize, local: u32) -> u32 {
        local * self.seats.len() as u32 + worker as u32
    }

    fn local_number(&self, global: u32) -> (usize, u32) {
        let workers = self.seats.len() as u32;
        ((global % workers) as usize, global / workers)
    }

    pub fn dummy_name(&self) -> Option<&str> {
        self.dummy_name.as_deref()
    }

    fn announce(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.wake_all();
    }

    fn post(&self, worker: usize, message: Message) {
        lock(&self.seats[worker].mailbox.0).push(message);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.seats[worker].waker.wake();
    }
}

/// What a runtime is started with.
pub struct Parts {
    pub settings: Settings,
    pub pool: Pool,
    pub selection: SelectionKey,
    pub listeners: Vec<Listener>,
    pub tls: Tls,
    /// What a `dummy` pen answers; `None` for the original's words.
    pub dummy_name: Option<String>,
}

/// Handle on the workers. Dropping it leaves them running: call [`Runtime::stop`].
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    alarm: Arc<Alarm>,
}

/// What the workers answered to a question.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub connections: Vec<ConnectionStatus>,
    pub totals: Totals,
    /// Number of the connection opened last.
    pub connections_last: u64,
    pub connections_used: u64,
    /// Effective limit after `conn_max` and the descriptor limit.
    pub connections_max: u64,
    pub workers: u32,
    /// No more fit, and somebody has to wait.
    pub full: bool,
    /// Ready connections to servers, in no particular order; a server may occur several times.
    pub idlers: Vec<(ServerId, usize)>,
}

impl Runtime {
    /// Starts the workers. `log` makes each worker's end of the traffic log.
    ///
    /// # Errors
    /// When a poller or a thread cannot be made; then none is left running.
    pub fn start(parts: Parts, mut log: impl FnMut() -> TrafficLog) -> io::Result<Runtime> {
        let workers = worker_count(&parts.settings);
        let pollers = (0..workers).map(|_| Poller::new()).collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared::new(parts, pollers.iter().map(Poller::waker)));
        shared.wake_when_found();
        let mut ready = Vec::new();
        for (number, poller) in pollers.into_iter().enumerate() {
            ready.push(AnyWorker::new(number, shared.clone(), poller, log())?);
        }
        let mut runtime = Runtime { shared, threads: Vec::new(), alarm: Arc::default() };
        for (number, worker) in ready.into_iter().enumerate() {
            let alarm = RaisedAtEnd(runtime.alarm.clone());
            let work = move || {
                let _alarm = alarm;
                worker.run();
            };
            match thread::Builder::new().name(format!("worker {number}")).spawn(work) {
                Ok(thread) => runtime.threads.push(thread),
                Err(error) => {
                    runtime.stop();
                    return Err(error);
                }
            }
        }
        Ok(runtime)
    }

    /// Lets `bell` ring when a worker ends before [`Runtime::stop`]. Look at [`Runtime::has_failed`] afterwards.
    pub fn ring_on_failure(&self, bell: impl Fn() + Send + 'static) {
        self.alarm.answer_to(bell);
    }

    /// Whether a worker has ended by itself; it has said why.
    pub fn has_failed(&self) -> bool {
        self.alarm.is_raised()
    }

    /// Publishes new settings; workers pick them up at once.
    pub fn set_settings(&self, settings: Settings) {
        self.shared.set_settings(settings);
    }

    /// Has new sessions begun with this; open ones go on.
    pub fn set_tls(&self, tls: Tls) {
        *lock(&self.shared.tls) = Arc::new(tls);
        self.shared.wake_when_found();
        self.shared.announce();
    }

    /// What is loaded for TLS.
    pub fn tls(&self) -> Arc<Tls> {
        self.shared.tls()
    }

    /// Replaces all listeners; connections stay. An empty list stops accepting for good. Returns when every worker has
    /// taken in who waited at the old ones, so that these are closed when nobody else has them.
    pub fn set_listeners(&self, listeners: Vec<Listener>) {
        *lock(&self.shared.listeners) = Arc::new(listeners);
        self.shared.announce();
        self.snapshot(); // a worker follows before it answers
    }

    /// What the workers share, for the thread of direct server return.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Servers, clients and the choice between them. Hold it briefly, never across a system call.
    pub fn pool(&self) -> MutexGuard<'_, Pool> {
        self.shared.pool()
    }

    /// Of the service, in the pool.
    pub fn selection(&self) -> SelectionKey {
        self.shared.selection
    }

    pub fn listeners(&self) -> Arc<Vec<Listener>> {
        lock(&self.shared.listeners).clone()
    }

    pub fn connections_used(&self) -> u64 {
        self.shared.connections_used()
    }

    /// UDP: clients that are not known yet are no longer heard; the others go on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.announce();
    }

    /// Servers have changed: workers look whether their idlers are still in the right places.
    pub fn servers_changed(&self) {
        self.shared.announce();
    }

    /// Asks every worker; a worker that does not answer within a second is left out.
    pub fn snapshot(&self) -> Snapshot {
        let (asker, answers) = mpsc::channel::<Report>();
        for worker in 0..self.threads.len() {
            self.shared.post(worker, Message::Report(asker.clone()));
        }
        drop(asker);
        let mut snapshot = Snapshot {
            connections_used: self.connections_used(),
            connections_max: self.shared.connections_max.load(Ordering::Relaxed),
            workers: self.threads.len() as u32,
            full: self.shared.full.is_on(),
            ..Snapshot::default()
        };
        let mut last_ms = None;
        while let Ok(report) = answers.recv_timeout(ANSWER_WAIT) {
            snapshot.connections.extend(report.connections);
            snapshot.idlers.extend(report.idlers);
            add_totals(&mut snapshot.totals, &report.totals);
            if let Some((number, at_ms)) = report.last.filter(|last| Some(last.1) >= last_ms) {
                last_ms = Some(at_ms);
                snapshot.connections_last = u64::from(number);
            }
        }
        snapshot.totals.pending_connects = self.shared.pending.load(Ordering::Relaxed);
        snapshot.connections.sort_by_key(|connection| connection.number);
        snapshot
    }

    /// Closes a connection by number; false when there is none.
    pub fn close_connection(&self, number: u32) -> bool {
        let (worker, local) = self.shared.local_number(number);
        let (asker, answer) = mpsc::channel();
        self.shared.post(worker, Message::Close(local, asker));
        answer.recv_timeout(ANSWER_WAIT).unwrap_or(false)
    }

    /// Closes all connections and waits for the workers to end.
    pub fn stop(&mut self) {
        for worker in 0..self.threads.len() {
            self.shared.post(worker, Message::Stop);
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// As `-U` says.
enum AnyWorker {
    Tcp(Box<Worker>),
    Udp(Box<UdpWorker>),
}

impl AnyWorker {
    fn new(number: usize, shared: Arc<Shared>, poller: Poller, log: TrafficLog) -> io::Result<AnyWorker> {
        let (_, settings, _) = shared.published();
        match settings.flag(Flag::Udp) {
            false => Worker::new(number, shared, poller, log).map(|worker| AnyWorker::Tcp(Box::new(worker))),
            true => {
                UdpWorker::new(number, shared, poller, log).map(|worker| AnyWorker::Udp(Box::new(worker)))
            }
        }
    }

    fn run(self) {
        match self {
            AnyWorker::Tcp(worker) => worker.run(),
            AnyWorker::Udp(worker) => worker.run(),
        }
    }
}

/// How many workers there are under these settings.
pub fn worker_count(settings: &Settings) -> usize {
    match settings.number(Number::Threads) {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count as usize,
    }
}

/// `conn_max`, or all that fits into the descriptor limit when it is 0 or more than fits.
fn effective_connections_max(settings: &Settings) -> u64 {
    let possible = match settings.flag(Flag::Udp) {
        true => limits::udp_sessions_possible().min(settings.number(Number::UdpSessionsMax)),
        false => limits::connections_possible(),
    };
    match settings.number(Number::ConnMax) {
        0 => possible,
        wanted => wanted.min(possible),
    }
}

/// Adds every count of `more`.
pub fn add_totals(sum: &mut Totals, more: &Totals) {
    let Totals {
        accepted,
        closed,
        rejected,
        denied,
        failovers,
        connect_failures,
        connect_timeouts,
        idle_timeouts,
        resets_by_client,
        resets_by_server,
        up_bytes,
        down_bytes,
        descriptor_shortages,
        log_lines_dropped,
        pending_connects,
        idlers_used,
        idlers_lost,
        tls_handshakes,
        tls_resumptions,
        tls_failures,
        up_datagrams,
        down_datagrams,
        datagrams_dropped,
        sessions_evicted,
        proxy_errors,
        http_unedited,
        http_refused,
    } = more;
    sum.accepted += accepted;
    sum.closed += closed;
    sum.rejected += rejected;
    sum.denied += denied;
    sum.failovers += failovers;
    sum.connect_failures += connect_failures;
    sum.connect_timeouts += connect_timeouts;
    sum.idle_timeouts += idle_timeouts;
    sum.resets_by_client += resets_by_client;
    sum.resets_by_server += resets_by_server;
    sum.up_bytes += up_bytes;
    sum.down_bytes += down_bytes;
    sum.descriptor_shortages += descriptor_shortages;
    sum.log_lines_dropped += log_lines_dropped;
    sum.pending_connects += pending_connects;
    sum.idlers_used += idlers_used;
    sum.idlers_lost += idlers_lost;
    sum.tls_handshakes += tls_handshakes;
    sum.tls_resumptions += tls_resumptions;
    sum.tls_failures += tls_failures;
    sum.up_datagrams += up_datagrams;
    sum.down_datagrams += down_datagrams;
    sum.datagrams_dropped += datagrams_dropped;
    sum.sessions_evicted += sessions_evicted;
    sum.proxy_errors += proxy_errors;
    sum.http_unedited += http_unedited;
    sum.http_refused += http_refused;
}
