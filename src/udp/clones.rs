//! Clones of sessions: each datagram that the server of a session gets goes to its clone too, and what the clone answers is
//! compared and goes nowhere.
//!
//! A session keeps its clone until it ends. Nothing waits for the clone and nothing is kept for it: what the network does not
//! take is lost, as on the way to servers. One that cannot be reached is let go, and nobody notices. Which server is the
//! clone is for [`crate::balance`].

use super::Udp;
use super::relay::{RUN_AT_LEAST, SERVER_BATCHES_MAX, is_congestion, is_unreachable};
use crate::balance::{CloneAttempt, Endpoint, Released, ServerId};
use crate::clones::{Answer, Half, Ignored, Pair};
use crate::conn::CloseReason;
use crate::log::diag;
use crate::net::connect::StartError;
use crate::net::datagram::connect_to;
use crate::news;
use crate::sys::clock;
use crate::sys::datagram::{BATCH, Batch, take_error, take_runs};
use crate::sys::errors::reason;
use crate::worker::{Core, Key, local_address};
use pen_proto::status::CloneEnd;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Kept of what a client says first, to show what was asked where answers differ.
const ASKED_BYTES_MAX: usize = 160;

/// The clone of a session.
#[derive(Debug)]
pub struct CloneSide {
    /// `None` once it has ended.
    attempt: Option<CloneAttempt>,
    endpoint: Arc<Endpoint>,
    /// Connected to it.
    socket: Option<OwnedFd>,
    /// The PROXY header that it wants before each datagram; empty when it wants none.
    header: Box<[u8]>,
    /// Its socket has been asked for runs of datagrams.
    takes_runs: bool,
    /// A descriptor is counted for it.
    is_counted: bool,
    end: Option<CloneEnd>,
    member: Story,
    clone: Story,
    asked: Vec<u8>,
}

/// What is told of one of the two in the end.
#[derive(Debug)]
struct Story {
    /// When the first datagram went there; monotonic.
    began_us: Option<u64>,
    half: Half,
}

/// Why a clone cannot be used.
enum Failure {
    Unreachable(io::Error),
    /// On our side.
    Ours(io::Error),
}

impl Story {
    fn new(ignored: &Ignored) -> Story {
        let half = Half { answer: Answer::new(ignored.clone()), ..Half::default() };
        Story { began_us: None, half }
    }

    fn sent(&mut self, bytes: usize) {
        self.began_us.get_or_insert_with(clock::monotonic_us);
        self.half.sent_bytes += bytes as u64;
    }

    /// These datagrams have come, at least one. The first of a session is compared: behind it they may come in any order.
    fn heard<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) {
        let Story { began_us, half } = self;
        let us = began_us.map_or(0, |began_us| clock::monotonic_us().saturating_sub(began_us));
        for (place, datagram) in datagrams.enumerate() {
            if place == 0 && half.first_byte_us.is_none() {
                half.answer.push(datagram);
            }
            half.received_bytes += datagram.len() as u64;
        }
        half.first_byte_us.get_or_insert(us);
        half.duration_us = Some(us);
    }
}

impl CloneSide {
    pub fn new((attempt, endpoint): (CloneAttempt, Arc<Endpoint>), ignored: &Ignored) -> CloneSide {
        CloneSide {
            attempt: Some(attempt),
            endpoint,
            socket: None,
            header: Box::default(),
            takes_runs: false,
            is_counted: false,
            end: None,
            member: Story::new(ignored),
            clone: Story::new(ignored),
            asked: Vec::new(),
        }
    }

    /// The server of the session has answered.
    pub fn member_says<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) {
        self.member.heard(datagrams);
    }

    /// Which server it is, as long as it is there, and bytes to and from it.
    pub fn moved(&self) -> Option<(ServerId, u64, u64)> {
        let half = &self.clone.half;
        Some((self.attempt.as_ref()?.server(), half.sent_bytes, half.received_bytes))
    }

    fn forget_socket(&mut self, core: &mut Core) {
        if let Some(socket) = self.socket.take() {
            core.poller.forget(socket.as_fd());
        }
    }

    /// Gives back what it holds. What is known of it stays.
    fn finish(&mut self, core: &mut Core, service: u16, end: CloneEnd) {
        self.end.get_or_insert(end);
        self.forget_socket(core);
        if std::mem::take(&mut self.is_counted) {
            core.shared.room().give_clone();
        }
        if let Some(attempt) = self.attempt.take() {
            let Half { sent_bytes, received_bytes, .. } = self.clone.half;
            let established = self.clone.began_us.is_some();
            let released = Released { established, up_bytes: sent_bytes, down_bytes: received_bytes };
            core.services[service].service.with(|chooser| chooser.release_clone(attempt, released));
        }
    }
}

impl Udp {
    fn clone_of(&mut self, index: u32) -> Option<(u16, &mut CloneSide)> {
        let session = self.sessions.get_mut(index)?;
        Some((session.service, session.clone.as_deref_mut()?))
    }

    /// Opens the socket to the clone of a session, if it has one; where that fails, to the next of its addresses.
    pub(super) fn connect_clone(&mut self, core: &mut Core, index: u32) {
        while let Err(failure) = self.start_clone(core, index)
            && self.clone_failed(core, index, &failure)
        {}
    }

    fn start_clone(&mut self, core: &mut Core, index: u32) -> Result<(), Failure> {
        let Some(session) = self.sessions.get_mut(index) else { return Ok(()) };
        let local = local_address(&core.services[session.service].settings, session.address);
        let Some(side) = session.clone.as_deref_mut() else { return Ok(()) };
        let Some(wanted) = side.attempt.as_ref().map(CloneAttempt::proxy) else { return Ok(()) };
        if !side.is_counted && !core.shared.room().take_clone() {
            return Err(Failure::Ours(io::Error::from_raw_os_error(nix::libc::EMFILE)));
        }
        side.is_counted = true;
        let socket = connect_to(&side.endpoint, local).map_err(|error| match error {
            StartError::Server(error) => Failure::Unreachable(error),
            StartError::Busy => Failure::Ours(io::ErrorKind::WouldBlock.into()),
            StartError::Local(error) | StartError::Shortage(error) => Failure::Ours(error),
        })?;
        core.poller.add_reader(socket.as_fd(), Key::SessionClone(index).pack()).map_err(Failure::Ours)?;
        side.socket = Some(socket);
        side.takes_runs = false;
        let header = self.header(core, index, wanted);
        if let Some((_, side)) = self.clone_of(index) {
            side.header = header;
        }
        Ok(())
    }

    /// The server of the session has these datagrams, and its clone is to have them too.
    pub(super) fn copy_to_clone(
        &mut self,
        core: &mut Core,
        index: u32,
        inbox: &mut Batch,
        mut range: Range<usize>,
    ) {
        let Some((_, side)) = self.clone_of(index) else { return };
        if side.member.began_us.is_none() {
            let asked = inbox.datagrams(range.clone()).next().unwrap_or_default();
            side.asked = asked[..asked.len().min(ASKED_BYTES_MAX)].to_vec();
        }
        side.member.sent(inbox.datagrams(range.clone()).map(<[u8]>::len).sum());
        while !range.is_empty()
            && let Some((_, side)) = self.clone_of(index)
            && let Some(socket) = &side.socket
        {
            match inbox.send_connected(socket.as_fd(), range.clone(), &side.header) {
                Ok(count) => {
                    let sent = range.start..range.start + count;
                    range.start = sent.end;
                    side.clone.sent(inbox.datagrams(sent).map(<[u8]>::len).sum());
                }
                Err(error) if is_unreachable(&error) => {
                    // Of an earlier datagram; this one has not been sent.
                    if self.clone_failed(core, index, &Failure::Unreachable(error)) {
                        self.connect_clone(core, index);
                    }
                }
                Err(error) if is_congestion(&error) => return,
                Err(error) => {
                    diag::once("clone", format_args!("cannot send to a clone: {}", reason(&error)));
                    range.start += 1;
                }
            }
        }
    }

    /// The clone of a session has answered, or an ICMP error has come in place of an answer.
    pub fn hear_clone(&mut self, core: &mut Core, index: u32, has_error: bool) {
        let mut answers = self.spare.take().unwrap_or_default();
        let failure = self.take_answers(core, index, has_error, &mut answers);
        self.spare = Some(answers);
        if failure.is_some_and(|failure| self.clone_failed(core, index, &failure)) {
            self.connect_clone(core, index);
        }
    }

    /// Reads what the clone answers, for the comparison alone.
    fn take_answers(
        &mut self,
        core: &mut Core,
        index: u32,
        has_error: bool,
        answers: &mut Batch,
    ) -> Option<Failure> {
        let (service, side) = self.clone_of(index)?;
        let socket = side.socket.as_ref()?;
        // Fetched first: as long as it waits, the system hands out no datagrams.
        let told = if has_error { take_error(socket.as_fd()) } else { None };
        let had_none = side.clone.half.first_byte_us.is_none();
        let mut met = None;
        for _ in 0..SERVER_BATCHES_MAX {
            match answers.receive(socket.as_fd(), BATCH) {
                Ok(0) => break,
                Ok(count) => {
                    side.clone.heard(answers.datagrams(0..count));
                    if count >= RUN_AT_LEAST && !side.takes_runs {
                        side.takes_runs = true;
                        take_runs(socket.as_fd());
                    }
                }
                Err(error) => {
                    met = Some(error);
                    break;
                }
            }
            if !answers.is_full() {
                break; // the system had room for more and had no more
            }
        }
        if let (true, Some(us), Some(attempt)) = (had_none, side.clone.half.first_byte_us, &side.attempt) {
            let local = &mut core.services[service];
            local.times.of(attempt.server()).first_byte.observe(us / 1000);
            if attempt.clears_failure() {
                local.service.with(|chooser| chooser.clone_connected(attempt));
            }
            if side.endpoint.is_second_choice() {
                local.service.with(|chooser| chooser.prefer(attempt.server(), &side.endpoint));
            }
        }
        [told, met].into_iter().flatten().find(is_unreachable).map(Failure::Unreachable)
    }

    /// Says that a clone cannot be used, and has it passed over. True when another address is to be tried.
    fn clone_failed(&mut self, core: &mut Core, index: u32, failure: &Failure) -> bool {
        let Some((service, side)) = self.clone_of(index) else { return false };
        side.forget_socket(core);
        let is_theirs = matches!(failure, Failure::Unreachable(_));
        if is_theirs && let Some(next) = side.endpoint.next_place() {
            side.endpoint = Arc::new(next);
            return true;
        }
        let now_seconds = clock::steady_epoch_seconds(core.now_ms);
        if let Some(attempt) = &side.attempt {
            let service = &core.services[service].service;
            let called = service.with(|chooser| {
                if is_theirs {
                    chooser.clone_failed(attempt, now_seconds);
                }
                chooser.called(attempt.server()).at(&side.endpoint)
            });
            let (from_here, error) = match failure {
                Failure::Unreachable(error) => ("", error),
                Failure::Ours(error) => (" from here", error),
            };
            let text = format_args!("cannot send to the clone {called}{from_here}: {}", reason(error));
            news::tell(service, "clone", &called, text);
        }
        let end = match is_theirs {
            false => CloneEnd::Shortage,
            true if side.clone.half.first_byte_us.is_some() => CloneEnd::Reset,
            true => CloneEnd::ConnectFailed,
        };
        side.finish(core, service, end);
        false
    }

    /// Lets the clone of a session go; what is known of it stays until the session ends.
    pub fn end_clone(&mut self, core: &mut Core, index: u32, end: CloneEnd) {
        if let Some((service, side)) = self.clone_of(index) {
            side.finish(core, service, end);
        }
    }

    /// The session ends, and its clone with it.
    pub(super) fn leave_clone(&mut self, core: &mut Core, index: u32, member_end: CloseReason) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let (service, Some(mut side)) = (session.service, session.clone.take()) else { return };
        // Who was silent for so long has had the time to answer.
        let is_whole = member_end == CloseReason::IdleTimeout;
        side.finish(core, service, if is_whole { CloneEnd::Finished } else { CloneEnd::WithClient });
        let CloneSide { member, clone, end, asked, .. } = *side;
        if member.began_us.is_none() {
            return; // the server of the session had nothing of it
        }
        core.services[service].clones.note(Pair {
            member: member.half,
            member_end,
            clone: clone.half,
            clone_end: end.unwrap_or(CloneEnd::WithClient),
            is_whole,
            asked,
            epoch_seconds: clock::epoch_ms() / 1000,
        });
    }

    /// Lets those go that are meant.
    pub(super) fn cut_clones(
        &mut self,
        core: &mut Core,
        end: CloneEnd,
        is_meant: impl Fn(u16, ServerId) -> bool,
    ) -> bool {
        let meant = self.sessions.iter().filter(|(_, _, session)| {
            let clone = session.clone.as_ref().and_then(|clone| clone.moved());
            clone.is_some_and(|(server, ..)| is_meant(session.service, server))
        });
        let meant: Vec<u32> = meant.map(|(index, ..)| index).collect();
        meant.iter().for_each(|index| self.end_clone(core, *index, end));
        !meant.is_empty()
    }

    /// Descriptors have run out: clones make way. True when there was one.
    pub(super) fn clones_make_way(&mut self, core: &mut Core) -> bool {
        let had_some = self.cut_clones(core, CloneEnd::Shortage, |_, _| true);
        if had_some {
            diag::once("clones", "descriptors have run out: clones are cut off");
        }
        had_some
    }
}
