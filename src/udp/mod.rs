//! A worker for UDP (`-U`): one thread, one poller, its own listening sockets and sessions. Nothing here blocks.
//!
//! `relay` moves datagrams both ways, `downstream` hears from proxies for whom they send, `upstream` finds servers and leaves those that fail, `report` answers the main
//! thread and ends sessions. `sessions` knows whose datagram it is and who must go, `answers` which servers are heard.
//! [`crate::runtime`] starts these workers instead of those for TCP; they share all else with them.

mod answers;
mod downstream;
mod relay;
mod report;
mod session;
pub(crate) use pen_core::udp::sessions;
mod upstream;

pub use answers::Answers;

use crate::conn::CloseReason;
use crate::log::diag;
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::poller::{Poller, Readiness};
use crate::runtime::Shared;
use crate::settings::Settings;
use crate::sys::datagram::Batch;
use crate::sys::{clock, memory};
use crate::timers::Timers;
use crate::turn::{self, Thrift};
use pen_proto::commands::{Flag, Number};
use pen_proto::status::Totals;
use session::Session;
use sessions::Sessions;
use std::io;
use std::sync::Arc;

/// Keys from here on are listeners; below, sessions.
const LISTENER_KEYS: usize = usize::MAX / 2;
/// What an event has to do with that belongs to no session.
const NO_SESSION: u32 = u32::MAX;
/// So often a listener is heard before it is closed: its buffer holds less.
const TURNS_AT_END_MAX: usize = 64;
/// When to try again what the poller refused.
const RETRY_MS: u64 = 100;

pub struct UdpWorker {
    number: usize,
    shared: Arc<Shared>,
    poller: Poller,
    sessions: Sessions<Session>,
    timers: Timers,
    settings: Arc<Settings>,
    listeners: Arc<Vec<Listener>>,
    /// The version of settings and listeners that this worker has.
    generation: u64,
    /// The poller refused the listeners: to be tried again at this time.
    listen_again_ms: Option<u64>,
    /// From clients. `None` only while it is worked on.
    inbox: Option<Batch>,
    /// To clients, all from one listener. `None` only while it is worked on.
    outbox: Option<Batch>,
    outbox_listener: usize,
    thrift: Thrift,
    log: TrafficLog,
    totals: Totals,
    last: Option<(u32, u64)>,
    now_ms: u64,
    /// No new sessions; those there are go on until they have been silent for a while.
    draining: bool,
    stopping: bool,
}

impl UdpWorker {
    /// Called before the thread starts, so that what fails here fails the start of pen.
    ///
    /// # Errors
    /// The poller refuses a listener.
    pub fn new(number: usize, shared: Arc<Shared>, poller: Poller, log: TrafficLog) -> io::Result<UdpWorker> {
        let (generation, settings, listeners) = shared.published();
        let now_ms = clock::monotonic_ms();
        let mut worker = UdpWorker {
            number,
            poller,
            sessions: Sessions::default(),
            timers: Timers::new(now_ms),
            settings,
            listeners,
            generation,
            listen_again_ms: None,
            inbox: Some(Batch::new()),
            outbox: Some(Batch::new()),
            outbox_listener: 0,
            thrift: Thrift::default(),
            log,
            totals: Totals::default(),
            last: None,
            now_ms,
            draining: false,
            stopping: false,
            shared,
        };
        worker.expect_sessions();
        worker.register_listeners()?;
        Ok(worker)
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        let mut ready: Vec<Readiness> = Vec::new();
        let mut expired: Vec<u32> = Vec::new();
        while !self.stopping {
            let timeout_ms = self.wait_ms();
            if !turn::wait(self.number, &mut self.poller, &mut ready, timeout_ms) {
                break;
            }
            self.now_ms = clock::monotonic_ms();
            self.guard(NO_SESSION, |worker, _| worker.catch_up());
            for event in &ready {
                let session = if event.key < LISTENER_KEYS { event.key as u32 } else { NO_SESSION };
                self.guard(session, |worker, _| worker.dispatch(*event));
            }
            self.timers.expire(self.now_ms, |index| expired.push(index));
            for index in expired.drain(..) {
                self.guard(index, UdpWorker::expire);
            }
            self.guard(NO_SESSION, |worker, _| worker.send_to_clients());
            self.listen_again();
            self.shared.look_whether_full(self.now_ms);
            self.sessions.recycle();
            let count = self.sessions.len() as u64;
            if self.thrift.is_due(count, false, self.now_ms)
                && self.thrift.looked(count, 0, false, self.now_ms)
            {
                memory::give_back();
            }
        }
        self.close_all(CloseReason::Shutdown);
    }

    /// A mistake of ours costs the session that met it, not all the others.
    fn guard(&mut self, index: u32, work: impl FnOnce(&mut UdpWorker, u32)) {
        turn::guard(
            self,
            |worker| work(worker, index),
            |worker| worker.close(index, CloseReason::InternalError),
        );
    }

    fn wait_ms(&self) -> Option<u64> {
        let timer = self.timers.next_deadline_ms();
        let looks = [timer, self.listen_again_ms, self.shared.full_look_ms(), self.thrift.look_ms()];
        let next = looks.into_iter().flatten().min()?;
        Some(next.saturating_sub(clock::monotonic_ms()))
    }

    fn dispatch(&mut self, event: Readiness) {
        match event.key {
            LISTENER_KEYS.. => {
                self.hear_clients(event.key - LISTENER_KEYS);
            }
            key => self.hear_server(key as u32, event.error),
        }
    }

    /// Picks up new settings, listeners and messages.
    fn catch_up(&mut self) {
        if self.shared.generation() == self.generation {
            return;
        }
        let (generation, settings, listeners) = self.shared.published();
        self.generation = generation;
        let changed = !Arc::ptr_eq(&settings, &self.settings) || self.draining != self.shared.is_draining();
        self.draining = self.shared.is_draining();
        self.settings = settings;
        if !Arc::ptr_eq(&listeners, &self.listeners) {
            self.change_listeners(listeners);
        }
        if changed {
            self.expect_sessions();
            self.fit_in();
            self.sessions.indices().into_iter().for_each(|index| self.arm_timer(index));
        }
        for message in self.shared.take_messages(self.number) {
            self.answer(message);
        }
    }

    /// The system divides the clients evenly among the workers.
    fn expect_sessions(&mut self) {
        let most = self.shared.connections_max() as usize / self.shared.workers();
        self.sessions.expect(most);
    }

    /// Sessions end with the listener that they came through: it was from its address that they were answered. What has
    /// come already goes to the servers.
    fn change_listeners(&mut self, listeners: Arc<Vec<Listener>>) {
        for listener in 0..self.listeners.len() {
            for _ in 0..TURNS_AT_END_MAX {
                if !self.hear_clients(listener) {
                    break;
                }
            }
        }
        self.close_all(CloseReason::Closed);
        self.deregister_listeners();
        self.listeners = listeners;
        self.listen();
    }

    fn listen(&mut self) {
        self.listen_again_ms = None;
        if let Err(error) = self.register_listeners() {
            diag::once("listen", format_args!("cannot listen: {error}; trying again"));
            self.deregister_listeners();
            self.listen_again_ms = Some(self.now_ms + RETRY_MS);
        }
    }

    fn listen_again(&mut self) {
        if self.listen_again_ms.is_some_and(|at_ms| self.now_ms >= at_ms) {
            self.listen();
        }
    }

    fn register_listeners(&self) -> io::Result<()> {
        let mut listeners = self.listeners.iter().enumerate();
        listeners.try_for_each(|(index, listener)| {
            self.poller.add_reader(listener.datagram_socket(self.number), LISTENER_KEYS + index)
        })
    }

    fn deregister_listeners(&self) {
        for listener in self.listeners.iter() {
            // Fails only when it was never registered, which is what is wanted.
            let _ = self.poller.remove_listener(listener.datagram_socket(self.number));
        }
    }

    /// When the session's timer is to ring next; `None` when it needs none.
    fn deadline_ms(&self, session: &Session) -> Option<u64> {
        let idle = self.idle_ms().map(|idle_ms| session.active_ms + idle_ms);
        let silent = session.unanswered_ms.filter(|_| self.flag(Flag::UdpAnswers));
        let silent = silent.map(|since_ms| since_ms + self.timeout_ms());
        [idle, silent].into_iter().flatten().min()
    }

    fn timeout_ms(&self) -> u64 {
        self.settings.number(Number::Timeout) * 1000
    }

    /// How long a session may be silent; `None` for ever.
    fn idle_ms(&self) -> Option<u64> {
        let limits =
            [Number::IdleTimeout, Number::UdpIdleTimeout].map(|limit| self.settings.number(limit) * 1000);
        // For an answer that is still to come nobody waits any longer.
        let drain = self.draining.then(|| self.timeout_ms());
        limits.into_iter().filter(|limit| *limit > 0).chain(drain).min()
    }

    /// Sets the timer. Activity does not move it: it looks when it rings.
    fn arm_timer(&mut self, index: u32) {
        let deadline_ms = self.sessions.get(index).and_then(|session| self.deadline_ms(session));
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.timer_ms = deadline_ms;
        match deadline_ms {
            Some(deadline_ms) => self.timers.arm(index, deadline_ms),
            None => self.timers.disarm(index),
        }
    }

    /// A timer rang.
    fn expire(&mut self, index: u32) {
        let Some(session) = self.sessions.get(index) else { return };
        let timeout_ms = self.timeout_ms();
        let since = |start_ms: u64| self.now_ms.saturating_sub(start_ms);
        if self.idle_ms().is_some_and(|idle_ms| since(session.active_ms) >= idle_ms) {
            self.totals.idle_timeouts += 1;
            return self.close(index, CloseReason::IdleTimeout);
        }
        if let Some(sent_ms) = session.unanswered_ms.filter(|sent_ms| since(*sent_ms) >= timeout_ms) {
            self.judge_silence(index, sent_ms);
        }
        self.arm_timer(index);
    }

    fn flag(&self, flag: Flag) -> bool {
        self.settings.flag(flag)
    }
}
