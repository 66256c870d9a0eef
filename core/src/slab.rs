//! Things by small stable numbers: a worker's connections, sessions, idlers. Pure.
//!
//! A number that became free is not given out before [`Slab::recycle`]: events of the same wake-up may still carry it.

use crate::chunked::Chunked;
use std::collections::TryReserveError;

#[derive(Debug)]
pub struct Slab<T> {
    entries: Chunked<Option<T>>,
    free: Vec<u32>,
    freed_now: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { entries: Chunked::default(), free: Vec::new(), freed_now: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(value);
                index
            }
            None => {
                self.entries.push(Some(value));
                (self.entries.len() - 1) as u32
            }
        }
    }

    /// Makes sure that the next [`Slab::insert`] needs no memory.
    ///
    /// # Errors
    /// There is none.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        if self.free.is_empty() { self.entries.try_reserve() } else { Ok(()) }
    }

    pub fn get(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    pub fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.entries.get_mut(index as usize)?.take()?;
        self.freed_now.push(index);
        Some(value)
    }

    /// Makes the numbers freed since the last call available again. Called between wake-ups.
    pub fn recycle(&mut self) {
        self.free.append(&mut self.freed_now);
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| Some((index as u32, entry.as_ref()?)))
    }

    /// How many numbers are in use.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len() - self.freed_now.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many numbers there are, in use and free.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    /// All numbers in use.
    pub fn indices(&self) -> Vec<u32> {
        self.iter().map(|(index, _)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_number_waits_for_the_end_of_the_wake_up() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_ne!(slab.insert('c'), a, "an event for 'a' may still be on its way");
        slab.recycle();
        assert_eq!(slab.insert('d'), a);
        assert_eq!(slab.get(b), Some(&'b'));
        assert_eq!((slab.indices(), slab.len()), (vec![0, 1, 2], 3));
    }
}
