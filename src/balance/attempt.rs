//! A client's way through the servers, from admission to release. Pure.
//!
//! An [`Attempt`] is the receipt for one counted connection: it cannot be copied, so it is given back once. The balancer
//! makes and moves it; whoever owns the connection keeps it.

use super::clients::SlotKey;
use super::routes::Route;
use super::servers::{Endpoint, ServerId};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::ProxyHeader;
use std::sync::Arc;

/// Who wants a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub client: ClientAddr,
    /// What it asks for in TLS, see [`super::Balancer::route`].
    pub route: Route,
}

impl From<ClientAddr> for Asker {
    /// Asks for nothing.
    fn from(client: ClientAddr) -> Asker {
        Asker { client, route: Route::DEFAULT }
    }
}

/// What becomes of a new client.
#[derive(Debug)]
pub enum Admission {
    /// A place is reserved: connect there, then report how it went.
    Connect(Attempt, Arc<Endpoint>),
    Refused(Refusal),
}

/// Why a client gets no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `client_acl` denies it, and there is no abuse server that takes it.
    Denied,
    /// No server, the emergency server included, takes it.
    NoServer,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Released {
    /// Whether the connect had succeeded.
    pub established: bool,
    /// Client to server.
    pub up_bytes: u64,
    /// Server to client.
    pub down_bytes: u64,
}

/// Whether a server counts a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    Place,
    /// The server has a failure stamp, which the connection clears when it is established.
    PlaceAfterFailure,
}

/// The place a connection holds at a server; small, because every connection has one. Hand it to `Balancer::release` or
/// `Balancer::abandon` in the end.
#[derive(Debug)]
#[must_use = "the server's connection count is given back by release or abandon"]
pub struct Attempt {
    pub(super) slot: SlotKey,
    /// Where the walk began; [`ServerId::NONE`] when nobody could be chosen.
    pub(super) initial: ServerId,
    /// The server tried last.
    pub(super) current: ServerId,
    /// At `current`.
    pub(super) hold: Hold,
    /// Of `current`, when it was reserved.
    pub(super) era: u16,
    /// Of `current`.
    pub(super) proxy: ProxyHeader,
}

impl Attempt {
    pub(super) fn new(slot: SlotKey, initial: ServerId) -> Attempt {
        Attempt { slot, initial, current: initial, hold: Hold::Nothing, era: 0, proxy: ProxyHeader::None }
    }

    /// The server of the connection; meaningless after a last failure.
    pub fn server(&self) -> ServerId {
        self.current
    }

    /// The client's slot in the table; it may have gone to another client since.
    pub fn slot(&self) -> SlotKey {
        self.slot
    }

    /// Whether a connect that succeeds is to be told by `Balancer::connected`. Without a failure stamp there is nothing
    /// to clear, and an ordinary connection takes the balancer's lock only twice.
    pub fn clears_failure(&self) -> bool {
        self.hold == Hold::PlaceAfterFailure
    }

    /// What the connection to the server begins with.
    pub fn proxy(&self) -> ProxyHeader {
        self.proxy
    }

    /// The next server of the walk: upwards from the initial one and round, each at most once. Exact also when `count`
    /// changes on the way.
    pub(super) fn next_server(&self, count: usize) -> Option<ServerId> {
        let (initial, current) = (self.initial.index()?, self.current.index()?);
        let next = current + 1;
        let next = match current >= initial {
            true if next < count => Some(next),
            true => (initial > 0 && count > 0).then_some(0),
            false => (next < initial.min(count)).then_some(next),
        };
        next.map(ServerId::regular)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clients::ClientTable;
    use super::*;

    fn walk(initial: usize, mut count: impl FnMut(usize) -> usize) -> Vec<usize> {
        let slot = ClientTable::new(1).touch(ClientAddr::Unix, 0, 0);
        let mut attempt = Attempt::new(slot, ServerId::regular(initial));
        let mut tried = Vec::new();
        while let Some(next) = attempt.next_server(count(tried.len())) {
            attempt.current = next;
            tried.extend(next.index());
        }
        tried
    }

    #[test]
    fn walks_upwards_and_round_without_coming_back_to_the_initial_server() {
        assert_eq!(walk(0, |_| 1), [] as [usize; 0]);
        assert_eq!(walk(0, |_| 3), [1, 2]);
        assert_eq!(walk(1, |_| 4), [2, 3, 0]);
        assert_eq!(walk(2, |_| 3), [0, 1]);
    }

    #[test]
    fn ends_and_repeats_nobody_when_the_servers_change_on_the_way() {
        assert_eq!(walk(2, |tried| [5, 3, 3][tried.min(2)]), [3, 0, 1], "fewer, before the wrap");
        assert_eq!(walk(4, |tried| [5, 5, 2, 2][tried.min(3)]), [0, 1], "fewer, after the wrap");
        assert_eq!(walk(2, |tried| [3, 6][tried.min(1)]), [0, 1], "more, after the wrap");
        assert_eq!(walk(3, |_| 0), [] as [usize; 0], "all gone");
    }
}
