//! The only waiting there is.

use std::fmt::Debug;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine. Only failures wait so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

const STEP: Duration = Duration::from_millis(5);

/// Looks again and again until the value is wanted, and returns it.
///
/// # Panics
/// After [`PATIENCE`], with `what` and the last value seen.
pub fn eventually<T: Debug>(what: &str, look: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    watch(look, wanted).unwrap_or_else(|last| panic!("waited in vain for: {what}\nlast seen: {last:?}"))
}

/// The same without a panic: `Err` with the last value seen after [`PATIENCE`].
#[allow(clippy::disallowed_methods, reason = "the one place in the tests that looks at the clock and sleeps")]
pub fn watch<T>(mut look: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> Result<T, T> {
    let start = Instant::now();
    loop {
        let value = look();
        if wanted(&value) {
            return Ok(value);
        }
        if start.elapsed() > PATIENCE {
            return Err(value);
        }
        std::thread::sleep(STEP);
    }
}

/// What a thread sends. It may itself be waiting with [`PATIENCE`] for something.
///
/// # Panics
/// When nothing comes: a test that failed must not hang.
pub fn received<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(2 * PATIENCE).expect("something from the other thread")
}

/// What `work` returns and how long it took. For times that a delay made on purpose dominates; a busy machine adds to
/// them what it likes.
#[allow(clippy::disallowed_methods, reason = "see watch")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// Lets time pass in which something must *not* happen. A wrong program is found only if it does the thing within
/// this time; a right one never fails. Returns how much time it was: on a busy machine it is more.
#[allow(clippy::disallowed_methods, reason = "see watch")]
pub fn meanwhile(stretch: Duration) -> Duration {
    let start = Instant::now();
    eventually("time to pass", || start.elapsed(), |passed| *passed >= stretch)
}
