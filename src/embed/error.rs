//! What can go wrong for a program that has a balancer.

use std::fmt;

/// Why the balancer did not do what it was asked to do.
///
/// The text names the word that is wrong and says what was expected, as replies on a control socket do. Several mistakes
/// are several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// What kind of trouble an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is wrong, or is not possible in the present state. Nothing has changed.
    Refused,
    /// The system does not give what was asked for: an address is in use, a file cannot be opened, there are no more threads
    /// or descriptors. Nothing has changed.
    System,
    /// The balancer has ended: it was stopped, was told to `exit`, or has failed.
    Ended,
    /// A thread of the balancer itself asked, from a hook, a own policy or an own check: the
    /// answer would have to wait for itself.
    OwnThread,
}

impl Error {
    pub(super) fn refused(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Refused, text: text.into() }
    }

    pub(super) fn system(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::System, text: text.into() }
    }

    pub(super) fn ended() -> Error {
        Error { kind: ErrorKind::Ended, text: "the balancer has ended".into() }
    }

    /// It has ended by itself.
    pub(super) fn failed(text: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Ended, text: text.into() }
    }

    pub(super) fn own_thread() -> Error {
        let text = "a thread of the balancer itself cannot wait for it: ask from another thread".into();
        Error { kind: ErrorKind::OwnThread, text }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
