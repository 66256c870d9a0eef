//! Upstream sockets: made non-blocking, on their way to a server.

use crate::net::itself;
use crate::net::keepalive::Keepalive;
use crate::socket;
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, bind, setsockopt, sockopt};
use pen_proto::endpoint::Endpoint;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The address from which a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalAddress {
    /// The system chooses.
    Any,
    /// `source IP`.
    Source(IpAddr),
    /// `transparent`: the client's own.
    Client(IpAddr),
}

/// How far a new upstream socket is.
#[derive(Debug)]
pub enum Started {
    Connected(OwnedFd),
    UnderWay(OwnedFd),
}

/// Why a connect could not even be started.
#[derive(Debug)]
pub enum StartError {
    /// The server's fault: blacklist it.
    Server(io::Error),
    /// Ours (no local port, wrong source address, no such family here): the next server may do, this one is not to blame.
    Local(io::Error),
    /// The queue of a Unix socket is full: the server is there and may take the client in a moment.
    Busy,
    /// Out of descriptors or buffers: every server would fail now, later none.
    Shortage(io::Error),
}

/// Opens a non-blocking socket and starts connecting it, from `local` unless the server has a source of its own.
pub fn start(endpoint: &Endpoint, local: LocalAddress, keepalive: Keepalive) -> Result<Started, StartError> {
    let local = endpoint.source().map_or(local, LocalAddress::Source);
    let endpoint = endpoint.carrier();
    let first = open(endpoint, local, keepalive)?;
    let (Started::Connected(socket) | Started::UnderWay(socket)) = &first;
    let Some(server) = endpoint.internet_address() else { return Ok(first) };
    if !itself::has_met_itself(socket.as_fd(), &server) {
        return Ok(first);
    }
    // While the first holds the port the second gets another, and is refused if nobody listens.
    let second = open(endpoint, local, keepalive);
    // With a reset: after an orderly end the port would be kept from the server for a minute.
    let _ = socket::reset_on_close(socket.as_fd());
    second
}

fn open(endpoint: &Endpoint, local: LocalAddress, keepalive: Keepalive) -> Result<Started, StartError> {
    let address = endpoint.internet_address();
    let family = match (endpoint, address) {
        (_, Some(SocketAddr::V4(_))) => AddressFamily::INET,
        (_, Some(SocketAddr::V6(_))) => AddressFamily::INET6,
        (Endpoint::Unix(_), None) => AddressFamily::UNIX,
        (_, None) => return Err(StartError::Server(io::ErrorKind::AddrNotAvailable.into())),
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None).map_err(errno).map_err(ours)?;
    let connected = match (endpoint, address) {
        (_, Some(address)) => {
            keepalive.apply(&socket).map_err(ours)?;
            bind_local(&socket, address, local).map_err(ours)?;
            net::connect(&socket, &address)
        }
        (Endpoint::Unix(path), None) => {
            SocketAddrUnix::new(&**path).and_then(|unix| net::connect(&socket, &unix))
        }
        (_, None) => unreachable!("refused above"),
    };
    match connected.map_err(errno) {
        Ok(()) => Ok(Started::Connected(socket)),
        Err(Errno::EINPROGRESS) => Ok(Started::UnderWay(socket)),
        Err(Errno::EAGAIN) => Err(StartError::Busy),
        Err(errno) if is_ours(errno) => Err(ours(errno)),
        Err(errno) => Err(StartError::Server(errno.into())),
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Whether a connect, or a write to the new socket, failed for a reason on this side, which says nothing of the server.
pub fn is_ours(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EADDRNOTAVAIL
            | Errno::EADDRINUSE
            | Errno::EACCES
            | Errno::EPERM
            | Errno::ENOBUFS
            | Errno::ENOMEM
    )
}

/// What keeps a connect from being started on this side.
pub(super) fn ours(errno: Errno) -> StartError {
    match errno {
        Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => StartError::Shortage(errno.into()),
        errno => StartError::Local(errno.into()),
    }
}

pub(super) fn bind_local(socket: &OwnedFd, server: SocketAddr, local: LocalAddress) -> nix::Result<()> {
    let ip = match local {
        LocalAddress::Any => return Ok(()),
        LocalAddress::Source(ip) => ip,
        LocalAddress::Client(ip) => {
            if ip.is_ipv4() != server.is_ipv4() {
                return Ok(()); // as Pen: no transparency between families, a plain connection instead
            }
            socket::set_transparent(socket.as_fd(), &ip)?;
            ip
        }
    };
    if ip.is_ipv4() != server.is_ipv4() {
        return Ok(());
    }
    // The port is chosen at connect(2), when the server is known: 64,000 ports per server, not in all.
    #[cfg(target_os = "linux")]
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_blamed_for_what_is_theirs_only() {
        for errno in [Errno::EADDRINUSE, Errno::EADDRNOTAVAIL, Errno::EPERM, Errno::ENOBUFS, Errno::ENOMEM] {
            assert!(is_ours(errno), "{errno}");
        }
        for errno in
            [Errno::ECONNREFUSED, Errno::ECONNRESET, Errno::EHOSTUNREACH, Errno::ETIMEDOUT, Errno::EPIPE]
        {
            assert!(!is_ours(errno), "{errno}");
        }
    }

    #[test]
    fn only_what_comes_back_by_itself_is_waited_for() {
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
            assert!(matches!(ours(errno), StartError::Shortage(_)), "{errno}");
        }
        // A machine without IPv6, among others.
        for errno in [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EACCES] {
            assert!(matches!(ours(errno), StartError::Local(_)), "{errno}");
        }
    }
}
