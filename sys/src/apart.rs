//! A thread with descriptors of its own: what it opens the rest of the process neither sees, nor closes, nor passes on to
//! the programs that it starts. Linux 5.9 and later.

#![allow(unsafe_code)]

use nix::libc::{self, c_long};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

/// Gives the calling thread a table of descriptors in which there is this one of those of the process, and /dev/null for
/// the standard streams. The process keeps all of its own.
///
/// # Errors
/// The system cannot do it, or may not.
pub fn separate(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = c_long::from(kept.as_raw_fd());
    // What is above is never copied; the rest, for a moment.
    close(kept + 1, c_long::from(u32::MAX), libc::CLOSE_RANGE_UNSHARE)?;
    if kept > 0 {
        close(0, kept - 1, 0)?;
    }
    loop {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > libc::STDERR_FILENO {
            return Ok(());
        }
        // It stays for as long as the thread does.
        let _ = null.into_raw_fd();
    }
}

fn close(first: c_long, last: c_long, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the descriptors are those of a table that nobody else has, after the first call; that makes it.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, c_long::from(flags)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
