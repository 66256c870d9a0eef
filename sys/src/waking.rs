//! Waking a thread that waits in poll(2): a socket pair whose far end others write a byte to.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Ends the wait of another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<UnixStream>);

impl Waker {
    /// Over one end of a pair of sockets; for a thread that cannot have the other from [`waker`].
    ///
    /// # Errors
    /// It is no socket.
    pub fn over(socket: UnixStream) -> io::Result<Waker> {
        socket.set_nonblocking(true)?;
        Ok(Waker(Arc::new(socket)))
    }

    /// Waking twice before the other looks is waking once.
    pub fn wake(&self) {
        // A full socket buffer means that a wake-up is already under way.
        let _ = (&*self.0).write(&[0]);
    }

    /// Another handle on the writing end, for a signal handler that writes a byte. Non-blocking.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn stream(&self) -> io::Result<UnixStream> {
        self.0.try_clone()
    }
}

/// The end that a thread waits for: readable since it was woken.
#[derive(Debug)]
pub struct Wakeups(UnixStream);

impl Wakeups {
    /// Over the other end of that pair.
    ///
    /// # Errors
    /// It is no socket.
    pub fn over(socket: UnixStream) -> io::Result<Wakeups> {
        socket.set_nonblocking(true)?;
        Ok(Wakeups(socket))
    }

    /// Forgets that it was woken. Called before one looks at what there is to do.
    pub fn drain(&self) {
        let mut sink = [0; 64];
        while matches!((&self.0).read(&mut sink), Ok(count) if count == sink.len()) {}
    }
}

impl AsFd for Wakeups {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// # Errors
/// Out of descriptors.
pub fn waker() -> io::Result<(Waker, Wakeups)> {
    let (wakeups, waker) = UnixStream::pair()?;
    Ok((Waker::over(waker)?, Wakeups::over(wakeups)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::has_something;

    #[test]
    fn waking_often_is_waking_once() {
        let (waker, wakeups) = waker().unwrap();
        assert!(!has_something(wakeups.as_fd()));
        // More than the socket takes: nobody waits for room.
        for _ in 0..100_000 {
            waker.wake();
        }
        assert!(has_something(wakeups.as_fd()));
        wakeups.drain();
        assert!(!has_something(wakeups.as_fd()));
    }
}
