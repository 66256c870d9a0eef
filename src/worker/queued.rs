//! Clients that wait for a server that is not full, and what one client may have.
//!
//! The queue itself is the selection's (`balance/queue.rs`), which takes a place for whoever is next; `Shared::call` has the
//! worker of that client look, and nothing is asked in the meantime.

use super::Context;
use super::verdict::Verdict;
use crate::balance::{Claim, Ticket, Waiting};
use crate::conn::{CloseReason, Connection, Extras, Limit, Side, Stage, Wait};
use crate::os;
use pen_proto::commands::{FastClose, Number};

impl Context {
    /// Counts the connection towards what its client may have, where there is a limit. False when it is to be closed.
    pub(super) fn count_client(&mut self, connection: &mut Connection) -> bool {
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let local = &self.core.services[connection.service];
        if connection.limit != Limit::None || !local.settings.client_limits().are_set() {
            return true;
        }
        let address = connection.address;
        let (may, has_abuse_server) =
            local.service.with(|chooser| (chooser.enter(address, now_seconds), chooser.has_abuse_server()));
        connection.limit = if may { Limit::Counted } else { Limit::Over };
        may || has_abuse_server
    }

    /// By what the queue knows a connection.
    pub(super) fn waiting(&self, connection: &Connection) -> Waiting {
        // There are 256 workers at most.
        Waiting { worker: self.core.number as u16, connection: connection.number }
    }

    /// Every server is full.
    pub(super) fn begin_to_wait(&mut self, connection: &mut Connection, ticket: Ticket) -> Verdict {
        let timeout_ms = self.settings(connection).number(Number::QueueTimeout);
        let deadline_ms = (timeout_ms > 0).then(|| self.core.now_ms + timeout_ms);
        connection.extras().wait = Some(Wait { ticket, deadline_ms, look_ms: None });
        self.service(connection).totals.queued += 1;
        self.enter(connection, Stage::Queued);
        match self.register(connection, Side::Client) {
            Ok(()) => self.look_at_queued(connection),
            Err(reason) => Verdict::Close(reason),
        }
    }

    /// Something was heard of a client that waits: it may have left.
    pub(super) fn look_at_queued(&mut self, connection: &mut Connection) -> Verdict {
        let fast_close = self.settings(connection).choice::<FastClose>();
        let ends_at_once = matches!(fast_close, FastClose::Down | FastClose::Both) || connection.is_secure();
        match has_left(connection, ends_at_once) {
            true => Verdict::Close(CloseReason::LeftQueue),
            false => Verdict::Stay,
        }
    }

    /// Its turn may have come.
    pub(super) fn called(&mut self, connection: &mut Connection) -> Verdict {
        if connection.stage == Stage::Polled {
            return self.look_what_was_found(connection);
        }
        // Another may have its number by now.
        let Some(Wait { ticket, deadline_ms, .. }) = take_wait(connection) else { return Verdict::Stay };
        let (who, now_ms) = (self.waiting(connection), self.core.now_ms);
        let (asker, port) = (connection.asker(), connection.port);
        let now_seconds = os::steady_epoch_seconds(now_ms);
        let (claim, clone) = self.service(connection).service.with(|chooser| {
            let claim = chooser.claim(ticket, who, now_ms);
            let clone =
                claim.server().and_then(|member| chooser.admit_clone(member, asker, port, now_seconds));
            (claim, clone)
        });
        if let Some(clone) = clone {
            self.expect_clone(connection, clone);
        }
        match claim {
            Claim::Waits(ticket, look_seconds) => {
                let look_ms = look_seconds.map(|at| now_ms + os::ms_until_second(now_ms, at));
                connection.extras().wait = Some(Wait { ticket, deadline_ms, look_ms });
                self.arm(connection);
                Verdict::Stay
            }
            Claim::Connect(attempt, endpoint) => self.go_to(connection, attempt, endpoint),
            Claim::Polls(attempt, endpoint, poll) => {
                self.keep_place(connection, attempt, endpoint);
                self.wait_for_check(connection, poll)
            }
            Claim::Again => self.choose(connection),
        }
    }

    /// A server may be usable again, or `queue_timeout` is over.
    pub(super) fn waited_enough(&mut self, connection: &mut Connection) -> Verdict {
        let wait = connection.extras.as_mut().and_then(|extras| extras.wait.as_mut());
        let Some(Wait { deadline_ms, look_ms, .. }) = wait else { return Verdict::Stay };
        let is_over = deadline_ms.is_some_and(|deadline_ms| deadline_ms <= self.core.now_ms);
        if look_ms.take().is_some() {
            self.service(connection).service.with(|chooser| chooser.look_again());
        }
        if !is_over {
            self.arm(connection);
            return Verdict::Stay;
        }
        let Some(Wait { ticket, .. }) = take_wait(connection) else { return Verdict::Stay };
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let local = self.service(connection);
        match local.service.with(|chooser| chooser.stop_waiting(ticket, now_seconds)) {
            Some((attempt, endpoint)) => self.go_to(connection, attempt, endpoint),
            None => {
                local.totals.queue_timeouts += 1;
                Verdict::Close(CloseReason::NoServer)
            }
        }
    }

    /// At the end of a connection: its place in the queue is given up, and what it counted for.
    pub(super) fn end_of_wait(&mut self, connection: &mut Connection) {
        let ticket = take_wait(connection).map(|wait| wait.ticket);
        let is_counted = std::mem::take(&mut connection.limit) == Limit::Counted;
        if ticket.is_none() && !is_counted {
            return;
        }
        let address = connection.address;
        self.service(connection).service.with(|chooser| {
            if is_counted {
                chooser.leave(address);
            }
            ticket.into_iter().for_each(|ticket| chooser.leave_queue(ticket));
        });
    }
}

/// When a client that waits is looked at.
pub(super) fn queue_limit_ms(connection: &Connection) -> Option<u64> {
    let Wait { deadline_ms, look_ms, .. } = connection.extras.as_ref()?.wait.as_ref()?;
    [*deadline_ms, *look_ms].into_iter().flatten().min()
}

fn take_wait(connection: &mut Connection) -> Option<Wait> {
    let wait = connection.extras.as_mut()?.wait.take();
    Extras::free_if_unused(&mut connection.extras);
    wait
}

/// Whether the client is gone: it has reset the connection, or ended its side without a word. One that has said something
/// before it ended its side wants an answer, unless the end counts for both.
fn has_left(connection: &mut Connection, ends_at_once: bool) -> bool {
    let client = &mut connection.client;
    let has_said_something = connection.from_client.pending.is_some() || connection.from_client.bytes > 0;
    if client.error || (ends_at_once && client.drain_before_end) {
        return true;
    }
    match client.fd().and_then(|fd| os::peek(fd, &mut [0])) {
        Ok(0) => !has_said_something,
        Ok(_) => false,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            client.readable = false;
            false
        }
        Err(_) => true,
    }
}
