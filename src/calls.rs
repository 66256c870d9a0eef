//! How often a worker reads, writes and wakes up, as `getstat` tells it. Each thread counts for itself.

use crate::net::poller::Readiness;
use pen_proto::status::Calls;
use std::cell::Cell;

thread_local! {
    static COUNTED: Cell<Calls> = const { Cell::new(Calls { receives: 0, sends: 0, readable: 0, writable: 0, wakeups: 0 }) };
}

/// Counts in this thread.
#[inline]
pub fn count(change: impl FnOnce(&mut Calls)) {
    let mut calls = COUNTED.get();
    change(&mut calls);
    COUNTED.set(calls);
}

/// Counts a wake-up with what it has brought.
pub fn count_events(events: &[Readiness]) {
    let (mut readable, mut writable) = (0, 0);
    for event in events {
        readable += u64::from(event.readable);
        writable += u64::from(event.writable);
    }
    count(|calls| {
        calls.wakeups += 1;
        calls.readable += readable;
        calls.writable += writable;
    });
}

/// What this thread has counted since it began.
pub fn counted() -> Calls {
    COUNTED.get()
}
