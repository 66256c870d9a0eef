//! A worker: one thread, one poller, its own connections from accept to close, of all services. Nothing here blocks.
//!
//! `accept` takes clients in, `proxy` hears from a downstream who they are, `connect` finds them a server, `serve` moves
//! their bytes and ends them, `said` sees what clients say, `handshake` does so with TLS, `idlers` keeps connections to
//! servers ready for them, `follow` picks up what the main thread changes, `report` answers it. [`crate::udp`] is the side
//! for datagrams. `core` has what both sides need: `services` and `listeners` as the worker knows them; `key`s are what its
//! poller knows sockets by. What workers share stands in [`crate::shared::Shared`].

mod accept;
mod bytes;
mod clones;
mod close;
mod connect;
mod core;
mod dummy;
mod follow;
mod hand_over;
mod handshake;
mod idlers;
mod key;
mod listeners;
mod log_lines;
mod near;
mod polled;
mod proxy;
mod queued;
mod relay;
mod report;
mod request;
mod reserve;
mod services;
mod stage;
mod tell;
mod times;
mod trace;
mod turn;
mod verdict;
mod watch;

pub(crate) use self::core::Core;
pub(crate) use connect::local_address;
pub(crate) use key::Key;
pub(crate) use listeners::Entry;
pub(crate) use log_lines::{AddressText, log_read};
pub(crate) use near::Holder;
pub(crate) use services::LocalService;
pub(crate) use trace::{Dump, LIVES};

use crate::calls;
use crate::conn::buffers::BufferPool;
use crate::conn::relay::Workspace;
use crate::conn::{CloseReason, Connection, Side, Stage};
use crate::net::poller::{Poller, REGISTRATIONS_LAST, Readiness};
use crate::os;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::slab::Slab;
use crate::sys::memory;
use crate::timers::Timers;
use crate::udp::Udp;
use accept::Accepting;
use clones::Clones;
use idlers::Idlers;
use pen_proto::status::CloneEnd;
use std::io;
use std::sync::Arc;
use turn::Thrift;
use verdict::Verdict;

/// Pipes for streams, over all workers as long as these are few. They take descriptors of the reserve.
const PIPES_MAX: usize = 32;

pub struct Worker {
    context: Context,
    connections: Slab<Connection>,
    udp: Udp,
    thrift: Thrift,
    /// Connections that used up their turn and go on after the others.
    unfinished: Vec<u32>,
    stopping: bool,
}

/// What a step of a connection works with: the worker but for its connections, of which the step has one. A step says what
/// comes of it and closes nothing.
struct Context {
    core: Core,
    timers: Timers,
    accepting: Accepting,
    idlers: Idlers,
    clones: Clones,
    work: Workspace,
    /// Connections whose handshake waits for a certificate.
    awaiting: Vec<u32>,
    /// Connections that gave up a server's socket during this wake-up, of which events may still come.
    dropped: Vec<u32>,
}

impl Context {
    /// The service of a connection.
    fn service(&mut self, connection: &Connection) -> &mut LocalService {
        &mut self.core.services[connection.service]
    }

    fn settings(&self, connection: &Connection) -> &Settings {
        &self.core.services[connection.service].settings
    }

    /// Something happened to a socket.
    fn hear(&mut self, connection: &mut Connection, side: Side, event: Readiness) -> Verdict {
        if !self.dropped.is_empty() && side == Side::Server && self.dropped.contains(&connection.number) {
            return Verdict::Stay; // the last word of a socket that is gone
        }
        connection.active_ms = self.core.now_ms;
        let socket = connection.socket(side);
        if event.urgent {
            let _ = socket.fd().map(os::read_urgent_inline);
        }
        // A new registration reports what is known already, and every event of a reader that it could be written to.
        match socket.learn(event) || !REGISTRATIONS_LAST {
            true => self.serve(connection),
            false => Verdict::Stay,
        }
    }

    /// Does what can be done for a connection now.
    fn serve(&mut self, connection: &mut Connection) -> Verdict {
        match connection.stage {
            Stage::Relaying => self.relay(connection),
            Stage::Connecting => self.connecting(connection),
            Stage::ProxyHeader => self.read_header(connection),
            Stage::FirstBytes => self.first_bytes(connection),
            Stage::Dummy { answered } => self.dummy(connection, answered),
            Stage::Hello => self.hello(connection),
            Stage::Request => self.request(connection),
            Stage::Handshake => self.handshake(connection),
            Stage::Goodbye => self.goodbye(connection),
            Stage::Queued | Stage::Polled => self.look_at_queued(connection),
            Stage::Choosing | Stage::Shortage | Stage::Busy => Verdict::Stay,
        }
    }
}

impl Worker {
    /// Called before the thread starts, so that what fails here fails the start of pen.
    ///
    /// # Errors
    /// The poller refuses a listener.
    pub fn new(number: usize, shared: Arc<Shared>, poller: Poller) -> io::Result<Worker> {
        let workers = shared.workers();
        let mut worker = Worker {
            context: Context {
                core: Core::new(number, shared, poller),
                timers: Timers::new(os::monotonic_ms()),
                accepting: Accepting::default(),
                idlers: Idlers::default(),
                clones: Clones::new(os::monotonic_ms(), (PIPES_MAX / workers).max(2)),
                work: Workspace::new(BufferPool::with_pipes((PIPES_MAX / workers).max(2))),
                awaiting: Vec::new(),
                dropped: Vec::new(),
            },
            connections: Slab::default(),
            udp: Udp::new(os::monotonic_ms()),
            thrift: Thrift::default(),
            unfinished: Vec::new(),
            stopping: false,
        };
        for service in worker.context.core.shared.services().get().iter().flatten() {
            worker.context.core.add_service(service.clone());
            worker.follow_listeners(service.number)?;
        }
        worker.udp.follow_limits(&mut worker.context.core);
        Ok(worker)
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        let mut ready: Vec<Readiness> = Vec::new();
        let mut expired: Vec<u32> = Vec::new();
        self.context.renew_idlers();
        while !self.stopping {
            let timeout_ms = self.wait_ms();
            let core = &mut self.context.core;
            if !turn::wait(core.number, &mut core.poller, &mut ready, timeout_ms) {
                break;
            }
            self.turn(&ready, &mut expired);
        }
        for index in self.connections.indices() {
            self.close(index, CloseReason::Shutdown);
        }
        self.context.cut_clones(CloneEnd::WithClient, |_, _| true);
        self.udp.close_all(&mut self.context.core, CloseReason::Shutdown);
    }

    /// One wake-up. `expired` is room for what it needs.
    fn turn(&mut self, ready: &[Readiness], expired: &mut Vec<u32>) {
        self.context.core.now_ms = os::monotonic_ms();
        self.context.clones.begin_turn(self.context.core.now_ms);
        calls::count_events(ready);
        let unfinished = std::mem::take(&mut self.unfinished);
        self.guard(None, Worker::catch_up);
        for index in self.context.core.take_called() {
            self.guard(connection(index), |worker| worker.step(index, Context::called));
        }
        self.hear_all(ready);
        for index in unfinished {
            self.guard(connection(index), |worker| worker.step(index, Context::serve));
        }
        self.context.timers.expire(self.context.core.now_ms, |index| expired.push(index));
        for index in expired.drain(..) {
            self.guard(connection(index), |worker| worker.step(index, Context::expire));
        }
        if !self.context.clones.is_empty() {
            self.serve_clones(expired);
        }
        self.udp.take_expired(self.context.core.now_ms, expired);
        for index in expired.drain(..) {
            self.guard(Some(Key::Session(index)), |worker| {
                worker.udp.expire(&mut worker.context.core, index)
            });
        }
        self.guard(None, |worker| worker.udp.send_to_clients(&mut worker.context.core));
        self.udp.end_turn(&self.context.core);
        self.context.resume_accepting();
        self.context.core.shared.room().look_whether_full(self.context.core.now_ms);
        self.save_memory();
        if self.context.idlers.are_kept() {
            self.guard(None, |worker| worker.context.keep_idlers());
        }
        self.connections.recycle();
        self.context.dropped.clear();
        self.context.core.services.forget_ended();
    }

    /// Looks a connection up, lets a step work on it, and does what comes of that.
    fn step(&mut self, index: u32, step: impl FnOnce(&mut Context, &mut Connection) -> Verdict) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        match step(&mut self.context, connection) {
            Verdict::Stay => self.context.rearm(connection),
            Verdict::Again => {
                // There is an entry at most for each, however many events it has: and few of them, because each stands
                // for a turn that was used up.
                if !self.unfinished.contains(&index) {
                    self.unfinished.push(index);
                }
                self.context.rearm(connection);
            }
            Verdict::Close(reason) => self.close(index, reason),
        }
    }

    /// A mistake of ours costs the connection that met it, not all the others.
    fn guard(&mut self, key: Option<Key>, work: impl FnOnce(&mut Worker)) {
        turn::guard(self, work, |worker| worker.give_up(key));
    }

    /// Serves all events under one guard, and after a mistake those that are left under another.
    fn hear_all(&mut self, ready: &[Readiness]) {
        let mut at = (self, None, ready.iter());
        while !at.2.as_slice().is_empty() {
            let work = |(worker, key, events): &mut (&mut Worker, _, std::slice::Iter<'_, Readiness>)| {
                for event in events {
                    *key = Key::unpack(event.key);
                    worker.dispatch(*key, *event);
                }
            };
            turn::guard(&mut at, work, |(worker, key, _)| worker.give_up(*key));
        }
    }

    /// Ends what has met a mistake.
    fn give_up(&mut self, key: Option<Key>) {
        match key {
            Some(Key::Connection(index, _)) => self.close(index, CloseReason::InternalError),
            Some(Key::Session(index)) => {
                self.udp.close(&mut self.context.core, index, CloseReason::InternalError)
            }
            Some(Key::Clone(number)) => self.cut_clone(number),
            Some(Key::SessionClone(index)) => {
                self.udp.end_clone(&mut self.context.core, index, CloneEnd::Shortage)
            }
            Some(Key::Idler(_) | Key::Listener(_)) | None => {}
        }
    }

    fn wait_ms(&self) -> Option<u64> {
        if !self.unfinished.is_empty() {
            return Some(0);
        }
        let timer = self.context.timers.next_deadline_ms();
        let looks = [
            timer,
            self.context.accepting.retry_ms(),
            self.context.idlers.look_ms(),
            self.context.clones.look_ms(),
            self.context.core.shared.room().full_look_ms(),
            self.thrift.look_ms(),
            self.udp.look_ms(),
        ];
        let next = looks.into_iter().flatten().min()?;
        Some(next.saturating_sub(os::monotonic_ms()))
    }

    /// Gives up buffers that nobody needs, and what connections had that are gone.
    fn save_memory(&mut self) {
        let count = (self.connections.len() + self.udp.len()) as u64;
        let Context { core, work, clones, .. } = &mut self.context;
        if self.thrift.is_due(count, work.pool.has_spares() || clones.has_spares(), core.now_ms) {
            let freed_bytes = work.pool.shrink() + clones.shrink();
            let has_spares = work.pool.has_spares() || clones.has_spares();
            if self.thrift.looked(count, freed_bytes, has_spares, core.now_ms) {
                // The memory of another program is its own business.
                if !core.shared.is_embedded() {
                    memory::give_back();
                }
            }
        }
    }

    fn dispatch(&mut self, key: Option<Key>, event: Readiness) {
        let (index, side) = match key {
            Some(Key::Connection(index, side)) => (index, side),
            Some(Key::Listener(number)) => return self.listener_event(number),
            Some(Key::Session(index)) => {
                return self.udp.hear_server(&mut self.context.core, index, event.error);
            }
            Some(Key::SessionClone(index)) => {
                return self.udp.hear_clone(&mut self.context.core, index, event.error);
            }
            Some(Key::Idler(index)) => return self.context.idler_event(index, event),
            Some(Key::Clone(number)) => return self.hear_clone(number, event),
            None => return,
        };
        self.step(index, |context, connection| context.hear(connection, side, event));
    }

    /// Clients are waiting, or have sent something.
    fn listener_event(&mut self, listener: u16) {
        match self.context.core.listeners.get(listener) {
            Some(entry) if entry.is_udp => {
                self.udp.hear_clients(&mut self.context.core, listener);
            }
            Some(_) => self.accept(listener),
            None => {} // it is no longer ours
        }
    }
}

/// The key of a connection, whichever its side.
fn connection(index: u32) -> Option<Key> {
    Some(Key::Connection(index, Side::Client))
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
