//! Looks at passwords: each takes a core for a while, and 19 MiB, so that few happen at once.
//!
//! Strangers wait in one queue, however many they are and wherever they come from. Who comes from a network from which
//! somebody has come in before waits in another, and so not behind them.

use crate::users::password;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Looks at once, for each of the two queues.
const AT_ONCE: usize = 1;
/// Those that may wait in a queue, beside the one that is looked at.
const WAITING_MAX: usize = 8;

/// Both queues.
#[derive(Default)]
pub struct Looks {
    strangers: Queue,
    known: Queue,
}

/// There was no place in the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

struct Queue {
    places: Arc<Semaphore>,
    /// Those who wait, and those who are looked at.
    inside: AtomicUsize,
}

impl Looks {
    /// Looks at the password where that keeps nobody else waiting; returns the hash if it is right.
    ///
    /// # Errors
    /// Too many wait already.
    pub async fn look(
        &self,
        is_known: bool,
        password: String,
        hash: Option<String>,
    ) -> Result<Option<String>, Crowded> {
        let queue = if is_known { &self.known } else { &self.strangers };
        let _inside = Inside::enter(&queue.inside).ok_or(Crowded)?;
        let place = queue.places.clone().acquire_owned().await.map_err(|_| Crowded)?;
        let looked = tokio::task::spawn_blocking(move || {
            let is_right = password::verify(&password, hash.as_deref());
            // Whoever has asked may be gone: the place is taken for as long as the work takes, not the wish for it.
            drop(place);
            hash.filter(|_| is_right)
        });
        looked.await.map_err(|_| Crowded)
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { places: Arc::new(Semaphore::new(AT_ONCE)), inside: AtomicUsize::new(0) }
    }
}

/// Somebody in a queue.
struct Inside<'a>(&'a AtomicUsize);

impl Inside<'_> {
    fn enter(inside: &AtomicUsize) -> Option<Inside<'_>> {
        let more = |count| (count < AT_ONCE + WAITING_MAX).then_some(count + 1);
        inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| Inside(inside))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    fn begin(look: Pin<&mut impl Future<Output = Result<Option<String>, Crowded>>>) -> bool {
        look.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn strangers_wait_for_each_other_and_nobody_for_them() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let looks = Looks::default();
        let hash = password::hash("sesame").unwrap();
        let stranger = || Box::pin(looks.look(false, "wrong".into(), None));
        let mut crowd: Vec<_> = (0..AT_ONCE + WAITING_MAX).map(|_| stranger()).collect();
        assert!(crowd.iter_mut().all(|look| begin(look.as_mut())));
        assert_eq!(runtime.block_on(stranger()), Err(Crowded));
        let known = runtime.block_on(looks.look(true, "sesame".into(), Some(hash.clone())));
        assert_eq!(known, Ok(Some(hash)));
        for look in crowd {
            assert_eq!(runtime.block_on(look), Ok(None));
        }
        assert_eq!(runtime.block_on(stranger()), Ok(None), "there is room again");
    }

    #[test]
    fn who_leaves_does_not_make_room_before_the_work_is_done() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let looks = Looks::default();
        {
            let mut leaving = pin!(looks.look(false, "wrong".into(), None));
            assert!(begin(leaving.as_mut()));
        }
        assert_eq!(looks.strangers.inside.load(Ordering::SeqCst), 0);
        assert!(looks.strangers.places.clone().try_acquire_owned().is_err(), "the work has begun");
        assert_eq!(runtime.block_on(looks.look(false, "wrong".into(), None)), Ok(None));
    }
}
