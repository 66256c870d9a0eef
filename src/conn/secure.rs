//! Moving bytes of a connection that has TLS on one side or on both.
//!
//! The same rules as in `relay`: what is read goes out at once, and while the receiver has not taken it, the sender is
//! not read. What a receiver with TLS has not taken is kept, encrypted, in its session.
//!
//! The end of a stream is part of TLS: a side that says so (close_notify) has sent everything, and is told to the other
//! side like an end of file. A side whose connection merely ends may have been cut off: a receiver with TLS is then not
//! told that the stream is complete, as nobody knows that; to one without, an end of file is all that can be said. Where
//! it ends within a record, something is lost for certain: that is a reset.

use super::buffers::BufferPool;
use super::relay::{self, Flow, Lent, Passage, SCRATCH_BYTES};
use super::{Direction, Socket};
use crate::half_close;
use crate::log::diag;
use crate::net::tls::{Session, Trouble};
use crate::sys::socket;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, IoSlice, Write};
use std::os::fd::BorrowedFd;

/// Most encrypted bytes that are read at once: some records, whose plain bytes stay in the processor's cache.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Bytes that one direction may move before the other connections of the worker get their turn.
const TURN_BYTES_MAX: usize = 512 * 1024;
/// Encrypted bytes that are read at once while the handshake lasts; a session keeps what is decrypted of them.
const HANDSHAKE_READ_BYTES: usize = 16 * 1024;

/// Level at which failed handshakes are told of, and connections that break off: anybody can make them fail.
pub const FAILURES: u8 = 2;

/// The sessions of a connection.
#[derive(Debug, Default)]
pub struct Secure {
    pub client: Option<Session>,
    pub server: Option<Session>,
}

/// One side of a connection, with or without TLS.
pub struct End<'a> {
    pub socket: &'a mut Socket,
    pub session: Option<&'a mut Session>,
}

/// What a peer has sent.
enum Read {
    /// So many plain bytes; `wire_bytes` came for them, or for TLS itself.
    Bytes {
        plain_bytes: usize,
        wire_bytes: usize,
    },
    Nothing,
}

/// Moves what can be moved; see [`relay::pump`].
pub fn pump(
    sender: &mut End<'_>,
    receiver: &mut End<'_>,
    direction: &mut Direction,
    lent: &mut Lent<'_>,
    mut inspect: impl FnMut(&[u8], &mut Vec<u8>) -> Passage,
) -> Flow {
    let mut moved_bytes = 0;
    loop {
        if !flush(receiver, direction, lent.pool) || direction.is_unread() {
            return Flow::Waits;
        }
        if moved_bytes >= TURN_BYTES_MAX {
            return Flow::TurnOver;
        }
        let (wire, plain) = lent.scratch.split_at_mut(SCRATCH_BYTES / 2);
        let count = match read(sender, direction, wire, plain) {
            Ok(Read::Bytes { plain_bytes, wire_bytes }) => {
                moved_bytes += wire_bytes;
                plain_bytes
            }
            Ok(Read::Nothing) => return Flow::Waits,
            Err(_) => return Flow::SenderFailed,
        };
        if count == 0 && !direction.eof {
            continue; // TLS had something to say to itself
        }
        let bytes = relay::look_at(&plain[..count], lent.instead, direction, &mut inspect);
        offer(receiver, direction, bytes, lent.pool);
    }
}

/// Reads into `plain` what the sender has for the receiver.
fn read(
    sender: &mut End<'_>,
    direction: &mut Direction,
    wire: &mut [u8],
    plain: &mut [u8],
) -> io::Result<Read> {
    let Some(session) = &mut sender.session else {
        // As much as `plain` takes, whatever the direction has grown to.
        direction.chunk_log2 = direction.chunk_log2.min(plain.len().ilog2() as u8);
        let count = if sender.socket.readable { relay::read(sender.socket, direction, plain)? } else { None };
        return Ok(count.map_or(Read::Nothing, |count| Read::Bytes { plain_bytes: count, wire_bytes: count }));
    };
    let kept = session.read_plain(plain);
    if kept > 0 {
        return Ok(Read::Bytes { plain_bytes: kept, wire_bytes: 0 });
    }
    if session.peer_closed() {
        direction.eof = true;
        return Ok(Read::Bytes { plain_bytes: 0, wire_bytes: 0 });
    }
    match receive(sender.socket, &mut wire[..READ_BYTES_MAX])? {
        None => Ok(Read::Nothing),
        Some(0) if session.is_inside_record() => Err(io::ErrorKind::ConnectionReset.into()),
        Some(0) => {
            direction.eof = true;
            Ok(Read::Bytes { plain_bytes: 0, wire_bytes: 0 })
        }
        Some(count) => {
            let plain_bytes = session.decrypt(&wire[..count], plain).map_err(broken)?;
            Ok(Read::Bytes { plain_bytes, wire_bytes: count })
        }
    }
}

fn broken(trouble: Trouble) -> io::Error {
    diag::debug!(FAILURES, "TLS broke off: {trouble}");
    io::Error::new(io::ErrorKind::InvalidData, trouble.0)
}

/// One read of encrypted bytes. `None`: nothing there now.
fn receive(socket: &mut Socket, wire: &mut [u8]) -> io::Result<Option<usize>> {
    if !socket.readable {
        return Ok(None);
    }
    match socket::receive(socket.fd()?, wire) {
        Ok(0) if socket.torn => Err(io::ErrorKind::ConnectionReset.into()),
        Ok(count) => {
            if count > 0 && count < wire.len() && !socket.until_dry {
                socket.readable = false; // see `relay::read`
            }
            Ok(Some(count))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            socket.readable = false;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How a handshake goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shake {
    Done,
    /// It waits for an event.
    Waits,
    /// The peer ended the connection.
    Ended,
    /// The peer broke the protocol, or one of us refused the other; an answer may be waiting to be written.
    Failed(Trouble),
}

/// Takes a handshake as far as it goes. `choose` is asked for what the session needs before it can answer; false: not yet.
///
/// # Errors
/// The socket failed.
pub fn shake(
    end: &mut End<'_>,
    wire: &mut [u8],
    mut choose: impl FnMut(&mut Session) -> Result<bool, Trouble>,
) -> io::Result<Shake> {
    loop {
        let Some(session) = &mut end.session else { return Ok(Shake::Done) };
        match choose(session) {
            Ok(true) => {}
            Ok(false) => return Ok(Shake::Waits),
            Err(trouble) => return Ok(Shake::Failed(trouble)),
        }
        write_out(end)?;
        let Some(session) = &mut end.session else { return Ok(Shake::Done) };
        if !session.is_handshaking() {
            return Ok(Shake::Done);
        }
        match receive(end.socket, &mut wire[..HANDSHAKE_READ_BYTES])? {
            None => return Ok(Shake::Waits),
            Some(0) => return Ok(Shake::Ended),
            Some(count) => {
                if let Err(trouble) = session.shake(&wire[..count]) {
                    return Ok(Shake::Failed(trouble));
                }
            }
        }
    }
}

/// Writes what the session has for its peer, as far as the socket takes it.
///
/// # Errors
/// The socket failed.
pub fn write_out(end: &mut End<'_>) -> io::Result<()> {
    let Some(session) = &mut end.session else { return Ok(()) };
    while end.socket.writable {
        set_nodelay(end.socket);
        match session.write_to(&mut Wire(end.socket.fd()?)) {
            Ok(0) => return Ok(()),
            // All that is there was offered: what is left is what the socket does not take.
            Ok(_) => end.socket.writable = !session.wants_write(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => end.socket.writable = false,
            Err(error) => return Err(error),
        }
        if !session.wants_write() {
            return Ok(());
        }
    }
    Ok(())
}

/// A handshake and a record that follows it are two writes, so this cannot wait for the second one as `relay` does.
fn set_nodelay(socket: &mut Socket) {
    if !std::mem::replace(&mut socket.nodelay, true)
        && let Some(fd) = &socket.fd
    {
        // Fails on Unix sockets, which do not delay.
        let _ = setsockopt(fd, sockopt::TcpNoDelay, &true);
    }
}

/// The socket as a session writes to it.
struct Wire<'a>(BorrowedFd<'a>);

impl Write for Wire<'_> {
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

/// Writes what is kept for the receiver; true when it may be given more.
fn flush(receiver: &mut End<'_>, direction: &mut Direction, pool: &mut BufferPool) -> bool {
    let Some(session) = &mut receiver.session else {
        return relay::flush(receiver.socket, direction, pool);
    };
    if let Some(pending) = direction.pending.take() {
        if !direction.dead {
            session.encrypt(pending.unsent());
            direction.bytes += pending.len() as u64;
        }
        pool.give_back(pending);
    }
    settle(receiver, direction);
    is_drained(receiver.session.as_deref(), direction)
}

/// Gives the receiver new bytes; what it does not take is kept.
fn offer(receiver: &mut End<'_>, direction: &mut Direction, bytes: &[u8], pool: &mut BufferPool) {
    let Some(session) = &mut receiver.session else {
        return relay::offer(receiver.socket, direction, bytes, pool);
    };
    if bytes.is_empty() || direction.dead {
        return;
    }
    session.encrypt(bytes);
    direction.bytes += bytes.len() as u64;
    settle(receiver, direction);
    if !is_drained(receiver.session.as_deref(), direction) {
        direction.chunk_log2 = direction.chunk_log2.saturating_sub(1);
    }
}

/// Writes what the session has; a receiver that fails takes nothing any more.
pub fn settle(receiver: &mut End<'_>, direction: &mut Direction) {
    if direction.dead {
        return;
    }
    if let Err(error) = write_out(receiver) {
        direction.dead = true;
        receiver.socket.torn = error.kind() != io::ErrorKind::BrokenPipe;
    }
}

fn is_drained(receiver: Option<&Session>, direction: &Direction) -> bool {
    direction.dead || !receiver.is_some_and(Session::wants_write)
}

/// As `half_close` decides on it.
pub fn progress(direction: &Direction, receiver: Option<&Session>) -> half_close::Direction {
    let progress = direction.progress();
    half_close::Direction { pending: progress.pending || !is_drained(receiver, direction), ..progress }
}

/// Tells the receiver that nothing more comes: by its session first, and when that is written, by its socket.
pub fn shut(receiver: &mut End<'_>, direction: &mut Direction, sender: Option<&Session>) {
    say_end(receiver, direction, sender);
    if is_drained(receiver.session.as_deref(), direction) {
        relay::shut(receiver.socket, direction);
    }
}

/// Tells the session of the receiver that the stream is complete, if it is.
pub fn say_end(receiver: &mut End<'_>, direction: &mut Direction, sender: Option<&Session>) {
    let is_complete = direction.eof && sender.is_none_or(Session::peer_closed);
    if let Some(session) = receiver.session.as_mut().filter(|_| is_complete && !direction.dead) {
        session.close();
        settle(receiver, direction);
    }
}
