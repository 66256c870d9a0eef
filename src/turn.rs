//! What a worker of either kind does in every turn: it waits for events, and it outlives its own mistakes.
//!
//! Owns no state and knows neither connections nor sessions; called by the workers of `worker/` and `udp/`.

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

#[cfg(test)]
mod tests {
    use super::*;

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
