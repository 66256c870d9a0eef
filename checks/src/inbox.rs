//! What the main thread tells the thread that checks.

use crate::slot::Outcome;
use crate::target::Target;
use crate::watched::Watched;
use pen_core::balance::ServerId;
use pen_core::settings::Rounds;
use pen_sys::published::lock;
use pen_sys::waking::Waker;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

/// What it is told.
pub enum Message {
    /// Check these servers of the service, and no others of it, and make this of all their checks.
    Follow(Arc<dyn Watched>, Vec<Target>, Rounds),
    /// A client waits for a check of this server of this service.
    Poll(u16, ServerId),
    /// The service with this number is gone, or has none to be checked.
    Forget(u16),
    /// What programs find in their environment from now on.
    Environment(Vec<(OsString, OsString)>),
    /// The program around pen has checked the server of this slot.
    Verdict {
        slot: u32,
        turn: u32,
        outcome: Outcome,
    },
    Stop,
}

/// What was said and not heard yet. Whoever says something wakes the thread.
#[derive(Default)]
pub struct Inbox(Mutex<Vec<Message>>);

impl Inbox {
    pub fn put(&self, message: Message) {
        lock(&self.0).push(message);
    }

    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// By this, workers have a server checked.
#[derive(Clone)]
pub struct Asking {
    pub inbox: Arc<Inbox>,
    pub waker: Waker,
}

impl Asking {
    /// Has this server of this service checked now.
    pub fn poll(&self, service: u16, server: ServerId) {
        self.inbox.put(Message::Poll(service, server));
        self.waker.wake();
    }
}
