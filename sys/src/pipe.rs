//! A pipe through which the kernel moves bytes from one socket to another without copying them: splice(2).
//!
//! Owns the pipe and knows what is in it. Only Linux has it; elsewhere none can be made. Used by `conn/splice.rs`.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a pipe is made to hold. Where the system allows less (pipe(7), "pipe-user-pages-soft") it holds less.
pub const PIPE_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub struct Pipe {
    entry: OwnedFd,
    exit: OwnedFd,
    held_bytes: usize,
    /// It holds as much as it is made to.
    is_whole: bool,
}

impl Pipe {
    /// An empty one.
    ///
    /// # Errors
    /// Without descriptors, and on systems that have no splice(2).
    pub fn new() -> io::Result<Pipe> {
        let (exit, entry, room_bytes) = platform::pipe()?;
        Ok(Pipe { entry, exit, held_bytes: 0, is_whole: room_bytes >= PIPE_BYTES })
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes what the socket has and the pipe holds; never waits. `Ok(0)` is end of file. Only for an empty pipe: a full
    /// one and a socket that has nothing say the same.
    pub fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<usize> {
        debug_assert_eq!(self.held_bytes, 0);
        let count = retry(|| platform::splice(from, self.entry.as_fd(), PIPE_BYTES))?;
        self.held_bytes = count;
        Ok(count)
    }

    /// Whether it holds [`PIPE_BYTES`], and so a copy of all that any other holds.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Puts a copy of what it holds into an empty pipe, without copying it: tee(2). True when that has all of it.
    ///
    /// # Errors
    /// What the system says.
    pub fn copy_to(&self, other: &mut Pipe) -> io::Result<bool> {
        debug_assert_eq!(other.held_bytes, 0);
        let count = retry(|| platform::tee(self.exit.as_fd(), other.entry.as_fd(), self.held_bytes))?;
        other.held_bytes = count;
        Ok(count == self.held_bytes)
    }

    /// Gives the socket what it takes now.
    pub fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let count = retry(|| platform::splice(self.exit.as_fd(), to, self.held_bytes))?;
        self.held_bytes -= count;
        Ok(count)
    }
}

/// Repeats a call that a signal interrupted: its edge-triggered event would not come again.
fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::PIPE_BYTES;
    use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl};
    use std::os::fd::{BorrowedFd, OwnedFd};

    /// Its two ends, and how much it holds.
    pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd, usize)> {
        let (exit, entry) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // A smaller one works too.
        let room_bytes = fcntl(&entry, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32)).unwrap_or(0);
        Ok((exit, entry, room_bytes as usize))
    }

    pub fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, count: usize) -> nix::Result<usize> {
        nix::fcntl::tee(from, to, count, SpliceFFlags::SPLICE_F_NONBLOCK)
    }

    pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, count: usize) -> nix::Result<usize> {
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
        nix::fcntl::splice(from, None, to, None, count, flags)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use nix::errno::Errno;
    use std::os::fd::{BorrowedFd, OwnedFd};

    pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd, usize)> {
        Err(Errno::ENOSYS)
    }

    pub fn tee(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: usize) -> nix::Result<usize> {
        Err(Errno::ENOSYS)
    }

    pub fn splice(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: usize) -> nix::Result<usize> {
        Err(Errno::ENOSYS)
    }
}
