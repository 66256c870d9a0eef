//! Taking clients in, and not taking them in when there is no room.
//!
//! A full pen stops listening for events of a listener instead of accepting and closing, so clients wait in the kernel's
//! backlog and no processor time is lost; see docs/architecture.md, "accept". A listener at which nobody waits is left
//! alone, so that to be full costs the same however many services there are.

use super::handshake::first_task;
use super::listeners::Entry;
use super::verdict::Verdict;
use super::{Context, Key, Worker};
use crate::conn::{CloseReason, Connection, Side, Stage};
use crate::log::diag;
use crate::net::listen::Listener;
use crate::os::{self, Fd};
use crate::room::{Room, Want};
use crate::sys::errors::reason;
use nix::libc;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::Flag;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

/// How long to wait for descriptors that some other process or thread may give back.
pub const SHORTAGE_RETRY_MS: u64 = 100;

/// Whether this worker takes clients in, and if not, why.
#[derive(Debug, Default)]
pub struct Accepting {
    /// Listeners that are not registered, because they could not be, or because clients wait there in vain.
    held: Vec<u16>,
    /// Out of descriptors: tried again at this time or when a connection ends.
    retry_ms: Option<u64>,
    /// No room (`conn_max`, `pending_max`, descriptors): resumed by whoever makes room.
    paused: bool,
    /// Clients to take per wake-up without asking whether there are more.
    batch: u64,
}

/// How often a listener that is to be closed is asked for clients at most: the largest `listen_queue` that can be asked for.
const WAITING_MAX: usize = 1_000_000;

/// What came of asking a listener for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Client,
    /// This one failed or left; there may be others.
    Another,
    Nobody,
    /// None can be taken for now.
    Shortage,
}

impl Accepting {
    #[cfg(test)]
    pub fn held(&self) -> &[u16] {
        &self.held
    }

    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }
}

impl Worker {
    /// Takes up to `multi_accept` clients from a listener.
    ///
    /// The listener is level-triggered: clients left over bring another event. So a worker that last found one client
    /// at a time takes one, and is spared the accept(2) that would only tell that there is none.
    pub(super) fn accept(&mut self, listener: u16) {
        let batch = self.context.accepting.batch.clamp(1, self.context.core.process.multi_accept);
        let mut taken = 0;
        while taken < batch {
            if self.context.accepting.paused {
                self.context.hold(listener);
                break;
            }
            // An event may be of a listener that is no longer ours.
            let Some(open) = self.context.core.listeners.listener(listener) else { return };
            if !self.context.core.shared.room().take_connection() {
                // Another worker may have taken the one for whom this one was woken.
                if os::has_something(open.as_fd()) {
                    self.context.note_full();
                    self.context.hold(listener);
                    self.context.pause(None);
                }
                break;
            }
            if self.accept_one(listener) != Asked::Client {
                break;
            }
            taken += 1;
        }
        self.context.accepting.batch = if taken == batch { batch * 2 } else { taken };
    }

    /// Takes a client, for whom room is counted; if none comes the room is given back.
    fn accept_one(&mut self, listener: u16) -> Asked {
        let Some(Entry { service, open: Some(open), .. }) = self.context.core.listeners.get(listener) else {
            self.context.room_made();
            return Asked::Nobody;
        };
        let service = *service;
        match os::accept(open.as_fd()) {
            Ok((fd, address)) => {
                // Who comes after a command was answered meets its effect, also in the wake-up that is under way.
                let is_behind = self.context.core.shared.generation() != self.context.core.generation;
                if is_behind && self.context.follow_settings(service) {
                    self.arm_again(&[service]);
                }
                let (client, port) = match address {
                    Some(address) => (ClientAddr::from(address), address.port()),
                    None => (ClientAddr::Unix, 0),
                };
                self.take_in(fd, (client, port), (service, listener));
                Asked::Client
            }
            Err(error) => {
                self.context.room_made();
                self.context.accept_failed((service, listener), &error)
            }
        }
    }

    /// Takes in who is connected already, even where `conn_max` has no room: with a listener that is closed they would be
    /// turned away. How many its queue holds was settled when it was opened, so it is asked until it has nobody left.
    pub(super) fn stop_accepting(&mut self, number: u16) {
        for _ in 0..WAITING_MAX {
            self.context.core.shared.room().take_connection_anyway();
            if matches!(self.accept_one(number), Asked::Nobody | Asked::Shortage) {
                break;
            }
        }
        if let Some(listener) = self.context.core.listeners.listener(number) {
            // Fails only when it is not registered, which is what is wanted.
            let _ = self.context.core.poller.remove_listener(listener.as_fd());
        }
        self.context.accepting.held.retain(|held| *held != number);
        self.context.core.listeners.close(number);
    }

    /// Takes in a client, for whom room is counted.
    pub(super) fn take_in(
        &mut self,
        fd: Fd,
        (address, port): (ClientAddr, u16),
        (service, listener): (u16, u16),
    ) {
        let Context { core, .. } = &mut self.context;
        core.listeners.enter(listener);
        let connection = Connection::new(fd, address, port, (service, listener), core.now_ms);
        let index = self.connections.insert(connection);
        let local = &mut core.services[service];
        local.totals.accepted += 1;
        local.last = Some((index, core.now_ms));
        self.step(index, |context, connection| {
            connection.number = index;
            context.trace_accept(connection);
            match context.settings(connection).trusts(address) {
                true => context.begin_stage(connection, Stage::ProxyHeader),
                false => context.begin(connection),
            }
        });
    }
}

impl Context {
    fn note_full(&self) {
        let (process, now_ms, room) = (&*self.core.process, self.core.now_ms, self.core.shared.room());
        let pending_max = process.pending_max;
        match room.pending() >= pending_max {
            true => room.note_full(Want::Connects, now_ms, |room| {
                let pending = room.pending();
                format!("{pending} connects under way, no more at a time (pending_max {pending_max}); clients wait")
            }),
            false => room.note_full(Want::Places, now_ms, |room| {
                let (used, limits) = (room.used(), Room::limits(process));
                format!("{used} connections, no more fit ({limits}); clients wait")
            }),
        }
    }

    /// The system has no descriptors left, although the count had room.
    pub(super) fn note_shortage(&mut self, service: u16) {
        self.core.services[service].totals.descriptor_shortages += 1;
        let (process, now_ms) = (&*self.core.process, self.core.now_ms);
        self.core.shared.room().note_full(Want::Descriptors, now_ms, |room| {
            let (used, limits) = (room.used(), Room::limits(process));
            format!("{used} connections, descriptors have run out ({limits}); clients wait")
        });
    }

    /// Takes a listener of a service.
    ///
    /// # Errors
    /// The poller refuses it; then it is there and held.
    pub(super) fn add_listener(&mut self, service: u16, listener: Arc<Listener>) -> io::Result<()> {
        let number = self.core.listeners.add(service, false, listener.clone());
        let number = number.ok_or_else(|| io::Error::other("too many listeners"))?;
        let added = self.core.poller.add_listener(listener.as_fd(), Key::Listener(number).pack());
        if added.is_err() {
            self.hold(number);
        }
        added
    }

    /// Hears no more of a listener until accepting is resumed.
    fn hold(&mut self, number: u16) {
        if self.accepting.held.contains(&number) {
            return;
        }
        let Some(listener) = self.core.listeners.listener(number) else { return };
        // Fails only when it is not registered, which is what is wanted.
        let _ = self.core.poller.remove_listener(listener.as_fd());
        self.accepting.held.push(number);
    }

    fn accept_failed(&mut self, (service, listener): (u16, u16), error: &io::Error) -> Asked {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Asked::Nobody,
            // He left before he was taken, or the network had an error of its own, see accept(2), "Error handling". If
            // there are more, there is another event.
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::ENETDOWN
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH,
            ) => Asked::Another,
            // There is another event at once.
            _ if self.idlers_make_way() => Asked::Another,
            _ => {
                self.note_shortage(service);
                diag::once(
                    "accept",
                    format_args!("cannot accept clients: {}; trying again as connections end", reason(error)),
                );
                self.hold(listener);
                self.pause(Some(self.core.now_ms + SHORTAGE_RETRY_MS));
                Asked::Shortage
            }
        }
    }

    /// Takes no more clients for now. Listeners are held as clients come.
    fn pause(&mut self, retry_ms: Option<u64>) {
        self.accepting.retry_ms = retry_ms;
        if !self.accepting.paused {
            self.accepting.paused = true;
            self.core.shared.room().add_paused();
        }
        // Room made between the look and the note would wake nobody.
        self.resume_accepting();
    }

    /// Descriptors have run out for a connect: clients go to other workers, or wait.
    pub(super) fn pause_all(&mut self) {
        let open: Vec<u16> = self.core.listeners.open(false).map(|(number, _)| number).collect();
        open.into_iter().for_each(|number| self.hold(number));
        self.pause(Some(self.core.now_ms + SHORTAGE_RETRY_MS));
    }

    /// Registers the held listeners again when there is room. Called after every wake-up.
    pub(super) fn resume_accepting(&mut self) {
        if !self.accepting.paused || self.accepting.retry_ms.is_some_and(|retry| self.core.now_ms < retry) {
            return;
        }
        // From now on it waits for room, and whoever makes room wakes it.
        self.accepting.retry_ms = None;
        if !self.core.shared.room().has_room() {
            return;
        }
        self.accepting.paused = false;
        self.core.shared.room().remove_paused(self.core.now_ms);
        let mut trouble = None;
        self.accepting.held.retain(|number| {
            let Some(listener) = self.core.listeners.listener(*number) else { return false };
            let added = self.core.poller.add_listener(listener.as_fd(), Key::Listener(*number).pack());
            added.map_err(|error| trouble = Some(error)).is_err()
        });
        if let Some(error) = trouble {
            self.listen_later(&error);
        }
    }

    /// The poller refused a listener.
    pub(super) fn listen_later(&mut self, error: &io::Error) {
        diag::once("listen", format_args!("cannot listen: {}; trying again", reason(error)));
        self.pause(Some(self.core.now_ms + SHORTAGE_RETRY_MS));
    }

    /// A connection ended here: the reason for a pause may be gone.
    pub(super) fn room_made(&mut self) {
        self.core.shared.room().give_connection();
        if self.accepting.paused {
            self.accepting.retry_ms = None; // resumed at the end of this wake-up
        } else {
            self.core.shared.wake_paused();
        }
    }

    /// Who the client is, is certain: on to its server, or to what comes before that.
    pub(super) fn begin(&mut self, connection: &mut Connection) -> Verdict {
        if !self.count_client(connection) {
            return Verdict::Close(CloseReason::ClientLimit);
        }
        let local = self.service(connection);
        if let Some(task) = first_task(local) {
            return self.begin_task(connection, task);
        }
        let (dummy, peek) = (local.settings.flag(Flag::Dummy), local.settings.flag(Flag::Peek));
        if dummy {
            return self.begin_stage(connection, Stage::Dummy { answered: false });
        }
        self.begin_http(connection, "http");
        match peek {
            true => self.begin_stage(connection, Stage::FirstBytes),
            false => self.choose_for_request(connection),
        }
    }

    /// Begins with something for which the client alone is needed.
    pub(super) fn begin_stage(&mut self, connection: &mut Connection, stage: Stage) -> Verdict {
        self.enter(connection, stage);
        match self.register(connection, Side::Client) {
            Ok(()) => self.serve(connection),
            Err(reason) => Verdict::Close(reason),
        }
    }
}
