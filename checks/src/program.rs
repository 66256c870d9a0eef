//! The program that checks one server: asked once in a while, started again when it fails, and ended.
//!
//! Owns its process and how long one waits before it is started again. What it answers is read by `pen_core::checks`.

use crate::watched::Surroundings;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use pen_core::checks::program::{Lines, POLL, QUIT};
use pen_sys::child::Program;
use pen_sys::clock;
use pen_sys::errors::reason;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;

/// The first pause before a program is started again; each is twice as long as the one before.
const PAUSE_MS_MIN: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 60_000;
/// After so many good answers in a row the next failure is the first one again.
const GOOD_ANSWERS: u32 = 10;
/// What a program may write between two questions, on standard output and standard error together.
const UNASKED_BYTES_MAX: usize = 64 * 1024;
/// What is kept of its last line of complaint.
const COMPLAINT_BYTES_MAX: usize = 200;
/// After which it gets each signal when it has to go; see [`Ending`].
const TERM_AFTER_MS: u64 = 250;
const KILL_AFTER_MS: u64 = 500;
/// How often one looks, a millisecond apart, whether a program that has closed its output has ended.
const END_LOOKS: u32 = 10;
/// How often a program that has to go is looked after.
pub const LOOK_MS: u64 = 20;

/// The program of one server.
#[derive(Default)]
pub struct Job {
    running: Option<Running>,
    pause_ms: u64,
    /// Not before.
    start_at_ms: u64,
    good_answers: u32,
}

struct Running {
    program: Program,
    lines: Lines,
    /// It was asked and has not answered.
    is_asked: bool,
    unasked_bytes: usize,
    /// The line of its standard error that has begun, or the last one.
    complaint: Vec<u8>,
}

/// What has come of a program that was looked at.
#[derive(Debug, Default)]
pub struct Heard {
    /// The lines it answered with; the first is the answer to the question.
    pub answer: Option<Vec<u8>>,
    /// It cannot go on, and has to be ended: why.
    pub failed: Option<String>,
    /// It has closed its standard error, which is not to be watched any more.
    pub has_closed_errors: bool,
}

impl Job {
    /// Starts the program if that is due, and asks it. Answers whether it was asked: not while it pauses.
    ///
    /// # Errors
    /// It cannot be started, or takes no question.
    pub fn ask(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[(OsString, OsString)],
        here: &dyn Surroundings,
        now_ms: u64,
    ) -> Result<bool, String> {
        if self.running.is_none() {
            if now_ms < self.start_at_ms {
                return Ok(false);
            }
            let started = here.start(OsStr::new(program), arguments, environment);
            let program = match started {
                Ok(program) => program,
                // Nothing that would be the server's fault, and it passes.
                Err(error) if is_shortage(&error) => {
                    here.once("check program", &format!("cannot start {program}: {}", reason(&error)));
                    return Ok(false);
                }
                Err(error) => return Err(format!("cannot start {program}: {}", reason(&error))),
            };
            let lines = Lines::default();
            self.running =
                Some(Running { program, lines, is_asked: false, unasked_bytes: 0, complaint: Vec::new() });
        }
        let Some(running) = &mut self.running else { return Ok(false) };
        if running.is_asked {
            return Ok(false);
        }
        running.unasked_bytes = 0;
        running.complaint.clear();
        running.is_asked = running.program.tell(POLL);
        match running.is_asked {
            true => Ok(true),
            false => Err("the program takes no question".into()),
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether an answer is due.
    pub fn is_asked(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_asked)
    }

    /// What the poller watches while it runs.
    pub fn outputs(&self) -> Option<[BorrowedFd<'_>; 2]> {
        self.running.as_ref().map(|running| running.program.outputs())
    }

    /// Takes what it has written.
    pub fn hear(&mut self, scratch: &mut [u8]) -> Heard {
        let mut heard = Heard::default();
        let Some(running) = &mut self.running else { return heard };
        running.hear_complaints(scratch, &mut heard);
        while heard.failed.is_none() {
            match running.program.read(scratch) {
                None => break,
                Some(0) => {
                    let end = running.await_end();
                    let end = end.unwrap_or_else(|| "has closed its output".to_owned());
                    heard.failed = Some(running.with_complaint(&format!("the program {end}")));
                }
                Some(count) => running.take(&scratch[..count], &mut heard),
            }
        }
        if heard.answer.is_some() {
            running.is_asked = false;
        }
        heard
    }

    /// It has given a good answer.
    pub fn was_good(&mut self) {
        self.good_answers += 1;
        if self.good_answers >= GOOD_ANSWERS {
            self.pause_ms = 0;
        }
    }

    /// A reason, with what the program complained of.
    pub fn with_complaint(&self, reason: &str) -> String {
        self.running.as_ref().map_or_else(|| reason.to_owned(), |running| running.with_complaint(reason))
    }

    /// It has failed, and is started again after a pause. What has to be ended is handed over.
    pub fn fail(&mut self, now_ms: u64) -> Option<Ending> {
        self.good_answers = 0;
        self.pause_ms = (self.pause_ms * 2).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
        self.start_at_ms = now_ms + self.pause_ms;
        self.end(now_ms)
    }

    /// It is no longer wanted.
    pub fn end(&mut self, now_ms: u64) -> Option<Ending> {
        let Running { mut program, .. } = self.running.take()?;
        program.tell(QUIT);
        program.end_input();
        Some(Ending { program, began_ms: now_ms, signalled: None })
    }
}

fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM))
}

impl Running {
    /// Its output has ended. How it ended itself follows at once, mostly.
    fn await_end(&mut self) -> Option<String> {
        for _ in 0..END_LOOKS {
            let end = self.program.take_end();
            if end.is_some() {
                return end;
            }
            clock::wait_ms(1);
        }
        None
    }

    fn take(&mut self, bytes: &[u8], heard: &mut Heard) {
        let is_asked = self.is_asked;
        let mut keep = |line: &[u8]| {
            if is_asked && heard.answer.is_none() {
                heard.answer = Some(line.to_vec());
            }
        };
        let is_babble = self.lines.take(bytes, &mut keep).is_err();
        if is_babble {
            heard.failed = Some("the program writes lines without end".into());
        }
        self.wrote(bytes.len(), heard);
    }

    /// What a program says on its standard error is shown as a reason when it finds its server not well.
    fn hear_complaints(&mut self, scratch: &mut [u8], heard: &mut Heard) {
        while heard.failed.is_none() {
            let count = match self.program.read_errors(scratch) {
                None => break,
                Some(0) => {
                    heard.has_closed_errors = true;
                    break;
                }
                Some(count) => count,
            };
            for line in scratch[..count].split_inclusive(|byte| *byte == b'\n') {
                if self.complaint.ends_with(b"\n") {
                    self.complaint.clear();
                }
                let room = COMPLAINT_BYTES_MAX.saturating_sub(self.complaint.len());
                self.complaint.extend_from_slice(&line[..line.len().min(room)]);
            }
            self.wrote(count, heard);
        }
    }

    /// Counts what it wrote. It is read as long as there is some, so one that writes faster than that has to go.
    fn wrote(&mut self, count: usize, heard: &mut Heard) {
        self.unasked_bytes += count;
        if self.unasked_bytes > UNASKED_BYTES_MAX && heard.failed.is_none() {
            heard.failed = Some(self.with_complaint("the program writes without end"));
        }
    }

    fn with_complaint(&self, reason: &str) -> String {
        let text = String::from_utf8_lossy(&self.complaint);
        match text.trim() {
            "" => reason.to_owned(),
            text => format!("{reason}: {}", pen_proto::escape::Escaped(text)),
        }
    }
}

/// A program that has to go: it is told so, then sees the end of its input, then gets TERM, then KILL, with all that it has
/// started.
pub struct Ending {
    program: Program,
    began_ms: u64,
    signalled: Option<Signal>,
}

impl Ending {
    /// Whether it is gone.
    pub fn is_over(&mut self, now_ms: u64) -> bool {
        if self.program.take_end().is_some() {
            return true;
        }
        let waited_ms = now_ms.saturating_sub(self.began_ms);
        let due = match () {
            () if waited_ms < TERM_AFTER_MS => None,
            () if waited_ms < KILL_AFTER_MS => Some(Signal::SIGTERM),
            () => Some(Signal::SIGKILL),
        };
        if let Some(signal) = due.filter(|_| due != self.signalled) {
            self.program.signal(signal);
            self.signalled = due;
        }
        false
    }
}
