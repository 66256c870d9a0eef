//! Listening sockets that whoever starts pen hands down: systemd, for a socket unit or from the store of the pen before
//! (sd_listen_fds(3), FDSTORE=1 of sd_notify(3)). Which of them is wanted is known by its address alone.
#![allow(unsafe_code)]

use crate::net::listen::STORED;
use nix::errno::Errno;
use nix::fcntl::{F_GETFD, F_SETFD, FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{SockType, SockaddrStorage, getsockname, getsockopt, sockopt};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// The first descriptor handed down; those before are the standard streams.
const FIRST: RawFd = 3;

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Stream(SocketAddr),
    Datagram(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Stream(address) => write!(f, "TCP {address}"),
            Place::Datagram(address) => write!(f, "UDP {address}"),
            Place::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A socket handed down.
#[derive(Debug)]
pub struct Socket {
    pub fd: OwnedFd,
    /// As it was stored, or as its socket unit says.
    pub name: String,
    pub place: Place,
}

/// All that are not taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

impl Inherited {
    /// Takes what the environment announces for this process, closed on exec and non-blocking. What is no listening
    /// socket is closed and told in `refused`. To be called once, before anything else is opened.
    pub fn from_environment(refused: &mut Vec<String>) -> Inherited {
        let number = |name: &str| std::env::var(name).ok()?.parse::<i32>().ok();
        let is_ours = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
        let count = number("LISTEN_FDS").filter(|count| is_ours && *count > 0).unwrap_or(0);
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(String::from);
        let mut sockets = Vec::new();
        for raw in FIRST..FIRST.saturating_add(count) {
            let name = names.next().unwrap_or_default();
            // SAFETY: only looked at; when it is not open, the system says so.
            if fcntl(unsafe { BorrowedFd::borrow_raw(raw) }, F_GETFD) == Err(Errno::EBADF) {
                break;
            }
            // SAFETY: it is open, was opened before this program began, and by LISTEN_PID is meant for this process;
            // nothing else here knows its number.
            let fd = unsafe { OwnedFd::from_raw_fd(raw) };
            match prepare(&fd) {
                Ok(place) => sockets.push(Socket { fd, name, place }),
                Err(trouble) => {
                    refused.push(format!("descriptor {raw} ({name}) from the supervisor: {trouble}"))
                }
            }
        }
        Inherited(sockets)
    }

    /// Takes a socket that a program hands to a pen inside of it. Returns where it listens.
    ///
    /// # Errors
    /// It is no listening socket.
    pub fn give(&mut self, fd: OwnedFd) -> Result<Place, String> {
        let place = prepare(&fd)?;
        // By this name it counts as opened here.
        self.0.push(Socket { fd, name: format!("{STORED}{place}"), place: place.clone() });
        Ok(place)
    }

    /// The sockets at this place, in the order in which they came. A stream socket for every address of both families
    /// takes the clients of every IPv4 address as well.
    pub fn take(&mut self, place: &Place) -> Vec<Socket> {
        let taken: Vec<Socket> = self.0.extract_if(.., |socket| socket.place == *place).collect();
        match (taken.is_empty(), place) {
            (true, Place::Stream(any)) if any.ip() == IpAddr::from(Ipv4Addr::UNSPECIFIED) => {
                let both = Place::Stream(([0_u16; 8], any.port()).into());
                let takes_both = |socket: &mut Socket| {
                    socket.place == both && getsockopt(&socket.fd, sockopt::Ipv6V6Only) == Ok(false)
                };
                self.0.extract_if(.., takes_both).collect()
            }
            _ => taken,
        }
    }

    /// Those that nobody wanted.
    pub fn into_rest(self) -> Vec<Socket> {
        self.0
    }
}

/// Where it listens, once it is as sockets that pen opens.
fn prepare(fd: &OwnedFd) -> Result<Place, String> {
    let told = |errno: Errno| errno.desc().to_lowercase();
    fcntl(fd, F_SETFD(FdFlag::FD_CLOEXEC)).map_err(told)?;
    let flags = fcntl(fd, FcntlArg::F_GETFL).map_err(told)?;
    fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK)).map_err(told)?;
    let kind = getsockopt(fd, sockopt::SockType).map_err(told)?;
    let bound: SockaddrStorage = getsockname(fd.as_raw_fd()).map_err(told)?;
    let listens = || getsockopt(fd, sockopt::AcceptConn) == Ok(true);
    match (kind, internet_address(&bound), bound.as_unix_addr().and_then(|unix| unix.path())) {
        (SockType::Stream, _, _) if !listens() => Err("it does not listen".into()),
        (SockType::Stream, Some(address), _) => Ok(Place::Stream(address)),
        (SockType::Stream, None, Some(path)) => Ok(Place::Unix(path.into())),
        (SockType::Datagram, Some(address), _) => Ok(Place::Datagram(address)),
        _ => Err("want a TCP, UDP or Unix stream socket".into()),
    }
}

/// `None` for a Unix socket.
pub(crate) fn internet_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn socket(fd: impl Into<OwnedFd>) -> Result<Socket, String> {
        let fd = fd.into();
        prepare(&fd).map(|place| Socket { fd, name: String::new(), place })
    }

    #[test]
    fn sockets_are_known_by_kind_and_address_and_taken_once() {
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stream.local_addr().unwrap();
        let datagram = UdpSocket::bind(address).unwrap();
        let connected = TcpStream::connect(address).unwrap();
        assert_eq!(socket(connected).unwrap_err(), "it does not listen");
        let mut inherited = Inherited(vec![socket(stream).unwrap(), socket(datagram).unwrap()]);
        let is_closed_on_exec = |socket: &Socket| fcntl(&socket.fd, F_GETFD).unwrap() == 1;
        assert!(inherited.0.iter().all(is_closed_on_exec));
        assert!(inherited.take(&Place::Unix("/run/a".into())).is_empty());
        let taken = inherited.take(&Place::Stream(address));
        assert_eq!(taken.len(), 1);
        let flags = fcntl(&taken[0].fd, FcntlArg::F_GETFL).unwrap();
        assert!(OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK));
        assert!(inherited.take(&Place::Stream(address)).is_empty());
        assert_eq!(inherited.take(&Place::Datagram(address)).len(), 1);
        assert!(inherited.into_rest().is_empty());
    }

    #[test]
    fn a_socket_for_both_families_stands_in_for_every_ipv4_address() {
        let Ok(both) = TcpListener::bind("[::]:0") else { return };
        let port = both.local_addr().unwrap().port();
        let mut inherited = Inherited(vec![socket(both).unwrap()]);
        assert!(inherited.take(&Place::Stream(([127, 0, 0, 1], port).into())).is_empty());
        assert_eq!(inherited.take(&Place::Stream(([0, 0, 0, 0], port).into())).len(), 1);
    }
}
