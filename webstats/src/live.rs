//! The page live: a web server for a few visitors, with the figures of a moment ago.
//!
//! Owns where it listens and what is at which path. It serves what `rounds` last made of the pens' answers, so no
//! visitor waits for a pen and no pen is asked more often because there are more visitors.

mod rounds;

use crate::options::Settings;
use pen_web::{CLIENTS_MAX, Code, Door, Response, Server, Site};
use rounds::Rounds;
use std::convert::Infallible;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Serves until the process ends. Says on standard error where, once it does.
///
/// # Errors
/// A sentence: the address cannot be had, or the system is out of descriptors.
pub fn run(settings: Settings, address: &str) -> Result<Infallible, String> {
    let listeners = listen(address)?;
    let rounds = Rounds::start(settings)?;
    let mut doors = Vec::new();
    for listener in listeners {
        let at = listener.local_addr().map_err(|error| format!("{address}: {error}"))?;
        crate::PROGRAM.say(format_args!("serving http://{at}/"));
        doors.push(Door::new(Arc::new(listener), Some(at)));
    }
    let served = Server::new(Live { doors, rounds }, CLIENTS_MAX).run();
    Err(served
        .map_or_else(|error| format!("poll: {error}"), |()| "the thread that asks the pens has ended".into()))
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

struct Live {
    doors: Vec<Door>,
    rounds: Rounds,
}

impl Site for Live {
    fn answer(&mut self, path: &str) -> Option<Response> {
        let found = self.rounds.documents().at(path);
        Some(found.unwrap_or_else(|| Response::refusal(Code::NotFound)))
    }

    fn news(&self) -> BorrowedFd<'_> {
        self.rounds.news()
    }

    fn take_news(&mut self) -> bool {
        self.rounds.take_news();
        true
    }

    fn due_ms(&self) -> Option<u64> {
        Some(self.rounds.due_ms())
    }

    fn turn(&mut self, now_ms: u64) {
        self.rounds.ask_when_due(now_ms);
    }

    fn doors(&self) -> &[Door] {
        &self.doors
    }
}
