//! Signals, turned into flags that the main thread reads between turns.
//!
//! Handlers do no more than set a flag and write a byte (crate `signal-hook`); SIGPIPE is ignored by the Rust runtime.

use crate::waking::Waker;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals as SignalsIterator;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// TERM, INT: end now.
    Stop,
    /// HUP: open the log again, read the configuration again.
    Reload,
    /// USR1.
    Statistics,
    /// USR2: take no more clients, end when the last one has.
    Drain,
    /// QUIT: the same, for a restart: listening sockets stay open for the next pen.
    HandOver,
}

#[derive(Debug)]
pub struct Signals(Vec<(Request, Arc<AtomicBool>)>);

impl Signals {
    /// Installs the handlers. Each signal also wakes the main thread.
    pub fn install(waker: &Waker) -> io::Result<Signals> {
        let wanted = [
            (SIGTERM, Request::Stop),
            (SIGINT, Request::Stop),
            (SIGHUP, Request::Reload),
            (SIGUSR1, Request::Statistics),
            (SIGUSR2, Request::Drain),
            (SIGQUIT, Request::HandOver),
        ];
        let mut flags = Vec::new();
        for (signal, request) in wanted {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, flag.clone())?;
            signal_hook::low_level::pipe::register(signal, waker.stream()?)?;
            flags.push((request, flag));
        }
        // Handlers first: what was held back until now is obeyed.
        unblock(&wanted.map(|(signal, _)| signal))?;
        // Not to end with a log that has reached the file size limit: with a handler, write(2) says so instead.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        Ok(Signals(flags))
    }

    /// What was asked since the last call; a stop comes first.
    pub fn take(&self) -> Vec<Request> {
        let asked = self.0.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        asked.map(|(request, _)| *request).collect()
    }
}

/// Has a program that a signal ends do this last. For small programs, which have no main loop to be woken.
///
/// # Errors
/// Out of descriptors or threads.
pub fn before_death(cleanup: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = SignalsIterator::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            cleanup();
            // Ends the program as the signal would have.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// A process inherits which signals are held back from whoever started it, and could then not be told to end.
fn unblock(signals: &[i32]) -> io::Result<()> {
    let signals: SigSet = signals.iter().filter_map(|&signal| Signal::try_from(signal).ok()).collect();
    Ok(signals.thread_unblock()?)
}
