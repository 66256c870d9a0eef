//! The history file: read at start, replaced as a whole.
//!
//! Owns nothing but the file; what is in it is `history`.

use crate::history::{FILE_BYTES_MAX, History};
use crate::page_file::read_text;
use pen_sys::files;
use std::io::ErrorKind;
use std::path::Path;

/// A file that does not exist is an empty history. The second value is a sentence about lines that could not be read.
///
/// # Errors
/// A sentence that names the file.
pub fn load(path: &Path) -> Result<(History, Option<String>), String> {
    match read_text(path, FILE_BYTES_MAX) {
        Ok(text) => {
            let (history, bad_lines) = History::parse(&text);
            let warning =
                (bad_lines > 0).then(|| format!("{}: {bad_lines} lines are no samples", path.display()));
            Ok((history, warning))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((History::default(), None)),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// # Errors
/// A sentence that names the file.
pub fn store(path: &Path, history: &History) -> Result<(), String> {
    files::write_atomically(path, history.to_text().as_bytes(), files::MODE)
        .map(drop)
        .map_err(|error| format!("{}: {error}", path.display()))
}
