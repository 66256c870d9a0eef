//! Moving bytes from one side of a connection to the other.
//!
//! A read goes into the worker's scratch buffer and is written at once; only what the receiver did not take is kept.
//! While anything is kept, the sender is not read: that is the backpressure, and the bound on memory.

use super::Direction;
use super::buffers::BufferPool;
use super::end::{End, Read};

/// Smallest and largest read, as powers of two: 16 KiB for a newcomer, 256 KiB for a stream. On loopback the larger
/// reads halve the cost per byte; the smaller ones keep what a stalled reader can make us hold small.
pub const CHUNK_LOG2_MIN: u8 = 14;
pub const CHUNK_LOG2_MAX: u8 = 18;
/// The largest read of what is encrypted next.
const ENCRYPTED_CHUNK_LOG2_MAX: u8 = CHUNK_LOG2_MAX - 1;
/// Bytes in a worker's scratch buffer.
pub const SCRATCH_BYTES: usize = 1 << CHUNK_LOG2_MAX;
/// Bytes that one direction may move before the other connections of the worker get their turn.
pub const TURN_BYTES_MAX: usize = 4 * SCRATCH_BYTES;
/// The same where they are encrypted or decrypted.
const TLS_TURN_BYTES_MAX: usize = 512 * 1024;

/// Memory that all connections of a worker use in turns.
pub struct Workspace {
    /// Where reads go, [`SCRATCH_BYTES`] long.
    pub scratch: Vec<u8>,
    /// Room for what is sent in place of what was read.
    pub instead: Vec<u8>,
    pub pool: BufferPool,
}

impl Workspace {
    pub fn new(pool: BufferPool) -> Workspace {
        Workspace { scratch: vec![0; SCRATCH_BYTES], instead: Vec::new(), pool }
    }
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
/// A receiver that fails makes `Direction::receiver_gone` true and no more: what the receiver itself still has to say is
/// relayed by the other direction, which learns of the failure in its turn. Until then the sender is read all the same, for
/// nothing: bytes left unread would make the close a reset, which takes what the sender itself has yet to receive.
#[inline]
pub fn pump(
    sender: &mut End<'_>,
    receiver: &mut End<'_>,
    direction: &mut Direction,
    work: &mut Workspace,
    mut inspect: impl FnMut(&[u8], &mut Vec<u8>) -> Passage,
) -> Flow {
    let is_encrypted = receiver.session.is_some();
    let turn_bytes_max =
        if is_encrypted || sender.session.is_some() { TLS_TURN_BYTES_MAX } else { TURN_BYTES_MAX };
    let mut moved_bytes = 0;
    loop {
        if direction.waits && sender.socket.error {
            return Flow::SenderFailed; // its bytes are not read, but it has reset the connection
        }
        if !receiver.flush(direction, &mut work.pool) || direction.is_unread() {
            return Flow::Waits;
        }
        if moved_bytes >= turn_bytes_max {
            return Flow::TurnOver;
        }
        if is_encrypted {
            direction.chunk_log2 = direction.chunk_log2.min(ENCRYPTED_CHUNK_LOG2_MAX);
        }
        let Read { plain_bytes, wire_bytes } = match sender.read(direction, &mut work.scratch) {
            Ok(Some(read)) => read,
            Ok(None) => return Flow::Waits,
            Err(_) => return Flow::SenderFailed,
        };
        moved_bytes += wire_bytes;
        if plain_bytes > 0 || direction.eof {
            let bytes = look_at(&work.scratch[..plain_bytes], &mut work.instead, direction, &mut inspect);
            receiver.offer(direction, bytes, &mut work.pool);
        }
    }
}

/// What is to be sent when `read` was read.
pub fn look_at<'a>(
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

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
