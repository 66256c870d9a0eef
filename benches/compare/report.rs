//! The tables as they are printed, and as they are put into a document beside those of other runs.

use super::workloads::WORKLOADS;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// What is between these marks is replaced.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->"];
/// Before each title.
const HEADING: &str = "\n### ";

/// What a run has brought.
pub struct Report {
    /// The machine, and how it was measured.
    pub conditions: String,
    /// Titles and tables.
    pub tables: Vec<(&'static str, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.conditions)?;
        self.tables.iter().try_for_each(|(title, table)| write!(f, "{HEADING}{title}\n\n{table}"))
    }
}

impl Report {
    /// Puts the tables between the marks of a file. If some were not measured, those that are there stay, with the
    /// conditions under which they were measured, and each new one tells its own.
    ///
    /// # Errors
    /// When the file cannot be read or written, or has no marks.
    pub fn write_to(&self, file: &Path) -> io::Result<()> {
        let old = fs::read_to_string(file)?;
        let parts = old
            .split_once(MARKS[0])
            .and_then(|(before, rest)| rest.split_once(MARKS[1]).map(|(old, after)| (before, old, after)));
        let (before, old, after) =
            parts.ok_or_else(|| io::Error::other(format!("{}: has no marks", file.display())))?;
        let new = if self.tables.len() == WORKLOADS.len() { self.to_string() } else { self.merged(old) };
        fs::write(file, format!("{before}{}\n{}\n\n{}{after}", MARKS[0], new.trim_end(), MARKS[1]))
    }

    fn merged(&self, old: &str) -> String {
        let mut parts = old.trim().split(HEADING);
        let conditions = parts.next().unwrap_or("");
        let mut sections: BTreeMap<&str, String> = parts
            .filter_map(|part| part.split_once('\n'))
            .map(|(title, text)| (title, text.trim().to_owned()))
            .collect();
        for (title, table) in &self.tables {
            sections.insert(title, format!("{}\n\n{}", self.conditions, table.trim_end()));
        }
        let in_order = WORKLOADS.iter().filter_map(|workload| sections.get_key_value(workload.title));
        let sections: String =
            in_order.map(|(title, text)| format!("{HEADING}{title}\n\n{text}\n")).collect();
        format!("{}\n{sections}", conditions.trim_end())
    }
}
