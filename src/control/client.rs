//! One control client: its socket, its conversation, and how long it may keep us waiting.
//!
//! Never blocks and knows no command. Called by `server.rs`.

use super::apply::{Door, Engine, Running};
use super::session::{Conversation, Heard, LINE_BYTES_MAX};
use crate::sys::fifo::Fifo;
use crate::sys::socket::{receive, send};
use nix::poll::PollFlags;
use nix::sys::socket::{Shutdown, shutdown};
use pen_proto::commands::Reach;
use pen_proto::names::Name;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How long a client that sends no line end may think before its line counts as whole.
pub const QUIET_MS: u64 = 1_000;
/// A client that says nothing for so long is not in the middle of a conversation of programs.
const PAUSE_MS: u64 = 100;
/// Silence after which a client that asked nothing is dropped; also how long a reply may stand still.
pub const IDLE_MS: u64 = 60_000;
/// Silence after which a session is dropped.
pub const SESSION_IDLE_MS: u64 = 3_600_000;
/// How long we listen to a client that has its last reply, so that closing does not tear the reply out of its hands.
pub const LEAVING_MS: u64 = 10_000;

/// How much of what it sends then is thrown away before the connection is cut. Enough for who overran the limit on a line
/// by its length to read so.
const LEAVING_BYTES_MAX: usize = LINE_BYTES_MAX;

const READ_BYTES: usize = 64 << 10;

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Talking,
    /// Its command waits for something else; the socket is left alone.
    Waiting,
    /// It has its last reply; whatever it still sends is thrown away.
    Leaving {
        since_ms: u64,
        thrown_away_bytes: usize,
    },
    Gone,
}

/// From where a client is heard.
enum Line {
    Socket(OwnedFd),
    /// Whoever may write to it. There is nobody to answer, and no end.
    Fifo(Fifo),
}

pub struct Client {
    line: Line,
    /// Where it calls from, in words.
    pub name: String,
    pub door: Door,
    /// What it may do.
    pub reach: Reach,
    pub talk: Conversation,
    /// For whom lines are that name no service.
    pub service: Option<Name>,
    phase: Phase,
    /// When bytes last moved.
    active_ms: u64,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.line {
            Line::Socket(socket) => socket.as_fd(),
            Line::Fifo(fifo) => fifo.as_fd(),
        }
    }
}

impl Client {
    /// `socket` must be non-blocking.
    pub fn new(socket: OwnedFd, name: String, door: Door, now_ms: u64) -> Client {
        Client::on(Line::Socket(socket), name, door, Conversation::default(), now_ms)
    }

    /// One that speaks GLB's language. `socket` must be non-blocking.
    pub fn of_glb(socket: OwnedFd, name: String, door: Door, now_ms: u64) -> Client {
        Client::on(Line::Socket(socket), name, door, Conversation::of_glb(), now_ms)
    }

    /// All who write to this.
    pub fn behind(fifo: Fifo, now_ms: u64) -> Client {
        Client::on(Line::Fifo(fifo), "fifo".into(), Door::Control, Conversation::of_glb(), now_ms)
    }

    fn on(line: Line, name: String, door: Door, talk: Conversation, now_ms: u64) -> Client {
        let reach = Reach::Everything;
        Client { line, name, door, reach, talk, service: None, phase: Phase::Talking, active_ms: now_ms }
    }

    /// The same, which may do no more than this.
    pub fn with(self, reach: Reach) -> Client {
        Client { reach, ..self }
    }

    /// The lines that follow in its session are for this service.
    ///
    /// # Errors
    /// There is no such service, or no line follows.
    pub fn turn_to<R: Running>(&mut self, service: Name, engine: &Engine<R>) -> Result<String, String> {
        if !self.talk.is_session() {
            return Err(format!("service {service}: want a command, except in a file or a session"));
        }
        let known = engine.config().meant(Some(&service)).map(|_| String::new());
        // Also when there is none: what follows was not for the one before.
        self.service = Some(service);
        known
    }

    pub fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Whether it owes us its next line, or leaves: dropping it loses nothing.
    pub fn is_silent(&self) -> bool {
        match self.phase {
            _ if matches!(self.line, Line::Fifo(_)) => false,
            Phase::Talking => self.talk.pending().is_empty(),
            Phase::Leaving { .. } | Phase::Gone => true,
            Phase::Waiting => false,
        }
    }

    /// Whether it waits for an answer, or came or spoke so short a time ago that it may go on.
    pub fn is_busy(&self, now_ms: u64) -> bool {
        let is_person = matches!(self.line, Line::Socket(_));
        is_person && (!self.is_silent() || self.has_work() || now_ms < self.active_ms + PAUSE_MS)
    }

    /// When bytes last moved.
    pub fn active_ms(&self) -> u64 {
        self.active_ms
    }

    /// What to wait for on the socket. Reading stops while a reply is pending or lines are still to be heard: who does
    /// not take answers asks nothing.
    pub fn interest(&self) -> PollFlags {
        match self.phase {
            Phase::Waiting | Phase::Gone => PollFlags::empty(),
            _ if !self.talk.pending().is_empty() => PollFlags::POLLOUT,
            Phase::Talking if self.talk.has_unheard() => PollFlags::empty(),
            Phase::Talking | Phase::Leaving { .. } => PollFlags::POLLIN,
        }
    }

    /// Whether a line may be ready to be heard although nothing new arrives.
    pub fn has_work(&self) -> bool {
        self.phase == Phase::Talking && self.talk.pending().is_empty() && self.talk.has_unheard()
    }

    /// When something is to be done about this client although nothing arrives; `None` while it waits for us.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting | Phase::Gone => None,
            Phase::Leaving { since_ms, .. } => Some(since_ms + LEAVING_MS),
            Phase::Talking if !self.talk.pending().is_empty() => Some(self.active_ms + IDLE_MS),
            Phase::Talking if self.talk.may_be_whole() => Some(self.active_ms + QUIET_MS),
            Phase::Talking if self.talk.is_glb() => None,
            Phase::Talking if self.talk.is_session() => Some(self.active_ms + SESSION_IDLE_MS),
            Phase::Talking => Some(self.active_ms + IDLE_MS),
        }
    }

    /// Moves what can be moved: takes pending bytes out, and when none are left takes new ones in.
    pub fn exchange(&mut self, now_ms: u64) {
        self.flush(now_ms);
        if self.interest().contains(PollFlags::POLLIN) {
            self.read(now_ms);
        }
    }

    /// The next line to execute; a client with nothing more to say is seen off. After a line the caller answers, at
    /// once or after [`Client::wait`].
    pub fn hear(&mut self, now_ms: u64) -> Heard {
        if self.phase != Phase::Talking || !self.talk.pending().is_empty() {
            return Heard::Nothing;
        }
        let heard = match self.talk.hear() {
            Heard::Nothing if self.is_due(now_ms) => self.talk.hear_quiet(),
            heard => heard,
        };
        if heard == Heard::End {
            self.leave(now_ms);
        }
        heard
    }

    /// Hears no more after a line without end. Behind a FIFO are others, who are not to blame: what they write next
    /// begins a new line.
    pub fn give_up(&mut self) {
        match self.line {
            Line::Socket(_) => self.talk.finish(),
            Line::Fifo(_) => self.talk = Conversation::of_glb(),
        }
    }

    /// The line heard last is being worked on.
    pub fn wait(&mut self) {
        self.phase = Phase::Waiting;
    }

    /// Answers the line heard last, as far as the socket takes it now.
    pub fn reply(&mut self, reply: &Result<String, String>, now_ms: u64) {
        self.phase = Phase::Talking;
        self.active_ms = now_ms;
        self.talk.reply(reply);
        self.flush(now_ms);
    }

    /// Drops a client whose time is over. One that is due with an unfinished line is heard by [`Client::hear`] first.
    pub fn expire(&mut self, now_ms: u64) {
        if self.is_due(now_ms) && !self.talk.may_be_whole() {
            self.phase = Phase::Gone;
        }
    }

    fn is_due(&self, now_ms: u64) -> bool {
        self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    /// A client that closed its side can be closed; any other must be heard out, because closing a socket with unread
    /// bytes resets the connection and the reply may never arrive.
    fn leave(&mut self, now_ms: u64) {
        self.phase = match self.talk.input_has_ended() {
            true => Phase::Gone,
            false => {
                // A failure means that the client has gone already; reading will tell.
                let _ = shutdown(self.as_fd().as_raw_fd(), Shutdown::Write);
                Phase::Leaving { since_ms: now_ms, thrown_away_bytes: 0 }
            }
        };
    }

    fn flush(&mut self, now_ms: u64) {
        while !self.talk.pending().is_empty() && self.phase != Phase::Gone {
            let sent = match &self.line {
                Line::Socket(socket) => send(socket.as_fd(), self.talk.pending()),
                Line::Fifo(_) => Ok(self.talk.pending().len()),
            };
            match sent {
                Ok(count) => {
                    self.talk.took(count);
                    self.active_ms = now_ms;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.phase = Phase::Gone,
            }
        }
    }

    fn read(&mut self, now_ms: u64) {
        let mut buffer = [0; READ_BYTES];
        let received = match &self.line {
            Line::Socket(socket) => receive(socket.as_fd(), &mut buffer),
            Line::Fifo(fifo) => fifo.read(&mut buffer),
        };
        match received {
            Ok(0) => self.end_of_input(),
            Ok(count) => match &mut self.phase {
                Phase::Leaving { thrown_away_bytes, .. } => {
                    *thrown_away_bytes += count;
                    if *thrown_away_bytes > LEAVING_BYTES_MAX {
                        self.phase = Phase::Gone;
                    }
                }
                _ => {
                    self.talk.receive(&buffer[..count]);
                    self.active_ms = now_ms;
                }
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => self.phase = Phase::Gone,
        }
    }

    fn end_of_input(&mut self) {
        self.talk.end_input();
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.phase = Phase::Gone;
        }
    }
}
