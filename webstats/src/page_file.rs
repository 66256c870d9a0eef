//! Figures from the page that pen writes: as it is, or after asking for a new one by USR1.
//!
//! Owns which process may get the signal, and when a page is new and whole. Blocks its caller.

use crate::page::GENERATOR;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pen_core::stats::html;
use pen_core::stats::parts::duration;
use pen_proto::escape::EscapedBytes;
use pen_proto::status::Status;
use pen_sys::clock;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Several hundred thousand clients and connections.
const PAGE_BYTES_MAX: u64 = 256 << 20;
/// Three rounds of the usual line for cron.
const AGE_SECONDS_MAX: u64 = 1800;
/// Room for any number and a newline.
const PID_FILE_BYTES_MAX: u64 = 32;
/// Between two looks at the page.
const LOOK_MS: u16 = 20;

/// The figures in the page as it is, if pen has written it lately: a page that is left alone looks well for ever.
///
/// # Errors
/// A sentence that names the file.
pub fn read(page: &Path) -> Result<Status, String> {
    let status = figures(page)?;
    match (clock::epoch_ms() / 1000).saturating_sub(status.time_epoch_seconds) {
        0..=AGE_SECONDS_MAX => Ok(status),
        age_seconds => {
            Err(format!("{}: pen has not written it for {}", page.display(), duration(age_seconds)))
        }
    }
}

fn figures(page: &Path) -> Result<Status, String> {
    let text = read_text(page, PAGE_BYTES_MAX).map_err(|error| format!("{}: {error}", page.display()))?;
    html::figures(&text).ok_or_else(|| match text.contains(GENERATOR) {
        true => format!("{}: pen has not written it since webstats did", page.display()),
        false => format!("{}: no page of a pen 0.1.0 or later", page.display()),
    })
}

/// Tells the pen of the pid file to write the page, and returns the figures in it when it is there.
///
/// # Errors
/// A sentence that names the file or the process.
pub fn renew(pid_file: &Path, page: &Path, deadline_ms: u64) -> Result<Status, String> {
    let pid = running_pen(pid_file).map_err(|reason| format!("{}: {reason}", pid_file.display()))?;
    let before = state(page);
    kill(pid, Signal::SIGUSR1).map_err(|error| match error {
        Errno::EPERM => {
            format!("process {pid} may not be told to write its page: run webstats as the user of pen")
        }
        error => format!("process {pid}: {}", error.desc()),
    })?;
    loop {
        // A pen that had to write in place is not done when the file changes, but when the page is whole.
        if state(page) != before
            && let Ok(status) = figures(page)
        {
            return Ok(status);
        }
        if kill(pid, None) == Err(Errno::ESRCH) {
            return Err(format!("process {pid} has ended instead of writing {}", page.display()));
        }
        let left_ms = deadline_ms.saturating_sub(clock::monotonic_ms());
        if left_ms == 0 {
            return Err(format!(
                "{}: no new page in time; was pen started with -w and this name?",
                page.display()
            ));
        }
        // Looking works on every file system, and wherever a symbolic link may lead.
        let step_ms = PollTimeout::from(LOOK_MS.min(left_ms.try_into().unwrap_or(LOOK_MS)));
        // Interrupted early: one look more.
        let _ = poll(&mut [], step_ms);
    }
}

/// What is different when pen has written a page.
fn state(page: &Path) -> Option<(u64, u64, i64, i64, u64)> {
    let of = |file: Metadata| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len());
    std::fs::metadata(page).ok().map(of)
}

/// The process that wrote the file and still holds its lock. Another process with the same number would be ended by
/// the signal.
fn running_pen(pid_file: &Path) -> Result<Pid, String> {
    let text = read_text(pid_file, PID_FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let pid: i32 = text
        .trim_end()
        .parse()
        .map_err(|_| format!("want the number of a process, got \"{}\"", EscapedBytes(text.as_bytes())))?;
    if pid <= 1 {
        return Err(format!("{pid} is not the number of a pen"));
    }
    let pid = Pid::from_raw(pid);
    let left_behind = || format!("no pen holds it; process {pid} is gone or is another program");
    // A pen that starts just now wants the lock: try it only if there is a reason to.
    if kill(pid, None) == Err(Errno::ESRCH) {
        return Err(left_behind());
    }
    let file = open(pid_file).map_err(|error| error.to_string())?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => Ok(pid),
        Err((_, error)) => Err(error.desc().to_string()),
        Ok(_) => Err(left_behind()),
    }
}

/// The text of a regular file of at most so many bytes.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidData`] for what is too long, no text or no regular file.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let count = open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if count as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("longer than {bytes_max} bytes")));
    }
    Ok(text)
}

/// Waits for no writer of a FIFO.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidData, "not a regular file")),
    }
}
