//! Taking clients in, and not taking them in when there is no room.
//!
//! A full pen stops listening for events of the listener instead of accepting and closing, so clients wait in the
//! kernel's backlog and no processor time is lost; see docs/architecture.md, "accept".

use super::Worker;
use crate::conn::{Connection, Side, Stage};
use crate::log::diag;
use crate::runtime::Want;
use crate::sys::errors::reason;
use crate::sys::socket;
use nix::libc;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// How long to wait for descriptors that some other process or thread may give back.
pub const SHORTAGE_RETRY_MS: u64 = 100;

/// Whether this worker's listeners are registered, and if not, why.
#[derive(Debug, Default)]
pub struct Accepting {
    on: bool,
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
    pub fn is_on(&self) -> bool {
        self.on
    }

    pub fn set_on(&mut self, on: bool) {
        self.on = on;
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
    pub(super) fn accept(&mut self, listener: usize) {
        let batch = self.accepting.batch.clamp(1, self.settings.number(Number::MultiAccept));
        if listener >= self.listeners.len() {
            return; // an event of a listener that is no longer ours
        }
        let mut taken = 0;
        while taken < batch && self.accepting.is_on() {
            if !self.shared.take_room(self.settings.number(Number::PendingMax)) {
                // Another worker may have taken the one for whom this one was woken.
                if socket::has_something(self.listeners[listener].as_fd()) {
                    self.note_full();
                    self.pause(None);
                }
                break;
            }
            if self.accept_one(listener) != Asked::Client {
                break;
            }
            taken += 1;
        }
        self.accepting.batch = if taken == batch { batch * 2 } else { taken };
    }

    fn note_full(&self) {
        let (settings, now_ms) = (&self.settings, self.now_ms);
        let pending_max = settings.number(Number::PendingMax);
        match self.shared.pending() >= pending_max {
            true => self.shared.note_full(Want::Connects, now_ms, |shared| {
                let pending = shared.pending();
                format!("{pending} connects under way, no more at a time (pending_max {pending_max}); clients wait")
            }),
            false => self.shared.note_full(Want::Places, now_ms, |shared| {
                let (used, limits) = (shared.connections_used(), shared.limits(settings));
                format!("{used} connections, no more fit ({limits}); clients wait")
            }),
        }
    }

    /// The system has no descriptors left, although the count had room.
    pub(super) fn note_shortage(&mut self) {
        self.totals.descriptor_shortages += 1;
        let (settings, now_ms) = (&self.settings, self.now_ms);
        self.shared.note_full(Want::Descriptors, now_ms, |shared| {
            let (used, limits) = (shared.connections_used(), shared.limits(settings));
            format!("{used} connections, descriptors have run out ({limits}); clients wait")
        });
    }

    /// Takes a client, for whom room is counted; if none comes the room is given back.
    fn accept_one(&mut self, listener: usize) -> Asked {
        match socket::accept(self.listeners[listener].as_fd()) {
            Ok((fd, address)) => {
                // Who comes after a command was answered meets its effect, also in the wake-up that is under way.
                self.follow_settings();
                let (client, port) = match address {
                    Some(address) => (ClientAddr::from(address), address.port()),
                    None => (ClientAddr::Unix, 0),
                };
                self.take_in(fd, client, port, listener);
                Asked::Client
            }
            Err(error) => {
                self.room_made();
                self.accept_failed(&error)
            }
        }
    }

    /// Takes in who is connected already, even where `conn_max` has no room: with a listener that is closed they would be
    /// turned away. How many its queue holds was settled when it was opened, so it is asked until it has nobody left.
    pub(super) fn take_in_waiting(&mut self) {
        for listener in 0..self.listeners.len() {
            for _ in 0..WAITING_MAX {
                self.shared.take_room_anyway();
                if matches!(self.accept_one(listener), Asked::Nobody | Asked::Shortage) {
                    break;
                }
            }
        }
    }

    fn accept_failed(&mut self, error: &io::Error) -> Asked {
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
                self.note_shortage();
                diag::once(
                    "accept",
                    format_args!("cannot accept clients: {}; trying again as connections end", reason(error)),
                );
                self.pause(Some(self.now_ms + SHORTAGE_RETRY_MS));
                Asked::Shortage
            }
        }
    }

    pub(super) fn pause(&mut self, retry_ms: Option<u64>) {
        if self.accepting.is_on() {
            self.deregister_listeners();
        }
        self.accepting.retry_ms = retry_ms;
        if !self.accepting.paused {
            self.accepting.paused = true;
            self.shared.add_paused();
        }
        // Room made between the look and the note would wake nobody.
        self.resume_accepting();
    }

    /// Registers the listeners again when there is room. Called after every wake-up.
    pub(super) fn resume_accepting(&mut self) {
        if !self.accepting.paused || self.accepting.retry_ms.is_some_and(|retry| self.now_ms < retry) {
            return;
        }
        // From now on it waits for room, and whoever makes room wakes it.
        self.accepting.retry_ms = None;
        if !self.shared.has_room(self.settings.number(Number::PendingMax)) {
            return;
        }
        self.accepting.paused = false;
        self.shared.remove_paused(self.now_ms);
        if !self.accepting.is_on()
            && let Err(error) = self.register_listeners()
        {
            self.listen_later(&error);
        }
    }

    /// The poller refused the listeners.
    pub(super) fn listen_later(&mut self, error: &io::Error) {
        diag::once("listen", format_args!("cannot listen: {}; trying again", reason(error)));
        self.pause(Some(self.now_ms + SHORTAGE_RETRY_MS));
    }

    /// A connection ended here: the reason for a pause may be gone.
    pub(super) fn room_made(&mut self) {
        self.shared.give_room();
        if self.accepting.paused {
            self.accepting.retry_ms = None; // resumed at the end of this wake-up
        } else {
            self.shared.wake_paused();
        }
    }

    pub(super) fn take_in(&mut self, fd: OwnedFd, address: ClientAddr, port: u16, listener: usize) {
        self.totals.accepted += 1;
        let listener = self.listeners[listener].text.clone();
        let mut connection = Connection::new(fd, address, port, listener, self.now_ms);
        let is_relayed = self.settings.trusts(address);
        if is_relayed {
            connection.stage = Stage::ProxyHeader;
        }
        let index = self.connections.insert(connection);
        if let Some(connection) = self.connections.get(index) {
            self.trace_accept(index, connection);
        }
        self.last = Some((index, self.now_ms));
        if is_relayed { self.await_header(index) } else { self.begin(index) }
    }

    /// Who the client is, is certain: on to its server, or to what comes before that.
    pub(super) fn begin(&mut self, index: u32) {
        if let Some(task) = self.first_task() {
            return self.begin_task(index, task);
        }
        let (dummy, peek) = (self.flag(Flag::Dummy), self.flag(Flag::Peek));
        if !dummy {
            self.begin_http(index, "http");
        }
        if !(dummy || peek) {
            return self.choose(index);
        }
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.stage = if dummy { Stage::Dummy { answered: false } } else { Stage::FirstBytes };
        if self.register(index, Side::Client) {
            self.arm_idle_timer(index);
            self.serve(index);
        }
    }
}
