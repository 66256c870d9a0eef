//! Sockets, TLS and limits: one task for each connection, none of which can hold up another.

use super::login::Peer;
use super::looks::Looks;
use super::tls::Certificate;
use super::{Cookie, House, Inner, api};
use crate::connection_limit::ConnectionLimit;
use crate::office::Office;
use crate::ssh;
use crate::users::password;
use axum::Router;
use axum::extract::Extension;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pen_sys::notify::Supervisor;
use pen_sys::program::complain;
use pen_sys::{clock, errors};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// Connections at once, and from one network that is not this machine.
const CONNECTIONS_MAX: usize = 256;
const OF_NETWORK_MAX: usize = 32;
/// How long a TLS handshake may take, and the head of a request; a connection that asks for nothing more ends then too.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);
/// How long a request may take with its body and all that pen does about it.
const REQUEST: Duration = Duration::from_secs(60);
/// How long a connection lasts, be its end as slow as it likes.
const CONNECTION: Duration = Duration::from_secs(15 * 60);
/// The head of a request.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// Threads beside those that block for a pen.
const THREADS: usize = 2;
/// How long nobody is taken in after the system had no descriptor for one.
const SHORTAGE: Duration = Duration::from_millis(200);

/// How the door is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `HOST:PORT`, or `PORT` of this machine alone.
    pub listen: String,
    /// Certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// See `guard`.
    pub names: Vec<String>,
}

/// Opens the door, and that for ssh if there is one, and serves until TERM or INT. HUP opens the audit file again and reads the certificate again.
///
/// # Errors
/// It cannot be opened. Other machines could come in without TLS.
pub fn run(settings: Settings, ssh: Option<ssh::Door>, office: Arc<Office>) -> Result<(), String> {
    let certificate =
        settings.tls.map(|(chain, key)| Certificate::load(chain, key)).transpose()?.map(Arc::new);
    let listeners = bind(&settings.listen, certificate.is_some())?;
    password::prepare();
    let port = listeners[0].local_addr().map_or(0, |address| address.port());
    let house = House(Arc::new(Inner {
        office,
        sessions: Mutex::default(),
        throttle: Mutex::default(),
        looks: Looks::default(),
        names: settings.names,
        cookie: Cookie::new(port, certificate.is_some()),
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {}", errors::reason(&error)))?;
    let served = runtime.block_on(serve(listeners, certificate, ssh, house));
    // Somebody may still wait for a pen that hangs.
    runtime.shutdown_background();
    served
}

/// Every address of the name; all or none.
fn bind(listen: &str, is_tls: bool) -> Result<Vec<StdListener>, String> {
    let named = |error: &std::io::Error| format!("{listen}: {}", errors::reason(error));
    let text = if listen.parse::<u16>().is_ok() { format!("127.0.0.1:{listen}") } else { listen.into() };
    let addresses: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| named(&error))?.collect();
    if !is_tls && let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        return Err(format!(
            "{listen}: other machines reach {}: give --tls-cert and --tls-key, or listen at 127.0.0.1",
            open.ip()
        ));
    }
    let bound = addresses.iter().map(|address| {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let bound = bound.collect::<Result<Vec<_>, _>>().map_err(|error| named(&error))?;
    if bound.is_empty() { Err(format!("{listen}: has no address")) } else { Ok(bound) }
}

async fn serve(
    listeners: Vec<StdListener>,
    certificate: Option<Arc<Certificate>>,
    ssh: Option<ssh::Door>,
    house: House,
) -> Result<(), String> {
    let cannot_start = |error: std::io::Error| format!("cannot start: {}", errors::reason(&error));
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot_start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_start)?;
    let limit = ConnectionLimit::new(CONNECTIONS_MAX, OF_NETWORK_MAX);
    let routes = api::routes(house.clone());
    for listener in listeners {
        let listener = TcpListener::from_std(listener).map_err(cannot_start)?;
        let address = listener.local_addr().map_err(cannot_start)?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        complain(format_args!("penadmin: listening at {scheme}://{address}/"));
        tokio::spawn(accept(listener, certificate.clone(), routes.clone(), limit.clone()));
    }
    if let Some(door) = ssh {
        door.open(&house.office).map_err(cannot_start)?;
    }
    let supervisor = Supervisor::from_environment();
    supervisor.tell("READY=1");
    loop {
        let is_end = poll_fn(|context| {
            let ends = [terminate.poll_recv(context), interrupt.poll_recv(context)];
            match ends.iter().any(Poll::is_ready) {
                true => Poll::Ready(true),
                false => hangup.poll_recv(context).map(|_| false),
            }
        });
        if is_end.await {
            supervisor.tell("STOPPING=1");
            return Ok(());
        }
        reload(&supervisor, certificate.as_deref(), &house);
    }
}

fn reload(supervisor: &Supervisor, certificate: Option<&Certificate>, house: &House) {
    supervisor.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::since_boot_usec()));
    let certificate = certificate.map_or(Ok(()), Certificate::reload);
    for trouble in [certificate, house.office.audit.reopen()].into_iter().filter_map(Result::err) {
        complain(format_args!("penadmin: {trouble}"));
    }
    supervisor.tell("READY=1");
}

async fn accept(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    routes: Router,
    limit: Arc<ConnectionLimit>,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // The client is gone already, or there are no descriptors.
                sleep(SHORTAGE).await;
                continue;
            }
        };
        let Some(place) = limit.enter(peer.ip()) else { continue };
        let (certificate, routes) = (certificate.clone(), routes.clone());
        tokio::spawn(async move {
            // A connection that lasts too long, or breaks, harms only itself.
            let _ = timeout(CONNECTION, attend(stream, peer, certificate, routes)).await;
            drop(place);
        });
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, certificate: Option<Arc<Certificate>>, routes: Router) {
    // Answers are written whole.
    let _ = stream.set_nodelay(true);
    match certificate {
        None => converse(stream, peer, routes).await,
        Some(certificate) => {
            if let Ok(Some(stream)) = timeout(HANDSHAKE, certificate.accept(stream)).await {
                converse(stream, peer, routes).await;
            }
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    routes: Router,
) {
    let routes = TowerToHyperService::new(routes.layer(Extension(Peer(peer))));
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = routes.call(request);
        async move {
            let late = || {
                let mut response = Response::new(axum::body::Body::from("{\"error\":\"took too long\"}"));
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                response
            };
            Ok::<_, Infallible>(match timeout(REQUEST, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => late(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // What breaks a connection, its other end knows.
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_nobody_else_comes_in() {
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let error = bind(listen, false).unwrap_err();
            assert!(error.contains("give --tls-cert and --tls-key"), "{error}");
        }
        assert!(bind("127.0.0.1:0", false).is_ok());
        assert!(bind("0", false).is_ok());
        assert!(bind("0.0.0.0:0", true).is_ok());
        assert!(bind("nonsense", true).is_err());
    }
}
