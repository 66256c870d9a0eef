//! Clones: servers that get a copy of what clients send to members, while their answers go nowhere.
//!
//! Owns the connections to them and what is compared. A clone belongs to a connection, and outlives it for a moment, so that
//! its answer is complete. Whatever becomes of it, the client waits for nothing: what the clone does not take is kept, up to
//! `clone_queue`, and a clone that keeps it full is cut off. `bytes` makes the copy, `serve` does everything else, each time
//! after the member was served; which server is the clone is for [`crate::balance`].

mod serve;

use crate::balance::{CloneAttempt, Endpoint};
use crate::clones::Half;
use crate::conn::buffers::BufferPool;
use crate::conn::end::End;
use crate::conn::splice;
use crate::conn::{CloseReason, Direction, Socket};
use crate::net::connect::LocalAddress;
use crate::net::keepalive::Keepalive;
use crate::net::tls::Session;
use crate::os::{self, Pipe};
use crate::service::Service;
use crate::slab::Slab;
use crate::timers::Timers;
use pen_proto::status::CloneEnd;
use std::sync::Arc;

/// Kept of what a client says first, to show what was asked where answers differ.
const ASKED_BYTES_MAX: usize = 160;

/// What a connection to a clone waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The member to accept: until then nothing is opened.
    Due,
    /// The clone to accept, and for the end of the TLS handshake with it.
    Connecting,
    /// Either side to send or to take bytes.
    Open,
}

/// The copy of a connection.
pub(super) struct CloneSide {
    service: Arc<Service>,
    /// Given back at the end.
    attempt: Option<CloneAttempt>,
    endpoint: Arc<Endpoint>,
    /// `None` once that has ended.
    connection: Option<u32>,
    stage: Stage,
    socket: Socket,
    session: Option<Session>,
    to: Direction,
    from: Direction,
    /// How it ends, once that is certain.
    fate: Option<CloneEnd>,
    /// A descriptor is counted for it.
    is_counted: bool,
    queue_bytes_max: usize,
    timeout_ms: u64,
    /// When it took something last, or the queue was not full; monotonic.
    moved_ms: u64,
    /// From where and how it is connected to; `None` before that.
    terms: Option<Terms>,
    /// Events of this turn are those of a socket that was given up.
    dropped_in_turn: u64,
    /// Until when it may connect, or, once its connection has ended, say the rest of its answer. Monotonic.
    until_ms: Option<u64>,
    /// So many bytes of its answer are read at most, so that one that floods is held up like anybody.
    read_max: u64,
    story: Story,
}

/// What a clone is connected with.
#[derive(Debug)]
struct Terms {
    local: LocalAddress,
    keepalive: Keepalive,
    nodelay: bool,
    /// The PROXY header that goes before everything else; empty where it wants none.
    header: Vec<u8>,
    /// What the client has agreed on inside TLS, see `Tls::to_server`.
    protocol: Option<Vec<u8>>,
}

/// What is told of both in the end. Times in microseconds, monotonic.
#[derive(Debug, Default)]
struct Story {
    member_began_us: u64,
    clone_began_us: u64,
    clone_ended_us: Option<u64>,
    member_end: Option<CloseReason>,
    member: Half,
    clone: Half,
    asked: Vec<u8>,
}

impl CloneSide {
    fn end(&mut self) -> End<'_> {
        End { socket: &mut self.socket, session: self.session.as_mut() }
    }

    fn is_full(&self) -> bool {
        self.to.pending_bytes() >= self.queue_bytes_max
    }

    /// Gives the clone what waits for it, as far as it takes it; and its end, when that has come.
    fn flush(&mut self, pool: &mut BufferPool, now_ms: u64) {
        if self.stage != Stage::Open || self.to.receiver_gone {
            return;
        }
        let before = self.to.bytes;
        let CloneSide { socket, session, to, .. } = self;
        let mut end = End { socket, session: session.as_mut() };
        // What a session has encrypted goes before more is.
        end.settle(to);
        if end.session.as_ref().is_none_or(|session| !session.wants_write()) {
            end.flush(to, pool);
        }
        let is_delivered = to.eof && !end.progress(to).pending;
        if is_delivered && !to.shut && !to.receiver_gone {
            end.shut(to, true);
        }
        if self.to.bytes != before || !self.is_full() {
            self.moved_ms = now_ms;
        }
        if self.to.receiver_gone {
            self.fate.get_or_insert(CloneEnd::Reset);
        }
    }
}

/// The clones of a worker.
pub(super) struct Clones {
    sides: Slab<CloneSide>,
    timers: Timers,
    pool: BufferPool,
    /// Those that used up their turn.
    unfinished: Vec<u32>,
    now_ms: u64,
    /// Counts the worker's turns.
    turn: u64,
}

impl Clones {
    /// With so many pipes at most.
    pub fn new(now_ms: u64, pipes_max: usize) -> Clones {
        Clones {
            sides: Slab::default(),
            timers: Timers::new(now_ms),
            pool: BufferPool::with_pipes(pipes_max),
            unfinished: Vec::new(),
            now_ms,
            turn: 1,
        }
    }

    /// Another wake-up of the worker.
    pub fn begin_turn(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.turn += 1;
    }

    /// The client of this clone's connection has said something, or that nothing follows; what the member gets is in
    /// `bytes`. Called before the member has it: what was copied before is sent first, which the member has.
    pub fn copy(&mut self, number: u32, bytes: &[u8], is_end: bool) {
        let Clones { sides, pool, now_ms, .. } = self;
        let Some(side) = sides.get_mut(number).filter(|side| side.fate.is_none()) else { return };
        let room = ASKED_BYTES_MAX - side.story.asked.len();
        side.story.asked.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if side.to.pending.is_some() {
            side.flush(pool, *now_ms);
        }
        if !bytes.is_empty() {
            if side.is_full() {
                side.fate = Some(CloneEnd::QueueFull);
                return;
            }
            match &mut side.to.pending {
                Some(pending) => pending.bytes_mut().extend_from_slice(bytes),
                place => *place = Some(pool.hold(bytes)),
            }
        }
        side.to.eof |= is_end;
    }

    /// Who copies to this clone what goes to the member as a stream, through pipes.
    pub fn tap(&mut self, number: u32) -> Tap<'_> {
        Tap { clones: self, number, pipe: None }
    }

    /// Gives up buffers that nobody needs, and says how many bytes that are.
    pub fn shrink(&mut self) -> usize {
        self.pool.shrink()
    }

    /// Whether there is something to [`Clones::shrink`], now or later.
    pub fn has_spares(&self) -> bool {
        self.pool.has_spares()
    }

    /// Whether what the member of this clone's connection says is to be shown by [`Clones::member_says`].
    pub fn hears_member(&self, number: Option<u32>) -> bool {
        let side = number.and_then(|number| self.sides.get(number));
        side.is_some_and(|side| side.story.member.answer.is_looked_at())
    }

    /// The member says something that goes to the client.
    pub fn member_says(&mut self, number: Option<u32>, bytes: &[u8]) {
        if let Some(side) = number.and_then(|number| self.sides.get_mut(number)) {
            side.story.member.answer.push(bytes);
        }
    }

    /// The same of so many bytes that nobody has seen.
    pub fn member_said(&mut self, number: Option<u32>, count: u64) {
        if let Some(side) = number.and_then(|number| self.sides.get_mut(number)) {
            side.story.member.answer.pass(count);
        }
    }

    /// When a clone is looked at next.
    pub fn look_ms(&self) -> Option<u64> {
        match self.unfinished.is_empty() {
            true => self.timers.next_deadline_ms(),
            false => Some(0),
        }
    }

    /// Whether there is nothing to do: neither a clone, nor one noted that has gone since.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty() && self.unfinished.is_empty()
    }

    #[cfg(test)]
    pub fn has_timer(&self) -> bool {
        self.timers.next_deadline_ms().is_some()
    }
}

/// See [`Clones::tap`].
pub(super) struct Tap<'a> {
    clones: &'a mut Clones,
    number: u32,
    /// For what is copied next.
    pipe: Option<Pipe>,
}

impl splice::Tap for Tap<'_> {
    /// A clone that has not taken all that there was before gets the next bytes through its queue.
    fn is_ready(&mut self) -> bool {
        let Clones { sides, pool, now_ms, .. } = &mut *self.clones;
        let Some(side) = sides.get_mut(self.number).filter(|side| side.fate.is_none()) else { return true };
        if side.stage != Stage::Open || side.session.is_some() {
            return false;
        }
        side.flush(pool, *now_ms);
        if side.to.pending.is_some() {
            return false;
        }
        if self.pipe.is_none() {
            self.pipe = pool.pipe();
        }
        self.pipe.as_ref().is_some_and(Pipe::is_whole)
    }

    fn copy(&mut self, pipe: &Pipe) {
        let Clones { sides, pool, .. } = &mut *self.clones;
        let Some(side) = sides.get_mut(self.number).filter(|side| side.fate.is_none()) else { return };
        let Some(mut copy) = self.pipe.take() else { return };
        let is_all = pipe.copy_to(&mut copy).unwrap_or(false);
        match copy.held_bytes() {
            0 => pool.give_back_pipe(copy),
            _ => side.to.pending = Some(pool.hold_pipe(copy)),
        }
        if !is_all {
            side.fate = Some(CloneEnd::QueueFull);
        }
    }

    fn end(&mut self) {
        self.clones.copy(self.number, &[], true);
    }
}

impl Drop for Tap<'_> {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.clones.pool.give_back_pipe(pipe);
        }
    }
}

/// The first byte of an answer has come, if any has and none had before.
fn note_first_byte(half: &mut Half, began_us: u64, count: usize) {
    if count > 0 && half.first_byte_us.is_none() {
        half.first_byte_us = Some(os::monotonic_us().saturating_sub(began_us));
    }
}
