//! Answering the main thread, and the end of sessions.

use super::UdpWorker;
use super::session::Session;
use super::sessions::Parties;
use crate::balance::{Endpoint, Released, ServerId};
use crate::conn::CloseReason;
use crate::log::diag;
use crate::log::record::ConnectionRecord;
use crate::log::traffic::Target;
use crate::sys::clock;
use crate::worker::{AddressText, LIVES, Message, Report};
use pen_proto::commands::LogFormat;
use pen_proto::status::ConnectionStatus;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

impl UdpWorker {
    pub(super) fn answer(&mut self, message: Message) {
        // A main thread that has stopped waiting needs no answer.
        match message {
            Message::Report(asker) => {
                let _ = asker.send(self.report());
            }
            Message::Close(index, asker) => {
                let known = self.sessions.get(index).is_some();
                self.close(index, CloseReason::Closed);
                let _ = asker.send(known);
            }
            Message::Stop => self.stopping = true,
        }
    }

    fn report(&self) -> Report {
        let mut totals = self.totals.clone();
        let mut connections = Vec::with_capacity(self.sessions.len());
        for (index, parties, session) in self.sessions.iter() {
            totals.up_bytes += session.up_bytes;
            totals.down_bytes += session.down_bytes;
            connections.push(self.describe(index, parties, session));
        }
        let last = self.last.map(|(index, at_ms)| (self.shared.global_number(self.number, index), at_ms));
        Report { connections, idlers: Vec::new(), totals, last }
    }

    fn describe(&self, index: u32, parties: &Parties, session: &Session) -> ConnectionStatus {
        let attempt = session.attempt.as_ref();
        let listener = self.listeners.get(usize::from(parties.listener));
        let client = SocketAddr::new(parties.client().ip().to_canonical(), parties.client().port());
        ConnectionStatus {
            number: self.shared.global_number(self.number, index),
            client: client.to_string(),
            client_slot: attempt.map_or(-1, |attempt| i64::from(attempt.slot().index)),
            server: attempt.map_or(-3, |attempt| attempt.server().number()),
            server_address: session.endpoint.to_string(),
            state: 2,
            down_fd: listener.map_or(-1, |listener| listener.datagram_socket(self.number).as_raw_fd()),
            up_fd: session.socket.as_ref().map_or(-1, OwnedFd::as_raw_fd),
            pending_down_bytes: 0,
            pending_up_bytes: 0,
            up_bytes: session.up_bytes,
            down_bytes: session.down_bytes,
            age_seconds: self.now_ms.saturating_sub(session.started_ms) / 1000,
            idle_seconds: self.now_ms.saturating_sub(session.active_ms) / 1000,
        }
    }

    pub(super) fn close_all(&mut self, reason: CloseReason) {
        self.send_to_clients();
        self.sessions.indices().into_iter().for_each(|index| self.close(index, reason));
    }

    /// The only exit of a session: socket, counters, log, room for the next.
    pub(super) fn close(&mut self, index: u32, reason: CloseReason) {
        let Some((parties, mut session)) = self.sessions.remove(index) else { return };
        self.timers.disarm(index);
        if let Some(socket) = session.socket.take() {
            self.poller.forget(socket.as_fd());
        }
        let Session { up_bytes, down_bytes, .. } = session;
        self.trace(index, || format!("{}, {up_bytes} bytes up, {down_bytes} down", reason.as_str()));
        let server = session.attempt.as_ref().map_or(ServerId::NONE, |attempt| attempt.server());
        if let Some(attempt) = session.attempt.take() {
            let released = Released { established: true, up_bytes, down_bytes };
            self.shared.pool().at(self.shared.selection).release(attempt, released);
        }
        self.totals.closed += 1;
        self.totals.up_bytes += up_bytes;
        self.totals.down_bytes += down_bytes;
        if matches!(reason, CloseReason::NoServer | CloseReason::Shortage) {
            self.totals.rejected += 1;
        }
        self.log_end(&parties, &session, server, reason);
        self.shared.give_room();
    }

    fn log_end(&mut self, parties: &Parties, session: &Session, server: ServerId, reason: CloseReason) {
        if self.settings.log_format != LogFormat::Json || self.log.target() != Target::File {
            return;
        }
        let duration_milliseconds = clock::monotonic_ms().saturating_sub(session.started_ms);
        let listener = self.listeners.get(usize::from(parties.listener));
        let mut address = AddressText::default();
        let endpoint = Some(session.endpoint.as_ref()).filter(|_| server != ServerId::NONE);
        self.log.json(&ConnectionRecord {
            start_epoch_milliseconds: clock::epoch_ms().saturating_sub(duration_milliseconds),
            duration_milliseconds,
            client: session.address,
            client_port: Some(parties.client().port()),
            server: (server != ServerId::NONE).then_some(server.number()),
            server_address: endpoint.map(|_| address.of(endpoint)),
            server_port: endpoint.and_then(Endpoint::inet_port),
            up_bytes: session.up_bytes,
            down_bytes: session.down_bytes,
            reason: reason.as_str(),
            retries: session.retries,
            listener: listener.map_or("", |listener| &listener.text),
        });
    }

    /// What `-d` tells about the lives of sessions.
    pub(super) fn trace(&self, index: u32, what: impl FnOnce() -> String) {
        if diag::is_on(LIVES) {
            let number = self.shared.global_number(self.number, index);
            diag::debug!(LIVES, "session {number}: {}", what());
        }
    }
}
