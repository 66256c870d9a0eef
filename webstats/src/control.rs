//! Figures from pen's control socket: `status json`.
//!
//! Owns the conversation, its deadline and the limit on the reply. Reads only; blocks its caller.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use pen_proto::addr::ListenAddr;
use pen_proto::escape::Escaped;
use pen_proto::status::Status;
use pen_sys::clock;
use pen_sys::net::resolve::destinations;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Several hundred thousand clients and connections.
const REPLY_BYTES_MAX: usize = 128 << 20;

/// How much of an answer that makes no sense is repeated.
const NONSENSE_CHARS: usize = 80;

/// Asks the pen at a path (with a `/`), HOST:PORT or a port of this host, as written for `pen -C`.
///
/// # Errors
/// A sentence that names the address.
pub fn status(address: &str, deadline_ms: u64) -> Result<Status, String> {
    let reply = if address.contains('/') {
        connect_unix(address).and_then(|stream| converse(stream, deadline_ms))
    } else {
        connect_tcp(address, deadline_ms).and_then(|stream| converse(stream, deadline_ms))
    };
    let reply = reply.map_err(|error| format!("{address}: {}", reason(&error)))?;
    understand(&reply).map_err(|sentence| format!("{address}: {sentence}"))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "pen did not answer in time".into(),
        ErrorKind::NotFound => "no such socket; is pen running, with -C?".into(),
        ErrorKind::ConnectionRefused => "nobody answers; is pen running, with -C?".into(),
        _ => error.to_string(),
    }
}

/// Does not wait for room in the queue of a pen that hangs.
fn connect_unix(path: &str) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn connect_tcp(address: &str, deadline_ms: u64) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::InvalidInput, "no address");
    let candidates = ListenAddr::parse(address).and_then(|address| destinations(&address));
    for candidate in candidates.map_err(io::Error::other)? {
        match TcpStream::connect_timeout(&candidate, left(deadline_ms)?) {
            // Where nobody listens the system may have chosen this very port for this end: a socket that met itself.
            Ok(stream) if stream.local_addr()? == candidate => last = ErrorKind::ConnectionRefused.into(),
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Time until the deadline; never zero, which would mean for ever.
fn left(deadline_ms: u64) -> io::Result<Duration> {
    match deadline_ms.saturating_sub(clock::monotonic_ms()) {
        0 => Err(ErrorKind::TimedOut.into()),
        left_ms => Ok(Duration::from_millis(left_ms)),
    }
}

trait Stream: Read + Write {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout)).and(self.set_write_timeout(Some(timeout)))
    }
}

impl Stream for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout)).and(self.set_write_timeout(Some(timeout)))
    }
}

fn converse(mut stream: impl Stream, deadline_ms: u64) -> io::Result<Vec<u8>> {
    stream.set_timeout(left(deadline_ms)?)?;
    stream.write_all(b"status json\n")?;
    let mut reply = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        stream.set_timeout(left(deadline_ms)?)?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(reply),
            Ok(count) if reply.len() + count > REPLY_BYTES_MAX => {
                return Err(io::Error::other(format!("the reply is longer than {REPLY_BYTES_MAX} bytes")));
            }
            Ok(count) => reply.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn understand(reply: &[u8]) -> Result<Status, String> {
    if reply.is_empty() {
        return Err("pen turned the question away (control_acl?)".into());
    }
    serde_json::from_slice(reply).map_err(|_| {
        let start: String = String::from_utf8_lossy(reply).chars().take(NONSENSE_CHARS).collect();
        format!("want figures, got \"{}\"; is this a pen 0.1.0 or later?", Escaped(start.trim_end()))
    })
}
