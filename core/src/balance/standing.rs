//! Whether a server may be used, and why not. Pure.
//!
//! Owns the difference between what the operator said and what was met: a server that failed is tried again when there is
//! no other, against the operator's word none is.

/// How a server stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    setback: Option<Setback>,
}

/// Why a server is passed over for some time. It stays known after that time, until a connect succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setback {
    /// A connect failed or timed out; the server is passed over for the blacklist time.
    Failed { at_seconds: u32 },
    /// The operator blacklisted it.
    Commanded { until_seconds: u32 },
}

impl Standing {
    /// The first second in which it may be chosen; 0 when it is in good standing.
    pub fn usable_from_seconds(self, blacklist_seconds: u64) -> u64 {
        match self.setback {
            None => 0,
            Some(Setback::Failed { at_seconds }) => u64::from(at_seconds).saturating_add(blacklist_seconds),
            Some(Setback::Commanded { until_seconds }) => until_seconds.into(),
        }
    }

    /// Whether a connect that succeeds has something to clear.
    pub fn has_setback(self) -> bool {
        self.setback.is_some()
    }

    /// Whether it failed last, be that over or not.
    pub fn has_failed(self) -> bool {
        matches!(self.setback, Some(Setback::Failed { .. }))
    }

    /// Whether a blacklisting that was commanded is not over.
    pub fn is_commanded(self, now_seconds: u32) -> bool {
        matches!(self.setback, Some(Setback::Commanded { until_seconds }) if until_seconds > now_seconds)
    }

    /// Pen's "status": when it failed last; of a commanded blacklisting, when it would have to have failed. 0 for never.
    pub fn failed_at_seconds(self, blacklist_seconds: u64) -> u64 {
        match self.setback {
            None => 0,
            Some(Setback::Failed { at_seconds }) => at_seconds.into(),
            Some(Setback::Commanded { until_seconds }) => {
                u64::from(until_seconds).saturating_sub(blacklist_seconds)
            }
        }
    }

    /// Blacklists it for `seconds` from now; 0 releases it.
    pub(super) fn command(&mut self, seconds: u32, now_seconds: u32) {
        let until_seconds = now_seconds.saturating_add(seconds);
        self.setback = (seconds > 0).then_some(Setback::Commanded { until_seconds });
    }

    pub(super) fn fail(&mut self, now_seconds: u32) {
        self.setback = Some(Setback::Failed { at_seconds: now_seconds });
    }

    /// Forgets a failure or a blacklisting.
    pub(super) fn clear(&mut self) {
        self.setback = None;
    }

    /// Forgets a failure; what the operator said stands.
    pub(super) fn forgive(&mut self) {
        if self.has_failed() {
            self.setback = None;
        }
    }
}
