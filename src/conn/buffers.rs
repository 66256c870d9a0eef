//! Buffers for bytes that a receiver did not take at once, and pipes for streams. An idle connection owns none.

use crate::sys::pipe::Pipe;

/// Kept for reuse per worker; more are given back to the allocator.
const POOL_BUFFERS_MAX: usize = 64;

/// Bytes read from one side that the other has not taken yet; never empty while it exists. They are in memory or, of a
/// stream, in a pipe.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Vec<u8>,
    taken: usize,
    pipe: Option<Pipe>,
}

impl Pending {
    /// Those in memory.
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The pipe, if they are there.
    pub fn pipe_mut(&mut self) -> Option<&mut Pipe> {
        self.pipe.as_mut()
    }

    pub fn len(&self) -> usize {
        self.unsent().len() + self.pipe.as_ref().map_or(0, Pipe::held_bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The receiver took `count` bytes of those in memory.
    pub fn take(&mut self, count: usize) {
        self.taken += count;
        debug_assert!(self.taken <= self.bytes.len());
    }

    /// Puts bytes in front of those that are not sent.
    pub fn put_before(&mut self, bytes: &[u8]) {
        self.bytes.splice(self.taken..self.taken, bytes.iter().copied());
    }

    /// To append what a filter produces.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// A worker's spare buffers and pipes. The default has no pipes.
#[derive(Debug, Default)]
pub struct BufferPool {
    #[expect(clippy::vec_box, reason = "the boxes are what connections hold: reuse must not allocate")]
    spare: Vec<Box<Pending>>,
    spare_pipes: Vec<Pipe>,
    /// Spare ones and those with bytes of a connection.
    pipes: usize,
    pipes_max: usize,
}

impl BufferPool {
    /// With so many pipes at most; each takes two descriptors.
    pub fn with_pipes(pipes_max: usize) -> BufferPool {
        BufferPool { pipes_max, ..BufferPool::default() }
    }

    /// An empty pipe; `None` when all are in use or none can be made.
    pub fn pipe(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.spare_pipes.pop() {
            return Some(pipe);
        }
        if self.pipes >= self.pipes_max {
            return None;
        }
        let pipe = Pipe::new().ok()?;
        self.pipes += 1;
        Some(pipe)
    }

    /// A buffer of what is in the pipe.
    pub fn hold_pipe(&mut self, pipe: Pipe) -> Box<Pending> {
        let mut pending = self.spare.pop().unwrap_or_default();
        pending.pipe = Some(pipe);
        pending
    }

    /// Takes a pipe back. One that nobody will empty any more is closed.
    pub fn give_back_pipe(&mut self, pipe: Pipe) {
        match pipe.held_bytes() {
            0 => self.spare_pipes.push(pipe),
            _ => self.pipes -= 1,
        }
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn hold(&mut self, bytes: &[u8]) -> Box<Pending> {
        let mut pending = self.spare.pop().unwrap_or_default();
        pending.bytes.extend_from_slice(bytes);
        pending
    }

    /// Takes a buffer back, if there is one.
    pub fn give_back(&mut self, pending: impl Into<Option<Box<Pending>>>) {
        let Some(mut pending) = pending.into() else { return };
        if let Some(pipe) = pending.pipe.take() {
            self.give_back_pipe(pipe);
        }
        if self.spare.len() < POOL_BUFFERS_MAX {
            pending.bytes.clear();
            pending.taken = 0;
            self.spare.push(pending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_comes_back_empty() {
        let mut pool = BufferPool::default();
        let mut first = pool.hold(b"abcdef");
        first.take(2);
        assert_eq!(first.unsent(), b"cdef");
        pool.give_back(first);
        assert_eq!(pool.hold(b"x").unsent(), b"x");
    }

    #[test]
    fn what_is_put_before_is_sent_next() {
        let mut pending = BufferPool::default().hold(b"abcdef");
        pending.take(2);
        pending.put_before(b"123");
        assert_eq!((pending.unsent(), pending.len()), (&b"123cdef"[..], 7));
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = BufferPool::default();
        let held: Vec<_> = (0..POOL_BUFFERS_MAX + 10).map(|_| pool.hold(b"x")).collect();
        held.into_iter().for_each(|pending| pool.give_back(pending));
        assert_eq!(pool.spare.len(), POOL_BUFFERS_MAX);
    }
}
