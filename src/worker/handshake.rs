//! TLS handshakes with clients and servers, and the name that a client asks for in TLS that is not ours.
//!
//! A server is chosen when the client's handshake is over, so that slow or wrong clients cost no server anything. Towards
//! a server the handshake is a part of the connect: it counts for `timeout`, and when it fails the next server is tried.

use super::Context;
use super::connect::Failure;
use super::proxy::take_greeting;
use super::services::LocalService;
use super::verdict::Verdict;
use crate::conn::end::{FAILURES, Sessions};
use crate::conn::handshake::{self, Handshake};
use crate::conn::{CloseReason, Connection, Side, Stage, end};
use crate::log::diag;
use crate::net::tls::{Session, Trouble};
use crate::os;
use crate::tls::hello::{self, Hello};
use pen_proto::commands::{Flag, HttpMode};

/// How long a client gets to read why its handshake failed before the connection is cut.
pub const GOODBYE_MS: u64 = 2_000;
/// What clients and pen agree on to speak HTTP/2, which has no header block to insert a line into.
const HTTP2: &[u8] = b"h2";

impl Context {
    /// Begins with a client that was just taken in.
    #[cfg_attr(not(feature = "tls"), allow(unreachable_code, reason = "there are no sessions then"))]
    pub(super) fn begin_task(&mut self, connection: &mut Connection, task: Stage) -> Verdict {
        let address = connection.address;
        if self.service(connection).service.with(|chooser| chooser.turns_away(address)) {
            return Verdict::Close(CloseReason::Denied);
        }
        if task == Stage::Handshake {
            connection.extras().sessions =
                Some(Box::new(Sessions { client: Some(Session::with_client()), server: None }));
        }
        self.begin_stage(connection, task)
    }

    /// Goes on with the handshake of a client.
    pub(super) fn handshake(&mut self, connection: &mut Connection) -> Verdict {
        let Context { core, work, .. } = self;
        let (tls, now_ms) = (&core.services[connection.service].tls, core.now_ms);
        let mut is_waiting = false;
        let stepped = handshake::step(&mut connection.end(Side::Client), &mut work.scratch, |session| {
            let ready = session.choose(tls, now_ms);
            is_waiting = ready == Ok(false);
            ready
        });
        match stepped {
            Ok(Handshake::Done) => self.end_handshake(connection),
            Ok(Handshake::Waits) => {
                if is_waiting && !self.awaiting.contains(&connection.number) {
                    self.awaiting.push(connection.number);
                }
                Verdict::Stay
            }
            Ok(Handshake::Failed(trouble)) => self.refuse(connection, &trouble),
            Ok(Handshake::Ended) => Verdict::Close(CloseReason::Handshake),
            Err(_) => Verdict::Close(CloseReason::ClientReset),
        }
    }

    /// The handshake with the client is over.
    fn end_handshake(&mut self, connection: &mut Connection) -> Verdict {
        let LocalService { service, settings, tls, totals, .. } = self.service(connection);
        let (is_dummy, is_edited) =
            (settings.flag(Flag::Dummy), settings.choice::<HttpMode>() != HttpMode::Off);
        let Some(session) = connection.sessions().and_then(|sessions| sessions.client.as_ref()) else {
            return Verdict::Close(CloseReason::InternalError);
        };
        totals.tls_handshakes += 1;
        totals.tls_resumptions += u64::from(session.is_resumed());
        let route = match tls.routes {
            true => service.with(|chooser| chooser.route(session.server_name())),
            false => Default::default(),
        };
        let is_http2 = session.protocol() == Some(HTTP2);
        connection.extras().route = route;
        if is_dummy {
            self.enter(connection, Stage::Dummy { answered: false });
            return self.dummy(connection, false);
        }
        match is_http2 {
            false => self.begin_http(connection, "https"),
            true if is_edited => self.count_unedited(connection),
            true => {}
        }
        self.choose_for_request(connection)
    }

    /// The handshake with the client failed. It is told why: if it has something more to say, that is read, because a
    /// close with bytes unread is a reset, which would take the reason away from it.
    fn refuse(&mut self, connection: &mut Connection, trouble: &Trouble) -> Verdict {
        diag::debug!(FAILURES, "{}: TLS handshake failed: {trouble}", connection.address);
        let mut client = connection.end(Side::Client);
        if client.write_out().is_err() {
            return Verdict::Close(CloseReason::Handshake);
        }
        client.socket.shut_down();
        connection.from_server.shut = true;
        self.enter(connection, Stage::Goodbye);
        self.goodbye(connection)
    }

    /// Reads what a refused client still has to say, for nothing.
    pub(super) fn goodbye(&mut self, connection: &mut Connection) -> Verdict {
        let Connection { client, from_client, .. } = connection;
        while client.readable {
            match end::read(client, from_client, &mut self.work.scratch) {
                Ok(Some(1..)) => {}
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => return Verdict::Close(CloseReason::Handshake),
            }
        }
        Verdict::Stay
    }

    /// Waits for the name that a client asks for, without answering it. Who speaks another protocol goes where those go
    /// who ask for no name.
    pub(super) fn hello(&mut self, connection: &mut Connection) -> Verdict {
        let Connection { client, from_client, .. } = &mut *connection;
        while client.readable {
            match end::read(client, from_client, &mut self.work.scratch) {
                Ok(None) => {}
                Ok(Some(0)) if from_client.pending.is_none() => {
                    return Verdict::Close(CloseReason::Finished);
                }
                Ok(Some(0)) => return self.asked_for(connection, None),
                Ok(Some(count)) => {
                    let bytes = &self.work.scratch[..count];
                    match &mut from_client.pending {
                        Some(pending) => pending.bytes_mut().extend_from_slice(bytes),
                        place => *place = Some(self.work.pool.hold(bytes)),
                    }
                    match hello::read(from_client.pending.as_ref().map_or(&[], |pending| pending.unsent())) {
                        Hello::Incomplete => {}
                        Hello::Tls(name) => return self.asked_for(connection, name.as_deref()),
                        Hello::Other => return self.asked_for(connection, None),
                    }
                }
                Err(_) => return Verdict::Close(CloseReason::ClientReset),
            }
        }
        Verdict::Stay
    }

    /// The server is chosen among those for this name, and gets what has come so far.
    fn asked_for(&mut self, connection: &mut Connection, name: Option<&str>) -> Verdict {
        let route = self.service(connection).service.with(|chooser| chooser.route(name));
        self.begin_http(connection, "http");
        connection.extras().route = route;
        let Some(raw) = connection.from_client.pending.take() else { return self.choose(connection) };
        let count = raw.len();
        self.work.scratch[..count].copy_from_slice(raw.unsent());
        self.work.pool.give_back(raw);
        self.choose_after(connection, count)
    }

    /// The server has accepted the connect. With TLS the handshake follows; without, that is all.
    pub(super) fn server_accepted(&mut self, connection: &mut Connection) -> Result<Verdict, Failure> {
        let endpoint = connection.endpoint.clone();
        let Some(tls) = endpoint.as_ref().and_then(|endpoint| endpoint.tls()) else {
            self.log_held(connection);
            self.established(connection);
            return Ok(Verdict::Stay);
        };
        if let Some(greeting) = take_greeting(connection) {
            send_before_tls(connection, &greeting)?;
        }
        let local = &self.core.services[connection.service].tls;
        let client = connection.sessions().and_then(|sessions| sessions.client.as_ref());
        let session = local.to_server(tls, client.and_then(Session::protocol)).map_err(Failure::Tls)?;
        connection.extras().sessions.get_or_insert_default().server = Some(session);
        connection.server.writable = true;
        self.server_handshake(connection)
    }

    /// Goes on with the handshake with a server.
    pub(super) fn server_handshake(&mut self, connection: &mut Connection) -> Result<Verdict, Failure> {
        let mut server = connection.end(Side::Server);
        match handshake::step(&mut server, &mut self.work.scratch, |_| Ok(true)) {
            Ok(Handshake::Done) => {
                self.log_held(connection);
                self.established(connection);
                Ok(Verdict::Stay)
            }
            Ok(Handshake::Waits) => Ok(Verdict::Stay),
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
    let sent = connection.server.fd().and_then(|fd| os::send(fd, greeting)).map_err(Failure::Refused)?;
    match sent == greeting.len() {
        true => Ok(()),
        false => Err(Failure::Tls(Trouble("there was no room for the PROXY header".into()))),
    }
}
