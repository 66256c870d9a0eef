//! The file of the command `messages`. A thread of its own writes it, so that whoever has something to say waits for no
//! disk. While the file takes no more it keeps what it holds, byte for byte, and tries again: a message is in the file
//! whole or not at all.
//!
//! Used by `diag` only, which says how many messages found no room here.

use crate::published;
use crate::threads;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Messages that wait for the disk; what exceeds it is lost.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Until a file that could not be written is tried again.
const TROUBLED: Duration = Duration::from_secs(1);

/// How long the disk may take for the last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where messages are written; its thread ends when this is dropped.
pub struct MessageFile(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something changed, for the writer and for who waits for it.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole messages, which the writer has not taken yet.
    waiting: Vec<u8>,
    /// To be written to from now on.
    file: Option<File>,
    /// The writer holds messages that are not in the file.
    is_busy: bool,
    has_ended: bool,
}

impl MessageFile {
    /// Starts the thread.
    ///
    /// # Errors
    /// There are no threads any more.
    pub fn start(file: File) -> io::Result<MessageFile> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let own = shared.clone();
        threads::spawn("messages", move || own.write(file))?;
        Ok(MessageFile(shared))
    }

    /// Writes to another file from now on; what waits goes there, from the message on that the old one has not whole.
    pub fn set(&self, file: File) {
        self.0.lock().file = Some(file);
        self.0.changed.notify_all();
    }

    /// Whether there was room for the message. It ends with a line end.
    pub fn put(&self, message: &[u8]) -> bool {
        let mut state = self.0.lock();
        if state.waiting.len() + message.len() > QUEUE_BYTES_MAX {
            return false;
        }
        state.waiting.extend_from_slice(message);
        self.0.changed.notify_all();
        true
    }

    /// Waits until everything is in the file, but not for long.
    pub fn finish(&self) {
        let until = crate::clock::now() + FAREWELL;
        let mut state = self.0.lock();
        while !state.is_written() {
            let left = until.saturating_duration_since(crate::clock::now());
            if left.is_zero() {
                return;
            }
            state = self.0.wait(state, Some(left));
        }
    }
}

impl Drop for MessageFile {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

impl State {
    fn is_written(&self) -> bool {
        self.waiting.is_empty() && !self.is_busy
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        published::lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, patience: Option<Duration>) -> MutexGuard<'a, State> {
        match patience {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// The writer, until nobody has anything to say any more.
    fn write(&self, mut file: File) {
        let mut batch = Batch::default();
        let mut retry: Option<Instant> = None;
        loop {
            let mut state = self.lock();
            loop {
                if let Some(next) = state.file.take() {
                    file = next;
                    batch.begin_again();
                    retry = None;
                }
                let now = crate::clock::now();
                let is_due = retry.is_none_or(|retry| retry <= now);
                let has_work = batch.is_left() || !state.waiting.is_empty();
                if has_work && is_due {
                    break;
                }
                if state.has_ended {
                    return;
                }
                let patience = retry.filter(|_| has_work).map(|retry| retry.saturating_duration_since(now));
                state = self.wait(state, patience);
            }
            if !batch.is_left() {
                batch = Batch { bytes: mem::take(&mut state.waiting), written: 0 };
            }
            state.is_busy = true;
            drop(state);
            let is_done = batch.write(&mut file);
            retry = (!is_done).then(|| crate::clock::now() + TROUBLED);
            let mut state = self.lock();
            state.is_busy = batch.is_left();
            drop(state);
            self.changed.notify_all();
        }
    }
}

/// Messages, of which the first `written` bytes are in the file.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    written: usize,
}

impl Batch {
    fn is_left(&self) -> bool {
        self.written < self.bytes.len()
    }

    /// Another file gets the message whole of which the old one has a part.
    fn begin_again(&mut self) {
        let whole = self.bytes[..self.written].iter().rposition(|byte| *byte == b'\n');
        self.written = whole.map_or(0, |end| end + 1);
    }

    /// Whether everything is in the file now.
    fn write(&mut self, file: &mut File) -> bool {
        while self.is_left() {
            match file.write(&self.bytes[self.written..]) {
                Ok(0) => return false,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use crate::tempdir::TempDir;

    #[test]
    fn messages_are_in_the_file_and_the_next_ones_in_the_next() {
        let dir = TempDir::new();
        let (first, second) = (dir.join("first"), dir.join("second"));
        let messages = MessageFile::start(files::open_messages(&first).unwrap()).unwrap();
        assert!(messages.put(b"one\n") && messages.put(b"two\n"));
        messages.finish();
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "one\ntwo\n");
        messages.set(files::open_messages(&second).unwrap());
        assert!(messages.put(b"three\n"));
        messages.finish();
        assert_eq!(std::fs::read_to_string(&second).unwrap(), "three\n");
    }

    #[test]
    fn what_another_file_has_in_part_it_gets_whole() {
        let mut batch = Batch { bytes: b"one\ntwo\nthree\n".to_vec(), written: 6 };
        batch.begin_again();
        assert_eq!(batch.written, 4);
        batch.written = 2;
        batch.begin_again();
        assert_eq!(batch.written, 0);
    }

    #[test]
    fn a_full_disk_costs_no_time_and_what_waits_comes_later() {
        let dir = TempDir::new();
        let messages = MessageFile::start(File::options().write(true).open("/dev/full").unwrap()).unwrap();
        assert!(messages.put(b"first\n"));
        let long = vec![b'x'; 64 << 10];
        let taken = (0..1000).take_while(|_| messages.put(&long)).count();
        assert!((1..64).contains(&taken), "{taken}");
        let room = dir.join("room");
        messages.set(files::open_messages(&room).unwrap());
        messages.finish();
        let written = std::fs::read(&room).unwrap();
        assert!(written.starts_with(b"first\n"));
        assert_eq!(written.len(), "first\n".len() + taken * long.len());
        assert!(messages.put(b"again\n"));
    }

    #[test]
    fn no_link_is_followed() {
        let dir = TempDir::new();
        std::os::unix::fs::symlink(dir.join("target"), dir.join("link")).unwrap();
        let error = files::open_messages(&dir.join("link")).unwrap_err();
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
        assert!(!dir.join("target").exists());
    }
}
