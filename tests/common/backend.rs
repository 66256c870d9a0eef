//! Mock servers. Each connection is served by a closure in a thread of its own.

use super::client::{Client, ending, read};
use super::ports::bound_port;
use super::tempdir::TempDir;
use super::wait::PATIENCE;
use nix::sys::socket::{Backlog, Shutdown, listen, shutdown};
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

type Handler = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// A server on 127.0.0.1. Its `Display` is the specification pen takes.
pub struct Backend {
    listener: Arc<TcpListener>,
    handler: Handler,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    peers: Mutex<Vec<SocketAddr>>,
    open: AtomicUsize,
    open_most: AtomicUsize,
}

impl Backend {
    /// Greets with its name and a newline, then echoes until the end of file.
    pub fn named(name: &str) -> Backend {
        let name = name.to_string();
        Backend::serving(move |stream| greet_and_echo(&name, stream))
    }

    /// The same, but not listening yet: connects are refused until [`Backend::resume`].
    pub fn refusing(name: &str) -> Backend {
        let name = name.to_string();
        let backend = Backend::idle(Arc::new(move |stream| greet_and_echo(&name, stream)));
        backend.pause();
        backend
    }

    /// Waits for the end of file, then answers with `count` bytes of the pattern and closes.
    pub fn replying_after_eof(count: usize) -> Backend {
        Backend::serving(move |mut stream| {
            ending(&mut stream);
            // The client may be gone already; then it is the client that finds fault.
            let _ = super::pattern::write(&mut stream, count);
        })
    }

    /// Serves each connection with `handler`; it is closed when the handler returns.
    pub fn serving(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> Backend {
        let backend = Backend::idle(Arc::new(handler));
        backend.accept_in_thread();
        backend
    }

    fn idle(handler: Handler) -> Backend {
        Backend { listener: Arc::new(bound_port()), handler, seen: Arc::default() }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Stops listening and keeps the port: from now on connects are refused. Open connections go on.
    pub fn pause(&self) {
        shutdown(self.listener.as_raw_fd(), Shutdown::Both).expect("stop listening");
    }

    /// Listens again after [`Backend::pause`].
    pub fn resume(&self) {
        listen(&self.listener, Backlog::MAXCONN).expect("listen again");
        self.accept_in_thread();
    }

    /// How many connections came so far.
    pub fn accepted(&self) -> usize {
        self.seen.peers.lock().unwrap().len()
    }

    /// Where they came from.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.seen.peers.lock().unwrap().clone()
    }

    /// How many are being served.
    pub fn open(&self) -> usize {
        self.seen.open.load(SeqCst)
    }

    /// The most that were served at the same time.
    pub fn open_most(&self) -> usize {
        self.seen.open_most.load(SeqCst)
    }

    fn accept_in_thread(&self) {
        let (listener, handler, seen) = (self.listener.clone(), self.handler.clone(), self.seen.clone());
        // Ends when the listener is paused: accept fails then.
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                seen.peers.lock().unwrap().push(peer);
                let open = seen.open.fetch_add(1, SeqCst) + 1;
                seen.open_most.fetch_max(open, SeqCst);
                let (handler, seen) = (handler.clone(), seen.clone());
                thread::spawn(move || serve(stream, &handler, &seen));
            }
        });
    }
}

fn serve(stream: TcpStream, handler: &Handler, seen: &Seen) {
    let kept_open = stream.try_clone().unwrap();
    handler(stream);
    // Counted out before the close can be noticed, so that `open_most` never counts one too many.
    seen.open.fetch_sub(1, SeqCst);
    drop(kept_open);
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Fails when it was paused, which is as good.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {}", self.address())
    }
}

/// What [`Backend::named`] does.
pub fn greet_and_echo(name: &str, mut stream: TcpStream) {
    // A client that leaves early is none of the server's business.
    let _ = stream.write_all(format!("{name}\n").as_bytes());
    echo(stream);
}

/// Sends back what comes until the end of file or an error.
pub fn echo(mut stream: impl Read + Write) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match read(&mut stream, &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        }
    }
}

/// A server that never answers a connect: its queue is full, so the kernel drops every SYN.
pub struct Unresponsive {
    listener: TcpListener,
    _filler: Client,
}

impl Unresponsive {
    pub fn new() -> Unresponsive {
        let listener = bound_port();
        // Linux queues one more connection than the backlog says.
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let filler = Client::connect(listener.local_addr().unwrap());
        Unresponsive { listener, _filler: filler }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

impl fmt::Display for Unresponsive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.local_addr().unwrap().fmt(f)
    }
}

/// An echo server on a Unix socket.
pub struct UnixBackend {
    dir: TempDir,
    listener: Arc<UnixListener>,
}

impl UnixBackend {
    pub fn echo() -> UnixBackend {
        let backend = UnixBackend::new();
        backend.echo_from_now_on();
        backend
    }

    /// Its queue holds one connection, and nobody takes it until [`UnixBackend::echo_from_now_on`].
    pub fn busy() -> UnixBackend {
        let backend = UnixBackend::new();
        listen(&backend.listener, Backlog::new(0).unwrap()).unwrap();
        backend
    }

    fn new() -> UnixBackend {
        let dir = TempDir::new();
        let listener = Arc::new(UnixListener::bind(dir.path().join("server")).unwrap());
        UnixBackend { dir, listener }
    }

    pub fn echo_from_now_on(&self) {
        let listener = self.listener.clone();
        // The thread waits for clients until the test process ends.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("server")
    }
}

/// Reads one line, without its end, from a stream that a handler serves.
pub fn read_line(stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::over(stream.try_clone().unwrap()).try_line()
}
