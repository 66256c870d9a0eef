//! The pens: where each is, and its figures, asked for all at once.
//!
//! Owns the deadline of the whole round and what a pen is called. How one answers is `control` and `page_file`.

use crate::{control, page_file};
use pen_proto::status::Status;
use pen_sys::clock;
use std::fmt;
use std::path::PathBuf;
use std::thread;

/// One pen to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Empty when it is the only one and nobody gave it a name.
    pub name: String,
    pub place: Place,
}

/// How its figures are had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Control socket: a path or HOST:PORT.
    Control(String),
    /// The page it writes on USR1; without a pid file, as it was written last.
    Page { pid_file: Option<PathBuf>, page: PathBuf },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Control(address) => f.write_str(address),
            Place::Page { page, .. } => page.display().fmt(f),
        }
    }
}

impl Source {
    /// Asks the pen; blocks until `deadline_ms` (monotonic) at most.
    ///
    /// # Errors
    /// A sentence that names the place.
    fn ask(&self, deadline_ms: u64) -> Result<Status, String> {
        match &self.place {
            Place::Control(address) => control::status(address, deadline_ms),
            Place::Page { pid_file: None, page } => page_file::read(page),
            Place::Page { pid_file: Some(pid_file), page } => page_file::renew(pid_file, page, deadline_ms),
        }
    }
}

/// What every pen answers, in their order. One that is slow delays the others by `timeout_seconds` at most.
pub fn ask_all(sources: &[Source], timeout_seconds: u32) -> Vec<Result<Status, String>> {
    let deadline_ms = clock::monotonic_ms() + u64::from(timeout_seconds) * 1000;
    if let [one] = sources {
        return vec![one.ask(deadline_ms)];
    }
    thread::scope(|scope| {
        let asked: Vec<_> =
            sources.iter().map(|source| scope.spawn(move || source.ask(deadline_ms))).collect();
        asked
            .into_iter()
            .map(|answer| answer.join().unwrap_or_else(|_| Err("webstats failed".into())))
            .collect()
    })
}
