//! TLS before and around the relay: handshakes with clients and servers, the name a client asks for, and the relay of
//! connections that have TLS. Who has none never comes here.
//!
//! A server is chosen when the client's handshake is over, so that slow or wrong clients cost no server anything. Towards
//! a server the handshake is a part of the connect: it counts for `timeout`, and when it fails the next server is tried.

use super::Worker;
use super::connect::Failure;
use super::proxy::take_greeting;
use super::said::{self, Said, Verdict};
use crate::conn::relay::{self, Lent, Passage};
use crate::conn::secure::{self, End, Secure, Shake};
use crate::conn::{CloseReason, Connection, Side, Stage, dummy};
use crate::half_close::{self, Action};
use crate::http::Answered;
use crate::log::diag;
use crate::net::tls::{Session, Trouble};
use crate::sys::socket;
use crate::tls::hello::{self, Hello};
use pen_proto::commands::{Flag, HttpMode, Number};

/// How long a client gets to read why its handshake failed before the connection is cut.
const GOODBYE_MS: u64 = 2_000;
/// What clients and pen agree on to speak HTTP/2, which has no header block to insert a line into.
const HTTP2: &[u8] = b"h2";

/// Both ends of a connection, of whose extras the sessions are taken.
macro_rules! ends {
    ($connection:ident, $secure:ident) => {
        (
            End { socket: &mut $connection.client, session: $secure.client.as_mut() },
            End { socket: &mut $connection.server, session: $secure.server.as_mut() },
        )
    };
}

impl Worker {
    /// What a new client must do before a server is chosen for it; `None`: nothing.
    pub(super) fn first_task(&self) -> Option<Stage> {
        match (self.tls.is_spoken(), self.tls.routes && !self.flag(Flag::Dummy)) {
            (true, _) => Some(Stage::Handshake),
            (false, true) => Some(Stage::Hello),
            (false, false) => None,
        }
    }

    /// Begins with a client that was just taken in.
    #[cfg_attr(not(feature = "tls"), allow(unreachable_code, reason = "there are no sessions then"))]
    pub(super) fn begin_task(&mut self, index: u32, task: Stage) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if self.shared.balancer().turns_away(&self.settings, connection.address) {
            return self.close(index, CloseReason::Denied);
        }
        connection.stage = task;
        if task == Stage::Handshake {
            connection.extras().secure =
                Some(Box::new(Secure { client: Some(Session::with_client()), server: None }));
        }
        if self.register(index, Side::Client) {
            let patience_ms = self.settings.number(Number::SslHandshakeTimeout) * 1000;
            self.timers.arm(index, self.now_ms + patience_ms);
            self.serve(index);
        }
    }

    /// Goes on with the handshake of a client.
    pub(super) fn handshake(&mut self, index: u32) {
        let Worker { connections, scratch, tls, now_ms, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return };
        let Connection { client, extras, .. } = connection;
        let session = extras.as_mut().and_then(|extras| extras.secure.as_mut()?.client.as_mut());
        let mut is_waiting = false;
        let shaken = secure::shake(&mut End { socket: client, session }, scratch, |session| {
            let ready = session.choose(tls, *now_ms);
            is_waiting = ready == Ok(false);
            ready
        });
        match shaken {
            Ok(Shake::Done) => self.shaken(index),
            Ok(Shake::Waits) => {
                if is_waiting && !self.awaiting.contains(&index) {
                    self.awaiting.push(index);
                }
                self.rearm(index);
            }
            Ok(Shake::Failed(trouble)) => self.refuse(index, &trouble),
            Ok(Shake::Ended) => self.close(index, CloseReason::Handshake),
            Err(_) => self.close(index, CloseReason::ClientReset),
        }
    }

    /// The handshake with the client is over.
    fn shaken(&mut self, index: u32) {
        let is_dummy = self.flag(Flag::Dummy);
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(session) = connection.secure().and_then(|secure| secure.client.as_ref()) else { return };
        self.totals.tls_handshakes += 1;
        self.totals.tls_resumptions += u64::from(session.is_resumed());
        let route = match self.tls.routes {
            true => self.shared.balancer().route(session.server_name()),
            false => Default::default(),
        };
        let is_http2 = session.protocol() == Some(HTTP2);
        let address = connection.address;
        connection.extras().route = route;
        match is_http2 {
            _ if is_dummy => {}
            false => self.begin_http(index, "https"),
            true if self.settings.http != HttpMode::Off => self.count_unedited(address),
            true => {}
        }
        let Some(connection) = self.connections.get_mut(index) else { return };
        if is_dummy {
            connection.stage = Stage::Dummy { answered: false };
            self.arm_idle_timer(index);
            self.serve(index);
        } else {
            self.timers.disarm(index);
            self.choose(index);
        }
    }

    /// The handshake with the client failed. It is told why: if it has something more to say, that is read, because a
    /// close with bytes unread is a reset, which would take the reason away from it.
    fn refuse(&mut self, index: u32, trouble: &Trouble) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        diag::debug!(secure::FAILURES, "{}: TLS handshake failed: {trouble}", connection.address);
        let Connection { client, from_server, extras, .. } = connection;
        let session = extras.as_mut().and_then(|extras| extras.secure.as_mut()?.client.as_mut());
        let mut end = End { socket: client, session };
        if secure::write_out(&mut end).is_err() {
            return self.close(index, CloseReason::Handshake);
        }
        relay::shut(end.socket, from_server);
        connection.stage = Stage::Goodbye;
        self.timers.arm(index, self.now_ms + GOODBYE_MS);
        self.goodbye(index);
    }

    /// Reads what a refused client still has to say, for nothing.
    pub(super) fn goodbye(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        while connection.client.readable {
            match relay::read(&mut connection.client, &mut connection.from_client, &mut self.scratch) {
                Ok(Some(1..)) => {}
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => return self.close(index, CloseReason::Handshake),
            }
        }
        self.rearm(index);
    }

    /// Waits for the name that a client asks for, without answering it. Who speaks another protocol goes where those go
    /// who ask for no name.
    pub(super) fn hello(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        loop {
            if !connection.client.readable {
                return self.rearm(index);
            }
            match relay::read(&mut connection.client, &mut connection.from_client, &mut self.scratch) {
                Ok(None) => continue,
                Ok(Some(0)) if connection.from_client.pending.is_none() => {
                    return self.close(index, CloseReason::Finished);
                }
                Ok(Some(0)) => return self.asked_for(index, None),
                Ok(Some(count)) => {
                    let bytes = &self.scratch[..count];
                    match &mut connection.from_client.pending {
                        Some(pending) => pending.bytes_mut().extend_from_slice(bytes),
                        place => *place = Some(self.pool.hold(bytes)),
                    }
                    let pending = connection.from_client.pending.as_ref();
                    match hello::read(pending.map_or(&[], |pending| pending.unsent())) {
                        Hello::Incomplete => {}
                        Hello::Tls(name) => return self.asked_for(index, name.as_deref()),
                        Hello::Other => return self.asked_for(index, None),
                    }
                }
                Err(_) => return self.close(index, CloseReason::ClientReset),
            }
        }
    }

    fn asked_for(&mut self, index: u32, name: Option<&str>) {
        let route = self.shared.balancer().route(name);
        self.begin_http(index, "http");
        let dump = self.dump(index);
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.extras().route = route;
        let mut verdict = Verdict::Nothing;
        if let Some(raw) = connection.from_client.pending.take() {
            let bytes = said::early(dump, connection, raw.unsent(), &mut self.instead, &mut verdict);
            connection.from_client.pending = (!bytes.is_empty()).then(|| self.pool.hold(bytes));
            self.pool.give_back(raw);
        }
        self.timers.disarm(index);
        if self.heed(index, verdict, Answered::Nothing) {
            self.choose(index);
        }
    }

    /// The server has accepted the connect. With TLS the handshake follows; without, that is all.
    pub(super) fn server_accepted(&mut self, index: u32) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        if let Some(endpoint) = connection.endpoint.clone()
            && let Some(tls) = endpoint.tls()
        {
            if let Some(greeting) = take_greeting(connection) {
                send_before_tls(connection, &greeting)?;
            }
            let client = connection.secure().and_then(|secure| secure.client.as_ref());
            let session =
                self.tls.to_server(tls, client.and_then(Session::protocol)).map_err(Failure::Tls)?;
            connection.extras().secure.get_or_insert_default().server = Some(session);
            connection.server.writable = true;
            return self.shake_server(index);
        }
        self.log_held(index);
        self.established(index);
        Ok(())
    }

    /// Goes on with the handshake with a server.
    pub(super) fn shake_server(&mut self, index: u32) -> Result<(), Failure> {
        let Worker { connections, scratch, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return Ok(()) };
        let Connection { server, extras, .. } = connection;
        let session = extras.as_mut().and_then(|extras| extras.secure.as_mut()?.server.as_mut());
        let mut end = End { socket: server, session };
        match secure::shake(&mut end, scratch, |_| Ok(true)) {
            Ok(Shake::Done) => {
                self.log_held(index);
                self.established(index);
                Ok(())
            }
            Ok(Shake::Waits) => Ok(()),
            Ok(Shake::Ended) => Err(Failure::Tls(Trouble("it ended the connection in the handshake".into()))),
            Ok(Shake::Failed(trouble)) => {
                // It may be told the reason; it has failed in any case.
                let _ = secure::write_out(&mut end);
                Err(Failure::Tls(trouble))
            }
            Err(error) => Err(Failure::Refused(error)),
        }
    }

    /// Whether a handshake with the server is under way.
    pub(super) fn is_shaking_server(&mut self, index: u32) -> bool {
        let connection = self.connections.get_mut(index);
        connection.and_then(Connection::secure).is_some_and(|secure| secure.server.is_some())
    }

    /// The session goes with the socket.
    pub(super) fn drop_server_session(&mut self, index: u32) {
        let Some(extras) = self.connections.get_mut(index).and_then(|connection| connection.extras.as_mut())
        else {
            return;
        };
        if let Some(secure) = &mut extras.secure {
            secure.server = None;
        }
        extras.secure.take_if(|secure| secure.client.is_none());
    }

    /// As `relay`, for a connection that has TLS.
    pub(super) fn relay_secure(&mut self, index: u32) {
        let dump = self.dump(index);
        let Worker { connections, scratch, instead, pool, log, settings, .. } = self;
        let format = settings.log_format;
        let Some(connection) = connections.get_mut(index) else { return };
        let mut greeting = take_greeting(connection);
        if let Some(pending) = &mut connection.from_client.pending {
            greeting.take().inspect(|greeting| pending.put_before(greeting));
        }
        let Some(mut secure) = connection.extras().secure.take() else { return };
        let (mut client, mut server) = ends!(connection, secure);
        let (from_client, from_server) = (&mut connection.from_client, &mut connection.from_server);
        let (address, endpoint, extras) = (connection.address, &connection.endpoint, &mut connection.extras);
        let mut lent = Lent { scratch, instead, pool };
        let verdict = Verdict::Nothing;
        let server_address = endpoint.as_deref();
        let mut said =
            Said { log, format, dump, client: address, server: server_address, extras, greeting, verdict };
        let look = |bytes: &[u8], instead: &mut Vec<u8>| said.pass(bytes, instead);
        let up = secure::pump(&mut client, &mut server, from_client, &mut lent, look);
        let Said { greeting, verdict, extras, .. } = said;
        if let Some(greeting) = greeting {
            relay::offer(server.socket, from_client, &greeting, lent.pool); // as for those without TLS
        }
        let mut answered = Answered::Nothing;
        let down = secure::pump(&mut server, &mut client, from_server, &mut lent, |bytes, _| {
            dump.inspect(|dump| dump.down(bytes));
            said::hear_answer(extras, bytes, from_client, &mut answered);
            Passage::AsRead
        });
        said::hear_end(extras, from_server, from_client, &mut answered);
        // What the sessions have to say to themselves, such as new tickets and the reason of a failure.
        secure::settle(&mut client, from_server);
        secure::settle(&mut server, from_client);
        connection.extras().secure = Some(secure);
        let is_heeded = (verdict, answered) != (Verdict::Nothing, Answered::Nothing);
        if !is_heeded || self.heed(index, verdict, answered) {
            self.conclude(index, up, down, Worker::pass_on_ends_secure);
        }
    }

    /// As `pass_on_ends`, for a connection that has TLS.
    fn pass_on_ends_secure(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(mut secure) = connection.extras().secure.take() else { return };
        let fast_close = connection.fast_close(self.settings.tcp_fastclose);
        let over = loop {
            let up = secure::progress(&connection.from_client, secure.server.as_ref());
            let down = secure::progress(&connection.from_server, secure.client.as_ref());
            let action = half_close::decide(up, down, fast_close);
            let was = (connection.from_client.shut, connection.from_server.shut);
            let released = connection.released();
            if let (Action::Close, Some(attempt)) = (action, &mut connection.attempt) {
                // The end that the client is told below may bring it back at once, as a closed socket does.
                self.shared.balancer().give_place_back(attempt, released);
            }
            let (mut client, mut server) = ends!(connection, secure);
            let (from_client, from_server) = (&mut connection.from_client, &mut connection.from_server);
            match action {
                Action::Nothing => break false,
                Action::ShutdownServer => secure::shut(&mut server, from_client, client.session.as_deref()),
                Action::ShutdownClient => secure::shut(&mut client, from_server, server.session.as_deref()),
                Action::Close => {
                    secure::say_end(&mut client, from_server, server.session.as_deref());
                    secure::say_end(&mut server, from_client, client.session.as_deref());
                    let is_drained =
                        |session: Option<&Session>, direction| !secure::progress(direction, session).pending;
                    if is_drained(client.session.as_deref(), from_server)
                        && is_drained(server.session.as_deref(), from_client)
                    {
                        break true;
                    }
                }
            }
            let changed = was != (connection.from_client.shut, connection.from_server.shut);
            if !changed {
                break false; // what is to be said first has not gone out yet
            }
        };
        connection.extras().secure = Some(secure);
        if over {
            let reason = connection.end_reason();
            self.close(index, reason);
        }
    }

    /// `dummy` over TLS.
    pub(super) fn dummy_secure(&mut self, index: u32, answered: bool) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(mut secure) = connection.extras().secure.take() else { return };
        let (mut client, mut nobody) = ends!(connection, secure);
        let Worker { scratch, instead, pool, .. } = self;
        let mut lent = Lent { scratch, instead, pool };
        let (from_client, from_server) = (&mut connection.from_client, &mut connection.from_server);
        from_client.dead = true; // there is no server to hear it
        let mut asked = false;
        let flow = secure::pump(&mut client, &mut nobody, from_client, &mut lent, |bytes, _| {
            asked |= !bytes.is_empty();
            Passage::AsRead
        });
        let answers = asked && !answered;
        if let Some(session) = client.session.as_mut().filter(|_| answers) {
            session.encrypt(dummy::answer(self.shared.dummy_name()).as_bytes());
            session.close();
        }
        secure::settle(&mut client, from_server);
        if (answers || answered)
            && !from_server.shut
            && !secure::progress(from_server, client.session.as_deref()).pending
        {
            relay::shut(client.socket, from_server);
        }
        connection.extras().secure = Some(secure);
        self.conclude_dummy(index, flow, answers);
    }
}

/// Sends a PROXY header to a server that has just accepted, before TLS begins. There is room for it: it is the first thing
/// on the connection.
fn send_before_tls(connection: &mut Connection, greeting: &[u8]) -> Result<(), Failure> {
    let sent = connection.server.fd().and_then(|fd| socket::send(fd, greeting)).map_err(Failure::Refused)?;
    match sent == greeting.len() {
        true => Ok(()),
        false => Err(Failure::Tls(Trouble("there was no room for the PROXY header".into()))),
    }
}

/// Whether bytes for this side lie encrypted in its session.
pub(super) fn has_unsent(connection: &Connection, receiver: Side) -> bool {
    let secure = connection.extras.as_ref().and_then(|extras| extras.secure.as_ref());
    secure.is_some_and(|secure| match receiver {
        Side::Client => secure.client.as_ref().is_some_and(Session::wants_write),
        Side::Server => secure.server.as_ref().is_some_and(Session::wants_write),
    })
}
