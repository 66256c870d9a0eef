//! A connection to a server that is being checked: a socket, with or without TLS.
//!
//! Owns single reads and writes, and nothing of what they mean.

use pen_sys::socket;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of one read.
const READ_BYTES_MAX: usize = 16 * 1024;
/// What a session may hand over at once: what was read, and what it had kept.
const PLAIN_BYTES_MAX: usize = READ_BYTES_MAX + 32 * 1024;
/// What a server may send during one check, TLS and the framing of HTTP included: several times what any check looks for.
const RECEIVED_BYTES_MAX: usize = 1024 * 1024;
/// Room for both.
pub const SCRATCH_BYTES: usize = READ_BYTES_MAX + PLAIN_BYTES_MAX;

/// Why a connection cannot go on.
pub enum Broken {
    Socket(io::Error),
    /// Why, in words for the operator.
    Tls(String),
    /// The server sends without end.
    Flood,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Socket(error)
    }
}

impl From<String> for Broken {
    fn from(trouble: String) -> Broken {
        Broken::Tls(trouble)
    }
}

/// A TLS session with a server, without its socket. Errors are words for the operator.
pub trait Session: Send {
    fn is_handshaking(&self) -> bool;

    /// Takes bytes of the handshake.
    ///
    /// # Errors
    /// One refuses the other; what is still to be written says why.
    fn shake(&mut self, bytes: &mut [u8]) -> Result<(), String>;

    /// Takes bytes behind the handshake. Returns how much of `plain` is filled.
    ///
    /// # Errors
    /// They are broken.
    fn decrypt(&mut self, bytes: &mut [u8], plain: &mut [u8]) -> Result<usize, String>;

    /// What was decrypted and had no room.
    fn read_plain(&mut self, plain: &mut [u8]) -> usize;

    /// Whether the server has said that it sends no more.
    fn peer_closed(&self) -> bool;

    fn encrypt(&mut self, plain: &[u8]);

    /// Has the server hear that nothing follows.
    fn close(&mut self);

    fn wants_write(&self) -> bool;

    /// # Errors
    /// The socket's.
    fn write_to(&mut self, out: &mut dyn Write) -> io::Result<usize>;
}

pub struct Wire {
    fd: OwnedFd,
    pub session: Option<Box<dyn Session>>,
    /// Not encrypted any more, and not taken by the socket yet.
    out: Vec<u8>,
    received_bytes: usize,
}

impl Wire {
    pub fn new(fd: OwnedFd) -> Wire {
        Wire { fd, session: None, out: Vec::new(), received_bytes: 0 }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Has these bytes sent.
    pub fn put(&mut self, bytes: &[u8]) {
        match &mut self.session {
            Some(session) => session.encrypt(bytes),
            None => self.out.extend_from_slice(bytes),
        }
    }

    /// Sends what there is; true when all of it is gone.
    ///
    /// # Errors
    /// The socket failed.
    pub fn flush(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let Some(sent) = unless_busy(socket::send(self.fd.as_fd(), &self.out))? else { return Ok(false) };
            self.out.drain(..sent);
        }
        let Some(session) = &mut self.session else { return Ok(true) };
        while session.wants_write() {
            if unless_busy(session.write_to(&mut Raw(self.fd.as_fd())))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes on with a handshake; true when it is over.
    ///
    /// # Errors
    /// The server has ended the connection, or one refused the other.
    pub fn shake(&mut self, scratch: &mut [u8]) -> Result<bool, Broken> {
        loop {
            let is_flushed = self.flush()?;
            let Some(session) = self.session.as_mut().filter(|session| session.is_handshaking()) else {
                return Ok(is_flushed);
            };
            let wire = &mut scratch[..READ_BYTES_MAX];
            let Some(count) = receive(self.fd.as_fd(), wire, &mut self.received_bytes)? else {
                return Ok(false);
            };
            if count == 0 {
                return Err("the server ended the connection in the handshake".to_owned().into());
            }
            if let Err(trouble) = session.shake(&mut wire[..count]) {
                // It is told why, if it takes that at once.
                let _ = session.write_to(&mut Raw(self.fd.as_fd()));
                return Err(trouble.into());
            }
        }
    }

    /// Reads plain bytes. `None`: nothing is there now; an empty piece: the server has ended.
    ///
    /// # Errors
    /// The connection failed.
    pub fn read<'a>(&mut self, scratch: &'a mut [u8]) -> Result<Option<&'a [u8]>, Broken> {
        let (wire, plain) = scratch.split_at_mut(READ_BYTES_MAX);
        loop {
            let Some(session) = &mut self.session else {
                let count = receive(self.fd.as_fd(), wire, &mut self.received_bytes)?;
                return Ok(count.map(|count| &wire[..count]));
            };
            let kept = session.read_plain(plain);
            if kept > 0 {
                return Ok(Some(&plain[..kept]));
            }
            if session.peer_closed() {
                return Ok(Some(&plain[..0]));
            }
            match receive(self.fd.as_fd(), wire, &mut self.received_bytes)? {
                None => return Ok(None),
                Some(0) => return Ok(Some(&plain[..0])),
                Some(count) => {
                    let count = session.decrypt(&mut wire[..count], plain)?;
                    if count > 0 {
                        return Ok(Some(&plain[..count]));
                    }
                }
            }
        }
    }

    /// Ends it: with a reset where nothing was said, so that no port is kept for it; with TLS the server hears it.
    pub fn close(mut self, says_nothing: bool) {
        match &mut self.session {
            Some(session) => {
                session.close();
                let _ = self.flush();
            }
            None if says_nothing => _ = socket::reset_on_close(self.fd.as_fd()),
            None => {}
        }
    }
}

/// Reads what is there, within the limit of one check. A server that sends faster than it is read would otherwise keep the
/// thread for itself, whatever it sends: interim answers, chunks of one byte, empty TLS records.
fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    received_bytes: &mut usize,
) -> Result<Option<usize>, Broken> {
    let count = unless_busy(socket::receive(fd, buffer))?;
    *received_bytes += count.unwrap_or_default();
    if *received_bytes > RECEIVED_BYTES_MAX {
        return Err(Broken::Flood);
    }
    Ok(count)
}

/// `None` where one has to wait.
fn unless_busy<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The socket as a session writes to it.
struct Raw<'a>(BorrowedFd<'a>);

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket::send(self.0, bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        socket::send_parts(self.0, parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
