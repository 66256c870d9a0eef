//! What a UDP session is: the socket to its server, and what is known of the two ends.

use super::clones::CloneSide;
use crate::balance::{Attempt, Endpoint};
use pen_core::udp::burst::Burst;
use pen_proto::addr::ClientAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Kept of what a client sends, until its server has answered for the first time.
pub const KEPT_BYTES_MAX: usize = 4096;

/// What a client has sent to a server that has not answered it yet: if that cannot be reached, the next one gets it.
#[derive(Debug, Default)]
pub struct Kept {
    datagrams: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Kept {
    /// Keeps a copy, if there is room. Each counts one byte more than it has: empty ones are kept too.
    pub fn push(&mut self, datagram: &[u8]) {
        let bytes = self.bytes + datagram.len() + 1;
        if bytes <= KEPT_BYTES_MAX {
            self.bytes = bytes;
            self.datagrams.push(datagram.into());
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.datagrams.iter().map(|datagram| &datagram[..])
    }
}

#[derive(Debug)]
pub struct Session {
    /// Number of its service.
    pub service: u16,
    /// Connected to the server; `None` only while one is looked for.
    pub socket: Option<OwnedFd>,
    /// The choice of its server, to be given back when it ends.
    pub attempt: Option<Attempt>,
    pub endpoint: Arc<Endpoint>,
    pub address: ClientAddr,
    /// Client to present server.
    pub up_bytes: u64,
    /// Present server to client.
    pub down_bytes: u64,
    /// Monotonic.
    pub started_ms: u64,
    /// Monotonic time of the last datagram.
    pub active_ms: u64,
    /// When the first datagram went to the server that has not been answered, nor been judged as unanswered.
    pub unanswered_ms: Option<u64>,
    /// When its timer rings.
    pub timer_ms: Option<u64>,
    /// Servers that failed before the present one.
    pub retries: u32,
    /// `None` once the present server has answered.
    pub kept: Option<Kept>,
    /// The PROXY header that its server wants before each datagram; empty when it wants none.
    pub header: Box<[u8]>,
    /// Its socket has been asked for runs of datagrams.
    pub takes_runs: bool,
    /// How many datagrams its server sends at once.
    pub burst: Burst,
    /// Its socket has the address that the settings say.
    pub is_bound: bool,
    /// It counts towards what its client may have.
    pub is_counted: bool,
    /// What a downstream has said of the client beside its address.
    pub told: Option<Box<Told>>,
    /// Gets a copy of what the client sends.
    pub clone: Option<Box<CloneSide>>,
}

/// What servers are told that a downstream has said.
#[derive(Debug, Default)]
pub struct Told {
    /// Where the client sent its datagrams to.
    pub destination: Option<SocketAddr>,
    pub extensions: Vec<u8>,
}

impl Session {
    pub fn new(
        service: u16,
        address: ClientAddr,
        attempt: Attempt,
        endpoint: Arc<Endpoint>,
        now_ms: u64,
    ) -> Session {
        Session {
            service,
            socket: None,
            attempt: Some(attempt),
            endpoint,
            address,
            up_bytes: 0,
            down_bytes: 0,
            started_ms: now_ms,
            active_ms: now_ms,
            unanswered_ms: None,
            timer_ms: None,
            retries: 0,
            kept: Some(Kept::default()),
            header: Box::default(),
            takes_runs: false,
            burst: Burst::default(),
            is_bound: false,
            is_counted: false,
            told: None,
            clone: None,
        }
    }
}

/// The socket of a session that had to go, for the one that takes its place.
#[derive(Debug)]
pub struct Seat {
    pub socket: OwnedFd,
    pub is_ipv4: bool,
    pub takes_runs: bool,
}

impl Session {
    /// Takes away its socket, if another session could use it.
    pub fn take_seat(&mut self) -> Option<Seat> {
        let is_ipv4 = self.endpoint.internet_address()?.is_ipv4();
        let socket = self.socket.take_if(|_| !self.is_bound)?;
        Some(Seat { socket, is_ipv4, takes_runs: self.takes_runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut kept = Kept::default();
        kept.push(b"first");
        kept.push(&[0; KEPT_BYTES_MAX]);
        kept.push(b"");
        assert_eq!(kept.iter().collect::<Vec<_>>(), [&b"first"[..], b""]);
        (0..2 * KEPT_BYTES_MAX).for_each(|_| kept.push(b""));
        assert_eq!(kept.iter().count(), KEPT_BYTES_MAX - 5);
    }
}
