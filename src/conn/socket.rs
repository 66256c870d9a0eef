//! A socket of a connection: what is known of its readiness, and single reads and writes.

use crate::calls;
use crate::net::poller::Readiness;
use crate::os::{self, Fd, FdRef};
use std::io;

/// A socket and what is known of its readiness: edges are reported once, so they are remembered here.
#[derive(Debug, Default)]
pub struct Socket {
    pub fd: Option<Fd>,
    pub readable: bool,
    pub writable: bool,
    /// The peer has ended or reset its side or sent urgent bytes, at which a read stops: a short read does not mean that
    /// nothing is left.
    pub drain_before_end: bool,
    /// The kernel reported an error that is not fetched yet.
    pub error: bool,
    /// A write has fetched the error of a reset: after it the kernel reports an end of file that is none.
    pub peer_reset: bool,
    /// TCP_NODELAY is set, or is not wanted.
    pub nodelay: bool,
    /// The poller knows it.
    pub registered: bool,
}

impl Socket {
    /// The descriptor.
    ///
    /// # Errors
    /// There is none.
    pub fn fd(&self) -> io::Result<FdRef<'_>> {
        self.fd.as_ref().map(os::borrow).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Remembers what the poller has reported; false when all of it was known.
    #[inline]
    pub fn learn(&mut self, event: Readiness) -> bool {
        let is_news = event.readable && !self.readable
            || event.writable && !self.writable
            || event.until_dry && !self.drain_before_end
            || event.error;
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.drain_before_end |= event.until_dry;
        self.error |= event.error;
        is_news
    }

    /// The descriptor's number for statistics, -1 when there is none.
    pub fn number(&self) -> i32 {
        self.fd.as_ref().map_or(-1, os::number)
    }

    /// One read. `None`: nothing is there now; zero bytes: end of file.
    ///
    /// # Errors
    /// The peer has reset the connection, or it failed.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.read_by(os::receive, buffer)
    }

    /// The same for nothing: what the buffer has then is of no use.
    pub fn discard(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.read_by(os::discard, buffer)
    }

    #[inline]
    fn read_by(
        &mut self,
        read: impl FnOnce(FdRef<'_>, &mut [u8]) -> io::Result<usize>,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        calls::count(|calls| calls.receives += 1);
        match read(self.fd()?, buffer) {
            Ok(0) if self.peer_reset => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(count) => {
                if count > 0 && count < buffer.len() && !self.drain_before_end {
                    self.readable = false; // a short read has drained the socket; the next bytes bring an event
                }
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One write of at least one byte; zero when the peer takes nothing now. `sent_before`: the bytes it was sent already.
    ///
    /// # Errors
    /// The connection has failed.
    #[inline]
    pub fn write(&mut self, sent_before: u64, bytes: &[u8]) -> io::Result<usize> {
        self.send_at_once_after(sent_before)?;
        calls::count(|calls| calls.sends += 1);
        match os::send(self.fd()?, bytes) {
            Ok(count) => {
                if count < bytes.len() {
                    self.writable = false;
                }
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets TCP_NODELAY before the second write. Nagle's algorithm holds back only a write that follows an unacknowledged
    /// one, so the first write of a connection goes out at once anyway, and a connection of one request is spared the call.
    ///
    /// # Errors
    /// There is no descriptor.
    pub fn send_at_once_after(&mut self, sent_before: u64) -> io::Result<()> {
        if sent_before > 0 && !self.nodelay { self.send_at_once() } else { Ok(()) }
    }

    /// Sets TCP_NODELAY, unless it is set or not wanted.
    ///
    /// # Errors
    /// There is no descriptor.
    pub fn send_at_once(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.nodelay, true) {
            os::send_at_once(self.fd()?);
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes. A peer that is gone already needs no telling.
    pub fn shut_down(&self) {
        if let Some(fd) = &self.fd {
            let _ = os::end_writing(os::borrow(fd));
        }
    }
}
