//! The client of a pen's control socket: finding it, one command a connection, or a session of many.
//!
//! Prints nothing and knows no terminal. Sessions are this pen's; an original Pen answers one command a connection, and
//! [`Session`] falls back to that. Blocks its caller, for as long as [`Patience`] allows.

use crate::clock;
use crate::net::resolve::destinations;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use pen_proto::addr::{Host, ListenAddr};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long pen may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection to one of its addresses.
    pub connect: Duration,
    /// For room in the queue of a Unix socket, while pen is busy or hangs; zero does not wait.
    pub queue: Duration,
    /// How long a reply may stand still.
    pub silence: Duration,
    /// When all must be over; by the monotonic clock.
    pub until_ms: u64,
}

impl Default for Patience {
    /// For a person. Pen itself waits up to five seconds for a name server.
    fn default() -> Patience {
        let five = Duration::from_secs(5);
        Patience { connect: five, queue: five, silence: Duration::from_secs(60), until_ms: u64::MAX }
    }
}

impl Patience {
    /// Until then, however long it stands still; for programs that ask again.
    pub fn until(until_ms: u64) -> Patience {
        Patience { connect: Duration::MAX, queue: Duration::ZERO, silence: Duration::MAX, until_ms }
    }

    /// So much of a wait as is left; never zero, which would mean for ever.
    fn left(&self, wait: Duration) -> io::Result<Duration> {
        match self.until_ms.saturating_sub(clock::monotonic_ms()) {
            0 => Err(ErrorKind::TimedOut.into()),
            left_ms => Ok(wait.min(Duration::from_millis(left_ms))),
        }
    }
}

/// As much of a reply as is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// The longest header line of a reply: a word and a number.
const HEADER_BYTES_MAX: u64 = 64;
/// The longest reply that is taken into memory.
const REPLY_BYTES_MAX: u64 = 4 << 30;

/// What a command was answered: text, or an error without the word that marked it.
pub type Reply = Result<String, String>;

/// A connection to a control socket.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn end_sending(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Stream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Stream::Unix(stream) => stream.set_nonblocking(nonblocking),
        }
    }

    fn set_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(wait)).and_then(|()| stream.set_write_timeout(Some(wait)))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(wait)).and_then(|()| stream.set_write_timeout(Some(wait)))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a control socket is.
#[derive(Debug, Clone)]
pub struct Address(ListenAddr);

impl Address {
    /// Reads `host:port`, `[v6]:port`, `::1:8888` or a path.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub fn parse(text: &str) -> Result<Address, String> {
        let is_bare_word = !text.contains([':', '/']);
        if is_bare_word && text.parse::<u16>().is_err() {
            return Err(format!("want HOST:PORT or a path that contains a /, got {text:?}"));
        }
        ListenAddr::parse(text).map(Address)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Connects to the first of its addresses that answers.
    fn connect(&self, patience: Patience) -> io::Result<Stream> {
        let stream = match &self.0.host {
            Host::Unix(path) => Stream::Unix(connect_unix(path, patience)?),
            _ => Stream::Tcp(connect_tcp(&destinations(&self.0).map_err(io::Error::other)?, patience)?),
        };
        stream.set_timeout(patience.left(patience.silence)?)?;
        Ok(stream)
    }

    /// Sends one command on a connection of its own and returns what came back before pen closed it, which is nothing
    /// when pen turns the caller away.
    ///
    /// # Errors
    /// Pen could not be reached, did not answer in time, or with more than `bytes_max`.
    pub fn converse(&self, command: &str, patience: Patience, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut stream = self.connect(patience)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        // An old pen may have answered and closed already.
        let _ = stream.end_sending();
        let mut reply = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            stream.set_timeout(patience.left(patience.silence)?)?;
            match stream.read(&mut piece) {
                Ok(0) => return Ok(reply),
                Ok(count) if reply.len() + count > bytes_max => {
                    return Err(io::Error::other(format!("the reply is longer than {bytes_max} bytes")));
                }
                Ok(count) => reply.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn lost(&self, error: &io::Error, patience: Patience) -> String {
        let trouble = match error.kind() {
            ErrorKind::WouldBlock => {
                format!("no answer within {} seconds", patience.silence.as_secs())
            }
            ErrorKind::UnexpectedEof => "closed the connection without an answer".into(),
            _ => reason(error),
        };
        format!("{}: {trouble}", self.text())
    }

    /// Why no session could be opened.
    fn unopened(&self, error: &io::Error, patience: Patience) -> String {
        match error.get_ref() {
            Some(refusal) if error.kind() == ErrorKind::Other => format!("{}: {refusal}", self.text()),
            _ => self.lost(error, patience),
        }
    }

    /// Sends one command on a connection of its own.
    ///
    /// # Errors
    ///
    /// Pen could not be reached or did not answer; the inner error is pen's own.
    pub fn ask(&self, command: &str) -> Result<Reply, String> {
        let patience = Patience::default();
        let reply = self.converse(command, patience, REPLY_BYTES_MAX as usize);
        let reply = reply.map_err(|error| self.lost(&error, patience))?;
        let text = String::from_utf8_lossy(&reply).into_owned();
        Ok(match text.strip_prefix("error: ") {
            Some(error) => Err(error.trim_end_matches('\n').to_string()),
            None => Ok(text),
        })
    }
}

fn connect_unix(path: &str, patience: Patience) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    match patience.queue {
        Duration::ZERO => stream.set_nonblocking(true)?,
        wait => stream.set_write_timeout(Some(patience.left(wait)?))?,
    }
    match connect(stream.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) => stream.set_nonblocking(false)?,
        Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
        Err(errno) => return Err(errno.into()),
    }
    Ok(stream)
}

fn connect_tcp(addresses: &[SocketAddr], patience: Patience) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::InvalidInput, "host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, patience.left(patience.connect)?) {
            // Where nobody listens the system may have chosen this very port for this end: a socket that met itself.
            Ok(stream) if stream.local_addr()? == *address => last = ErrorKind::ConnectionRefused.into(),
            Ok(stream) => {
                // Commands are small and each waits for its answer; without it they would be slower, not wrong.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The reason without the number that the standard library appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Many commands, over one connection where pen knows sessions.
pub struct Session {
    address: Address,
    patience: Patience,
    way: Way,
    /// The service that lines without a name are for, once one said so.
    service: Option<String>,
    /// As pen said when the session began.
    is_read_only: bool,
}

enum Way {
    /// A session, open.
    Open(BufReader<Stream>),
    /// No connection; the next command opens one.
    Closed,
    /// An original Pen: a connection for every command.
    Single,
}

impl Session {
    /// Connects at once, so that an unreachable pen is known before the first command.
    ///
    /// # Errors
    ///
    /// Pen could not be reached.
    pub fn open(address: Address) -> Result<Session, String> {
        Session::open_with(address, Patience::default())
    }

    /// As [`Session::open`], for somebody with more or less patience than a person. An original Pen gets the usual one.
    ///
    /// # Errors
    ///
    /// Pen could not be reached.
    pub fn open_with(address: Address, patience: Patience) -> Result<Session, String> {
        let opened = Session::try_open(address.clone(), patience);
        opened.map_err(|error| address.unopened(&error, patience))
    }

    /// As [`Session::open_with`], for somebody who wants to know the kind of trouble.
    ///
    /// # Errors
    /// As the system says it; one that wraps another text is pen's own.
    pub fn try_open(address: Address, patience: Patience) -> io::Result<Session> {
        let (way, is_read_only) = greet(&address, patience)?;
        Ok(Session { address, patience, way, service: None, is_read_only })
    }

    /// Whether pen answers questions only, as it said when the session began.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Sends a command and waits for its answer. A session that pen has ended meanwhile, for being silent too long or
    /// by a restart, is opened anew, for the same service; nothing else is ever sent twice.
    ///
    /// # Errors
    ///
    /// Pen could not be reached or did not answer; the inner error is pen's own.
    pub fn ask(&mut self, command: &str) -> Result<Reply, String> {
        let is_stale = match &mut self.way {
            Way::Open(stream) => has_ended(stream),
            Way::Closed => true,
            Way::Single => false,
        };
        if is_stale {
            self.way = Way::Closed;
            (self.way, self.is_read_only) = self.greet_again()?;
        }
        let Way::Open(stream) = &mut self.way else { return self.address.ask(command) };
        let reply = exchange(stream, command).map_err(|error| self.address.lost(&error, self.patience));
        match &reply {
            Ok(Ok(_)) => self.service = named(command).map(Into::into).or(self.service.take()),
            Ok(Err(_)) => {}
            Err(_) => self.way = Way::Closed,
        }
        reply
    }

    fn greet_again(&self) -> Result<(Way, bool), String> {
        let greeted = greet(&self.address, self.patience);
        let (mut way, is_read_only) =
            greeted.map_err(|error| self.address.unopened(&error, self.patience))?;
        if let (Some(service), Way::Open(stream)) = (&self.service, &mut way) {
            let reply = exchange(stream, &format!("service {service}"));
            reply.map_err(|error| self.address.lost(&error, self.patience))??;
        }
        Ok((way, is_read_only))
    }

    /// The service that lines without a name are for; `None` until one has said so.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// The service that the lines after this one are for, if it says so.
fn named(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("service"), Some(name), None) => Some(name),
        _ => None,
    }
}

/// Whether pen has closed its side, or said something that nobody asked for.
fn has_ended(stream: &mut BufReader<Stream>) -> bool {
    let mut byte = [0];
    let socket = stream.get_mut();
    let heard = socket.set_nonblocking(true).and_then(|()| socket.read(&mut byte));
    let restored = socket.set_nonblocking(false);
    restored.is_err() || !heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Asks for a session; anything but the frame of its greeting comes from a pen that knows none. Says as well whether
/// questions are all that is allowed.
fn greet(address: &Address, patience: Patience) -> io::Result<(Way, bool)> {
    let mut stream = BufReader::new(address.connect(patience)?);
    match exchange(&mut stream, "session") {
        Ok(Ok(greeting)) => Ok((Way::Open(stream), greeting.trim_end().ends_with(" read-only"))),
        Ok(Err(trouble)) => Err(io::Error::other(trouble)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok((Way::Single, false)),
        Err(error) => Err(error),
    }
}

/// Sends a line and reads the frame of its reply.
fn exchange(stream: &mut BufReader<Stream>, command: &str) -> io::Result<Reply> {
    stream.get_mut().write_all(format!("{command}\n").as_bytes())?;
    read_frame(stream)
}

/// Reads a header line, `ok N` or `error N`, and the N bytes after it.
///
/// # Errors
///
/// `InvalidData` when the first line is no such header.
fn read_frame(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut header = String::new();
    stream.by_ref().take(HEADER_BYTES_MAX).read_line(&mut header)?;
    if header.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let (is_ok, length) = parse_header(&header).ok_or(ErrorKind::InvalidData)?;
    let mut text = Vec::new();
    stream.take(length).read_to_end(&mut text)?;
    if text.len() as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(if is_ok { Ok(text) } else { Err(text.trim_end_matches('\n').to_string()) })
}

fn parse_header(line: &str) -> Option<(bool, u64)> {
    let (word, length) = line.strip_suffix('\n')?.split_once(' ')?;
    let length = length.parse().ok().filter(|length| *length <= REPLY_BYTES_MAX)?;
    match word {
        "ok" => Some((true, length)),
        "error" => Some((false, length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> io::Result<Reply> {
        read_frame(&mut BufReader::with_capacity(2, text.as_bytes()))
    }

    #[test]
    fn frames_are_read_to_their_length() {
        assert_eq!(frame("ok 0\n").unwrap(), Ok(String::new()));
        assert_eq!(frame("ok 3\n17\nok 9\n").unwrap(), Ok("17\n".into()));
        assert_eq!(frame("error 8\nno such\n").unwrap(), Err("no such".into()));
    }

    #[test]
    fn what_is_no_frame_is_told_apart_from_what_is_cut_off() {
        for text in
            ["do_cmd: ignoring command starting with 'session'\n", "ok\n", "ok x\n", "ok -1\n", "OK 1\na"]
        {
            assert_eq!(frame(text).unwrap_err().kind(), ErrorKind::InvalidData, "{text:?}");
        }
        assert_eq!(frame(&format!("ok {}", "1".repeat(100))).unwrap_err().kind(), ErrorKind::InvalidData);
        for text in ["", "ok 5\nabc"] {
            assert_eq!(frame(text).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{text:?}");
        }
    }

    #[test]
    fn an_address_has_a_port_or_is_a_path() {
        for text in ["localhost:8888", "::1:8888", "[::1]:8888", "/run/pen.ctl", "./ctl", "8888", ":8888"] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        for text in ["localhost", "", "localhost:0x50"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
