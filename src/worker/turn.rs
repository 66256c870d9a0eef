//! What a worker does in every turn, whomever it serves: it waits for events, it outlives its own mistakes, and it gives
//! memory back when a crowd is gone.

use crate::log::diag::{self, Severity};
use crate::net::poller::{Poller, Readiness};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Waits for events, at most `timeout_ms` (`None`: for ever), and puts them in the place of what was in `ready`. False, and
/// an error has been said, when the poller has failed: the worker `number` cannot go on.
pub fn wait(number: usize, poller: &mut Poller, ready: &mut Vec<Readiness>, timeout_ms: Option<u64>) -> bool {
    ready.clear();
    let waited = poller.wait(ready, timeout_ms);
    if let Err(error) = &waited {
        diag::say(Severity::Error, format_args!("worker {number}: cannot wait for events: {error}"));
    }
    waited.is_ok()
}

/// Does the work for one connection or session. A mistake of ours (a panic) costs the one that met it, which `close` is
/// to end, and not all the others.
pub fn guard<Worker>(worker: &mut Worker, work: impl FnOnce(&mut Worker), close: impl FnOnce(&mut Worker)) {
    if catch_unwind(AssertUnwindSafe(|| work(worker))).is_err() {
        // The panic hook has said what happened. Whether the close succeeds or not, the next event is served.
        let _ = catch_unwind(AssertUnwindSafe(|| close(worker)));
    }
}

/// How long spare memory may lie unused, at least; twice as long at most.
const SPARE_MS: u64 = 5_000;
/// So many bytes that were freed are worth asking the allocator for, or the memory of so many connections.
const FREED_BYTES_MIN: usize = 1 << 20;
const CROWD_MIN: u64 = 256;

/// When a worker looks for memory that it needs no more. While nothing lies idle it never does.
#[derive(Debug, Default)]
pub struct Thrift {
    look_ms: Option<u64>,
    /// The most connections since the last look.
    most: u64,
}

impl Thrift {
    /// When [`Thrift::is_due`] next; `None` when there is nothing to look for.
    pub fn look_ms(&self) -> Option<u64> {
        self.look_ms
    }

    /// Whether it is time to look. For every turn: `count` is how many connections there are, `has_spares` whether the
    /// worker keeps memory without using it.
    pub fn is_due(&mut self, count: u64, has_spares: bool, now_ms: u64) -> bool {
        self.most = self.most.max(count);
        if self.look_ms.is_none() && (has_spares || self.most - count >= CROWD_MIN) {
            self.look_ms = Some(now_ms + SPARE_MS);
        }
        self.look_ms.is_some_and(|look_ms| now_ms >= look_ms)
    }

    /// The worker has looked, and `freed_bytes` went back to the allocator since it did so before. True when that is enough
    /// to be given back to the system. `has_spares`: it still keeps some, and is to look again.
    pub fn looked(&mut self, count: u64, freed_bytes: usize, has_spares: bool, now_ms: u64) -> bool {
        self.look_ms = has_spares.then_some(now_ms + SPARE_MS);
        let left = std::mem::replace(&mut self.most, count).saturating_sub(count);
        freed_bytes >= FREED_BYTES_MIN || left >= CROWD_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_looked_for_when_a_crowd_is_gone_and_not_before() {
        let mut thrift = Thrift::default();
        assert!(!thrift.is_due(1_000, false, 0));
        assert!(!thrift.is_due(900, false, 10));
        assert_eq!(thrift.look_ms(), None, "most are still here");
        assert!(!thrift.is_due(0, false, 20));
        assert_eq!(thrift.look_ms(), Some(20 + SPARE_MS));
        assert!(thrift.is_due(0, false, 20 + SPARE_MS));
        assert!(thrift.looked(0, 0, false, 20 + SPARE_MS));
        assert!(!thrift.is_due(0, false, 90_000));
        assert_eq!(thrift.look_ms(), None, "an idle worker sleeps");
    }

    #[test]
    fn spare_memory_is_looked_for_until_there_is_none() {
        let mut thrift = Thrift::default();
        assert!(!thrift.is_due(1, true, 0));
        assert!(thrift.is_due(1, true, SPARE_MS));
        assert!(!thrift.looked(1, FREED_BYTES_MIN - 1, true, SPARE_MS), "not worth it");
        assert_eq!(thrift.look_ms(), Some(2 * SPARE_MS), "although nothing happens any more");
        assert!(thrift.is_due(1, true, 2 * SPARE_MS));
        assert!(thrift.looked(1, FREED_BYTES_MIN, false, 2 * SPARE_MS));
        assert_eq!(thrift.look_ms(), None);
    }

    #[test]
    fn a_mistake_is_outlived_and_ends_what_met_it() {
        let mut steps = Vec::new();
        guard(&mut steps, |steps| steps.push("work"), |steps| steps.push("close"));
        assert_eq!(steps, ["work"]);
        guard(&mut steps, |_| panic!("on purpose"), |steps| steps.push("close"));
        assert_eq!(steps, ["work", "close"]);
        guard(&mut steps, |_| panic!("on purpose"), |_| panic!("once more"));
    }
}
