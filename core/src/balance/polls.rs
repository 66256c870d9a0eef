//! Clients that wait for a check of the server at which they have a place. Pure.
//!
//! Owns when a client waits, and who waits for which check: those who come while a check is under way wait for the same one.
//! The one who comes first has it made; whoever knows what came of it says so ([`Selection::checked`],
//! [`Selection::void_poll`]), and those who wait are told as clients of the queue are.

use super::attempt::{Attempt, Hold};
use super::queue::Waiting;
use super::selection::Selection;
use super::servers::{Server, ServerId};
use pen_proto::commands::PolicyKind;

/// When a client waits for a check of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extra {
    /// If the last check that was good is older.
    pub older_ms: u64,
    /// Not longer than this.
    pub timeout_ms: u64,
}

/// A check that a client waits for.
#[derive(Debug, PartialEq, Eq)]
pub struct Poll {
    /// To ask what came of it.
    pub number: u32,
    pub timeout_ms: u64,
    /// Nobody has asked for it yet: the check is to be made.
    pub is_first: bool,
}

/// The checks of a server that clients wait for.
#[derive(Debug, Clone, Default)]
pub struct Polls {
    /// Of the last check that found it serving; monotonic.
    served_ms: Option<u64>,
    /// Of the one under way, or else the last one.
    number: u32,
    is_under_way: bool,
    /// What came of the last one.
    was_good: bool,
    waiting: Vec<Waiting>,
}

impl Polls {
    /// What was found is not about the server, or the check, as it is now. One under way goes on.
    pub(super) fn forget(&mut self) {
        self.served_ms = None;
    }

    fn end(&mut self, was_good: bool) -> Vec<Waiting> {
        if !std::mem::take(&mut self.is_under_way) {
            return Vec::new();
        }
        self.was_good = was_good;
        std::mem::take(&mut self.waiting)
    }
}

impl Selection {
    /// What the client has to wait for before it goes to the server at which it has a place.
    #[inline]
    pub(super) fn poll(&mut self, attempt: &Attempt, who: Waiting, now_ms: u64) -> Option<Poll> {
        let extra = self.servers.get(attempt.current)?.setup.extra?;
        if self.rules.policy == PolicyKind::Single || attempt.hold == Hold::Nothing {
            return None;
        }
        self.servers.change(attempt.current, |server| {
            let polls = server.polls.get_or_insert_default();
            let age_ms = polls.served_ms.map(|served_ms| now_ms.saturating_sub(served_ms));
            if age_ms.is_some_and(|age_ms| age_ms <= extra.older_ms) {
                return None;
            }
            let is_first = !std::mem::replace(&mut polls.is_under_way, true);
            if is_first {
                polls.number = polls.number.wrapping_add(1);
            }
            polls.waiting.push(who);
            Some(Poll { number: polls.number, timeout_ms: extra.timeout_ms, is_first })
        })?
    }

    /// Whether the client may connect to its server now, by the check with this number; `None` as long as that is under way.
    /// It may not, either, when the server is another by now or takes nobody any more.
    pub fn polled(&self, attempt: &Attempt, number: u32) -> Option<bool> {
        let Some(server) = self.servers.get(attempt.current) else { return Some(false) };
        if server.era != attempt.era || server.is_leaving() {
            return Some(false);
        }
        match &server.polls {
            None => Some(true),
            Some(polls) if polls.is_under_way && polls.number == number => None,
            Some(polls) => Some(polls.was_good),
        }
    }

    /// A check of the server has ended; it was serving then, if it was.
    pub(super) fn end_poll(&mut self, server: ServerId, served_ms: Option<u64>) {
        let told = self.servers.change(server, |server| {
            if server.setup.extra.is_none() {
                return Vec::new();
            }
            let polls = server.polls.get_or_insert_default();
            polls.served_ms = served_ms.or(polls.served_ms);
            polls.end(served_ms.is_some())
        });
        self.queue.tell(told.into_iter().flatten());
    }

    /// A client has waited for the check with this number as long as it may: that counts as a check that failed.
    pub fn poll_timed_out(&mut self, attempt: &Attempt, number: u32) {
        self.end_poll_as(attempt.current, Some(number), false);
    }

    /// The server cannot be checked, for a reason that is not its own: those who wait may try.
    pub fn void_poll(&mut self, server: ServerId) {
        self.end_poll_as(server, None, true);
    }

    fn end_poll_as(&mut self, server: ServerId, number: Option<u32>, was_good: bool) {
        let told = self.servers.change(server, |server| match &mut server.polls {
            Some(polls) if number.is_none_or(|number| number == polls.number) => polls.end(was_good),
            _ => Vec::new(),
        });
        self.queue.tell(told.into_iter().flatten());
    }

    /// Servers have changed: nobody waits for a check that is not made any more, or of a server that is another now.
    pub(super) fn end_vain_polls(&mut self) {
        let is_vain = |server: &&mut Server| {
            let is_leaving = server.is_leaving();
            server.polls.is_some() && (server.setup.extra.is_none() || is_leaving)
        };
        for server in self.servers.all_mut().iter_mut().filter(is_vain) {
            let told = server.polls.take().map(|mut polls| polls.end(true));
            self.queue.tell(told.into_iter().flatten());
        }
    }
}

#[cfg(test)]
#[path = "polls_tests.rs"]
mod tests;
