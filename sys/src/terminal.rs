//! The terminal that somebody looks at.

use std::os::fd::AsFd;

/// How many characters fit in a line; `None` where that is not known or it is no terminal.
pub fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
