//! Where merged lines go: standard output, or a file that appears only when it is complete.
//!
//! Owns what becomes of an unfinished file, also when a signal ends the program. Called by `merge` and `main`.

use pen_sys::files::NewFile;
use pen_sys::signals::before_death;
use std::fs;
use std::io::{self, ErrorKind, Stdout, Write};
use std::path::Path;

/// Lines are passed on in pieces of about this size.
const BUFFER_BYTES: usize = 64 << 10;

/// Lines on their way out.
pub struct Output {
    /// Append whole lines here, then call [`Output::pass_on`].
    pub buffer: Vec<u8>,
    sink: Sink,
}

enum Sink {
    Stdout(Stdout),
    File(NewFile, String),
}

/// Why a merge ends early.
#[derive(Debug)]
pub enum Failure {
    /// The reader went away: no reason to say anything.
    BrokenPipe,
    Failed(String),
}

impl From<String> for Failure {
    fn from(error: String) -> Failure {
        Failure::Failed(error)
    }
}

impl Output {
    /// Standard output for `None`.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn create(name: Option<&str>) -> Result<Output, String> {
        let sink = match name {
            None => Sink::Stdout(io::stdout()),
            Some(name) => {
                let file = create(Path::new(name)).map_err(|error| format!("{name}: {error}"))?;
                Sink::File(file, name.to_owned())
            }
        };
        Ok(Output { buffer: Vec::with_capacity(2 * BUFFER_BYTES), sink })
    }

    /// Writes what the buffer holds, once there is enough of it.
    ///
    /// # Errors
    /// Nothing more can be written.
    pub fn pass_on(&mut self) -> Result<(), Failure> {
        if self.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        self.flush()
    }

    /// Writes the rest; a file appears under its name.
    ///
    /// # Errors
    /// The output is not complete. A file of this name is as it was before.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.flush()?;
        match self.sink {
            Sink::Stdout(_) => Ok(()),
            Sink::File(file, name) => {
                file.publish().map_err(|error| Failure::Failed(format!("{name}: {error}")))
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let (written, name) = match &mut self.sink {
            Sink::Stdout(stdout) => {
                (stdout.write_all(&self.buffer).and_then(|()| stdout.flush()), "standard output".to_owned())
            }
            Sink::File(file, name) => (file.write_all(&self.buffer), name.clone()),
        };
        self.buffer.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Failed(format!("{name}: {error}")),
        })
    }
}

/// A file of this name is replaced, and nothing else: no link, no device.
fn create(path: &Path) -> io::Result<NewFile> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("exists and is no regular file")),
        _ if path.file_name().is_none() => return Err(io::Error::other("is no file name")),
        _ => {}
    }
    let file = NewFile::create(path, 0o666)?;
    let unfinished = file.unfinished_path().to_owned();
    // Nobody is left to tell, and after publishing there is nothing to remove.
    before_death(move || drop(fs::remove_file(&unfinished)))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_finished() {
        let directory = TempDir::new();
        let path = directory.join("merged.log");
        fs::write(&path, "old").unwrap();
        let mut output = Output::create(path.to_str()).unwrap();
        output.buffer.extend_from_slice(b"new\n");
        output.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
        assert_eq!(names(&directory), ["merged.log"]);
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let directory = TempDir::new();
        let mut output = Output::create(directory.join("merged.log").to_str()).unwrap();
        output.buffer.extend_from_slice(b"half\n");
        output.flush().unwrap();
        drop(output);
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn links_and_devices_are_not_replaced() {
        let directory = TempDir::new();
        let link = directory.join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for name in [link.to_str().unwrap(), "/dev/null", "/"] {
            assert!(Output::create(Some(name)).is_err(), "{name}");
        }
    }
}
