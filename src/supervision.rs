//! What whoever supervises pen hears of it, and keeps for the next pen: readiness, a status in words, and listening
//! sockets, so that a restart closes no port. With systemd; without a supervisor nothing of this happens.

use crate::log::diag::{self, Severity};
use crate::net::listen::Listener;
use crate::sys::clock;
use crate::sys::notify::Supervisor;
use std::sync::Arc;

/// How often the status is renewed while nothing else happens: often enough for whoever looks, and seldom enough for a
/// machine that would sleep.
const STATUS_MS: u64 = 10_000;
/// The same while pen ends.
const ENDING_STATUS_MS: u64 = 1_000;
/// How long an end may take beyond what the supervisor allows, told anew before that is over.
const EXTENSION_MS: u64 = 15_000;
const EXTEND_MS: u64 = 5_000;

pub struct Supervision {
    supervisor: Supervisor,
    /// The listeners that it keeps.
    stored: Vec<Arc<Listener>>,
    status: String,
    status_due_ms: u64,
    extend_due_ms: u64,
    is_ending: bool,
}

impl Supervision {
    pub fn new(supervisor: Supervisor) -> Supervision {
        Supervision {
            supervisor,
            stored: Vec::new(),
            status: String::new(),
            status_due_ms: 0,
            extend_due_ms: 0,
            is_ending: false,
        }
    }

    /// pen serves.
    pub fn ready(&self) {
        self.supervisor.tell("READY=1");
    }

    /// It reads its file again, until it is ready.
    pub fn reloading(&self) {
        self.supervisor.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::since_boot_usec()));
    }

    /// It ends, though that may take a while.
    pub fn stopping(&mut self) {
        self.supervisor.tell("STOPPING=1");
        self.is_ending = true;
        self.status_due_ms = 0;
    }

    /// It has not ended yet, and the supervisor need not be worried.
    pub fn still_stopping(&mut self, now_ms: u64) {
        if now_ms >= self.extend_due_ms {
            self.extend_due_ms = now_ms + EXTEND_MS;
            self.supervisor.tell(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION_MS * 1000));
        }
    }

    /// Whether the supervisor keeps sockets for the next pen.
    pub fn keeps_sockets(&self) -> bool {
        self.supervisor.store_max() > 0
    }

    /// Has it keep the sockets of these listeners and no others.
    pub fn keep(&mut self, listeners: Vec<Arc<Listener>>) {
        let is_same = self.stored.len() == listeners.len()
            && self.stored.iter().zip(&listeners).all(|(stored, listener)| Arc::ptr_eq(stored, listener));
        if is_same || !self.keeps_sockets() {
            return;
        }
        let names: Vec<String> = listeners.iter().filter_map(|listener| listener.stored_as()).collect();
        let gone = self.stored.iter().filter_map(|listener| listener.stored_as());
        gone.filter(|name| !names.contains(name)).for_each(|name| self.supervisor.forget(&name));
        let count: usize = listeners.iter().map(|listener| listener.sockets().count()).sum();
        if count > self.supervisor.store_max() {
            let max = self.supervisor.store_max();
            diag::once(
                "store",
                format_args!(
                    "{count} listening sockets, but FileDescriptorStoreMax={max}: a restart closes some ports"
                ),
            );
        }
        let is_stored =
            |listener: &&Arc<Listener>| self.stored.iter().any(|stored| Arc::ptr_eq(stored, listener));
        for listener in listeners.iter().filter(|listener| !is_stored(listener)) {
            if let Some(name) = listener.stored_as() {
                listener.sockets().for_each(|socket| self.supervisor.store(&name, socket));
            }
        }
        self.stored = listeners;
    }

    /// Leaves the files of the Unix sockets that it keeps where they are, for the next pen.
    pub fn keep_files(&self) {
        self.stored.iter().for_each(|listener| listener.keep_file());
    }

    /// Has it close what it keeps: nobody takes over.
    pub fn close_kept(&mut self) {
        let names = self.stored.drain(..).filter_map(|listener| listener.stored_as());
        names.for_each(|name| self.supervisor.forget(&name));
    }

    /// Closes sockets that were handed down and that nothing listens at any more.
    pub fn refuse(&self, unwanted: Vec<crate::sys::inherited::Socket>) {
        for socket in unwanted {
            let place = &socket.place;
            diag::say(
                Severity::Notice,
                format_args!("not configured any more: {place}, which {} had open", socket.name),
            );
            self.supervisor.forget(&socket.name);
        }
    }

    /// When the status is to be told again; `None` where nobody hears it.
    pub fn status_due_ms(&self) -> Option<u64> {
        self.supervisor.is_there().then_some(self.status_due_ms)
    }

    /// Tells the status, if it is due and another than before.
    pub fn tell_status(&mut self, now_ms: u64, status: impl FnOnce() -> String) {
        if self.status_due_ms().is_none_or(|due_ms| now_ms < due_ms) {
            return;
        }
        self.status_due_ms = now_ms + if self.is_ending { ENDING_STATUS_MS } else { STATUS_MS };
        let status = status();
        if status != self.status {
            self.supervisor.tell(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// Something has changed that the status tells.
    pub fn status_changed(&mut self) {
        self.status_due_ms = 0;
    }
}
