//! A selection together with the clients it chooses for, borrowed for one decision. Pure.
//!
//! Owns a connection's way from its admission to its release; `walk.rs` goes from server to server.

use super::attempt::{Admission, Arrival, Asker, Attempt, Hold, Refusal, Released};
use super::clients::ClientTable;
use super::queue::Waiting;
use super::selection::Selection;
use super::servers::{Endpoint, ServerId};
use super::walk::Walk;
use pen_proto::addr::ClientAddr;
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
        let walk = Walk { asker: asker.into(), now_seconds };
        let (mut attempt, refusal) = self.receive(walk, port);
        match self.begin(walk, &mut attempt).or_else(|| self.emergency(walk, &mut attempt)) {
            Some(endpoint) => Admission::Connect(attempt, endpoint),
            None => Admission::Refused(refusal),
        }
    }

    /// As [`Chooser::admit`], for a client that waits where the rules say so. Those who wait come first.
    /// `now_ms` is monotonic.
    pub fn arrive(
        &mut self,
        asker: impl Into<Asker>,
        port: u16,
        now_seconds: u32,
        who: Waiting,
        now_ms: u64,
    ) -> Arrival {
        let walk = Walk { asker: asker.into(), now_seconds };
        self.serve_before(now_seconds);
        let (mut attempt, refusal) = self.receive(walk, port);
        match self.begin(walk, &mut attempt) {
            Some(endpoint) => self.send(attempt, endpoint, who, now_ms),
            None => self.wait(walk, attempt, who, refusal),
        }
    }

    /// To the server at which a place is reserved, or to wait for a check of it.
    #[inline]
    fn send(&mut self, attempt: Attempt, endpoint: Arc<Endpoint>, who: Waiting, now_ms: u64) -> Arrival {
        match self.selection.poll(&attempt, who, now_ms) {
            Some(poll) => Arrival::Polls(attempt, endpoint, poll),
            None => Arrival::Connect(attempt, endpoint),
        }
    }

    /// Counts the client and says where it is to go first; and how it is refused when it cannot be helped.
    fn receive(&mut self, walk: Walk, port: u16) -> (Attempt, Refusal) {
        let Walk { asker: Asker { client, is_over_limit, .. }, now_seconds } = walk;
        self.selection.settle(now_seconds);
        let slot = self.clients.touch(client, now_seconds, self.selection.rules.tracking_seconds);
        let (initial, refusal) = match (self.selection.rules.permit(client), is_over_limit) {
            (true, false) => (self.initial_server(walk, port, slot), Refusal::NoServer),
            (true, true) => (ServerId::ABUSE, Refusal::OverLimit),
            (false, _) => (ServerId::ABUSE, Refusal::Denied),
        };
        (Attempt::new(slot, initial), refusal)
    }

    /// No server has taken the client: it waits if it may, or gets the emergency server.
    fn wait(&mut self, walk: Walk, attempt: Attempt, who: Waiting, refusal: Refusal) -> Arrival {
        let mut attempt = match self.join_queue(walk, attempt, who) {
            Ok(ticket) => return Arrival::Waits(ticket),
            Err(attempt) => attempt,
        };
        match self.emergency(walk, &mut attempt) {
            Some(endpoint) => Arrival::Connect(attempt, endpoint),
            None => {
                self.selection.forget_tried(&mut attempt);
                Arrival::Refused(refusal)
            }
        }
    }

    /// As [`Chooser::failed`], or with `is_ours` as [`Chooser::passed_over`], for a client that waits where the rules say so.
    pub fn lose_server(
        &mut self,
        asker: impl Into<Asker>,
        mut attempt: Attempt,
        is_ours: bool,
        now_seconds: u32,
        who: Waiting,
        now_ms: u64,
    ) -> Arrival {
        let walk = Walk { asker: asker.into(), now_seconds };
        if !is_ours && attempt.hold != Hold::Nothing {
            self.selection.servers.connect_failed(attempt.current, attempt.era, now_seconds);
        }
        if self.selection.give_back(&mut attempt, |_| ()).is_none() {
            return Arrival::Refused(Refusal::NoServer);
        }
        match self.try_another(walk, &mut attempt) {
            Some(endpoint) => self.send(attempt, endpoint, who, now_ms),
            None => self.wait(walk, attempt, who, Refusal::NoServer),
        }
    }

    /// Counts one more connection of the client, as long as it has not all that it may have. What was counted is given back
    /// by [`Chooser::leave`].
    pub fn enter(&mut self, client: ClientAddr, now_seconds: u32) -> bool {
        let limits = self.selection.rules.client_limits;
        self.selection.limiter.enter(limits, client, now_seconds)
    }

    /// A connection that [`Chooser::enter`] has counted is over.
    pub fn leave(&mut self, client: ClientAddr) {
        self.selection.limiter.leave(client);
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
