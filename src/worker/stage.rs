//! The stages of a connection: entering one, and how long each may last.

use super::polled::poll_limit_ms;
use super::queued::queue_limit_ms;
use super::verdict::Verdict;
use super::{Context, accept, dummy, handshake};
use crate::conn::{CloseReason, Connection, Stage};
use pen_proto::commands::Number;

/// What ends a stage if nothing else does.
enum Limit {
    Never,
    /// So many milliseconds from the moment at which it is entered.
    Within(u64),
    /// This time; monotonic.
    At(u64),
    /// `idle_timeout` without an event. Activity does not move the timer: it looks when it rings.
    Silence,
}

impl Context {
    /// Brings a connection to another stage, or to the same once more: its timer runs anew, and it counts as a connect under
    /// way or does not.
    pub(super) fn enter(&mut self, connection: &mut Connection, stage: Stage) {
        if (connection.stage, stage) == (Stage::Choosing, Stage::Choosing) {
            return; // it has no timer, and remains what it was: an ordinary connect passes here three times
        }
        connection.stage = stage;
        let is_pending = match stage {
            Stage::Connecting | Stage::Busy => true,
            // Between two attempts it remains what it was.
            Stage::Choosing | Stage::Shortage => connection.counted_pending,
            _ => false,
        };
        self.count_pending(connection, is_pending);
        self.arm(connection);
    }

    pub(super) fn count_pending(&self, connection: &mut Connection, is_pending: bool) {
        match (std::mem::replace(&mut connection.counted_pending, is_pending), is_pending) {
            (false, true) => self.core.shared.room().add_pending(),
            (true, false) => self.core.shared.remove_pending(),
            _ => {}
        }
    }

    fn limit(&self, connection: &Connection) -> Limit {
        let seconds = |number| Limit::Within(self.settings(connection).number(number) * 1000);
        match connection.stage {
            Stage::Choosing => Limit::Never,
            Stage::ProxyHeader => seconds(Number::ProxyTimeout),
            Stage::Hello | Stage::Handshake => seconds(Number::SslHandshakeTimeout),
            Stage::Request => Limit::Within(self.request_limit_ms(connection)),
            Stage::Goodbye => Limit::Within(handshake::GOODBYE_MS),
            Stage::Connecting => Limit::At(self.connect_deadline_ms(connection)),
            Stage::Queued => queue_limit_ms(connection).map_or(Limit::Never, Limit::At),
            Stage::Polled => poll_limit_ms(connection).map_or(Limit::Never, Limit::At),
            Stage::Shortage | Stage::Busy => Limit::Within(accept::SHORTAGE_RETRY_MS),
            Stage::Dummy { answered: true } => Limit::Within(dummy::DUMMY_LINGER_MS),
            Stage::FirstBytes | Stage::Relaying | Stage::Dummy { answered: false } => Limit::Silence,
        }
    }

    pub(super) fn arm(&mut self, connection: &Connection) {
        let deadline_ms = match self.limit(connection) {
            Limit::Never => None,
            Limit::Within(ms) => Some(self.core.now_ms + ms),
            Limit::At(ms) => Some(ms),
            Limit::Silence => self.silence_deadline_ms(connection),
        };
        match deadline_ms {
            Some(deadline_ms) => self.timers.arm(connection.number, deadline_ms),
            None => self.timers.disarm(connection.number),
        }
    }

    /// When a silent connection is looked at: when it has been idle for too long, or when an idler that was handed over must
    /// have proved alive.
    fn silence_deadline_ms(&self, connection: &Connection) -> Option<u64> {
        let idle = match self.settings(connection).number(Number::IdleTimeout) {
            0 => None,
            seconds => Some(connection.active_ms + seconds * 1000),
        };
        [idle, self.proof_deadline_ms(connection)].into_iter().flatten().min()
    }

    /// Sets the timer of a connection anew if that depends on its silence, because `idle_timeout` or what is waited for has
    /// changed.
    pub(super) fn arm_silence(&mut self, connection: &Connection) {
        if let Limit::Silence = self.limit(connection) {
            self.arm(connection);
        }
    }

    /// A timer rang.
    pub(super) fn expire(&mut self, connection: &mut Connection) -> Verdict {
        if self.is_proof_overdue(connection) {
            return self.give_up_idler(connection);
        }
        match connection.stage {
            Stage::Choosing => Verdict::Stay,
            Stage::ProxyHeader => self.header_timed_out(connection),
            Stage::Shortage | Stage::Busy => self.try_again(connection),
            Stage::Connecting => self.connect_timed_out(connection),
            Stage::Request => self.request_timed_out(connection),
            Stage::Queued => self.waited_enough(connection),
            Stage::Polled => self.poll_timed_out(connection),
            Stage::Dummy { answered: true } => Verdict::Close(CloseReason::Finished),
            Stage::Hello | Stage::Handshake => Verdict::Close(CloseReason::HandshakeTimeout),
            Stage::Goodbye => Verdict::Close(CloseReason::Handshake),
            Stage::Relaying | Stage::FirstBytes | Stage::Dummy { answered: false } => {
                let now_ms = self.core.now_ms;
                let service = self.service(connection);
                let idle_ms = service.settings.number(Number::IdleTimeout) * 1000;
                if idle_ms > 0 && now_ms >= connection.active_ms + idle_ms {
                    service.totals.idle_timeouts += 1;
                    return Verdict::Close(CloseReason::IdleTimeout);
                }
                self.arm(connection);
                Verdict::Stay
            }
        }
    }
}
