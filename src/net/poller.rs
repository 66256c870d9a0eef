//! Waiting for sockets: one [`Poller`] per worker.
//!
//! The crate `polling` makes the poller and owns its descriptor. On Linux the hot path talks to that descriptor itself:
//! `Poller::wait` of polling 3.11 makes up to five system calls where one will do, and its registration can ask neither
//! for EPOLLRDHUP (without which a short read cannot be trusted to have drained the socket) nor for EPOLLEXCLUSIVE
//! (without which every worker wakes for every client). Everywhere else, and when built with
//! `--cfg polling_test_poll_backend`, polling does it all, with one-shot registrations that are renewed after each event.

#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

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

/// Ends a [`Poller::wait`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// Wakes the poller; waking it twice before it looks is waking it once.
    pub fn wake(&self) {
        // A full socket buffer means that a wake-up is already under way.
        let _ = (&*self.0).write(&[0]);
    }
}

pub struct Poller {
    inner: polling::Poller,
    backend: backend::State,
    wake_end: UnixStream,
    waker: Waker,
}

impl Poller {
    pub fn new() -> io::Result<Poller> {
        let (wake_end, waker) = UnixStream::pair()?;
        wake_end.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let poller = Poller {
            inner: polling::Poller::new()?,
            backend: backend::State::new(),
            wake_end,
            waker: Waker(Arc::new(waker)),
        };
        poller.add_reader(poller.wake_end.as_fd(), WAKER_KEY)?;
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

    fn drain_waker(&self) {
        let mut sink = [0; 64];
        while matches!((&self.wake_end).read(&mut sink), Ok(count) if count == sink.len()) {}
    }
}

#[cfg(all(target_os = "linux", not(polling_test_poll_backend)))]
mod backend {
    use super::*;
    use crate::sys::call;
    use nix::libc;

    /// Both directions, the end of the peer's and urgent bytes, edge-triggered.
    const BOTH: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;

    pub struct State {
        events: Vec<libc::epoll_event>,
    }

    impl State {
        pub fn new() -> State {
            State { events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] }
        }
    }

    #[inline]
    pub fn rearm(_: &Poller, _: BorrowedFd<'_>, _: usize, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn control(
        poller: &Poller,
        operation: libc::c_int,
        socket: BorrowedFd<'_>,
        flags: i32,
        key: usize,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: flags as u32, u64: key as u64 };
        // SAFETY: both descriptors are open (one owned by the poller, one borrowed) and `event` lives through the call.
        // A descriptor that is closed later leaves the epoll set by itself; keys of closed connections are not given
        // out again before the events of the same wake-up are through.
        let failed =
            unsafe { libc::epoll_ctl(poller.inner.as_raw_fd(), operation, socket.as_raw_fd(), &mut event) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    impl Poller {
        /// Registers a connection's socket once, for both directions, edge-triggered.
        pub fn add(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            control(self, libc::EPOLL_CTL_ADD, socket, BOTH, key)
        }

        /// Gives a registered socket another key. What it is ready for is reported again, under the new key.
        pub fn rekey(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            control(self, libc::EPOLL_CTL_MOD, socket, BOTH, key)
        }

        /// Registers a listener that several pollers share: one of them is woken for a client, not all.
        pub fn add_listener(&self, listener: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            control(self, libc::EPOLL_CTL_ADD, listener, libc::EPOLLIN | libc::EPOLLEXCLUSIVE, key)
        }

        /// Registers a socket that is only read: what is left there brings another event.
        pub fn add_reader(&self, socket: BorrowedFd<'_>, key: usize) -> io::Result<()> {
            control(self, libc::EPOLL_CTL_ADD, socket, libc::EPOLLIN, key)
        }

        /// Takes a listener out; its descriptor stays open.
        pub fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
            control(self, libc::EPOLL_CTL_DEL, listener, 0, 0)
        }

        /// Called before a registered connection socket is closed; closing is all that epoll needs.
        #[inline]
        pub fn forget(&self, _socket: BorrowedFd<'_>) {}

        /// Waits for events and appends them to `ready`. `None` waits for ever; wake-ups return with nothing appended.
        pub fn wait(&mut self, ready: &mut Vec<Readiness>, timeout_ms: Option<u64>) -> io::Result<()> {
            let timeout = timeout_ms.map_or(-1, |ms| ms.min(i32::MAX as u64) as i32);
            let events = &mut self.backend.events;
            // SAFETY: the kernel writes at most `events.len()` entries into `events`; the descriptor is polling's own.
            let count = unsafe {
                call::epoll_wait(
                    self.inner.as_raw_fd(),
                    events.as_mut_ptr(),
                    events.len() as libc::c_int,
                    timeout,
                )
            };
            if count < 0 {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
            }
            const UNTIL_DRY: i32 = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLPRI;
            let mut woken = false;
            for event in &self.backend.events[..count as usize] {
                let (flags, key) = (event.events as i32, event.u64 as usize);
                if key == WAKER_KEY {
                    woken = true;
                    continue;
                }
                ready.push(Readiness {
                    key,
                    readable: flags & !libc::EPOLLOUT != 0,
                    writable: flags & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                    until_dry: flags & UNTIL_DRY != 0,
                    urgent: flags & libc::EPOLLPRI != 0,
                    error: flags & libc::EPOLLERR != 0,
                });
            }
            if woken {
                self.drain_waker();
            }
            Ok(())
        }
    }
}

#[cfg(not(all(target_os = "linux", not(polling_test_poll_backend))))]
mod backend {
    use super::*;
    use polling::{Event, PollMode};
    use std::time::Duration;

    pub struct State {
        events: polling::Events,
    }

    impl State {
        pub fn new() -> State {
            let capacity = std::num::NonZeroUsize::new(EVENTS_MAX).expect("not zero");
            State { events: polling::Events::with_capacity(capacity) }
        }
    }

    pub fn rearm(
        poller: &Poller,
        socket: BorrowedFd<'_>,
        key: usize,
        read: bool,
        write: bool,
    ) -> io::Result<()> {
        if !read && !write {
            // poll(2) reports a hang-up even where nothing is asked for: it would be the same event for ever.
            return poller.inner.delete(socket);
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

        pub fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
            self.inner.delete(listener)
        }

        pub fn forget(&self, socket: BorrowedFd<'_>) {
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
                self.drain_waker();
            }
            Ok(())
        }
    }
}

/// Whether registrations last, so that no event needs a [`Poller::rearm`].
pub const REGISTRATIONS_LAST: bool = cfg!(all(target_os = "linux", not(polling_test_poll_backend)));
