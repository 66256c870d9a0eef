//! Whether a server may be used, and why not. Pure.
//!
//! Owns the difference between what the operator said and what was met: a server that failed is tried again when there is
//! no other, against the operator's word none is.

/// Whether the operator has a server take clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duty {
    #[default]
    Enabled,
    /// Nobody is sent to it any more; connections that it has go on, until this second if there is one.
    Draining { since_seconds: u32, until_seconds: Option<u32> },
    /// Nobody is sent to it; connections that it has go on.
    Disabled { since_seconds: u32 },
}

impl Duty {
    pub fn is_enabled(self) -> bool {
        self == Duty::Enabled
    }
}

/// How a server stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    setback: Option<Setback>,
}

/// Why a server is passed over for some time. It stays known after that time, until a connect succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setback {
    /// Connects failed or timed out, first and last then; the server is passed over for the blacklist time.
    Failed { since_seconds: u32, at_seconds: u32 },
    /// The operator blacklisted it; as in Pen, as if it had failed then, perhaps in the future, so that its end moves
    /// with the blacklist time.
    Commanded { since_seconds: u32, stamp_seconds: i64 },
}

impl Standing {
    /// The first second in which it may be chosen; 0 when it is in good standing.
    pub fn usable_from_seconds(self, blacklist_seconds: u64) -> u64 {
        match self.setback {
            None => 0,
            Some(Setback::Failed { at_seconds, .. }) => {
                u64::from(at_seconds).saturating_add(blacklist_seconds)
            }
            Some(Setback::Commanded { stamp_seconds, .. }) => {
                blacklist_seconds.saturating_add_signed(stamp_seconds)
            }
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
    pub fn is_commanded(self, blacklist_seconds: u64, now_seconds: u32) -> bool {
        matches!(self.setback, Some(Setback::Commanded { .. }))
            && self.usable_from_seconds(blacklist_seconds) > now_seconds.into()
    }

    /// Pen's "status": when it failed last; of a commanded blacklisting, when it would have to have failed. 0 for never.
    pub fn failed_at_seconds(self) -> u64 {
        match self.setback {
            None => 0,
            Some(Setback::Failed { at_seconds, .. }) => at_seconds.into(),
            Some(Setback::Commanded { stamp_seconds, .. }) => stamp_seconds.try_into().unwrap_or(0),
        }
    }

    /// Since when it has failed, or is blacklisted.
    pub fn setback_since_seconds(self) -> Option<u32> {
        self.setback.map(|setback| match setback {
            Setback::Failed { since_seconds, .. } | Setback::Commanded { since_seconds, .. } => since_seconds,
        })
    }

    /// Blacklists it for `seconds` from now; 0 releases it.
    pub(super) fn command(&mut self, seconds: u32, blacklist_seconds: u64, now_seconds: u32) {
        let until_seconds = i64::from(now_seconds) + i64::from(seconds);
        let stamp_seconds = until_seconds.saturating_sub_unsigned(blacklist_seconds);
        self.setback =
            (seconds > 0).then_some(Setback::Commanded { since_seconds: now_seconds, stamp_seconds });
    }

    pub(super) fn fail(&mut self, now_seconds: u32) {
        let since_seconds = match self.setback {
            Some(Setback::Failed { since_seconds, .. }) => since_seconds,
            _ => now_seconds,
        };
        self.setback = Some(Setback::Failed { since_seconds, at_seconds: now_seconds });
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
