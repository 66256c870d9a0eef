//! Buffers for bytes that a receiver did not take at once, and pipes for streams. An idle connection owns none.

use crate::os::Pipe;

/// Kept for reuse per worker; more are given back to the allocator.
const POOL_BUFFERS_MAX: usize = 64;

/// Bytes read from one side that the other has not taken yet; never empty while it exists. They are in memory or, of a
/// stream, in a pipe; where both have some, those in the pipe are before the others.
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

    /// Whether those in memory are the next.
    pub fn has_empty_pipe(&self) -> bool {
        self.pipe.as_ref().is_none_or(|pipe| pipe.held_bytes() == 0)
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
    /// The fewest spare buffers and pipes since the last [`BufferPool::shrink`]: nobody needed these.
    spare_least: usize,
    spare_pipes_least: usize,
    /// Of buffers given back to the allocator since then.
    freed_bytes: usize,
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
            self.spare_pipes_least = self.spare_pipes_least.min(self.spare_pipes.len());
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
        let mut pending = self.buffer();
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

    fn buffer(&mut self) -> Box<Pending> {
        let spare = self.spare.pop();
        self.spare_least = self.spare_least.min(self.spare.len());
        spare.unwrap_or_default()
    }

    /// Whether there is something to [`BufferPool::shrink`], now or later.
    pub fn has_spares(&self) -> bool {
        !self.spare.is_empty() || !self.spare_pipes.is_empty() || self.freed_bytes > 0
    }

    /// Gives up what nobody has needed since the last call. Returns how many bytes the allocator got back since then.
    pub fn shrink(&mut self) -> usize {
        let unused = self.spare.drain(..self.spare_least);
        self.freed_bytes += unused.map(|pending| pending.bytes.capacity()).sum::<usize>();
        self.spare_pipes.drain(..self.spare_pipes_least);
        self.pipes -= self.spare_pipes_least;
        self.spare_least = self.spare.len();
        self.spare_pipes_least = self.spare_pipes.len();
        std::mem::take(&mut self.freed_bytes)
    }

    /// Whether every pipe is here.
    #[cfg(test)]
    pub fn is_balanced(&self) -> bool {
        self.pipes == self.spare_pipes.len()
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn hold(&mut self, bytes: &[u8]) -> Box<Pending> {
        let mut pending = self.buffer();
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
        } else {
            self.freed_bytes += pending.bytes.capacity();
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
    fn what_nobody_needs_is_given_up() {
        let mut pool = BufferPool::with_pipes(2);
        let held: Vec<_> = (0..5).map(|_| pool.hold(&[0; 1000])).collect();
        held.into_iter().for_each(|pending| pool.give_back(pending));
        let pipe = pool.pipe().expect("there are none yet");
        pool.give_back_pipe(pipe);
        assert_eq!(pool.shrink(), 0, "all have been in use lately");
        let held = [pool.hold(b"x"), pool.hold(b"x")];
        held.into_iter().for_each(|pending| pool.give_back(pending));
        assert!(pool.shrink() >= 3000);
        assert_eq!((pool.spare.len(), pool.spare_pipes.len(), pool.pipes), (2, 0, 0));
        assert!(pool.shrink() >= 2000);
        assert!(!pool.has_spares());
        assert!(pool.pipe().is_some(), "there may be new ones");
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = BufferPool::default();
        let held: Vec<_> = (0..POOL_BUFFERS_MAX + 10).map(|_| pool.hold(b"x")).collect();
        held.into_iter().for_each(|pending| pool.give_back(pending));
        assert_eq!(pool.spare.len(), POOL_BUFFERS_MAX);
    }
}
