//! Streams whose bytes nobody looks at: they go from socket to socket inside the kernel.
//!
//! The same rules as in `relay`: what the receiver has not taken is kept, here in the pipe, and while anything is kept,
//! the sender is not read. A pipe is to a stream what the scratch buffer is to everything else: it belongs to the worker,
//! and to a connection only while something is in it. Called by `worker/relay.rs`.

use super::buffers::BufferPool;
use super::end::End;
use super::relay::{self, Flow, Passage, Workspace};
use super::{Direction, Socket};
use crate::calls;
use crate::os::Pipe;
use nix::errno::Errno;
use std::io;

/// Who gets a copy of a stream.
pub trait Tap {
    /// Whether it can take a copy of what is read next. Asked when the receiver has what was read before.
    fn is_ready(&mut self) -> bool;
    /// The pipe has what the receiver gets next.
    fn copy(&mut self, pipe: &Pipe);
    /// Nothing more comes.
    fn end(&mut self);
}

/// Nobody.
impl Tap for () {
    fn is_ready(&mut self) -> bool {
        true
    }

    fn copy(&mut self, _: &Pipe) {}

    fn end(&mut self) {}
}

/// Moves what can be moved if it is a stream, a pipe is free and a copy can be taken. `None`: the rest must be copied.
pub fn pump_tapped(
    sender: &mut Socket,
    receiver: &mut Socket,
    direction: &mut Direction,
    pool: &mut BufferPool,
    tap: &mut impl Tap,
) -> Option<Flow> {
    let is_spliced = !direction.waits && is_stream(sender, direction);
    if is_spliced { splice(sender, receiver, direction, pool, tap) } else { None }
}

/// Moves what can be moved, as [`relay::pump`] does: through a pipe if it is a stream and a pipe is free, else by copying.
#[inline]
pub fn pump(
    sender: &mut Socket,
    receiver: &mut Socket,
    direction: &mut Direction,
    work: &mut Workspace,
) -> Flow {
    // Most events concern one direction only.
    if direction.is_at_rest(sender) { Flow::Waits } else { pump_some(sender, receiver, direction, work) }
}

fn pump_some(
    sender: &mut Socket,
    receiver: &mut Socket,
    direction: &mut Direction,
    work: &mut Workspace,
) -> Flow {
    let flow = if is_stream(sender, direction) {
        splice(sender, receiver, direction, &mut work.pool, &mut ())
    } else {
        None
    };
    flow.unwrap_or_else(|| {
        relay::pump(&mut End::plain(sender), &mut End::plain(receiver), direction, work, |_, _| {
            Passage::AsRead
        })
    })
}

/// Whether the sender has filled one read after the other. Urgent bytes and the last ones before a hang-up are left to
/// reads, which know about them.
fn is_stream(sender: &Socket, direction: &Direction) -> bool {
    direction.chunk_log2 == relay::CHUNK_LOG2_MAX && !sender.drain_before_end && !direction.receiver_gone
}

/// `None` when the rest must be copied.
fn splice(
    sender: &mut Socket,
    receiver: &mut Socket,
    direction: &mut Direction,
    pool: &mut BufferPool,
    tap: &mut impl Tap,
) -> Option<Flow> {
    let mut moved_bytes = 0;
    loop {
        if !End::plain(receiver).flush(direction, pool) || direction.eof || !sender.readable {
            return Some(Flow::Waits);
        }
        if moved_bytes >= relay::TURN_BYTES_MAX {
            return Some(Flow::TurnOver);
        }
        if direction.receiver_gone || !tap.is_ready() {
            return None;
        }
        let mut pipe = pool.pipe()?;
        calls::count(|calls| calls.receives += 1);
        let filled = sender.fd().and_then(|fd| pipe.fill(fd));
        match pipe.held_bytes() {
            0 => pool.give_back_pipe(pipe),
            _ => {
                tap.copy(&pipe);
                direction.pending = Some(pool.hold_pipe(pipe));
            }
        }
        match filled {
            Ok(0) if sender.peer_reset => return Some(Flow::SenderFailed),
            Ok(0) => {
                direction.eof = true;
                tap.end();
            }
            Ok(count) => moved_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sender.readable = false,
            // A kind of socket that knows no splice.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => return None,
            Err(_) => return Some(Flow::SenderFailed),
        }
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
