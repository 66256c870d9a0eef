//! Threads of the library in a program of others: they take no signals, and nobody waits for them.

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::thread::Builder;

const STACK_BYTES: usize = 256 << 10;

/// Starts one; `None` when there is none to be had.
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Option<()> {
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).ok()?;
    let started = Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(work);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None).ok()?;
    started.ok().map(drop)
}
