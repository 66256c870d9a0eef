//! One TLS session, with a client or with a server: encrypted bytes in, plain bytes out, and the other way round.
//!
//! Does no I/O. What it holds is bounded by what the caller feeds it: the caller stops reading while there is something
//! to write.

use super::Tls;
use super::front::Choice;
use super::words::words;
use crate::proxy_protocol::extensions::{ClientTls, Shown};
use crate::tls::certificate::Certificate;
use crate::tls::ciphers;
use crate::tls::hello;
use crate::tls::record::Boundaries;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{Connection, ProtocolVersion};
use std::fmt;
use std::io::{self, Read, Write};

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
    /// The peer has said that it sends no more.
    peer_closed: bool,
    /// So have we.
    closed: bool,
    received: Boundaries,
}

enum State {
    /// The ClientHello is still coming.
    Hello(Box<Beginning>),
    /// It is here, and the certificate for its name is not; what came behind it waits.
    Waiting(Box<Accepted>, Vec<u8>),
    Open(Box<Connection>),
    /// It failed before it was open; this is to be said.
    Broken(AcceptedAlert),
    /// The client speaks nothing newer than TLS 1.1; so does this, which is to be said.
    TooOld(Option<[u8; 7]>),
}

#[derive(Default)]
struct Beginning {
    acceptor: Acceptor,
    /// The first bytes of the client, up to [`hello::VERSION_BYTES`].
    first: Vec<u8>,
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
            State::Open(connection) if connection.is_handshaking() => "handshaking",
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

    pub(super) fn open(mut connection: Connection) -> Session {
        connection.set_buffer_limit(None); // the caller limits what it gives
        Session::new(State::Open(Box::new(connection)))
    }

    fn new(state: State) -> Session {
        Session { state, peer_closed: false, closed: false, received: Boundaries::default() }
    }

    /// Takes what the peer sent during the handshake. Plain bytes that came with its end are kept for
    /// [`Session::read_plain`].
    ///
    /// # Errors
    /// The peer broke the protocol or is refused; what is to be said to it can be written.
    pub fn shake(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.received.pass(bytes);
        self.go_on(bytes)
    }

    fn go_on(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Hello(beginning) => {
                    let Beginning { acceptor, first } = &mut **beginning;
                    let missing = hello::VERSION_BYTES.saturating_sub(first.len());
                    first.extend_from_slice(&bytes[..missing.min(bytes.len())]);
                    acceptor.read_tls(&mut bytes).map_err(|error| Trouble(error.to_string()))?;
                    match acceptor.accept() {
                        Ok(None) => {}
                        Ok(Some(accepted)) => self.state = State::Waiting(Box::new(accepted), Vec::new()),
                        Err((error, alert)) => return Err(self.break_off(error, alert)),
                    }
                }
                State::Waiting(_, behind) => {
                    behind.extend_from_slice(bytes);
                    return Ok(());
                }
                State::Open(connection) => {
                    connection.read_tls(&mut bytes).map_err(|error| Trouble(error.to_string()))?;
                    self.peer_closed |= connection.process_new_packets()?.peer_has_closed();
                }
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
        let State::Waiting(accepted, _) = &self.state else { return Ok(true) };
        let Some(front) = &tls.front else { return Err(Trouble("TLS was switched off".into())) };
        let Choice::Made(config) = front.config_for(&accepted.client_hello(), now_ms) else {
            return Ok(false);
        };
        let State::Waiting(accepted, behind) =
            std::mem::replace(&mut self.state, State::Hello(Box::default()))
        else {
            unreachable!("looked at above");
        };
        match accepted.into_connection(config) {
            Ok(connection) => self.state = Session::open(connection.into()).state,
            Err((error, alert)) => return Err(self.break_off(error, alert)),
        }
        self.go_on(&behind).map(|()| true)
    }

    fn break_off(&mut self, error: rustls::Error, alert: AcceptedAlert) -> Trouble {
        let first = match &self.state {
            State::Hello(beginning) => beginning.first.clone(),
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
        match &self.state {
            State::Open(connection) => connection.is_handshaking(),
            _ => true,
        }
    }

    /// Decrypts what the peer sent and fills `plain` from the beginning, which must have room for as much as `bytes`
    /// and the 32 KiB that may have been kept. Returns how many plain bytes there are.
    ///
    /// # Errors
    /// As [`Session::shake`]; what could be decrypted before is lost, because nobody knows where it came from.
    pub fn decrypt(&mut self, mut bytes: &[u8], plain: &mut [u8]) -> Result<usize, Trouble> {
        self.received.pass(bytes);
        let State::Open(connection) = &mut self.state else { return Ok(0) };
        let mut count = 0;
        while !bytes.is_empty() {
            connection.read_tls(&mut bytes).map_err(|error| Trouble(error.to_string()))?;
            self.peer_closed |= connection.process_new_packets()?.peer_has_closed();
            while let Ok(more @ 1..) = connection.reader().read(&mut plain[count..]) {
                count += more;
            }
        }
        Ok(count)
    }

    /// Plain bytes that were kept.
    pub fn read_plain(&mut self, plain: &mut [u8]) -> usize {
        let State::Open(connection) = &mut self.state else { return 0 };
        connection.reader().read(plain).unwrap_or(0) // it has only reasons to wait
    }

    /// Whether the peer has said that it sends no more.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Encrypts bytes, all of them; they are to be written by [`Session::write_to`].
    pub fn encrypt(&mut self, plain: &[u8]) {
        if let State::Open(connection) = &mut self.state {
            // Cannot fail without a limit.
            let _ = connection.writer().write_all(plain);
        }
    }

    /// Says that nothing more comes from us; once.
    pub fn close(&mut self) {
        if let State::Open(connection) = &mut self.state
            && !std::mem::replace(&mut self.closed, true)
        {
            connection.send_close_notify();
        }
    }

    /// Whether there is something for the peer. What a failed beginning left to be said is not counted.
    pub fn wants_write(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.wants_write(),
            _ => false,
        }
    }

    /// Writes some of what is there for the peer; 0 when there is nothing.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<usize> {
        match &mut self.state {
            State::Open(connection) if connection.wants_write() => connection.write_tls(out),
            State::Broken(alert) => alert.write(out),
            State::TooOld(alert) => alert.take().map_or(Ok(0), |alert| out.write(&alert)),
            _ => Ok(0),
        }
    }

    /// The name that the client asks for, in lower case.
    pub fn server_name(&self) -> Option<&str> {
        match &self.state {
            State::Open(connection) => match &**connection {
                Connection::Server(server) => server.server_name(),
                Connection::Client(_) => None,
            },
            _ => None,
        }
    }

    /// The protocol that was agreed on inside TLS.
    pub fn protocol(&self) -> Option<&[u8]> {
        match &self.state {
            State::Open(connection) => connection.alpn_protocol(),
            _ => None,
        }
    }

    /// What a server may be told of a client that has TLS with us.
    pub fn client_tls(&self) -> Option<ClientTls<'_>> {
        let State::Open(connection) = &self.state else { return None };
        let Connection::Server(server) = &**connection else { return None };
        let version = match server.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = format!("{:?}", server.negotiated_cipher_suite()?.suite());
        let known = ciphers::TLS13.iter().chain(&ciphers::TLS12).find(|known| known.standard_name == suite);
        let certificate = server.peer_certificates().and_then(|chain| chain.first());
        Some(ClientTls {
            version,
            cipher: known.map_or("", |cipher| cipher.name),
            server_name: server.server_name(),
            protocol: server.alpn_protocol(),
            certificate: certificate.map(|certificate| Shown {
                common_name: Certificate::read(certificate).and_then(|certificate| certificate.common_name()),
                earlier: self.is_resumed(),
            }),
        })
    }

    /// Whether the session was taken up again, without a full handshake.
    pub fn is_resumed(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            _ => false,
        }
    }
}
