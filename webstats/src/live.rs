//! The page live: a web server for a few visitors, with the figures of a moment ago.
//!
//! Owns the listeners, the one loop, and who may connect. It serves what `rounds` last made of the pens' answers, so no
//! visitor waits for a pen and no pen is asked more often because there are more visitors. A visitor is `client`.

mod client;
mod rounds;

use crate::options::Settings;
use client::{Client, Need};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pen_sys::clock;
use rounds::Rounds;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;

/// One more pushes out who came first.
const CLIENTS_MAX: usize = 64;

/// Serves until the process ends. Says on standard error where, once it does.
///
/// # Errors
/// A sentence: the address cannot be had, or the system is out of descriptors.
pub fn run(settings: Settings, address: &str) -> Result<Infallible, String> {
    let listeners = listen(address)?;
    let rounds = Rounds::start(settings)?;
    for listener in &listeners {
        let at = listener.local_addr().map_err(|error| format!("{address}: {error}"))?;
        crate::PROGRAM.say(format_args!("serving http://{at}/"));
    }
    let mut server = Server { listeners, rounds, clients: Vec::new() };
    loop {
        server.turn().map_err(|error| format!("poll: {error}"))?;
    }
}

/// A port alone is one on the loopback interface. A name may have several addresses; one of them is enough.
fn listen(address: &str) -> Result<Vec<TcpListener>, String> {
    let full = if address.contains(':') { address.to_string() } else { format!("127.0.0.1:{address}") };
    let addresses = full.to_socket_addrs().map_err(|error| format!("--listen {address}: {error}"))?;
    let (mut listeners, mut trouble) = (Vec::new(), "no such address".to_string());
    for candidate in addresses {
        match TcpListener::bind(candidate)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        {
            Ok(listener) => listeners.push(listener),
            Err(error) => trouble = error.to_string(),
        }
    }
    if listeners.is_empty() { Err(format!("--listen {address}: {trouble}")) } else { Ok(listeners) }
}

struct Server {
    listeners: Vec<TcpListener>,
    rounds: Rounds,
    /// In the order in which they came.
    clients: Vec<Client>,
}

impl Server {
    /// Waits for something to happen and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        let (new_round, accepting, ready) = self.wait()?;
        let now_ms = clock::monotonic_ms();
        if new_round {
            self.rounds.take_news();
        }
        self.rounds.ask_when_due(now_ms);
        for (client, ready) in self.clients.iter_mut().zip(ready) {
            if ready || client.deadline_ms() <= now_ms {
                client.go_on(self.rounds.documents(), now_ms);
            }
        }
        self.clients.retain(|client| client.need() != Need::Nothing);
        if accepting {
            self.accept(now_ms);
        }
        Ok(())
    }

    /// Whether there are new documents, whether somebody may be waiting to be accepted, and which clients can go on.
    fn wait(&self) -> io::Result<(bool, bool, Vec<bool>)> {
        let mut wanted = vec![PollFd::new(self.rounds.news(), PollFlags::POLLIN)];
        wanted.extend(self.listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        wanted.extend(self.clients.iter().map(|client| {
            let flags = if client.need() == Need::Write { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(client.as_fd(), flags)
        }));
        let until_ms = self.clients.iter().map(Client::deadline_ms).chain([self.rounds.due_ms()]).min();
        let left_ms = until_ms.unwrap_or(0).saturating_sub(clock::monotonic_ms());
        // Longer waits come in pieces.
        let timeout = PollTimeout::from(u16::try_from(left_ms).unwrap_or(u16::MAX));
        match poll(&mut wanted, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        let (own, clients) = wanted.split_at(1 + self.listeners.len());
        Ok((happened(&own[0]), own[1..].iter().any(happened), clients.iter().map(happened).collect()))
    }

    /// At most as many as there is room for; the others are next.
    fn accept(&mut self, now_ms: u64) {
        for listener in &self.listeners {
            let guarded = listener.local_addr().is_ok_and(|address| is_loopback(&address));
            for _ in 0..CLIENTS_MAX {
                // Whoever gave up while waiting is no loss.
                let Ok((stream, _)) = listener.accept() else { break };
                if let Ok(client) = Client::new(stream, guarded, now_ms) {
                    self.clients.push(client);
                }
            }
        }
        let too_many = self.clients.len().saturating_sub(CLIENTS_MAX);
        self.clients.drain(..too_many);
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(ip.is_loopback(), |ip| ip.is_loopback()),
        IpAddr::V4(ip) => ip.is_loopback(),
    }
}
