//! The library's side of an open session, without buffers of its own: while nothing is under way, it holds keys and little
//! else. The library's ordinary connections keep room for reads all the time, which is half of what they take.
//!
//! Does no I/O. Records are decrypted where they were read; what is incomplete at the end of a read is kept.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};
use std::cell::Cell;
use std::io::{self, Write};

/// The longest message of a handshake, which is kept until it is whole; the library takes no longer one.
const KEPT_BYTES_MAX: usize = 0xffff;
/// More room than this a thread does not keep for the next session that encrypts: 128 KiB, in records.
const SPARE_BYTES_MAX: usize = 132 << 10;

thread_local! {
    /// Room for encrypted bytes, which sessions use in turns: mostly everything is sent before another one encrypts.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One end of a connection with TLS.
pub struct Channel {
    pub end: End,
    /// The beginning of something that is not whole yet. What the library has read of it is decrypted already.
    kept: Vec<u8>,
    out: Outbox,
    /// The peer has said that it sends no more.
    pub peer_closed: bool,
    /// The library must not be asked any more: it would look for bytes that are gone.
    failed: bool,
    /// The keys have encrypted as much as is safe, and this version of TLS has no way to new ones.
    exhausted: bool,
}

pub enum End {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What is to be sent.
#[derive(Default)]
struct Outbox {
    buffer: Vec<u8>,
    /// Before this, bytes are sent; from `end` on, they mean nothing.
    start: usize,
    end: usize,
}

/// Calls that the library has for each kind of connection, but in no trait.
trait Kind: Sized {
    fn advance<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        bytes: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self>;
}

impl Kind for ClientConnectionData {
    fn advance<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        bytes: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self> {
        connection.process_tls_records(bytes)
    }
}

impl Kind for ServerConnectionData {
    fn advance<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        bytes: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self> {
        connection.process_tls_records(bytes)
    }
}

/// What is to be done when everything that came is done with.
enum Then<'a> {
    Rest,
    Encrypt(&'a [u8]),
    Close,
}

/// What came of a step.
#[derive(Default)]
struct Step {
    /// Bytes that are done with.
    used: usize,
    peer_closed: bool,
    exhausted: bool,
}

impl Channel {
    /// # Errors
    /// The library has nothing to begin with.
    pub fn new(end: End) -> Result<Channel, Error> {
        let (kept, out) = (Vec::new(), Outbox::default());
        let mut channel = Channel { end, kept, out, peer_closed: false, failed: false, exhausted: false };
        // A client speaks first.
        channel.take(&mut [], 0, &mut |_| {})?;
        Ok(channel)
    }

    pub fn common(&self) -> &CommonState {
        match &self.end {
            End::Client(client) => client,
            End::Server(server) => server,
        }
    }

    /// Puts what was kept to the front of `wire`, where what comes next belongs behind it; returns its length.
    pub fn lay_out(&self, wire: &mut [u8]) -> usize {
        wire[..self.kept.len()].copy_from_slice(&self.kept);
        self.kept.len()
    }

    /// Takes what the peer sent, which lies behind the `laid_out` bytes of [`Channel::lay_out`]; where they were not put
    /// before it, everything is copied. `plain` hears each decrypted piece.
    ///
    /// # Errors
    /// The peer broke the protocol or is refused; what is to be said to it can be written.
    pub fn take(
        &mut self,
        bytes: &mut [u8],
        laid_out: usize,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        if laid_out < self.kept.len() {
            let mut whole = [&self.kept, &*bytes].concat();
            return self.take(&mut whole, self.kept.len(), plain);
        }
        let step = self.step(bytes, plain, Then::Rest)?;
        let rest = if self.peer_closed { &[][..] } else { &bytes[step.used..] };
        if rest.len() > KEPT_BYTES_MAX {
            self.failed = true;
            return Err(Error::General("message buffer full".into()));
        }
        match rest.is_empty() {
            true => self.kept = Vec::new(),
            false => {
                self.kept.clear();
                self.kept.extend_from_slice(rest);
            }
        }
        Ok(())
    }

    /// Encrypts bytes, all of them; or none, and then [`Channel::write_to`] fails.
    pub fn encrypt(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.at_rest(Then::Encrypt(bytes));
        }
    }

    /// Says that nothing more comes from us.
    pub fn close(&mut self) {
        self.at_rest(Then::Close);
    }

    fn at_rest(&mut self, then: Then<'_>) {
        let mut kept = std::mem::take(&mut self.kept);
        // There is nothing whole in what was kept: it cannot be wrong, and nothing of it is decrypted.
        if let Ok(step) = self.step(&mut kept, &mut |_| {}, then) {
            kept.drain(..step.used);
        }
        self.kept = kept;
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
        then: Then<'_>,
    ) -> Result<Step, Error> {
        if self.failed {
            return Err(Error::General("the session has failed before".into()));
        }
        let Channel { end, out, .. } = self;
        let step = match end {
            End::Client(client) => step(client, bytes, out, plain, then),
            End::Server(server) => step(server, bytes, out, plain, then),
        };
        self.exhausted = step.as_ref().is_ok_and(|step| step.exhausted);
        // Nothing follows, no farewell either: the peer would take it for the end of what was to be sent.
        self.failed = step.is_err() || self.exhausted;
        self.peer_closed |= step.as_ref().is_ok_and(|step| step.peer_closed);
        step
    }

    pub fn wants_write(&self) -> bool {
        !self.out.is_empty() || self.exhausted
    }

    /// Writes some of what is there for the peer; 0 when there is nothing.
    ///
    /// # Errors
    /// Those of `to`; the keys are exhausted, and not everything could be encrypted.
    pub fn write_to(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        match self.out.is_empty() {
            _ if self.exhausted => Err(io::Error::other("the keys of the session are exhausted")),
            true => Ok(0),
            false => self.out.write_to(to),
        }
    }
}

/// Goes on until the library needs more from the peer, or has nothing to do.
fn step<K: Kind>(
    connection: &mut UnbufferedConnectionCommon<K>,
    bytes: &mut [u8],
    out: &mut Outbox,
    plain: &mut dyn FnMut(&[u8]),
    then: Then<'_>,
) -> Result<Step, Error> {
    let mut step = Step::default();
    loop {
        let UnbufferedStatus { mut discard, state } = K::advance(connection, &mut bytes[step.used..]);
        let mut is_over = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => _ = out.put(|room| data.encode(room)),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::PeerClosed) => step.peer_closed = true,
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                step.exhausted = !write(&mut traffic, out, &then);
                is_over = true;
            }
            // It waits for more, or both sides are closed. Early data is not allowed to anybody.
            Ok(_) => is_over = true,
            Err(error) => {
                say_why(connection, out);
                return Err(error);
            }
        }
        step.used += discard;
        if is_over {
            return Ok(step);
        }
    }
}

/// False when the keys are exhausted.
fn write<K>(traffic: &mut WriteTraffic<'_, K>, out: &mut Outbox, then: &Then<'_>) -> bool {
    match then {
        Then::Rest => true,
        Then::Encrypt(bytes) => out.put(|room| traffic.encrypt(bytes, room)),
        Then::Close => out.put(|room| traffic.queue_close_notify(room)),
    }
}

/// Takes the alert that a failed step left behind.
fn say_why<K: Kind>(connection: &mut UnbufferedConnectionCommon<K>, out: &mut Outbox) {
    while connection.wants_write() {
        // What waits to be sent comes before the library looks at what came.
        match K::advance(connection, &mut []).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => _ = out.put(|room| data.encode(room)),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
            _ => return,
        }
    }
}

/// How the library says that there was not room enough.
trait Short {
    /// How much it wants, or nothing, when more room is no help.
    fn wanted(&self) -> Option<usize>;
}

impl Short for EncodeError {
    fn wanted(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl Short for EncryptError {
    fn wanted(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(size) => Some(size.required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Lets `fill` write behind what is there, in as much room as it wants; false when more room is no help.
    fn put<E: Short>(&mut self, mut fill: impl FnMut(&mut [u8]) -> Result<usize, E>) -> bool {
        if self.buffer.is_empty() {
            self.buffer = SPARE.take();
        }
        loop {
            match fill(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return true;
                }
                Err(error) => match error.wanted() {
                    Some(size) => self.buffer.resize(self.end + size, 0),
                    None => return false,
                },
            }
        }
    }

    fn write_to(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        let written = to.write(&self.buffer[self.start..self.end]);
        self.start += written.as_ref().unwrap_or(&0);
        let left = self.end - self.start;
        // Who waits for a slow peer holds no more than is left.
        if 2 * left <= self.buffer.len() {
            let rest = self.buffer[self.start..self.end].to_vec();
            give_back(std::mem::replace(&mut self.buffer, rest));
            (self.start, self.end) = (0, left);
        }
        written
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.buffer));
    }
}

/// The larger one is kept for the next session, unless the thread is about to end.
fn give_back(buffer: Vec<u8>) {
    let _ = SPARE.try_with(|place| {
        let spare = place.take();
        let is_better = buffer.len() > spare.len() && buffer.len() <= SPARE_BYTES_MAX;
        place.set(if is_better { buffer } else { spare });
    });
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
