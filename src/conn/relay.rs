//! Moving bytes from one side of a connection to the other.
//!
//! A read goes into the worker's scratch buffer and is written at once; only what the receiver did not take is kept.
//! While anything is kept, the sender is not read: that is the backpressure, and the bound on memory.

use super::buffers::BufferPool;
use super::{Direction, Socket};
use crate::sys::pipe::Pipe;
use crate::sys::socket;
use std::io;

/// Smallest and largest read, as powers of two: 16 KiB for a newcomer, 256 KiB for a stream. On loopback the larger
/// reads halve the cost per byte; the smaller ones keep what a stalled reader can make us hold small.
const CHUNK_LOG2_MIN: u8 = 14;
pub const CHUNK_LOG2_MAX: u8 = 18;
/// Bytes in a worker's scratch buffer.
pub const SCRATCH_BYTES: usize = 1 << CHUNK_LOG2_MAX;
/// Bytes that one direction may move before the other connections of the worker get their turn.
pub const TURN_BYTES_MAX: usize = 4 * SCRATCH_BYTES;

/// What a worker lends to the relay.
pub struct Lent<'a> {
    pub scratch: &'a mut [u8],
    /// Room for what is sent in place of what was read.
    pub instead: &'a mut Vec<u8>,
    pub pool: &'a mut BufferPool,
}

/// What becomes of bytes that somebody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// They go on as they were read.
    AsRead,
    /// What was written in their place goes, which may be nothing.
    Instead,
    /// The same, and the sender is not read any more until somebody clears `Direction::waits`.
    InsteadAndWait,
}

/// How a direction left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It waits for an event on one of its sockets, or has ended.
    Waits,
    /// More could move now, but others wait too.
    TurnOver,
    /// The sender's socket failed.
    SenderFailed,
}

/// Moves what can be moved. `inspect` sees every read, and once an empty slice at end of file; what is to be sent in place
/// of it goes into the buffer, which is empty.
///
/// A receiver that fails makes the direction `dead` and no more: what the receiver itself still has to say is relayed
/// by the other direction, which learns of the failure in its turn. Until then the sender is read all the same, for
/// nothing: bytes left unread would make the close a reset, which takes what the sender itself has yet to receive.
pub fn pump(
    sender: &mut Socket,
    receiver: &mut Socket,
    direction: &mut Direction,
    lent: &mut Lent<'_>,
    mut inspect: impl FnMut(&[u8], &mut Vec<u8>) -> Passage,
) -> Flow {
    let mut moved = 0;
    loop {
        if !flush(receiver, direction, lent.pool) || direction.is_unread() || !sender.readable {
            return Flow::Waits;
        }
        if moved >= TURN_BYTES_MAX {
            return Flow::TurnOver;
        }
        let count = match read(sender, direction, lent.scratch) {
            Ok(Some(count)) => count,
            Ok(None) => return Flow::Waits,
            Err(_) => return Flow::SenderFailed,
        };
        moved += count;
        let read = &lent.scratch[..count];
        let bytes = look_at(read, lent.instead, direction, &mut inspect);
        offer(receiver, direction, bytes, lent.pool);
    }
}

/// What is to be sent when `read` was read.
pub(super) fn look_at<'a>(
    read: &'a [u8],
    instead: &'a mut Vec<u8>,
    direction: &mut Direction,
    inspect: impl FnOnce(&[u8], &mut Vec<u8>) -> Passage,
) -> &'a [u8] {
    instead.clear();
    let passage = inspect(read, instead);
    direction.waits |= passage == Passage::InsteadAndWait;
    if passage == Passage::AsRead { read } else { instead }
}

/// One read. `None`: nothing there now. End of file sets `direction.eof` and counts as zero bytes.
pub fn read(sender: &mut Socket, direction: &mut Direction, scratch: &mut [u8]) -> io::Result<Option<usize>> {
    let wanted = 1 << direction.chunk_log2.clamp(CHUNK_LOG2_MIN, CHUNK_LOG2_MAX);
    match socket::receive(sender.fd()?, &mut scratch[..wanted]) {
        Ok(0) if sender.torn => Err(io::ErrorKind::ConnectionReset.into()),
        Ok(0) => {
            direction.eof = true;
            Ok(Some(0))
        }
        Ok(count) => {
            if count == wanted {
                direction.chunk_log2 = (direction.chunk_log2.max(CHUNK_LOG2_MIN) + 1).min(CHUNK_LOG2_MAX);
            } else if !sender.until_dry {
                sender.readable = false; // a short read has drained the socket; the next bytes bring an event
            }
            Ok(Some(count))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            sender.readable = false;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Writes kept bytes; true when none are left.
#[inline]
pub(super) fn flush(receiver: &mut Socket, direction: &mut Direction, pool: &mut BufferPool) -> bool {
    direction.pending.is_none() || flush_kept(receiver, direction, pool)
}

fn flush_kept(receiver: &mut Socket, direction: &mut Direction, pool: &mut BufferPool) -> bool {
    let Some(mut pending) = direction.pending.take() else { return true };
    match pending.pipe_mut() {
        Some(pipe) => drain(receiver, direction, pipe),
        None => pending.take(put(receiver, direction, pending.unsent())),
    }
    if pending.is_empty() || direction.dead {
        pool.give_back(pending);
        return true;
    }
    direction.pending = Some(pending);
    false
}

/// Writes new bytes and keeps the rest.
pub fn offer(receiver: &mut Socket, direction: &mut Direction, bytes: &[u8], pool: &mut BufferPool) {
    let count = put(receiver, direction, bytes);
    if count < bytes.len() {
        direction.pending = Some(pool.hold(&bytes[count..]));
        direction.chunk_log2 = direction.chunk_log2.saturating_sub(1);
    }
}

/// Gives the receiver what it takes now, and says how many bytes are done with: all of them when it takes no more.
fn put(receiver: &mut Socket, direction: &mut Direction, bytes: &[u8]) -> usize {
    if direction.dead {
        return bytes.len();
    }
    if !receiver.writable || bytes.is_empty() {
        return 0;
    }
    match write(receiver, direction.bytes, bytes) {
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
    while pipe.held_bytes() > 0 && receiver.writable && !direction.dead {
        match hurry(receiver, direction.bytes).and_then(|()| pipe.drain(receiver.fd()?)) {
            Ok(0) => receiver_failed(receiver, direction, &io::ErrorKind::WriteZero.into()),
            Ok(count) => direction.bytes += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => receiver.writable = false,
            Err(error) => receiver_failed(receiver, direction, &error),
        }
    }
}

fn receiver_failed(receiver: &mut Socket, direction: &mut Direction, error: &io::Error) {
    direction.dead = true;
    // A peer that has ended its side before it reset the connection is no longer there, but it is complete.
    receiver.torn = error.kind() != io::ErrorKind::BrokenPipe;
}

/// One write; 0 when the receiver takes nothing now. `sent_before` are the bytes it was sent already.
fn write(receiver: &mut Socket, sent_before: u64, bytes: &[u8]) -> io::Result<usize> {
    hurry(receiver, sent_before)?;
    match socket::send(receiver.fd()?, bytes) {
        Ok(count) => {
            if count < bytes.len() {
                receiver.writable = false;
            }
            Ok(count)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            receiver.writable = false;
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Sets TCP_NODELAY before the second write. Nagle's algorithm holds back only a write that follows an unacknowledged one,
/// so the first write of a connection goes out at once anyway, and a connection of one request is spared the call.
fn hurry(receiver: &mut Socket, sent_before: u64) -> io::Result<()> {
    if sent_before > 0 && !receiver.nodelay {
        receiver.nodelay = true;
        let fd = receiver.fd()?;
        // Fails on Unix sockets, which do not delay.
        let _ = nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::TcpNoDelay, &true);
    }
    Ok(())
}

/// Tells `side` that nothing more comes. A peer that is gone already needs no telling.
pub fn shut(socket: &Socket, direction: &mut Direction) {
    direction.shut = true;
    if let Some(fd) = &socket.fd {
        let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Write);
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
