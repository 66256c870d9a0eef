//! Datagrams on their way: from clients to the servers of their sessions, and back.

use super::UdpWorker;
use super::downstream::Word;
use super::session::Session;
use super::sessions::Parties;
use super::upstream::Failure;
use crate::log::diag;
use crate::log::traffic::Target;
use crate::outage;
use crate::sys::datagram::{BATCH, Batch, take_error};
use crate::sys::errors::reason;
use crate::worker::{Dump, log_read};
use pen_proto::commands::Flag;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

/// Batches taken from a listener before others have their turn.
const CLIENT_BATCHES_MAX: usize = 8;
/// Batches taken from the server of one session before others have their turn.
const SERVER_BATCHES_MAX: usize = 4;

impl UdpWorker {
    /// A listener has datagrams. What is left over, if true, brings another event.
    pub(super) fn hear_clients(&mut self, listener: usize) -> bool {
        let listeners = self.listeners.clone();
        let Some(open) = listeners.get(listener) else { return false };
        let mut inbox = self.inbox.take().unwrap_or_default();
        let mut has_more = true;
        for _ in 0..CLIENT_BATCHES_MAX {
            match inbox.receive(open.datagram_socket(self.number)) {
                Ok(0) => has_more = false,
                Ok(count) => {
                    self.pass_up(listener, &mut inbox);
                    has_more = count == BATCH;
                }
                Err(error) => {
                    diag::once("receive", format_args!("cannot hear clients: {}", reason(&error)));
                    has_more = false;
                }
            }
            if !has_more {
                break;
            }
        }
        self.inbox = Some(inbox);
        has_more
    }

    /// Finds the session of each datagram. What follows one another in the same session goes in one system call.
    fn pass_up(&mut self, listener: usize, inbox: &mut Batch) {
        let mut words = self.hear_downstreams(inbox);
        let parties = |inbox: &Batch, words: &[Word], index: usize| {
            let named = match words.get(index) {
                Some(Word::Malformed) => return None,
                Some(Word::Client { client, .. }) => Some(*client),
                Some(Word::Nobody) | None => None,
            };
            let (peer, local) = inbox.parties(index)?;
            Some(Parties { peer, named, local, listener: listener as u16 })
        };
        let (mut first, mut next) = (0, parties(inbox, &words, 0));
        while first < inbox.len() {
            let these = next;
            let mut end = first + 1;
            next = None;
            while end < inbox.len() {
                next = parties(inbox, &words, end);
                if next != these {
                    break;
                }
                end += 1;
            }
            match these.and_then(|parties| self.session_of(parties, words.get_mut(first))) {
                Some(index) => self.send_to_server(index, inbox, first..end),
                None => self.totals.datagrams_dropped += (end - first) as u64,
            }
            first = end;
        }
    }

    /// The session between these parties, a new one if need be; `None` when there cannot be one.
    fn session_of(&mut self, parties: Parties, word: Option<&mut Word>) -> Option<u32> {
        match self.sessions.find(&parties) {
            Some(index) => {
                self.sessions.client_spoke(index);
                Some(index)
            }
            None => self.open(parties, word.and_then(Word::take_told)),
        }
    }

    /// Sends to the server of the session, or to the next one that can be reached.
    fn send_to_server(&mut self, index: u32, inbox: &mut Batch, mut range: Range<usize>) {
        self.tell_of_datagrams(index, inbox, range.clone());
        while !range.is_empty() {
            let now_ms = self.now_ms;
            let Some(session) = self.sessions.get_mut(index) else { break };
            let Some(socket) = &session.socket else { break };
            match inbox.send_connected(socket.as_fd(), range.clone(), &session.header) {
                Ok(sent) => {
                    let sent = range.start..range.start + sent;
                    range.start = sent.end;
                    session.sent(inbox, sent.clone(), now_ms);
                    self.totals.up_datagrams += sent.len() as u64;
                    self.await_answer(index);
                }
                Err(error) if is_unreachable(&error) => {
                    // Of an earlier datagram; this one has not been sent.
                    if !self.leave_server(index, Failure::Unreachable(error)) {
                        break;
                    }
                    self.tell_of_datagrams(index, inbox, range.clone());
                }
                Err(error) if is_congestion(&error) => break,
                Err(error) => {
                    diag::once("send", format_args!("cannot send to a server: {}", reason(&error)));
                    self.totals.datagrams_dropped += 1;
                    range.start += 1;
                }
            }
        }
        self.totals.datagrams_dropped += range.len() as u64;
    }

    /// The timer of an unanswered datagram.
    fn await_answer(&mut self, index: u32) {
        let Some(session) = self.sessions.get(index) else { return };
        let deadline_ms = self.deadline_ms(session);
        if deadline_ms
            .is_some_and(|deadline_ms| session.timer_ms.is_none_or(|timer_ms| deadline_ms < timer_ms))
        {
            self.arm_timer(index);
        }
    }

    /// Log and dump, before anything goes: penlogd must hear of a request before the server can answer and log it.
    fn tell_of_datagrams(&mut self, index: u32, inbox: &Batch, range: Range<usize>) {
        let dump = self.dump(index);
        let is_logged = self.log.target() != Target::Off;
        if dump.is_none() && !is_logged {
            return;
        }
        let Some(session) = self.sessions.get(index) else { return };
        for datagram in range.map(|index| inbox.bytes(index)) {
            dump.inspect(|dump| dump.up(datagram));
            let format = self.settings.log_format;
            log_read(&mut self.log, format, session.address, Some(&session.endpoint), datagram);
        }
    }

    /// The server of a session has sent something, or an ICMP error has come in its place.
    pub(super) fn hear_server(&mut self, index: u32, has_error: bool) {
        let Some(socket) = self.sessions.get(index).and_then(|session| session.socket.as_ref()) else {
            return;
        };
        // Fetched first: as long as it waits, the system hands out no datagrams.
        let told = if has_error { take_error(socket.as_fd()) } else { None };
        let met = self.pass_down(index);
        if let Some(error) = [told, met].into_iter().flatten().find(is_unreachable) {
            self.leave_server(index, Failure::Unreachable(error));
        }
    }

    /// Puts what the server has sent into the outbox; returns the error that was met.
    fn pass_down(&mut self, index: u32) -> Option<io::Error> {
        let Parties { peer, local, listener, .. } = self.sessions.parties(index)?;
        let mut outbox = self.outbox.take().unwrap_or_default();
        let dump = self.dump(index);
        let mut met = None;
        for _ in 0..SERVER_BATCHES_MAX {
            if outbox.is_full() || self.outbox_listener != usize::from(listener) {
                self.flush(&mut outbox);
                self.outbox_listener = listener.into();
            }
            let Some(socket) = self.sessions.get(index).and_then(|session| session.socket.as_ref()) else {
                break;
            };
            let first = outbox.len();
            let count = match outbox.relay(socket.as_fd(), &peer, &local) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    met = Some(error);
                    break;
                }
            };
            let mut bytes = 0;
            for datagram in (first..first + count).map(|index| outbox.bytes(index)) {
                bytes += datagram.len();
                dump.inspect(|dump| dump.down(datagram));
            }
            self.answered(index, bytes as u64);
            if !outbox.is_full() {
                break; // the system had room for more and had no more
            }
        }
        self.outbox = Some(outbox);
        met
    }

    /// Counts what a server has sent.
    fn answered(&mut self, index: u32, bytes: u64) {
        self.sessions.server_spoke(index);
        let now_ms = self.now_ms;
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.down_bytes += bytes;
        session.active_ms = now_ms;
        session.unanswered_ms = None;
        let is_first = session.kept.take().is_some();
        let Some(attempt) = &mut session.attempt else { return };
        self.shared.answers().note(attempt.server(), now_ms);
        if is_first && attempt.clears_failure() {
            let ends_outage = self.shared.pool().at(self.shared.selection).connected(attempt);
            if ends_outage {
                outage::tell_end(attempt.server());
            }
        }
        if is_first && attempt.has_tried() {
            self.shared.pool().at(self.shared.selection).forget_tried(attempt);
        }
        if is_first && session.endpoint.is_second_choice() {
            self.shared.pool().at(self.shared.selection).prefer(attempt.server(), &session.endpoint);
        }
    }

    /// Sends what waits in the outbox.
    pub(super) fn send_to_clients(&mut self) {
        if self.outbox.as_ref().is_some_and(Batch::is_empty) {
            return;
        }
        let mut outbox = self.outbox.take().unwrap_or_default();
        self.flush(&mut outbox);
        self.outbox = Some(outbox);
    }

    fn flush(&mut self, outbox: &mut Batch) {
        let mut range = 0..outbox.len();
        if let Some(listener) = self.listeners.get(self.outbox_listener) {
            while !range.is_empty() {
                match outbox.send(listener.datagram_socket(self.number), range.clone()) {
                    Ok(sent) => {
                        range.start += sent;
                        self.totals.down_datagrams += sent as u64;
                    }
                    Err(error) if is_congestion(&error) => break,
                    // About one client only, for example that there is no way to it any more.
                    Err(error) => {
                        diag::once("answer", format_args!("cannot send to a client: {}", reason(&error)));
                        self.totals.datagrams_dropped += 1;
                        range.start += 1;
                    }
                }
            }
        }
        self.totals.datagrams_dropped += range.len() as u64;
        outbox.clear();
    }

    pub(super) fn dump(&self, index: u32) -> Option<Dump> {
        Dump::wanted(|| self.shared.global_number(self.number, index), self.flag(Flag::Ascii))
    }
}

impl Session {
    /// Counts what went to the server, and keeps it while that has not answered.
    fn sent(&mut self, batch: &Batch, range: Range<usize>, now_ms: u64) {
        self.active_ms = now_ms;
        self.unanswered_ms.get_or_insert(now_ms);
        for datagram in range.map(|index| batch.bytes(index)) {
            self.up_bytes += datagram.len() as u64;
            if let Some(kept) = &mut self.kept {
                kept.push(datagram);
            }
        }
    }
}

/// What an ICMP error says of a server, or the system of the way to it.
pub(super) fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable};
    let is_known =
        [ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable].contains(&error.kind());
    is_known
        || matches!(
            error.raw_os_error(),
            Some(nix::libc::EHOSTDOWN | nix::libc::ENOPROTOOPT | nix::libc::EPROTO)
        )
}

/// More than the network takes at the moment: as on the network itself, the datagram is lost.
fn is_congestion(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::libc::ENOBUFS)
}
