//! Buffers for bytes that a receiver did not take at once. An idle connection owns none.

/// Kept for reuse per worker; more are given back to the allocator.
const POOL_BUFFERS_MAX: usize = 64;

/// Bytes read from one side that the other has not taken yet; never empty while it exists.
#[derive(Debug)]
pub struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

impl Pending {
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The receiver took `count` bytes.
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

/// A worker's spare buffers.
#[derive(Debug, Default)]
pub struct BufferPool {
    #[expect(clippy::vec_box, reason = "the boxes are what connections hold: reuse must not allocate")]
    spare: Vec<Box<Pending>>,
}

impl BufferPool {
    /// A buffer that holds a copy of `bytes`.
    pub fn hold(&mut self, bytes: &[u8]) -> Box<Pending> {
        let mut pending =
            self.spare.pop().unwrap_or_else(|| Box::new(Pending { bytes: Vec::new(), taken: 0 }));
        pending.bytes.extend_from_slice(bytes);
        pending
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, mut pending: Box<Pending>) {
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
