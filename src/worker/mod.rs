//! A worker: one thread, one poller, its own connections from accept to close. Nothing here blocks.
//!
//! `accept` takes clients in, `proxy` hears from a downstream who they are, `connect` finds them a server, `serve` moves
//! their bytes and ends them, `said` sees what clients say, `handshake` does so with TLS, `idlers` keeps connections to servers ready for them,
//! `report` answers the main thread. What workers share stands in [`crate::runtime::Shared`].

mod accept;
mod connect;
mod hand_over;
mod handshake;
mod idlers;
mod proxy;
mod report;
mod reserve;
mod said;
mod serve;
mod trace;

pub(crate) use connect::say_next_place;
pub(crate) use serve::{AddressText, log_read};
pub(crate) use trace::{Dump, LIVES};

use crate::balance::ServerId;
use crate::conn::buffers::BufferPool;
use crate::conn::relay::SCRATCH_BYTES;
use crate::conn::{CloseReason, Connection, Side};
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::poller::{Poller, REGISTRATIONS_LAST, Readiness};
use crate::net::tls::Tls;
use crate::runtime::Shared;
use crate::settings::Settings;
use crate::slab::Slab;
use crate::sys::{clock, memory};
use crate::timers::Timers;
use crate::turn::{self, Thrift};
use accept::Accepting;
use idlers::Idlers;
use nix::sys::socket::{setsockopt, sockopt};
use pen_proto::commands::{Flag, Number};
use pen_proto::status::{ConnectionStatus, Totals};
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

/// Keys from here on are listeners.
const LISTENER_KEYS: usize = usize::MAX / 2;
/// Keys from here to the listeners are idlers; below, connections: twice the number, plus one for the upstream socket.
const IDLER_KEYS: usize = LISTENER_KEYS / 2;
/// What an event has to do with that belongs to no connection.
const NO_CONNECTION: u32 = u32::MAX;

/// Pipes for streams, over all workers as long as these are few. They take descriptors of the reserve.
const PIPES_MAX: usize = 32;

/// What the main thread asks of a worker.
#[derive(Debug)]
pub enum Message {
    Report(Sender<Report>),
    /// Closes a connection by its local number; answers whether there was one.
    Close(u32, Sender<bool>),
    /// Closes everything and ends.
    Stop,
}

/// A worker's answer to [`Message::Report`].
#[derive(Debug)]
pub struct Report {
    pub connections: Vec<ConnectionStatus>,
    /// How many idlers are ready for clients, by server.
    pub idlers: Vec<(ServerId, usize)>,
    pub totals: Totals,
    /// Number and start of the connection opened last.
    pub last: Option<(u32, u64)>,
}

/// Where the main thread leaves messages for a worker. It wakes the worker after leaving one.
#[derive(Debug, Default)]
pub struct Mailbox(pub Mutex<Vec<Message>>);

pub struct Worker {
    number: usize,
    shared: Arc<Shared>,
    poller: Poller,
    connections: Slab<Connection>,
    timers: Timers,
    settings: Arc<Settings>,
    tls: Arc<Tls>,
    listeners: Arc<Vec<Listener>>,
    /// The version of settings and listeners that this worker has.
    generation: u64,
    accepting: Accepting,
    idlers: Idlers,
    scratch: Vec<u8>,
    /// What is sent in place of what was read.
    instead: Vec<u8>,
    pool: BufferPool,
    thrift: Thrift,
    /// Connections that used up their turn and go on after the others.
    unfinished: Vec<u32>,
    /// Connections whose handshake waits for a certificate.
    awaiting: Vec<u32>,
    log: TrafficLog,
    totals: Totals,
    last: Option<(u32, u64)>,
    now_ms: u64,
    /// Connections that gave up a server's socket during this wake-up, of which events may still come.
    dropped: Vec<u32>,
    stopping: bool,
}

/// Under which the poller knows a connection's socket.
fn key(index: u32, side: Side) -> usize {
    index as usize * 2 + usize::from(side == Side::Server)
}

impl Worker {
    /// Called before the thread starts, so that what fails here fails the start of pen.
    pub fn new(number: usize, shared: Arc<Shared>, poller: Poller, log: TrafficLog) -> io::Result<Worker> {
        let (generation, settings, listeners) = shared.published();
        let mut worker = Worker {
            number,
            poller,
            connections: Slab::default(),
            timers: Timers::new(clock::monotonic_ms()),
            settings,
            tls: shared.tls(),
            listeners: Arc::new(Vec::new()),
            generation,
            accepting: Accepting::default(),
            idlers: Idlers::default(),
            scratch: vec![0; SCRATCH_BYTES],
            instead: Vec::new(),
            pool: BufferPool::with_pipes((PIPES_MAX / shared.workers()).max(2)),
            thrift: Thrift::default(),
            unfinished: Vec::new(),
            awaiting: Vec::new(),
            log,
            totals: Totals::default(),
            last: None,
            now_ms: clock::monotonic_ms(),
            dropped: Vec::new(),
            stopping: false,
            shared,
        };
        worker.change_listeners(listeners)?;
        Ok(worker)
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        let mut ready: Vec<Readiness> = Vec::new();
        let mut expired: Vec<u32> = Vec::new();
        self.renew_idlers();
        while !self.stopping {
            let timeout_ms = self.wait_ms();
            if !turn::wait(self.number, &mut self.poller, &mut ready, timeout_ms) {
                break;
            }
            self.now_ms = clock::monotonic_ms();
            let unfinished = std::mem::take(&mut self.unfinished);
            self.guard(NO_CONNECTION, |worker, _| worker.catch_up());
            for event in &ready {
                self.guard(connection_number(event.key), |worker, _| worker.dispatch(*event));
            }
            for index in unfinished {
                self.guard(index, Worker::serve);
            }
            self.timers.expire(self.now_ms, |index| expired.push(index));
            for index in expired.drain(..) {
                self.guard(index, Worker::expire);
            }
            self.resume_accepting();
            self.shared.look_whether_full(self.now_ms);
            self.save_memory();
            if self.idlers.are_kept() {
                self.guard(NO_CONNECTION, |worker, _| worker.keep_idlers());
            }
            self.connections.recycle();
            self.dropped.clear();
        }
        for index in self.connections.indices() {
            self.close(index, CloseReason::Shutdown);
        }
    }

    /// A mistake of ours costs the connection that met it, not all the others.
    fn guard(&mut self, index: u32, work: impl FnOnce(&mut Worker, u32)) {
        turn::guard(
            self,
            |worker| work(worker, index),
            |worker| worker.close(index, CloseReason::InternalError),
        );
    }

    fn wait_ms(&self) -> Option<u64> {
        if !self.unfinished.is_empty() {
            return Some(0);
        }
        let timer = self.timers.next_deadline_ms();
        let looks = [
            timer,
            self.accepting.retry_ms(),
            self.idlers.look_ms(),
            self.shared.full_look_ms(),
            self.thrift.look_ms(),
        ];
        let next = looks.into_iter().flatten().min()?;
        Some(next.saturating_sub(clock::monotonic_ms()))
    }

    /// Gives up buffers that nobody needs, and what connections had that are gone.
    fn save_memory(&mut self) {
        let count = self.totals.accepted - self.totals.closed;
        if self.thrift.is_due(count, self.pool.has_spares(), self.now_ms) {
            let freed_bytes = self.pool.shrink();
            if self.thrift.looked(count, freed_bytes, self.pool.has_spares(), self.now_ms) {
                memory::give_back();
            }
        }
    }

    fn dispatch(&mut self, event: Readiness) {
        match event.key {
            ..IDLER_KEYS => {}
            IDLER_KEYS..LISTENER_KEYS => return self.idler_event((event.key - IDLER_KEYS) as u32, event),
            LISTENER_KEYS.. => {
                self.accept(event.key - LISTENER_KEYS);
                return;
            }
        }
        let index = connection_number(event.key);
        let side = if event.key & 1 == 0 { Side::Client } else { Side::Server };
        let Some(connection) = self.connections.get_mut(index) else { return };
        if side == Side::Server && self.dropped.contains(&index) {
            return; // the last word of a socket that is gone
        }
        connection.active_ms = self.now_ms;
        let socket = connection.socket(side);
        if event.urgent {
            // Read in their place in the stream, as they were sent. Unix sockets know no urgent bytes.
            let _ = socket.fd().map(|fd| setsockopt(&fd, sockopt::OobInline, &true));
        }
        // A new registration reports what is known already, and every event of a reader that it could be written to.
        if socket.learn(event) || !REGISTRATIONS_LAST {
            self.serve(index);
        }
    }

    /// Picks up new settings, listeners and messages.
    fn catch_up(&mut self) {
        if self.shared.generation() == self.generation {
            return;
        }
        let (generation, settings, listeners) = self.shared.published();
        self.generation = generation;
        self.use_settings(settings);
        self.tls = self.shared.tls();
        self.unfinished.append(&mut self.awaiting);
        if !Arc::ptr_eq(&listeners, &self.listeners) {
            self.take_in_waiting();
            if let Err(error) = self.change_listeners(listeners) {
                self.listen_later(&error);
            }
        }
        self.renew_idlers();
        for message in self.shared.take_messages(self.number) {
            self.answer(message);
        }
    }

    /// Takes over settings alone; listeners and messages wait for the end of what is being done.
    fn follow_settings(&mut self) {
        if self.shared.generation() != self.generation {
            self.use_settings(self.shared.published().1);
        }
    }

    fn use_settings(&mut self, settings: Arc<Settings>) {
        let before = std::mem::replace(&mut self.settings, settings);
        if self.settings.number(Number::IdleTimeout) != before.number(Number::IdleTimeout) {
            for index in self.connections.indices() {
                self.arm_idle_timer(index);
            }
        }
    }

    fn change_listeners(&mut self, listeners: Arc<Vec<Listener>>) -> io::Result<()> {
        self.deregister_listeners();
        self.listeners = listeners;
        self.register_listeners()
    }

    /// All or none.
    fn register_listeners(&mut self) -> io::Result<()> {
        let mut listeners = self.listeners.iter().enumerate();
        let added = listeners.try_for_each(|(index, listener)| {
            self.poller.add_listener(listener.as_fd(), LISTENER_KEYS + index)
        });
        match added {
            Ok(()) => self.accepting.set_on(true),
            Err(_) => self.deregister_listeners(),
        }
        added
    }

    fn deregister_listeners(&mut self) {
        for listener in self.listeners.iter() {
            // Fails only when it was never registered, which is what is wanted.
            let _ = self.poller.remove_listener(listener.as_fd());
        }
        self.accepting.set_on(false);
    }

    fn flag(&self, flag: Flag) -> bool {
        self.settings.flag(flag)
    }
}

/// The connection that events under this key belong to.
fn connection_number(key: usize) -> u32 {
    if key < IDLER_KEYS { (key / 2) as u32 } else { NO_CONNECTION }
}

#[cfg(test)]
mod tests;
