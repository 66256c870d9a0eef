//! One TLS session, with a client or with a server: encrypted bytes in, plain bytes out, and the other way round.
//!
//! Does no I/O. What it holds is bounded by what the caller feeds it: the caller stops reading while there is something
//! to write.

use super::Tls;
use super::channel::{Channel, End};
use super::front::Choice;
use super::words::words;
use crate::proxy_protocol::extensions::{ClientTls, Shown};
use crate::tls::certificate::Certificate;
use crate::tls::ciphers;
use crate::tls::hello;
use crate::tls::record::Boundaries;
use rustls::ProtocolVersion;
use rustls::client::UnbufferedClientConnection;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, UnbufferedServerConnection};
use std::fmt;
use std::io::{self, Write};

/// Why a session cannot go on, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<rustls::Error> for Trouble {
    fn from(error: rustls::Error) -> Trouble {
        Trouble(words(&error))
    }
}

/// A session, from the first byte to the last.
pub struct Session {
    state: State,
    /// We have said that we send no more.
    closed: bool,
    received: Boundaries,
}

enum State {
    /// The ClientHello is still coming.
    Hello(Box<Beginning>),
    /// It is here, and the certificate for its name is not; all that came waits.
    Waiting(Box<Accepted>, Vec<u8>),
    Open(Box<Open>),
    /// It failed before it was open; this is to be said.
    Broken(AcceptedAlert),
    /// The client speaks nothing newer than TLS 1.1; so does this, which is to be said.
    TooOld(Option<[u8; 7]>),
}

#[derive(Default)]
struct Beginning {
    acceptor: Acceptor,
    /// All that came of the client, for the connection that is made when its certificate is known.
    bytes: Vec<u8>,
}

struct Open {
    channel: Channel,
    /// The name that the client asks for, in lower case.
    server_name: Option<Box<str>>,
    /// Plain bytes that nobody has taken yet: what came with the end of the handshake.
    plain: Vec<u8>,
}

/// TLS 1.2, the oldest version that is spoken, on the wire.
const OLDEST_VERSION: u16 = 0x0303;

/// The fatal alert protocol_version in a record of this version (RFC 5246, section 7.2.2).
fn protocol_version_alert(version: u16) -> [u8; 7] {
    let [major, minor] = version.to_be_bytes();
    [21, major, minor, 0, 2, 2, 70]
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Hello(_) => "hello",
            State::Waiting(..) => "waiting",
            State::Open(open) if open.channel.common().is_handshaking() => "handshaking",
            State::Open(_) => "open",
            State::Broken(_) | State::TooOld(_) => "broken",
        };
        write!(f, "Session {state}")
    }
}

impl Session {
    /// With a client that is to begin.
    pub fn with_client() -> Session {
        Session::new(State::Hello(Box::default()))
    }

    /// With a server.
    ///
    /// # Errors
    /// The library has nothing to begin with.
    pub(super) fn with_server(connection: UnbufferedClientConnection) -> Result<Session, rustls::Error> {
        Ok(Session::new(State::open(End::Client(Box::new(connection)), None)?))
    }

    fn new(state: State) -> Session {
        Session { state, closed: false, received: Boundaries::default() }
    }

    /// Takes what the peer sent during the handshake. Plain bytes that came with its end are kept for
    /// [`Session::read_plain`].
    ///
    /// # Errors
    /// The peer broke the protocol or is refused; what is to be said to it can be written.
    pub fn shake(&mut self, mut bytes: &mut [u8]) -> Result<(), Trouble> {
        self.received.pass(bytes);
        while !bytes.is_empty() {
            match &mut self.state {
                State::Hello(beginning) => {
                    let Beginning { acceptor, bytes: came } = &mut **beginning;
                    let count =
                        acceptor.read_tls(&mut &*bytes).map_err(|error| Trouble(error.to_string()))?;
                    came.extend_from_slice(&bytes[..count]);
                    bytes = &mut bytes[count..];
                    match acceptor.accept() {
                        Ok(None) => {}
                        Ok(Some(accepted)) => {
                            self.state = State::Waiting(Box::new(accepted), std::mem::take(came));
                        }
                        Err((error, alert)) => return Err(self.break_off(error, alert)),
                    }
                }
                State::Waiting(_, came) => {
                    came.extend_from_slice(bytes);
                    return Ok(());
                }
                State::Open(open) => return open.take(bytes),
                State::Broken(_) | State::TooOld(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Chooses the certificate when the ClientHello is here. False: it is being looked for.
    ///
    /// # Errors
    /// As [`Session::shake`].
    pub fn choose(&mut self, tls: &Tls, now_ms: u64) -> Result<bool, Trouble> {
        let State::Waiting(accepted, came) = &mut self.state else { return Ok(true) };
        let Some(front) = &tls.front else { return Err(Trouble("TLS was switched off".into())) };
        let hello = accepted.client_hello();
        let Choice::Made(config) = front.config_for(&hello, now_ms) else { return Ok(false) };
        let server_name = hello.server_name().map(Box::from);
        let mut came = std::mem::take(came);
        let connection = UnbufferedServerConnection::new(config)?;
        self.state = State::open(End::Server(Box::new(connection)), server_name)?;
        let State::Open(open) = &mut self.state else { unreachable!("just made") };
        open.take(&mut came).map(|()| true)
    }

    fn break_off(&mut self, error: rustls::Error, alert: AcceptedAlert) -> Trouble {
        let first = match &self.state {
            State::Hello(beginning) => {
                beginning.bytes[..beginning.bytes.len().min(hello::VERSION_BYTES)].to_vec()
            }
            _ => Vec::new(),
        };
        if let Some(version) = hello::version(&first).filter(|version| *version < OLDEST_VERSION) {
            self.state = State::TooOld(Some(protocol_version_alert(version)));
            return Trouble("the peer speaks nothing newer than TLS 1.1".into());
        }
        self.state = State::Broken(alert);
        match error {
            // Somebody may have taken the port for one without TLS: what it said helps to see that.
            rustls::Error::InvalidMessage(_) if !first.is_empty() => {
                Trouble(format!("what the peer sends is no TLS; it begins with \"{}\"", first.escape_ascii()))
            }
            error => error.into(),
        }
    }

    /// Whether the bytes that came end within a record: if nothing follows, something is lost.
    pub fn is_inside_record(&self) -> bool {
        self.received.is_inside()
    }

    pub fn is_handshaking(&self) -> bool {
        self.channel().is_none_or(|channel| channel.common().is_handshaking())
    }

    /// Puts what is kept of a record that is not whole to the front of `wire`, which must have room for it and for what
    /// is read next, behind it. Returns its length, which is below 64 KiB.
    pub fn lay_out(&self, wire: &mut [u8]) -> usize {
        self.channel().map_or(0, |channel| channel.lay_out(wire))
    }

    /// Decrypts what the peer sent, which lies in `wire` behind what [`Session::lay_out`] put there, if it was called
    /// (`laid_out` bytes), and fills `plain` from the beginning. Returns how many plain bytes there are;
    /// [`Session::read_plain`] gives those for which there was no room.
    ///
    /// # Errors
    /// As [`Session::shake`]; what could be decrypted before is lost, because nobody knows where it came from.
    pub fn decrypt(&mut self, wire: &mut [u8], laid_out: usize, plain: &mut [u8]) -> Result<usize, Trouble> {
        self.received.pass(&wire[laid_out..]);
        let State::Open(open) = &mut self.state else { return Ok(0) };
        let Open { channel, plain: left, .. } = &mut **open;
        let mut count = 0;
        channel.take(wire, laid_out, &mut |piece| {
            let (fits, rest) = piece.split_at(piece.len().min(plain.len() - count));
            plain[count..count + fits.len()].copy_from_slice(fits);
            count += fits.len();
            left.extend_from_slice(rest);
        })?;
        Ok(count)
    }

    /// Plain bytes that were kept.
    pub fn read_plain(&mut self, plain: &mut [u8]) -> usize {
        let State::Open(open) = &mut self.state else { return 0 };
        let left = &mut open.plain;
        let count = left.len().min(plain.len());
        plain[..count].copy_from_slice(&left[..count]);
        match count == left.len() {
            true => *left = Vec::new(),
            false => _ = left.drain(..count),
        }
        count
    }

    fn channel(&self) -> Option<&Channel> {
        match &self.state {
            State::Open(open) => Some(&open.channel),
            _ => None,
        }
    }

    fn channel_mut(&mut self) -> Option<&mut Channel> {
        match &mut self.state {
            State::Open(open) => Some(&mut open.channel),
            _ => None,
        }
    }

    /// Whether the peer has said that it sends no more.
    pub fn peer_closed(&self) -> bool {
        self.channel().is_some_and(|channel| channel.peer_closed)
    }

    /// Encrypts bytes, all of them; they are to be written by [`Session::write_to`].
    pub fn encrypt(&mut self, plain: &[u8]) {
        if let Some(channel) = self.channel_mut() {
            channel.encrypt(plain);
        }
    }

    /// Says that nothing more comes from us; once.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true)
            && let Some(channel) = self.channel_mut()
        {
            channel.close();
        }
    }

    /// Whether there is something for the peer. What a failed beginning left to be said is not counted.
    pub fn wants_write(&self) -> bool {
        self.channel().is_some_and(Channel::wants_write)
    }

    /// Writes some of what is there for the peer; 0 when there is nothing.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<usize> {
        match &mut self.state {
            State::Open(open) => open.channel.write_to(out),
            State::Broken(alert) => alert.write(out),
            State::TooOld(alert) => alert.take().map_or(Ok(0), |alert| out.write(&alert)),
            _ => Ok(0),
        }
    }

    /// The name that the client asks for, in lower case.
    pub fn server_name(&self) -> Option<&str> {
        match &self.state {
            State::Open(open) => open.server_name.as_deref(),
            _ => None,
        }
    }

    /// The protocol that was agreed on inside TLS.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.channel()?.common().alpn_protocol()
    }

    /// What a server may be told of a client that has TLS with us.
    pub fn client_tls(&self) -> Option<ClientTls<'_>> {
        let channel = self.channel().filter(|channel| matches!(channel.end, End::Server(_)))?;
        let common = channel.common();
        let version = match common.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = format!("{:?}", common.negotiated_cipher_suite()?.suite());
        let known = ciphers::TLS13.iter().chain(&ciphers::TLS12).find(|known| known.standard_name == suite);
        let certificate = common.peer_certificates().and_then(|chain| chain.first());
        Some(ClientTls {
            version,
            cipher: known.map_or("", |cipher| cipher.name),
            server_name: self.server_name(),
            protocol: common.alpn_protocol(),
            certificate: certificate.map(|certificate| Shown {
                common_name: Certificate::read(certificate).and_then(|certificate| certificate.common_name()),
                earlier: self.is_resumed(),
            }),
        })
    }

    /// Whether the session was taken up again, without a full handshake.
    pub fn is_resumed(&self) -> bool {
        self.channel()
            .is_some_and(|channel| channel.common().handshake_kind() == Some(rustls::HandshakeKind::Resumed))
    }
}

impl State {
    fn open(end: End, server_name: Option<Box<str>>) -> Result<State, rustls::Error> {
        Ok(State::Open(Box::new(Open { channel: Channel::new(end)?, server_name, plain: Vec::new() })))
    }
}

impl Open {
    /// Takes what came during the handshake.
    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Trouble> {
        let Open { channel, plain, .. } = self;
        Ok(channel.take(bytes, 0, &mut |piece| plain.extend_from_slice(piece))?)
    }
}
