//! Clients and servers that speak TLS as they should.

use crate::certificates::{Authority, Pair};
use crate::common::backend::Backend;
use crate::common::client::Client;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

pub const BOTH_VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// How clients of a test speak.
#[derive(Clone)]
pub struct Speaker {
    config: ClientConfig,
}

impl Speaker {
    /// Trusts the authority.
    pub fn trusting(authority: &Authority) -> Speaker {
        Speaker::with(authority, None, &BOTH_VERSIONS)
    }

    pub fn with(
        authority: &Authority,
        own: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Speaker {
        Speaker::of(aws_lc_rs::default_provider(), authority, own, versions)
    }

    /// Offers these groups, in this order.
    pub fn with_groups(
        authority: &Authority,
        groups: &[&'static dyn SupportedKxGroup],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Speaker {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        Speaker::of(provider, authority, None, versions)
    }

    fn of(
        provider: CryptoProvider,
        authority: &Authority,
        own: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Speaker {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority.roots());
        let mut config = match own {
            Some(own) => builder.with_client_auth_cert(own.chain(), own.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(64);
        Speaker { config }
    }

    pub fn offering(mut self, protocols: &[&str]) -> Speaker {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Connects, asks for `name` and finishes the handshake.
    pub fn try_connect(&self, to: SocketAddr, name: &str) -> io::Result<TlsClient> {
        self.try_over(Client::connect(to).stream, name)
    }

    pub fn try_over(&self, stream: TcpStream, name: &str) -> io::Result<TlsClient> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(TlsClient { stream })
    }

    /// # Panics
    /// When the handshake fails.
    pub fn connect(&self, to: SocketAddr, name: &str) -> TlsClient {
        self.try_connect(to, name).unwrap_or_else(|error| panic!("TLS with {to} as {name}: {error}"))
    }
}

/// A client whose handshake is over.
pub struct TlsClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
        self.stream.flush().expect("send");
    }

    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte).expect("a line");
            match byte[0] {
                b'\n' => return String::from_utf8_lossy(&line).into_owned(),
                byte => line.push(byte),
            }
        }
    }

    pub fn exchange(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// Says that nothing more comes, in TLS.
    pub fn end(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().expect("close_notify");
    }

    /// Reads to the end, which must be said in TLS.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("an end by close_notify");
        bytes
    }

    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that was shown.
    pub fn shown(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
    }
}

/// A server that speaks TLS: greets with its name and echoes.
pub fn tls_backend(name: &str, pair: &Pair) -> Backend {
    let name = name.to_owned();
    tls_backend_serving(pair, move |stream| crate::common::backend::echo(Greeting::over(stream, &name)))
}

/// A server that serves the decrypted stream with `handler`.
pub fn tls_backend_serving(
    pair: &Pair,
    handler: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> Backend {
    tls_backend_with(pair, Arc::new(NoClientAuth), handler)
}

/// As [`tls_backend_serving`], for clients with a certificate of the authority only.
pub fn tls_backend_asking(
    pair: &Pair,
    authority: &Authority,
    handler: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> Backend {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let judge = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider).build().unwrap();
    tls_backend_with(pair, judge, handler)
}

fn tls_backend_with(
    pair: &Pair,
    judge: Arc<dyn ClientCertVerifier>,
    handler: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> Backend {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(judge)
        .with_single_cert(pair.chain(), pair.private_key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Backend::serving(move |stream| {
        handler(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream));
    })
}

/// A stream that begins with a line from us, and ends in order.
struct Greeting {
    stream: StreamOwned<ServerConnection, TcpStream>,
}

impl Greeting {
    fn over(mut stream: StreamOwned<ServerConnection, TcpStream>, name: &str) -> Greeting {
        // A client that leaves early is none of the server's business.
        let _ = stream.write_all(format!("{name}\n").as_bytes());
        Greeting { stream }
    }
}

impl Read for Greeting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Greeting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Drop for Greeting {
    fn drop(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush(); // whoever reads it
    }
}
