//! One end of a connection of the load: a TCP stream, with TLS inside it or without.
//!
//! Owns the stream and its session. To its users both kinds are sockets that do not block.

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, kx_group::X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// In the certificate, and what clients ask for.
const HOST: &str = "localhost";
/// Servers of which sessions are remembered; there is one.
const REMEMBERED_SERVERS: usize = 1;

pub struct Wire {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
}

impl Wire {
    pub fn plain(stream: TcpStream) -> Wire {
        Wire { stream, session: None }
    }

    /// For a client.
    pub fn tls(stream: TcpStream, terms: &Arc<ClientConfig>) -> io::Result<Wire> {
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let session = ClientConnection::new(terms.clone(), name).map_err(io::Error::other)?;
        Ok(Wire { stream, session: Some(Box::new(session)) })
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether its handshake took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        let kind = self.session.as_ref().and_then(|session| session.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Says that nothing more comes, where that is part of what is spoken.
    pub fn say_end(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.send_close_notify();
        write_out(session, &mut self.stream)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.stream.read(buffer) };
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            // At the end of the stream the session knows whether it ends as it should.
            session.read_tls(&mut self.stream)?;
            session.process_new_packets().map_err(io::Error::other)?;
            write_out(session, &mut self.stream)?;
        }
    }
}

impl Write for Wire {
    /// What is written before the handshake is over goes out with its end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.stream.write(bytes) };
        let count = session.writer().write(bytes)?;
        write_out(session, &mut self.stream)?;
        Ok(count)
    }

    /// Begins the handshake of one who has nothing to write.
    fn flush(&mut self) -> io::Result<()> {
        self.session.as_mut().map_or(Ok(()), |session| write_out(session, &mut self.stream))
    }
}

/// Handshakes and messages are smaller than any socket buffer.
fn write_out(session: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(stream)?;
    }
    Ok(())
}

/// Makes a certificate for an ECDSA key on P-256, with its key in the same file, in `directory`.
///
/// # Errors
/// There is no openssl, or what it said.
pub fn make_certificate(directory: &Path) -> io::Result<PathBuf> {
    let [key, certificate, both] =
        ["key.pem", "certificate.pem", "both.pem"].map(|name| directory.join(name));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"]);
    command.args([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate).stdin(Stdio::null());
    let output = command.output().map_err(|error| io::Error::other(format!("openssl: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("openssl: {said}")));
    }
    std::fs::write(&both, [std::fs::read(&certificate)?, std::fs::read(&key)?].concat())?;
    Ok(both)
}

/// What clients ask for: TLS 1.3 with one cipher and one group, so that no program can choose something cheaper than
/// another. They trust this certificate only.
///
/// # Errors
/// The file has no certificate that can be used.
pub fn terms(certificate: &Path, resumes: bool) -> io::Result<Arc<ClientConfig>> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![X25519];
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
    roots.add(trusted).map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?;
    let mut terms = builder.with_root_certificates(roots).with_no_client_auth();
    terms.resumption =
        if resumes { Resumption::in_memory_sessions(REMEMBERED_SERVERS) } else { Resumption::disabled() };
    Ok(Arc::new(terms))
}
