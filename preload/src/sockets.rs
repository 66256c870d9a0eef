//! The sockets whose connects were intercepted, by the descriptors that the program has for them. Pure, apart from two
//! rows of marks that are read without the lock: most descriptors of a program are none of ours, and a call about them
//! costs one look at a bit.

use crate::registrations::DESCRIPTORS;
use pen_core::balance::Attempt;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const WORDS: usize = DESCRIPTORS / 64;

/// A bit for each descriptor.
struct Marks([AtomicU64; WORDS]);

impl Marks {
    const fn new() -> Marks {
        Marks([const { AtomicU64::new(0) }; WORDS])
    }

    fn word(&self, fd: i32) -> Option<(&AtomicU64, u64)> {
        let fd = usize::try_from(fd).ok()?;
        Some((self.0.get(fd / 64)?, 1 << (fd % 64)))
    }

    fn has(&self, fd: i32) -> bool {
        self.word(fd).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Whether it was there before.
    fn put(&self, fd: i32, is_there: bool) -> bool {
        self.word(fd).is_some_and(|(word, bit)| {
            let before = match is_there {
                true => word.fetch_or(bit, Ordering::Relaxed),
                false => word.fetch_and(!bit, Ordering::Relaxed),
            };
            before & bit != 0
        })
    }
}

static TRACKED: Marks = Marks::new();
static UNSETTLED: Marks = Marks::new();
/// Descriptors with that mark.
static UNSETTLED_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether the descriptor leads to a socket of ours.
pub fn is_tracked(fd: i32) -> bool {
    TRACKED.has(fd)
}

/// Whether the program must not see what its socket says, but what we make of it.
pub fn is_unsettled(fd: i32) -> bool {
    UNSETTLED.has(fd)
}

/// Whether there is any such descriptor.
pub fn anything_is_unsettled() -> bool {
    UNSETTLED_COUNT.load(Ordering::Relaxed) > 0
}

fn mark_unsettled(fd: i32, is_unsettled: bool) {
    if UNSETTLED.put(fd, is_unsettled) != is_unsettled {
        match is_unsettled {
            true => UNSETTLED_COUNT.fetch_add(1, Ordering::Relaxed),
            false => UNSETTLED_COUNT.fetch_sub(1, Ordering::Relaxed),
        };
    }
}

/// How far a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A connect is under way, and nobody knows yet how it ends.
    UnderWay {
        since_ms: u64,
    },
    Connected,
    /// All servers were tried. The program has not asked for the error yet.
    Failed {
        errno: i32,
    },
}

/// A socket of the program.
#[derive(Debug)]
pub struct Socket {
    /// The kernel's number of it: a descriptor may have been closed behind our back, and be another socket's by now.
    pub cookie: u64,
    /// The program gave an IPv6 address, so IPv4 servers are written as one.
    pub is_v6: bool,
    /// The place at its server.
    pub attempt: Attempt,
    /// The server's.
    pub address: SocketAddr,
    pub stage: Stage,
}

struct Held {
    socket: Socket,
    descriptors: Vec<i32>,
}

/// All of them.
#[derive(Default)]
pub struct Sockets {
    by_descriptor: HashMap<i32, u64>,
    held: HashMap<u64, Held>,
    next: u64,
}

impl Sockets {
    /// The descriptor leads to this socket from now on. False where it cannot be kept in mind.
    #[must_use]
    pub fn fits(fd: i32) -> bool {
        usize::try_from(fd).is_ok_and(|fd| fd < DESCRIPTORS)
    }

    /// A new socket. The descriptor must fit and be none of ours.
    pub fn add(&mut self, fd: i32, socket: Socket) {
        let key = self.next;
        self.next += 1;
        TRACKED.put(fd, true);
        mark_unsettled(fd, socket.stage != Stage::Connected);
        self.by_descriptor.insert(fd, key);
        self.held.insert(key, Held { socket, descriptors: vec![fd] });
    }

    pub fn get(&mut self, fd: i32) -> Option<&mut Socket> {
        let held = self.held.get_mut(self.by_descriptor.get(&fd)?)?;
        Some(&mut held.socket)
    }

    /// The socket is this far now.
    pub fn enter(&mut self, fd: i32, stage: Stage) {
        let held = self.by_descriptor.get(&fd).and_then(|key| self.held.get_mut(key));
        if let Some(held) = held {
            held.socket.stage = stage;
            held.descriptors.iter().for_each(|fd| mark_unsettled(*fd, stage != Stage::Connected));
        }
    }

    /// `copy` leads to the same socket as `fd`.
    pub fn duplicate(&mut self, fd: i32, copy: i32) {
        let Some(key) = self.by_descriptor.get(&fd).copied().filter(|_| Sockets::fits(copy)) else { return };
        if let Some(held) = self.held.get_mut(&key) {
            TRACKED.put(copy, true);
            mark_unsettled(copy, held.socket.stage != Stage::Connected);
            held.descriptors.push(copy);
            self.by_descriptor.insert(copy, key);
        }
    }

    /// The descriptor is closed. The socket, if that was the last.
    pub fn close(&mut self, fd: i32) -> Option<Socket> {
        TRACKED.put(fd, false);
        mark_unsettled(fd, false);
        let key = self.by_descriptor.remove(&fd)?;
        let held = self.held.get_mut(&key)?;
        held.descriptors.retain(|descriptor| *descriptor != fd);
        let is_last = held.descriptors.is_empty();
        if is_last { self.held.remove(&key).map(|held| held.socket) } else { None }
    }

    /// The socket is none of ours any more, whoever has descriptors for it.
    pub fn forget(&mut self, fd: i32) -> Option<Socket> {
        let held = self.held.remove(self.by_descriptor.get(&fd)?)?;
        for descriptor in held.descriptors {
            TRACKED.put(descriptor, false);
            mark_unsettled(descriptor, false);
            self.by_descriptor.remove(&descriptor);
        }
        Some(held.socket)
    }

    /// The descriptors between these two, both included.
    pub fn between(&self, first: i32, last: i32) -> Vec<i32> {
        self.by_descriptor.keys().copied().filter(|fd| (first..=last).contains(fd)).collect()
    }

    /// The unsettled descriptor that the epoll set knows by this data.
    pub fn unsettled_in(&self, is_it: impl Fn(i32) -> bool) -> Option<i32> {
        self.by_descriptor.keys().copied().find(|fd| is_unsettled(*fd) && is_it(*fd))
    }
}
