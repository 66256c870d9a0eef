//! Upstream sockets: made non-blocking, on their way to a server.

use crate::balance::Endpoint;
use crate::sys::socket;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, setsockopt, sockopt,
};
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
    /// Ours (no local port, wrong source address): the next server may do, this one is not to blame.
    Local(io::Error),
    /// Out of descriptors or buffers: every server would fail now, later none.
    Shortage(io::Error),
}

/// Opens a non-blocking socket and starts connecting it.
pub fn start(endpoint: &Endpoint, local: LocalAddress, keepalive: bool) -> Result<Started, StartError> {
    let family = match endpoint {
        Endpoint::Inet(SocketAddr::V4(_)) => AddressFamily::Inet,
        Endpoint::Inet(SocketAddr::V6(_)) => AddressFamily::Inet6,
        Endpoint::Unix(_) => AddressFamily::Unix,
        Endpoint::Unset => return Err(StartError::Server(io::ErrorKind::AddrNotAvailable.into())),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = nix::sys::socket::socket(family, SockType::Stream, flags, None)
        .map_err(|errno| StartError::Shortage(errno.into()))?;
    if keepalive {
        setsockopt(&socket, sockopt::KeepAlive, &true).map_err(|errno| StartError::Local(errno.into()))?;
    }
    let connected = match endpoint {
        Endpoint::Inet(address) => {
            bind_local(&socket, *address, local).map_err(StartError::Local)?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(*address))
        }
        Endpoint::Unix(path) => UnixAddr::new(&**path).and_then(|unix| connect(socket.as_raw_fd(), &unix)),
        Endpoint::Unset => unreachable!("refused above"),
    };
    match connected {
        Ok(()) => Ok(Started::Connected(socket)),
        Err(Errno::EINPROGRESS) => Ok(Started::UnderWay(socket)),
        Err(errno @ (Errno::EADDRNOTAVAIL | Errno::EACCES | Errno::EPERM)) => {
            Err(StartError::Local(errno.into()))
        }
        Err(errno @ (Errno::ENOBUFS | Errno::ENOMEM)) => Err(StartError::Shortage(errno.into())),
        Err(errno) => Err(StartError::Server(errno.into())),
    }
}

fn bind_local(socket: &OwnedFd, server: SocketAddr, local: LocalAddress) -> io::Result<()> {
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
    Ok(bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(ip, 0)))?)
}
