//! Whether a server may be used, and why not. Pure.
//!
//! Owns the difference between what the operator said, what clients met, and what checks found: a server at which connects
//! failed is tried again when there is no other; against the operator's word, or that of a check, none is.

use super::checked::Untested;
use super::loaded::AgentWord;

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

/// What checks say of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No check has ended yet, or there is none.
    Untested(Untested),
    Up,
    /// It serves, and is used only where no other is left.
    Avoid {
        since_seconds: u32,
    },
    /// Nobody is sent to it.
    Down {
        since_seconds: u32,
    },
}

impl Default for Verdict {
    fn default() -> Verdict {
        Verdict::Untested(Untested::Unchecked)
    }
}

impl Verdict {
    fn since_seconds(self) -> Option<u32> {
        match self {
            Verdict::Untested(_) | Verdict::Up => None,
            Verdict::Avoid { since_seconds } | Verdict::Down { since_seconds } => Some(since_seconds),
        }
    }
}

/// How a server stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    setback: Option<Setback>,
    pub(super) verdict: Verdict,
    pub(super) agent: AgentWord,
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
    /// The first second in which it may be chosen: 0 when it is in good standing, the greatest number as long as checks
    /// or its agent say that it is not to be used.
    pub fn usable_from_seconds(self, blacklist_seconds: u64) -> u64 {
        match self.is_kept_away() {
            true => u64::MAX,
            false => self.setback_until_seconds(blacklist_seconds),
        }
    }

    /// The second in which a failure or a blacklisting is over; 0 without one.
    pub fn setback_until_seconds(self, blacklist_seconds: u64) -> u64 {
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

    /// Whether checks say that it is down.
    pub fn is_down(self) -> bool {
        matches!(self.verdict, Verdict::Down { .. } | Verdict::Untested(Untested::NotUsed))
    }

    /// Whether checks or its agent say that nobody is to be sent to it.
    pub fn is_kept_away(self) -> bool {
        self.is_down() || self.agent != AgentWord::Nothing
    }

    /// Whether checks say that it is for when no other is left.
    pub fn is_avoided(self) -> bool {
        matches!(self.verdict, Verdict::Avoid { .. } | Verdict::Untested(Untested::Avoided))
    }

    /// Since when checks say so.
    pub fn verdict_since_seconds(self) -> Option<u32> {
        self.verdict.since_seconds()
    }

    /// Whether it failed last, be that over or not.
    pub fn has_failed(self) -> bool {
        matches!(self.setback, Some(Setback::Failed { .. }))
    }

    /// Whether a blacklisting that was commanded is not over.
    pub fn is_commanded(self, blacklist_seconds: u64, now_seconds: u32) -> bool {
        matches!(self.setback, Some(Setback::Commanded { .. }))
            && self.setback_until_seconds(blacklist_seconds) > now_seconds.into()
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

    /// A connect that began then succeeded: a failure before it is forgotten. What the operator said stands.
    pub(super) fn forgive_before(&mut self, began_seconds: u32) {
        if matches!(self.setback, Some(Setback::Failed { at_seconds, .. }) if at_seconds <= began_seconds) {
            self.setback = None;
        }
    }

    /// Forgets a failure; what the operator said stands.
    pub(super) fn forgive(&mut self) {
        if self.has_failed() {
            self.setback = None;
        }
    }
}
