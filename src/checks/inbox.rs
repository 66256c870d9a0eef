//! What the main thread tells the thread that checks.

use super::target::Target;
use crate::published::lock;
use crate::service::Service;
use crate::settings::Rounds;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

pub enum Message {
    /// Check these servers of the service, and no others of it, and make this of all their checks.
    Follow(Arc<Service>, Vec<Target>, Rounds),
    /// The service with this number is gone, or has none to be checked.
    Forget(u16),
    /// What programs find in their environment from now on.
    Environment(Vec<(OsString, OsString)>),
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
