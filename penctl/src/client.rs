//! Talking to a pen: finding its control socket, one command a connection, or a session of many.
//!
//! Prints nothing and knows no terminal. Sessions are this pen's; an original Pen answers one command a connection, and
//! [`Session`] falls back to that.

use pen_proto::addr::{Host, ListenAddr, Port};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may stand still. Pen itself waits up to five seconds for a name server.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
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
    fn connect(&self) -> Result<Stream, String> {
        let stream = match &self.0.host {
            Host::Unix(path) => UnixStream::connect(path).map(Stream::Unix).map_err(|error| reason(&error)),
            host => connect_tcp(host, self.0.port.as_ref()).map(Stream::Tcp),
        };
        let stream = stream.map_err(|trouble| format!("{}: {trouble}", self.text()))?;
        let limited = match &stream {
            Stream::Tcp(stream) => stream
                .set_read_timeout(Some(REPLY_TIMEOUT))
                .and_then(|()| stream.set_write_timeout(Some(REPLY_TIMEOUT))),
            Stream::Unix(stream) => stream
                .set_read_timeout(Some(REPLY_TIMEOUT))
                .and_then(|()| stream.set_write_timeout(Some(REPLY_TIMEOUT))),
        };
        limited.map_err(|error| format!("{}: {}", self.text(), reason(&error)))?;
        Ok(stream)
    }

    fn lost(&self, error: &io::Error) -> String {
        let trouble = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {} seconds", REPLY_TIMEOUT.as_secs())
            }
            io::ErrorKind::UnexpectedEof => "closed the connection without an answer".into(),
            _ => reason(error),
        };
        format!("{}: {trouble}", self.text())
    }

    /// Sends one command on a connection of its own.
    ///
    /// # Errors
    ///
    /// Pen could not be reached or did not answer; the inner error is pen's own.
    pub fn ask(&self, command: &str) -> Result<Reply, String> {
        let mut stream = self.connect()?;
        let mut reply = Vec::new();
        send_last(&mut stream, command)
            .and_then(|()| stream.take(REPLY_BYTES_MAX).read_to_end(&mut reply))
            .map_err(|error| self.lost(&error))?;
        let text = String::from_utf8_lossy(&reply).into_owned();
        Ok(match text.strip_prefix("error: ") {
            Some(error) => Err(error.trim_end_matches('\n').to_string()),
            None => Ok(text),
        })
    }
}

/// Sends a command and says that nothing more comes.
fn send_last(stream: &mut Stream, command: &str) -> io::Result<()> {
    stream.write_all(format!("{command}\n").as_bytes())?;
    // An old pen may have answered and closed already.
    let _ = stream.end_sending();
    Ok(())
}

fn connect_tcp(host: &Host, port: Option<&Port>) -> Result<TcpStream, String> {
    let port = match port {
        Some(Port::Number(number)) => *number,
        Some(Port::Service(service)) => service_port(service)?,
        None => return Err("want a port".into()),
    };
    let mut trouble = "host has no address".to_string();
    for address in addresses(host, port)? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            // Where nobody listens the system may have chosen this very port for this end: a socket that met itself.
            Ok(stream) if stream.local_addr().is_ok_and(|near| near == address) => {
                trouble = "connection refused".into();
            }
            Ok(stream) => {
                // Commands are small and each waits for its answer; without it they would be slower, not wrong.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => trouble = reason(&error),
        }
    }
    Err(trouble)
}

/// "Any address" is where a pen listens; it is reached on the loopback.
fn addresses(host: &Host, port: u16) -> Result<Vec<SocketAddr>, String> {
    match host {
        Host::Ip(IpAddr::V4(any)) if any.is_unspecified() => Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]),
        Host::Ip(IpAddr::V6(any)) if any.is_unspecified() => Ok(vec![(Ipv6Addr::LOCALHOST, port).into()]),
        Host::Ip(ip) => Ok(vec![(*ip, port).into()]),
        Host::Name(name) => (name.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .map_err(|error| format!("cannot look up {name:?}: {}", reason(&error))),
        Host::Unix(path) => Err(format!("{path} is not a host")),
    }
}

/// Lines of `/etc/services` are `name port/protocol alias...`; comments begin with `#`.
fn service_port(service: &str) -> Result<u16, String> {
    let table = fs::read_to_string("/etc/services").unwrap_or_default();
    let port_of = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (name, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        let is_named = name == service || words.any(|alias| alias == service);
        if is_named { port.parse().ok() } else { None }
    };
    table.lines().find_map(port_of).ok_or_else(|| format!("unknown service {service:?}"))
}

/// The reason without the number that the standard library appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Many commands, over one connection where pen knows sessions.
pub struct Session {
    address: Address,
    way: Way,
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
        let way = greet(&address)?;
        Ok(Session { address, way })
    }

    /// Sends a command and waits for its answer. A session that pen has ended meanwhile, for being silent too long or
    /// by a restart, is opened anew; nothing is ever sent twice.
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
            self.way = greet(&self.address)?;
        }
        let Way::Open(stream) = &mut self.way else { return self.address.ask(command) };
        let reply = exchange(stream, command).map_err(|error| self.address.lost(&error));
        if reply.is_err() {
            self.way = Way::Closed;
        }
        reply
    }

    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Whether pen has closed its side, or said something that nobody asked for.
fn has_ended(stream: &mut BufReader<Stream>) -> bool {
    let mut byte = [0];
    let socket = stream.get_mut();
    let heard = socket.set_nonblocking(true).and_then(|()| socket.read(&mut byte));
    let restored = socket.set_nonblocking(false);
    restored.is_err() || !heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Asks for a session; anything but the frame of its greeting comes from a pen that knows none.
fn greet(address: &Address) -> Result<Way, String> {
    let mut stream = BufReader::new(address.connect()?);
    match exchange(&mut stream, "session") {
        Ok(Ok(_)) => Ok(Way::Open(stream)),
        Ok(Err(trouble)) => Err(format!("{}: {trouble}", address.text())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Way::Single),
        Err(error) => Err(address.lost(&error)),
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
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (is_ok, length) = parse_header(&header).ok_or(io::ErrorKind::InvalidData)?;
    let mut text = Vec::new();
    stream.take(length).read_to_end(&mut text)?;
    if text.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
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
            assert_eq!(frame(text).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
        assert_eq!(frame(&format!("ok {}", "1".repeat(100))).unwrap_err().kind(), io::ErrorKind::InvalidData);
        for text in ["", "ok 5\nabc"] {
            assert_eq!(frame(text).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{text:?}");
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
