//! Waiting for sockets: one [`Poller`] per worker.
//!
//! The crate `polling` makes the poller and owns its descriptor. On Linux the hot path talks to that descriptor itself:
//! `Poller::wait` of polling 3.11 makes up to five system calls where one will do, and its registration can ask neither
//! for EPOLLRDHUP (without which a short read cannot be trusted to have drained the socket) nor for EPOLLEXCLUSIVE
//! (without which every worker wakes for every client). Everywhere else, and when built with
//! `--cfg polling_test_poll_backend`, polling does it all, with one-shot registrations that are renewed after each event.

#![allow(unsafe_code)]

use crate::waking::{Waker, Wakeups, waker};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Events taken per wake-up.
const EVENTS_MAX: usize = 256;
/// The key under which a [`Waker`] shows; [`Poller::wait`] keeps it to itself.
const WAKER_KEY: usize = usize::MAX - 1;

/// What happened to the socket registered under `key`.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
    /// The peer ended or reset its side or sent urgent bytes, or may have: a short read does not tell that nothing is left.
    pub until_dry: bool,
    /// Urgent bytes are on their way.
    pub urgent: bool,
    /// The socket has an error to fetch.
    pub error: bool,
}

pub struct Poller {
    inner: polling::Poller,
    #[cfg(not(all(target_os = "linux", not(polling_test_poll_backend))))]
    backend: backend::State,
    wakeups: Wakeups,
    waker: Waker,
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        let (waker, wakeups) = waker()?;
        Poller::woken_by(waker, wakeups)
    }

    /// One whose waker was made before it.
    pub fn woken_by(waker: Waker, wakeups: Wakeups) -> io::Result<Poller> {
        let poller = Poller {
            inner: polling::Poller::new()?,
            #[cfg(not(all(target_os = "linux", not(polling_test_poll_backend))))]
            backend: backend::State::new(),
            wakeups,
            waker,
        };
        poller.add_reader(poller.wakeups.as_fd(), WAKER_KEY)?;
        Ok(poller)
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Renews a registration after its event. Nothing to do where registrations last.
    #[inline]
    pub fn rearm(&self, socket: BorrowedFd<'_>, key: usize, read: bool, write: bool) -> io::Result<()> {
        backend::rearm(self, socket, key, read, write)
    }
}

#[cfg(all(target_os = "linux", not(polling_test_poll_backend)))]
mod backend {
    use super::*;
    use rustix::event::Timespec;
    use rustix::event::epoll::{self, EventData, EventFlags};
    use rustix::io::Errno;
    use std::mem::MaybeUninit;

    /// Longer waits are cut short: the kernel counts them in 31 bits of milliseconds.
    const TIMEOUT_SECONDS_MAX: u64 = 1_000_000;
    /// Both directions, the end of the peer's and urgent bytes, edge-triggered.
    const BOTH: EventFlags = EventFlags::IN
        .union(EventFlags::OUT)
        .union(EventFlags::RDHUP)
        .union(EventFlags::PRI)
        .union(EventFlags::ET);

    #[inline]
    pub fn rearm(_: &Poller, _: BorrowedFd<'_>, _: usize, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    impl Poller {
        /// Registers a connection's socket once, for both directions, edge-triggered.
        pub fn add(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            self.register(socket, key, BOTH)
        }

        /// Registers a listener that several pollers share: one of them is woken for a client, not all.
        pub fn add_listener(&self, listener: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            self.register(listener, key, EventFlags::IN | EventFlags::EXCLUSIVE)
        }

        /// Registers a socket that is only read: what is left there brings another event.
        pub fn add_reader(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            self.register(socket, key, EventFlags::IN)
        }

        /// A descriptor that is closed leaves the epoll set by itself; keys of closed connections are not given out again
        /// before the events of the same wake-up are through.
        fn register(&self, socket: BorrowedFd<'_>, key: usize, wanted: EventFlags) -> io::Result<()> {
            Ok(epoll::add(&self.inner, socket, EventData::new_u64(key as u64), wanted)?)
        }

        /// Gives a registered socket another key. What it is ready for is reported again, under the new key.
        pub fn rekey(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            Ok(epoll::modify(&self.inner, socket, EventData::new_u64(key as u64), BOTH)?)
        }

        /// Gives a socket that is only read another key.
        pub fn rekey_reader(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            Ok(epoll::modify(&self.inner, socket, EventData::new_u64(key as u64), EventFlags::IN)?)
        }

        /// Takes a listener out; its descriptor stays open.
        pub fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
            Ok(epoll::delete(&self.inner, listener)?)
        }

        /// Called before a registered connection socket is closed; closing is all that epoll needs.
        #[inline]
        pub fn forget(&self, _socket: BorrowedFd<'_>) {}

        /// Waits for events and appends them to `ready`. `None` waits for ever; wake-ups return with nothing appended.
        pub fn wait(&mut self, ready: &mut Vec<Readiness>, timeout_ms: Option<u64>) -> io::Result<()> {
            let timeout = timeout_ms.map(|ms| Timespec {
                tv_sec: (ms / 1000).min(TIMEOUT_SECONDS_MAX) as i64,
                tv_nsec: (ms % 1000 * 1_000_000) as _,
            });
            let mut room = [const { MaybeUninit::uninit() }; EVENTS_MAX];
            let (events, _) = match epoll::wait(&self.inner, &mut room[..], timeout.as_ref()) {
                Err(Errno::INTR) => return Ok(()),
                waited => waited?,
            };
            const UNTIL_DRY: EventFlags =
                EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR).union(EventFlags::PRI);
            let mut woken = false;
            for event in events {
                let (flags, key) = (event.flags, event.data.u64() as usize);
                if key == WAKER_KEY {
                    woken = true;
                    continue;
                }
                ready.push(Readiness {
                    key,
                    readable: flags.intersects(EventFlags::OUT.complement()),
                    writable: flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR),
                    until_dry: flags.intersects(UNTIL_DRY),
                    urgent: flags.contains(EventFlags::PRI),
                    error: flags.contains(EventFlags::ERR),
                });
            }
            if woken {
                self.wakeups.drain();
            }
            Ok(())
        }
    }
}

#[cfg(not(all(target_os = "linux", not(polling_test_poll_backend))))]
mod backend {
    use super::*;
    use polling::{Event, PollMode};
    use std::cell::RefCell;
    use std::collections::{HashMap, HashSet};
    use std::os::fd::{AsRawFd, RawFd};
    use std::time::Duration;

    pub struct State {
        events: polling::Events,
        quiet: RefCell<Quiet>,
    }

    /// Sockets of which nothing is wanted. Their errors and hang-ups are: poll(2) reports these unasked, and again and again.
    /// A socket is therefore taken out once its hang-up was reported, and comes back when something is wanted of it.
    #[derive(Default)]
    struct Quiet {
        watched: HashMap<usize, RawFd>,
        hung_up: HashSet<RawFd>,
    }

    impl State {
        pub fn new() -> State {
            let capacity = std::num::NonZeroUsize::new(EVENTS_MAX).expect("not zero");
            State { events: polling::Events::with_capacity(capacity), quiet: RefCell::default() }
        }
    }

    pub fn rearm(
        poller: &Poller,
        socket: BorrowedFd<'_>,
        key: usize,
        read: bool,
        write: bool,
    ) -> io::Result<()> {
        let quiet = &mut *poller.backend.quiet.borrow_mut();
        if read || write {
            quiet.watched.remove(&key);
        } else if quiet.hung_up.contains(&socket.as_raw_fd()) {
            return match poller.inner.delete(socket) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                deleted => deleted,
            };
        } else {
            quiet.watched.insert(key, socket.as_raw_fd());
        }
        match poller.inner.modify(socket, Event::new(key, read, write)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // SAFETY: `forget` takes the socket out before its owner closes it.
                unsafe { poller.inner.add(socket.as_raw_fd(), Event::new(key, read, write)) }
            }
            modified => modified,
        }
    }

    impl Poller {
        /// Registers a connection's socket for both directions; renewed by [`Poller::rearm`] after each event.
        pub fn add(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            // SAFETY: `forget` takes the socket out before its owner closes it.
            unsafe { self.inner.add(socket.as_raw_fd(), Event::all(key)) }
        }

        /// Gives a registered socket another key, for both directions.
        pub fn rekey(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            // Its old key may be given to another socket.
            self.backend.quiet.borrow_mut().watched.retain(|_, watched| *watched != socket.as_raw_fd());
            rearm(self, socket, key, true, true)
        }

        pub fn add_listener(&self, listener: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            self.add_reader(listener, key)
        }

        /// Registers a socket that is only read: what is left there brings another event.
        pub fn add_reader(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            // SAFETY: listeners and the waker are taken out by `remove_listener` or live as long as the poller.
            unsafe { self.inner.add_with_mode(socket.as_raw_fd(), Event::readable(key), PollMode::Level) }
        }

        /// Gives a socket that is only read another key.
        pub fn rekey_reader(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            self.inner.modify_with_mode(socket, Event::readable(key), PollMode::Level)
        }

        pub fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
            self.inner.delete(listener)
        }

        pub fn forget(&self, socket: BorrowedFd<'_>) {
            let quiet = &mut *self.backend.quiet.borrow_mut();
            quiet.watched.retain(|_, watched| *watched != socket.as_raw_fd());
            quiet.hung_up.remove(&socket.as_raw_fd());
            // Fails only for a socket that was never added.
            let _ = self.inner.delete(socket);
        }

        pub fn wait(&mut self, ready: &mut Vec<Readiness>, timeout_ms: Option<u64>) -> io::Result<()> {
            self.backend.events.clear();
            match self.inner.wait(&mut self.backend.events, timeout_ms.map(Duration::from_millis)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                Err(error) => return Err(error),
            }
            let mut woken = false;
            for event in self.backend.events.iter() {
                if event.key == WAKER_KEY {
                    woken = true;
                    continue;
                }
                let quiet = self.backend.quiet.get_mut();
                if let Some(socket) = quiet.watched.remove(&event.key) {
                    quiet.hung_up.insert(socket);
                    // SAFETY: `forget` takes it out of `quiet` before its owner closes it.
                    self.inner.delete(unsafe { BorrowedFd::borrow_raw(socket) })?;
                }
                let error = event.is_err().unwrap_or(false);
                ready.push(Readiness {
                    key: event.key,
                    readable: event.readable || error,
                    writable: event.writable || error,
                    until_dry: true,
                    urgent: event.is_priority(),
                    error,
                });
            }
            if woken {
                self.wakeups.drain();
            }
            Ok(())
        }
    }
}

/// Whether registrations last, so that no event needs a [`Poller::rearm`].
pub const REGISTRATIONS_LAST: bool = cfg!(all(target_os = "linux", not(polling_test_poll_backend)));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::reset_on_close;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    fn waited(poller: &mut Poller, timeout_ms: u64) -> Vec<Readiness> {
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(timeout_ms)).unwrap();
        ready
    }

    #[test]
    fn a_reset_is_reported_once_though_nothing_is_wanted_and_again_when_something_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, _) = listener.accept().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(own.as_fd(), 7).unwrap();
        assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 7 && event.writable));
        poller.rearm(own.as_fd(), 7, false, false).unwrap();
        assert!(waited(&mut poller, 0).is_empty());
        reset_on_close(peer.as_fd()).unwrap();
        drop(peer);
        assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 7 && event.error));
        for _ in 0..2 {
            poller.rearm(own.as_fd(), 7, false, false).unwrap();
            assert!(waited(&mut poller, 0).is_empty(), "it would be reported for ever");
        }
        if !REGISTRATIONS_LAST {
            poller.rearm(own.as_fd(), 7, true, false).unwrap();
            assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 7 && event.readable));
        }
        poller.forget(own.as_fd());
    }

    #[test]
    fn a_key_that_is_given_to_another_socket_leaves_the_first_one_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (peer, listener.accept().unwrap().0)
        };
        let ((mut first_peer, first), (second_peer, second)) = (pair(), pair());
        let mut poller = Poller::new().unwrap();
        poller.add(first.as_fd(), 1).unwrap();
        assert!(!waited(&mut poller, 10_000).is_empty());
        poller.rearm(first.as_fd(), 1, false, false).unwrap();
        poller.rekey(first.as_fd(), 2).unwrap();
        assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 2));
        poller.rearm(first.as_fd(), 2, true, false).unwrap();
        poller.add(second.as_fd(), 1).unwrap();
        drop(second_peer);
        assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 1));
        first_peer.write_all(b"x").unwrap();
        assert!(waited(&mut poller, 10_000).iter().any(|event| event.key == 2 && event.readable));
    }
}
