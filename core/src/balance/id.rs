//! The number of a server. Pure.

use pen_proto::status::special;
use std::fmt;

/// Numbers below this are of regular servers. Names and the three special servers have the rest of the 16 bits that a
/// client's slot keeps.
pub const SERVER_NUMBERS: usize = 32_768;

/// Number of a server. The special ones are the topmost of 16 bits, which is how clients and connections keep it;
/// Pen prints them as negative numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(u16);

impl ServerId {
    /// The server of `-e`, for when no other takes the client.
    pub const EMERGENCY: ServerId = ServerId(u16::MAX);
    /// The server of `-B`, for clients that `client_acl` denies.
    pub const ABUSE: ServerId = ServerId(u16::MAX - 1);
    /// No server.
    pub const NONE: ServerId = ServerId(u16::MAX - 2);

    /// The regular server with this index.
    ///
    /// # Panics
    /// From [`SERVER_NUMBERS`] on.
    pub fn regular(index: usize) -> ServerId {
        assert!(index < SERVER_NUMBERS, "server {index}: numbers end at {}", SERVER_NUMBERS - 1);
        ServerId(index as u16)
    }

    /// The index of a regular server.
    pub fn index(self) -> Option<usize> {
        let index = usize::from(self.0);
        (index < SERVER_NUMBERS).then_some(index)
    }

    pub(super) const fn raw(self) -> u16 {
        self.0
    }

    pub(super) const fn from_raw(raw: u16) -> ServerId {
        ServerId(raw)
    }

    /// As Pen prints it: an index, or -1, -2 or -3.
    pub fn number(self) -> i32 {
        match self.index() {
            Some(_) => self.0.into(),
            None if self == ServerId::EMERGENCY => special::EMERGENCY,
            None if self == ServerId::ABUSE => special::ABUSE,
            None => special::NONE,
        }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_servers_have_negative_numbers_and_all_others_their_index() {
        for index in [0, 1, 255, SERVER_NUMBERS - 1] {
            let server = ServerId::regular(index);
            assert_eq!((server.index(), server.number()), (Some(index), index as i32));
        }
        for (server, number) in [(ServerId::EMERGENCY, -1), (ServerId::ABUSE, -2), (ServerId::NONE, -3)] {
            assert_eq!((server.index(), server.number()), (None, number));
            assert_eq!(server.to_string(), number.to_string());
        }
    }
}
