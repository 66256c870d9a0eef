//! The door between the program and the library: the functions that take the place of the system's, the system's own
//! behind them, and the lock around what the library remembers. The only `unsafe` of the crate.
//!
//! Three things hold for every function here. What may wait is called outside of Rust's handling of panics, because a
//! thread that waits may be cancelled, which unwinds its stack. errno stays as the system's function left it. Whoever
//! comes here a second time, from a signal handler or from what the library itself calls, gets the system's function.

#![allow(unsafe_code)]

mod exported;
mod hidden;

pub use hidden::{HIDDEN_MAX, hide, unhide};

use crate::control;
use crate::registrations::Registration;
use crate::shim::{self, State};
use crate::{sockets, watchdog};
use nix::errno::Errno;
use nix::libc::{
    self, c_int, c_long, c_uint, c_void, epoll_event, fd_set, nfds_t, pollfd, sigset_t, sockaddr, socklen_t,
    timespec, timeval,
};
use std::cell::{Cell, UnsafeCell};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// The function of this name that the program would have without us.
fn next(name: &'static std::ffi::CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero byte.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// `fn name(arguments) = "symbol"`: calls the system's function, which is looked for once.
macro_rules! system {
    ($(fn $name:ident($($argument:ident: $type:ty),*) = $symbol:literal;)*) => {
        mod system {
            use super::*;
            $(
                /// # Safety
                /// That of the system's function.
                pub unsafe fn $name($($argument: $type),*) -> c_int {
                    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                    let mut found = FOUND.load(Ordering::Relaxed);
                    if found.is_null() {
                        found = next($symbol);
                        if found.is_null() {
                            Errno::ENOSYS.set();
                            return -1;
                        }
                        FOUND.store(found, Ordering::Relaxed);
                    }
                    // SAFETY: the symbol is a function of this type, and the caller keeps its contract.
                    unsafe {
                        let function: unsafe extern "C-unwind" fn($($type),*) -> c_int =
                            std::mem::transmute::<*mut c_void, _>(found);
                        function($($argument),*)
                    }
                }
            )*
        }
    };
}

system! {
    fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) = c"connect";
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t) = c"getsockopt";
    fn close(fd: c_int) = c"close";
    fn close_range(first: c_uint, last: c_uint, flags: c_int) = c"close_range";
    fn dup(fd: c_int) = c"dup";
    fn dup2(fd: c_int, copy: c_int) = c"dup2";
    fn dup3(fd: c_int, copy: c_int, flags: c_int) = c"dup3";
    fn fcntl(fd: c_int, command: c_int, argument: c_long) = c"fcntl";
    fn fcntl64(fd: c_int, command: c_int, argument: c_long) = c"fcntl64";
    fn poll(descriptors: *mut pollfd, count: nfds_t, timeout: c_int) = c"poll";
    fn ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) = c"ppoll";
    fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, other: *mut fd_set, timeout: *mut timeval) = c"select";
    fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, other: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) = c"pselect";
    fn epoll_ctl(set: c_int, what: c_int, fd: c_int, event: *mut epoll_event) = c"epoll_ctl";
    fn epoll_wait(set: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) = c"epoll_wait";
    fn epoll_pwait(set: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) = c"epoll_pwait";
    fn epoll_pwait2(set: c_int, events: *mut epoll_event, max: c_int, timeout: *const timespec, mask: *const sigset_t) = c"epoll_pwait2";
}

// ------------------------------------------------------------------------------------------------ what is remembered

struct Remembered {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    state: UnsafeCell<Option<State>>,
}

// SAFETY: the state is touched only by `with_state`, under the lock.
unsafe impl Sync for Remembered {}

static REMEMBERED: Remembered =
    Remembered { lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER), state: UnsafeCell::new(None) };

thread_local! {
    /// The thread is at work for the library.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The thread is the library's, and its descriptors are not those of the program.
    static IS_APART: Cell<bool> = const { Cell::new(false) };
}

/// The process that has the memory. Between vfork(2) and exec(2) a child works on its parent's.
static OWNER: AtomicU32 = AtomicU32::new(0);
static IS_LOCKED_FOR_FORK: AtomicBool = AtomicBool::new(false);

fn lock() {
    // SAFETY: the mutex is initialised and never moves.
    unsafe { libc::pthread_mutex_lock(REMEMBERED.lock.get()) };
}

fn unlock() {
    // SAFETY: as above; the thread has locked it.
    unsafe { libc::pthread_mutex_unlock(REMEMBERED.lock.get()) };
}

/// The thread is at work for the library until this goes.
struct Inside;

impl Inside {
    fn enter() -> Option<Inside> {
        if IS_INSIDE.replace(true) { None } else { Some(Inside) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(false);
    }
}

/// Runs with the system's functions in place of ours; `None` when the thread is at work for the library already.
pub fn unobserved<T>(work: impl FnOnce() -> T) -> Option<T> {
    let _inside = Inside::enter()?;
    Some(work())
}

/// What this thread calls is the system's from now on.
pub fn stand_apart() {
    IS_APART.set(true);
}

/// Whether this thread's descriptors are not those of the program.
pub fn is_apart() -> bool {
    IS_APART.get()
}

// What is remembered of descriptors says nothing about those of a thread that stands apart.

fn is_tracked(fd: c_int) -> bool {
    sockets::is_tracked(fd) && !is_apart()
}

fn is_unsettled(fd: c_int) -> bool {
    sockets::is_unsettled(fd) && !is_apart()
}

fn anything_is_unsettled() -> bool {
    sockets::anything_is_unsettled() && !is_apart()
}

fn is_hidden(fd: c_int) -> bool {
    hidden::is_hidden(fd) && !is_apart()
}

fn is_active() -> bool {
    shim::is_active() && !is_apart()
}

/// Works on what is remembered. `None` when the thread does so already.
pub fn with_state<T>(work: impl FnOnce(&mut Option<State>) -> T) -> Option<T> {
    struct Unlock;
    impl Drop for Unlock {
        fn drop(&mut self) {
            unlock();
        }
    }
    let _inside = Inside::enter()?;
    lock();
    let _unlock = Unlock;
    // SAFETY: the lock is held, and nobody comes here twice in one thread.
    Some(work(unsafe { &mut *REMEMBERED.state.get() }))
}

pub fn pid() -> u32 {
    std::process::id()
}

/// Whether the memory is another process's: what a child of vfork(2) closes, its parent still has.
fn is_borrowed() -> bool {
    pid() != OWNER.load(Ordering::Relaxed)
}

/// A process that was made without fork(3) has its memory, but nobody told it so.
pub fn is_new_process() -> bool {
    let pid = pid();
    OWNER.swap(pid, Ordering::Relaxed) != pid
}

extern "C" fn before_fork() {
    if !IS_INSIDE.get() {
        lock();
        IS_LOCKED_FOR_FORK.store(true, Ordering::Relaxed);
    }
}

extern "C" fn after_fork_in_parent() {
    if !IS_INSIDE.get() && IS_LOCKED_FOR_FORK.swap(false, Ordering::Relaxed) {
        unlock();
    }
}

extern "C" fn after_fork_in_child() {
    after_fork_in_parent();
    hidden::close_hidden();
    control::may_try_again();
    OWNER.store(pid(), Ordering::Relaxed);
    guarded(|| with_state(|state| state.as_mut().map(shim::forked)));
}

/// Called when the library has been loaded.
extern "C" fn loaded() {
    OWNER.store(pid(), Ordering::Relaxed);
    let errno = Errno::last_raw();
    guarded(shim::start);
    if shim::is_active() {
        // SAFETY: the functions stay where they are: the library is never unloaded before the program ends.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
        };
        guarded(|| {
            control::try_once();
            if shim::watchdog().is_some() {
                watchdog::prepare();
            }
            // Whoever has the port may be gone when the program connects.
            if !hidden::anything_is_hidden() {
                control::may_try_again();
            }
        });
    }
    Errno::set_raw(errno);
}

/// Called when the program calls exit(3), or comes back from main().
extern "C" fn ended() {
    if is_active() && !is_borrowed() {
        guarded(watchdog::end);
    }
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static ENDED: extern "C" fn() = ended;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

/// One line on standard error. Nothing can be done where that is closed.
pub fn say(message: &str) {
    let line = format!("libpen: {message}\n");
    // SAFETY: the buffer is as long as it says.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// A panic means that the library does nothing.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// As [`guarded`], and errno stays.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    let errno = Errno::last_raw();
    let done = guarded(work);
    Errno::set_raw(errno);
    done
}

// ---------------------------------------------------------------------------------------------- asked of the system

/// How far a connect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    UnderWay,
    Connected,
    Failed,
}

/// Asks without taking anything from the socket.
pub fn progress(fd: c_int) -> Progress {
    let mut descriptor = pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one descriptor, and no wait.
    match unsafe { system::poll(&mut descriptor, 1, 0) } {
        1 if descriptor.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => Progress::Failed,
        1 => Progress::Connected,
        _ => Progress::UnderWay,
    }
}

fn option<T: Default>(fd: c_int, level: c_int, name: c_int) -> Option<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as socklen_t;
    // SAFETY: the value is as long as it says.
    let result = unsafe { system::getsockopt(fd, level, name, (&raw mut value).cast(), &mut length) };
    (result == 0).then_some(value)
}

/// The error of the socket, which it does not have any more then.
pub fn take_error(fd: c_int) -> c_int {
    option(fd, libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0)
}

/// The kernel's number of the socket, 0 where there is none.
pub fn cookie(fd: c_int) -> u64 {
    option(fd, libc::SOL_SOCKET, libc::SO_COOKIE).unwrap_or(0)
}

/// Whether it is a TCP socket that has no peer yet. Its connect says whether there is a server: fast open, which answers without having
/// asked, is switched off.
pub fn prepare_tcp(fd: c_int) -> bool {
    let errno = Errno::last_raw();
    let has_fast_open = option::<c_int>(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT);
    if has_fast_open.is_some_and(|value| value != 0) {
        let off: c_int = 0;
        let length = size_of::<c_int>() as socklen_t;
        // SAFETY: the value is as long as it says.
        unsafe {
            libc::setsockopt(
                fd,
                libc::IPPROTO_TCP,
                libc::TCP_FASTOPEN_CONNECT,
                (&raw const off).cast(),
                length,
            )
        };
    }
    let has_peer = has_fast_open.is_some() && has_peer(fd);
    Errno::set_raw(errno);
    has_fast_open.is_some() && !has_peer
}

fn has_peer(fd: c_int) -> bool {
    let mut length = 0;
    // SAFETY: zeros are an address, and nothing is written, as the length says.
    unsafe {
        let mut nowhere: sockaddr = std::mem::zeroed();
        libc::getpeername(fd, &mut nowhere, &mut length) == 0
    }
}

/// Gives up the connect, and keeps everything else of the socket.
pub fn disconnect(fd: c_int) {
    // SAFETY: an address of zeros is one, and means none.
    unsafe {
        let mut address: sockaddr = std::mem::zeroed();
        address.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
        system::connect(fd, &address, size_of::<sockaddr>() as socklen_t);
    }
}

/// Lets time pass. Not by a call at which a thread of the program may be cancelled.
pub fn pause_ms(duration_ms: u64) {
    let nanoseconds = (duration_ms % 1000 * 1_000_000) as libc::c_long;
    let pause = timespec { tv_sec: (duration_ms / 1000) as libc::time_t, tv_nsec: nanoseconds };
    // SAFETY: the time is one, and what is left of it is not wanted.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const pause, std::ptr::null_mut::<timespec>()) };
}

/// Whether a connect of this socket waits for its outcome.
pub fn is_blocking(fd: c_int) -> bool {
    // SAFETY: the command gives a number.
    let flags = unsafe { system::fcntl(fd, libc::F_GETFL, 0) };
    flags >= 0 && flags & libc::O_NONBLOCK == 0
}

/// Returns 0 or an error. A socket that is blocking by now is not for the moment of the call.
pub fn connect_without_waiting(fd: c_int, to: SocketAddr) -> c_int {
    // SAFETY: these commands take and give numbers.
    let flags = unsafe { system::fcntl(fd, libc::F_GETFL, 0) };
    let is_blocking = flags >= 0 && flags & libc::O_NONBLOCK == 0;
    let set = |flags: c_int| {
        if is_blocking {
            // SAFETY: as above.
            unsafe { system::fcntl(fd, libc::F_SETFL, flags.into()) };
        }
    };
    set(flags | libc::O_NONBLOCK);
    // SAFETY: the address is as long as it says.
    let result = with_sockaddr(to, |address, length| unsafe { system::connect(fd, address, length) });
    let errno = if result == 0 { 0 } else { Errno::last_raw() };
    set(flags);
    errno
}

/// An event of a descriptor that is told once was not told: it may be told again.
pub fn rearm(fd: c_int, registration: Registration) {
    let mut event = epoll_event { events: registration.events, u64: registration.data };
    // SAFETY: the event is one.
    unsafe { system::epoll_ctl(registration.set, libc::EPOLL_CTL_MOD, fd, &mut event) };
}

/// # Safety
/// The address is null or as long as it says.
unsafe fn read_address(address: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    let has = |size: usize| length as usize >= size;
    if address.is_null() || !has(size_of::<libc::sa_family_t>()) {
        return None;
    }
    // SAFETY: each is read only where the address is so long; it need not be aligned.
    unsafe {
        match c_int::from((*address).sa_family) {
            libc::AF_INET if has(size_of::<libc::sockaddr_in>()) => {
                let found = address.cast::<libc::sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(found.sin_port)).into())
            }
            libc::AF_INET6 if has(size_of::<libc::sockaddr_in6>()) => {
                let found = address.cast::<libc::sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(found.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(found.sin6_port), 0, found.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

fn with_sockaddr(to: SocketAddr, call: impl FnOnce(*const sockaddr, socklen_t) -> c_int) -> c_int {
    // SAFETY: zeros are valid in both.
    unsafe {
        match to {
            SocketAddr::V4(to) => {
                let mut address: libc::sockaddr_in = std::mem::zeroed();
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = to.port().to_be();
                address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
                call((&raw const address).cast(), size_of_val(&address) as socklen_t)
            }
            SocketAddr::V6(to) => {
                let mut address: libc::sockaddr_in6 = std::mem::zeroed();
                address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                address.sin6_port = to.port().to_be();
                address.sin6_addr.s6_addr = to.ip().octets();
                address.sin6_scope_id = to.scope_id();
                call((&raw const address).cast(), size_of_val(&address) as socklen_t)
            }
        }
    }
}
