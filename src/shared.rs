//! What the workers share: the services, the room, and the way to reach each other. Everything else a worker owns alone.

mod message;

use crate::balance::Waiting;
use crate::hooks::{Embedding, Hook};
use crate::published::{Published, lock};
use crate::room::Room;
use crate::service::Service;
use crate::settings::ProcessSettings;
use crate::sys::waking::Waker;
pub use message::{Detail, Message, Report, ServiceReport, Which};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The services by number, with gaps where there are none.
pub type Services = Vec<Option<Arc<Service>>>;

pub struct Shared {
    services: Published<Services>,
    process: Published<ProcessSettings>,
    /// Moves with every change of the two above or of a service, and with every message.
    generation: AtomicU64,
    room: Room,
    seats: Vec<Seat>,
    /// What a `dummy` pen answers; `None` for the original's words.
    dummy_name: Option<String>,
    /// In a pen inside of another program.
    embedding: OnceLock<Embedding>,
    /// Sessions have the numbers from 0, because the first service took datagrams.
    sessions_first: bool,
}

/// From here operators count connections where sessions are counted from 0, and the other way round: nearly every pen has
/// one kind only. There are never so many of the first kind.
const SECOND_KIND_FROM: u32 = 1_000_000_000;

/// What others need to reach a worker.
#[derive(Debug)]
struct Seat {
    messages: Mutex<Vec<Message>>,
    /// Connections whose turn in a queue has come.
    called: Mutex<Vec<u32>>,
    has_called: AtomicBool,
    waker: Waker,
}

impl Shared {
    /// For as many workers as there are wakers.
    pub fn new(
        process: ProcessSettings,
        dummy_name: Option<String>,
        sessions_first: bool,
        wakers: impl Iterator<Item = Waker>,
    ) -> Shared {
        Shared {
            services: Published::default(),
            process: Published::new(process),
            generation: AtomicU64::new(0),
            room: Room::default(),
            seats: wakers
                .map(|waker| Seat {
                    messages: Mutex::default(),
                    called: Mutex::default(),
                    has_called: AtomicBool::new(false),
                    waker,
                })
                .collect(),
            dummy_name,
            embedding: OnceLock::new(),
            sessions_first,
        }
    }

    pub fn services(&self) -> &Published<Services> {
        &self.services
    }

    pub fn process(&self) -> &Published<ProcessSettings> {
        &self.process
    }

    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Who has seen this number has seen everything that was announced before it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Something has changed: every worker looks.
    pub fn announce(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.seats.iter().for_each(|seat| seat.waker.wake());
    }

    pub fn post(&self, worker: usize, message: Message) {
        lock(&self.seats[worker].messages).push(message);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.seats[worker].waker.wake();
    }

    pub fn take_messages(&self, worker: usize) -> Vec<Message> {
        std::mem::take(&mut lock(&self.seats[worker].messages))
    }

    /// The turn of a worker's connection has come.
    pub fn call(&self, waiting: Waiting) {
        let seat = &self.seats[usize::from(waiting.worker)];
        lock(&seat.called).push(waiting.connection);
        seat.has_called.store(true, Ordering::Release);
        seat.waker.wake();
    }

    /// The connections of a worker whose turn has come since this was asked last.
    pub fn take_called(&self, worker: usize) -> Vec<u32> {
        let seat = &self.seats[worker];
        // Nearly always there are none, and the lock is not touched.
        match seat.has_called.swap(false, Ordering::AcqRel) {
            true => std::mem::take(&mut lock(&seat.called)),
            false => Vec::new(),
        }
    }

    #[cfg(test)]
    pub fn has_called(&self, worker: usize) -> bool {
        self.seats[worker].has_called.load(Ordering::Acquire)
    }

    /// A connect is decided.
    pub fn remove_pending(&self) {
        self.room.remove_pending();
        self.wake_paused();
    }

    /// There is room again: whoever waits for it looks.
    pub fn wake_paused(&self) {
        if self.room.is_awaited() {
            self.wake_all();
        }
    }

    /// Asks all workers to give up their idlers, if there are any.
    pub fn shed_idlers(&self) {
        if self.room.shed_idlers() {
            self.announce();
        }
    }

    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    /// The number under which operators know a worker's connection: dense, and the local one when there is one worker.
    pub fn connection_number(&self, worker: usize, local: u32) -> u32 {
        self.global_number(worker, local, self.sessions_first)
    }

    /// The same for a session.
    pub fn session_number(&self, worker: usize, local: u32) -> u32 {
        self.global_number(worker, local, !self.sessions_first)
    }

    fn global_number(&self, worker: usize, local: u32, is_second: bool) -> u32 {
        let number = local * self.seats.len() as u32 + worker as u32;
        if is_second { number + SECOND_KIND_FROM } else { number }
    }

    /// The worker and the number there of what operators know under this number.
    pub fn local_number(&self, global: u32) -> (usize, Which) {
        let (number, is_second) = match global.checked_sub(SECOND_KIND_FROM) {
            None => (global, false),
            Some(number) => (number, true),
        };
        let workers = self.seats.len() as u32;
        let (worker, local) = ((number % workers) as usize, number / workers);
        match is_second == self.sessions_first {
            true => (worker, Which::Connection(local)),
            false => (worker, Which::Session(local)),
        }
    }

    /// Is inside of another program, from before the workers start.
    pub fn embed(&self, embedding: Embedding) {
        // It is there or not from the start.
        let _ = self.embedding.set(embedding);
    }

    pub fn is_embedded(&self) -> bool {
        self.embedding.get().is_some()
    }

    /// Whom workers tell what happens to connections.
    #[inline]
    pub fn hook(&self) -> Option<&Hook> {
        self.embedding.get()?.hook.as_ref()
    }

    pub fn dummy_name(&self) -> Option<&str> {
        self.dummy_name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::poller::Poller;
    use crate::settings::ProcessConfig;

    #[test]
    fn a_number_belongs_to_one_connection_or_session() {
        let pollers = [(); 3].map(|()| Poller::new().unwrap());
        for sessions_first in [false, true] {
            let process = ProcessSettings::from(&ProcessConfig::default());
            let shared = Shared::new(process, None, sessions_first, pollers.iter().map(Poller::waker));
            for (worker, local) in [(0, 0), (2, 0), (1, 5)] {
                let connection = shared.connection_number(worker, local);
                let session = shared.session_number(worker, local);
                assert_eq!(shared.local_number(connection), (worker, Which::Connection(local)));
                assert_eq!(shared.local_number(session), (worker, Which::Session(local)));
                assert_eq!(connection.min(session), local * 3 + worker as u32);
            }
        }
    }
}
