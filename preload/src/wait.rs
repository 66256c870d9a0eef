//! What the program hears when it waits for several descriptors: nothing of a connect whose outcome is not certain.
//!
//! Each function is given what the system answered, and returns how many of it are left for the program.

use crate::door;
use crate::registrations::{self, Registration};
use crate::shim::State;
use crate::sockets::is_unsettled;
use nix::libc::{self, c_int, epoll_event, pollfd};

/// Bits in a word of a set of descriptors.
const WORD_BITS: usize = u64::BITS as usize;

fn settle(state: &mut Option<State>, fd: i32) -> bool {
    is_unsettled(fd) && state.as_mut().is_some_and(|state| state.settle(fd))
}

/// For poll(2) and its like.
pub fn poll(descriptors: &mut [pollfd], ready: c_int) -> c_int {
    let hidden = door::with_state(|state| {
        let mut hidden = 0;
        for descriptor in descriptors.iter_mut().filter(|descriptor| descriptor.revents != 0) {
            if settle(state, descriptor.fd) {
                descriptor.revents = 0;
                hidden += 1;
            }
        }
        hidden
    });
    ready - hidden.unwrap_or(0)
}

/// For select(2) and its like; `None` is a set that the program did not give.
pub fn select(sets: [Option<&mut [u64]>; 3], ready: c_int) -> c_int {
    let mut sets: Vec<&mut [u64]> = sets.into_iter().flatten().collect();
    let words = sets.first().map_or(0, |set| set.len());
    let hidden = door::with_state(|state| {
        let mut hidden = 0;
        for word in 0..words {
            let mut seen = sets.iter().fold(0, |seen, set| seen | set[word]);
            while seen != 0 {
                let bit = seen.trailing_zeros();
                seen &= seen - 1;
                let fd = word * WORD_BITS + bit as usize;
                if settle(state, fd as i32) {
                    for set in &mut sets {
                        hidden += c_int::from(set[word] >> bit & 1 == 1);
                        set[word] &= !(1 << bit);
                    }
                }
            }
        }
        hidden
    });
    ready - hidden.unwrap_or(0)
}

/// For epoll_wait(2) and its like. What is left stands at the beginning.
pub fn epoll(set: c_int, events: &mut [epoll_event]) -> c_int {
    let left = door::with_state(|state| {
        let mut left = 0;
        for index in 0..events.len() {
            let event = events[index];
            match descriptor(state, set, event.u64) {
                Some((fd, registration)) if settle(state, fd) => {
                    if registration.events & libc::EPOLLONESHOT as u32 != 0 {
                        door::rearm(fd, registration);
                    }
                }
                _ => {
                    events[left] = event;
                    left += 1;
                }
            }
        }
        left
    });
    left.unwrap_or(events.len()) as c_int
}

/// Whose event it is, if it is one of ours. Most programs give the descriptor itself as data.
fn descriptor(state: &Option<State>, set: c_int, data: u64) -> Option<(c_int, Registration)> {
    let known = |fd: c_int| registrations::get(fd).filter(|known| known.set == set && known.data == data);
    let likely = data as u32 as c_int;
    let fd = match is_unsettled(likely) && known(likely).is_some() {
        true => likely,
        false => state.as_ref()?.unsettled_in(|fd| known(fd).is_some())?,
    };
    Some((fd, known(fd)?))
}
