//! Threads that speak with the voice of the thread that started them.

use crate::diag::Voice;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread.
///
/// # Errors
/// The system has no room for one more.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_by(Builder::new().name(name.into()), work)
}

/// As [`spawn`], with a stack or a name of one's own.
///
/// # Errors
/// As there.
pub fn spawn_by<T: Send + 'static>(
    builder: Builder,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let voice = Voice::of_this_thread();
    builder.spawn(move || Voice::with(voice, work))
}
