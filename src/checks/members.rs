//! The members that checks name, on their way from the thread that checks to the main thread.

use crate::control::lookups::Bell;
use crate::published::lock;
use pen_core::checks::program::Member;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What was named last for each service, by its name, and not taken yet.
#[derive(Default)]
pub struct Members {
    named: Mutex<BTreeMap<String, Vec<Member>>>,
    bell: Mutex<Option<Bell>>,
}

impl Members {
    /// Has this ring when there is something to take.
    pub fn answer_to(&self, bell: Bell) {
        *lock(&self.bell) = Some(bell);
    }

    /// These are the members of a service now.
    pub fn put(&self, service: &str, members: Vec<Member>) {
        lock(&self.named).insert(service.to_owned(), members);
        self.ring();
    }

    /// Something has become of servers that the main thread is to look at.
    pub fn ring(&self) {
        let bell = lock(&self.bell).clone();
        if let Some(bell) = bell {
            bell();
        }
    }

    /// All that was put since this was called last.
    pub fn take(&self) -> BTreeMap<String, Vec<Member>> {
        std::mem::take(&mut lock(&self.named))
    }
}
