//! Waiting for what a client asks for, where the policy goes by that.
//!
//! The bytes are read and kept as they come, and pass the chain when the server is chosen: what they ask for is read from what
//! the client sent, and not from what `http` makes of it. A server that speaks first must not wait for its client, so the
//! first byte is waited for a moment only.

use super::Context;
use super::verdict::Verdict;
use crate::conn::relay::Workspace;
use crate::conn::{CloseReason, Connection, Extras, Parts, Stage};
use crate::timers::TICK_MS;
use crate::uri::{self, Asked, Uri};
use pen_proto::commands::{Number, PolicyKind};

/// A client that has not sent a byte for so long gets its server without a request.
const FIRST_BYTE_MS: u64 = 200;

impl Context {
    /// Chooses a server: at once, or when the client has asked for something.
    pub(super) fn choose_for_request(&mut self, connection: &mut Connection) -> Verdict {
        match self.policy(connection).reads_requests() {
            true => self.begin_stage(connection, Stage::Request),
            false => self.choose(connection),
        }
    }

    fn policy(&self, connection: &Connection) -> PolicyKind {
        self.settings(connection).choice()
    }

    /// Chooses a server for a client that has said so many bytes first, which are in the scratch buffer.
    pub(super) fn choose_after(&mut self, connection: &mut Connection, count: usize) -> Verdict {
        match self.policy(connection).reads_requests() {
            true => {
                let pending = self.work.pool.hold(&self.work.scratch[..count]);
                connection.from_client.pending = Some(pending);
                self.begin_stage(connection, Stage::Request)
            }
            false => self.pass_and_choose(connection, count),
        }
    }

    fn pass_and_choose(&mut self, connection: &mut Connection, count: usize) -> Verdict {
        match self.pass_early(connection, count) {
            Verdict::Close(reason) => Verdict::Close(reason),
            _ => self.choose(connection),
        }
    }

    /// Something may have come of a client that is to ask for something.
    pub(super) fn request(&mut self, connection: &mut Connection) -> Verdict {
        let policy = self.policy(connection);
        let was_silent = connection.from_client.pending.is_none();
        loop {
            let heard = connection.from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
            match uri::read(policy, heard, connection.from_client.eof) {
                Asked::For(uri) => return self.asked(connection, Some(uri)),
                Asked::Nothing => return self.asked(connection, None),
                Asked::Incomplete => {}
            }
            match read_more(connection, &mut self.work) {
                Ok(true) => {}
                Ok(false) => break,
                Err(reason) => return Verdict::Close(reason),
            }
        }
        if was_silent && connection.from_client.pending.is_some() {
            self.arm(connection);
        }
        Verdict::Stay
    }

    /// Nothing more is waited for.
    pub(super) fn request_timed_out(&mut self, connection: &mut Connection) -> Verdict {
        self.asked(connection, None)
    }

    /// The server is chosen, and gets what has come so far.
    fn asked(&mut self, connection: &mut Connection, uri: Option<Uri>) -> Verdict {
        if uri.is_some() {
            connection.extras().uri = uri;
        }
        let raw = connection.from_client.pending.take();
        let count = raw.as_ref().map_or(0, |raw| raw.len());
        if let Some(raw) = &raw {
            self.work.scratch[..count].copy_from_slice(raw.unsent());
        }
        self.work.pool.give_back(raw);
        self.pass_and_choose(connection, count)
    }

    /// How long a request is waited for: a moment for the first byte, and then as long as a server may take to accept.
    pub(super) fn request_limit_ms(&self, connection: &Connection) -> u64 {
        match connection.from_client.pending {
            Some(_) => self.settings(connection).number(Number::Timeout) * 1000,
            // Timers ring late, and never early.
            None => FIRST_BYTE_MS - TICK_MS,
        }
    }
}

/// The server is alive, so no other is chosen: what was asked for is of use no more.
pub(super) fn forget_request(connection: &mut Connection) {
    if let Some(extras) = &mut connection.extras
        && extras.chain.unproven.is_none()
        && extras.uri.take().is_some()
    {
        Extras::free_if_unused(&mut connection.extras);
    }
}

/// Adds what has come to what is kept; false when nothing has.
fn read_more(connection: &mut Connection, work: &mut Workspace) -> Result<bool, CloseReason> {
    let Parts { mut client, from_client, from_server, .. } = connection.parts();
    let read = client.read(from_client, &mut work.scratch);
    client.settle(from_server);
    let Some(read) = read.map_err(|_| CloseReason::ClientReset)? else { return Ok(false) };
    let bytes = &work.scratch[..read.plain_bytes];
    match &mut from_client.pending {
        _ if bytes.is_empty() => {}
        Some(pending) => pending.bytes_mut().extend_from_slice(bytes),
        place => *place = Some(work.pool.hold(bytes)),
    }
    Ok(true)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
