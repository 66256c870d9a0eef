//! The system calls of the relay path, without the library's wrappers.
//!
//! The C library makes every call that may block a point at which its thread can be cancelled. In a program with more than
//! one thread that costs each of these calls two locked instructions, which nobody here needs: no thread of pen is ever
//! cancelled. Errors are told as the library tells them, by -1 and `errno`. Called by `socket.rs` and `net/poller.rs`.

#![allow(unsafe_code)]

pub use direct::{accept4, epoll_wait, recv, send};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod direct {
    use nix::libc::*;
    use std::ptr;

    /// As accept4(2).
    ///
    /// # Safety
    /// `address` and `length` must be as accept4(2) wants them.
    #[inline]
    pub unsafe fn accept4(fd: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
        // SAFETY: these are the arguments of the call, and the caller answers for the pointers.
        unsafe { syscall(SYS_accept4, fd, address, length, flags) as c_int }
    }

    /// As recv(2).
    ///
    /// # Safety
    /// There must be `length` writable bytes at `bytes`.
    #[inline]
    pub unsafe fn recv(fd: c_int, bytes: *mut c_void, length: size_t, flags: c_int) -> ssize_t {
        let none = ptr::null_mut::<c_void>();
        // SAFETY: these are the arguments of the call, which recv(2) is but another name for, and nobody's address is asked
        // for; the caller answers for `bytes`.
        unsafe { syscall(SYS_recvfrom, fd, bytes, length, flags, none, none) as ssize_t }
    }

    /// As send(2).
    ///
    /// # Safety
    /// There must be `length` readable bytes at `bytes`.
    #[inline]
    pub unsafe fn send(fd: c_int, bytes: *const c_void, length: size_t, flags: c_int) -> ssize_t {
        let none = ptr::null::<c_void>();
        // SAFETY: as for `recv`.
        unsafe { syscall(SYS_sendto, fd, bytes, length, flags, none, 0_usize) as ssize_t }
    }

    /// As epoll_wait(2).
    ///
    /// # Safety
    /// There must be room for `most` events at `events`.
    #[inline]
    pub unsafe fn epoll_wait(fd: c_int, events: *mut epoll_event, most: c_int, timeout: c_int) -> c_int {
        let none = ptr::null::<sigset_t>();
        // SAFETY: these are the arguments of the call, which epoll_wait(2) is but another name for where no signals are to be
        // masked; the caller answers for `events`.
        unsafe { syscall(SYS_epoll_pwait, fd, events, most, timeout, none, 0_usize) as c_int }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod direct {
    #[cfg(target_os = "linux")]
    pub use nix::libc::epoll_wait;
    pub use nix::libc::{accept4, recv, send};
}
