//! Serving a connection: relaying, half-close, timers, and the one exit, [`Worker::close`].

use super::hand_over::proof_deadline_ms;
use super::proxy::take_greeting;
use super::said::{self, Said, Verdict};
use super::services::LocalService;
use super::trace::BYTES;
use super::{Key, Worker};
use crate::balance::{Endpoint, ServerId};
use crate::conn::relay::{self, Flow, Loan, Passage};
use crate::conn::{CloseReason, Connection, Extras, Parts, Side, Socket, Stage, dummy, end, splice};
use crate::half_close::{self, Action};
use crate::http::Answered;
use crate::log::diag;
use crate::log::record::ConnectionRecord;
use crate::log::traffic::{Target, TrafficLog};
use crate::net::poller::REGISTRATIONS_LAST;
use crate::sys::errors::reason;
use crate::sys::{clock, socket};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{LogFormat, Number};
use std::io::Write;
use std::os::fd::AsFd;

/// How long an answered `dummy` client gets to read and close before the connection is cut.
const DUMMY_LINGER_MS: u64 = 2_000;
/// Of an answer's body, so much must be left for it to be moved without a look: more than one turn can move.
const UNHEARD_BYTES_MIN: u64 = 2 * relay::TURN_BYTES_MAX as u64;

impl Worker {
    /// Does what can be done for a connection now.
    pub(super) fn serve(&mut self, index: u32) {
        let Some(connection) = self.connections.get(index) else { return };
        match connection.stage {
            Stage::Relaying => self.relay(index),
            Stage::Connecting => self.connecting(index),
            Stage::ProxyHeader => self.read_header(index),
            Stage::FirstBytes => self.first_bytes(index),
            Stage::Dummy { answered } => self.dummy(index, answered),
            Stage::Hello => self.hello(index),
            Stage::Handshake => self.handshake(index),
            Stage::Goodbye => self.goodbye(index),
            Stage::Shortage | Stage::Busy => {}
        }
    }

    fn relay(&mut self, index: u32) {
        let Worker { core, connections, scratch, instead, pool, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return };
        let looks = diag::is_on(BYTES) || logs_reads(&core.services[connection.service]);
        if looks || connection.extras.is_some() || connection.greeting_due {
            return self.relay_seen(index);
        }
        let Connection { client, server, from_client, from_server, .. } = connection;
        let mut loan = Loan { scratch, instead, pool };
        let up = splice::pump(client, server, from_client, &mut loan);
        let down = splice::pump(server, client, from_server, &mut loan);
        if connection.is_ending() || (up, down) != (Flow::Waits, Flow::Waits) {
            self.conclude(index, up, down);
        } else {
            self.rearm(index);
        }
    }

    /// A connection whose bytes somebody looks at, that has TLS, or that has something to say of its own.
    fn relay_seen(&mut self, index: u32) {
        let dump = self.dump(index);
        let Worker { core, connections, scratch, instead, pool, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return };
        let LocalService { log, settings, .. } = &mut core.services[connection.service];
        let format = settings.choice();
        let mut greeting = take_greeting(connection);
        if let Some(pending) = &mut connection.from_client.pending {
            greeting.take().inspect(|greeting| pending.put_before(greeting));
        }
        let address = connection.address;
        let Parts { mut client, mut server, from_client, from_server, chain, endpoint } = connection.parts();
        let mut loan = Loan { scratch, instead, pool };
        let verdict = Verdict::Nothing;
        let mut said =
            Said { log, format, dump, client: address, server: endpoint, chain, greeting, verdict };
        let look = |bytes: &[u8], instead: &mut Vec<u8>| said.pass(bytes, instead);
        let up = relay::pump(&mut client, &mut server, from_client, &mut loan, look);
        let Said { greeting, verdict, mut chain, .. } = said;
        if let Some(greeting) = greeting {
            server.offer(from_client, &greeting, loan.pool); // a client that waits for the server to speak
        }
        let mut answered = Answered::Nothing;
        let is_plain = client.session.is_none() && server.session.is_none();
        let unheard_bytes = said::unheard_bytes(chain.as_deref());
        let down = if is_plain && dump.is_none() && unheard_bytes >= UNHEARD_BYTES_MIN {
            let before = from_server.moved_bytes();
            let down = splice::pump(server.socket, client.socket, from_server, &mut loan);
            said::skip(chain.as_deref_mut(), from_server.moved_bytes().saturating_sub(before));
            down
        } else {
            relay::pump(&mut server, &mut client, from_server, &mut loan, |bytes, _| {
                dump.inspect(|dump| dump.down(bytes));
                said::hear_answer(chain.as_deref_mut(), bytes, from_client, &mut answered);
                Passage::AsRead
            })
        };
        said::hear_end(chain, from_server, from_client, &mut answered);
        // What the sessions have to say to themselves, such as new tickets and the reason of a failure.
        client.settle(from_server);
        server.settle(from_client);
        Extras::free_if_unused(&mut connection.extras);
        let is_heeded = (verdict, answered) != (Verdict::Nothing, Answered::Nothing);
        if !is_heeded || self.heed(index, verdict, answered) {
            self.conclude(index, up, down);
        }
    }

    /// What comes of how far the two directions got.
    fn conclude(&mut self, index: u32, up: Flow, down: Flow) {
        let Some(connection) = self.connections.get(index) else { return };
        if connection.unproven().is_some() && up != Flow::SenderFailed && !self.is_idler_alive(index, down) {
            return;
        }
        match (up, down) {
            (_, Flow::SenderFailed) => return self.close(index, CloseReason::ServerReset),
            (Flow::SenderFailed, _) => return self.close(index, CloseReason::ClientReset),
            (Flow::TurnOver, _) | (_, Flow::TurnOver) => self.put_off(index),
            (Flow::Waits, Flow::Waits) => {}
        }
        self.pass_on_ends(index);
        self.rearm(index);
    }

    /// The connection goes on after the others. There is an entry at most for each, however many events it has: and few
    /// of them, because each stands for a turn that was used up.
    pub(super) fn put_off(&mut self, index: u32) {
        if !self.unfinished.contains(&index) {
            self.unfinished.push(index);
        }
    }

    /// Lets an end of file travel on, or ends the connection.
    fn pass_on_ends(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let fast_close = connection.fast_close(self.core.services[connection.service].settings.choice());
        loop {
            let was = (connection.from_client.shut, connection.from_server.shut);
            let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
            match half_close::decide(server.progress(from_client), client.progress(from_server), fast_close) {
                Action::Nothing => return,
                Action::ShutdownServer => server.shut(from_client, client.is_complete(from_client)),
                Action::ShutdownClient => client.shut(from_server, server.is_complete(from_server)),
                Action::Close => break,
            }
            if was == (connection.from_client.shut, connection.from_server.shut) {
                return; // what a session has to say first has not gone out yet
            }
        }
        if connection.is_secure() && !self.say_ends(index) {
            return;
        }
        let Some(connection) = self.connections.get(index) else { return };
        let reason = connection.end_reason();
        self.close(index, reason);
    }

    /// Both sides of a connection that has TLS learn that nothing more comes. True when they have been told.
    fn say_ends(&mut self, index: u32) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let released = connection.released();
        if let Some(attempt) = &mut connection.attempt {
            // The end that the client is told may bring it back at once, as a closed socket does.
            self.core.services[connection.service]
                .service
                .with(|chooser| chooser.give_place_back(attempt, released));
        }
        let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
        client.say_end(from_server, server.is_complete(from_server));
        server.say_end(from_client, client.is_complete(from_client));
        !client.progress(from_server).pending && !server.progress(from_client).pending
    }

    /// `peek`: a server is chosen when the client has said something.
    fn first_bytes(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Connection { client, from_client, .. } = connection;
        if !client.readable {
            return self.rearm(index);
        }
        match end::read(client, from_client, &mut self.scratch) {
            Ok(None) => self.rearm(index),
            Ok(Some(0)) => self.close(index, CloseReason::Finished),
            Ok(Some(count)) => self.said_first(index, count),
            Err(_) => self.close(index, CloseReason::ClientReset),
        }
    }

    /// It has said so much, which is in the scratch buffer.
    fn said_first(&mut self, index: u32, count: usize) {
        let dump = self.dump(index);
        let Some(connection) = self.connections.get_mut(index) else { return };
        let mut verdict = Verdict::Nothing;
        let read = &self.scratch[..count];
        let bytes = said::early(dump, connection, read, &mut self.instead, &mut verdict);
        if !bytes.is_empty() {
            connection.from_client.pending = Some(self.pool.hold(bytes));
        }
        if self.heed(index, verdict, Answered::Nothing) {
            self.choose(index);
        }
    }

    /// `dummy`: whatever the client says, it hears the same answer.
    fn dummy(&mut self, index: u32, answered: bool) {
        let Worker { connections, scratch, instead, pool, core, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return };
        let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
        let mut loan = Loan { scratch, instead, pool };
        from_client.receiver_gone = true; // there is no server to hear it
        let mut asked = false;
        let flow = relay::pump(&mut client, &mut server, from_client, &mut loan, |bytes, _| {
            asked |= !bytes.is_empty();
            Passage::AsRead
        });
        let answers = asked && !answered;
        if answers {
            client.offer(from_server, dummy::answer(core.shared.dummy_name()).as_bytes(), loan.pool);
        }
        if client.flush(from_server, loan.pool) && (answers || answered) && !from_server.shut {
            client.shut(from_server, true);
        }
        self.conclude_dummy(index, flow, answers);
    }

    /// What comes of how far a client of `dummy` got, which may have its answer now.
    fn conclude_dummy(&mut self, index: u32, flow: Flow, answers: bool) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if answers {
            connection.stage = Stage::Dummy { answered: true };
            self.timers.arm(index, self.core.now_ms + DUMMY_LINGER_MS);
        }
        match flow {
            Flow::SenderFailed => self.close(index, CloseReason::ClientReset),
            Flow::TurnOver => self.put_off(index),
            Flow::Waits if connection.from_client.eof => self.close(index, CloseReason::Finished),
            Flow::Waits => self.rearm(index),
        }
    }

    /// Tells the poller of a socket. False when it refuses: then the connection, which would hang for ever, is closed.
    pub(super) fn register(&mut self, index: u32, side: Side) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let socket = connection.socket(side);
        let Ok(fd) = socket.fd() else { return false };
        if socket.registered {
            return true;
        }
        match self.core.poller.add(fd, Key::Connection(index, side).pack()) {
            Ok(()) => {
                socket.registered = true;
                true
            }
            Err(error) => {
                diag::once("register", format_args!("cannot watch a socket: {}", reason(&error)));
                self.close(index, CloseReason::Shortage);
                false
            }
        }
    }

    /// Renews the registrations where they do not last.
    pub(super) fn rearm(&mut self, index: u32) {
        if REGISTRATIONS_LAST {
            return;
        }
        let Some(connection) = self.connections.get(index) else { return };
        for (side, socket, eof) in [
            (Side::Client, &connection.client, connection.from_client.eof),
            (Side::Server, &connection.server, connection.from_server.eof),
        ] {
            if let (Ok(fd), true) = (socket.fd(), socket.registered) {
                let read = !socket.readable && !eof;
                // Fails only when the socket is not registered, which is excluded.
                let _ =
                    self.core.poller.rearm(fd, Key::Connection(index, side).pack(), read, !socket.writable);
            }
        }
    }

    /// Starts or stops the timer of an established connection as `idle_timeout` says. Activity does not move it: it looks
    /// when it rings. It also rings when an idler that was handed over should have proved alive.
    pub(super) fn arm_idle_timer(&mut self, index: u32) {
        let Some(connection) = self.connections.get(index) else { return };
        if matches!(
            connection.stage,
            Stage::ProxyHeader
                | Stage::Connecting
                | Stage::Shortage
                | Stage::Busy
                | Stage::Hello
                | Stage::Handshake
                | Stage::Goodbye
                | Stage::Dummy { answered: true }
        ) {
            return;
        }
        let settings = &self.core.services[connection.service].settings;
        let idle = match settings.number(Number::IdleTimeout) {
            0 => None,
            seconds => Some(connection.active_ms + seconds * 1000),
        };
        match [idle, proof_deadline_ms(connection)].into_iter().flatten().min() {
            Some(deadline_ms) => self.timers.arm(index, deadline_ms),
            None => self.timers.disarm(index),
        }
    }

    /// A timer rang.
    pub(super) fn expire(&mut self, index: u32) {
        if self.is_proof_overdue(index) {
            return self.give_up_idler(index);
        }
        let Some(connection) = self.connections.get(index) else { return };
        match connection.stage {
            Stage::ProxyHeader => self.header_timed_out(index),
            Stage::Shortage | Stage::Busy => self.try_again(index),
            Stage::Connecting => self.connect_timed_out(index),
            Stage::Dummy { answered: true } => self.close(index, CloseReason::Finished),
            Stage::Hello | Stage::Handshake => self.close(index, CloseReason::HandshakeTimeout),
            Stage::Goodbye => self.close(index, CloseReason::Handshake),
            Stage::Relaying | Stage::FirstBytes | Stage::Dummy { .. } => {
                let service = &mut self.core.services[connection.service];
                let idle_ms = service.settings.number(Number::IdleTimeout) * 1000;
                if idle_ms > 0 && self.core.now_ms >= connection.active_ms + idle_ms {
                    service.totals.idle_timeouts += 1;
                    self.close(index, CloseReason::IdleTimeout);
                } else {
                    self.arm_idle_timer(index);
                }
            }
        }
    }

    /// The only exit of a connection: socket ends, buffers, counters, log, room for the next.
    pub(super) fn close(&mut self, index: u32, reason: CloseReason) {
        self.settle_pending(index);
        let Some(mut connection) = self.connections.remove(index) else { return };
        self.timers.disarm(index);
        self.trace_close(index, &connection, reason);
        pass_on_loss(&connection, reason);
        self.pool.give_back(connection.from_client.pending.take());
        self.pool.give_back(connection.from_server.pending.take());
        self.pool.give_back(connection.take_unproven());
        if reason != CloseReason::BadRequest {
            self.count_if_unedited(&connection);
        }
        // In this order: the server has its connection back before its place is free, and the place is free before the
        // client learns that it may come again.
        self.close_socket(&mut connection.server);
        let server = connection.attempt.as_ref().map_or(ServerId::NONE, |attempt| attempt.server());
        let released = connection.released();
        if let Some(attempt) = connection.attempt.take() {
            self.core.services[connection.service].service.with(|chooser| chooser.release(attempt, released));
        }
        self.close_socket(&mut connection.client);
        let totals = &mut self.core.services[connection.service].totals;
        totals.closed += 1;
        totals.up_bytes += released.up_bytes;
        totals.down_bytes += released.down_bytes;
        match reason {
            CloseReason::NoServer | CloseReason::Shortage => totals.rejected += 1,
            CloseReason::Denied => totals.denied += 1,
            CloseReason::Handshake | CloseReason::HandshakeTimeout => totals.tls_failures += 1,
            CloseReason::ProxyHeader => totals.proxy_errors += 1,
            CloseReason::BadRequest => totals.http_refused += 1,
            CloseReason::ClientReset => totals.resets_by_client += 1,
            CloseReason::ServerReset => totals.resets_by_server += 1,
            _ => {}
        }
        self.log_end(&connection, server, reason);
        self.core.listeners.leave(connection.listener);
        self.room_made();
    }

    fn close_socket(&mut self, end: &mut Socket) {
        if let Some(fd) = end.fd.take() {
            self.core.poller.forget(fd.as_fd());
            socket::close(fd);
        }
    }

    fn log_end(&mut self, connection: &Connection, server: ServerId, reason: CloseReason) {
        let LocalService { log, settings, .. } = &mut self.core.services[connection.service];
        if settings.choice::<LogFormat>() != LogFormat::Json || log.target() != Target::File {
            return;
        }
        let duration_milliseconds = clock::monotonic_ms().saturating_sub(connection.started_ms);
        let mut address = AddressText::default();
        let endpoint = connection.endpoint.as_deref().filter(|_| server != ServerId::NONE);
        log.json(&ConnectionRecord {
            start_epoch_milliseconds: clock::epoch_ms().saturating_sub(duration_milliseconds),
            duration_milliseconds,
            client: connection.address,
            client_port: (connection.address != ClientAddr::Unix).then_some(connection.port),
            server: (server != ServerId::NONE).then_some(server.number()),
            server_address: endpoint.map(|_| address.of(endpoint)),
            server_port: endpoint.and_then(Endpoint::inet_port),
            up_bytes: connection.from_client.bytes,
            down_bytes: connection.from_server.bytes,
            reason: reason.as_str(),
            retries: connection.retries(),
            listener: self.core.listeners.text(connection.listener),
        });
    }
}

/// A side that did not get everything, because the other reset the connection or because it is ended while bytes are
/// kept, learns of it by a reset: an orderly end would make incomplete data look complete. So does a server that has had
/// the beginning of a request which is not passed on.
fn pass_on_loss(connection: &Connection, reason: CloseReason) {
    for (direction, receiver, side, reset) in [
        (&connection.from_client, &connection.server, Side::Server, CloseReason::ClientReset),
        (&connection.from_server, &connection.client, Side::Client, CloseReason::ServerReset),
    ] {
        let is_cut = side == Side::Server && reason == CloseReason::BadRequest;
        let is_lost = is_cut || direction.pending.is_some() || connection.has_encrypted(side);
        if (reason == reset || is_lost)
            && let Ok(fd) = receiver.fd()
        {
            // Not possible on Unix sockets, which know no reset; the close that follows ends them.
            let _ = socket::reset_on_close(fd);
        }
    }
}

/// Whether there is a line for each read from a client.
fn logs_reads(service: &LocalService) -> bool {
    match service.log.target() {
        Target::Off => false,
        Target::File => service.settings.choice::<LogFormat>() != LogFormat::Json,
        Target::Network => true,
    }
}

/// One line for one read from a client, in Pen's format. Datagrams keep it whatever `log_format` says.
pub(crate) fn log_read(
    log: &mut TrafficLog,
    format: LogFormat,
    client: ClientAddr,
    server: Option<&Endpoint>,
    bytes: &[u8],
) {
    let mut address = AddressText::default();
    match log.target() {
        Target::Off => {}
        Target::File if format == LogFormat::Json => {}
        Target::File => log.line(&client, clock::epoch_ms() / 1000, address.of(server), bytes),
        Target::Network => log.datagram(&client, address.of(server), bytes),
    }
}

/// Room for a server's address as text, so that a log line allocates nothing. A path is at most 107 bytes.
pub(crate) struct AddressText {
    bytes: [u8; 128],
}

impl Default for AddressText {
    fn default() -> AddressText {
        AddressText { bytes: [0; 128] }
    }
}

impl AddressText {
    /// Empty without an endpoint.
    pub(crate) fn of(&mut self, endpoint: Option<&Endpoint>) -> &str {
        let Some(endpoint) = endpoint else { return "" };
        let mut rest = &mut self.bytes[..];
        // Cannot fail: nothing that an endpoint holds is longer than the room.
        let _ = write!(rest, "{endpoint}");
        let length = 128 - rest.len();
        std::str::from_utf8(&self.bytes[..length]).unwrap_or("")
    }
}
