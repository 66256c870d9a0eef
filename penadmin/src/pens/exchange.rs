//! Files that a pen and we hand to each other: its settings, and a text that is to take their place.
//!
//! They lie beside its control socket, the one place that both surely reach, under a name that nobody can guess and for
//! as long as one command takes. A pen behind an address of the network has no such place.

use super::{Pen, Trouble};
use pen_proto::words::written;
use pen_sys::{clock, errors, files};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest text of settings.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Of a file that may hold communities and paths of keys.
const MODE: u32 = 0o600;

/// What is done with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Show which commands would make the settings those of the text.
    Diff,
    /// Carry them out.
    Apply,
}

impl Deed {
    /// The command of pen.
    pub fn word(self) -> &'static str {
        match self {
            Deed::Diff => "diff",
            Deed::Apply => "apply",
        }
    }
}

/// Has the pen write its settings, and reads them. The inner error is pen's own.
///
/// # Errors
/// The pen does not answer, or shares no directory with us.
pub fn settings(pen: &Pen) -> Result<Result<String, String>, Trouble> {
    let file = Shared::new(pen)?;
    match pen.ask(&format!("write {}", file.word()))? {
        Ok(_) => Ok(file.read()),
        Err(error) => Ok(Err(error)),
    }
}

/// Hands the pen a text, and returns what it says. The inner error is pen's own.
///
/// # Errors
/// As [`settings`].
pub fn hand_over(pen: &Pen, deed: Deed, text: &str) -> Result<Result<String, String>, Trouble> {
    let file = Shared::new(pen)?;
    file.write(text).map_err(|error| file.trouble(&error))?;
    let reply = pen.ask(&format!("{} {}", deed.word(), file.word()))?;
    // Its name means nothing to who sent the text.
    let nameless = |text: String| text.replace(&file.path.display().to_string(), "the text");
    Ok(reply.map(nameless).map_err(nameless))
}

/// A file beside the control socket; removed when it is dropped.
struct Shared {
    path: PathBuf,
    /// Who has the socket, and thereby pen's user.
    owner: (u32, u32),
}

impl Shared {
    fn new(pen: &Pen) -> Result<Shared, Trouble> {
        let socket = Path::new(pen.address());
        let Some(directory) = socket.parent().filter(|_| pen.address().contains('/')) else {
            let reason = "its control socket is no file, so no files can be handed to it";
            return Err(Trouble::Lost(format!("{}: {reason}", pen.address())));
        };
        let lost = |error: io::Error| Trouble::Lost(format!("{}: {}", pen.address(), errors::reason(&error)));
        let owner = fs::metadata(socket).map(|metadata| (metadata.uid(), metadata.gid())).map_err(lost)?;
        let directory = std::path::absolute(directory).map_err(lost)?;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".penadmin-{}-{number}-{:x}.conf", std::process::id(), clock::epoch_ms());
        Ok(Shared { path: directory.join(name), owner })
    }

    /// As a word of a command.
    fn word(&self) -> String {
        written(&self.path.to_string_lossy()).into_owned()
    }

    fn trouble(&self, error: &io::Error) -> Trouble {
        Trouble::Lost(format!("{}: {}", self.path.display(), errors::reason(error)))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        files::write_atomically(&self.path, text.as_bytes(), MODE)?;
        // Root may give it to pen's user; who is that user already need not.
        match chown(&self.path, Some(self.owner.0), Some(self.owner.1)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&self) -> Result<String, String> {
        let mut text = String::new();
        let read = files::open_regular(&self.path)
            .and_then(|file| file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            Err(error) => Err(format!("pen wrote its settings, but {}", errors::reason(&error))),
            Ok(count) if count as u64 > TEXT_BYTES_MAX => {
                Err(format!("the settings are longer than {TEXT_BYTES_MAX} bytes"))
            }
            Ok(_) => Ok(text),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It may never have been there, and a stray one harms nothing.
        let _ = fs::remove_file(&self.path);
    }
}
