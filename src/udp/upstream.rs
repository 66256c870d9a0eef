//! Finding a server for a session: choose, connect, and on failure choose again, unseen by the client.
//!
//! Two things show that a server has failed. The first is an ICMP error, or the system's word that there is no way to
//! it. The second is silence, and it is judged with care, because anybody can send a datagram that no server answers:
//! a server has failed when it has left a session without an answer for `timeout` seconds and has in this time sent
//! nothing to anybody else, when it is known that servers answer at all, and when there is another to go to.

use super::UdpWorker;
use super::relay::is_unreachable;
use super::session::{Kept, Session, Told};
use super::sessions::Parties;
use crate::balance::{Admission, Refusal, ServerId};
use crate::conn::CloseReason;
use crate::log::diag;
use crate::net::connect::{LocalAddress, StartError};
use crate::net::datagram::connect_to;
use crate::outage;
use crate::proxy_protocol::{Endpoints, Transport, write_v2_with};
use crate::runtime::Want;
use crate::sys::errors::reason;
use crate::sys::{clock, socket};
use crate::worker::{log_read, say_next_place};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number, ProxyHeader};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
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

impl UdpWorker {
    /// Begins a session; `None` when no server takes the client, or there is no room.
    pub(super) fn open(&mut self, parties: Parties, told: Option<Box<Told>>) -> Option<u32> {
        if self.draining || !self.make_room() {
            return None;
        }
        let address = ClientAddr::from(parties.client());
        let port = parties.client().port();
        let now_seconds = clock::steady_epoch_seconds(self.now_ms);
        let admission = self.shared.pool().at(self.shared.selection).admit(address, port, now_seconds);
        let (attempt, endpoint) = match admission {
            Admission::Connect(attempt, endpoint) => (attempt, endpoint),
            Admission::Refused(refusal) => {
                match refusal {
                    Refusal::Denied => self.totals.denied += 1,
                    Refusal::NoServer => self.totals.rejected += 1,
                }
                self.shared.give_room();
                return None;
            }
        };
        outage::tell(&attempt);
        self.totals.accepted += 1;
        self.totals.denied += u64::from(attempt.server() == ServerId::ABUSE);
        let session = Session { told, ..Session::new(address, attempt, endpoint, self.now_ms) };
        let index = self.sessions.insert(parties, session);
        self.last = Some((index, self.now_ms));
        self.trace(index, || match parties.named {
            None => format!("from {}", parties.peer),
            Some(client) => format!("from {}, for {client}", parties.peer),
        });
        self.pursue(index, None).then_some(index)
    }

    /// Takes a place for one more session, if need be that of another, and memory.
    fn make_room(&mut self) -> bool {
        while !self.shared.take_room(u64::MAX) {
            self.note_full(Want::Places);
            if !self.evict(None) {
                return false;
            }
        }
        let reserved = self.sessions.try_reserve();
        if reserved.is_err() {
            diag::once("session memory", "no memory for more sessions");
            self.shared.give_room();
        }
        reserved.is_ok()
    }

    fn note_full(&self, want: Want) {
        let settings = &self.settings;
        self.shared.note_full(want, self.now_ms, |shared| {
            let (used, limits) = (shared.connections_used(), shared.limits(settings));
            let most = settings.number(Number::UdpSessionsMax);
            format!("{used} sessions, no more fit (udp_sessions_max {most}; {limits}); new ones end others")
        });
    }

    /// Ends sessions until there are no more than allowed.
    pub(super) fn fit_in(&mut self) {
        while self.shared.is_crowded() && self.evict(None) {}
    }

    /// Ends the session whose turn it is, if it is not this one; false when there is none.
    fn evict(&mut self, except: Option<u32>) -> bool {
        let Some(victim) = self.sessions.victim().filter(|victim| Some(*victim) != except) else {
            return false;
        };
        self.totals.sessions_evicted += 1;
        self.close(victim, CloseReason::Evicted);
        true
    }

    /// Leaves a server that failed for the next one, which gets what the client sent and the first did not answer.
    /// False when the session is over.
    pub(super) fn leave_server(&mut self, index: u32, failure: Failure) -> bool {
        self.pursue(index, Some(failure))
    }

    /// Connects to the server of the session, or, after a failure, to the next that can be reached. False when there is
    /// none, and then the session has ended.
    fn pursue(&mut self, index: u32, mut failure: Option<Failure>) -> bool {
        loop {
            if let Some(failure) = &failure
                && !self.next_server(index, failure)
            {
                self.close(index, CloseReason::NoServer);
                return false;
            }
            match self.connect(index) {
                Ok(()) => return true,
                Err(StartError::Server(error)) => failure = Some(Failure::Unreachable(error)),
                Err(StartError::Local(error)) => failure = Some(Failure::Local(error)),
                Err(StartError::Busy | StartError::Shortage(_)) => {
                    self.close(index, CloseReason::Shortage);
                    return false;
                }
            }
        }
    }

    /// Connects, and sends again what is kept.
    fn connect(&mut self, index: u32) -> Result<(), StartError> {
        let Some(session) = self.sessions.get(index) else { return Ok(()) };
        let local = self.local_address(session.address);
        let endpoint = session.endpoint.clone();
        let opened = match connect_to(&endpoint, local) {
            Err(StartError::Shortage(error)) => {
                self.totals.descriptor_shortages += 1;
                self.note_full(Want::Descriptors);
                diag::once("socket", format_args!("cannot open a socket to a server: {}", reason(&error)));
                // One session for another, as if there were no room.
                if !self.evict(Some(index)) {
                    return Err(StartError::Shortage(error));
                }
                connect_to(&endpoint, local)
            }
            opened => opened,
        };
        let socket = opened?;
        let header = self.header(index);
        self.poller.add_reader(socket.as_fd(), index as usize).map_err(|error| {
            diag::once("register", format_args!("cannot watch a socket: {}", reason(&error)));
            StartError::Shortage(error)
        })?;
        if let Some(session) = self.sessions.get_mut(index) {
            session.socket = Some(socket);
            session.header = header;
            self.trace(index, || format!("to {endpoint} port {}", endpoint.port()));
        }
        let resent = self.send_again(index).map_err(StartError::Server);
        self.arm_timer(index);
        resent
    }

    /// # Errors
    /// The server cannot be reached.
    fn send_again(&mut self, index: u32) -> io::Result<()> {
        let now_ms = self.now_ms;
        let Some(session) = self.sessions.get_mut(index) else { return Ok(()) };
        let (Some(socket), Some(kept)) = (&session.socket, &session.kept) else { return Ok(()) };
        for datagram in kept.iter() {
            let format = self.settings.log_format;
            log_read(&mut self.log, format, session.address, Some(&session.endpoint), datagram);
            let headed = [&session.header, datagram].concat();
            match socket::send(socket.as_fd(), &headed) {
                Ok(_) => {
                    session.up_bytes += datagram.len() as u64;
                    session.unanswered_ms = Some(now_ms);
                    self.totals.up_datagrams += 1;
                }
                Err(error) if is_unreachable(&error) => return Err(error),
                Err(_) => self.totals.datagrams_dropped += 1,
            }
        }
        Ok(())
    }

    /// The PROXY header for the server of a session; empty when it wants none.
    fn header(&self, index: u32) -> Box<[u8]> {
        let Some(session) = self.sessions.get(index) else { return Box::default() };
        let Some(parties) = self.sessions.parties(index) else { return Box::default() };
        let told = session.told.as_deref();
        let extensions = match session.attempt.as_ref().map(|attempt| attempt.proxy()) {
            Some(ProxyHeader::V2) => &[],
            Some(ProxyHeader::V2Ssl) => told.map_or(&[][..], |told| &told.extensions),
            _ => return Box::default(),
        };
        let listener =
            self.listeners.get(usize::from(parties.listener)).and_then(|listener| listener.address);
        let spoken_to = SocketAddr::new(parties.local.ip, listener.map_or(0, |address| address.port()));
        let destination = told.and_then(|told| told.destination).unwrap_or(spoken_to);
        let endpoints = Endpoints::new(parties.client(), destination);
        let mut bytes = Vec::new();
        write_v2_with(Some(&endpoints), Transport::Datagram, extensions, &mut bytes);
        bytes.into()
    }

    fn local_address(&self, client: ClientAddr) -> LocalAddress {
        match (self.settings.source, client) {
            (Some(ip), _) => LocalAddress::Source(ip),
            (None, ClientAddr::Ip(ip)) if self.flag(Flag::Transparent) => LocalAddress::Client(ip),
            _ => LocalAddress::Any,
        }
    }

    /// Blames the server and chooses another; false when none is left.
    fn next_server(&mut self, index: u32, failure: &Failure) -> bool {
        let Some(session) = self.sessions.get_mut(index) else { return false };
        if let Some(socket) = session.socket.take() {
            self.poller.forget(socket.as_fd());
        }
        session.unanswered_ms = None;
        if let (Some(attempt), Some(next)) = (&session.attempt, session.endpoint.next_place()) {
            say_next_place(attempt.server(), Some(&session.endpoint));
            session.endpoint = Arc::new(next);
            session.kept.get_or_insert_with(Kept::default);
            return true;
        }
        let address = session.address;
        let (up_bytes, down_bytes) =
            (std::mem::take(&mut session.up_bytes), std::mem::take(&mut session.down_bytes));
        self.totals.up_bytes += up_bytes;
        self.totals.down_bytes += down_bytes;
        let Some(attempt) = &mut session.attempt else { return false };
        let server = attempt.server();
        let now_seconds = clock::steady_epoch_seconds(self.now_ms);
        let next = {
            let mut pool = self.shared.pool();
            let mut chooser = pool.at(self.shared.selection);
            chooser.add_bytes(attempt, up_bytes, down_bytes);
            match failure {
                Failure::Local(_) => chooser.passed_over(address, attempt, now_seconds),
                _ => chooser.failed(address, attempt, now_seconds),
            }
        };
        let goes_on = next.is_some();
        match next {
            Some(endpoint) => {
                outage::tell(attempt);
                session.endpoint = endpoint;
                session.retries += 1;
                // What one server has answered is no business of the next.
                session.kept.get_or_insert_with(Kept::default);
                self.totals.failovers += 1;
            }
            // The chooser has taken the reservation back.
            None => session.attempt = None,
        }
        self.report_failure(server, failure);
        goes_on
    }

    fn report_failure(&mut self, server: ServerId, failure: &Failure) {
        match failure {
            Failure::Unreachable(error) => {
                self.totals.connect_failures += 1;
                diag::once(
                    &format!("connect {server}"),
                    format_args!("blacklisting server {server}: {}", reason(error)),
                );
            }
            Failure::Silent => {
                self.totals.connect_timeouts += 1;
                let seconds = self.settings.number(Number::Timeout);
                diag::once(
                    &format!("silent {server}"),
                    format_args!("blacklisting server {server}: no answer to anybody for {seconds} s"),
                );
            }
            Failure::Local(error) => diag::once(
                &format!("local {server}"),
                format_args!("cannot send to server {server} from here: {}", reason(error)),
            ),
        }
    }

    /// What the session sent at this time has not been answered for `timeout` seconds.
    pub(super) fn judge_silence(&mut self, index: u32, sent_ms: u64) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.unanswered_ms = None;
        let address = session.address;
        let Some(attempt) = &session.attempt else { return };
        let answers = self.shared.answers();
        let is_silent = answers.are_expected() && answers.is_silent_since(attempt.server(), sent_ms);
        let now_seconds = clock::steady_epoch_seconds(self.now_ms);
        if is_silent && self.shared.pool().at(self.shared.selection).has_other(attempt, address, now_seconds)
        {
            self.leave_server(index, Failure::Silent);
        }
    }
}
