//! One check of a server over the network, from the connect to the verdict, without waiting.
//!
//! Owns its connection. `watcher.rs` calls it when something has happened there, and gives it up when its time is over.

use crate::target::{Answer, Target};
use crate::watched::Watched;
use crate::wire::{Broken, Wire};
use nix::sys::socket::{getsockopt, sockopt};
use pen_core::checks::http::Progress;
use pen_core::checks::{SEARCH_BYTES_MAX, Seen};
use pen_core::loads::agent::{self, Said};
use pen_proto::commands::Check;
use pen_proto::endpoint::Endpoint;
use pen_sys::errors::reason;
use pen_sys::net::connect::{self, StartError, Started};
use std::io;
use std::os::fd::BorrowedFd;

/// How a check stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progressed {
    Waits,
    Good,
    /// By an agent.
    Said(Said),
    /// Why not.
    Bad(String),
    /// The reason is on our side, and says nothing about the server.
    Ours(String),
}

/// A check under way.
pub struct Probe {
    wire: Wire,
    /// Where it is connected to: one of the addresses of the server.
    pub place: Endpoint,
    is_connected: bool,
    /// Whether the poller knows it: a server that refuses at once is not worth the call.
    pub is_watched: bool,
    greeting: Vec<u8>,
    /// Said and waited for when hands are shaken.
    question: Option<(Vec<u8>, Answer)>,
    answer: Answer,
    is_connect_only: bool,
}

impl Probe {
    /// Begins to connect to the server at this place.
    ///
    /// # Errors
    /// How it stands: it has failed.
    pub fn start(target: &Target, place: &Endpoint, service: &dyn Watched) -> Result<Probe, Progressed> {
        let session = target.tls.as_ref().map(|server| service.session(server)).transpose();
        let session = session.map_err(|trouble| Progressed::Ours(format!("TLS: {trouble}")))?;
        let (fd, is_connected) = match connect::start(place, service.local(), service.keepalive()) {
            Ok(Started::Connected(fd)) => (fd, true),
            Ok(Started::UnderWay(fd)) => (fd, false),
            Err(StartError::Server(error)) => return Err(refused(&error)),
            Err(StartError::Busy) => return Err(Progressed::Bad("connect: its queue is full".into())),
            Err(StartError::Local(error) | StartError::Shortage(error)) => {
                return Err(Progressed::Ours(format!("connect: {}", reason(&error))));
            }
        };
        let mut wire = Wire::new(fd);
        wire.session = session;
        Ok(Probe {
            wire,
            place: place.clone(),
            is_connected,
            is_watched: false,
            greeting: target.greeting(),
            question: Some(target.question()),
            answer: Answer::Nothing,
            is_connect_only: target.watch.check == Check::Connect,
        })
    }

    /// For the poller.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wire.fd()
    }

    /// Whether the server has accepted, so that another address of it need not be tried.
    pub fn has_connected(&self) -> bool {
        self.is_connected
    }

    /// Takes it as far as it goes now. `may_be_connected`: the socket takes bytes, or has failed.
    pub fn go_on(&mut self, may_be_connected: bool, scratch: &mut [u8]) -> Progressed {
        if !self.is_connected {
            match getsockopt(&self.wire.fd(), sockopt::SocketError) {
                Ok(0) if may_be_connected => self.is_connected = true,
                Ok(0) => return Progressed::Waits,
                Ok(error) => return refused(&io::Error::from_raw_os_error(error)),
                Err(error) => return refused(&error.into()),
            }
        }
        self.talk(scratch).unwrap_or_else(|broken| match broken {
            Broken::Tls(trouble) => Progressed::Bad(format!("TLS: {trouble}")),
            Broken::Flood => Progressed::Bad("it sends without end".into()),
            Broken::Socket(error) => Progressed::Bad(format!("connection lost: {}", reason(&error))),
        })
    }

    fn talk(&mut self, scratch: &mut [u8]) -> Result<Progressed, Broken> {
        if self.question.is_some() {
            // The header goes before everything else, TLS included.
            let session = self.wire.session.take();
            let greeting = std::mem::take(&mut self.greeting);
            self.wire.put(&greeting);
            self.wire.session = session;
            if !self.wire.shake(scratch)? {
                return Ok(Progressed::Waits);
            }
        }
        if let Some((question, answer)) = self.question.take() {
            self.wire.put(&question);
            self.answer = answer;
        }
        let is_sent = self.wire.flush()?;
        if matches!(self.answer, Answer::Nothing) {
            return Ok(if is_sent { Progressed::Good } else { Progressed::Waits });
        }
        loop {
            let Some(bytes) = self.wire.read(scratch)? else { return Ok(Progressed::Waits) };
            let progressed = match &mut self.answer {
                Answer::Nothing => Progressed::Good,
                Answer::Text(search) => match search.take(bytes) {
                    Seen::Found => Progressed::Good,
                    Seen::NotYet if bytes.is_empty() => {
                        Progressed::Bad("it ended the connection without the text".into())
                    }
                    Seen::NotYet => Progressed::Waits,
                    Seen::TooFar => {
                        Progressed::Bad(format!("the text is not in the first {SEARCH_BYTES_MAX} bytes"))
                    }
                },
                Answer::Agent(line) => match line.take(bytes) {
                    agent::Progress::Waits => Progressed::Waits,
                    agent::Progress::Complete(Ok(said)) => Progressed::Said(said),
                    agent::Progress::Complete(Err(reason)) => Progressed::Bad(format!("agent: {reason}")),
                },
                Answer::Http(response) => {
                    let progress = if bytes.is_empty() { response.end() } else { response.take(bytes) };
                    match progress {
                        Progress::Good => Progressed::Good,
                        Progress::Waits => Progressed::Waits,
                        Progress::Bad(reason) => Progressed::Bad(reason),
                    }
                }
            };
            if progressed != Progressed::Waits {
                return Ok(progressed);
            }
        }
    }

    /// What it waited for when its time was over.
    pub fn awaited(&self) -> &'static str {
        match (&self.question, &self.answer) {
            _ if !self.is_connected => "connect: timed out",
            (Some(_), _) => "TLS: timed out",
            (None, _) => "timed out without the answer",
        }
    }

    pub fn close(self) {
        self.wire.close(self.is_connect_only);
    }
}

fn refused(error: &io::Error) -> Progressed {
    Progressed::Bad(format!("connect: {}", reason(error)))
}
