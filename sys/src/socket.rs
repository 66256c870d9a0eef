//! System calls on sockets: those of the relay path, and those that the standard library and `nix` do not offer in one call.
//!
//! What every connection needs goes by `rustix`, which puts the call where it stands. The C library's functions cost a
//! return that the processor does not foresee after a call, and as points at which a thread can be cancelled two locked
//! instructions each: docs/experiments.md has the figure.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use rustix::io::retry_on_intr;
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags};
use std::ffi::CString;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::ptr;

/// Takes a connection from the listener's queue, non-blocking and close-on-exec, with the address of the client, in one
/// system call. `None` as address: a Unix socket.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, peer) = net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((socket, peer.and_then(|peer| peer.try_into().ok())))
}

/// Tells the peer that nothing more comes; what it sends can still be read.
pub fn end_writing(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(net::shutdown(socket, net::Shutdown::Write)?)
}

/// Whether the stream takes something without waiting, after so much patience; false for one that is broken.
pub fn takes_more(stream: BorrowedFd<'_>, patience_milliseconds: u16) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut asked = [PollFd::new(stream, PollFlags::POLLOUT)];
    while poll(&mut asked, PollTimeout::from(patience_milliseconds)) == Err(Errno::EINTR) {}
    asked[0].revents() == Some(PollFlags::POLLOUT)
}

/// Whether there is something to read, or at a listener somebody to accept.
pub fn has_something(socket: BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// Closes a socket for good.
pub fn close(socket: OwnedFd) {
    // SAFETY: the descriptor was owned here alone, and is given up.
    unsafe { rustix::io::close(socket.into_raw_fd()) }
}

pub(super) fn internet_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller and no more aligned.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Elsewhere the flag means something else.
#[cfg(target_os = "linux")]
const DISCARD: RecvFlags = RecvFlags::TRUNC;
#[cfg(not(target_os = "linux"))]
const DISCARD: RecvFlags = RecvFlags::empty();

/// Reads what is there. `Ok(0)` is end of file.
#[inline]
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::recv(socket, &mut *buffer, RecvFlags::empty()))?.0)
}

/// Takes away what is there, at most as much as the buffer has room for, whose contents are of no use then: of a TCP socket
/// Linux copies nothing. Otherwise as [`receive`].
pub fn discard(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::recv(socket, &mut *buffer, DISCARD))?.1)
}

/// Reads what is there and leaves it there. `Ok(0)` is end of file.
pub fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::recv(socket, &mut *buffer, RecvFlags::PEEK))?.0)
}

/// The address on this side; `None` for a Unix socket.
pub fn local_address(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let address =
        nix::sys::socket::getsockname::<nix::sys::socket::SockaddrStorage>(socket.as_raw_fd()).ok()?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// Writes what the socket takes, without SIGPIPE.
#[inline]
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::send(socket, bytes, SendFlags::NOSIGNAL))?)
}

/// As [`send`], of bytes that lie in several places.
pub fn send_parts(socket: BorrowedFd<'_>, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    // SAFETY: an IoSlice is laid out as an iovec, `parts` and what they point to live through the call, and the kernel
    // only reads them.
    retry(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) })
}

/// Repeats a call that a signal interrupted: its edge-triggered event would not come again. `call` returns a count, or -1
/// and an error number.
pub(super) fn retry<Count: TryInto<usize>>(mut call: impl FnMut() -> Count) -> io::Result<usize> {
    loop {
        if let Ok(count) = call().try_into() {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Whether the peer has acknowledged nothing of what was written to this connection. False when the system cannot tell,
/// as for Unix sockets.
pub fn nothing_arrived(socket: BorrowedFd<'_>) -> bool {
    // Linux counts the acknowledgement of our SYN as one byte.
    acknowledged_bytes(socket).is_some_and(|count| count <= 1)
}

#[cfg(target_os = "linux")]
fn acknowledged_bytes(socket: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: a tcp_info is made of numbers.
    let info = unsafe { option::<libc::tcp_info>(socket, libc::IPPROTO_TCP, libc::TCP_INFO) };
    // A kernel before 4.1 fills less of it.
    let is_filled = |length| length >= mem::offset_of!(libc::tcp_info, tcpi_bytes_received);
    info.filter(|(_, length)| is_filled(*length)).map(|(info, _)| info.tcpi_bytes_acked)
}

#[cfg(not(target_os = "linux"))]
fn acknowledged_bytes(_: BorrowedFd<'_>) -> Option<u64> {
    None
}

/// How many datagrams found no room in the buffer of this socket, modulo 2^32. `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub fn lost_datagrams(socket: BorrowedFd<'_>) -> Option<u32> {
    // Of linux/sock_diag.h, where it is the last of the numbers that SO_MEMINFO gives.
    const SK_MEMINFO_DROPS: usize = 8;
    type Numbers = [u32; SK_MEMINFO_DROPS + 1];
    // SAFETY: they are numbers.
    let (numbers, length) = unsafe { option::<Numbers>(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)? };
    (length == mem::size_of::<Numbers>()).then_some(numbers[SK_MEMINFO_DROPS])
}

/// As above: no other system tells.
#[cfg(not(target_os = "linux"))]
pub fn lost_datagrams(_: BorrowedFd<'_>) -> Option<u32> {
    None
}

/// Lets the next close(2) send a reset instead of an orderly end, so that the peer learns that data was lost.
pub fn reset_on_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Linger, &linger).map_err(io::Error::from)
}

/// Allows a socket to be bound to an address that is not the host's (needs CAP_NET_ADMIN).
pub fn set_transparent(socket: BorrowedFd<'_>, family: &IpAddr) -> nix::Result<()> {
    let (level, name) = match family {
        IpAddr::V4(_) => (libc::SOL_IP, libc::IP_TRANSPARENT),
        IpAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
    };
    set_option(socket, level, name, 1)
}

/// Has a listener take no further connections, while handshakes that have begun come to their end. Whoever begins one finds
/// the listener that is beside it, or is refused.
///
/// It listens at an interface that there is not (Linux 5.7 lets everybody bind a socket that is bound to none). A filter
/// on the socket would do as well, but not every system lets those without privileges attach one.
#[cfg(target_os = "linux")]
pub fn begin_no_more(listener: BorrowedFd<'_>) -> io::Result<()> {
    const NO_INTERFACE: libc::c_int = libc::c_int::MAX;
    Ok(set_option(listener, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, NO_INTERFACE)?)
}

/// As above; other systems know no such thing.
#[cfg(not(target_os = "linux"))]
pub fn begin_no_more(_: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Sets an option for which the library has no name.
pub(super) fn set_option<Value: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: Value,
) -> nix::Result<()> {
    // SAFETY: `value` lives through the call, and its size is given.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<Value>() as libc::socklen_t,
        )
    };
    nix::errno::Errno::result(failed).map(drop)
}

/// Asks for an option for which the library has no name. Returns its value, with zeros where the system has written
/// nothing, and how many bytes it has written. `None` when the system refuses.
///
/// # Safety
/// Whatever bytes there are, zeros included, must be a valid `Value`.
pub(super) unsafe fn option<Value: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> Option<(Value, usize)> {
    // SAFETY: the caller has promised that zeros are a valid value.
    let mut value: Value = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<Value>() as libc::socklen_t;
    // SAFETY: `value` and `length` live through the call and `length` is the size of `value`.
    let failed =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &mut length) };
    (failed == 0).then_some((value, length as usize))
}

/// getaddrinfo(3). May block for as long as a name server takes; never call it on a worker.
///
/// Without a `host`, the service's port alone is asked for: that of TCP where it has one, else that of UDP. Addresses of a
/// family that this machine uses come alone, where there are any: on a machine without IPv6 `localhost` is 127.0.0.1.
/// Errors carry the resolver's words.
pub fn look_up(host: Option<&str>, service: Option<&str>) -> Result<Vec<SocketAddr>, String> {
    let text = |s: Option<&str>| s.map(CString::new).transpose().map_err(|_| "NUL in name".to_string());
    let (host, service) = (text(host)?, text(service)?);
    let kinds: &[_] =
        if service.is_some() { &[libc::SOCK_STREAM, libc::SOCK_DGRAM] } else { &[libc::SOCK_STREAM] };
    let ways = kinds.iter().flat_map(|kind| [(*kind, libc::AI_ADDRCONFIG), (*kind, 0)]);
    let mut found = Err(libc::EAI_NONAME);
    for (kind, flags) in ways {
        found = look_up_with(&host, &service, kind, flags);
        // A name server that does not answer is not asked twice.
        if !matches!(found, Err(code) if code != libc::EAI_AGAIN) {
            break;
        }
    }
    found.map_err(|code| {
        // SAFETY: gai_strerror returns a static string that ends in NUL.
        let reason = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(code)) };
        reason.to_string_lossy().into_owned()
    })
}

/// The error is getaddrinfo's.
fn look_up_with(
    host: &Option<CString>,
    service: &Option<CString>,
    kind: libc::c_int,
    flags: libc::c_int,
) -> Result<Vec<SocketAddr>, libc::c_int> {
    let pointer = |s: &Option<CString>| s.as_ref().map_or(ptr::null(), |s| s.as_ptr());
    // SAFETY: all-zero bytes are a valid addrinfo (no flags, null pointers).
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    hints.ai_socktype = kind;
    hints.ai_flags = flags;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: the strings end in NUL and live through the call; `list` receives a list that is freed below.
    let code = unsafe { libc::getaddrinfo(pointer(host), pointer(service), &hints, &mut list) };
    if code != 0 {
        return Err(code);
    }
    let mut found = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a node of the list that getaddrinfo made and that is not freed yet.
        let node = unsafe { &*entry };
        // SAFETY: all-zero bytes are a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
        let length = (node.ai_addrlen as usize).min(mem::size_of_val(&storage));
        // SAFETY: getaddrinfo says that `ai_addrlen` bytes are at `ai_addr`; `storage` has room for `length`.
        unsafe { ptr::copy_nonoverlapping(node.ai_addr.cast::<u8>(), (&raw mut storage).cast(), length) };
        found.extend(internet_address(&storage));
        entry = node.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo and is used no more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn services_of_either_protocol_have_a_port() {
        if std::fs::read_to_string("/etc/services").is_ok_and(|services| services.contains("514/udp")) {
            assert_eq!(look_up(None, Some("syslog")).unwrap()[0].port(), 514);
            assert_eq!(look_up(None, Some("smtp")).unwrap()[0].port(), 25);
        }
        assert!(look_up(None, Some("no-such-service")).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn knows_whether_anything_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let (mut ours, theirs) = connect();
        drop(theirs);
        ours.write_all(b"to nobody").unwrap();
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        assert!(nothing_arrived(ours.as_fd()), "it had been closed before");
        let (mut ours, mut theirs) = connect();
        ours.write_all(b"x").unwrap();
        theirs.read_exact(&mut [0]).unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        assert!(!nothing_arrived(ours.as_fd()), "it was read");
        assert!(!nothing_arrived(UnixStream::pair().unwrap().0.as_fd()), "not known of Unix sockets");
    }
}
