//! What pen tells: diagnostics for its operator (`diag`) and the traffic log (`traffic`, written by `writer`).
//!
//! Nothing here may hold up a worker: diagnostics go out without waiting or not at all, log lines go into a buffer
//! that a thread of its own empties.

pub mod diag;
pub mod local_time;
pub mod record;
mod repeats;
pub mod syslog;
pub mod target;
pub mod traffic;
mod writer;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::BorrowedFd;

/// Whether the stream takes something without waiting, after so much patience; false for one that is broken.
fn takes_more(stream: BorrowedFd<'_>, patience_milliseconds: u16) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::POLLOUT)];
    while poll(&mut asked, PollTimeout::from(patience_milliseconds)) == Err(Errno::EINTR) {}
    asked[0].revents() == Some(PollFlags::POLLOUT)
}
