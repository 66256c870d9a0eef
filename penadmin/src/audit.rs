//! The audit file: a line for every change that somebody has asked for, before it is made.
//!
//! Five fields, parted by tabs: time (UTC), name, door, pen, line. What could part fields, end a line or confuse a
//! terminal is escaped. Appended in one write(2), so that lines of several programs do not mix; opened again on HUP.

use pen_proto::escape::Escaped;
use pen_sys::{clock, errors, files};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where changes are written down.
pub struct Audit {
    /// `None` for standard error.
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
}

impl Audit {
    /// Opens the file, for appending; without one the lines go to standard error.
    ///
    /// # Errors
    /// It cannot be opened; the text names it.
    pub fn open(path: Option<PathBuf>) -> Result<Audit, String> {
        let file = path.as_deref().map(append).transpose()?;
        Ok(Audit { path, file: Mutex::new(file) })
    }

    /// Opens the file anew, after it was rotated.
    ///
    /// # Errors
    /// It cannot be opened. The old one stays open then.
    pub fn reopen(&self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = append(path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    /// Writes a change down.
    ///
    /// # Errors
    /// It cannot be written; whoever wanted the change must not make it then.
    pub fn record(&self, name: &str, door: &str, pen: &str, line: &str) -> Result<(), String> {
        let text = entry(clock::epoch_ms(), name, door, pen, line);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match file.as_mut() {
            Some(file) => write_whole(file, text.as_bytes()),
            None => io::stderr().write_all(text.as_bytes()),
        };
        written.map_err(|error| format!("audit: {}", errors::reason(&error)))
    }
}

fn append(path: &Path) -> Result<File, String> {
    files::open_append(path).map_err(|error| format!("{}: {}", path.display(), errors::reason(&error)))
}

/// At once or not at all: half a line must not stand before the next one.
fn write_whole(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    match file.write(bytes)? {
        count if count == bytes.len() => Ok(()),
        _ => {
            // A full disk took a part. It is ended, so that it stays a line of its own.
            file.write_all(b"\n")?;
            Err(io::ErrorKind::StorageFull.into())
        }
    }
}

fn entry(epoch_ms: u64, name: &str, door: &str, pen: &str, line: &str) -> String {
    let time = chrono::DateTime::from_timestamp_millis(epoch_ms as i64).unwrap_or_default();
    let time = time.format("%Y-%m-%dT%H:%M:%S%.3fZ");
    format!("{time}\t{}\t{}\t{}\t{}\n", Escaped(name), Escaped(door), Escaped(pen), Escaped(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;
    use std::fs;

    #[test]
    fn a_change_is_a_line_whatever_was_in_it() {
        assert_eq!(
            entry(1_764_500_000_123, "anna", "web", "/run/pen/control", "server 1 disable"),
            "2025-11-30T10:53:20.123Z\tanna\tweb\t/run/pen/control\tserver 1 disable\n"
        );
        let hostile = entry(0, "a\tb", "web", "x\ny", "\u{1b}[2J\u{202e}");
        assert_eq!(hostile.matches('\t').count(), 4, "{hostile}");
        assert_eq!(hostile.matches('\n').count(), 1, "{hostile}");
        assert!(!hostile.contains(['\u{1b}', '\u{202e}']), "{hostile}");
    }

    #[test]
    fn lines_are_appended_and_go_on_in_a_new_file() {
        let directory = TempDir::new();
        let path = directory.file("audit", "before\n");
        let audit = Audit::open(Some(path.clone())).unwrap();
        audit.record("anna", "web", "one", "write").unwrap();
        let moved = directory.path().join("audit.1");
        fs::rename(&path, &moved).unwrap();
        audit.reopen().unwrap();
        audit.record("anna", "ssh", "one", "reload").unwrap();
        let old = fs::read_to_string(moved).unwrap();
        assert!(old.starts_with("before\n") && old.ends_with("\tanna\tweb\tone\twrite\n"), "{old}");
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let audit = Audit::open(Some("/dev/full".into())).unwrap();
        assert!(audit.record("anna", "web", "one", "write").unwrap_err().starts_with("audit: "));
        assert!(Audit::open(Some("/nowhere/audit".into())).is_err());
    }
}
