//! The page on its way into its file: as a whole, and still the file of whoever it belonged to.
//!
//! Owns the replacing of a page that pen has to be able to write again: pen has given up its privileges, cron's jobs
//! often have not.

use nix::unistd::{Gid, Uid, fchown, geteuid};
use pen::sys::files;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Replaces the file, or creates it. The owner stays the same where the system allows it, which is for root.
///
/// # Errors
/// A sentence that names the file.
pub fn replace(path: &Path, page: &str) -> Result<(), String> {
    let owner = fs::metadata(path).map(|old| (old.uid(), old.gid())).ok();
    files::write_atomically(path, page.as_bytes(), files::MODE)
        .and_then(|()| owner.map_or(Ok(()), |owner| give(path, owner)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Gives our new file to its old owner, unless somebody who may write the directory has put another in its place.
fn give(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    if !geteuid().is_root() || uid == geteuid().as_raw() {
        return Ok(());
    }
    let path = fs::canonicalize(path)?;
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let new = file.metadata()?;
    let is_ours = new.is_file() && new.uid() == geteuid().as_raw() && new.nlink() == 1;
    if is_ours { Ok(fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?) } else { Ok(()) }
}
