//! The functions that take the place of the system's. Each has the contract of the system's function of its name.

#![allow(clippy::missing_safety_doc, reason = "the contracts are the system's")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what is passed on is what the program gave, under that contract"
)]

use super::hidden::{anything_is_hidden, without_hidden};
use super::{
    anything_is_unsettled, guarded, is_active, is_apart, is_borrowed, is_hidden, is_tracked, is_unsettled,
    quietly, read_address, system, with_sockaddr, with_state,
};
use crate::registrations::{self, Registration};
use crate::shim::{self, Outcome, State, Way};
use crate::wait;
use nix::errno::Errno;
use nix::libc::{
    self, c_int, c_long, c_uint, c_void, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, sockaddr,
    socklen_t, timespec, timeval,
};
use pen_sys::clock;
use std::time::{Duration, Instant};

const NANOSECONDS: u32 = 1_000_000_000;

/// Defines functions with C's names, which only a test program does not export: it would meet them itself.
macro_rules! exported {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            #[cfg_attr(not(test), unsafe(no_mangle))]
            #[cfg_attr(test, allow(dead_code))]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int $body
        )*
    };
}

/// Changes what is remembered; errno stays.
fn remember(work: impl FnOnce(&mut State)) {
    quietly(|| {
        if !is_borrowed() {
            with_state(|state| state.as_mut().map(work));
        }
    });
}

/// When a wait is over.
#[derive(Clone, Copy)]
enum End {
    Never,
    AtOnce,
    At(Instant),
}

impl End {
    fn after_ms(timeout: c_int) -> End {
        match u64::try_from(timeout) {
            Err(_) => End::Never,
            Ok(0) => End::AtOnce,
            Ok(ms) => End::At(clock::now() + Duration::from_millis(ms)),
        }
    }

    /// # Safety
    /// The pointer is null or leads to a time.
    unsafe fn after(timeout: *const timespec) -> End {
        // SAFETY: the caller says so.
        let Some(timeout) = (unsafe { timeout.as_ref() }) else { return End::Never };
        let seconds = u64::try_from(timeout.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(timeout.tv_nsec).unwrap_or(0).min(NANOSECONDS - 1);
        match Duration::new(seconds, nanoseconds) {
            Duration::ZERO => End::AtOnce,
            wait => clock::now().checked_add(wait).map_or(End::Never, End::At),
        }
    }

    fn left(self) -> Option<Duration> {
        match self {
            End::Never => None,
            End::AtOnce => Some(Duration::ZERO),
            End::At(end) => Some(end.saturating_duration_since(clock::now())),
        }
    }

    /// Rounded up: a wait is never shorter than the program wants it.
    fn left_ms(self) -> c_int {
        self.left().map_or(-1, |left| left.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(c_int::MAX))
    }

    fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// Waits again for what is left of the time as long as there is nothing but what the program is not to hear. `wait`
/// makes the call, the first time as the program made it; `show` returns how many of what it answered are left.
fn waiting(
    end: End,
    mut wait: impl FnMut(Option<End>) -> c_int,
    mut show: impl FnMut(c_int) -> c_int,
) -> c_int {
    let mut again = None;
    loop {
        let ready = wait(again);
        if ready <= 0 || !anything_is_unsettled() {
            return ready;
        }
        let shown = quietly(|| show(ready)).unwrap_or(ready);
        if shown != 0 || end.is_over() {
            return shown;
        }
        again = Some(end);
    }
}

/// The time that is left, for calls that take it by a pointer.
fn left_of(end: End) -> Option<timespec> {
    let left = end.left()?;
    Some(timespec { tv_sec: left.as_secs() as libc::time_t, tv_nsec: left.subsec_nanos().into() })
}

fn pointer(left: &Option<timespec>) -> *const timespec {
    left.as_ref().map_or(std::ptr::null(), |left| left)
}

/// # Safety
/// The pointer leads to so many descriptors, or is null with none.
unsafe fn show_polled(descriptors: *mut pollfd, count: nfds_t, ready: c_int) -> c_int {
    if descriptors.is_null() {
        return ready;
    }
    // SAFETY: the caller says so, and the system has written to them.
    wait::poll(unsafe { std::slice::from_raw_parts_mut(descriptors, count as usize) }, ready)
}

/// # Safety
/// So many events have been written there.
unsafe fn show_events(set: c_int, events: *mut epoll_event, ready: c_int) -> c_int {
    // SAFETY: the caller says so.
    wait::epoll(set, unsafe { std::slice::from_raw_parts_mut(events, ready as usize) })
}

/// What the program asked select(2) for, which the answer overwrites.
struct Asked {
    sets: [Option<Vec<u64>>; 3],
    pointers: [*mut u64; 3],
}

impl Asked {
    /// # Safety
    /// Each pointer is null or leads to a set with room for `count` descriptors.
    unsafe fn copy(count: c_int, pointers: [*mut fd_set; 3]) -> Asked {
        let words = (count.max(0) as usize).div_ceil(u64::BITS as usize);
        let pointers = pointers.map(|pointer| pointer.cast::<u64>());
        let sets = pointers.map(|pointer| {
            // SAFETY: the caller says so; sets consist of whole words.
            (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, words) }.to_vec())
        });
        Asked { sets, pointers }
    }

    /// # Safety
    /// That of [`Asked::copy`], still.
    unsafe fn show(&self, ready: c_int) -> c_int {
        // Copies, because a program may give one set for two.
        let mut answered = self.pointers.map(|pointer| {
            let words = self.sets.iter().flatten().next().map_or(0, Vec::len);
            // SAFETY: the caller says so.
            (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, words) }.to_vec())
        });
        let shown = wait::select(answered.each_mut().map(|set| set.as_deref_mut()), ready);
        let shown_sets = Asked { sets: answered, pointers: self.pointers };
        // SAFETY: the caller says so.
        unsafe { shown_sets.restore() };
        shown
    }

    /// Writes the sets to where they were.
    ///
    /// # Safety
    /// That of [`Asked::copy`], still.
    unsafe fn restore(&self) {
        for (set, pointer) in self.sets.iter().zip(self.pointers) {
            if let Some(set) = set {
                // SAFETY: the caller says so.
                unsafe { std::ptr::copy_nonoverlapping(set.as_ptr(), pointer, set.len()) };
            }
        }
    }
}

exported! {
    fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) {
        // SAFETY: the program gave the address with its length.
        let asked = unsafe { read_address(address, length) };
        if !is_active() {
            if asked.is_some() && !is_apart() {
                quietly(shim::tell_mistake);
            }
            return unsafe { system::connect(fd, address, length) };
        }
        let errno = Errno::last_raw();
        let ours = asked.filter(|asked| guarded(|| shim::intercepts(*asked)) == Some(true));
        let way = match ours {
            Some(to) => guarded(|| shim::begin(fd, to)).unwrap_or(Way::Plain),
            None => {
                // An address that is none of the Internet's takes a socket's peer away.
                if asked.is_none() && is_tracked(fd) {
                    remember(|state| state.close(fd));
                }
                Way::Plain
            }
        };
        let mut connecting = match way {
            Way::Connect(connecting) => connecting,
            Way::Failed(errno) => {
                Errno::set_raw(errno);
                return -1;
            }
            Way::Plain => {
                Errno::set_raw(errno);
                return unsafe { system::connect(fd, address, length) };
            }
        };
        loop {
            let result = with_sockaddr(connecting.address, |address, length| unsafe {
                system::connect(fd, address, length)
            });
            let got = if result == 0 { 0 } else { Errno::last_raw() };
            match guarded(|| shim::returned(connecting, got)) {
                Some(Outcome::Again(next)) => connecting = next,
                Some(Outcome::Told(told)) => {
                    Errno::set_raw(if told == 0 { errno } else { told });
                    return if told == 0 { 0 } else { -1 };
                }
                None => {
                    Errno::set_raw(if got == 0 { errno } else { got });
                    return result;
                }
            }
        }
    }

    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t) {
        if level == libc::SOL_SOCKET
            && name == libc::SO_ERROR
            && is_unsettled(fd)
            && !value.is_null()
            && !length.is_null()
            && let Some(error) =
                quietly(|| with_state(|state| state.as_mut()?.error(fd)).flatten()).flatten()
        {
            // SAFETY: the program gave room for so many bytes.
            unsafe {
                let room = (*length as usize).min(size_of::<c_int>());
                std::ptr::copy_nonoverlapping((&raw const error).cast::<u8>(), value.cast::<u8>(), room);
                *length = room as socklen_t;
            }
            return 0;
        }
        unsafe { system::getsockopt(fd, level, name, value, length) }
    }

    fn close(fd: c_int) {
        if is_hidden(fd) {
            Errno::EBADF.set();
            return -1;
        }
        // Before: the next socket may have the number at once.
        if is_tracked(fd) {
            remember(|state| state.close(fd));
        }
        unsafe { system::close(fd) }
    }

    fn close_range(first: c_uint, last: c_uint, flags: c_int) {
        if is_active() && flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
            let number = |fd: c_uint| c_int::try_from(fd).unwrap_or(c_int::MAX);
            remember(|state| state.close_between(number(first), number(last)));
        }
        if anything_is_hidden() && !is_apart() && flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
            for (first, last) in without_hidden(first, last) {
                let result = unsafe { system::close_range(first, last, flags) };
                if result != 0 {
                    return result;
                }
            }
            return 0;
        }
        unsafe { system::close_range(first, last, flags) }
    }

    fn dup(fd: c_int) {
        let copy = unsafe { system::dup(fd) };
        if copy >= 0 && is_tracked(fd) {
            remember(|state| state.duplicate(fd, copy));
        }
        copy
    }

    fn dup2(fd: c_int, copy: c_int) {
        let result = unsafe { system::dup2(fd, copy) };
        copied(fd, copy, result);
        result
    }

    fn dup3(fd: c_int, copy: c_int, flags: c_int) {
        let result = unsafe { system::dup3(fd, copy, flags) };
        copied(fd, copy, result);
        result
    }

    /// The third argument is there or not; where it is, it is as long as a pointer.
    fn fcntl(fd: c_int, command: c_int, argument: c_long) {
        let result = unsafe { system::fcntl(fd, command, argument) };
        copied_by_fcntl(fd, command, result);
        result
    }

    fn fcntl64(fd: c_int, command: c_int, argument: c_long) {
        let result = unsafe { system::fcntl64(fd, command, argument) };
        copied_by_fcntl(fd, command, result);
        result
    }

    fn poll(descriptors: *mut pollfd, count: nfds_t, timeout: c_int) {
        if !is_active() {
            return unsafe { system::poll(descriptors, count, timeout) };
        }
        waiting(
            End::after_ms(timeout),
            |again| {
                let timeout = again.map_or(timeout, End::left_ms);
                unsafe { system::poll(descriptors, count, timeout) }
            },
            |ready| unsafe { show_polled(descriptors, count, ready) },
        )
    }

    fn ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) {
        if !is_active() {
            return unsafe { system::ppoll(descriptors, count, timeout, mask) };
        }
        waiting(
            unsafe { End::after(timeout) },
            |again| {
                let left = again.and_then(left_of);
                let timeout = if again.is_some() { pointer(&left) } else { timeout };
                unsafe { system::ppoll(descriptors, count, timeout, mask) }
            },
            |ready| unsafe { show_polled(descriptors, count, ready) },
        )
    }

    /// What a program calls that was compiled with checks of its buffers.
    fn __poll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: c_int, _room: size_t) {
        unsafe { poll(descriptors, count, timeout) }
    }

    fn __ppoll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, _room: size_t) {
        unsafe { ppoll(descriptors, count, timeout, mask) }
    }

    /// Linux writes the time that is left to where the program gave it, so the next call goes on with that.
    fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, other: *mut fd_set, timeout: *mut timeval) {
        if !is_active() {
            return unsafe { system::select(count, read, write, other, timeout) };
        }
        let asked = unsafe { Asked::copy(count, [read, write, other]) };
        let may_wait = || match unsafe { timeout.as_ref() } {
            None => true,
            Some(left) => (left.tv_sec, left.tv_usec) != (0, 0),
        };
        loop {
            let shown = waiting(
                End::AtOnce,
                |_| unsafe { system::select(count, read, write, other, timeout) },
                |ready| unsafe { asked.show(ready) },
            );
            if shown != 0 || !may_wait() {
                return shown;
            }
            unsafe { asked.restore() };
        }
    }

    fn pselect(
        count: c_int,
        read: *mut fd_set,
        write: *mut fd_set,
        other: *mut fd_set,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) {
        if !is_active() {
            return unsafe { system::pselect(count, read, write, other, timeout, mask) };
        }
        let asked = unsafe { Asked::copy(count, [read, write, other]) };
        waiting(
            unsafe { End::after(timeout) },
            |again| {
                let left = again.and_then(left_of);
                let timeout = if again.is_some() { pointer(&left) } else { timeout };
                if again.is_some() {
                    unsafe { asked.restore() };
                }
                unsafe { system::pselect(count, read, write, other, timeout, mask) }
            },
            |ready| unsafe { asked.show(ready) },
        )
    }

    fn epoll_ctl(set: c_int, what: c_int, fd: c_int, event: *mut epoll_event) {
        let result = unsafe { system::epoll_ctl(set, what, fd, event) };
        if result == 0 && is_active() {
            match what {
                libc::EPOLL_CTL_DEL => registrations::clear(fd, set),
                _ => {
                    // SAFETY: the system has read it there. The program may keep it at any place.
                    let event = unsafe { event.read_unaligned() };
                    let (events, data) = (event.events, event.u64);
                    quietly(|| registrations::set(fd, Registration { set, events, data }));
                }
            }
        }
        result
    }

    fn epoll_wait(set: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) {
        if !is_active() {
            return unsafe { system::epoll_wait(set, events, max, timeout) };
        }
        waiting(
            End::after_ms(timeout),
            |again| {
                let timeout = again.map_or(timeout, End::left_ms);
                unsafe { system::epoll_wait(set, events, max, timeout) }
            },
            |ready| unsafe { show_events(set, events, ready) },
        )
    }

    fn epoll_pwait(set: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) {
        if !is_active() {
            return unsafe { system::epoll_pwait(set, events, max, timeout, mask) };
        }
        waiting(
            End::after_ms(timeout),
            |again| {
                let timeout = again.map_or(timeout, End::left_ms);
                unsafe { system::epoll_pwait(set, events, max, timeout, mask) }
            },
            |ready| unsafe { show_events(set, events, ready) },
        )
    }

    fn epoll_pwait2(
        set: c_int,
        events: *mut epoll_event,
        max: c_int,
        timeout: *const timespec,
        mask: *const sigset_t,
    ) {
        if !is_active() {
            return unsafe { system::epoll_pwait2(set, events, max, timeout, mask) };
        }
        waiting(
            unsafe { End::after(timeout) },
            |again| {
                let left = again.and_then(left_of);
                let timeout = if again.is_some() { pointer(&left) } else { timeout };
                unsafe { system::epoll_pwait2(set, events, max, timeout, mask) }
            },
            |ready| unsafe { show_events(set, events, ready) },
        )
    }
}

/// As close_range(2), without an end and without an answer.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
pub unsafe extern "C-unwind" fn closefrom(first: c_int) {
    // SAFETY: any number will do.
    unsafe { close_range(first.max(0) as c_uint, c_uint::MAX, 0) };
}

/// dup2(2) has made `copy` lead to the same as `fd`, and before that closed it.
fn copied(fd: c_int, copy: c_int, result: c_int) {
    if result >= 0 && fd != copy && (is_tracked(fd) || is_tracked(copy)) {
        remember(|state| state.duplicate(fd, copy));
    }
}

fn copied_by_fcntl(fd: c_int, command: c_int, result: c_int) {
    if result >= 0 && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) && is_tracked(fd) {
        remember(|state| state.duplicate(fd, result));
    }
}
