//! The tables of a run as they are printed, and as they take the place of those in a document.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// What is between these marks is replaced.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->"];

/// What a run has brought.
pub struct Report {
    /// The day, the machine, and how it was measured.
    pub conditions: String,
    /// What different programs need.
    pub programs: String,
    /// Workloads in which pen is compared with itself: titles and tables.
    pub settings: Vec<(&'static str, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}", self.conditions, self.programs)?;
        self.settings.iter().try_for_each(|(title, table)| write!(f, "\n### {title}\n\n{table}"))
    }
}

impl Report {
    /// Puts the tables between the marks of a file, in the place of all that is there.
    ///
    /// # Errors
    /// When the file cannot be read or written, or has no marks.
    pub fn write_to(&self, file: &Path) -> io::Result<()> {
        let old = fs::read_to_string(file)?;
        let parts = old
            .split_once(MARKS[0])
            .and_then(|(before, rest)| rest.split_once(MARKS[1]).map(|(_, after)| (before, after)));
        let (before, after) =
            parts.ok_or_else(|| io::Error::other(format!("{}: has no marks", file.display())))?;
        let new = self.to_string();
        fs::write(file, format!("{before}{}\n{}\n\n{}{after}", MARKS[0], new.trim_end(), MARKS[1]))
    }
}
