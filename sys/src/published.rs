//! A value that one thread exchanges as a whole while others work with it.
//!
//! Each reader has a copy, [`Held`], and asks from time to time whether it is the present one, which costs a look at a
//! number.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks. A panic elsewhere does not make the state behind a lock unusable: every holder leaves it consistent.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The present value.
#[derive(Debug, Default)]
pub struct Published<T> {
    value: Mutex<Arc<T>>,
    /// Moves with every change, after it.
    generation: AtomicU64,
}

impl<T> Published<T> {
    pub fn new(value: T) -> Published<T> {
        Published { value: Mutex::new(Arc::new(value)), generation: AtomicU64::new(0) }
    }

    pub fn get(&self) -> Arc<T> {
        lock(&self.value).clone()
    }

    pub fn set(&self, value: T) {
        *lock(&self.value) = Arc::new(value);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// A reader's copy of what is [`Published`], perhaps an older one than the present.
#[derive(Debug)]
pub struct Held<T> {
    value: Arc<T>,
    /// The value is at least as new as this.
    generation: u64,
}

impl<T> Held<T> {
    pub fn of(published: &Published<T>) -> Held<T> {
        // In this order: a value that changes in between is taken once more.
        let generation = published.generation.load(Ordering::Acquire);
        Held { value: published.get(), generation }
    }

    /// Takes the present value, and returns the one before if it has changed.
    pub fn follow(&mut self, published: &Published<T>) -> Option<Arc<T>> {
        if published.generation.load(Ordering::Acquire) == self.generation {
            return None;
        }
        Some(std::mem::replace(self, Held::of(published)).value)
    }

    pub fn share(&self) -> Arc<T> {
        self.value.clone()
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_lock_outlives_a_panic() {
        let shared = Arc::new(Mutex::new(1));
        let theirs = shared.clone();
        let panicked = thread::spawn(move || {
            *lock(&theirs) = 2;
            let _held = lock(&theirs);
            panic!("with the lock");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*lock(&shared), 2);
    }

    #[test]
    fn a_reader_goes_on_with_its_copy_until_it_follows() {
        let published = Published::new("old");
        let mut held = Held::of(&published);
        assert_eq!(held.follow(&published), None);
        published.set("new");
        assert_eq!(*held, "old");
        assert_eq!(held.follow(&published).as_deref(), Some(&"old"));
        assert_eq!((*held, held.follow(&published)), ("new", None));
    }
}
