//! One visitor: hears a request, answers it, leaves.
//!
//! Owns a connection's states and deadlines. Never blocks; the time is an argument.

use crate::request::{self, HEAD_BYTES_MAX, Heard, Method, Request};
use crate::response::{Code, Response};
use crate::server::Site;
use nix::poll::PollFlags;
use pen_sys::clock;
use pen_sys::socket::{end_writing, receive, send};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// To say what is wanted, from the first byte to the last.
const HEAR_MS: u64 = 10_000;
/// To take the answer.
const ANSWER_MS: u64 = 30_000;
/// To go, once everything is said: closing at once could reset the connection and tear the end of the answer away.
const LEAVE_MS: u64 = 2_000;
/// So much of what comes then is read away before the connection is cut.
const LEAVING_BYTES_MAX: usize = 1 << 20;

enum State {
    Hearing(Vec<u8>),
    /// The site does not know the answer yet.
    Waiting(Request),
    /// Head, body, and how much of both was taken.
    Answering(Vec<u8>, Arc<[u8]>, usize),
    /// How much was read away.
    Leaving(usize),
    Gone,
}

pub(crate) struct Client {
    socket: OwnedFd,
    /// Answers only to names that are this machine's for certain.
    guarded: bool,
    state: State,
    deadline_ms: u64,
}

impl Client {
    /// `socket` must be non-blocking.
    pub fn new(socket: OwnedFd, guarded: bool, now_ms: u64) -> Client {
        Client { socket, guarded, state: State::Hearing(Vec::new()), deadline_ms: now_ms + HEAR_MS }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// When [`Client::go_on`] wants to be called even if nothing happened. Monotonic.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// What to wait for. While its answer is awaited, only for its end.
    pub fn interest(&self) -> PollFlags {
        match self.state {
            State::Hearing(_) | State::Leaving(_) => PollFlags::POLLIN,
            State::Answering(..) => PollFlags::POLLOUT,
            State::Waiting(_) | State::Gone => PollFlags::empty(),
        }
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Whether it owes us its request, or has everything it asked for: pushing it out loses nothing.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Hearing(_) | State::Leaving(_) | State::Gone)
    }

    /// Goes as far as it can without waiting.
    pub fn go_on(&mut self, site: &mut impl Site, now_ms: u64) {
        let late = now_ms >= self.deadline_ms;
        let gone_on = match &mut self.state {
            State::Hearing(_) if late => self.answer(&Response::refusal(Code::RequestTimeout), true, now_ms),
            State::Hearing(_) => self.hear(site, now_ms),
            State::Waiting(_) => self.ask(site, late, now_ms),
            State::Answering(..) | State::Leaving(_) if late => Err(ErrorKind::TimedOut.into()),
            State::Answering(..) => self.go_on_answering(now_ms),
            State::Leaving(_) => self.go_on_leaving(),
            State::Gone => Ok(()),
        };
        match gone_on {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nobody is left to be told.
            Err(_) => self.state = State::Gone,
            Ok(()) => {}
        }
    }

    fn hear(&mut self, site: &mut impl Site, now_ms: u64) -> io::Result<()> {
        let State::Hearing(input) = &mut self.state else { return Ok(()) };
        let mut piece = [0; HEAD_BYTES_MAX];
        let count = receive(self.socket.as_fd(), &mut piece)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(&piece[..count]);
        match request::hear(input) {
            Heard::Nothing => Ok(()),
            Heard::Refused(code) => self.answer(&Response::refusal(code), true, now_ms),
            Heard::Request(request) if self.guarded && !request::is_local_name(request.host.as_deref()) => {
                self.answer(&Response::refusal(Code::Misdirected), request.method == Method::Get, now_ms)
            }
            Heard::Request(request) => {
                self.state = State::Waiting(request);
                self.deadline_ms = now_ms + site.patience_ms();
                self.ask(site, false, now_ms)
            }
        }
    }

    fn ask(&mut self, site: &mut impl Site, late: bool, now_ms: u64) -> io::Result<()> {
        let State::Waiting(request) = &self.state else { return Ok(()) };
        let with_body = request.method == Method::Get;
        match site.answer(&request.path) {
            Some(response) => self.answer(&response, with_body, now_ms),
            None if late => self.answer(&site.too_late(), with_body, now_ms),
            None => Ok(()),
        }
    }

    fn answer(&mut self, response: &Response, with_body: bool, now_ms: u64) -> io::Result<()> {
        let body = if with_body { response.body.clone() } else { Arc::default() };
        self.state = State::Answering(response.head(clock::epoch_ms()), body, 0);
        self.deadline_ms = now_ms + ANSWER_MS;
        self.go_on_answering(now_ms)
    }

    fn go_on_answering(&mut self, now_ms: u64) -> io::Result<()> {
        let State::Answering(head, body, taken) = &mut self.state else { return Ok(()) };
        while *taken < head.len() + body.len() {
            let rest = match head.get(*taken..).filter(|rest| !rest.is_empty()) {
                Some(rest) => rest,
                None => &body[*taken - head.len()..],
            };
            *taken += send(self.socket.as_fd(), rest)?;
        }
        end_writing(self.socket.as_fd())?;
        self.state = State::Leaving(0);
        self.deadline_ms = now_ms + LEAVE_MS;
        Ok(())
    }

    /// Reads away what still comes, until the other side goes too.
    fn go_on_leaving(&mut self) -> io::Result<()> {
        let State::Leaving(read_away) = &mut self.state else { return Ok(()) };
        while *read_away < LEAVING_BYTES_MAX {
            match receive(self.socket.as_fd(), &mut [0; 4096])? {
                0 => break,
                count => *read_away += count,
            }
        }
        self.state = State::Gone;
        Ok(())
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
