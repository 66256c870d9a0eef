//! One line on the terminal while a long merge runs.
//!
//! Owns when it is shown, how often, and its removal. Called by `merge` every so many lines.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A merge that takes no longer is not worth a word.
const SILENCE: Duration = Duration::from_secs(2);

const INTERVAL: Duration = Duration::from_millis(500);

/// Back to the start of the line, and erase it.
const CLEAR_LINE: &str = "\r\x1b[K";

pub struct Progress {
    /// `None` when nobody watches.
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Shows nothing unless standard error is a terminal, and standard output is not.
    pub fn new() -> Progress {
        let watched = io::stderr().is_terminal() && !io::stdout().is_terminal();
        Progress { next: watched.then(|| now() + SILENCE), shown: false }
    }

    /// `read_bytes` of `total_bytes`; a total of 0 is not known.
    pub fn show(&mut self, lines: u64, read_bytes: u64, total_bytes: u64) {
        let Some(next) = self.next else { return };
        let now = now();
        if now < next {
            return;
        }
        self.next = Some(now + INTERVAL);
        self.shown = true;
        // A terminal that is gone is no reason to stop merging.
        let _ = write!(io::stderr(), "{CLEAR_LINE}{}", describe(lines, read_bytes, total_bytes));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock of this program: it only paces messages")]
fn now() -> Instant {
    Instant::now()
}

fn describe(lines: u64, read_bytes: u64, total_bytes: u64) -> String {
    let percent =
        (read_bytes * 100).checked_div(total_bytes).map(|percent| format!(" ({} %)", percent.min(100)));
    format!("mergelogs: {lines} lines{}", percent.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_where_the_end_is_known() {
        assert_eq!(describe(5, 50, 200), "mergelogs: 5 lines (25 %)");
        assert_eq!(describe(5, 50, 0), "mergelogs: 5 lines");
        assert_eq!(describe(5, 300, 200), "mergelogs: 5 lines (100 %)");
    }
}
