//! What there is room for in the process: connections, UDP sessions, connects under way, connections kept ready. All
//! services and workers share it.
//!
//! Owns the counts, their limits, and who waits; whoever takes a place gives it back. Who must be woken when there is room
//! again is for [`crate::shared::Shared`].

mod full;

use crate::log::diag::{self, Severity};
use crate::settings::ProcessSettings;
use crate::sys::limits;
use full::Fullness;
pub use full::Want;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many of one kind, at most.
#[derive(Debug, Default)]
struct Places {
    used: AtomicU64,
    max: AtomicU64,
}

impl Places {
    fn used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Counts one in; false when there is no room, and then nothing is counted.
    fn take(&self) -> bool {
        if self.used.fetch_add(1, Ordering::SeqCst) < self.max() {
            return true;
        }
        self.give();
        false
    }

    fn give(&self) {
        self.used.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Which kinds of services there are. Their connections share the descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    pub tcp: bool,
    pub udp: bool,
}

#[derive(Debug, Default)]
pub struct Room {
    connections: Places,
    /// Of UDP. Anybody can begin them in the name of anybody, so they never take a place that is meant for a connection.
    sessions: Places,
    /// Connects under way.
    pending: Places,
    /// Connections to servers kept ready for clients, those still connecting included.
    idlers: AtomicU64,
    /// Connections to clones.
    clones: AtomicU64,
    /// For all of these together, one or two each.
    descriptors: AtomicU64,
    /// Moves when all workers must give up their idlers.
    idlers_shed: AtomicU64,
    /// Workers that stopped accepting for want of room.
    paused: AtomicU64,
    /// Whether that was said.
    full: Fullness,
}

impl Room {
    /// Follows `conn_max` and the other limits, as far as descriptors reach.
    pub fn limit(&self, process: &ProcessSettings, kinds: Kinds) {
        let (connections, sessions) = match kinds {
            Kinds { udp: false, .. } => (limits::connections_possible(), 0),
            Kinds { tcp: false, .. } => (0, limits::udp_sessions_possible()),
            _ => limits::both_possible(),
        };
        self.descriptors.store(2 * limits::connections_possible(), Ordering::Relaxed);
        let wanted = |possible: u64| match process.conn_max {
            0 => possible,
            wanted => wanted.min(possible),
        };
        self.connections.max.store(wanted(connections), Ordering::Relaxed);
        self.sessions.max.store(wanted(sessions.min(process.udp_sessions_max)), Ordering::Relaxed);
        self.pending.max.store(process.pending_max, Ordering::Relaxed);
    }

    /// Counts a connection in; false when there is no room, or too many connects are under way, and then nothing is
    /// counted.
    pub fn take_connection(&self) -> bool {
        self.pending.used() < self.pending.max() && self.connections.take()
    }

    /// Counts a connection in, whether there is room or not.
    pub fn take_connection_anyway(&self) {
        self.connections.used.fetch_add(1, Ordering::SeqCst);
    }

    pub fn give_connection(&self) {
        self.connections.give();
    }

    /// Whether a connection would find room.
    pub fn has_room(&self) -> bool {
        self.connections.used() < self.connections.max() && self.pending.used() < self.pending.max()
    }

    /// Counts a session in; false when there is no room, and then nothing is counted.
    pub fn take_session(&self) -> bool {
        self.sessions.take()
    }

    pub fn give_session(&self) {
        self.sessions.give();
    }

    /// Whether there are more sessions than there may be any more.
    pub fn has_too_many_sessions(&self) -> bool {
        self.sessions.used() > self.sessions.max()
    }

    pub fn sessions_used(&self) -> u64 {
        self.sessions.used()
    }

    /// How many sessions there may be.
    pub fn sessions_max(&self) -> u64 {
        self.sessions.max()
    }

    /// Connections and sessions.
    pub fn used(&self) -> u64 {
        self.connections.used() + self.sessions.used()
    }

    /// How many of them there may be.
    pub fn max(&self) -> u64 {
        self.connections.max().saturating_add(self.sessions.max())
    }

    /// What the limit of connections is made of, for whoever is told that it is reached.
    pub fn limits(process: &ProcessSettings) -> String {
        format!("conn_max {}; {} open files", process.conn_max, limits::open_files())
    }

    /// Connects to servers under way.
    pub fn pending(&self) -> u64 {
        self.pending.used()
    }

    pub fn add_pending(&self) {
        self.pending.used.fetch_add(1, Ordering::SeqCst);
    }

    pub fn remove_pending(&self) {
        self.pending.give();
    }

    /// Counts an idler in; false when there is no room beside the connections, or clients wait for room, and then
    /// nothing is counted.
    pub fn take_idler(&self) -> bool {
        if self.is_awaited() {
            return false;
        }
        self.idlers.fetch_add(1, Ordering::SeqCst);
        if self.is_crowded() {
            self.give_idler();
            return false;
        }
        true
    }

    pub fn give_idler(&self) {
        self.idlers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts the connection to a clone in; false when an eighth of the descriptors would not be left for clients, or
    /// clients wait, and then nothing is counted.
    pub fn take_clone(&self) -> bool {
        let clones = self.clones.fetch_add(1, Ordering::SeqCst);
        let idlers = self.idlers.load(Ordering::SeqCst);
        let used = 2 * self.connections.used() + self.sessions.used() + idlers + clones;
        let descriptors = self.descriptors.load(Ordering::Relaxed);
        let has_room = !self.is_awaited() && used < descriptors - descriptors / 8;
        if !has_room {
            self.give_clone();
        }
        has_room
    }

    pub fn give_clone(&self) {
        self.clones.fetch_sub(1, Ordering::SeqCst);
    }

    /// Connections to clones.
    #[cfg(test)]
    pub fn clones(&self) -> u64 {
        self.clones.load(Ordering::SeqCst)
    }

    /// Whether connections have taken room that idlers hold. They do not ask: idlers must make way.
    pub fn is_crowded(&self) -> bool {
        self.connections.used() + self.idlers.load(Ordering::SeqCst) > self.connections.max()
    }

    /// Asks all workers to give up their idlers; false when there are none. The workers must be woken.
    pub fn shed_idlers(&self) -> bool {
        let are_some = self.idlers.load(Ordering::SeqCst) > 0;
        if are_some {
            self.idlers_shed.fetch_add(1, Ordering::SeqCst);
        }
        are_some
    }

    /// Moves with every [`Room::shed_idlers`].
    pub fn idlers_shed(&self) -> u64 {
        self.idlers_shed.load(Ordering::SeqCst)
    }

    /// A worker has stopped accepting.
    pub fn add_paused(&self) {
        self.paused.fetch_add(1, Ordering::SeqCst);
    }

    pub fn remove_paused(&self, now_ms: u64) {
        self.full.waited(now_ms);
        self.paused.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a worker waits for room.
    pub fn is_awaited(&self) -> bool {
        self.paused.load(Ordering::SeqCst) > 0
    }

    /// Somebody has to wait, or to go, for want of this. It is said once, in the words of `text`, until it is over.
    pub fn note_full(&self, want: Want, now_ms: u64, text: impl FnOnce(&Room) -> String) {
        if self.full.note(want, now_ms) {
            diag::say(Severity::Notice, text(self));
        }
    }

    /// Whether no more fits, and somebody has to wait or had to lately.
    pub fn is_full(&self) -> bool {
        self.full.is_on()
    }

    /// Says that there is room again, if it was said that there is none and nobody had to wait lately.
    pub fn look_whether_full(&self, now_ms: u64) {
        if self.full.is_on() && self.full.is_over(self.is_awaited(), now_ms) {
            let seconds = full::QUIET_MS / 1000;
            let text = format_args!("there is room again: nobody had to wait for {seconds} s");
            diag::say(Severity::Notice, text);
        }
    }

    /// When to [`Room::look_whether_full`] next.
    pub fn full_look_ms(&self) -> Option<u64> {
        self.full.look_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(conn_max: u64, kinds: Kinds) -> Room {
        let room = Room::default();
        let process = ProcessSettings { conn_max, pending_max: 2, multi_accept: 1, udp_sessions_max: 3 };
        room.limit(&process, kinds);
        room
    }

    #[test]
    fn a_flood_of_sessions_takes_no_place_of_a_connection() {
        let room = room(4, Kinds { tcp: true, udp: true });
        while room.take_session() {}
        assert_eq!(room.used(), 3);
        assert!((0..4).all(|_| room.take_connection()));
        assert!(!room.take_connection());
        assert_eq!((room.used(), room.max()), (7, 7));
    }

    #[test]
    fn who_finds_no_room_is_not_counted() {
        let room = room(1, Kinds { tcp: true, udp: false });
        assert!(!room.take_session());
        assert!(room.take_connection());
        assert!(!room.take_connection());
        assert!(!room.take_idler());
        room.take_connection_anyway();
        assert_eq!((room.used(), room.max()), (2, 1));
        (0..2).for_each(|_| room.give_connection());
        (0..2).for_each(|_| room.add_pending());
        assert!(!room.take_connection(), "too many connects are under way");
        room.remove_pending();
        assert!(room.take_connection());
        assert_eq!(room.used(), 1);
    }
}
