//! Sockets that are connected to themselves.
//!
//! Who connects to a port of this host where nobody listens is refused, unless the system happens to choose this very port
//! for the near end as well: then the socket finds itself (RFC 9293 calls it a simultaneous open), the connect succeeds, and
//! whatever is sent comes back. The server that should have the port could not even start as long as that lasts.
//!
//! It takes a destination on this host and a port among those that the system hands out, and only then a socket is asked
//! for its address. Connects are started by `connect` and `datagram`, which try again.

use crate::{interfaces, socket};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

/// First and last port that the system chooses for sockets that ask for none, 16 bits each. All, until it was asked.
static PORTS: AtomicU32 = AtomicU32::new(1 << 16 | 0xffff);

/// The addresses of this host beside the loopback's.
static OWN: RwLock<Option<HashSet<IpAddr>>> = RwLock::new(None);

/// Learns which ports the system hands out and which addresses are this host's. What cannot be read stays as it was: in a
/// jail, for example. For the main thread, at start and whenever the servers may have changed.
pub fn look_around() {
    if let Some((first, last)) = interfaces::ports_handed_out() {
        PORTS.store(u32::from(first) << 16 | u32::from(last), Ordering::Relaxed);
    }
    if let Ok(own) = interfaces::own_addresses() {
        *OWN.write().unwrap_or_else(PoisonError::into_inner) = Some(own);
    }
}

/// Whether this address is one of this host's, as far as known.
pub fn is_here(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback()
        || OWN.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|own| own.contains(&ip))
}

/// Whether a socket that was told to connect to `server` is connected to itself. Costs a system call only where that can be.
#[inline]
pub fn has_met_itself(socket: BorrowedFd<'_>, server: &SocketAddr) -> bool {
    let ports = PORTS.load(Ordering::Relaxed);
    let is_handed_out = (ports >> 16..=ports & 0xffff).contains(&server.port().into());
    is_handed_out && is_here(server.ip()) && is_at(socket, server)
}

fn is_at(socket: BorrowedFd<'_>, server: &SocketAddr) -> bool {
    let near = socket::local_address(socket);
    near.is_some_and(|near| {
        near.port() == server.port() && near.ip().to_canonical() == server.ip().to_canonical()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, socket,
    };
    use std::net::TcpListener;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};

    fn connected_to_itself(kind: SockType) -> (OwnedFd, SocketAddr) {
        let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let any_port = SockaddrStorage::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        bind(socket.as_raw_fd(), &any_port).unwrap();
        let own: SockaddrStorage = getsockname(socket.as_raw_fd()).unwrap();
        connect(socket.as_raw_fd(), &own).expect("a simultaneous open");
        let own = SocketAddr::V4((*own.as_sockaddr_in().unwrap()).into());
        (socket, own)
    }

    #[test]
    fn a_socket_that_met_itself_is_recognised() {
        for kind in [SockType::Stream, SockType::Datagram] {
            let (socket, own) = connected_to_itself(kind);
            assert!(has_met_itself(socket.as_fd(), &own), "{kind:?}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let socket = std::net::TcpStream::connect(server).unwrap();
        assert!(!has_met_itself(socket.as_fd(), &server));
    }

    #[test]
    fn what_is_here_is_known() {
        look_around();
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_here(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["192.0.2.1", "2001:db8::1"] {
            assert!(!is_here(ip.parse().unwrap()), "{ip}");
        }
    }
}
