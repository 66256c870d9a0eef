//! Diagnostics: what pen has to say to its operator, on standard error in the foreground, to syslogd in the background,
//! or to a file.
//!
//! A process has one voice, usable from every thread; a pen inside of another program has one of its own, with which its
//! threads speak (`voice.rs`). A message never waits for long: when standard error, syslogd or the file takes no more it is
//! dropped, counted, and the number is said when there is room again. Everything is escaped here, so nobody has to remember it.
//! Called from everywhere; decides nothing, ends nothing.

mod voice;

use super::local_time;
use super::repeats::Repeats;
use super::syslog::{self, Syslog};
use crate::clock;
use crate::escape::Escaped;
use crate::message_file::MessageFile;
use crate::socket::takes_more;
use ::syslog::Severity as Priority;
use nix::errno::Errno;
use std::fmt::{Display, Write};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use voice::speak;
pub use voice::{Given, Voice, is_on, set_level};

/// Longest message; what follows is cut off. Well below what a datagram to syslogd may hold.
const TEXT_BYTES_MAX: usize = 8192;

/// How long a reader of standard error may take to make room before messages are dropped.
const PATIENCE_MILLISECONDS: u16 = 20;

/// The same for the last words, which nobody works behind.
const LAST_PATIENCE_MILLISECONDS: u16 = 250;

/// A pipe that can be written to at all takes so much without waiting (PIPE_BUF on Linux).
const PIECE_BYTES: usize = 4096;

/// How much a message matters: its priority in syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Diagnostics go to standard error, each with the local time in front, or to the journal with a priority. So it is from
/// the start.
pub fn to_stderr() {
    local_time::remember_zone();
    speak(|voice| voice.diag().sink = Sink::Stderr);
}

/// Whether standard error is the journal, as JOURNAL_STREAM of systemd.exec(5) says. The journal knows the time and the
/// program; in front of each line it wants a priority.
pub fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let said = stream
            .split_once(':')
            .and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
        said.is_some_and(|said| is_stream(io::stderr().as_fd(), said))
    })
}

fn is_stream(stream: BorrowedFd<'_>, (device, inode): (u64, u64)) -> bool {
    nix::sys::stat::fstat(stream).is_ok_and(|status| (status.st_dev, status.st_ino) == (device, inode))
}

/// Diagnostics go to syslogd (facility user, name `pen`). Call it before a chroot; a missing syslogd is no error.
pub fn to_syslog() {
    local_time::remember_zone();
    speak(|voice| voice.diag().sink = Sink::Syslog(Syslog::open(syslog::PATH, "pen")));
}

/// Diagnostics go to this file, each with the local time in front; those for the file before go there.
///
/// # Errors
/// There are no threads any more; then nothing has changed.
pub fn to_file(file: File) -> io::Result<()> {
    local_time::remember_zone();
    speak(|voice| {
        let mut diag = voice.diag();
        match &diag.sink {
            Sink::File(messages) => messages.set(file),
            _ => diag.sink = Sink::File(MessageFile::start(file)?),
        }
        Ok(())
    })
}

/// Waits until everything is in the file, where there is one; but not for long.
pub fn finish() {
    speak(|voice| voice.diag().finish());
}

/// `diag::debug!(LEVEL, "...", ...)`: says it when [`is_on`] and formats nothing when not.
#[doc(inline)]
pub use crate::__diag_debug as debug;

#[doc(hidden)]
#[macro_export]
macro_rules! __diag_debug {
    ($level:expr, $($text:tt)+) => {
        if $crate::diag::is_on($level) {
            $crate::diag::say($crate::diag::Severity::Debug, format_args!($($text)+));
        }
    };
}

/// Says one message. Line ends in it are escaped; see [`block`] for several lines.
pub fn say(severity: Severity, text: impl Display) {
    let text = text.to_string();
    speak(|voice| voice.say(severity, &text));
}

/// Says why pen cannot go on: on standard error in any case and without the time, and wherever else messages go. Ending
/// the process is the caller's business.
pub fn fatal(text: impl Display) {
    let text = text.to_string();
    speak(|voice| voice.diag().say_elsewhere(Severity::Error, &text));
    // Who started pen waits for this; there is nobody to tell that standard error is gone.
    let _ = write_patiently(
        io::stderr().as_fd(),
        format!("{}{}\n", if is_journal() { "<3>" } else { "" }, line(&text)).as_bytes(),
        LAST_PATIENCE_MILLISECONDS,
    );
}

/// Says a text of several lines, such as a block of the USR1 report: in the foreground as Pen does, with the time
/// before the first line and an empty line after a text that ends with a line end; to syslogd line by line.
pub fn block(text: &str) {
    speak(|voice| voice.block(Severity::Info, text));
}

/// Says that the trouble `key` happened; within the next minute, and longer if it lasts, it is only counted, then said with
/// the number.
///
/// `text` is not formatted when it is only counted.
pub fn once(key: &str, text: impl Display) {
    once_as(Severity::Warning, key, text);
}

/// As [`once`], for what is no trouble, or more than that.
pub fn once_as(severity: Severity, key: &str, text: impl Display) {
    speak(|voice| voice.once(severity, key, text, clock::now()));
}

/// Says the counts that [`once`] owes. Returns how long the next may wait; `None` when nothing is counted.
///
/// For the main thread, each time it wakes up.
pub fn tick() -> Option<Duration> {
    speak(|voice| voice.tick(clock::now()))
}

/// `bell` wakes the main thread for a [`tick`] where it had none to wait for. The first one counts.
pub fn ring_for_tick(bell: impl Fn() + Send + Sync + 'static) {
    speak(|voice| voice.ring(bell));
}

enum Sink {
    Stderr,
    Syslog(Syslog),
    File(MessageFile),
    #[cfg(test)]
    Stream(std::os::fd::OwnedFd),
    #[cfg(test)]
    Journal(std::os::fd::OwnedFd),
}

type Said = Vec<(Severity, String)>;

struct Diag {
    sink: Sink,
    repeats: Repeats<Severity>,
    /// Messages dropped since the last one that went out.
    lost: u64,
}

impl Diag {
    const fn new(sink: Sink) -> Diag {
        Diag { sink, repeats: Repeats::new(), lost: 0 }
    }

    fn say(&mut self, severity: Severity, text: &str) {
        self.put(severity, &line(text));
    }

    /// Says it unless standard error hears it anyway.
    fn say_elsewhere(&mut self, severity: Severity, text: &str) {
        if !matches!(self.sink, Sink::Stderr) {
            self.say(severity, text);
            self.finish();
        }
    }

    fn finish(&self) {
        if let Sink::File(messages) = &self.sink {
            messages.finish();
        }
    }

    fn block(&mut self, severity: Severity, text: &str) {
        if self.takes_lines() {
            for part in text.lines().filter(|part| !part.is_empty()) {
                self.say(severity, part);
            }
            return;
        }
        let lines: Vec<_> = text.split('\n').map(line).collect();
        self.put(severity, &lines.join("\n"));
    }

    /// Whether it has a place for each line, with a priority of its own.
    fn takes_lines(&self) -> bool {
        match self.sink {
            Sink::Syslog(_) => true,
            Sink::Stderr => is_journal(),
            Sink::File(_) => false,
            #[cfg(test)]
            Sink::Stream(_) => false,
            #[cfg(test)]
            Sink::Journal(_) => true,
        }
    }

    /// Counts it; what is to be said now is for [`Diag::say_all`], and whether nothing else was counted.
    fn count(&mut self, severity: Severity, key: &str, text: impl Display, now: Instant) -> (Said, bool) {
        let mut said = Vec::new();
        let is_first = self.repeats.next_due().is_none();
        self.repeats.happened(key, severity, text, now, &mut said);
        (said, is_first)
    }

    /// What is due, and how long the next may wait.
    fn due(&mut self, now: Instant) -> (Said, Option<Duration>) {
        let mut said = Vec::new();
        self.repeats.due(now, &mut said);
        (said, self.repeats.next_due().map(|due| due.saturating_duration_since(now)))
    }

    fn say_all(&mut self, texts: &[(Severity, String)]) {
        for (severity, text) in texts {
            self.say(*severity, text);
        }
    }

    /// `text` is escaped already.
    fn put(&mut self, severity: Severity, text: &str) {
        let plural = if self.lost == 1 { "" } else { "s" };
        if self.lost > 0 && self.send(Severity::Notice, &format!("{} message{plural} lost", self.lost)) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.send(severity, text) {
            self.lost += 1;
        }
    }

    fn send(&mut self, severity: Severity, text: &str) -> bool {
        // Whoever did not make room for the last message is not waited for again.
        let patience = if self.lost > 0 { 0 } else { PATIENCE_MILLISECONDS };
        let stderr = io::stderr();
        let is_journal = self.takes_lines();
        let timed = || format!("{}: {text}\n", local_time::stamp(&local_time::now()));
        let stream = match &mut self.sink {
            Sink::Stderr => stderr.as_fd(),
            Sink::Syslog(syslog) => return syslog.send(priority(severity), text, patience),
            Sink::File(messages) => return messages.put(timed().as_bytes()),
            #[cfg(test)]
            Sink::Stream(stream) | Sink::Journal(stream) => (*stream).as_fd(),
        };
        let whole = match is_journal {
            true => format!("<{}>{text}\n", priority(severity) as u8),
            false => timed(),
        };
        write_patiently(stream, whole.as_bytes(), patience).is_ok()
    }
}

fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Error => Priority::LOG_ERR,
        Severity::Warning => Priority::LOG_WARNING,
        Severity::Notice => Priority::LOG_NOTICE,
        Severity::Info => Priority::LOG_INFO,
        Severity::Debug => Priority::LOG_DEBUG,
    }
}

/// One line that can do no harm, cut to its maximum.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    write!(line, "{}", Escaped(text)).expect("a String takes everything");
    if line.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|&end| line.is_char_boundary(end));
        line.truncate(end.unwrap_or(0));
    }
    line
}

/// Writes all or fails, waiting at most so long for each piece. The stream is shared with other processes, so it
/// cannot be made non-blocking; it is asked instead before it is given what it will take without waiting.
fn write_patiently(stream: BorrowedFd<'_>, bytes: &[u8], patience_milliseconds: u16) -> io::Result<()> {
    for piece in bytes.chunks(PIECE_BYTES) {
        let mut rest = piece;
        while !rest.is_empty() {
            if !takes_more(stream, patience_milliseconds) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match nix::unistd::write(stream, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "diag_tests.rs"]
mod tests;
