//! A worker: one thread, one poller, its own connections from accept to close, of all services. Nothing here blocks.
//!
//! `accept` takes clients in, `proxy` hears from a downstream who they are, `connect` finds them a server, `serve` moves
//! their bytes and ends them, `said` sees what clients say, `handshake` does so with TLS, `idlers` keeps connections to servers ready for them,
//! `report` answers the main thread. `core` has what both sides of a worker need: `services` and `listeners` as it knows them, and
//! the `key`s under which its poller knows sockets. What workers share stands in [`crate::shared::Shared`].

mod accept;
mod connect;
mod core;
mod hand_over;
mod handshake;
mod idlers;
mod key;
mod listeners;
mod proxy;
mod report;
mod reserve;
mod said;
mod serve;
mod services;
mod trace;
mod turn;

pub(crate) use self::core::Core;
pub(crate) use connect::{local_address, say_next_place};
pub(crate) use key::Key;
pub(crate) use listeners::Entry;
pub(crate) use serve::{AddressText, log_read};
pub(crate) use services::LocalService;
pub(crate) use trace::{Dump, LIVES};

use crate::conn::buffers::BufferPool;
use crate::conn::relay::SCRATCH_BYTES;
use crate::conn::{CloseReason, Connection, Side};
use crate::net::poller::{Poller, REGISTRATIONS_LAST, Readiness};
use crate::service::Service;
use crate::shared::Shared;
use crate::slab::Slab;
use crate::sys::{clock, memory};
use crate::timers::Timers;
use crate::udp::Udp;
use accept::Accepting;
use idlers::Idlers;
use nix::sys::socket::{setsockopt, sockopt};
use pen_proto::commands::Number;
use std::io;
use std::sync::Arc;
use turn::Thrift;

/// Pipes for streams, over all workers as long as these are few. They take descriptors of the reserve.
const PIPES_MAX: usize = 32;

pub struct Worker {
    core: Core,
    connections: Slab<Connection>,
    timers: Timers,
    accepting: Accepting,
    idlers: Idlers,
    udp: Udp,
    scratch: Vec<u8>,
    /// What is sent in place of what was read.
    instead: Vec<u8>,
    pool: BufferPool,
    thrift: Thrift,
    /// Connections that used up their turn and go on after the others.
    unfinished: Vec<u32>,
    /// Connections whose handshake waits for a certificate.
    awaiting: Vec<u32>,
    /// Connections that gave up a server's socket during this wake-up, of which events may still come.
    dropped: Vec<u32>,
    stopping: bool,
}

impl Worker {
    /// Called before the thread starts, so that what fails here fails the start of pen.
    ///
    /// # Errors
    /// The poller refuses a listener.
    pub fn new(number: usize, shared: Arc<Shared>, poller: Poller) -> io::Result<Worker> {
        let workers = shared.workers();
        let mut worker = Worker {
            core: Core::new(number, shared, poller),
            connections: Slab::default(),
            timers: Timers::new(clock::monotonic_ms()),
            accepting: Accepting::default(),
            idlers: Idlers::default(),
            udp: Udp::new(clock::monotonic_ms()),
            scratch: vec![0; SCRATCH_BYTES],
            instead: Vec::new(),
            pool: BufferPool::with_pipes((PIPES_MAX / workers).max(2)),
            thrift: Thrift::default(),
            unfinished: Vec::new(),
            awaiting: Vec::new(),
            dropped: Vec::new(),
            stopping: false,
        };
        worker.accepting.set_on(true);
        for service in worker.core.shared.services().get().iter().flatten() {
            worker.core.services.add(service.clone());
            worker.follow_listeners(service.number)?;
        }
        worker.udp.follow_limits(&mut worker.core);
        Ok(worker)
    }

    /// Serves until told to stop.
    pub fn run(mut self) {
        let mut ready: Vec<Readiness> = Vec::new();
        let mut expired: Vec<u32> = Vec::new();
        self.renew_idlers();
        while !self.stopping {
            let timeout_ms = self.wait_ms();
            if !turn::wait(self.core.number, &mut self.core.poller, &mut ready, timeout_ms) {
                break;
            }
            self.core.now_ms = clock::monotonic_ms();
            let unfinished = std::mem::take(&mut self.unfinished);
            self.guard(None, Worker::catch_up);
            for event in &ready {
                let key = Key::unpack(event.key);
                self.guard(key, |worker| worker.dispatch(key, *event));
            }
            for index in unfinished {
                self.guard(connection(index), |worker| worker.serve(index));
            }
            self.timers.expire(self.core.now_ms, |index| expired.push(index));
            for index in expired.drain(..) {
                self.guard(connection(index), |worker| worker.expire(index));
            }
            self.udp.take_expired(self.core.now_ms, &mut expired);
            for index in expired.drain(..) {
                self.guard(Some(Key::Session(index)), |worker| worker.udp.expire(&mut worker.core, index));
            }
            self.guard(None, |worker| worker.udp.send_to_clients(&mut worker.core));
            self.udp.end_turn(&self.core);
            self.resume_accepting();
            self.core.shared.room().look_whether_full(self.core.now_ms);
            self.save_memory();
            if self.idlers.are_kept() {
                self.guard(None, Worker::keep_idlers);
            }
            self.connections.recycle();
            self.dropped.clear();
            self.core.services.forget_ended();
        }
        for index in self.connections.indices() {
            self.close(index, CloseReason::Shutdown);
        }
        self.udp.close_all(&mut self.core, CloseReason::Shutdown);
    }

    /// A mistake of ours costs the connection that met it, not all the others.
    fn guard(&mut self, key: Option<Key>, work: impl FnOnce(&mut Worker)) {
        turn::guard(self, work, |worker| match key {
            Some(Key::Connection(index, _)) => worker.close(index, CloseReason::InternalError),
            Some(Key::Session(index)) => {
                worker.udp.close(&mut worker.core, index, CloseReason::InternalError)
            }
            Some(Key::Idler(_) | Key::Listener(_)) | None => {}
        });
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
            self.core.shared.room().full_look_ms(),
            self.thrift.look_ms(),
            self.udp.look_ms(),
        ];
        let next = looks.into_iter().flatten().min()?;
        Some(next.saturating_sub(clock::monotonic_ms()))
    }

    /// Gives up buffers that nobody needs, and what connections had that are gone.
    fn save_memory(&mut self) {
        let count = (self.connections.len() + self.udp.len()) as u64;
        if self.thrift.is_due(count, self.pool.has_spares(), self.core.now_ms) {
            let freed_bytes = self.pool.shrink();
            if self.thrift.looked(count, freed_bytes, self.pool.has_spares(), self.core.now_ms) {
                memory::give_back();
            }
        }
    }

    fn dispatch(&mut self, key: Option<Key>, event: Readiness) {
        let (index, side) = match key {
            Some(Key::Connection(index, side)) => (index, side),
            Some(Key::Listener(number)) => return self.hear_clients(number),
            Some(Key::Session(index)) => return self.udp.hear_server(&mut self.core, index, event.error),
            Some(Key::Idler(index)) => return self.idler_event(index, event),
            None => return,
        };
        let Some(connection) = self.connections.get_mut(index) else { return };
        if side == Side::Server && self.dropped.contains(&index) {
            return; // the last word of a socket that is gone
        }
        connection.active_ms = self.core.now_ms;
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

    fn hear_clients(&mut self, listener: u16) {
        match self.core.listeners.get(listener) {
            Some(entry) if entry.is_udp => {
                self.udp.hear_clients(&mut self.core, listener);
            }
            Some(_) => self.accept(listener),
            None => {} // it is no longer ours
        }
    }

    /// Picks up what has changed, and messages.
    fn catch_up(&mut self) {
        let generation = self.core.shared.generation();
        if generation == self.core.generation {
            return;
        }
        self.core.generation = generation;
        self.core.process.follow(self.core.shared.process());
        let services = self.core.shared.services().get();
        for number in 0..services.len().max(self.core.services.end()) {
            let present = services.get(number).and_then(Option::as_ref);
            self.follow_service(number as u16, present);
        }
        self.udp.follow_limits(&mut self.core);
        self.unfinished.append(&mut self.awaiting);
        self.renew_idlers();
        for message in self.core.shared.take_messages(self.core.number) {
            self.answer(message);
        }
    }

    fn follow_service(&mut self, number: u16, present: Option<&Arc<Service>>) {
        match (self.core.services.get(number), present) {
            (None, None) => {}
            (None, Some(service)) => {
                self.core.services.add(service.clone());
                self.follow_listeners_later(number);
            }
            (Some(local), Some(service)) if Arc::ptr_eq(&local.service, service) => {
                self.follow_settings(number);
                let LocalService { service, tls, listeners, .. } = &mut self.core.services[number];
                tls.follow(service.tls());
                if listeners.follow(service.listeners()).is_some() {
                    self.follow_listeners_later(number);
                }
            }
            (Some(local), _) if local.leaving => {}
            (Some(_), _) => self.leave_service(number),
        }
    }

    /// Takes over the settings of a service alone; all else waits for the end of what is being done.
    fn follow_settings(&mut self, number: u16) {
        let LocalService { service, settings, draining, .. } = &mut self.core.services[number];
        let drains = service.is_draining() && !std::mem::replace(draining, service.is_draining());
        let before = settings.follow(service.settings());
        if service.is_udp {
            if drains || before.is_some() {
                self.udp.follow_settings(&self.core, number);
            }
            return;
        }
        let Some(before) = before else { return };
        if settings.number(Number::IdleTimeout) != before.number(Number::IdleTimeout) {
            for index in self.connections.indices() {
                if self.connections.get(index).is_some_and(|connection| connection.service == number) {
                    self.arm_idle_timer(index);
                }
            }
        }
    }

    /// The service was removed: nobody comes any more, and who is here goes on.
    fn leave_service(&mut self, number: u16) {
        let (_, open) = self.core.listeners.difference(number, &[]);
        open.into_iter().for_each(|listener| self.close_listener(listener));
        self.core.services.leave(number);
    }

    /// The listeners of a service have changed. Those that stay are left alone.
    ///
    /// # Errors
    /// The poller refuses one.
    fn follow_listeners(&mut self, number: u16) -> io::Result<()> {
        let LocalService { service, listeners, .. } = &self.core.services[number];
        let is_udp = service.is_udp;
        let (new, gone) = self.core.listeners.difference(number, listeners);
        gone.into_iter().for_each(|listener| self.close_listener(listener));
        let mut added = Ok(());
        for listener in new {
            added = added.and(match is_udp {
                true => self.udp.add_listener(&mut self.core, number, listener),
                false => self.add_listener(number, listener),
            });
        }
        added
    }

    /// As `follow_listeners`; what is refused is tried again.
    fn follow_listeners_later(&mut self, number: u16) {
        if let Err(error) = self.follow_listeners(number) {
            match self.core.services[number].service.is_udp {
                true => self.udp.listen_later(&self.core, &error),
                false => self.listen_later(&error),
            }
        }
    }

    fn close_listener(&mut self, number: u16) {
        match self.core.listeners.get(number) {
            Some(entry) if entry.is_udp => self.udp.close_listener(&mut self.core, number),
            _ => self.stop_accepting(number),
        }
    }
}

/// The key of a connection, whichever its side.
fn connection(index: u32) -> Option<Key> {
    Some(Key::Connection(index, Side::Client))
}

#[cfg(test)]
mod tests;
