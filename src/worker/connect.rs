//! Finding a server for a client: choose, connect, and on failure choose again, unseen by the client.

use super::Context;
use super::near::Holder;
use super::proxy::greeting;
use super::request::forget_request;
use super::services::LocalService;
use super::verdict::Verdict;
use crate::balance::{Arrival, Attempt, Endpoint, Poll, Refusal, ServerId, Ticket};
use crate::conn::{CloseReason, Connection, Limit, Side, Socket, Stage, end};
use crate::hooks::EventKind;
use crate::log::diag;
use crate::log::traffic::Target;
use crate::net::connect::{self, LocalAddress, StartError};
use crate::net::keepalive_of;
use crate::net::poller::REGISTRATIONS_LAST;
use crate::net::tls::Trouble;
use crate::news;
use crate::os::{self, Started};
use crate::service::Service;
use crate::settings::Settings;
use crate::sys::errors::reason;
use nix::errno::Errno;
use pen_proto::addr::ClientAddr;
use pen_proto::called::Called;
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
    /// A check has found it down, and says so: it is passed over.
    Checked,
}

/// What comes after a server that failed.
enum Next {
    /// Another address of the same server.
    Place,
    Another,
    /// Another, when a check has found it well.
    Polls(Poll),
    /// All that are left are full.
    Waits(Ticket),
    Nobody,
}

impl Context {
    /// Chooses a server for a new client and goes after it.
    pub(super) fn choose(&mut self, connection: &mut Connection) -> Verdict {
        self.enter(connection, Stage::Choosing);
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let (who, now_ms) = (self.waiting(connection), self.core.now_ms);
        let service = &self.core.services[connection.service].service;
        let (asker, port) = (connection.asker(), connection.port);
        let (arrival, clone) = service.with(|chooser| {
            let arrival = chooser.arrive(asker, port, now_seconds, who, now_ms);
            let clone =
                arrival.server().and_then(|member| chooser.admit_clone(member, asker, port, now_seconds));
            (arrival, clone)
        });
        if let Some(clone) = clone {
            self.expect_clone(connection, clone);
        }
        let totals = &mut self.core.services[connection.service].totals;
        match arrival {
            Arrival::Connect(attempt, endpoint) => {
                if attempt.server() == ServerId::ABUSE {
                    match connection.limit {
                        Limit::Over => totals.over_limit += 1,
                        Limit::None | Limit::Counted => totals.denied += 1,
                    }
                }
                self.go_to(connection, attempt, endpoint)
            }
            Arrival::Polls(attempt, endpoint, poll) => {
                self.keep_place(connection, attempt, endpoint);
                self.wait_for_check(connection, poll)
            }
            Arrival::Waits(ticket) => self.begin_to_wait(connection, ticket),
            Arrival::Refused(Refusal::Denied) => Verdict::Close(CloseReason::Denied),
            Arrival::Refused(Refusal::OverLimit) => Verdict::Close(CloseReason::ClientLimit),
            Arrival::Refused(Refusal::NoServer) => Verdict::Close(CloseReason::NoServer),
        }
    }

    /// Goes after the server at which a place is reserved.
    pub(super) fn go_to(
        &mut self,
        connection: &mut Connection,
        attempt: Attempt,
        endpoint: Arc<Endpoint>,
    ) -> Verdict {
        self.keep_place(connection, attempt, endpoint);
        self.enter(connection, Stage::Choosing);
        self.try_servers(connection)
    }

    /// Keeps a place that is reserved.
    pub(super) fn keep_place(
        &mut self,
        connection: &mut Connection,
        attempt: Attempt,
        endpoint: Arc<Endpoint>,
    ) {
        news::tell_outage(&self.service(connection).service, &attempt);
        connection.attempt = Some(attempt);
        connection.endpoint = Some(endpoint);
        self.tell(connection, EventKind::Chosen);
    }

    /// Connects to the chosen server, or to the next ones, until one has accepted or may still accept.
    pub(super) fn try_servers(&mut self, connection: &mut Connection) -> Verdict {
        loop {
            match self.start_connect(connection) {
                Ok(verdict) => return verdict,
                Err(failure) => {
                    if let Some(verdict) = self.move_on(connection, &failure) {
                        return verdict;
                    }
                }
            }
        }
    }

    fn start_connect(&mut self, connection: &mut Connection) -> Result<Verdict, Failure> {
        let wanted = connection.attempt.as_ref().map_or(ProxyHeader::None, |attempt| attempt.proxy());
        connection.greeting_due = wanted != ProxyHeader::None;
        if self.idlers.are_kept()
            && let Some(verdict) = self.hand_over(connection)
        {
            return Ok(verdict);
        }
        let settings = self.settings(connection);
        let local = local_address(settings, connection.address);
        let (keepalive, nodelay) = (keepalive_of(settings), settings.flag(Flag::TcpNodelay));
        if !matches!(connection.stage, Stage::Shortage | Stage::Busy) {
            connection.asked_ms = self.core.now_ms;
        }
        let Some(endpoint) = &connection.endpoint else { return Ok(Verdict::Stay) };
        let (fd, is_connected) = match os::connect(endpoint, local, keepalive) {
            Ok(Started::Connected(fd)) => (fd, true),
            Ok(Started::UnderWay(fd)) => (fd, false),
            Err(StartError::Server(error)) => return Err(Failure::Refused(error)),
            Err(StartError::Local(error)) => return Err(Failure::Local(error)),
            Err(StartError::Shortage(_)) if self.idlers_make_way() => return self.start_connect(connection),
            Err(StartError::Busy) => {
                self.enter(connection, Stage::Busy);
                return Ok(Verdict::Stay);
            }
            Err(StartError::Shortage(error)) => {
                self.wait_for_descriptors(connection, &error);
                return Ok(Verdict::Stay);
            }
        };
        connection.server = Socket { fd: Some(fd), nodelay: !nodelay, ..Socket::default() };
        self.core.near.begins(Holder::Connection(connection.number), self.core.now_ms);
        let registered = self.register(connection, Side::Client);
        if let Err(reason) = registered.and_then(|()| self.register(connection, Side::Server)) {
            return Ok(Verdict::Close(reason));
        }
        self.enter(connection, Stage::Choosing);
        self.go_on_connecting(connection, is_connected)
    }

    /// Takes a connect as far as it goes now, and relays when it has succeeded.
    fn go_on_connecting(&mut self, connection: &mut Connection, accepted: bool) -> Result<Verdict, Failure> {
        let progress = match accepted {
            _ if connection.has_server_session() => self.server_handshake(connection)?,
            true => self.server_accepted(connection)?,
            false => self.read_early(connection)?,
        };
        match (progress, connection.stage) {
            (Verdict::Close(reason), _) => return Ok(Verdict::Close(reason)),
            (_, Stage::Relaying) if !connection.is_at_rest() => return Ok(self.relay(connection)),
            (_, Stage::Choosing) => self.enter(connection, Stage::Connecting),
            _ => {}
        }
        Ok(Verdict::Stay)
    }

    /// When the server is given up that has answered neither the connect nor, on a connection that was kept ready, the first
    /// bytes; monotonic.
    pub(super) fn connect_deadline_ms(&self, connection: &Connection) -> u64 {
        let timeout_ms = self.settings(connection).number(Number::Timeout) * 1000;
        connection.asked_ms.saturating_add(timeout_ms)
    }

    fn wait_for_descriptors(&mut self, connection: &mut Connection, error: &io::Error) {
        self.note_shortage(connection.service);
        diag::once(
            "socket",
            format_args!(
                "cannot open a socket to a server: {}; trying again as connections end",
                reason(error)
            ),
        );
        self.enter(connection, Stage::Shortage);
        self.pause_all();
    }

    /// A connect that was put off is tried again until it would have timed out.
    pub(super) fn try_again(&mut self, connection: &mut Connection) -> Verdict {
        if self.core.now_ms < self.connect_deadline_ms(connection) {
            self.try_servers(connection)
        } else if connection.stage == Stage::Busy {
            self.server_failed(connection, &Failure::TimedOut)
        } else {
            Verdict::Close(CloseReason::Shortage)
        }
    }

    /// Something happened on either socket while the server has not accepted yet.
    pub(super) fn connecting(&mut self, connection: &mut Connection) -> Verdict {
        let server = &mut connection.server;
        if server.error || (server.writable && !REGISTRATIONS_LAST) {
            let error = server.fd().map_or(0, os::take_error);
            server.error = false;
            if error != 0 {
                let failure = Failure::Refused(io::Error::from_raw_os_error(error));
                return self.server_failed(connection, &failure);
            }
        }
        let accepted = server.writable;
        match self.go_on_connecting(connection, accepted) {
            Ok(verdict) => verdict,
            Err(failure) => self.server_failed(connection, &failure),
        }
    }

    /// Reads what the client has sent already and offers it to the server, which may have accepted already: on loopback
    /// and fast networks this spares an event. A write to a socket that still connects says EAGAIN and does no harm.
    fn read_early(&mut self, connection: &mut Connection) -> Result<Verdict, Failure> {
        // With TLS, what it sends waits for the handshake with the server, or in its own session.
        let speaks_tls = connection.endpoint.as_ref().is_some_and(|endpoint| endpoint.tls().is_some());
        let is_plain = !speaks_tls && !connection.is_secure();
        let Connection { client, from_client, .. } = &mut *connection;
        if !is_plain || !client.readable || from_client.pending.is_some() || from_client.is_unread() {
            return Ok(Verdict::Stay);
        }
        let Ok(count) = end::read(client, from_client, &mut self.work.scratch) else {
            return Ok(Verdict::Close(CloseReason::ClientReset));
        };
        let count = count.unwrap_or(0);
        if count > 0 && !self.is_seen(connection) {
            return self.send_early(connection, count).map(|()| Verdict::Stay);
        }
        let verdict = self.pass_early(connection, count);
        // penlogd must hear of the request before the server can answer and log it: the line is sent when it is certain
        // which server gets the bytes, and before they go.
        let is_told_first = self.service(connection).log.target() == Target::Network;
        if verdict == Verdict::Stay && !is_told_first {
            self.offer_early(connection)?;
        }
        Ok(verdict)
    }

    /// Offers so many bytes in the scratch buffer to a server that may have accepted, and keeps what it does not take:
    /// nobody looks at them.
    fn send_early(&mut self, connection: &mut Connection, count: usize) -> Result<(), Failure> {
        let bytes = &self.work.scratch[..count];
        let taken = connection.server.fd().and_then(|fd| os::send(fd, bytes));
        let sent = *taken.as_ref().unwrap_or(&0);
        if sent < count {
            connection.from_client.pending = Some(self.work.pool.hold(&bytes[sent..]));
        }
        match taken {
            Ok(_) => {
                connection.from_client.bytes += sent as u64;
                self.established(connection);
                connection.server.writable = sent == count;
                Ok(())
            }
            Err(error) => {
                connection.unlogged = true;
                if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(Failure::of(error)) }
            }
        }
    }

    /// Offers what is kept of the client to a server that may have accepted.
    fn offer_early(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        let Some(pending) = &connection.from_client.pending else { return Ok(()) };
        let header = if connection.greeting_due { greeting(connection) } else { Vec::new() };
        let greeted = connection.greeting_due.then(|| [&header, pending.unsent()].concat());
        let all = greeted.as_deref().unwrap_or(pending.unsent());
        let sent = match connection.server.fd().and_then(|fd| os::send(fd, all)) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Failure::of(error)),
        };
        let is_all = sent == all.len();
        self.log_held(connection);
        connection.greeting_due = false;
        let from_client = &mut connection.from_client;
        from_client.bytes += sent as u64;
        if let Some(pending) = &mut from_client.pending {
            pending.put_before(&header);
            pending.take(sent);
        }
        let sent_all = from_client.pending.take_if(|_| is_all);
        self.work.pool.give_back(sent_all);
        self.established(connection);
        connection.server.writable = is_all;
        Ok(())
    }

    /// The server has accepted.
    pub(super) fn established(&mut self, connection: &mut Connection) {
        connection.server.writable = true;
        self.note_connect_time(connection);
        self.trace_server(connection);
        self.tell(connection, EventKind::Connected);
        if let (Some(attempt), Some(endpoint)) = (&connection.attempt, &connection.endpoint) {
            let service = &self.core.services[connection.service].service;
            if attempt.clears_failure() {
                let (ends, news) = service.with(|chooser| (chooser.connected(attempt), chooser.take_news()));
                news::tell_success(service, attempt.server(), ends, news);
            }
            if endpoint.is_second_choice() {
                service.with(|chooser| chooser.prefer(attempt.server(), endpoint));
            }
        }
        forget_request(connection);
        self.enter(connection, Stage::Relaying);
    }

    pub(super) fn connect_timed_out(&mut self, connection: &mut Connection) -> Verdict {
        self.server_failed(connection, &Failure::TimedOut)
    }

    /// A connect under way failed: on to the next server.
    pub(super) fn server_failed(&mut self, connection: &mut Connection, failure: &Failure) -> Verdict {
        match self.move_on(connection, failure) {
            None => self.try_servers(connection),
            Some(verdict) => verdict,
        }
    }

    /// Chooses another server, or another address of the same one; `None` when the connection can connect there at once.
    fn move_on(&mut self, connection: &mut Connection, failure: &Failure) -> Option<Verdict> {
        match self.next_server(connection, failure) {
            Next::Place | Next::Another => None,
            Next::Polls(poll) => Some(self.wait_for_check(connection, poll)),
            Next::Waits(ticket) => Some(self.begin_to_wait(connection, ticket)),
            Next::Nobody => Some(Verdict::Close(CloseReason::NoServer)),
        }
    }

    /// Blames the server and chooses another.
    fn next_server(&mut self, connection: &mut Connection, failure: &Failure) -> Next {
        self.tell(connection, EventKind::Failed);
        self.drop_server(connection);
        // What was put off was the connect to the last one: the next has all its time.
        self.enter(connection, Stage::Choosing);
        let asker = connection.asker();
        let Some(attempt) = connection.attempt.take() else { return Next::Nobody };
        let (who, now_ms) = (self.waiting(connection), self.core.now_ms);
        let local = &mut self.core.services[connection.service];
        // A check has tried all of them.
        let untried = connection.endpoint.as_ref().filter(|_| !matches!(failure, Failure::Checked));
        if let Some(failed) = untried
            && let Some(next) = failed.next_place()
        {
            news::tell_next_place(&local.service, attempt.server(), failed);
            connection.endpoint = Some(Arc::new(next));
            connection.attempt = Some(attempt);
            return Next::Place;
        }
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let is_ours = matches!(failure, Failure::Local(_) | Failure::Checked);
        let (called, arrival, news) = local.service.with(|chooser| {
            let called = chooser.called(attempt.server());
            let arrival = chooser.lose_server(asker, attempt, is_ours, now_seconds, who, now_ms);
            (called, arrival, chooser.take_news())
        });
        let called = match &connection.endpoint {
            Some(tried) => called.at(tried),
            None => called,
        };
        let (place, next) = match arrival {
            Arrival::Connect(attempt, endpoint) => (Some((attempt, endpoint)), Next::Another),
            Arrival::Polls(attempt, endpoint, poll) => (Some((attempt, endpoint)), Next::Polls(poll)),
            Arrival::Waits(ticket) => (None, Next::Waits(ticket)),
            // The chooser has taken the reservation back.
            Arrival::Refused(_) => (None, Next::Nobody),
        };
        if let Some((attempt, endpoint)) = place {
            self.keep_place(connection, attempt, endpoint);
            connection.extras().retries += 1;
            self.service(connection).totals.failovers += 1;
        }
        self.report_failure(connection.service, &called, failure);
        news::tell_news(&self.core.services[connection.service].service, news);
        next
    }

    /// Counts a failure and tells the operator.
    pub(super) fn report_failure(&mut self, service: u16, called: &Called, failure: &Failure) {
        let LocalService { service, totals, .. } = &mut self.core.services[service];
        match failure {
            Failure::Refused(_) | Failure::Tls(_) => totals.connect_failures += 1,
            Failure::TimedOut => totals.connect_timeouts += 1,
            Failure::Local(_) | Failure::Checked => {}
        }
        failure.say(service, called);
        self.idlers.look_at_once(self.core.now_ms);
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

impl Failure {
    /// What the system said at a write to a socket that connects.
    fn of(error: io::Error) -> Failure {
        let is_ours = error.raw_os_error().is_some_and(|number| connect::is_ours(Errno::from_raw(number)));
        if is_ours { Failure::Local(error) } else { Failure::Refused(error) }
    }

    /// Tells the operator, in the words of the original.
    fn say(&self, service: &Service, called: &Called) {
        match self {
            Failure::Refused(error) => news::tell(
                service,
                "connect",
                called,
                format_args!(
                    "Connect failed: {}; blacklisting {called} because of connect failure",
                    reason(error)
                ),
            ),
            Failure::TimedOut => news::tell(
                service,
                "timeout",
                called,
                format_args!("blacklisting {called} because of connect timeout"),
            ),
            Failure::Tls(trouble) => news::tell(
                service,
                "tls",
                called,
                format_args!("TLS with {called} failed: {trouble}; blacklisting it"),
            ),
            // Who checks says it.
            Failure::Checked => {}
            Failure::Local(error) => news::tell(
                service,
                "local",
                called,
                format_args!("cannot connect to {called} from here: {}", reason(error)),
            ),
        }
    }
}
