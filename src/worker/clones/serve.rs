//! What a worker does with clones: it connects to them, passes the copies on, reads their answers for the comparison alone,
//! and ends them.

use super::super::connect::local_address;
use super::super::proxy::header;
use super::super::{Context, Key, Worker};
use super::{CloneSide, Clones, Stage, Story, Terms, note_first_byte};
use crate::balance::{CloneAttempt, Endpoint, Released, ServerId};
use crate::clones::{Answer, Half, Pair};
use crate::conn::end::{End, Read};
use crate::conn::handshake::{self, Handshake};
use crate::conn::relay::SCRATCH_BYTES;
use crate::conn::{CloseReason, Connection, Direction, Socket, Stage as ConnectionStage};
use crate::log::diag;
use crate::net::connect::StartError;
use crate::net::keepalive_of;
use crate::net::poller::{REGISTRATIONS_LAST, Readiness};
use crate::net::tls::Session;
use crate::news;
use crate::os::{self, Started};
use crate::shared::ServiceReport;
use crate::sys::errors::reason;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::CloneEnd;
use std::io;
use std::sync::Arc;

/// A clone that takes nothing for so long while its queue is full is cut off.
const STALLED_MS: u64 = 1_000;
/// So far a clone may be ahead of the member with its answer; what it says beyond that it says later.
const AHEAD_BYTES_MAX: u64 = 1 << 20;
/// So much of its answer is read at most when its connection has ended.
const LATE_BYTES_MAX: u64 = 16 << 20;
/// Read of one answer before others have their turn.
const TURN_BYTES_MAX: u64 = 4 * SCRATCH_BYTES as u64;
/// A clone has so long at least for the rest of its answer, if `timeout` is shorter.
const LINGER_MS: u64 = 1_000;

/// Why a clone could not be connected to.
enum Failure {
    Refused(io::Error),
    TimedOut,
    Tls(String),
    /// On our side.
    Ours(io::Error),
}

impl Failure {
    fn end(&self) -> CloneEnd {
        match self {
            Failure::Refused(_) => CloneEnd::ConnectFailed,
            Failure::TimedOut => CloneEnd::ConnectTimeout,
            Failure::Tls(_) => CloneEnd::TlsFailed,
            Failure::Ours(_) => CloneEnd::Shortage,
        }
    }
}

impl Context {
    /// A place at a clone is reserved for the connection. It is connected to when the member has accepted.
    pub(in super::super) fn expect_clone(
        &mut self,
        connection: &mut Connection,
        (attempt, endpoint): (CloneAttempt, Arc<Endpoint>),
    ) {
        let local = &self.core.services[connection.service];
        let answer = || Answer::new(local.settings.clone_ignore.clone());
        let half = || Half { answer: answer(), ..Half::default() };
        let story =
            Story { member_began_us: os::monotonic_us(), member: half(), clone: half(), ..Story::default() };
        let number = self.clones.sides.insert(CloneSide {
            service: local.service.clone(),
            attempt: Some(attempt),
            endpoint,
            connection: Some(connection.number),
            stage: Stage::Due,
            socket: Socket::default(),
            session: None,
            to: Direction::default(),
            from: Direction::default(),
            fate: None,
            is_counted: false,
            // The bounds of the row make it fit.
            queue_bytes_max: local.settings.number(Number::CloneQueue) as usize,
            timeout_ms: local.settings.number(Number::Timeout) * 1000,
            moved_ms: self.core.now_ms,
            terms: None,
            dropped_in_turn: 0,
            until_ms: None,
            read_max: AHEAD_BYTES_MAX,
            story,
        });
        if let Some(earlier) = connection.extras().chain.clone.replace(number) {
            self.discard_clone(earlier);
        }
        // With `peek` and the like the client has said something already.
        let from_client = &connection.from_client;
        let said = from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        self.clones.copy(number, said, from_client.eof);
    }

    /// After every turn of a connection that has a clone.
    pub(in super::super) fn tend_clone(&mut self, connection: &mut Connection) {
        let Some(number) = connection.clone() else { return };
        let Some(side) = self.clones.sides.get_mut(number) else { return };
        let said_bytes = connection.from_server.moved_bytes();
        note_first_byte(&mut side.story.member, side.story.member_began_us, said_bytes as usize);
        side.read_max = said_bytes + AHEAD_BYTES_MAX;
        if side.terms.is_none() && connection.stage == ConnectionStage::Relaying {
            let settings = &self.core.services[connection.service].settings;
            let wanted = side.attempt.as_ref().map(CloneAttempt::proxy).unwrap_or_default();
            let client = connection.sessions().and_then(|sessions| sessions.client.as_ref());
            side.terms = Some(Terms {
                local: local_address(settings, connection.address),
                keepalive: keepalive_of(settings),
                nodelay: settings.flag(Flag::TcpNodelay),
                header: header(connection, wanted),
                protocol: client.and_then(Session::protocol).map(<[u8]>::to_vec),
            });
            self.connect_clone(number);
        }
        self.serve_clone(number);
    }

    /// The connection of a clone has ended. The clone may have something left to take and to say.
    pub(in super::super) fn leave_clone(&mut self, connection: &mut Connection, reason: CloseReason) {
        let Some(number) = connection.forget_clone() else { return };
        let Some(side) = self.clones.sides.get_mut(number) else { return };
        side.connection = None;
        let member = &mut side.story.member;
        member.sent_bytes = connection.from_client.bytes;
        member.received_bytes = connection.from_server.bytes;
        member.duration_us = Some(os::monotonic_us().saturating_sub(side.story.member_began_us));
        side.story.member_end = Some(reason);
        if side.terms.is_none() {
            return self.discard_clone(number); // the member had nothing of it
        }
        match reason {
            CloseReason::Finished | CloseReason::FastClose => {
                side.to.eof = true;
                side.until_ms = Some(self.core.now_ms + side.timeout_ms.max(LINGER_MS));
                side.read_max = side.story.clone.received_bytes + LATE_BYTES_MAX;
            }
            _ => {
                side.fate.get_or_insert(CloneEnd::WithClient);
            }
        }
        self.serve_clone(number);
    }

    /// Starts connecting to a clone, or, when that fails at once, to the next of its addresses.
    fn connect_clone(&mut self, number: u32) {
        while let Some(failure) = self.start_clone(number)
            && self.clone_failed(number, &failure)
        {}
    }

    fn start_clone(&mut self, number: u32) -> Option<Failure> {
        let Context { core, clones, .. } = self;
        let side = clones.sides.get_mut(number)?;
        let terms = side.terms.as_ref()?;
        if !side.is_counted && !core.shared.room().take_clone() {
            return Some(Failure::Ours(io::Error::from_raw_os_error(nix::libc::EMFILE)));
        }
        side.is_counted = true;
        side.story.clone_began_us = os::monotonic_us();
        let (fd, is_connected) = match os::connect(&side.endpoint, terms.local, terms.keepalive) {
            Ok(Started::Connected(fd)) => (fd, true),
            Ok(Started::UnderWay(fd)) => (fd, false),
            Err(StartError::Server(error)) => return Some(Failure::Refused(error)),
            Err(StartError::Busy) => return Some(Failure::Ours(io::ErrorKind::WouldBlock.into())),
            Err(StartError::Local(error) | StartError::Shortage(error)) => return Some(Failure::Ours(error)),
        };
        side.stage = Stage::Connecting;
        side.until_ms = Some(core.now_ms + side.timeout_ms);
        side.socket = Socket { fd: Some(fd), nodelay: !terms.nodelay, ..Socket::default() };
        let watched = side.socket.fd().and_then(|fd| core.poller.add(fd, Key::Clone(number).pack()));
        side.socket.registered = watched.is_ok();
        match watched {
            Err(error) => Some(Failure::Ours(error)),
            Ok(()) => self.go_on_connecting_clone(number, is_connected).err(),
        }
    }

    /// `accepted`: the clone has, as far as is known.
    fn go_on_connecting_clone(&mut self, number: u32, accepted: bool) -> Result<(), Failure> {
        let Some(side) = self.clones.sides.get_mut(number) else { return Ok(()) };
        let header = side.terms.as_ref().map_or(&[][..], |terms| &terms.header);
        if side.endpoint.tls().is_some() {
            return if accepted { self.greet_clone_by_tls(number) } else { Ok(()) };
        }
        // It may have accepted, as servers nearby have by now; if not, nothing is sent. This spares an event.
        let kept = side.to.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        let first = [header, kept].concat();
        let sent = match side.socket.fd().and_then(|fd| os::send(fd, &first)) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !accepted => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(Failure::Refused(error)),
        };
        side.to.bytes += sent as u64;
        if sent < first.len() {
            side.to.pending = Some(self.clones.pool.hold(&first[sent..]));
        } else {
            self.clones.pool.give_back(side.to.pending.take());
        }
        let is_all = sent == first.len();
        self.clone_opened(number, is_all);
        Ok(())
    }

    fn greet_clone_by_tls(&mut self, number: u32) -> Result<(), Failure> {
        let Context { core, clones, work, .. } = self;
        let Some(side) = clones.sides.get_mut(number) else { return Ok(()) };
        let endpoint = side.endpoint.clone();
        let (Some(terms), Some(tls)) = (&side.terms, endpoint.tls()) else { return Ok(()) };
        if side.session.is_none() {
            if !terms.header.is_empty() {
                let sent = side.socket.fd().and_then(|fd| os::send(fd, &terms.header));
                if sent.map_err(Failure::Refused)? < terms.header.len() {
                    return Err(Failure::Tls("there was no room for the PROXY header".into()));
                }
                side.to.bytes += terms.header.len() as u64;
            }
            let local = core.services.get(side.service.number);
            let Some(local) = local.filter(|local| Arc::ptr_eq(&local.service, &side.service)) else {
                return Err(Failure::Tls("its service is gone".into()));
            };
            let session = local.tls.to_server(tls, terms.protocol.as_deref());
            side.session = Some(session.map_err(|trouble| Failure::Tls(trouble.to_string()))?);
            side.socket.writable = true;
        }
        match handshake::step(&mut side.end(), &mut work.scratch, |_| Ok(true)) {
            Ok(Handshake::Done) => self.clone_opened(number, true),
            Ok(Handshake::Waits) => {}
            Ok(Handshake::Ended) => {
                return Err(Failure::Tls("it ended the connection in the handshake".into()));
            }
            Ok(Handshake::Failed(trouble)) => return Err(Failure::Tls(trouble.to_string())),
            Err(error) => return Err(Failure::Refused(error)),
        }
        Ok(())
    }

    fn clone_opened(&mut self, number: u32, is_writable: bool) {
        let Context { core, clones, .. } = self;
        let Some(side) = clones.sides.get_mut(number) else { return };
        side.stage = Stage::Open;
        side.socket.writable = is_writable;
        side.until_ms = match side.connection {
            Some(_) => None,
            None => Some(core.now_ms + side.timeout_ms.max(LINGER_MS)),
        };
        side.moved_ms = core.now_ms;
        let Some(attempt) = &side.attempt else { return };
        if attempt.clears_failure() {
            side.service.with(|chooser| chooser.clone_connected(attempt));
        }
        if side.endpoint.is_second_choice() {
            side.service.with(|chooser| chooser.prefer(attempt.server(), &side.endpoint));
        }
        let ms = os::monotonic_us().saturating_sub(side.story.clone_began_us) / 1000;
        if let Some(local) = core.services.get_mut(side.service.number) {
            local.times.of(attempt.server()).connect.observe(ms);
        }
    }

    /// Says that a clone could not be connected to, and has it passed over. True when another address is to be tried.
    fn clone_failed(&mut self, number: u32, failure: &Failure) -> bool {
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let Clones { sides, turn, .. } = &mut self.clones;
        let Some(side) = sides.get_mut(number) else { return false };
        self.core.forget_socket(&mut side.socket);
        side.session = None;
        side.dropped_in_turn = *turn;
        let is_theirs = !matches!(failure, Failure::Ours(_));
        if is_theirs && let Some(next) = side.endpoint.next_place() {
            side.endpoint = Arc::new(next);
            return true;
        }
        if let Some(attempt) = &side.attempt {
            let called = side.service.with(|chooser| {
                if is_theirs {
                    chooser.clone_failed(attempt, now_seconds);
                }
                chooser.called(attempt.server()).at(&side.endpoint)
            });
            let told = |text: std::fmt::Arguments<'_>| news::tell(&side.service, "clone", &called, text);
            match failure {
                Failure::Refused(error) => {
                    told(format_args!("cannot connect to the clone {called}: {}", reason(error)));
                }
                Failure::TimedOut => told(format_args!("the clone {called} did not accept in time")),
                Failure::Tls(trouble) => told(format_args!("TLS with the clone {called} failed: {trouble}")),
                Failure::Ours(error) => {
                    told(format_args!("cannot connect to the clone {called} from here: {}", reason(error)));
                }
            }
        }
        side.fate = Some(failure.end());
        false
    }

    /// Does what can be done for a clone now.
    fn serve_clone(&mut self, number: u32) {
        let Context { core, clones, work, .. } = self;
        let Some(side) = clones.sides.get_mut(number) else { return };
        if side.fate.is_none() && side.stage == Stage::Open {
            side.flush(&mut clones.pool, core.now_ms);
            let has_more = hear(side, &mut work.scratch);
            side.flush(&mut clones.pool, core.now_ms); // what its session had to say to itself
            if has_more && !clones.unfinished.contains(&number) {
                clones.unfinished.push(number);
            }
            if side.from.eof {
                let now_us = os::monotonic_us();
                side.story.clone_ended_us.get_or_insert(now_us);
                if side.connection.is_none() || side.to.shut {
                    side.fate.get_or_insert(CloneEnd::Finished);
                }
            } else if side.connection.is_none() && side.story.clone.received_bytes >= side.read_max {
                side.fate.get_or_insert(CloneEnd::Late);
            }
        }
        match side.fate {
            Some(end) => self.end_clone(number, end),
            None => self.wait_for_clone(number),
        }
    }

    /// Sets the timer, and the registration where it does not last.
    fn wait_for_clone(&mut self, number: u32) {
        let Clones { sides, timers, .. } = &mut self.clones;
        let Some(side) = sides.get(number) else { return };
        let stalled = side.is_full().then_some(side.moved_ms + STALLED_MS);
        let stalled = stalled.filter(|_| side.stage == Stage::Open);
        match [stalled, side.until_ms].into_iter().flatten().min() {
            Some(deadline_ms) => timers.arm(number, deadline_ms),
            None => timers.disarm(number),
        }
        if let (Ok(fd), false) = (side.socket.fd(), REGISTRATIONS_LAST) {
            let reads = !side.socket.readable && !side.from.eof;
            // Fails only when the socket is not registered, which is excluded.
            let _ = self.core.poller.rearm(fd, Key::Clone(number).pack(), reads, !side.socket.writable);
        }
    }

    fn clone_event(&mut self, number: u32, event: Readiness) {
        let Clones { sides, turn, .. } = &mut self.clones;
        let Some(side) = sides.get_mut(number) else { return };
        if side.socket.fd.is_none() || side.dropped_in_turn == *turn {
            return; // the last word of a socket that is gone
        }
        if event.urgent {
            let _ = side.socket.fd().map(os::read_urgent_inline);
        }
        side.socket.learn(event);
        if side.stage == Stage::Connecting {
            self.clone_connecting(number);
        }
        self.serve_clone(number);
    }

    fn clone_connecting(&mut self, number: u32) {
        let Some(side) = self.clones.sides.get_mut(number) else { return };
        let socket = &mut side.socket;
        let mut gone = None;
        if socket.error || (socket.writable && !REGISTRATIONS_LAST) {
            let error = socket.fd().map_or(0, os::take_error);
            socket.error = false;
            gone = (error != 0).then(|| Failure::Refused(io::Error::from_raw_os_error(error)));
        }
        let is_accepted = socket.writable;
        let failed = match gone {
            Some(failure) => Some(failure),
            None => self.go_on_connecting_clone(number, is_accepted).err(),
        };
        if failed.is_some_and(|failure| self.clone_failed(number, &failure)) {
            self.connect_clone(number);
        }
    }

    /// A clone's time is over.
    fn clone_expired(&mut self, number: u32) {
        let now_ms = self.core.now_ms;
        let Some(side) = self.clones.sides.get_mut(number) else { return };
        let is_over = side.until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        let is_stalled = side.is_full() && side.moved_ms + STALLED_MS <= now_ms;
        match (side.stage, is_over) {
            (Stage::Open, true) => side.fate = Some(CloneEnd::Late),
            (Stage::Open, false) if is_stalled => side.fate = Some(CloneEnd::Stalled),
            (Stage::Connecting, true) => self.clone_timed_out(number),
            _ => {}
        }
        self.serve_clone(number);
    }

    fn clone_timed_out(&mut self, number: u32) {
        if self.clone_failed(number, &Failure::TimedOut) {
            self.connect_clone(number);
        }
    }

    /// The connection to the clone is over. What is known of it stays until the member's is over too.
    fn end_clone(&mut self, number: u32, end: CloneEnd) {
        let Context { core, clones, .. } = self;
        let Some(side) = clones.sides.get_mut(number) else { return };
        side.fate = Some(end);
        if let Some(attempt) = side.attempt.take() {
            let is_cut = end != CloneEnd::Finished;
            if let (Ok(fd), true) = (side.socket.fd(), is_cut) {
                // What it has is not complete, and must not look so.
                let _ = os::reset_on_close(fd);
            }
            core.forget_socket(&mut side.socket);
            if std::mem::take(&mut side.is_counted) {
                core.shared.room().give_clone();
            }
            clones.timers.disarm(number);
            clones.pool.give_back(side.to.pending.take());
            let half = &mut side.story.clone;
            half.sent_bytes = side.to.bytes;
            let ended_us = side.story.clone_ended_us.unwrap_or_else(os::monotonic_us);
            let lasted_us = ended_us.saturating_sub(side.story.clone_began_us);
            half.duration_us = end.was_established().then_some(lasted_us);
            let released = Released {
                established: side.stage == Stage::Open,
                up_bytes: half.sent_bytes,
                down_bytes: half.received_bytes,
            };
            side.service.with(|chooser| chooser.release_clone(attempt, released));
            side.session = None;
        }
        if side.connection.is_some() {
            return;
        }
        let Some(CloneSide { service, story, .. }) = clones.sides.remove(number) else { return };
        let Some(local) = core.services.get_mut(service.number) else { return };
        if Arc::ptr_eq(&local.service, &service) {
            let Story { member, clone, asked, member_end, .. } = story;
            let member_end = member_end.unwrap_or(CloseReason::Finished);
            let epoch_seconds = os::epoch_ms() / 1000;
            let is_whole = matches!(member_end, CloseReason::Finished | CloseReason::FastClose);
            local.clones.note(Pair {
                member,
                member_end,
                clone,
                clone_end: end,
                is_whole,
                asked,
                epoch_seconds,
            });
        }
    }

    /// A clone that was never connected to: nothing is told of it.
    fn discard_clone(&mut self, number: u32) {
        let Some(side) = self.clones.sides.remove(number) else { return };
        self.clones.pool.give_back(side.to.pending);
        if let Some(attempt) = side.attempt {
            side.service.with(|chooser| chooser.release_clone(attempt, Released::default()));
        }
    }

    /// Ends those that are meant, whatever they were about.
    pub(in super::super) fn cut_clones(&mut self, end: CloneEnd, is_meant: impl Fn(u16, ServerId) -> bool) {
        let meant = self.clones.sides.iter().filter(|(_, side)| {
            let attempt = side.attempt.as_ref();
            side.terms.is_some()
                && attempt.is_some_and(|attempt| is_meant(side.service.number, attempt.server()))
        });
        let meant: Vec<u32> = meant.map(|(number, _)| number).collect();
        meant.into_iter().for_each(|number| self.end_clone(number, end));
    }

    /// Adds what open connections to clones have moved.
    pub(in super::super) fn report_clones(&self, services: &mut [Option<ServiceReport>]) {
        for (_, side) in self.clones.sides.iter().filter(|(_, side)| side.stage == Stage::Open) {
            let report = services.get_mut(usize::from(side.service.number)).and_then(Option::as_mut);
            if let (Some(report), Some(attempt)) = (report, &side.attempt) {
                report.live.add(attempt.server(), side.to.bytes, side.story.clone.received_bytes);
            }
        }
    }

    /// Descriptors have run out: clones make way. True when there was one.
    pub(in super::super) fn clones_make_way(&mut self) -> bool {
        let has_one = |(_, side): (u32, &CloneSide)| side.socket.fd.is_some();
        let had_some = !self.clones.is_empty() && self.clones.sides.iter().any(has_one);
        if had_some {
            diag::once("clones", "descriptors have run out: clones are cut off");
            self.cut_clones(CloneEnd::Shortage, |_, _| true);
        }
        had_some
    }
}

/// Reads what the clone answers, for nothing but the comparison. True when it has more to say and others have their turn.
fn hear(side: &mut CloneSide, scratch: &mut [u8]) -> bool {
    let mut turn_bytes = 0;
    while !side.from.eof && side.story.clone.received_bytes < side.read_max {
        if turn_bytes >= TURN_BYTES_MAX {
            return true;
        }
        let CloneSide { socket, session, from, story, .. } = side;
        let read = match session {
            None if !story.clone.answer.is_looked_at() => pass_over(socket, from, scratch),
            session => End { socket, session: session.as_mut() }.read(from, scratch),
        };
        let Read { plain_bytes, wire_bytes } = match read {
            Ok(Some(read)) => read,
            Ok(None) => return false,
            Err(_) => {
                side.fate.get_or_insert(CloneEnd::Reset);
                return false;
            }
        };
        turn_bytes += wire_bytes.max(plain_bytes) as u64;
        let half = &mut side.story.clone;
        note_first_byte(half, side.story.clone_began_us, plain_bytes);
        half.received_bytes += plain_bytes as u64;
        half.answer.push(&scratch[..plain_bytes]);
    }
    false
}

/// As [`End::read`], of what nobody looks at.
fn pass_over(socket: &mut Socket, direction: &mut Direction, scratch: &mut [u8]) -> io::Result<Option<Read>> {
    if !socket.readable {
        return Ok(None);
    }
    let count = socket.discard(scratch)?;
    direction.eof |= count == Some(0);
    Ok(count.map(|count| Read { plain_bytes: count, wire_bytes: count }))
}

impl Worker {
    pub(in super::super) fn hear_clone(&mut self, number: u32, event: Readiness) {
        self.context.clone_event(number, event);
    }

    /// In every turn, after the connections. `expired` is room for what it needs.
    pub(in super::super) fn serve_clones(&mut self, expired: &mut Vec<u32>) {
        for number in std::mem::take(&mut self.context.clones.unfinished) {
            self.guard(Some(Key::Clone(number)), |worker| worker.context.serve_clone(number));
        }
        let now_ms = self.context.core.now_ms;
        self.context.clones.timers.expire(now_ms, |number| expired.push(number));
        for number in expired.drain(..) {
            self.guard(Some(Key::Clone(number)), |worker| worker.context.clone_expired(number));
        }
        self.context.clones.sides.recycle();
    }

    /// It met a mistake of ours.
    pub(in super::super) fn cut_clone(&mut self, number: u32) {
        self.context.end_clone(number, CloneEnd::Shortage);
    }
}
