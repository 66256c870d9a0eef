//! Clients that wait for a check of the server at which they have a place.
//!
//! When they wait is the selection's (`balance/polls.rs`), and the check is made by the thread for checks. `Shared::call` has the
//! worker of the client look when it has ended; nothing is asked in the meantime, and no lock is held.

use super::Context;
use super::connect::Failure;
use super::verdict::Verdict;
use crate::balance::Poll;
use crate::conn::{Connection, Extras, PollWait, Side, Stage};

impl Context {
    /// The last good check of its server is too old.
    pub(super) fn wait_for_check(&mut self, connection: &mut Connection, poll: Poll) -> Verdict {
        let deadline_ms = self.core.now_ms + poll.timeout_ms;
        connection.extras().poll = Some(PollWait { number: poll.number, deadline_ms });
        if poll.is_first
            && let Some(attempt) = &connection.attempt
        {
            self.service(connection).service.check_now(attempt.server());
        }
        self.enter(connection, Stage::Polled);
        match self.register(connection, Side::Client) {
            Ok(()) => self.look_at_queued(connection),
            Err(reason) => Verdict::Close(reason),
        }
    }

    /// Its check may have ended.
    pub(super) fn look_what_was_found(&mut self, connection: &mut Connection) -> Verdict {
        let number =
            connection.extras.as_ref().and_then(|extras| extras.poll.as_ref()).map(|poll| poll.number);
        let (Some(number), Some(attempt)) = (number, &connection.attempt) else { return Verdict::Stay };
        let found = self.service(connection).service.with(|chooser| chooser.polled(attempt, number));
        // Who had its number before may have been meant.
        let Some(is_well) = found else { return Verdict::Stay };
        if let Some(extras) = &mut connection.extras {
            extras.poll = None;
        }
        Extras::free_if_unused(&mut connection.extras);
        self.enter(connection, Stage::Choosing);
        match is_well {
            true => self.try_servers(connection),
            false => self.server_failed(connection, &Failure::Checked),
        }
    }

    /// No check has ended in time: the server counts as down, for all who wait for the same check.
    pub(super) fn poll_timed_out(&mut self, connection: &mut Connection) -> Verdict {
        let number =
            connection.extras.as_ref().and_then(|extras| extras.poll.as_ref()).map(|poll| poll.number);
        let (Some(number), Some(attempt)) = (number, &connection.attempt) else { return Verdict::Stay };
        self.service(connection).service.with(|chooser| chooser.poll_timed_out(attempt, number));
        self.look_what_was_found(connection)
    }
}

/// Until when a client waits for a check.
pub(super) fn poll_limit_ms(connection: &Connection) -> Option<u64> {
    Some(connection.extras.as_ref()?.poll.as_ref()?.deadline_ms)
}
