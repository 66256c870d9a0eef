//! The operating system itself.

#[cfg(not(test))]
pub use crate::net::connect::{Started, start as connect};
#[cfg(not(test))]
pub use crate::net::poller::Poller;
pub use crate::sys::clock::{epoch_ms, monotonic_ms, monotonic_us, ms_until_second, steady_epoch_seconds};
pub use crate::sys::pipe::Pipe;
pub use crate::sys::socket::{
    accept, close, discard, end_writing, has_something, local_address, nothing_arrived, peek, receive,
    reset_on_close, send, send_parts,
};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
#[cfg(not(test))]
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
pub use std::os::fd::{BorrowedFd as FdRef, OwnedFd as Fd};

#[cfg(not(test))]
pub fn borrow(fd: &Fd) -> FdRef<'_> {
    fd.as_fd()
}

/// The number that people see.
pub fn number(fd: &Fd) -> i32 {
    fd.as_raw_fd()
}

#[cfg(not(test))]
/// A poller as connections see it.
pub fn watching(poller: Poller) -> Poller {
    poller
}

/// The error that the system has noted for a socket, 0 for none; it is forgotten there.
pub fn take_error(socket: FdRef<'_>) -> i32 {
    getsockopt(&socket, sockopt::SocketError).unwrap_or(0)
}

/// Sets TCP_NODELAY. Fails on Unix sockets, which do not delay.
pub fn send_at_once(socket: FdRef<'_>) {
    let _ = setsockopt(&socket, sockopt::TcpNoDelay, &true);
}

/// Lets urgent bytes be read in their place in the stream. Unix sockets know none.
pub fn read_urgent_inline(socket: FdRef<'_>) {
    let _ = setsockopt(&socket, sockopt::OobInline, &true);
}
