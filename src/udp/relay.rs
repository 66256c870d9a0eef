//! Datagrams on their way: from clients to the servers of their sessions, and back.

use super::downstream::{Word, hear_downstreams};
use super::session::Session;
use super::sessions::Parties;
use super::upstream::Failure;
use super::{Queue, Udp};
use crate::hooks::EventKind;
use crate::log::diag;
use crate::log::traffic::Target;
use crate::news;
use crate::sys::datagram::{BATCH, Batch, Place, take_error, take_runs};
use crate::sys::errors::reason;
use crate::worker::{Core, Dump, Entry, LocalService, log_read};
use pen_proto::commands::Flag;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

/// Batches taken from the server of one session before others have their turn.
pub(super) const SERVER_BATCHES_MAX: usize = 4;
/// So many datagrams of a server that wait together may have been a run.
pub(super) const RUN_AT_LEAST: usize = 8;

impl Udp {
    /// A listener has datagrams. What is left over, if true, brings another event.
    pub fn hear_clients(&mut self, core: &mut Core, listener: u16) -> bool {
        let Some(open) = core.listeners.listener(listener).cloned() else { return false };
        let mut inbox = self.inbox.take().unwrap_or_default();
        let (mut has_more, mut full_batches) = (true, 0);
        for _ in 0..self.queue(listener).crowd.begin_turn() {
            let asked = self.queue(listener).burst.ask(BATCH);
            let count = inbox.receive(open.datagram_socket(core.number), asked).unwrap_or_else(|error| {
                diag::once("receive", format_args!("cannot hear clients: {}", reason(&error)));
                0
            });
            self.queue(listener).burst.took(count, asked);
            if count > 0 {
                self.pass_up_runs(core, listener, &mut inbox);
            }
            has_more = count == asked;
            full_batches += usize::from(count == BATCH);
            if count < BATCH {
                break;
            }
        }
        self.inbox = Some(inbox);
        self.queue(listener).crowd.end_turn(full_batches, full_batches > 0 && has_more);
        has_more
    }

    fn queue(&mut self, listener: u16) -> &mut Queue {
        let index = usize::from(listener);
        if self.queues.len() <= index {
            self.queues.resize(index + 1, Queue::default());
        }
        &mut self.queues[index]
    }

    /// Where each datagram says for whom it is, a run is none.
    fn pass_up_runs(&mut self, core: &mut Core, listener: u16, inbox: &mut Batch) {
        let Some(service) = core.listeners.get(listener).map(|entry| entry.service) else { return };
        if core.services[service].settings.proxy_accept.is_empty() || !inbox.has_runs() {
            return self.pass_up(core, listener, inbox);
        }
        let (mut singles, mut place) = (self.spare.take().unwrap_or_default(), Place::default());
        while singles.copy_singly(inbox, &mut place) > 0 {
            self.pass_up(core, listener, &mut singles);
        }
        self.spare = Some(singles);
    }

    /// Finds the session of each datagram. What follows one another in the same session goes in one system call.
    fn pass_up(&mut self, core: &mut Core, listener: u16, inbox: &mut Batch) {
        let Some(service) = core.listeners.get(listener).map(|entry| entry.service) else { return };
        let mut words = hear_downstreams(&mut core.services[service], inbox);
        let parties = |inbox: &Batch, words: &[Word], index: usize| {
            let named = match words.get(index) {
                Some(Word::Malformed) => return None,
                Some(Word::Client { client, .. }) => Some(*client),
                Some(Word::Nobody) | None => None,
            };
            let (peer, local) = inbox.parties(index)?;
            Some(Parties { peer, named, local, listener })
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
            match these.and_then(|parties| self.session_of(core, service, parties, words.get_mut(first))) {
                Some(index) => self.send_to_server(core, index, inbox, first..end),
                None => {
                    core.services[service].totals.datagrams_dropped += inbox.datagrams_in(first..end) as u64
                }
            }
            first = end;
        }
    }

    /// The session between these parties, a new one if need be; `None` when there cannot be one.
    fn session_of(
        &mut self,
        core: &mut Core,
        service: u16,
        parties: Parties,
        word: Option<&mut Word>,
    ) -> Option<u32> {
        match self.sessions.find(&parties) {
            Some(index) => {
                self.sessions.client_spoke(index);
                Some(index)
            }
            None if self.queue(parties.listener).crowd.admits() => {
                self.open(core, service, parties, word.and_then(Word::take_told))
            }
            None => {
                diag::once(
                    "crowd",
                    format_args!("UDP: more new clients than can be served; most of them are let go"),
                );
                None
            }
        }
    }

    /// Sends to the server of the session, or to the next one that can be reached.
    fn send_to_server(&mut self, core: &mut Core, index: u32, inbox: &mut Batch, mut range: Range<usize>) {
        let Some(service) = self.sessions.get(index).map(|session| session.service) else { return };
        self.tell_of_datagrams(core, index, inbox, range.clone());
        while !range.is_empty() {
            let now_ms = core.now_ms;
            let Some(session) = self.sessions.get_mut(index) else { break };
            let Some(socket) = &session.socket else { break };
            match inbox.send_connected(socket.as_fd(), range.clone(), &session.header) {
                Ok(sent) => {
                    let sent = range.start..range.start + sent;
                    range.start = sent.end;
                    session.sent(inbox, sent.clone(), now_ms);
                    let has_clone = session.clone.is_some();
                    core.services[service].totals.up_datagrams += inbox.datagrams_in(sent.clone()) as u64;
                    self.await_answer(core, index);
                    if has_clone {
                        self.copy_to_clone(core, index, inbox, sent);
                    }
                }
                Err(error) if is_unreachable(&error) => {
                    // Of an earlier datagram; this one has not been sent.
                    if !self.leave_server(core, index, Failure::Unreachable(error)) {
                        break;
                    }
                    self.tell_of_datagrams(core, index, inbox, range.clone());
                }
                Err(error) if is_congestion(&error) => break,
                Err(error) => {
                    diag::once("send", format_args!("cannot send to a server: {}", reason(&error)));
                    let first = range.start..range.start + 1;
                    core.services[service].totals.datagrams_dropped += inbox.datagrams_in(first) as u64;
                    range.start += 1;
                }
            }
        }
        core.services[service].totals.datagrams_dropped += inbox.datagrams_in(range) as u64;
    }

    /// The timer of an unanswered datagram.
    fn await_answer(&mut self, core: &mut Core, index: u32) {
        let Some(session) = self.sessions.get(index) else { return };
        let deadline_ms = session.deadline_ms(&core.services[session.service]);
        if deadline_ms
            .is_some_and(|deadline_ms| session.timer_ms.is_none_or(|timer_ms| deadline_ms < timer_ms))
        {
            self.arm_timer(core, index);
        }
    }

    /// Log and dump, before anything goes: penlogd must hear of a request before the server can answer and log it.
    fn tell_of_datagrams(&mut self, core: &mut Core, index: u32, inbox: &Batch, range: Range<usize>) {
        let dump = self.dump(core, index);
        let Some(session) = self.sessions.get(index) else { return };
        let LocalService { log, settings, .. } = &mut core.services[session.service];
        if dump.is_none() && log.target() == Target::Off {
            return;
        }
        for datagram in inbox.datagrams(range) {
            dump.inspect(|dump| dump.up(datagram));
            log_read(log, settings.choice(), session.address, Some(&session.endpoint), datagram);
        }
    }

    /// The server of a session has sent something, or an ICMP error has come in its place.
    pub fn hear_server(&mut self, core: &mut Core, index: u32, has_error: bool) {
        let Some(socket) = self.sessions.get(index).and_then(|session| session.socket.as_ref()) else {
            return;
        };
        // Fetched first: as long as it waits, the system hands out no datagrams.
        let told = if has_error { take_error(socket.as_fd()) } else { None };
        let met = self.pass_down(core, index);
        if let Some(error) = [told, met].into_iter().flatten().find(is_unreachable) {
            self.leave_server(core, index, Failure::Unreachable(error));
        }
    }

    /// Puts what the server has sent into the outbox; returns the error that was met.
    fn pass_down(&mut self, core: &mut Core, index: u32) -> Option<io::Error> {
        let Parties { peer, local, listener, .. } = self.sessions.parties(index)?;
        let mut outbox = self.outbox.take().unwrap_or_default();
        let dump = self.dump(core, index);
        let mut met = None;
        for _ in 0..SERVER_BATCHES_MAX {
            if outbox.is_full() || self.outbox_listener != listener {
                self.flush(core, &mut outbox);
                self.outbox_listener = listener;
            }
            let Some(session) = self.sessions.get_mut(index) else { break };
            let Some(socket) = &session.socket else { break };
            let first = outbox.len();
            let asked = session.burst.ask(BATCH - first);
            let count = match outbox.relay(socket.as_fd(), asked, &peer, &local) {
                Ok(count) => count,
                Err(error) => {
                    met = Some(error);
                    break;
                }
            };
            session.burst.took(count, asked);
            if count == 0 {
                break;
            }
            let mut bytes = 0;
            for datagram in outbox.datagrams(first..first + count) {
                bytes += datagram.len();
                dump.inspect(|dump| dump.down(datagram));
            }
            if let Some(clone) = self.sessions.get_mut(index).and_then(|session| session.clone.as_mut()) {
                clone.member_says(outbox.datagrams(first..first + count));
            }
            self.answered(core, index, bytes as u64);
            self.expect_runs(index, count);
            if !outbox.is_full() {
                break; // what is left brings another event
            }
        }
        self.outbox = Some(outbox);
        met
    }

    /// A server that has sent so much at once may send runs. Most never do, and spare the system call.
    fn expect_runs(&mut self, index: u32, count: usize) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if count >= RUN_AT_LEAST && !session.takes_runs {
            session.takes_runs = true;
            session.socket.iter().for_each(|socket| take_runs(socket.as_fd()));
        }
    }

    /// Counts what a server has sent.
    fn answered(&mut self, core: &mut Core, index: u32, bytes: u64) {
        self.sessions.server_spoke(index);
        let now_ms = core.now_ms;
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.down_bytes += bytes;
        session.active_ms = now_ms;
        let asked_ms = session.unanswered_ms.take();
        let is_first = session.kept.take().is_some();
        let Some(attempt) = &mut session.attempt else { return };
        if let (true, Some(asked_ms)) = (is_first, asked_ms) {
            let times = core.services[session.service].times.of(attempt.server());
            times.first_byte.observe(now_ms.saturating_sub(asked_ms));
        }
        let service = &core.services[session.service].service;
        service.answers().note(attempt.server(), now_ms);
        if is_first && attempt.clears_failure() {
            let (ends, news) = service.with(|chooser| (chooser.connected(attempt), chooser.take_news()));
            news::tell_success(service, attempt.server(), ends, news);
        }
        if is_first && attempt.has_tried() {
            service.with(|chooser| chooser.forget_tried(attempt));
        }
        if is_first && session.endpoint.is_second_choice() {
            service.with(|chooser| chooser.prefer(attempt.server(), &session.endpoint));
        }
        if is_first {
            self.tell(core, index, EventKind::Connected);
        }
    }

    /// Sends what waits in the outbox.
    pub fn send_to_clients(&mut self, core: &mut Core) {
        if self.outbox.as_ref().is_none_or(Batch::is_empty) {
            return;
        }
        let mut outbox = self.outbox.take().unwrap_or_default();
        self.flush(core, &mut outbox);
        self.outbox = Some(outbox);
    }

    fn flush(&mut self, core: &mut Core, outbox: &mut Batch) {
        let mut range = 0..outbox.len();
        if let Some(Entry { service, open: Some(listener), .. }) = core.listeners.get(self.outbox_listener) {
            let totals = &mut core.services[*service].totals;
            while !range.is_empty() {
                match outbox.send(listener.datagram_socket(core.number), range.clone()) {
                    Ok(sent) => {
                        let taken = range.start..range.start + sent;
                        range.start += sent;
                        totals.down_datagrams += outbox.datagrams_in(taken) as u64;
                    }
                    Err(error) if is_congestion(&error) => break,
                    // About one client only, for example that there is no way to it any more.
                    Err(error) => {
                        diag::once("answer", format_args!("cannot send to a client: {}", reason(&error)));
                        let first = range.start..range.start + 1;
                        totals.datagrams_dropped += outbox.datagrams_in(first) as u64;
                        range.start += 1;
                    }
                }
            }
            totals.datagrams_dropped += outbox.datagrams_in(range) as u64;
        }
        outbox.clear();
    }

    pub(super) fn dump(&self, core: &Core, index: u32) -> Option<Dump> {
        let ascii = |session: &Session| core.services[session.service].settings.flag(Flag::Ascii);
        Dump::wanted(|| core.session_number(index), || self.sessions.get(index).is_some_and(ascii))
    }
}

impl Session {
    /// Counts what went to the server, and keeps it while that has not answered.
    fn sent(&mut self, batch: &Batch, range: Range<usize>, now_ms: u64) {
        self.active_ms = now_ms;
        self.unanswered_ms.get_or_insert(now_ms);
        for datagram in batch.datagrams(range) {
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
pub(super) fn is_congestion(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::libc::ENOBUFS)
}
