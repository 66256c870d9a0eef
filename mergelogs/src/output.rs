//! Where merged lines go: standard output, or a file that appears only when it is complete.
//!
//! Owns the temporary file and its removal, also when a signal ends the program. Called by `merge` and `main`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

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
    File(NewFile),
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
            Some(name) => Sink::File(NewFile::create(name).map_err(|error| format!("{name}: {error}"))?),
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
            Sink::File(file) => {
                let name = file.path.display().to_string();
                file.publish().map_err(|error| Failure::Failed(format!("{name}: {error}")))
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let (written, name) = match &mut self.sink {
            Sink::Stdout(stdout) => {
                (stdout.write_all(&self.buffer).and_then(|()| stdout.flush()), "standard output".to_owned())
            }
            Sink::File(file) => (file.file.write_all(&self.buffer), file.path.display().to_string()),
        };
        self.buffer.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Failed(format!("{name}: {error}")),
        })
    }
}

/// A file under a temporary name beside its own, gone unless published.
struct NewFile {
    file: File,
    path: PathBuf,
    temporary: Temporary,
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody is left to tell, and after publishing there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

impl NewFile {
    fn create(name: &str) -> io::Result<NewFile> {
        let path = PathBuf::from(name);
        let file_name = path.file_name().ok_or_else(|| io::Error::other("is no file name"))?;
        let existing = match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(io::Error::other("exists and is no regular file"));
            }
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let hidden = format!(".{}.{}.tmp", file_name.display(), process::id());
        let temporary = path.with_file_name(hidden);
        // A new file only: a link planted under this name is not followed.
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let temporary = Temporary(temporary);
        remove_on_signal(&temporary.0)?;
        if let Some(metadata) = existing {
            file.set_permissions(metadata.permissions())?;
        }
        Ok(NewFile { file, path, temporary })
    }

    fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary.0, &self.path)
    }
}

fn remove_on_signal(temporary: &Path) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let temporary = temporary.to_owned();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            drop(Temporary(temporary.clone()));
            // Ends the program as the signal would have.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("mergelogs-{}-{name}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_finished() {
        let directory = directory("finished");
        let path = directory.join("merged.log");
        fs::write(&path, "old").unwrap();
        let mut output = Output::create(path.to_str()).unwrap();
        output.buffer.extend_from_slice(b"new\n");
        output.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
        assert_eq!(names(&directory), ["merged.log"]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let directory = directory("unfinished");
        let mut output = Output::create(directory.join("merged.log").to_str()).unwrap();
        output.buffer.extend_from_slice(b"half\n");
        output.flush().unwrap();
        drop(output);
        assert!(names(&directory).is_empty());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn links_and_devices_are_not_replaced() {
        let directory = directory("links");
        let link = directory.join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for name in [link.to_str().unwrap(), "/dev/null", "/"] {
            assert!(Output::create(Some(name)).is_err(), "{name}");
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
