//! The name that a client asks for, read from its first bytes without answering them. Pure.
//!
//! Owns the reading of a TLS ClientHello (RFC 8446, section 4.1.2, and RFC 6066, section 3), also in several records.
//! Everything here comes from the network: nothing is trusted, and nothing makes it panic.

use pen_proto::commands::host_name;

/// Longest ClientHello that is waited for, record headers included. Those of browsers have less than 2 KiB, with keys
/// that withstand quantum computers; a handshake message could have 16 MiB.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME_EXTENSION: u16 = 0;
const HOST_NAME: u8 = 0;
/// Longest record (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
const RECORD_HEADER_BYTES: usize = 5;
const MESSAGE_HEADER_BYTES: usize = 4;

/// What the first bytes of a client say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// They may be the beginning of a ClientHello.
    Incomplete,
    /// A ClientHello, and the host name it asks for, in lower case. `None`: it asks for none, or for what is no host name.
    Tls(Option<String>),
    /// Another protocol, or a ClientHello that is longer than [`HELLO_BYTES_MAX`] or makes no sense.
    Other,
}

/// Reads what a client has sent so far.
pub fn read(bytes: &[u8]) -> Hello {
    match message(bytes) {
        Some(Ok(hello)) => name_in(&hello).map_or(Hello::Other, Hello::Tls),
        Some(Err(Incomplete)) if bytes.len() < HELLO_BYTES_MAX => Hello::Incomplete,
        _ => Hello::Other,
    }
}

/// First bytes of a client that are enough for [`version`].
pub const VERSION_BYTES: usize = 11;

/// The newest version that a ClientHello of before TLS 1.3 offers, as it is on the wire: 0x0301 is TLS 1.0. `None` for
/// fewer bytes than [`VERSION_BYTES`], and for what is no ClientHello.
pub fn version(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [HANDSHAKE_RECORD, _, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..] => {
            Some(u16::from_be_bytes([*major, *minor]))
        }
        _ => None,
    }
}

struct Incomplete;

/// The body of the ClientHello; `None` when it is none.
fn message(bytes: &[u8]) -> Option<Result<Vec<u8>, Incomplete>> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if !could_begin_record(rest) {
            return None;
        }
        let Some((header, body)) = rest.split_at_checked(RECORD_HEADER_BYTES) else {
            return Some(Err(Incomplete));
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > RECORD_BYTES_MAX {
            return None;
        }
        message.extend_from_slice(&body[..length.min(body.len())]);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return None;
        }
        if let [_, a, b, c, ..] = message[..] {
            let wanted = u32::from_be_bytes([0, a, b, c]) as usize;
            if wanted > HELLO_BYTES_MAX {
                return None;
            }
            if let Some(body) = message.get(MESSAGE_HEADER_BYTES..MESSAGE_HEADER_BYTES + wanted) {
                return Some(Ok(body.to_vec()));
            }
        }
        match body.get(length..) {
            Some(next) => rest = next,
            None => return Some(Err(Incomplete)),
        }
    }
}

/// Whether these may be the first bytes of a record of a handshake. Its version is that of SSL 3.0 or of any TLS.
fn could_begin_record(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|kind| *kind == HANDSHAKE_RECORD) && bytes.get(1).is_none_or(|major| *major == 3)
}

/// The name; `None` when the message makes no sense.
fn name_in(hello: &[u8]) -> Option<Option<String>> {
    let mut rest = Reader(hello);
    rest.take(2 + 32)?; // version and random bytes
    rest.short_list()?; // session
    rest.list()?; // ciphers
    rest.short_list()?; // compression
    if rest.0.is_empty() {
        return Some(None); // extensions came with TLS 1.2, but may be left out
    }
    let mut extensions = Reader(rest.list()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let extension = extensions.list()?;
        if kind == SERVER_NAME_EXTENSION {
            return host_name_of(extension);
        }
    }
    Some(None)
}

fn host_name_of(extension: &[u8]) -> Option<Option<String>> {
    let mut names = Reader(Reader(extension).list()?);
    while !names.0.is_empty() {
        let kind = names.take(1)?[0];
        let name = names.list()?;
        if kind == HOST_NAME {
            return Some(std::str::from_utf8(name).ok().and_then(host_name));
        }
    }
    Some(None)
}

/// The bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// What follows a length of two bytes.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    /// What follows a length of one byte.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
