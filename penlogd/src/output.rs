//! Where the joined log goes: a file that can be reopened, or standard output.
//!
//! Owns the buffer between, and what happens when nothing can be written: lines are dropped, counted, and the first
//! failure is told, once until it is over. Called by `main`.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use pen_sys::files;

/// Lines are kept back no longer than until there are so many bytes of them.
const BUFFER_BYTES: usize = 256 << 10;

pub struct Output {
    file: File,
    /// `None`: standard output.
    path: Option<PathBuf>,
    /// Append whole lines here.
    pub buffer: Vec<u8>,
    /// Lines that could not be written.
    pub lost_lines: u64,
    failing: bool,
    /// The file ends in a part of a line.
    is_torn: bool,
}

/// Where to write.
pub enum Target<'a> {
    /// Standard output, or a copy of it.
    Stdout(File),
    File(&'a str),
}

/// What [`Output::flush`] has to tell.
#[derive(Debug)]
pub enum Trouble {
    /// The first failure after a success.
    Began(io::Error),
    Over,
    /// The reader of standard output went away: there is nothing left to do.
    ReaderGone,
}

impl Output {
    /// # Errors
    /// A sentence that names the file.
    pub fn open(target: Target<'_>) -> Result<Output, String> {
        let (file, path) = match target {
            Target::Stdout(file) => (file, None),
            Target::File(path) => (open_log("open", Path::new(path))?, Some(path.into())),
        };
        Ok(Output { file, path, buffer: Vec::new(), lost_lines: 0, failing: false, is_torn: false })
    }

    /// Opens the file again, so that a renamed one is let go. On failure it stays as it is.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn reopen(&mut self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        self.file = open_log("reopen", path)?;
        self.is_torn = false;
        Ok(())
    }

    /// Whether enough is kept back to be written now.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes everything that is kept back. What cannot be written is lost.
    pub fn flush(&mut self) -> Option<Trouble> {
        if self.buffer.is_empty() {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        let result = self.write(&bytes);
        bytes.clear();
        self.buffer = bytes;
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                Some(Trouble::Over)
            }
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::BrokenPipe && self.path.is_none() => {
                Some(Trouble::ReaderGone)
            }
            Err(_) if self.failing => None,
            Err(error) => {
                self.failing = true;
                Some(Trouble::Began(error))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            // Ends the part, so that the next line is whole.
            self.write_some(b"\n").inspect_err(|_| self.lost_lines += count_lines(bytes))?;
            self.is_torn = false;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) => {
                    let written = &bytes[..bytes.len() - rest.len()];
                    self.is_torn = written.last().is_some_and(|&last| last != b'\n');
                    self.lost_lines += count_lines(rest);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

fn open_log(verb: &str, path: &Path) -> Result<File, String> {
    files::open_append(path).map_err(|error| format!("Can't {verb} logfile {}: {error}", path.display()))
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
