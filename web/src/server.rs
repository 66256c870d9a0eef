//! The loop: listeners, visitors, and what a site has to say of itself.
//!
//! One poll(2) over at most [`CLIENTS_MAX`] visitors. A visitor that is slow, silent or talks nonsense keeps its own
//! place and nothing else.

use crate::client::Client;
use crate::response::{Code, Response};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pen_sys::{clock, socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Visitors at once. One more pushes out who came first: of those who have asked nothing yet or have their answer, or
/// else of those who are slow to take it, or else of all.
pub const CLIENTS_MAX: usize = 64;
/// How long callers are left in the queue when one cannot be accepted.
const ACCEPT_PAUSE_MS: u64 = 100;
/// How long a site may take for an answer, unless it says otherwise.
const PATIENCE_MS: u64 = 5_000;

/// What is served, and who makes it.
pub trait Site {
    /// The response at this path, which begins with `/`. `None` when it is not known yet: it is asked for again when the
    /// site has news.
    fn answer(&mut self, path: &str) -> Option<Response>;

    /// Readable when there is news.
    fn news(&self) -> BorrowedFd<'_>;

    /// There is news. False ends the server.
    fn take_news(&mut self) -> bool;

    /// Whether the server ends as soon as the last visitor has gone.
    fn leaves(&self) -> bool {
        false
    }

    /// When [`Site::turn`] wants to be called even if nothing happens; monotonic.
    fn due_ms(&self) -> Option<u64> {
        None
    }

    /// Called after every wait.
    fn turn(&mut self, _now_ms: u64) {}

    /// How long a visitor waits for [`Site::answer`] to know something.
    fn patience_ms(&self) -> u64 {
        PATIENCE_MS
    }

    /// What a visitor gets who has waited so long.
    fn too_late(&mut self) -> Response {
        Response::refusal(Code::Unavailable)
    }

    /// Where visitors come in now; asked for once at first, and after news.
    fn doors(&self) -> &[Door];
}

/// Where visitors come in: a listening socket, non-blocking.
#[derive(Clone)]
pub struct Door {
    socket: Arc<dyn AsFd + Send + Sync>,
    /// Answers only to names that are this machine's for certain.
    guarded: bool,
}

impl Door {
    /// `address` is where the socket is bound; `None` for a Unix socket.
    pub fn new(socket: Arc<dyn AsFd + Send + Sync>, address: Option<SocketAddr>) -> Door {
        Door { socket, guarded: address.is_some_and(|address| is_loopback(&address)) }
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(ip.is_loopback(), |ip| ip.is_loopback()),
        IpAddr::V4(ip) => ip.is_loopback(),
    }
}

/// A site and its visitors.
pub struct Server<S> {
    site: S,
    /// In the order in which they came.
    clients: Vec<Client>,
    clients_max: usize,
    accept_again_ms: u64,
}

/// What a wait brought.
#[derive(Default)]
struct Ready {
    news: bool,
    callers: bool,
    /// As the clients.
    clients: Vec<bool>,
}

impl<S: Site> Server<S> {
    /// For so many visitors at once, at least one and at most [`CLIENTS_MAX`].
    pub fn new(site: S, clients_max: usize) -> Server<S> {
        Server {
            site,
            clients: Vec::new(),
            clients_max: clients_max.clamp(1, CLIENTS_MAX),
            accept_again_ms: 0,
        }
    }

    /// Serves until the site has enough.
    ///
    /// # Errors
    /// poll(2) failed.
    pub fn run(mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// Waits for something to happen and deals with it. False when the site has enough.
    fn turn(&mut self) -> io::Result<bool> {
        let ready = self.wait()?;
        let now_ms = clock::monotonic_ms();
        if ready.news && !self.site.take_news() {
            return Ok(false);
        }
        self.site.turn(now_ms);
        for (client, is_ready) in self.clients.iter_mut().zip(ready.clients) {
            if is_ready || client.deadline_ms() <= now_ms || (ready.news && client.is_waiting()) {
                client.go_on(&mut self.site, now_ms);
            }
        }
        self.clients.retain(|client| !client.is_gone());
        if ready.callers {
            self.accept(now_ms);
        }
        Ok(!(self.site.leaves() && self.clients.is_empty()))
    }

    fn wait(&self) -> io::Result<Ready> {
        let now_ms = clock::monotonic_ms();
        let may_accept = now_ms >= self.accept_again_ms;
        let doors = if may_accept { self.site.doors() } else { &[] };
        let mut wanted = vec![PollFd::new(self.site.news(), PollFlags::POLLIN)];
        wanted.extend(doors.iter().map(|door| PollFd::new(door.socket.as_fd(), PollFlags::POLLIN)));
        // Who waits for an answer is left alone: a peer that has gone would be reported again and again.
        let heard = || self.clients.iter().enumerate().filter(|(_, client)| !client.interest().is_empty());
        wanted.extend(heard().map(|(_, client)| PollFd::new(client.as_fd(), client.interest())));
        let deadlines = self.clients.iter().map(Client::deadline_ms).chain(self.site.due_ms());
        let until_ms = deadlines.chain((!may_accept).then_some(self.accept_again_ms)).min();
        let timeout = until_ms.map_or(PollTimeout::NONE, |until_ms| {
            // Longer waits come in pieces.
            PollTimeout::from(u16::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(u16::MAX))
        });
        match poll(&mut wanted, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let happened = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        let (own, sockets) = wanted.split_at(1 + doors.len());
        let mut clients = vec![false; self.clients.len()];
        heard().zip(sockets).for_each(|((index, _), socket)| clients[index] = happened(socket));
        Ok(Ready { news: happened(&own[0]), callers: own[1..].iter().any(happened), clients })
    }

    /// At most as many as there is room for; the others are next.
    fn accept(&mut self, now_ms: u64) {
        for door in self.site.doors() {
            for _ in 0..self.clients_max {
                match socket::accept(door.socket.as_fd()) {
                    Ok((socket, _)) => self.clients.push(Client::new(socket, door.guarded, now_ms)),
                    Err(error) => {
                        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                            // Whoever gave up while waiting is no loss.
                            Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED => {}
                            // Out of descriptors: later, and not in a hurry.
                            _ => self.accept_again_ms = now_ms + ACCEPT_PAUSE_MS,
                        }
                        break;
                    }
                }
            }
        }
        while self.clients.len() > self.clients_max {
            let older = &self.clients[..self.clients.len() - 1];
            let idle = older.iter().position(Client::is_idle);
            let slow = || older.iter().position(|client| !client.is_waiting());
            self.clients.remove(idle.or_else(slow).unwrap_or(0));
        }
    }
}
