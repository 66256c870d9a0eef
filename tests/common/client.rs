//! Clients, from any loopback address.

use super::wait::PATIENCE;
use nix::libc::linger;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;

/// A connection to pen. Reading panics when nothing comes for [`PATIENCE`].
#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum End {
    Eof,
    Reset,
}

impl Client {
    /// # Panics
    /// When the connection is refused.
    pub fn connect(to: SocketAddr) -> Client {
        Client::over(TcpStream::connect(to).unwrap_or_else(|error| panic!("connect to {to}: {error}")))
    }

    /// Connects from `source`, for example "127.0.0.7".
    pub fn connect_from(source: &str, to: SocketAddr) -> Client {
        let source: IpAddr = source.parse().unwrap();
        let socket = tcp_socket(to);
        // The port need not be free of all others, but of those that lead to the same place.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true).unwrap();
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0))).unwrap();
        Client::finish(socket, to)
    }

    /// Connects with a receive buffer so small that the sender soon has to wait.
    pub fn with_small_buffer(to: SocketAddr) -> Client {
        let socket = tcp_socket(to);
        setsockopt(&socket, sockopt::RcvBuf, &4096).unwrap();
        Client::finish(socket, to)
    }

    fn finish(socket: OwnedFd, to: SocketAddr) -> Client {
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to))
            .unwrap_or_else(|error| panic!("connect to {to}: {error}"));
        Client::over(TcpStream::from(socket))
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }

    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends bytes of which the last is out of band.
    pub fn send_urgent(&mut self, bytes: &str) {
        nix::sys::socket::send(self.stream.as_raw_fd(), bytes.as_bytes(), MsgFlags::MSG_OOB).expect("send");
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
    }

    /// The next line without its end, or `None` when the connection ends first.
    pub fn try_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            match read(&mut self.stream, &mut byte) {
                Ok(0) => return None,
                Ok(_) if byte[0] == b'\n' => return Some(String::from_utf8_lossy(&line).into_owned()),
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("reading a line, got {:?}: {error}", String::from_utf8_lossy(&line)),
            }
        }
    }

    pub fn line(&mut self) -> String {
        self.try_line().expect("the connection ended before a whole line came")
    }

    /// Sends a line and reads one.
    pub fn exchange(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// Reads to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("read to the end");
        bytes
    }

    /// Reads to the end and tells how it ended.
    pub fn ending(&mut self) -> End {
        ending(&mut self.stream)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        reset(self.stream);
    }
}

/// The names of the servers that they reach, when all of them wait at once.
pub fn names(clients: Vec<Client>) -> String {
    thread::scope(|scope| {
        let asked: Vec<_> =
            clients.into_iter().map(|mut client| scope.spawn(move || client.line())).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn tcp_socket(to: SocketAddr) -> OwnedFd {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap()
}

/// read(2), again when a signal interrupts it: the kernel does not do so by itself for a socket with a timeout.
pub fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Closes with a reset instead of an end of file.
pub fn reset(stream: TcpStream) {
    setsockopt(&stream.as_fd(), sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

/// Reads to the end and tells how it ended.
pub fn ending(stream: &mut impl Read) -> End {
    let mut buffer = [0; 4096];
    loop {
        match read(stream, &mut buffer) {
            Ok(0) => return End::Eof,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return End::Reset,
            Err(error) => panic!("waiting for the end of the stream: {error}"),
        }
    }
}
