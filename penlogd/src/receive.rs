//! Datagrams, many with one system call.
//!
//! Owns the sockets and their buffers. Knows nothing of what is in a datagram. Called by `main`.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage,
    bind, recvmmsg, setsockopt, socket, sockopt,
};
use pen_sys::socket::lost_datagrams;

/// The longest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How many datagrams are taken with one call.
const BATCH: usize = 32;

/// Room for what arrives while a line is written to a slow disk: tens of thousands of lines.
const SOCKET_BUFFER_BYTES: usize = 16 << 20;

/// One socket that receives.
pub struct Receiver {
    socket: OwnedFd,
    buffers: Vec<u8>,
}

impl Receiver {
    /// Receives by IPv4 on every address of the host.
    pub fn bind_v4(port: u16) -> io::Result<Receiver> {
        let socket = open(AddressFamily::Inet)?;
        let any = Ipv4Addr::UNSPECIFIED.octets();
        bind(socket.as_raw_fd(), &SockaddrIn::new(any[0], any[1], any[2], any[3], port))?;
        Receiver::new(socket)
    }

    /// Receives by IPv6, and only so, on every address of the host.
    pub fn bind_v6(port: u16) -> io::Result<Receiver> {
        let socket = open(AddressFamily::Inet6)?;
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
        let any = std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
        bind(socket.as_raw_fd(), &SockaddrIn6::from(any))?;
        Receiver::new(socket)
    }

    fn new(socket: OwnedFd) -> io::Result<Receiver> {
        enlarge_buffer(&socket);
        Ok(Receiver { socket, buffers: vec![0; BATCH * DATAGRAM_BYTES_MAX] })
    }

    /// Datagrams that found no room in the socket's buffer, since the start.
    pub fn lost(&self) -> u64 {
        lost_datagrams(self.socket.as_fd()).unwrap_or_default().into()
    }

    /// Hands over what has arrived, at most a batch, and returns how many datagrams that were.
    ///
    /// # Errors
    /// What the system says; that nothing has arrived is no error.
    pub fn receive(&mut self, mut take: impl FnMut(IpAddr, &[u8])) -> io::Result<usize> {
        let mut slices: Vec<_> = self
            .buffers
            .chunks_exact_mut(DATAGRAM_BYTES_MAX)
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let received =
            recvmmsg(self.socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        let messages = match received {
            Ok(messages) => messages,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(errno) => return Err(errno.into()),
        };
        let mut count = 0;
        for message in messages {
            count += 1;
            let source = message.address.and_then(ip);
            if let (Some(source), Some(datagram)) = (source, message.iovs().next()) {
                take(source, datagram);
            }
        }
        Ok(count)
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

/// Root may go beyond the system's limit. A smaller buffer loses lines earlier, which shows in the statistics.
fn enlarge_buffer(socket: &OwnedFd) {
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES);
    }
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().to_canonical()))
}
