//! Going into the background, with an honest exit status.
//!
//! The crate `daemonize` forks; a pipe between the two processes lets the parent wait until the child serves, so that
//! whoever started pen learns whether it runs. The crate's own user, chroot and pid file options are not used: they can
//! neither set supplementary groups nor be checked.

use daemonize::{Daemonize, Outcome, Stdio};
use nix::sys::stat::{Mode, umask};
use nix::unistd::dup2_stderr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::process::exit;

/// The child's end: what is left to do before the parent may leave.
#[derive(Debug)]
pub struct Detached {
    parent: File,
    null: File,
}

/// Forks into the background. Returns in the child only; the parent ends with status 0 when the child says
/// [`Detached::ready`] and with `failed` when it ends before. The working directory and umask stay. Standard input and output are
/// /dev/null; standard error stays until the child is ready, so that it can say what is wrong.
///
/// Must be called before any thread is started.
pub fn detach(failed: u8) -> io::Result<Detached> {
    let (mut child_end, parent_end) = nix::unistd::pipe()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // There is one thread, and no other way to read it.
    #[allow(clippy::disallowed_methods)]
    let mask = {
        let mask = umask(Mode::empty());
        umask(mask);
        mask
    };
    let daemon = Daemonize::new().working_directory(".").umask(mask.bits()).stderr(Stdio::keep());
    match daemon.execute() {
        Outcome::Parent(Ok(_)) => {
            drop(parent_end);
            let mut said = [0];
            let ready = File::from(child_end).read(&mut said).is_ok_and(|count| count == 1);
            exit(if ready { 0 } else { failed.into() });
        }
        Outcome::Child(Ok(_)) => {
            // Closes the reading end, which is the parent's.
            child_end = null.try_clone()?.into();
            drop(child_end);
            Ok(Detached { parent: File::from(parent_end), null })
        }
        Outcome::Parent(Err(error)) | Outcome::Child(Err(error)) => Err(io::Error::other(error.to_string())),
    }
}

impl Detached {
    /// Lets go of standard error and lets the parent end with status 0.
    pub fn ready(mut self) -> io::Result<()> {
        dup2_stderr(&self.null)?;
        // A parent that was killed meanwhile is no reason to stop.
        let _ = self.parent.write_all(&[1]);
        Ok(())
    }
}
