//! The thread that writes traffic logs into their files, and the only place that does.
//!
//! It sleeps when there is nothing, is woken by the first line, and then looks every [`BUSY`], so a line is in the
//! file within a second and a busy log costs no wake-up per line. When the file takes no more (disk full, nobody
//! reads the FIFO) it keeps what it holds, byte for byte, and tries again; the queue fills up meanwhile and
//! what exceeds it is dropped. So a line is in the file whole or not at all, once there is room again.
//!
//! Started and told what to do by `traffic::LogHub`.

use super::diag;
use super::traffic::Shared;
use crate::sys::errors::reason;
use crate::sys::published::lock;
use crate::sys::socket::takes_more;
use crate::sys::threads;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Duration;

/// Between two looks while lines keep coming, and until a slow reader is tried again.
const BUSY: Duration = Duration::from_millis(100);

/// Until a file that could not be written is tried again.
const TROUBLED: Duration = Duration::from_secs(1);

/// How long a slow reader may take for each piece at the end.
const FAREWELL_MILLISECONDS: u16 = 1000;

/// Memory kept for the next lines; more is given back after a rush.
const KEPT_BYTES: usize = 256 << 10;

/// What a hub asks of the writer.
pub(super) enum Order {
    SetFile(Option<File>),
    /// Writes what is waiting and lets go of the log; then rings.
    Stop(Sender<()>),
}

/// The thread that writes the files of all logs; clones mean the same one. It runs as long as there is a log with a file.
#[derive(Clone, Default)]
pub(super) struct WriterThread(Arc<Mutex<Crew>>);

#[derive(Default)]
struct Crew {
    /// `None` while it does not run.
    thread: Option<Thread>,
    /// Logs that it does not know yet.
    new: Vec<Arc<Shared>>,
}

impl WriterThread {
    /// Has it write one more log.
    ///
    /// # Errors
    /// When it does not run and cannot be started; then nothing has changed.
    pub fn add(&self, log: Arc<Shared>) -> io::Result<()> {
        let mut crew = lock(&self.0);
        let thread = match &crew.thread {
            Some(thread) => thread.clone(),
            None => {
                let own = self.clone();
                let spawned = threads::spawn("log writer", move || own.run())?;
                crew.thread.insert(spawned.thread().clone()).clone()
            }
        };
        log.writer.get_or_init(|| thread.clone());
        crew.new.push(log);
        thread.unpark();
        Ok(())
    }

    fn run(&self) {
        let mut writers: Vec<Writer> = Vec::new();
        while self.take_in(&mut writers) {
            let mut wait = None;
            writers.retain_mut(|writer| {
                let outcome = writer.drain();
                let next = writer.obey();
                wait = wait.into_iter().chain(outcome.wait()).min();
                next == Next::GoOn
            });
            match wait {
                Some(wait) => thread::park_timeout(wait),
                None if writers.is_empty() => {}
                None => sleep(&writers),
            }
        }
    }

    /// Takes in new logs; false when there is none at all, and then it runs no more.
    fn take_in(&self, writers: &mut Vec<Writer>) -> bool {
        let mut crew = lock(&self.0);
        writers.extend(crew.new.drain(..).map(Writer::new));
        if writers.is_empty() {
            crew.thread = None;
        }
        !writers.is_empty()
    }
}

/// Until a worker or an order wakes it. A wake-up that comes meanwhile is left behind: `park` returns.
fn sleep(writers: &[Writer]) {
    let asleep = |is_asleep, order| {
        writers.iter().for_each(|writer| writer.shared.writer_asleep.store(is_asleep, order));
    };
    asleep(true, Ordering::Release);
    if writers.iter().all(Writer::is_everything_taken) {
        thread::park();
    }
    asleep(false, Ordering::Relaxed);
}

/// Writes one log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    file: Option<File>,
    /// Lines taken from a queue, of which the first `written` bytes are in the file.
    batch: Vec<u8>,
    written: usize,
    in_trouble: bool,
    /// Lost lines that the operator knows of.
    losses_told: u64,
}

/// Whether the log goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// What became of an attempt to write everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There was nothing.
    Idle,
    Written,
    /// The reader of a FIFO is slow.
    Slow,
    /// The file takes nothing.
    Failed,
}

impl Outcome {
    /// How long until the file is looked at again; `None`: until somebody has something for it.
    fn wait(self) -> Option<Duration> {
        match self {
            Outcome::Idle => None,
            Outcome::Written | Outcome::Slow => Some(BUSY),
            Outcome::Failed => Some(TROUBLED),
        }
    }
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Writer {
        Writer { shared, file: None, batch: Vec::new(), written: 0, in_trouble: false, losses_told: 0 }
    }

    /// Carries out the orders, each after the lines that came before it.
    fn obey(&mut self) -> Next {
        loop {
            // The lock is let go before anything is written.
            let Some((before, order)) = lock(&self.shared.queue).orders.pop_front() else {
                return Next::GoOn;
            };
            self.batch.extend_from_slice(&before);
            match order {
                Order::SetFile(file) => self.set_file(file),
                Order::Stop(done) => {
                    self.finish(FAREWELL_MILLISECONDS);
                    // Fails only when nobody waits.
                    let _ = done.send(());
                    return Next::End;
                }
            }
        }
    }

    fn is_everything_taken(&self) -> bool {
        let queue = lock(&self.shared.queue);
        queue.lines.is_empty() && queue.orders.is_empty()
    }

    /// Writes what was left over, then what waits, as far as the file takes it.
    fn drain(&mut self) -> Outcome {
        if self.file.is_none() {
            // What waits is for the file that is about to be named.
            return Outcome::Idle;
        }
        let outcome = self.write_batch();
        if !matches!(outcome, Outcome::Idle | Outcome::Written) {
            return outcome;
        }
        self.take_lines();
        match self.write_batch() {
            Outcome::Idle => outcome,
            other => other,
        }
    }

    /// Exchanges the empty batch for the lines that wait, unless they are for the file of an order.
    fn take_lines(&mut self) {
        let mut queue = lock(&self.shared.queue);
        if queue.orders.is_empty() {
            mem::swap(&mut self.batch, &mut queue.lines);
        }
    }

    fn write_batch(&mut self) -> Outcome {
        let Some(file) = self.file.as_mut().filter(|_| !self.batch.is_empty()) else {
            return Outcome::Idle;
        };
        while self.written < self.batch.len() {
            match file.write(&self.batch[self.written..]) {
                Ok(0) => return self.failed(&ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Slow,
                Err(error) => return self.failed(&error),
            }
        }
        self.recovered();
        self.batch.clear();
        self.batch.shrink_to(KEPT_BYTES);
        self.written = 0;
        Outcome::Written
    }

    fn failed(&mut self, error: &io::Error) -> Outcome {
        self.in_trouble = true;
        diag::once("log file", format_args!("cannot write the log: {}", reason(error)));
        Outcome::Failed
    }

    /// The file takes lines; that it did not, or not fast enough, must not stay a secret.
    fn recovered(&mut self) {
        if mem::take(&mut self.in_trouble) {
            diag::once("log file again", "the log can be written again");
        }
        let lost = self.shared.dropped_lines();
        if lost > self.losses_told {
            self.losses_told = lost;
            diag::once("log lines", format_args!("lines of the log were lost, {lost} since the start"));
        }
    }

    fn set_file(&mut self, file: Option<File>) {
        self.write_batch();
        if !is_same(self.file.as_ref(), file.as_ref()) {
            self.forget_torn_line();
        }
        if file.is_none() {
            self.lose_everything();
        }
        self.file = file;
        self.in_trouble = false;
    }

    /// The rest of a line whose beginning is in another file belongs nowhere.
    fn forget_torn_line(&mut self) {
        let is_torn = self.written > 0 && self.batch[self.written - 1] != b'\n';
        if is_torn {
            let rest = &self.batch[self.written..];
            let length = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
            self.written += length;
            self.shared.drop_lines(1);
        }
    }

    /// The last chance: a slow reader is waited for a little, so long for each piece; what is left then is counted as
    /// lost.
    fn finish(&mut self, patience_milliseconds: u16) {
        while self.drain() == Outcome::Slow && self.reader_makes_room(patience_milliseconds) {}
        self.lose_everything();
    }

    fn lose_everything(&mut self) {
        let mut lost = lines_in(&self.batch[self.written..]);
        self.batch.clear();
        self.written = 0;
        lost += lines_in(&mem::take(&mut lock(&self.shared.queue).lines));
        self.shared.drop_lines(lost);
    }

    fn reader_makes_room(&self, patience_milliseconds: u16) -> bool {
        self.file.as_ref().is_some_and(|file| takes_more(file.as_fd(), patience_milliseconds))
    }
}

/// A file that was opened again, as on HUP without a rotation: a torn line goes on in it.
fn is_same(old: Option<&File>, new: Option<&File>) -> bool {
    let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
    match (old.and_then(identity), new.and_then(identity)) {
        (Some(old), Some(new)) => old == new,
        _ => false,
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
