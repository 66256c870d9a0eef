//! Descriptors of the library's own: the program is to believe that they are not open.

use super::system;
use nix::libc::{self, c_int, c_uint};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// How many there may be: of the control socket, and two that wake the thread of the watchdog.
pub const HIDDEN_MAX: usize = 11;
/// Their numbers are at least this where the limit allows it, because programs expect the small ones.
const HIDDEN_FROM: c_int = 700;

static HIDDEN: [AtomicI32; HIDDEN_MAX] = [const { AtomicI32::new(-1) }; HIDDEN_MAX];
static COUNT: AtomicU32 = AtomicU32::new(0);

pub fn anything_is_hidden() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

pub fn is_hidden(fd: c_int) -> bool {
    anything_is_hidden() && HIDDEN.iter().any(|hidden| hidden.load(Ordering::Relaxed) == fd)
}

/// Keeps the program from closing it; `None` when there are too many.
pub fn hide<T: From<OwnedFd> + Into<OwnedFd>>(socket: T) -> Option<T> {
    let given: OwnedFd = socket.into();
    // SAFETY: the command takes and gives a number.
    let high = unsafe { system::fcntl(given.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIDDEN_FROM.into()) };
    let socket = match high {
        -1 => given,
        // SAFETY: it was made here.
        high => unsafe { OwnedFd::from_raw_fd(high) },
    };
    let fd = socket.as_raw_fd();
    let free =
        |place: &AtomicI32| place.compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    HIDDEN.iter().any(free).then(|| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        T::from(socket)
    })
}

/// Closes it.
pub fn unhide(socket: impl Into<OwnedFd>) {
    let socket: OwnedFd = socket.into();
    let fd = socket.as_raw_fd();
    let is_it =
        |place: &AtomicI32| place.compare_exchange(fd, -1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if HIDDEN.iter().any(is_it) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A child does not have the thread that serves them.
pub fn close_hidden() {
    for place in &HIDDEN {
        let fd = place.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: nobody else knows it.
            unsafe { system::close(fd) };
        }
    }
    COUNT.store(0, Ordering::Relaxed);
}

/// The ranges between `first` and `last`, both included, without the hidden ones.
pub fn without_hidden(first: c_uint, last: c_uint) -> Vec<(c_uint, c_uint)> {
    let hidden = HIDDEN.iter().filter_map(|place| c_uint::try_from(place.load(Ordering::Relaxed)).ok());
    ranges_without(hidden.collect(), first, last)
}

fn ranges_without(mut hidden: Vec<c_uint>, first: c_uint, last: c_uint) -> Vec<(c_uint, c_uint)> {
    hidden.retain(|fd| (first..=last).contains(fd));
    hidden.sort_unstable();
    let (mut ranges, mut from) = (Vec::new(), Some(first));
    for fd in hidden {
        ranges.extend(from.filter(|from| *from < fd).map(|from| (from, fd - 1)));
        from = fd.checked_add(1);
    }
    ranges.extend(from.filter(|from| *from <= last).map(|from| (from, last)));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_out_what_is_hidden() {
        let max = c_uint::MAX;
        for (hidden, first, last, expected) in [
            (vec![], 3, max, vec![(3, max)]),
            (vec![700], 3, max, vec![(3, 699), (701, max)]),
            (vec![701, 700], 3, 701, vec![(3, 699)]),
            (vec![3, 5], 3, 5, vec![(4, 4)]),
            (vec![max], 3, max, vec![(3, max - 1)]),
            (vec![2, 9], 3, 8, vec![(3, 8)]),
        ] {
            assert_eq!(ranges_without(hidden, first, last), expected);
        }
    }
}
