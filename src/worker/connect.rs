//! Finding a server for a client: choose, connect, and on failure choose again, unseen by the client.

use super::Worker;
use super::accept::SHORTAGE_RETRY_MS;
use super::proxy::greeting;
use super::said::{self, Verdict};
use super::serve::log_read;
use super::services::LocalService;
use crate::balance::{Admission, Endpoint, Refusal, ServerId};
use crate::conn::end;
use crate::conn::{CloseReason, Side, Socket, Stage};
use crate::http::Answered;
use crate::log::diag;
use crate::log::traffic::Target;
use crate::net::connect::{self, LocalAddress, StartError, Started};
use crate::net::keepalive_of;
use crate::net::poller::REGISTRATIONS_LAST;
use crate::net::tls::Trouble;
use crate::outage;
use crate::settings::Settings;
use crate::sys::errors::reason;
use crate::sys::{clock, socket};
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number, ProxyHeader};
use std::io;
use std::sync::Arc;

/// Why a server did not take a client.
#[derive(Debug)]
pub(super) enum Failure {
    /// It refused, reset or could not be reached: it is blacklisted.
    Refused(io::Error),
    TimedOut,
    /// It accepted, but TLS with it failed: it is blacklisted.
    Tls(Trouble),
    /// The reason is on our side: it is passed over, not blacklisted.
    Local(io::Error),
}

impl Worker {
    /// Chooses a server for a new client and goes after it.
    pub(super) fn choose(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.stage = Stage::Connecting;
        let now_seconds = clock::steady_epoch_seconds(self.core.now_ms);
        let LocalService { service, totals, .. } = &mut self.core.services[connection.service];
        let admission =
            service.with(|chooser| chooser.admit(connection.asker(), connection.port, now_seconds));
        match admission {
            Admission::Connect(attempt, endpoint) => {
                totals.denied += u64::from(attempt.server() == ServerId::ABUSE);
                outage::tell(&attempt);
                connection.attempt = Some(attempt);
                connection.endpoint = Some(endpoint);
                self.pursue(index);
            }
            Admission::Refused(Refusal::Denied) => self.close(index, CloseReason::Denied),
            Admission::Refused(Refusal::NoServer) => self.close(index, CloseReason::NoServer),
        }
    }

    /// Connects to the chosen server, or to the next ones, until one has accepted or may still accept.
    pub(super) fn pursue(&mut self, index: u32) {
        loop {
            match self.start_connect(index) {
                Ok(()) => return self.serve_when_established(index),
                Err(failure) => {
                    if !self.next_server(index, &failure) {
                        return self.close(index, CloseReason::NoServer);
                    }
                }
            }
        }
    }

    fn serve_when_established(&mut self, index: u32) {
        let Some(connection) = self.connections.get(index) else { return };
        match connection.stage {
            Stage::Relaying if connection.is_at_rest() => self.rearm(index),
            Stage::Relaying => self.serve(index),
            _ => {}
        }
    }

    fn start_connect(&mut self, index: u32) -> Result<(), Failure> {
        self.owe_greeting(index);
        if self.idlers.are_kept() && self.hand_over(index) {
            return Ok(());
        }
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        let settings = &self.core.services[connection.service].settings;
        let local = local_address(settings, connection.address);
        let (keepalive, nodelay) = (keepalive_of(settings), settings.flag(Flag::TcpNodelay));
        if !matches!(connection.stage, Stage::Shortage | Stage::Busy) {
            connection.connect_deadline_ms = self.core.now_ms + settings.number(Number::Timeout) * 1000;
        }
        connection.stage = Stage::Connecting;
        let Some(endpoint) = &connection.endpoint else { return Ok(()) };
        let (fd, connected) = match connect::start(endpoint, local, keepalive) {
            Ok(Started::Connected(fd)) => (fd, true),
            Ok(Started::UnderWay(fd)) => (fd, false),
            Err(StartError::Server(error)) => return Err(Failure::Refused(error)),
            Err(StartError::Local(error)) => return Err(Failure::Local(error)),
            Err(StartError::Shortage(_)) if self.idlers_make_way() => return self.start_connect(index),
            Err(StartError::Busy) => {
                self.count_pending(index);
                self.put_off_connect(index, Stage::Busy);
                return Ok(());
            }
            Err(StartError::Shortage(error)) => {
                self.wait_for_descriptors(index, &error);
                return Ok(());
            }
        };
        connection.server = Socket { fd: Some(fd), nodelay: !nodelay, ..Socket::default() };
        if !(self.register(index, Side::Client) && self.register(index, Side::Server)) {
            return Ok(());
        }
        if connected {
            self.server_accepted(index)?;
            self.await_server(index);
            return Ok(());
        }
        self.hasten(index)?;
        self.await_server(index);
        Ok(())
    }

    /// Every new connection to a server begins anew.
    fn owe_greeting(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let wanted = connection.attempt.as_ref().map_or(ProxyHeader::None, |attempt| attempt.proxy());
        connection.greeting_due = wanted != ProxyHeader::None;
    }

    /// Counts and times a connect that has not succeeded at once.
    fn await_server(&mut self, index: u32) {
        let Some(connection) = self.connections.get(index) else { return };
        if connection.stage == Stage::Connecting {
            self.timers.arm(index, connection.connect_deadline_ms);
            self.count_pending(index);
        }
    }

    fn count_pending(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if !connection.counted_pending {
            connection.counted_pending = true;
            self.core.shared.room().add_pending();
        }
    }

    fn wait_for_descriptors(&mut self, index: u32, error: &io::Error) {
        if let Some(connection) = self.connections.get(index) {
            self.note_shortage(connection.service);
        }
        diag::once(
            "socket",
            format_args!(
                "cannot open a socket to a server: {}; trying again as connections end",
                reason(error)
            ),
        );
        self.put_off_connect(index, Stage::Shortage);
        self.pause(Some(self.core.now_ms + SHORTAGE_RETRY_MS));
    }

    fn put_off_connect(&mut self, index: u32, stage: Stage) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.stage = stage;
            self.timers.arm(index, self.core.now_ms + SHORTAGE_RETRY_MS);
        }
    }

    /// A connect that was put off is tried again until it would have timed out.
    pub(super) fn try_again(&mut self, index: u32) {
        let Some(connection) = self.connections.get(index) else { return };
        if self.core.now_ms < connection.connect_deadline_ms {
            self.pursue(index);
        } else if connection.stage == Stage::Busy {
            self.server_failed(index, Failure::TimedOut);
        } else {
            self.close(index, CloseReason::Shortage);
        }
    }

    /// Something happened on either socket while the server has not accepted yet.
    pub(super) fn connecting(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let server = &mut connection.server;
        if server.error || (server.writable && !REGISTRATIONS_LAST) {
            let error =
                server.fd().ok().and_then(|fd| getsockopt(&fd, sockopt::SocketError).ok()).unwrap_or(0);
            server.error = false;
            if error != 0 {
                return self.server_failed(index, Failure::Refused(io::Error::from_raw_os_error(error)));
            }
        }
        let accepted = server.writable;
        let progress = match self.is_shaking_server(index) {
            true => self.shake_server(index),
            false if accepted => self.server_accepted(index),
            false => self.hasten(index),
        };
        if let Err(failure) = progress {
            return self.server_failed(index, failure);
        }
        self.serve_when_established(index);
        self.rearm(index);
    }

    /// Reads what the client has sent already and offers it to the server, which may have accepted already: on loopback
    /// and fast networks this spares an event. A write to a socket that still connects says EAGAIN and does no harm.
    fn hasten(&mut self, index: u32) -> Result<(), Failure> {
        let mut verdict = Verdict::Nothing;
        let hastened = self.read_early(index, &mut verdict);
        if verdict != Verdict::Nothing {
            self.heed(index, verdict, Answered::Nothing);
        }
        hastened
    }

    fn read_early(&mut self, index: u32, verdict: &mut Verdict) -> Result<(), Failure> {
        let dump = self.dump(index);
        let Worker { core, connections, scratch, instead, pool, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return Ok(()) };
        let LocalService { log, settings, .. } = &mut core.services[connection.service];
        let speaks_tls = connection.endpoint.as_ref().is_some_and(|endpoint| endpoint.tls().is_some());
        if speaks_tls || connection.is_secure() {
            return Ok(()); // what it sends waits for the handshake with the server, or in its own session
        }
        let direction = &mut connection.from_client;
        if direction.pending.is_some() || direction.is_unread() || !connection.client.readable {
            return Ok(());
        }
        let count = match end::read(&mut connection.client, direction, scratch) {
            Ok(count) => count.unwrap_or(0),
            Err(_) => {
                self.close(index, CloseReason::ClientReset);
                return Ok(());
            }
        };
        let bytes = said::early(dump, connection, &scratch[..count], instead, verdict);
        if bytes.is_empty() {
            return Ok(());
        }
        if log.target() == Target::Network {
            // penlogd must hear of the request before the server can answer and log it: the line is sent when it is
            // certain which server gets the bytes, and before they go.
            connection.from_client.pending = Some(pool.hold(bytes));
            return Ok(());
        }
        let greeted = connection.greeting_due.then(|| [&greeting(connection), bytes].concat());
        let all = greeted.as_deref().unwrap_or(bytes);
        let Ok(server) = connection.server.fd() else { return Ok(()) };
        let sent = match socket::send(server, all) {
            Ok(sent) => sent,
            Err(error) => {
                connection.from_client.pending = Some(pool.hold(bytes));
                let under_way = error.kind() == io::ErrorKind::WouldBlock;
                return if under_way { Ok(()) } else { Err(Failure::of(error)) };
            }
        };
        connection.greeting_due = false;
        let direction = &mut connection.from_client;
        direction.bytes += sent as u64;
        if sent < all.len() {
            direction.pending = Some(pool.hold(&all[sent..]));
        }
        let unlogged = said::take_unlogged(connection).unwrap_or_default();
        let heard = if unlogged.is_empty() { bytes } else { &unlogged };
        log_read(log, settings.choice(), connection.address, connection.endpoint.as_deref(), heard);
        let drained = sent == all.len();
        self.established(index);
        if let Some(connection) = self.connections.get_mut(index) {
            connection.server.writable = drained;
        }
        Ok(())
    }

    /// The server has accepted.
    pub(super) fn established(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.stage = Stage::Relaying;
        connection.server.writable = true;
        self.settle_pending(index);
        let Some(connection) = self.connections.get(index) else { return };
        self.trace_server(index, connection);
        if let Some(attempt) = connection.attempt.as_ref().filter(|attempt| attempt.clears_failure()) {
            let ends_outage =
                self.core.services[connection.service].service.with(|chooser| chooser.connected(attempt));
            if ends_outage {
                outage::tell_end(attempt.server());
            }
        }
        if let (Some(attempt), Some(endpoint)) = (&connection.attempt, &connection.endpoint)
            && endpoint.is_second_choice()
        {
            self.core.services[connection.service]
                .service
                .with(|chooser| chooser.prefer(attempt.server(), endpoint));
        }
        self.arm_idle_timer(index);
    }

    /// Bytes read before the server had accepted are logged when it is known which server gets them.
    pub(super) fn log_held(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let Some(unlogged) = said::take_unlogged(connection) else { return };
        let pending = connection.from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        let heard = if unlogged.is_empty() { pending } else { &unlogged };
        let LocalService { log, settings, .. } = &mut self.core.services[connection.service];
        log_read(log, settings.choice(), connection.address, connection.endpoint.as_deref(), heard);
    }

    /// The connect is decided: it no longer counts towards `pending_max`.
    pub(super) fn settle_pending(&mut self, index: u32) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if std::mem::take(&mut connection.counted_pending) {
            self.timers.disarm(index);
            self.core.shared.remove_pending();
        }
    }

    pub(super) fn connect_timed_out(&mut self, index: u32) {
        self.server_failed(index, Failure::TimedOut);
    }

    /// A connect under way failed: on to the next server.
    fn server_failed(&mut self, index: u32, failure: Failure) {
        if self.next_server(index, &failure) {
            self.pursue(index);
        } else {
            self.close(index, CloseReason::NoServer);
        }
    }

    /// Blames the server and chooses another; false when none is left.
    fn next_server(&mut self, index: u32, failure: &Failure) -> bool {
        self.drop_server_socket(index);
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let (asker, service) = (connection.asker(), connection.service);
        let Some(attempt) = &mut connection.attempt else { return false };
        let server = attempt.server();
        if let Some(next) = connection.endpoint.as_ref().and_then(|endpoint| endpoint.next_place()) {
            say_next_place(server, connection.endpoint.as_deref());
            connection.endpoint = Some(Arc::new(next));
            connection.stage = Stage::Connecting;
            return true;
        }
        let now_seconds = clock::steady_epoch_seconds(self.core.now_ms);
        let local = &mut self.core.services[service];
        let next = local.service.with(|chooser| match failure {
            Failure::Local(_) => chooser.passed_over(asker, attempt, now_seconds),
            _ => chooser.failed(asker, attempt, now_seconds),
        });
        let goes_on = next.is_some();
        match next {
            Some(endpoint) => {
                outage::tell(attempt);
                connection.endpoint = Some(endpoint);
                // What was put off was the connect to the last one: the next has all its time.
                connection.stage = Stage::Connecting;
                connection.extras().retries += 1;
                local.totals.failovers += 1;
            }
            // The chooser has taken the reservation back.
            None => connection.attempt = None,
        }
        self.report_failure(service, server, failure);
        goes_on
    }

    /// Counts a failure and tells the operator.
    pub(super) fn report_failure(&mut self, service: u16, server: ServerId, failure: &Failure) {
        let totals = &mut self.core.services[service].totals;
        match failure {
            Failure::Refused(_) | Failure::Tls(_) => totals.connect_failures += 1,
            Failure::TimedOut => totals.connect_timeouts += 1,
            Failure::Local(_) => {}
        }
        failure.say(server);
        self.idlers.look_at_once(self.core.now_ms);
    }

    pub(super) fn drop_server_socket(&mut self, index: u32) {
        self.drop_server_session(index);
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Ok(fd) = connection.server.fd() {
            self.core.poller.forget(fd);
            self.dropped.push(index);
        }
        connection.server = Socket::default();
    }
}

/// From where a client's server is connected to.
pub(crate) fn local_address(settings: &Settings, client: ClientAddr) -> LocalAddress {
    match (settings.source(), client) {
        (Some(ip), _) => LocalAddress::Source(ip),
        (None, ClientAddr::Ip(ip)) if settings.flag(Flag::Transparent) => LocalAddress::Client(ip),
        _ => LocalAddress::Any,
    }
}

/// The server is not blamed yet.
pub(crate) fn say_next_place(server: ServerId, failed: Option<&Endpoint>) {
    if let Some(address) = failed.and_then(Endpoint::internet_address) {
        let text = format_args!("server {server} does not answer at {address}; trying its next address");
        diag::once(&format!("place {server}"), text);
    }
}

impl Failure {
    /// What the system said at a write to a socket that connects.
    fn of(error: io::Error) -> Failure {
        let is_ours = error.raw_os_error().is_some_and(|number| connect::is_ours(Errno::from_raw(number)));
        if is_ours { Failure::Local(error) } else { Failure::Refused(error) }
    }

    /// Tells the operator, in the words of the original.
    fn say(&self, server: ServerId) {
        match self {
            Failure::Refused(error) => diag::once(
                &format!("connect {server}"),
                format_args!(
                    "Connect failed: {}; blacklisting server {server} because of connect failure",
                    reason(error)
                ),
            ),
            Failure::TimedOut => diag::once(
                &format!("timeout {server}"),
                format_args!("blacklisting server {server} because of connect timeout"),
            ),
            Failure::Tls(trouble) => diag::once(
                &format!("tls {server}"),
                format_args!("TLS with server {server} failed: {trouble}; blacklisting it"),
            ),
            Failure::Local(error) => {
                diag::once(
                    &format!("local {server}"),
                    format_args!("cannot connect to server {server} from here: {}", reason(error)),
                );
            }
        }
    }
}
