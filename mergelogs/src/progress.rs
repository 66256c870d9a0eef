//! One line on the terminal while a long merge runs.
//!
//! Owns when it is shown, how often, and its removal. Called by `merge` every few lines; paced by lines, so that no
//! clock is needed.

use std::io::{self, IsTerminal, Write};

/// A merge of fewer lines is over in a few seconds and not worth a word.
const SILENT_LINES: u64 = 1 << 21;

/// Several times a second at full speed.
const INTERVAL_LINES: u64 = 1 << 18;

/// Back to the start of the line, and erase it.
const CLEAR_LINE: &str = "\r\x1b[K";

pub struct Progress {
    is_watched: bool,
    next_lines: u64,
    shown: bool,
}

impl Progress {
    /// Shows nothing unless standard error is a terminal on which no merged lines appear.
    pub fn new(is_merged_into_file: bool) -> Progress {
        Progress::watched(io::stderr().is_terminal() && (is_merged_into_file || !io::stdout().is_terminal()))
    }

    fn watched(is_watched: bool) -> Progress {
        Progress { is_watched, next_lines: SILENT_LINES, shown: false }
    }

    /// Whether to call [`Progress::show`] after so many lines.
    pub fn is_due(&self, lines: u64) -> bool {
        self.is_watched && lines >= self.next_lines
    }

    /// `read_bytes` of `total_bytes`; a total of 0 is not known.
    pub fn show(&mut self, lines: u64, read_bytes: u64, total_bytes: u64) {
        self.next_lines = lines + INTERVAL_LINES;
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

    #[test]
    fn it_is_due_when_long_and_watched() {
        let watched = Progress::watched(true);
        assert!(!watched.is_due(SILENT_LINES - 1) && watched.is_due(SILENT_LINES + 1));
        assert!(!Progress::watched(false).is_due(SILENT_LINES + 1));
    }
}
