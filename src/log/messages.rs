//! Where the command `messages` says that diagnostics go: opened while it may fail, used when nothing may fail any more.
//! For the main thread only: it may block on a disk.

use crate::log::diag::{self, Severity};
use crate::settings::ProcessConfig;
use crate::settings::{STDERR, SYSLOG};
use crate::sys::errors::reason;
use crate::sys::files;
use nix::unistd::{Gid, Uid, fchown};
use pen_proto::commands::{Flag, Text};
use std::fs::File;
use std::path::Path;

/// A target that is not yet written to.
pub enum OpenMessages {
    File(File),
    Syslog,
    Stderr,
}

impl OpenMessages {
    /// Opens what the settings say.
    ///
    /// # Errors
    /// A file that cannot be opened, or standard error in the background.
    pub fn open(process: &ProcessConfig) -> Result<OpenMessages, String> {
        match process.message_file().map(|name| (name, files::open_messages(Path::new(name)))) {
            None => OpenMessages::without_file(process),
            Some((_, Ok(file))) => Ok(OpenMessages::File(file)),
            Some((name, Err(error))) => Err(format!("messages: cannot open {name}: {}", reason(&error))),
        }
    }

    /// Where diagnostics go as long as a file, where the settings name one, is not open.
    ///
    /// # Errors
    /// Standard error in the background.
    pub fn without_file(process: &ProcessConfig) -> Result<OpenMessages, String> {
        match (process.text(Text::Messages), process.flag(Flag::Foreground)) {
            (Some(SYSLOG), _) => Ok(OpenMessages::Syslog),
            (_, true) => Ok(OpenMessages::Stderr),
            (Some(STDERR), false) => {
                Err("messages: in the background nobody hears standard error; want a file, \
                                          syslog, or -f"
                    .into())
            }
            (_, false) => Ok(OpenMessages::Syslog),
        }
    }

    /// Makes the user that pen will run as the owner of the file, so that it can be opened again after rotation.
    pub fn give_to(&self, user: Uid, group: Gid) {
        if let OpenMessages::File(file) = self
            && file.metadata().is_ok_and(|metadata| metadata.is_file())
        {
            // As for the log: not possible everywhere, and not needed everywhere.
            let _ = fchown(file, Some(user), Some(group));
        }
    }

    /// Diagnostics go there from now on.
    pub fn begin(self) {
        match self {
            OpenMessages::Stderr => diag::to_stderr(),
            OpenMessages::Syslog => diag::to_syslog(),
            OpenMessages::File(file) => {
                if let Err(error) = diag::to_file(file) {
                    let text = format_args!("messages: cannot start writing: {}", reason(&error));
                    diag::say(Severity::Error, text);
                }
            }
        }
    }
}
