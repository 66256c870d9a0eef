//! UDP sockets: those at which clients are heard, and those connected to servers.
//!
//! Mechanism only: when there is to be one, and what becomes of an error, is decided in `udp/`.

use super::connect::{LocalAddress, StartError, bind_local, ours};
use super::itself;
use crate::datagram::{allow_fragments, take_runs, tell_errors, tell_own_address};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, setsockopt, socket,
    sockopt,
};
use pen_proto::endpoint::Endpoint;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Asked for as receive buffer of a listener, so that a burst is not lost while a worker is busy; the system may grant less.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// So many datagrams that came too late are dropped before a socket is thrown away with them.
const LATE_MAX: usize = 4;

fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Datagram, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

/// Opens `count` sockets on one address, at least one: the first, and the others. The system divides the clients among
/// them by address and port, so that all datagrams of a client come to the same one.
///
/// With `shared` there may be other sockets of this user that share an overlapping address.
///
/// # Errors
/// What the system says; the address is in use also when it is another pen's.
pub fn listen(address: SocketAddr, count: usize, shared: bool) -> io::Result<(OwnedFd, Vec<OwnedFd>)> {
    let first = new_listener(address)?;
    setsockopt(&first, sockopt::ReusePort, &shared)?;
    // The first is bound before it may be shared: a second pen on the same port must be told, not given half of the
    // clients.
    bind(first.as_raw_fd(), &SockaddrStorage::from(address))?;
    if count < 2 {
        return Ok((first, Vec::new()));
    }
    // The real port, also when 0 was asked for.
    let bound: SockaddrStorage = getsockname(first.as_raw_fd())?;
    setsockopt(&first, sockopt::ReusePort, &true)?;
    let another = || {
        let socket = new_listener(address)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        bind(socket.as_raw_fd(), &bound)?;
        Ok(socket)
    };
    let others = (1..count).map(|_| another()).collect::<io::Result<_>>()?;
    Ok((first, others))
}

/// Makes sockets that were handed down those of a listener with `count` sockets. Where the system lets nobody share with
/// them, because another user has opened them, there are fewer.
///
/// # Errors
/// What the system says.
pub fn adopt(
    first: &OwnedFd,
    others: &mut Vec<OwnedFd>,
    address: SocketAddr,
    count: usize,
) -> io::Result<()> {
    others.truncate(count.saturating_sub(1));
    [first].into_iter().chain(&*others).try_for_each(|socket| set_up(socket, address))?;
    if count > 1 {
        setsockopt(first, sockopt::ReusePort, &true)?;
    }
    while others.len() + 1 < count {
        let socket = new_listener(address)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        if bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).is_err() {
            break;
        }
        others.push(socket);
    }
    Ok(())
}

fn new_listener(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    set_up(&socket, address)?;
    Ok(socket)
}

fn set_up(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    allow_fragments(socket.as_fd(), &address.ip())?;
    tell_own_address(socket.as_fd(), &address.ip())?;
    take_runs(socket.as_fd());
    Ok(setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?)
}

/// Opens a socket for one session, connected to its server, from `local` unless the server has a source of its own.
///
/// # Errors
/// As for TCP. That no local port is left is a shortage.
pub fn connect_to(endpoint: &Endpoint, local: LocalAddress) -> Result<OwnedFd, StartError> {
    let local = endpoint.source().map_or(local, LocalAddress::Source);
    let Some(address) = endpoint.internet_address() else {
        return Err(StartError::Local(io::Error::other("UDP needs an Internet address")));
    };
    let first = open(&address, local)?;
    match itself::has_met_itself(first.as_fd(), &address) {
        false => Ok(first),
        // While the first holds the port the second gets another, and hears when nobody is there.
        true => open(&address, local),
    }
}

fn open(address: &SocketAddr, local: LocalAddress) -> Result<OwnedFd, StartError> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family).map_err(ours)?;
    allow_fragments(socket.as_fd(), &address.ip()).map_err(ours)?;
    tell_errors(socket.as_fd(), &address.ip()).map_err(ours)?;
    bind_local(&socket, *address, local).map_err(ours)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(*address)) {
        Ok(()) => Ok(socket),
        // What Linux says when every local port is taken.
        Err(errno @ (Errno::EAGAIN | Errno::EADDRNOTAVAIL)) => Err(StartError::Shortage(errno.into())),
        Err(errno @ (Errno::ENETUNREACH | Errno::EHOSTUNREACH)) => Err(StartError::Server(errno.into())),
        Err(errno) => Err(ours(errno)),
    }
}

/// Connects a socket of [`connect_to`] that has served its turn to another server with the same kind of address, from
/// another port, for half of what it costs to close it and open one. What its former server has sent too late is dropped.
/// False: another is to be opened, because this one has an error, or the system does not do this.
pub fn connect_again(socket: BorrowedFd<'_>, endpoint: &Endpoint) -> bool {
    let Some(address) = endpoint.internet_address() else { return false };
    // Elsewhere it would keep its port. On Linux it has none from here on, and nothing more comes.
    cfg!(target_os = "linux")
        && rustix::net::connect_unspec(socket).is_ok()
        && drop_late(socket)
        && rustix::net::connect(socket, &address).is_ok()
        && !itself::has_met_itself(socket, &address)
}

/// Drops what waits at a socket; false when that is too much, or an error.
fn drop_late(socket: BorrowedFd<'_>) -> bool {
    let mut received = (0..LATE_MAX).map(|_| crate::socket::receive(socket, &mut [0]));
    let error = received.find_map(Result::err);
    error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn address(socket: &impl AsRawFd) -> SocketAddr {
        let bound: SockaddrStorage = getsockname(socket.as_raw_fd()).unwrap();
        SocketAddr::V4((*bound.as_sockaddr_in().unwrap()).into())
    }

    #[test]
    fn a_port_is_shared_within_one_pen_and_with_nobody_else() {
        let (first, others) = listen("127.0.0.1:0".parse().unwrap(), 3, false).unwrap();
        let port = address(&first);
        assert_eq!(others.iter().map(address).collect::<Vec<_>>(), [port, port]);
        for count in [1, 3] {
            let error = listen(port, count, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "a second pen with {count} workers");
        }
        // Every client reaches one of them, and the same one every time.
        let receivers: Vec<UdpSocket> = [first].into_iter().chain(others).map(UdpSocket::from).collect();
        let mut reached = [0; 3];
        for _ in 0..60 {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(b"1", port).unwrap();
            client.send_to(b"2", port).unwrap();
            let counts = receivers.iter().map(|receiver| {
                let mut count = 0;
                while receiver.recv(&mut [0]).is_ok() {
                    count += 1;
                }
                count
            });
            let counts: Vec<u32> = counts.collect();
            let at = counts.iter().position(|count| *count == 2).unwrap_or_else(|| panic!("{counts:?}"));
            reached[at] += 1;
        }
        assert!(reached.iter().all(|count| *count > 0), "{reached:?}");
    }

    #[test]
    fn a_session_has_a_socket_of_its_own() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::Inet(server.local_addr().unwrap());
        let source = LocalAddress::Source([127, 0, 0, 9].into());
        let [a, b] = [LocalAddress::Any, source].map(|local| connect_to(&endpoint, local).unwrap());
        assert_ne!(address(&a).port(), address(&b).port());
        assert_eq!(address(&b).ip().to_string(), "127.0.0.9");
        assert!(matches!(connect_to(&Endpoint::Unset, source), Err(StartError::Local(_))));
    }

    #[test]
    fn a_socket_that_is_used_again_hears_nothing_of_its_former_server() {
        let servers = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let endpoints = servers.each_ref().map(|server| Endpoint::Inet(address(server)));
        let socket = connect_to(&endpoints[0], LocalAddress::Any).unwrap();
        let former = address(&socket);
        servers[0].send_to(b"waits", former).unwrap();
        assert!(connect_again(socket.as_fd(), &endpoints[1]));
        servers[0].send_to(b"late", former).unwrap();
        servers[1].send_to(b"mine", address(&socket)).unwrap();
        let socket = UdpSocket::from(socket);
        let mut buffer = [0; 9];
        assert_eq!(socket.recv(&mut buffer).map(|count| &buffer[..count]).unwrap(), b"mine");
        assert_eq!(socket.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_socket_with_an_error_is_not_used_again() {
        let [server, nobody] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [here, gone] = [&server, &nobody].map(|server| Endpoint::Inet(address(server)));
        drop(nobody);
        let socket = connect_to(&gone, LocalAddress::Any).unwrap();
        crate::socket::send(socket.as_fd(), b"1").unwrap();
        assert!(!connect_again(socket.as_fd(), &here));
    }
}
