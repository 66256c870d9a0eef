//! A network that exists only in a test: what pen sees of it, through the names of `system.rs`.
//!
//! A thread that has called [`begin`] makes simulated sockets, and time stands still there until the test moves it. Everything
//! else goes to the system. Sockets behave as those of Linux do: a read takes all there is, readiness is reported at its
//! edges with all that holds then, data outlives the reset behind it, an error is told once.

pub mod seam;

use crate::balance::Endpoint;
use crate::net::connect::StartError;
use crate::net::poller::Readiness;
use nix::errno::Errno;
use seam::{Fd, Started};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::RawFd;

/// What becomes of connects to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accepts,
    /// Accepts later, by [`Network::accept_late`].
    Late,
    Refuses,
    RefusesAtOnce,
    Silent,
    /// As a Unix socket whose queue is full.
    Busy,
    /// No local port.
    Local,
    Shortage,
}

/// One connection, seen from pen's end.
#[derive(Debug, Default)]
pub struct Wire {
    /// Where pen connected to; `None` for a client's.
    pub server: Option<SocketAddr>,
    pub is_established: bool,
    incoming: VecDeque<u8>,
    /// The peer has ended its side.
    fin_came: bool,
    reset_came: bool,
    error: Option<Errno>,
    /// The peer is gone: what is sent to it is answered with a reset.
    peer_is_gone: bool,
    /// Sent by pen and not taken by the peer yet.
    outgoing: VecDeque<u8>,
    /// So much more the peer's side takes.
    room: usize,
    acknowledged_bytes: u64,
    pub fin_sent: bool,
    pub is_closed: bool,
    /// Closed, or ended, with a reset.
    pub reset_sent: bool,
    resets_on_close: bool,
    key: Option<usize>,
    has_news: bool,
}

/// All connections, and the time.
#[derive(Debug, Default)]
pub struct Network {
    pub now_ms: u64,
    pub wires: Vec<Wire>,
    waiting: VecDeque<(u32, SocketAddr)>,
    answers: Vec<(SocketAddr, Answer)>,
    listeners: Vec<(RawFd, usize)>,
    /// Bytes that a peer's side takes when a connection begins.
    pub window_bytes: usize,
    /// Wires to servers, which the test has not looked at yet.
    pub connects: Vec<u32>,
}

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

/// Lets this thread live in a network of its own.
pub fn begin(network: Network) {
    NETWORK.set(Some(network));
}

/// Brings the thread back.
pub fn end() {
    NETWORK.set(None);
}

/// Works on the network of this thread.
pub fn with<T>(work: impl FnOnce(&mut Network) -> T) -> T {
    with_if(work).expect("a simulated network")
}

fn with_if<T>(work: impl FnOnce(&mut Network) -> T) -> Option<T> {
    NETWORK.with_borrow_mut(|network| network.as_mut().map(work))
}

impl Wire {
    fn is_readable(&self) -> bool {
        !self.incoming.is_empty() || self.fin_came || self.reset_came || self.error.is_some()
    }

    fn readiness(&self, key: usize) -> Readiness {
        let has_hung_up = self.reset_came || (self.fin_came && self.fin_sent);
        let error = self.error.is_some();
        Readiness {
            key,
            readable: self.is_readable(),
            writable: (self.is_established && self.room > 0) || has_hung_up || error,
            until_dry: self.fin_came || has_hung_up || error,
            urgent: false,
            error,
        }
    }

    fn is_ready(&self, key: usize) -> bool {
        let readiness = self.readiness(key);
        readiness.readable || readiness.writable
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.incoming.is_empty() {
            let count = buffer.len().min(self.incoming.len());
            self.incoming.read_exact(&mut buffer[..count])?;
            return Ok(count);
        }
        match self.error.filter(|_| !self.fin_came) {
            Some(error) => {
                self.error = None;
                Err(error.into())
            }
            None if self.fin_came || self.reset_came => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if self.fin_sent || self.reset_came {
            return Err(Errno::EPIPE.into());
        }
        if self.peer_is_gone {
            self.come_reset();
            return Ok(bytes.len());
        }
        let count = if self.is_established { bytes.len().min(self.room) } else { 0 };
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.acknowledged_bytes += count as u64;
        self.outgoing.write_all(&bytes[..count])?;
        Ok(count)
    }

    fn come_reset(&mut self) {
        self.error = Some(if self.fin_came { Errno::EPIPE } else { Errno::ECONNRESET });
        self.reset_came = true;
        self.peer_is_gone = true;
        self.has_news = true;
        self.outgoing.clear();
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.reset_sent |= self.resets_on_close || !self.incoming.is_empty();
        self.fin_sent = true;
        self.key = None;
        if self.reset_sent {
            self.outgoing.clear(); // as a peer that has not read them yet loses them
        }
    }

    /// The peer sends.
    pub fn come(&mut self, bytes: &[u8]) {
        if !self.is_closed && !self.reset_came {
            self.incoming.write_all(bytes).expect("memory");
            self.has_news = true;
        }
    }

    /// Whether pen has not read all that the peer has sent.
    pub fn is_unread(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// The peer ends its side.
    pub fn come_end(&mut self) {
        self.fin_came = true;
        self.has_news = true;
    }

    /// The peer resets the connection, or is gone and takes no more.
    pub fn come_gone(&mut self, resets: bool) {
        // What it has not read makes its close a reset.
        match resets || !self.outgoing.is_empty() {
            true => self.come_reset(),
            false => {
                self.come_end();
                self.peer_is_gone = true;
            }
        }
    }

    /// Whether it is, or was, a connection.
    pub fn has_begun(&self) -> bool {
        self.is_established || self.reset_came
    }

    /// Whether the peer has reset it.
    pub fn has_reset(&self) -> bool {
        self.reset_came
    }

    /// The peer takes at most so much of what pen has sent.
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.outgoing.len());
        if count > 0 {
            self.has_news |= self.room == 0;
            self.room += count;
        }
        let mut bytes = vec![0; count];
        self.outgoing.read_exact(&mut bytes).expect("they are there");
        bytes
    }

    /// Pen has said that nothing more comes, and the peer has taken everything before.
    pub fn is_ended(&self) -> bool {
        self.fin_sent && !self.reset_sent && self.outgoing.is_empty()
    }
}

impl Network {
    pub fn new(now_ms: u64, window_bytes: usize) -> Network {
        Network { now_ms, window_bytes, ..Network::default() }
    }

    fn wire(&mut self, wire: Wire) -> u32 {
        self.wires.push(Wire { room: self.window_bytes, ..wire });
        self.wires.len() as u32 - 1
    }

    pub fn set_answer(&mut self, server: SocketAddr, answer: Answer) {
        self.answers.retain(|(known, _)| *known != server);
        self.answers.push((server, answer));
    }

    /// A client connects; it waits until pen takes it.
    pub fn client(&mut self, address: SocketAddr) -> u32 {
        let number = self.wire(Wire { is_established: true, ..Wire::default() });
        self.waiting.push_back((number, address));
        number
    }

    fn accept(&mut self) -> io::Result<(Fd, Option<SocketAddr>)> {
        let (number, address) = self.waiting.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((Fd::simulated(number), Some(address)))
    }

    fn connect(&mut self, endpoint: &Endpoint) -> Result<Started, StartError> {
        let server = endpoint.internet_address().expect("servers here have addresses");
        let known = self.answers.iter().find(|(known, _)| *known == server);
        let answer = known.map_or(Answer::Refuses, |(_, answer)| *answer);
        match answer {
            Answer::RefusesAtOnce => return Err(StartError::Server(Errno::ECONNREFUSED.into())),
            Answer::Local => return Err(StartError::Local(Errno::EADDRNOTAVAIL.into())),
            Answer::Busy => return Err(StartError::Busy),
            Answer::Shortage => return Err(StartError::Shortage(Errno::EMFILE.into())),
            _ => {}
        }
        let is_refused = answer == Answer::Refuses;
        let number = self.wire(Wire {
            server: Some(server),
            is_established: answer == Answer::Accepts,
            error: is_refused.then_some(Errno::ECONNREFUSED),
            reset_came: is_refused,
            peer_is_gone: is_refused,
            ..Wire::default()
        });
        self.connects.push(number);
        Ok(Started::UnderWay(Fd::simulated(number)))
    }

    /// How the server at this wire answers.
    pub fn answer(&self, number: u32) -> Answer {
        let server = self.wires[number as usize].server;
        self.answers.iter().find(|(known, _)| Some(*known) == server).map_or(Answer::Refuses, |known| known.1)
    }

    /// Whether there is something to report.
    pub fn has_news(&self) -> bool {
        self.wires.iter().any(|wire| wire.has_news && wire.key.is_some_and(|key| wire.is_ready(key)))
    }

    /// A server that has let a client wait accepts it.
    pub fn accept_late(&mut self, number: u32) {
        let wire = &mut self.wires[number as usize];
        wire.is_established = true;
        wire.has_news = true;
    }

    /// What a poller has to report, in the order of the sockets. `is_reported`: not this time, perhaps.
    pub fn poll(&mut self, mut is_reported: impl FnMut() -> bool) -> Vec<Readiness> {
        let mut ready = Vec::new();
        for wire in self.wires.iter_mut().filter(|wire| wire.has_news) {
            let Some(key) = wire.key else { continue };
            if wire.is_ready(key) && is_reported() {
                wire.has_news = false;
                ready.push(wire.readiness(key));
            }
        }
        if !self.waiting.is_empty() {
            ready.extend(self.listeners.iter().map(|(_, key)| Readiness {
                key: *key,
                readable: true,
                writable: false,
                until_dry: false,
                urgent: false,
                error: false,
            }));
        }
        ready
    }
}
