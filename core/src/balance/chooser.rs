//! A selection together with the clients it chooses for, borrowed for one decision. Pure.
//!
//! Owns a connection's way from its admission to its release; `walk.rs` goes from server to server.

use super::attempt::{Admission, Asker, Attempt, Hold, Refusal, Released};
use super::clients::ClientTable;
use super::selection::Selection;
use super::servers::{Endpoint, ServerId};
use super::walk::Walk;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// See [`super::Pool::at`].
pub struct Chooser<'a> {
    pub(super) clients: &'a mut ClientTable,
    pub(super) selection: &'a mut Selection,
}

impl Deref for Chooser<'_> {
    type Target = Selection;

    fn deref(&self) -> &Selection {
        self.selection
    }
}

impl DerefMut for Chooser<'_> {
    fn deref_mut(&mut self) -> &mut Selection {
        self.selection
    }
}

impl Chooser<'_> {
    /// Counts the client and reserves a place for it at the first server that takes it. `port` is the client's, 0 for a
    /// Unix socket.
    pub fn admit(&mut self, asker: impl Into<Asker>, port: u16, now_seconds: u32) -> Admission {
        let asker = asker.into();
        let client = asker.client;
        let slot = self.clients.touch(client, now_seconds, self.selection.rules.tracking_seconds);
        let walk = Walk { asker, now_seconds };
        let (initial, refusal) = match self.selection.rules.permit(client) {
            true => (self.initial_server(walk, port, slot), Refusal::NoServer),
            false => (ServerId::ABUSE, Refusal::Denied),
        };
        let mut attempt = Attempt::new(slot, initial);
        match self.begin(walk, &mut attempt) {
            Some(endpoint) => Admission::Connect(attempt, endpoint),
            None => Admission::Refused(refusal),
        }
    }

    /// The connect failed or timed out. Blacklists the server and reserves a place at the next one; `None` when the
    /// client cannot be helped.
    pub fn failed(
        &mut self,
        asker: impl Into<Asker>,
        attempt: &mut Attempt,
        now_seconds: u32,
    ) -> Option<Arc<Endpoint>> {
        if attempt.hold == Hold::Nothing {
            return None;
        }
        // Before the place is given back, with which a server that is removed may be gone.
        self.selection.servers.connect_failed(attempt.current, attempt.era, now_seconds);
        self.selection.give_back(attempt, |_| ());
        self.go_on(Walk { asker: asker.into(), now_seconds }, attempt)
    }

    /// The server could not be tried for a reason on our side, such as no free local port. As [`Chooser::failed`], but
    /// nobody is blamed.
    pub fn passed_over(
        &mut self,
        asker: impl Into<Asker>,
        attempt: &mut Attempt,
        now_seconds: u32,
    ) -> Option<Arc<Endpoint>> {
        self.selection.give_back(attempt, |_| ())?;
        self.go_on(Walk { asker: asker.into(), now_seconds }, attempt)
    }

    /// The connection has ended: gives its place back and adds up its bytes. Does nothing after a last failure.
    pub fn release(&mut self, mut attempt: Attempt, released: Released) {
        self.give_place_back(&mut attempt, released);
    }

    /// As [`Chooser::release`], before the attempt itself can be given up; to release it then does nothing more.
    pub fn give_place_back(&mut self, attempt: &mut Attempt, released: Released) {
        let Released { established, up_bytes, down_bytes } = released;
        let given_back = self.selection.give_back(attempt, |server| {
            server.connections_total += u64::from(established);
            server.add_bytes(up_bytes, down_bytes);
        });
        if given_back.is_some() {
            self.clients.add_bytes(attempt.slot, down_bytes, up_bytes);
        }
        self.selection.forget_tried(attempt);
    }

    /// Adds up bytes of a session that goes on, before it leaves a server.
    pub fn add_bytes(&mut self, attempt: &Attempt, up_bytes: u64, down_bytes: u64) {
        let changed = self.selection.change_held(attempt, |server| server.add_bytes(up_bytes, down_bytes));
        if changed.is_some() {
            self.clients.add_bytes(attempt.slot, down_bytes, up_bytes);
        }
    }

    /// The connect was given up for a reason that says nothing about the server: the client left, or pen ran out of
    /// something. Gives the place back and blames nobody.
    pub fn abandon(&mut self, attempt: Attempt) {
        self.release(attempt, Released::default());
    }
}
