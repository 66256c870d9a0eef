//! Moving the bytes of a connection, and what comes of how far they got.

use super::Context;
use super::bytes::{self, FromClient, Remark};
use super::log_lines::logs_reads;
use super::proxy::take_greeting;
use super::services::LocalService;
use super::trace::BYTES;
use super::verdict::Verdict;
use crate::conn::relay::{self, Flow, Passage};
use crate::conn::{CloseReason, Connection, Extras, NEVER_ASKED, Parts, end, splice};
use crate::half_close::{self, Action};
use crate::http::Answered;
use crate::log::diag;

/// Of an answer's body, so much must be left for it to be moved without a look: more than one turn can move.
const UNHEARD_BYTES_MIN: u64 = 2 * relay::TURN_BYTES_MAX as u64;

impl Context {
    /// Moves what can be moved, both ways.
    pub(super) fn relay(&mut self, connection: &mut Connection) -> Verdict {
        let is_awaited = connection.asked_ms != NEVER_ASKED && connection.from_server.moved_bytes() == 0;
        let verdict = self.relay_both_ways(connection);
        if is_awaited && connection.from_server.moved_bytes() > 0 {
            self.note_first_byte(connection);
        }
        if connection.clone().is_some() {
            self.tend_clone(connection);
        }
        verdict
    }

    /// Whether somebody looks at its bytes, or it has TLS or something to say of its own.
    #[inline]
    pub(super) fn is_seen(&self, connection: &Connection) -> bool {
        let looks = diag::is_on(BYTES) || logs_reads(&self.core.services[connection.service]);
        looks || connection.extras.is_some() || connection.greeting_due
    }

    fn relay_both_ways(&mut self, connection: &mut Connection) -> Verdict {
        if self.is_seen(connection) {
            return self.relay_seen(connection);
        }
        let Connection { client, server, from_client, from_server, .. } = connection;
        let up = splice::pump(client, server, from_client, &mut self.work);
        let down = splice::pump(server, client, from_server, &mut self.work);
        match (up, down) {
            (Flow::Waits, Flow::Waits) if !connection.is_ending() => Verdict::Stay,
            _ => self.conclude(connection, up, down),
        }
    }

    /// The same for a connection whose bytes somebody looks at, that has TLS, or that has something to say of its own.
    fn relay_seen(&mut self, connection: &mut Connection) -> Verdict {
        let dump = self.dump(connection);
        let Context { core, work, clones, .. } = self;
        let mut greeting = take_greeting(connection);
        if let Some(pending) = &mut connection.from_client.pending {
            greeting.take().inspect(|greeting| pending.put_before(greeting));
        }
        let logs = logs_reads(&core.services[connection.service]);
        let LocalService { log, settings, .. } = &mut core.services[connection.service];
        let address = connection.address;
        let Parts { mut client, mut server, from_client, from_server, mut chain, endpoint } =
            connection.parts();
        let is_plain = client.session.is_none() && server.session.is_none();
        // Nobody but a clone wants to see the bytes.
        let copied_to = chain.as_ref().and_then(|chain| chain.copied_only_to());
        let copied_to = copied_to.filter(|_| is_plain && dump.is_none() && !logs && greeting.is_none());
        let streamed = copied_to.and_then(|number| {
            let tap = &mut clones.tap(number);
            splice::pump_tapped(client.socket, server.socket, from_client, &mut work.pool, tap)
        });
        let mut seen = FromClient::new(log, settings.choice(), dump, address, clones);
        seen.server = endpoint;
        seen.chain = chain.as_deref_mut();
        seen.greeting = greeting;
        let look = |bytes: &[u8], instead: &mut Vec<u8>| seen.pass(bytes, bytes.is_empty(), instead);
        let up = streamed.unwrap_or_else(|| relay::pump(&mut client, &mut server, from_client, work, look));
        let clone = seen.clone_number();
        let FromClient { greeting, remark, .. } = seen;
        if let Some(greeting) = greeting {
            server.offer(from_client, &greeting, &mut work.pool); // a client that waits for the server to speak
        }
        let mut answered = Answered::Nothing;
        let unheard_bytes = bytes::unheard_bytes(chain.as_deref());
        let is_compared = clones.hears_member(clone);
        let down = if is_plain && dump.is_none() && !is_compared && unheard_bytes >= UNHEARD_BYTES_MIN {
            let before = from_server.moved_bytes();
            let down = splice::pump(server.socket, client.socket, from_server, work);
            let moved_bytes = from_server.moved_bytes().saturating_sub(before);
            bytes::skip(chain.as_deref_mut(), moved_bytes);
            clones.member_said(clone, moved_bytes);
            down
        } else {
            relay::pump(&mut server, &mut client, from_server, work, |bytes, _| {
                dump.inspect(|dump| dump.down(bytes));
                clones.member_says(clone, bytes);
                bytes::hear_answer(chain.as_deref_mut(), bytes, from_client, &mut answered);
                Passage::AsRead
            })
        };
        bytes::hear_end(chain, from_server, from_client, &mut answered);
        // What the sessions have to say to themselves, such as new tickets and the reason of a failure.
        client.settle(from_server);
        server.settle(from_client);
        Extras::free_if_unused(&mut connection.extras);
        let heeded = match (remark, answered) {
            (Remark::Nothing, Answered::Nothing) => Verdict::Stay,
            _ => self.heed(connection, remark, answered),
        };
        match heeded {
            Verdict::Close(_) => heeded,
            _ => heeded.and(self.conclude(connection, up, down)),
        }
    }

    /// What comes of how far the two directions got.
    fn conclude(&mut self, connection: &mut Connection, up: Flow, down: Flow) -> Verdict {
        if connection.unproven().is_some()
            && up != Flow::SenderFailed
            && !self.is_idler_alive(connection, down)
        {
            return self.replace_idler(connection);
        }
        let flow = match (up, down) {
            (_, Flow::SenderFailed) => return Verdict::Close(CloseReason::ServerReset),
            (Flow::SenderFailed, _) => return Verdict::Close(CloseReason::ClientReset),
            (Flow::TurnOver, _) | (_, Flow::TurnOver) => Verdict::Again,
            (Flow::Waits, Flow::Waits) => Verdict::Stay,
        };
        flow.and(self.pass_on_ends(connection))
    }

    /// Lets an end of file travel on, or ends the connection.
    fn pass_on_ends(&mut self, connection: &mut Connection) -> Verdict {
        let fast_close = connection.fast_close(self.settings(connection).choice());
        loop {
            let was = (connection.from_client.shut, connection.from_server.shut);
            let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
            match half_close::decide(server.progress(from_client), client.progress(from_server), fast_close) {
                Action::Nothing => return Verdict::Stay,
                Action::ShutdownServer => server.shut(from_client, client.is_complete(from_client)),
                Action::ShutdownClient => client.shut(from_server, server.is_complete(from_server)),
                Action::Close => break,
            }
            if was == (connection.from_client.shut, connection.from_server.shut) {
                return Verdict::Stay; // what a session has to say first has not gone out yet
            }
        }
        match connection.is_secure() && !self.say_ends(connection) {
            true => Verdict::Stay,
            false => Verdict::Close(connection.end_reason()),
        }
    }

    /// Both sides of a connection that has TLS learn that nothing more comes. True when they have been told.
    fn say_ends(&mut self, connection: &mut Connection) -> bool {
        let released = connection.released();
        if let Some(attempt) = &mut connection.attempt {
            // The end that the client is told may bring it back at once, as a closed socket does.
            let service = &self.core.services[connection.service].service;
            service.with(|chooser| chooser.give_place_back(attempt, released));
        }
        let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
        client.say_end(from_server, server.is_complete(from_server));
        server.say_end(from_client, client.is_complete(from_client));
        !client.progress(from_server).pending && !server.progress(from_client).pending
    }

    /// `peek`: a server is chosen when the client has said something.
    pub(super) fn first_bytes(&mut self, connection: &mut Connection) -> Verdict {
        if !connection.client.readable {
            return Verdict::Stay;
        }
        let Connection { client, from_client, .. } = connection;
        match end::read(client, from_client, &mut self.work.scratch) {
            Ok(None) => Verdict::Stay,
            Ok(Some(0)) => Verdict::Close(CloseReason::Finished),
            Ok(Some(count)) => self.choose_after(connection, count),
            Err(_) => Verdict::Close(CloseReason::ClientReset),
        }
    }
}
