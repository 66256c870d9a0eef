//! Finding a server for a session: choose, connect, and on failure choose again, unseen by the client.
//!
//! Two things show that a server has failed. The first is an ICMP error, or the system's word that there is no way to
//! it. The second is silence, and it is judged with care, because anybody can send a datagram that no server answers:
//! a server has failed when it has left a session without an answer for `timeout` seconds and has in this time sent
//! nothing to anybody else, when it is known that servers answer at all, and when there is another to go to.

use super::Udp;
use super::clones::CloneSide;
use super::close::trace;
use super::relay::is_unreachable;
use super::session::{Kept, Seat, Session, Told};
use super::sessions::Parties;
use super::tell::tell;
use crate::balance::{Admission, Asker, Endpoint, Refusal, ServerId};
use crate::conn::CloseReason;
use crate::hooks::EventKind;
use crate::log::diag;
use crate::net::connect::{LocalAddress, StartError};
use crate::net::datagram::{connect_again, connect_to};
use crate::news;
use crate::proxy_protocol::{Endpoints, Transport, write_v2_with};
use crate::room::{Room, Want};
use crate::sys::errors::reason;
use crate::sys::{clock, socket};
use crate::worker::{Core, Holder, Key, LocalService, local_address, log_read};
use pen_proto::addr::ClientAddr;
use pen_proto::called::Called;
use pen_proto::commands::{Number, ProxyHeader};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Why a session leaves its server.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is blacklisted.
    Unreachable(io::Error),
    /// It is blacklisted.
    Silent,
    /// The reason is on our side: it is passed over, not blacklisted.
    Local(io::Error),
}

impl Udp {
    /// Begins a session; `None` when no server takes the client, or there is no room.
    pub(super) fn open(
        &mut self,
        core: &mut Core,
        service: u16,
        parties: Parties,
        told: Option<Box<Told>>,
    ) -> Option<u32> {
        if core.services[service].draining || !self.make_room(core) {
            return None;
        }
        let address = ClientAddr::from(parties.client());
        let port = parties.client().port();
        let now_seconds = clock::steady_epoch_seconds(core.now_ms);
        let local = &mut core.services[service];
        let is_limited = local.settings.client_limits().are_set();
        let (admission, clone, is_counted) = local.service.with(|chooser| {
            let is_over_limit = is_limited && !chooser.enter(address, now_seconds);
            let asker = Asker { is_over_limit, ..Asker::from(address) };
            let admission = chooser.admit(asker, port, now_seconds);
            let is_counted = is_limited && !is_over_limit;
            let clone = match &admission {
                Admission::Connect(attempt, _) => {
                    chooser.admit_clone(attempt.server(), asker, port, now_seconds)
                }
                Admission::Refused(_) => None,
            };
            if is_counted && matches!(admission, Admission::Refused(_)) {
                chooser.leave(address);
            }
            (admission, clone, is_counted)
        });
        let (attempt, endpoint) = match admission {
            Admission::Connect(attempt, endpoint) => (attempt, endpoint),
            Admission::Refused(refusal) => {
                match refusal {
                    Refusal::Denied => local.totals.denied += 1,
                    Refusal::OverLimit => local.totals.over_limit += 1,
                    Refusal::NoServer => local.totals.rejected += 1,
                }
                core.shared.room().give_session();
                return None;
            }
        };
        news::tell_outage(&local.service, &attempt);
        local.totals.accepted += 1;
        if attempt.server() == ServerId::ABUSE {
            match is_limited && !is_counted {
                true => local.totals.over_limit += 1,
                false => local.totals.denied += 1,
            }
        }
        let clone = clone.map(|chosen| Box::new(CloneSide::new(chosen, &local.settings.clone_ignore)));
        let begun = Session::new(service, address, attempt, endpoint, core.now_ms);
        let session = Session { told, is_counted, clone, ..begun };
        let index = self.sessions.insert(parties, session);
        local.last = Some((index, core.now_ms));
        trace(core, index, || match parties.named {
            None => format!("from {}", parties.peer),
            Some(client) => format!("from {}, for {client}", parties.peer),
        });
        self.tell(core, index, EventKind::Chosen);
        if !self.pursue(core, index, None) {
            return None;
        }
        self.connect_clone(core, index);
        Some(index)
    }

    /// Takes a place for one more session, if need be that of another, and memory.
    fn make_room(&mut self, core: &mut Core) -> bool {
        while !core.shared.room().take_session() {
            note_full(core, Want::Places);
            if !self.evict(core, None) {
                return false;
            }
        }
        let reserved = self.sessions.try_reserve();
        if reserved.is_err() {
            diag::once("session memory", "no memory for more sessions");
            core.shared.room().give_session();
        }
        reserved.is_ok()
    }

    /// Ends sessions until there are no more than allowed.
    pub(super) fn fit_in(&mut self, core: &mut Core) {
        while core.shared.room().has_too_many_sessions() && self.evict(core, None) {}
    }

    /// Ends the session whose turn it is, if it is not this one; false when there is none.
    fn evict(&mut self, core: &mut Core, except: Option<u32>) -> bool {
        let Some(victim) = self.sessions.victim().filter(|victim| Some(*victim) != except) else {
            return false;
        };
        if let Some(session) = self.sessions.get_mut(victim) {
            core.services[session.service].totals.sessions_evicted += 1;
            let seat = session.take_seat();
            self.let_seat_go(core);
            self.seat = seat;
        }
        self.close(core, victim, CloseReason::Evicted);
        true
    }

    /// Leaves a server that failed for the next one, which gets what the client sent and the first did not answer.
    /// False when the session is over.
    pub(super) fn leave_server(&mut self, core: &mut Core, index: u32, failure: Failure) -> bool {
        self.pursue(core, index, Some(failure))
    }

    /// Connects to the server of the session, or, after a failure, to the next that can be reached. False when there is
    /// none, and then the session has ended.
    fn pursue(&mut self, core: &mut Core, index: u32, mut failure: Option<Failure>) -> bool {
        loop {
            if let Some(failure) = &failure
                && !self.go_to_next(core, index, failure)
            {
                self.close(core, index, CloseReason::NoServer);
                return false;
            }
            match self.connect(core, index) {
                Ok(()) => return true,
                Err(StartError::Server(error)) => failure = Some(Failure::Unreachable(error)),
                Err(StartError::Local(error)) => failure = Some(Failure::Local(error)),
                Err(StartError::Busy | StartError::Shortage(_)) => {
                    self.close(core, index, CloseReason::Shortage);
                    return false;
                }
            }
        }
    }

    fn go_to_next(&mut self, core: &mut Core, index: u32, failure: &Failure) -> bool {
        self.tell(core, index, EventKind::Failed);
        let goes_on = self.next_server(core, index, failure);
        if goes_on {
            self.tell(core, index, EventKind::Chosen);
        }
        goes_on
    }

    /// Tells the program around pen.
    pub(super) fn tell(&self, core: &Core, index: u32, kind: EventKind) {
        if let (Some(session), Some(parties)) = (self.sessions.get(index), self.sessions.parties(index)) {
            let server = session.attempt.as_ref().map(|attempt| attempt.server());
            tell(core, (index, session), parties.client(), server, || kind);
        }
    }

    /// Connects, and sends again what is kept.
    fn connect(&mut self, core: &mut Core, index: u32) -> Result<(), StartError> {
        let Some(session) = self.sessions.get(index) else { return Ok(()) };
        let service = session.service;
        let local = local_address(&core.services[service].settings, session.address);
        let endpoint = session.endpoint.clone();
        let is_bound = local != LocalAddress::Any;
        let (socket, takes_runs) = match self.connect_seat(core, index, &endpoint, is_bound) {
            Some(Seat { socket, takes_runs, .. }) => (socket, takes_runs),
            None => (self.connect_new(core, index, &endpoint, local)?, false),
        };
        let session = self.sessions.get(index);
        let wanted = session.and_then(|session| session.attempt.as_ref()).map(|attempt| attempt.proxy());
        let header = self.header(core, index, wanted.unwrap_or_default());
        if let Some(session) = self.sessions.get_mut(index) {
            session.socket = Some(socket);
            session.takes_runs = takes_runs;
            session.is_bound = is_bound;
            core.near.begins(Holder::Session(index), core.now_ms);
            session.header = header;
            trace(core, index, || format!("to {endpoint} port {}", endpoint.port()));
        }
        let resent = self.send_again(core, index).map_err(StartError::Server);
        self.arm_timer(core, index);
        resent
    }

    /// Opens a socket to this server that is watched.
    fn connect_new(
        &mut self,
        core: &mut Core,
        index: u32,
        endpoint: &Endpoint,
        local: LocalAddress,
    ) -> Result<OwnedFd, StartError> {
        let opened = match connect_to(endpoint, local) {
            Err(StartError::Shortage(error)) => {
                if let Some(session) = self.sessions.get(index) {
                    core.services[session.service].totals.descriptor_shortages += 1;
                }
                note_full(core, Want::Descriptors);
                diag::once("socket", format_args!("cannot open a socket to a server: {}", reason(&error)));
                // One session for another, as if there were no room.
                if !self.clones_make_way(core) && !self.evict(core, Some(index)) {
                    return Err(StartError::Shortage(error));
                }
                self.let_seat_go(core);
                connect_to(endpoint, local)
            }
            opened => opened,
        };
        let socket = opened?;
        core.poller.add_reader(socket.as_fd(), Key::Session(index).pack()).map_err(|error| {
            diag::once("register", format_args!("cannot watch a socket: {}", reason(&error)));
            StartError::Shortage(error)
        })?;
        Ok(socket)
    }

    /// Connects the socket of the session that made room for this one, if there is one and it will do.
    fn connect_seat(
        &mut self,
        core: &mut Core,
        index: u32,
        endpoint: &Endpoint,
        is_bound: bool,
    ) -> Option<Seat> {
        let is_ipv4 = endpoint.internet_address()?.is_ipv4();
        let seat = self.seat.take_if(|seat| !is_bound && seat.is_ipv4 == is_ipv4)?;
        let socket = seat.socket.as_fd();
        if connect_again(socket, endpoint)
            && core.poller.rekey_reader(socket, Key::Session(index).pack()).is_ok()
        {
            return Some(seat);
        }
        core.poller.forget(socket);
        None
    }

    /// Closes the socket that no session has taken.
    pub(super) fn let_seat_go(&mut self, core: &Core) {
        if let Some(seat) = self.seat.take() {
            core.poller.forget(seat.socket.as_fd());
        }
    }

    /// # Errors
    /// The server cannot be reached.
    fn send_again(&mut self, core: &mut Core, index: u32) -> io::Result<()> {
        let now_ms = core.now_ms;
        let Some(session) = self.sessions.get_mut(index) else { return Ok(()) };
        let (Some(socket), Some(kept)) = (&session.socket, &session.kept) else { return Ok(()) };
        let LocalService { log, settings, totals, .. } = &mut core.services[session.service];
        for datagram in kept.iter() {
            log_read(log, settings.choice(), session.address, Some(&session.endpoint), datagram);
            let headed = [&session.header, datagram].concat();
            match socket::send(socket.as_fd(), &headed) {
                Ok(_) => {
                    session.up_bytes += datagram.len() as u64;
                    session.unanswered_ms = Some(now_ms);
                    totals.up_datagrams += 1;
                }
                Err(error) if is_unreachable(&error) => return Err(error),
                Err(_) => totals.datagrams_dropped += 1,
            }
        }
        Ok(())
    }

    /// The PROXY header that the server or the clone of a session wants; empty when it wants none.
    pub(super) fn header(&self, core: &Core, index: u32, wanted: ProxyHeader) -> Box<[u8]> {
        let Some(session) = self.sessions.get(index) else { return Box::default() };
        let Some(parties) = self.sessions.parties(index) else { return Box::default() };
        let told = session.told.as_deref();
        let extensions = match wanted {
            ProxyHeader::V2 => &[],
            ProxyHeader::V2Ssl => told.map_or(&[][..], |told| &told.extensions),
            _ => return Box::default(),
        };
        let listener = core.listeners.listener(parties.listener).and_then(|listener| listener.address);
        let spoken_to = SocketAddr::new(parties.local.ip, listener.map_or(0, |address| address.port()));
        let destination = told.and_then(|told| told.destination).unwrap_or(spoken_to);
        let endpoints = Endpoints::new(parties.client(), destination);
        let mut bytes = Vec::new();
        write_v2_with(Some(&endpoints), Transport::Datagram, extensions, &mut bytes);
        bytes.into()
    }

    /// Blames the server and chooses another; false when none is left.
    fn next_server(&mut self, core: &mut Core, index: u32, failure: &Failure) -> bool {
        let Some(session) = self.sessions.get_mut(index) else { return false };
        if let Some(socket) = session.socket.take() {
            core.poller.forget(socket.as_fd());
        }
        session.unanswered_ms = None;
        if let (Some(attempt), Some(next)) = (&session.attempt, session.endpoint.next_place()) {
            let service = &core.services[session.service].service;
            news::tell_next_place(service, attempt.server(), &session.endpoint);
            session.endpoint = Arc::new(next);
            session.kept.get_or_insert_with(Kept::default);
            return true;
        }
        let address = session.address;
        let (up_bytes, down_bytes) =
            (std::mem::take(&mut session.up_bytes), std::mem::take(&mut session.down_bytes));
        let local = &mut core.services[session.service];
        local.totals.up_bytes += up_bytes;
        local.totals.down_bytes += down_bytes;
        let Some(attempt) = &mut session.attempt else { return false };
        let now_seconds = clock::steady_epoch_seconds(core.now_ms);
        let (called, next, news) = local.service.with(|chooser| {
            let called = chooser.called(attempt.server()).at(&session.endpoint);
            chooser.add_bytes(attempt, up_bytes, down_bytes);
            let next = match failure {
                Failure::Local(_) => chooser.passed_over(address, attempt, now_seconds),
                _ => chooser.failed(address, attempt, now_seconds),
            };
            (called, next, chooser.take_news())
        });
        let goes_on = next.is_some();
        match next {
            Some(endpoint) => {
                news::tell_outage(&local.service, attempt);
                session.endpoint = endpoint;
                session.retries += 1;
                // What one server has answered is no business of the next.
                session.kept.get_or_insert_with(Kept::default);
                local.totals.failovers += 1;
            }
            // The chooser has taken the reservation back.
            None => session.attempt = None,
        }
        report_failure(local, &called, failure);
        news::tell_news(&local.service, news);
        goes_on
    }

    /// What the session sent at this time has not been answered for `timeout` seconds.
    pub(super) fn judge_silence(&mut self, core: &mut Core, index: u32, sent_ms: u64) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.unanswered_ms = None;
        let address = session.address;
        let Some(attempt) = &session.attempt else { return };
        let LocalService { service, .. } = &core.services[session.service];
        let answers = service.answers();
        let is_silent = answers.are_expected() && answers.is_silent_since(attempt.server(), sent_ms);
        let now_seconds = clock::steady_epoch_seconds(core.now_ms);
        if is_silent && service.with(|chooser| chooser.has_other(attempt, address, now_seconds)) {
            self.leave_server(core, index, Failure::Silent);
        }
    }
}

fn note_full(core: &Core, want: Want) {
    let process = &*core.process;
    core.shared.room().note_full(want, core.now_ms, |room| {
        let (used, limits) = (room.sessions_used(), Room::limits(process));
        let most = process.udp_sessions_max;
        format!("{used} sessions, no more fit (udp_sessions_max {most}; {limits}); new ones end others")
    });
}

/// Counts a failure and tells the operator.
fn report_failure(local: &mut LocalService, called: &Called, failure: &Failure) {
    let LocalService { service, totals, settings, .. } = local;
    match failure {
        Failure::Unreachable(error) => {
            totals.connect_failures += 1;
            let text = format_args!("blacklisting {called}: {}", reason(error));
            news::tell(service, "connect", called, text);
        }
        Failure::Silent => {
            totals.connect_timeouts += 1;
            let seconds = settings.number(Number::Timeout);
            let text = format_args!("blacklisting {called}: no answer to anybody for {seconds} s");
            news::tell(service, "silent", called, text);
        }
        Failure::Local(error) => {
            let text = format_args!("cannot send to {called} from here: {}", reason(error));
            news::tell(service, "local", called, text);
        }
    }
}
