//! The three ways to pen, and what a server must have heard of a client that came by each.

use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::real::Server;
use crate::common::wait::{PATIENCE, eventually};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// From here pen connects, so that servers can tell it from its clients. It is whom they are to believe.
pub const PEN: &str = "127.0.0.9";

/// Where a client finds pen.
#[derive(Debug)]
pub enum Door {
    Inet(SocketAddr),
    Unix(PathBuf),
}

pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Door {
    pub fn open(&self) -> Box<dyn Stream> {
        match self {
            Door::Inet(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Door::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// All that comes back until the server ends the connection.
    pub fn converse(&self, words: &[u8]) -> String {
        let mut stream = self.open();
        stream.write_all(words).unwrap();
        let mut reply = Vec::new();
        // What a server has said counts, even if it ends with a reset.
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    }
}

/// Tries the server with these versions of the header, and with clients of all three ways: `ask` returns the address that
/// the server has for its client. One of a Unix socket has none, and then it is pen's own.
pub fn assert_told(server: &Server, versions: &[&str], ask: impl Fn(&Door) -> String) {
    for version in versions {
        let before = || {
            let pen = Pen::before([&server.address]).command(format!("source {PEN}"));
            pen.command(format!("server 0 proxy {version}"))
        };
        let pen = before().start();
        assert_eq!(ask(&Door::Inet(pen.address)), "127.0.0.1", "{version}, IPv4");
        let to = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
        let _pen = before().listen(to).start();
        assert_eq!(ask(&Door::Inet(to)), "::1", "{version}, IPv6");
        let start = before();
        let path = start.path("listener");
        let _pen = start.listen(path.display()).start();
        assert_eq!(ask(&Door::Unix(path)), PEN, "{version}, a Unix socket");
    }
}

/// What servers write into a file about clients, one after the other.
pub struct Log<'a, F> {
    pub server: &'a Server,
    pub file: &'static str,
    /// The client in a line, if it is about one.
    pub client: F,
    pub seen: Cell<usize>,
}

impl<'a, F: Fn(&str) -> Option<String>> Log<'a, F> {
    pub fn new(server: &'a Server, file: &'static str, client: F) -> Log<'a, F> {
        Log { server, file, client, seen: Cell::new(0) }
    }

    /// The next client, once the server has told of it.
    pub fn next(&self) -> String {
        let clients = || {
            let text = self.server.text(self.file);
            text.lines().filter_map(&self.client).collect::<Vec<_>>()
        };
        let seen = self.seen.get();
        let mut clients = eventually("the client in the server's log", clients, |all| all.len() > seen);
        self.seen.set(clients.len());
        clients.pop().unwrap()
    }
}

/// What stands between two words.
pub fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found.to_owned())
}
