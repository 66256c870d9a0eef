//! Under which keys the poller knows a worker's sockets: what kind of thing a socket belongs to, and its number, in one
//! word.

use crate::conn::Side;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Connection(u32, Side),
    /// The copy of what a client says, to a clone.
    Clone(u32),
    Idler(u32),
    /// Of UDP; the socket to its server.
    Session(u32),
    /// The same, to its clone.
    SessionClone(u32),
    /// For connections or for datagrams.
    Listener(u16),
}

/// The kind is in the lowest bits, so that there are numbers enough where a word has 32.
const KIND_BITS: u32 = 4;
const KIND_MASK: usize = (1 << KIND_BITS) - 1;
const CLIENT: usize = 0;
const SERVER: usize = 1;
const CLONE: usize = 2;
const IDLER: usize = 3;
const SESSION: usize = 4;
const SESSION_CLONE: usize = 5;
const LISTENER: usize = 6;

impl Key {
    #[inline]
    pub fn pack(self) -> usize {
        let (number, kind) = match self {
            Key::Connection(number, Side::Client) => (number, CLIENT),
            Key::Connection(number, Side::Server) => (number, SERVER),
            Key::Clone(number) => (number, CLONE),
            Key::Idler(number) => (number, IDLER),
            Key::Session(number) => (number, SESSION),
            Key::SessionClone(number) => (number, SESSION_CLONE),
            Key::Listener(number) => (number.into(), LISTENER),
        };
        (number as usize) << KIND_BITS | kind
    }

    /// What [`Key::pack`] has made; `None` for anything else.
    #[inline]
    pub fn unpack(key: usize) -> Option<Key> {
        let number = (key >> KIND_BITS) as u32;
        Some(match key & KIND_MASK {
            CLIENT => Key::Connection(number, Side::Client),
            SERVER => Key::Connection(number, Side::Server),
            CLONE => Key::Clone(number),
            IDLER => Key::Idler(number),
            SESSION => Key::Session(number),
            SESSION_CLONE => Key::SessionClone(number),
            LISTENER => Key::Listener(number as u16),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for number in [0, 1, 2, 65_535, u32::MAX >> KIND_BITS] {
            let keys = [
                Key::Connection(number, Side::Client),
                Key::Connection(number, Side::Server),
                Key::Clone(number),
                Key::Idler(number),
                Key::Session(number),
                Key::SessionClone(number),
                Key::Listener(number as u16),
            ];
            keys.into_iter().for_each(|key| assert_eq!(Key::unpack(key.pack()), Some(key)));
        }
        assert_eq!(Key::unpack(usize::MAX - 1), None, "the poller's own");
    }
}
