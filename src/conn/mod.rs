//! One TCP connection: a downstream socket, an upstream socket and the two directions between them.
//!
//! What a connection *is* stands here; how bytes move in `relay`, who opens and ends it in `worker`.

pub mod buffers;
pub mod end;
mod extras;
pub mod handshake;
pub mod relay;
mod socket;
pub mod splice;

use crate::balance::{Asker, Attempt, Endpoint, Released, Route};
use crate::half_close;
use crate::net::tls::Session;
use crate::os::Fd;
use buffers::Pending;
use end::{End, Sessions};
pub use extras::{Chain, Extras, PollWait, Via, Wait};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::FastClose;
pub use pen_proto::status::CloseReason;
use pen_proto::status::bits;
pub use socket::Socket;
use std::sync::Arc;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Downstream.
    Client,
    /// Upstream.
    Server,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `proxy_accept`: the downstream's word for whom it connects; the client is not known yet.
    ProxyHeader,
    /// `peek`: the client's first bytes; no server is chosen yet.
    FirstBytes,
    /// The name that the client asks for in TLS that is not ours; no server is chosen yet.
    Hello,
    /// What the client asks for; no server is chosen yet.
    Request,
    /// The end of the TLS handshake with the client; no server is chosen yet.
    Handshake,
    /// The client to take the reason why its handshake failed.
    Goodbye,
    /// Nothing: a server is looked for.
    Choosing,
    /// The server to accept.
    Connecting,
    /// Descriptors for the upstream socket.
    Shortage,
    /// Room in the queue of a server on a Unix socket.
    Busy,
    /// A server that is not full.
    Queued,
    /// A place is reserved, and a check of the server is under way.
    Polled,
    /// Either side to send or to take bytes.
    Relaying,
    /// `dummy`: the client to ask, or, once answered, to close.
    Dummy { answered: bool },
}

/// How a connection counts towards what one client may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limit {
    /// Not at all: there is no limit, or nobody knows yet who the client is.
    #[default]
    None,
    /// It is given back when the connection ends.
    Counted,
    /// The client had everything it may have already.
    Over,
}

/// Bytes on their way from one side to the other.
#[derive(Debug, Default)]
pub struct Direction {
    /// Read, but not yet taken by the receiver; while there is any, nothing more is read.
    pub pending: Option<Box<Pending>>,
    /// Relayed so far.
    pub bytes: u64,
    /// The sender has ended its side.
    pub eof: bool,
    /// The receiver was told so (or is gone, see `receiver_gone`).
    pub shut: bool,
    /// The receiver takes nothing any more; what still comes is of no use.
    pub receiver_gone: bool,
    /// The sender is not read: what it says next depends on what the receiver says first.
    pub waits: bool,
    /// Bytes asked for per read, as a power of two; grows with a sender that fills it.
    pub chunk_log2: u8,
}

impl Direction {
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.len())
    }

    /// Read so far of what was not for nothing.
    pub fn moved_bytes(&self) -> u64 {
        self.bytes + self.pending_bytes() as u64
    }

    /// As `half_close` decides on it. To a receiver that is gone there is nothing to pass on.
    pub fn progress(&self) -> half_close::Direction {
        half_close::Direction {
            ended: self.is_ending(),
            pending: self.pending.is_some(),
            shutdown_sent: self.shut || self.receiver_gone,
        }
    }

    /// Nothing is there to be read or to be written.
    #[inline]
    pub fn is_at_rest(&self, sender: &Socket) -> bool {
        !sender.readable && self.pending.is_none()
    }

    /// The sender has nothing more to say, or is not to be heard now.
    #[inline]
    pub fn is_unread(&self) -> bool {
        self.eof || self.waits
    }

    /// Its sender or its receiver is gone.
    #[inline]
    pub fn is_ending(&self) -> bool {
        self.eof || self.receiver_gone
    }

    /// Nothing more will flow this way.
    pub fn ended(&self) -> bool {
        self.receiver_gone || (self.eof && self.pending.is_none())
    }
}

/// The time of something that has not happened.
pub const NEVER_ASKED: u64 = u64::MAX;

#[derive(Debug)]
pub struct Connection {
    /// Under which its worker knows it.
    pub number: u32,
    pub client: Socket,
    pub server: Socket,
    pub from_client: Direction,
    pub from_server: Direction,
    pub stage: Stage,
    /// The client's address, which is that of the peer unless a PROXY header says otherwise: kept here, because the client
    /// table may forget it while the connection lives.
    pub address: ClientAddr,
    pub port: u16,
    /// The choice of its server, to be given back when it ends. `None` before a server is chosen.
    pub attempt: Option<Attempt>,
    /// Where that server is, or was when it was chosen. `None` before a server is chosen.
    pub endpoint: Option<Arc<Endpoint>>,
    /// What few connections have.
    pub extras: Option<Box<Extras>>,
    /// The server is to get a PROXY header, which has not been given out yet.
    pub greeting_due: bool,
    /// What the client has sent so far is not in the log yet: what is pending, or in the extras.
    pub unlogged: bool,
    /// Monotonic.
    pub started_ms: u64,
    /// Monotonic time of the last event.
    pub active_ms: u64,
    /// When the server was asked for something: when the connect began, or, on a connection that was kept ready, when the
    /// client's first bytes went out. [`NEVER_ASKED`] before, and when the server has sent something. Monotonic.
    pub asked_ms: u64,
    /// Counts towards `pending_max`.
    pub counted_pending: bool,
    pub limit: Limit,
    /// Number of its service.
    pub service: u16,
    /// The worker's number of the listener it came through, which may have been closed since.
    pub listener: u16,
}

/// Idle connections are nearly all that a large pen keeps in memory: whoever adds to them does it here.
#[cfg(not(test))] // where descriptors may be simulated
const _: () = assert!(size_of::<Option<Connection>>() == 160);

/// A connection taken apart, see [`Connection::parts`].
pub struct Parts<'a> {
    pub client: End<'a>,
    pub server: End<'a>,
    pub from_client: &'a mut Direction,
    pub from_server: &'a mut Direction,
    pub chain: Option<&'a mut Chain>,
    /// Where the server is.
    pub endpoint: Option<&'a Endpoint>,
}

impl Connection {
    pub fn new(
        fd: Fd,
        address: ClientAddr,
        port: u16,
        (service, listener): (u16, u16),
        now_ms: u64,
    ) -> Connection {
        // Read before the first event: the client's request is often here already.
        let client =
            Socket { fd: Some(fd), readable: true, writable: true, nodelay: true, ..Socket::default() };
        Connection {
            number: 0,
            client,
            server: Socket::default(),
            from_client: Direction::default(),
            from_server: Direction::default(),
            stage: Stage::Choosing,
            address,
            port,
            attempt: None,
            endpoint: None,
            extras: None,
            greeting_due: false,
            unlogged: false,
            started_ms: now_ms,
            active_ms: now_ms,
            asked_ms: NEVER_ASKED,
            counted_pending: false,
            limit: Limit::None,
            service,
            listener,
        }
    }

    /// How it ends, if it ends now.
    pub fn released(&self) -> Released {
        Released {
            established: self.stage == Stage::Relaying,
            up_bytes: self.from_client.bytes,
            down_bytes: self.from_server.bytes,
        }
    }

    /// Its extras, made if there are none yet.
    pub fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// What the client has sent to a connection whose life is not proved, if it has one.
    pub fn unproven(&self) -> Option<&Pending> {
        self.extras.as_ref()?.chain.unproven.as_deref()
    }

    /// Takes that away.
    pub fn take_unproven(&mut self) -> Option<Box<Pending>> {
        let kept = self.extras.as_mut()?.chain.unproven.take();
        Extras::free_if_unused(&mut self.extras);
        kept
    }

    /// The number of its clone, if it has one.
    #[inline]
    pub fn clone(&self) -> Option<u32> {
        self.extras.as_ref()?.chain.clone
    }

    /// It has no clone any more.
    pub fn forget_clone(&mut self) -> Option<u32> {
        let clone = self.extras.as_mut()?.chain.clone.take();
        Extras::free_if_unused(&mut self.extras);
        clone
    }

    /// Whether it has TLS on one side or on both.
    pub fn is_secure(&self) -> bool {
        self.sessions().is_some()
    }

    /// Its TLS sessions, if it has any.
    pub fn sessions(&self) -> Option<&Sessions> {
        self.extras.as_ref()?.sessions.as_deref()
    }

    /// Whether bytes for this side lie encrypted in its session.
    pub fn has_encrypted(&self, receiver: Side) -> bool {
        let session = self.sessions().and_then(|sessions| sessions.get(receiver));
        session.is_some_and(Session::wants_write)
    }

    /// Whether a handshake with the server has begun.
    pub fn has_server_session(&self) -> bool {
        self.sessions().is_some_and(|sessions| sessions.server.is_some())
    }

    /// The session goes with the socket.
    pub fn drop_server_session(&mut self) {
        let Some(extras) = &mut self.extras else { return };
        if let Some(sessions) = &mut extras.sessions {
            sessions.server = None;
        }
        extras.sessions.take_if(|sessions| sessions.client.is_none());
    }

    /// This side of it, with its session.
    pub fn end(&mut self, side: Side) -> End<'_> {
        let Connection { client, server, extras, .. } = self;
        let sessions = extras.as_mut().and_then(|extras| extras.sessions.as_mut());
        match side {
            Side::Client => {
                End { socket: client, session: sessions.and_then(|sessions| sessions.client.as_mut()) }
            }
            Side::Server => {
                End { socket: server, session: sessions.and_then(|sessions| sessions.server.as_mut()) }
            }
        }
    }

    /// Everything that its bytes pass, each part by itself.
    pub fn parts(&mut self) -> Parts<'_> {
        let Connection { client, server, from_client, from_server, extras, endpoint, .. } = self;
        let (chain, sessions) = match extras.as_deref_mut() {
            Some(Extras { chain, sessions, .. }) => (Some(chain), sessions.as_deref_mut()),
            None => (None, None),
        };
        let (with_client, with_server) = match sessions {
            Some(Sessions { client, server }) => (client.as_mut(), server.as_mut()),
            None => (None, None),
        };
        Parts {
            client: End { socket: client, session: with_client },
            server: End { socket: server, session: with_server },
            from_client,
            from_server,
            chain,
            endpoint: endpoint.as_deref(),
        }
    }

    /// `tcp_fastclose` as it counts here. A side that takes nothing any more has not ended its own: what it still says is
    /// waited for.
    pub fn fast_close(&self, wanted: FastClose) -> FastClose {
        if self.from_client.receiver_gone || self.from_server.receiver_gone { FastClose::Off } else { wanted }
    }

    /// Why it is closed when an end of file leads to that.
    pub fn end_reason(&self) -> CloseReason {
        let http = self.extras.as_ref().and_then(|extras| extras.chain.http.as_ref());
        if http.is_some_and(|exchanges| exchanges.is_refused()) {
            return CloseReason::BadRequest;
        }
        let both = self.from_client.ended() && self.from_server.ended();
        if both { CloseReason::Finished } else { CloseReason::FastClose }
    }

    /// One of its directions has lost an end.
    #[inline]
    pub fn is_ending(&self) -> bool {
        self.from_client.is_ending() || self.from_server.is_ending()
    }

    /// Nothing can be done for it before the next event. Not said of connections that have something special.
    pub fn is_at_rest(&self) -> bool {
        let Connection { client, server, from_client, from_server, extras, greeting_due, .. } = self;
        let is_special = extras.is_some() || *greeting_due;
        !is_special && !self.is_ending() && from_client.is_at_rest(client) && from_server.is_at_rest(server)
    }

    /// Who it is and what it asks for, to choose a server.
    pub fn asker(&self) -> Asker {
        let extras = self.extras.as_ref();
        let (route, uri) = extras.map_or((Route::DEFAULT, None), |extras| (extras.route, extras.uri));
        Asker { client: self.address, route, uri, is_over_limit: self.limit == Limit::Over }
    }

    /// What a PROXY header has said of it, if it has one.
    pub fn via(&self) -> Option<&Via> {
        self.extras.as_ref()?.via.as_ref()
    }

    /// Servers that failed before the present one.
    pub fn retries(&self) -> u32 {
        self.extras.as_ref().map_or(0, |extras| extras.retries)
    }

    pub fn socket(&mut self, side: Side) -> &mut Socket {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Pen's state [`bits`].
    pub fn state_bits(&self) -> u32 {
        let stage = match self.stage {
            Stage::ProxyHeader | Stage::FirstBytes | Stage::Hello | Stage::Request | Stage::Handshake => {
                bits::FIRST_BYTES
            }
            Stage::Choosing
            | Stage::Connecting
            | Stage::Shortage
            | Stage::Busy
            | Stage::Queued
            | Stage::Polled => bits::CONNECTING,
            Stage::Relaying | Stage::Dummy { .. } | Stage::Goodbye => bits::CONNECTED,
        };
        let ended = |eof: bool, bit: u32| if eof { bit } else { 0 };
        stage
            | ended(self.from_server.eof, bits::SERVER_ENDED)
            | ended(self.from_client.eof, bits::CLIENT_ENDED)
    }
}
