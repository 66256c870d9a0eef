//! Lines that other threads of this process say to the main thread, and the answers they wait for.
//!
//! Owns what was said and not heard yet. `server.rs` hears it, as it hears control clients.

use super::request::Request;
use crate::published::lock;
use crate::sys::waking::Waker;
use pen_proto::names::Name;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The reply to a command, or what is wrong with it.
pub type Reply = Result<String, String>;

/// What is said.
#[derive(Debug)]
pub enum Said {
    /// A line, for this service if it names none.
    Line(String, Option<Name>),
    /// What was understood already.
    Request(Request),
}

/// What was said, and who waits for the answer.
#[derive(Debug)]
pub struct Call {
    pub said: Said,
    pub caller: Sender<Reply>,
}

/// From other threads to the main thread.
#[derive(Debug)]
pub struct Calls {
    /// `None` when nobody hears them any more.
    waiting: Mutex<Option<Vec<Call>>>,
    waker: Waker,
}

impl Calls {
    pub fn new(waker: Waker) -> Calls {
        Calls { waiting: Mutex::new(Some(Vec::new())), waker }
    }

    /// Says something. The answer comes when the main thread has carried it out; there is none when that has ended.
    pub fn say(&self, said: Said) -> Receiver<Reply> {
        let (caller, answer) = channel();
        if let Some(waiting) = &mut *lock(&self.waiting) {
            waiting.push(Call { said, caller });
        }
        self.waker.wake();
        answer
    }

    /// What was said since this was called last.
    pub fn take(&self) -> Vec<Call> {
        lock(&self.waiting).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody hears them from now on; who waits gets no answer.
    pub fn end(&self) {
        *lock(&self.waiting) = None;
    }
}
