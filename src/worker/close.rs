//! The one exit of a connection, [`Worker::close`].

use super::log_lines::AddressText;
use super::services::LocalService;
use super::{Context, Worker};
use crate::balance::{Endpoint, ServerId};
use crate::conn::{CloseReason, Connection, Side};
use crate::hooks::EventKind;
use crate::log::record::ConnectionRecord;
use crate::log::traffic::Target;
use crate::os;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, LogFormat};
use std::time::Duration;

impl Worker {
    /// Ends a connection, whatever the reason: sockets, buffers, counters, log, room for the next. Called by what looks
    /// connections up, and by no step.
    pub(super) fn close(&mut self, index: u32, reason: CloseReason) {
        if let Some(connection) = self.connections.remove(index) {
            self.context.end(connection, reason);
        }
    }
}

impl Context {
    fn end(&mut self, mut connection: Connection, reason: CloseReason) {
        self.timers.disarm(connection.number);
        self.count_pending(&mut connection, false);
        self.trace_close(&connection, reason);
        pass_on_loss(&connection, reason);
        if self.settings(&connection).flag(Flag::ResetOnClose) {
            for fd in
                [&connection.client, &connection.server].into_iter().filter_map(|socket| socket.fd().ok())
            {
                let _ = os::reset_on_close(fd); // see there
            }
        }
        let pool = &mut self.work.pool;
        pool.give_back(connection.from_client.pending.take());
        pool.give_back(connection.from_server.pending.take());
        pool.give_back(connection.take_unproven());
        if reason != CloseReason::BadRequest {
            self.count_if_unedited(&connection);
        }
        // In this order: the server has its connection back before its place is free, and the place is free before the
        // client learns that it may come again.
        self.core.forget_socket(&mut connection.server);
        let server = connection.attempt.as_ref().map_or(ServerId::NONE, |attempt| attempt.server());
        let released = connection.released();
        self.end_of_wait(&mut connection);
        if let Some(attempt) = connection.attempt.take() {
            self.service(&connection).service.with(|chooser| chooser.release(attempt, released));
        }
        self.core.forget_socket(&mut connection.client);
        let totals = &mut self.service(&connection).totals;
        totals.closed += 1;
        totals.ends.count(reason);
        totals.up_bytes += released.up_bytes;
        totals.down_bytes += released.down_bytes;
        match reason {
            CloseReason::NoServer | CloseReason::Shortage => totals.rejected += 1,
            CloseReason::Denied => totals.denied += 1,
            CloseReason::ClientLimit => totals.over_limit += 1,
            CloseReason::Handshake | CloseReason::HandshakeTimeout => totals.tls_failures += 1,
            CloseReason::ProxyHeader => totals.proxy_errors += 1,
            CloseReason::BadRequest => totals.http_refused += 1,
            CloseReason::ClientReset => totals.resets_by_client += 1,
            CloseReason::ServerReset => totals.resets_by_server += 1,
            _ => {}
        }
        self.tell_end(&connection, server, || EventKind::Closed {
            up_bytes: released.up_bytes,
            down_bytes: released.down_bytes,
            duration: Duration::from_millis(self.core.now_ms.saturating_sub(connection.started_ms)),
            reason: reason.as_str(),
        });
        self.log_end(&connection, server, reason);
        self.leave_clone(&mut connection, reason);
        self.core.listeners.leave(connection.listener);
        self.room_made();
    }

    fn log_end(&mut self, connection: &Connection, server: ServerId, reason: CloseReason) {
        let LocalService { log, settings, service, .. } = &mut self.core.services[connection.service];
        if settings.choice::<LogFormat>() != LogFormat::Json || log.target() != Target::File {
            return;
        }
        let duration_milliseconds = os::monotonic_ms().saturating_sub(connection.started_ms);
        let mut address = AddressText::default();
        let endpoint = connection.endpoint.as_deref().filter(|_| server != ServerId::NONE);
        log.json(&ConnectionRecord {
            start_epoch_milliseconds: os::epoch_ms().saturating_sub(duration_milliseconds),
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
            service: &service.name,
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
            let _ = os::reset_on_close(fd);
        }
    }
}
