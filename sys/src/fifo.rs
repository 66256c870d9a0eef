//! A FIFO that takes what other processes write, for as long as it is held.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat, lstat};
use nix::unistd::{Gid, Uid, mkfifo, read, unlink};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const FLAGS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_CLOEXEC).union(OFlag::O_NOFOLLOW);

/// Open for reading, and for writing too: so there is no end of file when a writer goes. Its file is removed when this is
/// dropped.
#[derive(Debug)]
pub struct Fifo {
    fd: OwnedFd,
    path: PathBuf,
}

impl Fifo {
    /// Makes one that only its owner may write to. One that was left behind, which no process reads, is replaced.
    ///
    /// # Errors
    /// The file exists and is none, or another process reads it; the directory may not be written to.
    pub fn create(path: &Path) -> io::Result<Fifo> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match mkfifo(path, mode) {
            Err(Errno::EEXIST) => {
                refuse_if_in_use(path)?;
                unlink(path)?;
                mkfifo(path, mode)?;
            }
            made => made?,
        }
        Ok(Fifo { fd: open(path, OFlag::O_RDWR | FLAGS, Mode::empty())?, path: path.to_owned() })
    }

    /// For the user who is to remove it.
    pub fn give_to(&self, uid: Uid, gid: Gid) {
        // Who may not does not have to: it is the user's own then.
        let _ = nix::unistd::fchown(&self.fd, Some(uid), Some(gid));
    }

    /// What has been written to it, as far as there is room.
    ///
    /// # Errors
    /// Nothing is there now (`WouldBlock`).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(read(&self.fd, buffer)?)
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let is_ours = lstat(&self.path).is_ok_and(|found| {
            fstat(&self.fd).is_ok_and(|own| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
        });
        if is_ours {
            // Where the directory may not be written to any more, the next start replaces it.
            let _ = unlink(&self.path);
        }
    }
}

fn refuse_if_in_use(path: &Path) -> io::Result<()> {
    match open(path, OFlag::O_WRONLY | FLAGS, Mode::empty()) {
        Ok(fd) => {
            let is_fifo = fstat(&fd)?.st_mode & nix::libc::S_IFMT == nix::libc::S_IFIFO;
            let reason = if is_fifo { "another process reads it" } else { "the file is no FIFO" };
            Err(io::Error::other(reason))
        }
        // Nobody reads it.
        Err(Errno::ENXIO) => match lstat(path)?.st_mode & nix::libc::S_IFMT {
            nix::libc::S_IFIFO => Ok(()),
            _ => Err(io::Error::other("the file is no FIFO")),
        },
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tempdir::TempDir;
    use std::fs;

    #[test]
    fn a_fifo_is_there_as_long_as_it_is_held() {
        let directory = TempDir::new();
        let path = directory.path().join("fifo");
        let fifo = Fifo::create(&path).unwrap();
        fs::write(&path, "line\n").unwrap();
        let mut buffer = [0; 100];
        assert_eq!(fifo.read(&mut buffer).unwrap(), 5);
        assert_eq!(fifo.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(Fifo::create(&path).unwrap_err().to_string(), "another process reads it");
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_what_is_no_fifo_is_not() {
        let directory = TempDir::new();
        let path = directory.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        drop(Fifo::create(&path).unwrap());
        fs::write(&path, "precious").unwrap();
        assert_eq!(Fifo::create(&path).unwrap_err().to_string(), "the file is no FIFO");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
