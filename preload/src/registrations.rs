//! What the program said to epoll_ctl(2) about each descriptor: an event names only the data that was given there.
//!
//! Written by every call of the program, so there is no lock. Of a descriptor that is in several epoll sets, the last
//! one is known.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

/// The descriptors that are looked after; others are left to the system.
pub const DESCRIPTORS: usize = CHUNK * CHUNKS;

struct Slot {
    /// The epoll set, -1 where there is none.
    set: AtomicI32,
    events: AtomicU32,
    data: AtomicU64,
}

static SLOTS: [OnceLock<Box<[Slot]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];

/// A descriptor in an epoll set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    pub set: i32,
    pub events: u32,
    pub data: u64,
}

fn slot(fd: i32) -> Option<(&'static OnceLock<Box<[Slot]>>, usize)> {
    let fd = usize::try_from(fd).ok().filter(|fd| *fd < DESCRIPTORS)?;
    Some((&SLOTS[fd / CHUNK], fd % CHUNK))
}

/// The descriptor was added or changed.
pub fn set(fd: i32, registration: Registration) {
    let Some((chunk, at)) = slot(fd) else { return };
    let empty = || Slot { set: AtomicI32::new(-1), events: AtomicU32::new(0), data: AtomicU64::new(0) };
    let slot = &chunk.get_or_init(|| (0..CHUNK).map(|_| empty()).collect())[at];
    slot.events.store(registration.events, Ordering::Relaxed);
    slot.data.store(registration.data, Ordering::Relaxed);
    slot.set.store(registration.set, Ordering::Release);
}

/// The descriptor was taken out of the epoll set.
pub fn clear(fd: i32, set: i32) {
    if let Some(slot) = slot(fd).and_then(|(chunk, at)| chunk.get()?.get(at)) {
        // Where another set has it by now, that one stays.
        let _ = slot.set.compare_exchange(set, -1, Ordering::Release, Ordering::Relaxed);
    }
}

pub fn get(fd: i32) -> Option<Registration> {
    let slot = slot(fd).and_then(|(chunk, at)| chunk.get()?.get(at))?;
    let set = slot.set.load(Ordering::Acquire);
    let registration = Registration {
        set,
        events: slot.events.load(Ordering::Relaxed),
        data: slot.data.load(Ordering::Relaxed),
    };
    (set >= 0).then_some(registration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_descriptor_counts() {
        let fd = 70_001;
        assert_eq!(get(fd), None);
        let first = Registration { set: 5, events: 1, data: 9 };
        let second = Registration { set: 6, events: 4, data: u64::MAX };
        set(fd, first);
        assert_eq!(get(fd), Some(first));
        set(fd, second);
        clear(fd, 5);
        assert_eq!(get(fd), Some(second));
        clear(fd, 6);
        assert_eq!(get(fd), None);
        set(-1, first);
        set(i32::MAX, first);
        assert_eq!((get(-1), get(i32::MAX)), (None, None));
    }
}
