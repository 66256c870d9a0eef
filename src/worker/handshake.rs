//! TLS handshakes with clients and servers, and the name that a client asks for in TLS that is not ours.
//!
//! A server is chosen when the client's handshake is over, so that slow or wrong clients cost no server anything. Towards
//! a server the handshake is a part of the connect: it counts for `timeout`, and when it fails the next server is tried.

use super::Worker;
use super::connect::Failure;
use super::proxy::take_greeting;
use super::said::{self, Verdict};
use super::services::LocalService;
use crate::conn::end::{FAILURES, Sessions};
use crate::conn::handshake::{self, Handshake};
use crate::conn::{CloseReason, Connection, Side, Stage, end};
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

impl Worker {
    /// Begins with a client that was just taken in.
    #[cfg_attr(not(feature = "tls"), allow(unreachable_code, reason = "there are no sessions then"))]
    pub(super) fn begin_task(&mut self, index: u32, task: Stage) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let LocalService { service, settings, .. } = &self.core.services[connection.service];
        let patience_ms = settings.number(Number::SslHandshakeTimeout) * 1000;
        if service.with(|chooser| chooser.turns_away(connection.address)) {
            return self.close(index, CloseReason::Denied);
        }
        connection.stage = task;
        if task == Stage::Handshake {
            connection.extras().sessions =
                Some(Box::new(Sessions { client: Some(Session::with_client()), server: None }));
        }
        if self.register(index, Side::Client) {
            self.timers.arm(index, self.core.now_ms + patience_ms);
            self.serve(index);
        }
    }

    /// Goes on with the handshake of a client.
    pub(super) fn handshake(&mut self, index: u32) {
        let Worker { connections, scratch, core, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return };
        let (tls, now_ms) = (&core.services[connection.service].tls, core.now_ms);
        let mut is_waiting = false;
        let shaken = handshake::step(&mut connection.end(Side::Client), scratch, |session| {
            let ready = session.choose(tls, now_ms);
            is_waiting = ready == Ok(false);
            ready
        });
        match shaken {
            Ok(Handshake::Done) => self.shaken(index),
            Ok(Handshake::Waits) => {
                if is_waiting && !self.awaiting.contains(&index) {
                    self.awaiting.push(index);
                }
                self.rearm(index);
            }
            Ok(Handshake::Failed(trouble)) => self.refuse(index, &trouble),
            Ok(Handshake::Ended) => self.close(index, CloseReason::Handshake),
            Err(_) => self.close(index, CloseReason::ClientReset),
        }
    }

    /// The handshake with the client is over.
    fn shaken(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let LocalService { service, settings, tls, totals, .. } = &mut self.core.services[connection.service];
        let (is_dummy, is_edited) =
            (settings.flag(Flag::Dummy), settings.choice::<HttpMode>() != HttpMode::Off);
        let Some(session) = connection.sessions().and_then(|sessions| sessions.client.as_ref()) else {
            return;
        };
        totals.tls_handshakes += 1;
        totals.tls_resumptions += u64::from(session.is_resumed());
        let route = match tls.routes {
            true => service.with(|chooser| chooser.route(session.server_name())),
            false => Default::default(),
        };
        let is_http2 = session.protocol() == Some(HTTP2);
        let (service, address) = (connection.service, connection.address);
        connection.extras().route = route;
        match is_http2 {
            _ if is_dummy => {}
            false => self.begin_http(index, "https"),
            true if is_edited => self.count_unedited(service, address),
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
        diag::debug!(FAILURES, "{}: TLS handshake failed: {trouble}", connection.address);
        let mut client = connection.end(Side::Client);
        if client.write_out().is_err() {
            return self.close(index, CloseReason::Handshake);
        }
        client.socket.shut_down();
        connection.from_server.shut = true;
        connection.stage = Stage::Goodbye;
        self.timers.arm(index, self.core.now_ms + GOODBYE_MS);
        self.goodbye(index);
    }

    /// Reads what a refused client still has to say, for nothing.
    pub(super) fn goodbye(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        while connection.client.readable {
            match end::read(&mut connection.client, &mut connection.from_client, &mut self.scratch) {
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
            match end::read(&mut connection.client, &mut connection.from_client, &mut self.scratch) {
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
        self.begin_http(index, "http");
        let dump = self.dump(index);
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.extras().route =
            self.core.services[connection.service].service.with(|chooser| chooser.route(name));
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
            let local = &self.core.services[connection.service].tls;
            let client = connection.sessions().and_then(|sessions| sessions.client.as_ref());
            let session = local.to_server(tls, client.and_then(Session::protocol)).map_err(Failure::Tls)?;
            connection.extras().sessions.get_or_insert_default().server = Some(session);
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
        let mut server = connection.end(Side::Server);
        match handshake::step(&mut server, scratch, |_| Ok(true)) {
            Ok(Handshake::Done) => {
                self.log_held(index);
                self.established(index);
                Ok(())
            }
            Ok(Handshake::Waits) => Ok(()),
            Ok(Handshake::Ended) => {
                Err(Failure::Tls(Trouble("it ended the connection in the handshake".into())))
            }
            Ok(Handshake::Failed(trouble)) => {
                // It may be told the reason; it has failed in any case.
                let _ = server.write_out();
                Err(Failure::Tls(trouble))
            }
            Err(error) => Err(Failure::Refused(error)),
        }
    }

    /// Whether a handshake with the server is under way.
    pub(super) fn is_shaking_server(&self, index: u32) -> bool {
        let sessions = self.connections.get(index).and_then(Connection::sessions);
        sessions.is_some_and(|sessions| sessions.server.is_some())
    }

    /// The session goes with the socket.
    pub(super) fn drop_server_session(&mut self, index: u32) {
        let Some(extras) = self.connections.get_mut(index).and_then(|connection| connection.extras.as_mut())
        else {
            return;
        };
        if let Some(sessions) = &mut extras.sessions {
            sessions.server = None;
        }
        extras.sessions.take_if(|sessions| sessions.client.is_none());
    }
}

/// What a new client must do before a server is chosen for it; `None`: nothing.
pub(super) fn first_task(service: &LocalService) -> Option<Stage> {
    match (service.tls.is_spoken(), service.tls.routes && !service.settings.flag(Flag::Dummy)) {
        (true, _) => Some(Stage::Handshake),
        (false, true) => Some(Stage::Hello),
        (false, false) => None,
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
