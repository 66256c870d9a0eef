//! One side of a connection as the relay sees it: a socket, with or without TLS.
//!
//! What a receiver without TLS has not taken is kept with the direction; what one with TLS has not taken lies, encrypted,
//! in its session.
//!
//! The end of a stream is part of TLS: a side that says so (close_notify) has sent everything, and is told to the other
//! side like an end of file. A side whose connection merely ends may have been cut off: a receiver with TLS is then not
//! told that the stream is complete, as nobody knows that; to one without, an end of file is all that can be said. Where
//! it ends within a record, something is lost for certain: that is a reset.

use super::buffers::BufferPool;
use super::relay::{CHUNK_LOG2_MAX, CHUNK_LOG2_MIN, SCRATCH_BYTES};
use super::{Direction, Side, Socket};
use crate::calls;
use crate::half_close;
use crate::log::diag;
use crate::net::tls::{Session, Trouble};
use crate::os::{self, FdRef, Pipe};
use std::io::{self, IoSlice, Write};

/// Most encrypted bytes that are read at once: some records, whose plain bytes stay in the processor's cache.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Level at which failed handshakes are told of, and connections that break off: anybody can make them fail.
pub const FAILURES: u8 = 2;

/// The TLS sessions of a connection.
#[derive(Debug, Default)]
pub struct Sessions {
    pub client: Option<Session>,
    pub server: Option<Session>,
}

impl Sessions {
    pub fn get(&self, side: Side) -> Option<&Session> {
        match side {
            Side::Client => self.client.as_ref(),
            Side::Server => self.server.as_ref(),
        }
    }
}

/// One side of a connection, with or without TLS.
pub struct End<'a> {
    pub socket: &'a mut Socket,
    pub session: Option<&'a mut Session>,
}

/// What one read has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// For the other side. None, and the direction has not ended: TLS had something to say to itself.
    pub plain_bytes: usize,
    /// That came through the socket for it.
    pub wire_bytes: usize,
}

impl Read {
    const END: Read = Read { plain_bytes: 0, wire_bytes: 0 };
}

impl<'a> End<'a> {
    /// Without TLS.
    pub fn plain(socket: &'a mut Socket) -> End<'a> {
        End { socket, session: None }
    }

    /// Reads what this sender has for the receiver to the front of `scratch`. `None`: nothing is there now.
    ///
    /// # Errors
    /// It has reset its connection, or broken off.
    #[inline]
    pub fn read(&mut self, direction: &mut Direction, scratch: &mut [u8]) -> io::Result<Option<Read>> {
        match &mut self.session {
            None if self.socket.readable => {
                let count = read(self.socket, direction, scratch)?;
                Ok(count.map(|count| Read { plain_bytes: count, wire_bytes: count }))
            }
            None => Ok(None),
            Some(session) => read_session(self.socket, session, direction, scratch),
        }
    }

    /// Writes what is kept for this receiver; true when it may be given more.
    #[inline]
    pub fn flush(&mut self, direction: &mut Direction, pool: &mut BufferPool) -> bool {
        match &self.session {
            None => direction.pending.is_none() || flush(self.socket, direction, pool),
            Some(_) => self.flush_session(direction, pool),
        }
    }

    fn flush_session(&mut self, direction: &mut Direction, pool: &mut BufferPool) -> bool {
        if let Some(pending) = direction.pending.take() {
            if let Some(session) = self.session.as_mut().filter(|_| !direction.receiver_gone) {
                session.encrypt(pending.unsent());
                direction.bytes += pending.len() as u64;
            }
            pool.give_back(pending);
        }
        self.settle(direction);
        self.is_drained(direction)
    }

    /// Gives this receiver new bytes; what it does not take is kept.
    #[inline]
    pub fn offer(&mut self, direction: &mut Direction, bytes: &[u8], pool: &mut BufferPool) {
        let is_taken = match &mut self.session {
            None => {
                let count = put(self.socket, direction, bytes);
                if count < bytes.len() {
                    direction.pending = Some(pool.hold(&bytes[count..]));
                }
                count == bytes.len()
            }
            Some(_) if bytes.is_empty() || direction.receiver_gone => true,
            Some(session) => {
                session.encrypt(bytes);
                direction.bytes += bytes.len() as u64;
                self.settle(direction);
                self.is_drained(direction)
            }
        };
        if !is_taken {
            direction.chunk_log2 = direction.chunk_log2.saturating_sub(1);
        }
    }

    /// Writes what the session has to say, to itself too, such as new tickets; a receiver that fails takes nothing any more.
    pub fn settle(&mut self, direction: &mut Direction) {
        if direction.receiver_gone {
            return;
        }
        if let Err(error) = self.write_out() {
            receiver_failed(self.socket, direction, &error);
        }
    }

    /// Writes what the session has for its peer, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket failed.
    pub fn write_out(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        while self.socket.writable {
            // A handshake and a record that follows it are two writes, so this cannot wait for the second one.
            self.socket.send_at_once()?;
            match session.write_to(&mut Wire(self.socket.fd()?)) {
                Ok(0) => return Ok(()),
                // All that is there was offered: what is left is what the socket does not take.
                Ok(_) => self.socket.writable = !session.wants_write(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable = false,
                Err(error) => return Err(error),
            }
            if !session.wants_write() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_drained(&self, direction: &Direction) -> bool {
        direction.receiver_gone || !self.session.as_deref().is_some_and(Session::wants_write)
    }

    /// How far the direction to this receiver is, as `half_close` decides on it.
    pub fn progress(&self, direction: &Direction) -> half_close::Direction {
        let progress = direction.progress();
        half_close::Direction { pending: progress.pending || !self.is_drained(direction), ..progress }
    }

    /// Whether this sender has ended and, as far as can be told, has not been cut off.
    pub fn is_complete(&self, direction: &Direction) -> bool {
        direction.eof && self.session.as_deref().is_none_or(Session::peer_closed)
    }

    /// Tells this receiver that nothing more comes: by its session first, and when that is written, by its socket.
    /// `is_complete`: see [`End::is_complete`] of the sender.
    pub fn shut(&mut self, direction: &mut Direction, is_complete: bool) {
        self.say_end(direction, is_complete);
        if self.is_drained(direction) {
            direction.shut = true;
            self.socket.shut_down();
        }
    }

    /// Tells the session of this receiver that the stream is complete, if it is.
    pub fn say_end(&mut self, direction: &mut Direction, is_complete: bool) {
        let is_said = is_complete && !direction.receiver_gone;
        if let Some(session) = self.session.as_mut().filter(|_| is_said) {
            session.close();
            self.settle(direction);
        }
    }
}

/// One read without TLS. `None`: nothing is there now. End of file sets `direction.eof` and counts as zero bytes.
///
/// # Errors
/// The sender has reset its connection, or it failed.
#[inline]
pub fn read(sender: &mut Socket, direction: &mut Direction, scratch: &mut [u8]) -> io::Result<Option<usize>> {
    let wanted = 1 << direction.chunk_log2.clamp(CHUNK_LOG2_MIN, CHUNK_LOG2_MAX);
    let count = sender.read(&mut scratch[..wanted])?;
    if count == Some(wanted) {
        direction.chunk_log2 = (direction.chunk_log2.max(CHUNK_LOG2_MIN) + 1).min(CHUNK_LOG2_MAX);
    }
    direction.eof |= count == Some(0);
    Ok(count)
}

fn read_session(
    socket: &mut Socket,
    session: &mut Session,
    direction: &mut Direction,
    scratch: &mut [u8],
) -> io::Result<Option<Read>> {
    let (plain, wire) = scratch.split_at_mut(SCRATCH_BYTES / 2);
    let kept = session.read_plain(plain);
    if kept > 0 {
        return Ok(Some(Read { plain_bytes: kept, wire_bytes: 0 }));
    }
    let laid_out = session.lay_out(wire);
    let count = match session.peer_closed() {
        true => Some(0),
        false if socket.readable => socket.read(&mut wire[laid_out..laid_out + READ_BYTES_MAX])?,
        false => None,
    };
    match count {
        None => Ok(None),
        Some(0) if !session.peer_closed() && session.is_inside_record() => {
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(0) => {
            direction.eof = true;
            Ok(Some(Read::END))
        }
        Some(wire_bytes) => {
            let wire = &mut wire[..laid_out + wire_bytes];
            let plain_bytes = session.decrypt(wire, laid_out, plain).map_err(broken)?;
            Ok(Some(Read { plain_bytes, wire_bytes }))
        }
    }
}

fn broken(trouble: Trouble) -> io::Error {
    diag::debug!(FAILURES, "TLS broke off: {trouble}");
    io::Error::new(io::ErrorKind::InvalidData, trouble.0)
}

/// Writes kept bytes; true when none are left.
fn flush(receiver: &mut Socket, direction: &mut Direction, pool: &mut BufferPool) -> bool {
    let Some(mut pending) = direction.pending.take() else { return true };
    if let Some(pipe) = pending.pipe_mut() {
        drain(receiver, direction, pipe);
    }
    if pending.has_empty_pipe() {
        pending.take(put(receiver, direction, pending.unsent()));
    }
    if pending.is_empty() || direction.receiver_gone {
        pool.give_back(pending);
        return true;
    }
    direction.pending = Some(pending);
    false
}

/// Gives the receiver what it takes now, and says how many bytes are done with: all of them when it takes no more.
fn put(receiver: &mut Socket, direction: &mut Direction, bytes: &[u8]) -> usize {
    if direction.receiver_gone {
        return bytes.len();
    }
    if !receiver.writable || bytes.is_empty() {
        return 0;
    }
    match receiver.write(direction.bytes, bytes) {
        Ok(count) => {
            direction.bytes += count as u64;
            count
        }
        Err(error) => {
            receiver_failed(receiver, direction, &error);
            bytes.len()
        }
    }
}

/// Gives the receiver what it takes now of what is in the pipe.
fn drain(receiver: &mut Socket, direction: &mut Direction, pipe: &mut Pipe) {
    while pipe.held_bytes() > 0 && receiver.writable && !direction.receiver_gone {
        calls::count(|calls| calls.sends += 1);
        match receiver.send_at_once_after(direction.bytes).and_then(|()| pipe.drain(receiver.fd()?)) {
            Ok(0) => receiver_failed(receiver, direction, &io::ErrorKind::WriteZero.into()),
            Ok(count) => direction.bytes += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => receiver.writable = false,
            Err(error) => receiver_failed(receiver, direction, &error),
        }
    }
}

fn receiver_failed(receiver: &mut Socket, direction: &mut Direction, error: &io::Error) {
    direction.receiver_gone = true;
    // A peer that has ended its side before it reset the connection is no longer there, but it is complete.
    receiver.peer_reset = error.kind() != io::ErrorKind::BrokenPipe;
}

/// The socket as a session writes to it.
struct Wire<'a>(FdRef<'a>);

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        calls::count(|calls| calls.sends += 1);
        os::send(self.0, bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        calls::count(|calls| calls.sends += 1);
        os::send_parts(self.0, parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
