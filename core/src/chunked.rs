//! A list that grows without moving what is in it.
//!
//! Owns memory in pieces of equal size. The tables that have an entry for each connection are made of it: a `Vec` that
//! grows to a million entries is copied on the way, for which everybody waits, and leaves holes behind in which nothing
//! else fits. Pure; used by `timers.rs` and `slab.rs`.

use std::collections::TryReserveError;
use std::ops::{Index, IndexMut};

/// Entries in one piece.
const CHUNK: usize = 256;

#[derive(Debug)]
pub struct Chunked<T> {
    /// All full but the last, which may be empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Chunked<T> {
        Chunked { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that the next [`Chunked::push`] needs no memory.
    ///
    /// # Errors
    /// There is none.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(CHUNK)?;
            self.chunks.try_reserve(1)?;
            self.chunks.push(chunk);
        }
        Ok(())
    }

    pub fn push(&mut self, value: T) {
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => last.push(value),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_a_vec_holds_and_never_moves_it() {
        let mut list = Chunked::default();
        assert!(list.is_empty());
        list.push(0);
        let first: *const usize = &list[0];
        for number in 1..3 * CHUNK {
            assert_eq!((list.len(), list.get(number), list.is_empty()), (number, None, false));
            list.try_reserve().unwrap();
            assert_eq!((list.len(), list.get(number)), (number, None));
            list.push(number);
        }
        assert_eq!(first, &raw const list[0]);
        assert!(list.iter().copied().eq(0..3 * CHUNK));
        list[CHUNK] = 7;
        *list.get_mut(CHUNK - 1).unwrap() = 8;
        assert_eq!([list[CHUNK - 1], list[CHUNK], list[CHUNK + 1]], [8, 7, CHUNK + 1]);
        assert!(list.get_mut(3 * CHUNK).is_none());
    }
}
