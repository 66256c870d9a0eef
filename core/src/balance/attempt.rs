//! A client's way through the servers, from admission to release. Pure.
//!
//! An [`Attempt`] is the receipt for one counted connection: it cannot be copied, so it is given back once. The chooser
//! makes and moves it; whoever owns the connection keeps it.

use super::clients::SlotKey;
use super::polls::Poll;
use super::queue::Ticket;
use super::routes::Route;
use super::servers::{Endpoint, ServerId};
use super::tried::TriedKey;
use crate::uri::Uri;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::ProxyHeader;
use std::sync::Arc;

/// Who wants a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub client: ClientAddr,
    /// What it asks for in TLS, see [`super::Selection::route`].
    pub route: Route,
    /// What it asks for in its first request, if the policy goes by that.
    pub uri: Option<Uri>,
    /// It has all that `client_conn_max` and `client_rate` give it.
    pub is_over_limit: bool,
}

impl From<ClientAddr> for Asker {
    /// Asks for nothing.
    fn from(client: ClientAddr) -> Asker {
        Asker { client, route: Route::DEFAULT, uri: None, is_over_limit: false }
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
    /// It has all that a client may have, and there is no abuse server that takes it.
    OverLimit,
    /// No server, the emergency server included, takes it.
    NoServer,
}

/// What becomes of a new client that can wait, or of one whose server failed.
#[derive(Debug)]
pub enum Arrival {
    /// A place is reserved: connect there, then report how it went.
    Connect(Attempt, Arc<Endpoint>),
    /// A place is reserved: connect there when a check has found the server well.
    Polls(Attempt, Arc<Endpoint>, Poll),
    /// Every server is full.
    Waits(Ticket),
    Refused(Refusal),
}

impl Arrival {
    /// Where a place is reserved, if it is a server for clients that are welcome.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Arrival::Connect(attempt, _) | Arrival::Polls(attempt, ..) => {
                Some(attempt.current).filter(|server| *server != ServerId::ABUSE)
            }
            Arrival::Waits(_) | Arrival::Refused(_) => None,
        }
    }
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

/// Whether a server counts a connection, and what is to be told when it is established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    Place,
    /// The connection clears a failure of the server, or ends an outage, when it is established.
    PlaceAfterFailure,
    /// The same, and the server was given only because no other took the client.
    LastResort {
        /// It was not so for the client before.
        begins: bool,
    },
}

/// The place a connection holds at a server; small, because every connection has one. Hand it to `Chooser::release` or
/// `Chooser::abandon` in the end.
#[derive(Debug)]
#[must_use = "the server's connection count is given back by release or abandon"]
pub struct Attempt {
    pub(super) slot: SlotKey,
    /// The server tried last; [`ServerId::NONE`] when nobody could be chosen.
    pub(super) current: ServerId,
    /// At `current`.
    pub(super) hold: Hold,
    /// Of `current`, when it was reserved.
    pub(super) era: u16,
    /// Of `current`.
    pub(super) proxy: ProxyHeader,
    /// The servers before `current`.
    pub(super) tried: Option<TriedKey>,
}

const _: () = assert!(size_of::<Attempt>() == 16);

impl Attempt {
    pub(super) fn new(slot: SlotKey, initial: ServerId) -> Attempt {
        Attempt { slot, current: initial, hold: Hold::Nothing, era: 0, proxy: ProxyHeader::None, tried: None }
    }

    /// Of a copy, which belongs to no client.
    pub(super) fn of_copy() -> Attempt {
        Attempt::new(SlotKey::NONE, ServerId::NONE)
    }

    /// The server of the connection; meaningless after a last failure.
    pub fn server(&self) -> ServerId {
        self.current
    }

    /// The client's slot in the table; it may have gone to another client since.
    pub fn slot(&self) -> SlotKey {
        self.slot
    }

    /// Whether a connect that succeeds is to be told by `Selection::connected`. Where nothing has failed there is nothing
    /// to tell, and an ordinary connection takes the pool's lock only twice.
    pub fn clears_failure(&self) -> bool {
        let is_after_failure = matches!(self.hold, Hold::PlaceAfterFailure | Hold::LastResort { .. });
        is_after_failure || (self.tried.is_some() && self.hold == Hold::Place)
    }

    /// Whether it was sent to a server in vain: see `Selection::forget_tried`.
    pub fn has_tried(&self) -> bool {
        self.tried.is_some()
    }

    /// Whether this is the first client for whom only a server was left that had failed. `Selection::connected` tells when
    /// that is over.
    pub fn begins_outage(&self) -> bool {
        self.hold == Hold::LastResort { begins: true }
    }

    /// What the connection to the server begins with.
    pub fn proxy(&self) -> ProxyHeader {
        self.proxy
    }
}
