//! Opening the traffic log: a file, or a socket to a log server. For the main thread only: it may block on a disk.

use super::traffic::{self, Output};
use crate::net::resolve;
use crate::sys::errors::reason;
use crate::sys::files;
use nix::unistd::{Gid, Uid, fchown};
use pen_proto::commands::LogTarget;
use std::path::Path;

/// A target that was opened and is not yet written to.
pub struct OpenLog(Option<Output>);

impl OpenLog {
    /// `None` is no log.
    ///
    /// # Errors
    /// `Can't open logfile NAME` or `Bogus host HOST:PORT`, in the words of the original, and the reason.
    pub fn open(target: Option<&LogTarget>) -> Result<OpenLog, String> {
        Ok(OpenLog(match target {
            None => None,
            Some(LogTarget::File(name)) => {
                let file = files::open_append(Path::new(name));
                Some(Output::File(
                    file.map_err(|error| format!("Can't open logfile {name}: {}", reason(&error)))?,
                ))
            }
            Some(LogTarget::Network { host, port, text }) => {
                let address = resolve::port_number(port).and_then(|port| resolve::socket_address(host, port));
                let socket = address
                    .and_then(|address| traffic::connect(address).map_err(|error| reason(&error)))
                    .map_err(|reason| format!("Bogus host {text}: {reason}"))?;
                Some(Output::Network(socket))
            }
        }))
    }

    /// Makes the user that pen will run as the owner of a log file, so that it can be opened again after rotation.
    pub fn give_to(&self, user: Uid, group: Gid) {
        if let Some(Output::File(file)) = &self.0
            && file.metadata().is_ok_and(|metadata| metadata.is_file())
        {
            // Not possible on every file system, and not needed where the file may be written by others anyway.
            let _ = fchown(file, Some(user), Some(group));
        }
    }

    pub fn into_output(self) -> Option<Output> {
        self.0
    }
}
