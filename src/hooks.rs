//! What a program hears of the connections of the balancer inside of it.
//!
//! Workers call it. Where there is no hook, an event costs a look at a pointer.

use crate::balance::{Endpoint, ServerId};
use crate::log::diag;
use pen_proto::addr::ClientAddr;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Something that happened to a connection, or to a UDP session.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The service of the connection.
    pub service: &'a str,
    /// Its number, which the commands `connection` and `close` take. It is given to another one when the connection has
    /// been closed.
    pub connection: u32,
    /// The client; `None` for one that came through a Unix socket.
    pub client: Option<SocketAddr>,
    /// The number of the server; `None` where there is none, and for the emergency and the abuse server.
    pub server: Option<usize>,
    /// The address of the server; `None` where there is none, and for a Unix socket.
    pub server_address: Option<SocketAddr>,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A server was chosen for the client. Of one connection several may follow each other.
    Chosen,
    /// The server has accepted, or, with UDP, has answered for the first time.
    Connected,
    /// The server could not be reached. Another one may be chosen.
    Failed,
    /// The connection has ended, also one for which no server was found.
    #[non_exhaustive]
    Closed {
        /// From the client to the server.
        up_bytes: u64,
        /// From the server to the client.
        down_bytes: u64,
        /// Since the client was accepted, with the precision of a turn of the worker.
        duration: Duration,
        /// Why, in the words of the JSON log: `finished`, `client_reset`, `no_server` and so on.
        reason: &'static str,
    },
}

/// Whom workers tell what happens.
pub struct Hook(Box<dyn Fn(&Event<'_>) + Send + Sync>);

impl Hook {
    pub fn new(hear: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Hook {
        Hook(Box::new(hear))
    }

    pub fn tell(&self, event: &Event<'_>) {
        // A mistake of the program costs the connection nothing.
        if catch_unwind(AssertUnwindSafe(|| (self.0)(event))).is_err() {
            diag::once("hook", "the program's hook for events has panicked");
        }
    }
}

/// The client as events show it.
pub fn client_of(address: ClientAddr, port: u16) -> Option<SocketAddr> {
    match address {
        ClientAddr::Ip(ip) => Some(SocketAddr::new(ip, port)),
        ClientAddr::Unix => None,
    }
}

/// The server as events show it.
pub fn server_of(
    server: Option<ServerId>,
    endpoint: Option<&Endpoint>,
) -> (Option<usize>, Option<SocketAddr>) {
    let known = server.filter(|server| *server != ServerId::NONE);
    let address =
        endpoint.filter(|_| known.is_some()).and_then(|endpoint| endpoint.carrier().internet_address());
    (known.and_then(ServerId::index), address)
}

/// What is different in a pen inside of another program.
#[derive(Default)]
pub struct Embedding {
    pub hook: Option<Hook>,
}
