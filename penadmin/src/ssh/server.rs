//! Sockets and limits of the door for terminals.

use super::guest::{Guest, Seen};
use super::host_key;
use crate::connection_limit::{ConnectionLimit, Place};
use crate::office::Office;
use crate::throttle::Throttle;
use pen_sys::program::complain;
use pen_sys::{clock, errors};
use russh::keys::PrivateKey;
use russh::server::{Config, run_stream};
use russh::{MethodKind, MethodSet, Preferred, SshId, compression};
use std::borrow::Cow;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as StdStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Connections at once, and from one network that is not this machine.
const CONNECTIONS_MAX: usize = 64;
const OF_NETWORK_MAX: usize = 16;
/// Of them those who have not shown a key yet.
const STRANGERS_MAX: usize = 32;
const STRANGERS_OF_NETWORK_MAX: usize = 8;
/// How long somebody may take to come in.
const LOGIN: Duration = Duration::from_secs(30);
/// Keys that may be tried, and how long a wrong one takes.
const ATTEMPTS_MAX: usize = 6;
const REJECTION: Duration = Duration::from_millis(100);
/// How long somebody may be here and say nothing, and how long at all.
const IDLE: Duration = Duration::from_secs(30 * 60);
const CONNECTION: Duration = Duration::from_secs(12 * 60 * 60);
/// How often is looked whether somebody must go.
const LOOK: Duration = Duration::from_millis(250);
/// How long a connection that must go has for its last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// What a client may send before it is read.
const WINDOW_BYTES: u32 = 64 << 10;
const MESSAGES_MAX: usize = 8;
/// How long nobody is taken in after the system had no descriptor for one.
const SHORTAGE: Duration = Duration::from_millis(200);

/// How the door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `HOST:PORT`, or `PORT` of this machine alone.
    pub listen: String,
    pub host_key: PathBuf,
}

/// The door, before it is opened.
pub struct Door {
    listeners: Vec<StdListener>,
    key: PrivateKey,
}

impl Door {
    /// Takes the addresses and reads the key.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub fn bind(settings: Settings) -> Result<Door, String> {
        let Settings { listen, host_key } = settings;
        let named = |error: &std::io::Error| format!("{listen}: {}", errors::reason(error));
        let key = host_key::load(&host_key)?;
        let text = if listen.parse::<u16>().is_ok() { format!("127.0.0.1:{listen}") } else { listen.clone() };
        let addresses = text.to_socket_addrs().map_err(|error| named(&error))?;
        let bound = addresses.map(|address| {
            let listener = StdListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listeners = bound.collect::<Result<Vec<_>, _>>().map_err(|error| named(&error))?;
        if listeners.is_empty() {
            Err(format!("{listen}: has no address"))
        } else {
            Ok(Door { listeners, key })
        }
    }

    /// Lets people in from now on. Called inside of the runtime.
    ///
    /// # Errors
    /// The runtime does not take the sockets.
    pub fn open(self, office: &Arc<Office>) -> std::io::Result<()> {
        let fingerprint = host_key::fingerprint(&self.key);
        let config = Arc::new(config(self.key));
        let limit = ConnectionLimit::new(CONNECTIONS_MAX, OF_NETWORK_MAX);
        let strangers = ConnectionLimit::new(STRANGERS_MAX, STRANGERS_OF_NETWORK_MAX);
        let failures = Arc::<Mutex<Throttle>>::default();
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            let address = listener.local_addr()?;
            complain(format_args!("penadmin: ssh at {address}, host key {fingerprint}"));
            let hall = Hall {
                office: office.clone(),
                config: config.clone(),
                limit: limit.clone(),
                strangers: strangers.clone(),
                failures: failures.clone(),
            };
            tokio::spawn(hall.accept(listener));
        }
        Ok(())
    }
}

fn config(key: PrivateKey) -> Config {
    Config {
        // Of no use to anybody but those who look for faults of one version.
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-penadmin")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        window_size: WINDOW_BYTES,
        channel_buffer_size: MESSAGES_MAX,
        max_auth_attempts: ATTEMPTS_MAX,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(60)),
        keepalive_max: 3,
        nodelay: true,
        preferred: Preferred { compression: Cow::Borrowed(&[compression::NONE]), ..Preferred::DEFAULT },
        ..Config::default()
    }
}

/// What connections share.
struct Hall {
    office: Arc<Office>,
    config: Arc<Config>,
    limit: Arc<ConnectionLimit>,
    strangers: Arc<ConnectionLimit>,
    failures: Arc<Mutex<Throttle>>,
}

impl Hall {
    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                // The client is gone already, or there are no descriptors.
                sleep(SHORTAGE).await;
                continue;
            };
            if is_over(&self.failures, peer) {
                continue;
            }
            let places = self.limit.enter(peer.ip()).zip(self.strangers.enter(peer.ip()));
            let Some((place, stranger)) = places else { continue };
            let (config, office, failures) =
                (self.config.clone(), self.office.clone(), self.failures.clone());
            tokio::spawn(async move {
                if !attend(stream, peer, config, office, stranger).await {
                    has_failed(&failures, peer);
                }
                drop(place);
            });
        }
    }
}

/// Whether nobody comes in from there for now. This machine is none of those: its users could do worse.
fn is_over(failures: &Mutex<Throttle>, peer: SocketAddr) -> bool {
    let address = peer.ip().to_canonical();
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    !address.is_loopback() && failures.is_over(address, clock::monotonic_ms())
}

fn has_failed(failures: &Mutex<Throttle>, peer: SocketAddr) {
    let address = peer.ip().to_canonical();
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    if !address.is_loopback() && failures.failed(address, clock::monotonic_ms()) {
        complain(format_args!(
            "penadmin: nobody comes in by ssh from {address} for a minute: too many failures"
        ));
    }
}

/// Serves one connection until it ends or must. Whether somebody came in.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    config: Arc<Config>,
    office: Arc<Office>,
    stranger: Place,
) -> bool {
    let Some((stream, handle)) = twice(stream) else { return false };
    let seen = Arc::new(Seen::default());
    let guest = Guest::new(office.clone(), seen.clone(), peer);
    let began_ms = clock::monotonic_ms();
    let Ok(Ok(session)) = timeout(LOGIN, run_stream(config, stream, guest)).await else { return false };
    let farewell = session.handle();
    let mut stranger = Some(stranger);
    let mut session = Box::pin(session);
    let reason = loop {
        // What breaks a connection, its other end knows.
        if timeout(LOOK, &mut session).await.is_ok() {
            return seen.user().is_some();
        }
        let waited = Duration::from_millis(clock::monotonic_ms().saturating_sub(began_ms));
        match seen.user() {
            None if waited > LOGIN => break "took too long to log in",
            None => continue,
            Some(_) => drop(stranger.take()),
        }
        if seen.visitor(&office).is_none() {
            break "you may not be here any more";
        } else if waited > CONNECTION {
            break "long enough";
        } else if seen.quiet() > IDLE {
            break "nothing was said for too long";
        }
    };
    let _ = timeout(FAREWELL, async {
        let _ = farewell.disconnect(russh::Disconnect::ByApplication, reason.into(), String::new()).await;
        let _ = (&mut session).await;
    })
    .await;
    // One that does not read would keep the session.
    let _ = handle.shutdown(Shutdown::Both);
    seen.user().is_some()
}

/// The connection, and a way to end it from outside.
fn twice(stream: TcpStream) -> Option<(TcpStream, StdStream)> {
    let stream = stream.into_std().ok()?;
    let handle = stream.try_clone().ok()?;
    Some((TcpStream::from_std(stream).ok()?, handle))
}
