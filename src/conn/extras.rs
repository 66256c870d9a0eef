//! What few connections have. Kept apart, so that all others pay for a pointer only.

use super::buffers::Pending;
use super::end::Sessions;
use crate::balance::{Route, Ticket};
use crate::http::Exchanges;
use crate::uri::Uri;
use std::net::SocketAddr;

/// What a trusted downstream says in its PROXY header.
#[derive(Debug, Default)]
pub struct Via {
    /// The beginning of a header that is not complete; nothing that belongs to the client.
    pub held: Vec<u8>,
    /// Where the client connected to.
    pub destination: Option<SocketAddr>,
    /// Extensions that servers are told too.
    pub extensions: Box<[u8]>,
}

/// A place in the queue. Times are monotonic.
#[derive(Debug)]
pub struct Wait {
    pub ticket: Ticket,
    /// `None` without a limit.
    pub deadline_ms: Option<u64>,
    /// When it is to have all that wait looked at.
    pub look_ms: Option<u64>,
}

/// A check of its server that a client waits for.
#[derive(Debug)]
pub struct PollWait {
    /// See [`crate::balance::Poll`].
    pub number: u32,
    /// Monotonic.
    pub deadline_ms: u64,
}

/// What a connection has only with certain settings, or when things go wrong.
#[derive(Debug, Default)]
pub struct Extras {
    /// Set for a connection with a PROXY header.
    pub via: Option<Via>,
    pub chain: Chain,
    /// A connection that was kept ready was dead; the next must be a new one.
    pub revived: bool,
    /// Servers that failed before the present one.
    pub retries: u32,
    /// TLS on one side or on both.
    pub sessions: Option<Box<Sessions>>,
    /// What the client asks for in TLS.
    pub route: Route,
    /// What it asks for in its first request, until a server is alive.
    pub uri: Option<Uri>,
    /// Set as long as it waits for a server that is not full.
    pub wait: Option<Wait>,
    /// Set as long as it waits for a check of its server.
    pub poll: Option<PollWait>,
}

/// What the chain of a client's bytes keeps from one read to the next.
#[derive(Debug, Default)]
pub struct Chain {
    /// Set as long as requests are edited for `http`.
    pub http: Option<Box<Exchanges>>,
    /// What the client has sent of which there is no line in the log yet, if it was not passed on as it was.
    pub unlogged: Vec<u8>,
    /// Its clone, by the number under which the worker has it.
    pub clone: Option<u32>,
    /// What the client has sent to a connection that was kept ready, while it is not certain that this was still alive.
    pub unproven: Option<Box<Pending>>,
}

impl Chain {
    /// The clone, if nobody else looks at the bytes.
    pub fn copied_only_to(&self) -> Option<u32> {
        let Chain { http, unlogged, clone, unproven } = self;
        clone.filter(|_| http.is_none() && unlogged.is_empty() && unproven.is_none())
    }
}

impl Extras {
    /// Frees them when nothing is left in them.
    pub fn free_if_unused(extras: &mut Option<Box<Extras>>) {
        extras.take_if(|extras| {
            let Extras { via, chain, revived, retries, sessions, route, uri, wait, poll } = &**extras;
            let Chain { http, unlogged, clone, unproven } = chain;
            let waits = wait.is_some() || poll.is_some() || uri.is_some();
            let is_empty = !waits
                && via.is_none()
                && http.is_none()
                && clone.is_none()
                && unproven.is_none()
                && sessions.is_none();
            is_empty && unlogged.is_empty() && !revived && *retries == 0 && *route == Route::DEFAULT
        });
    }
}
