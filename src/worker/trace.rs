//! What `-d` tells about single connections: from level 2 their lives, from level 3 their bytes.

use super::Context;
use crate::conn::{CloseReason, Connection};
use crate::log::diag;
use pen_proto::commands::Flag;
use std::fmt::{self, Display};

/// Level at which connections are told of.
pub(crate) const LIVES: u8 = 2;
/// Level at which every read is dumped.
pub(super) const BYTES: u8 = 3;
/// A dump shows so much of a read.
const DUMP_BYTES_MAX: usize = 512;

/// Dumps what is read, if the operator wants to see it; asked once per turn of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Dump {
    number: u32,
    ascii: bool,
}

impl Dump {
    /// `None` when nobody wants to see the bytes of the connection with this number.
    pub fn wanted(number: impl FnOnce() -> u32, ascii: impl FnOnce() -> bool) -> Option<Dump> {
        diag::is_on(BYTES).then(|| Dump { number: number(), ascii: ascii() })
    }

    /// The original's words: "up" is towards the server.
    pub fn up(self, bytes: &[u8]) {
        self.say("copy_up", bytes);
    }

    pub fn down(self, bytes: &[u8]) {
        self.say("copy_down", bytes);
    }

    fn say(self, name: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return; // an end of file is no read
        }
        let shown = Bytes { bytes: &bytes[..bytes.len().min(DUMP_BYTES_MAX)], ascii: self.ascii };
        diag::debug!(BYTES, "{name}({}) {}: {shown}", self.number, bytes.len());
    }
}

/// Hexadecimal pairs, or text with `.` for what cannot be printed.
struct Bytes<'a> {
    bytes: &'a [u8],
    ascii: bool,
}

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes.iter().enumerate() {
            match (self.ascii, byte) {
                (true, b' '..=b'~') => write!(f, "{}", *byte as char)?,
                (true, _) => f.write_str(".")?,
                (false, _) if index == 0 => write!(f, "{byte:02x}")?,
                (false, _) => write!(f, " {byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl Context {
    /// For what is read of this connection.
    pub(super) fn dump(&self, connection: &Connection) -> Option<Dump> {
        let ascii = || self.settings(connection).flag(Flag::Ascii);
        Dump::wanted(|| self.core.connection_number(connection.number), ascii)
    }

    pub(super) fn trace_accept(&self, connection: &Connection) {
        let number = || self.core.connection_number(connection.number);
        diag::debug!(LIVES, "connection {}: from {} port {}", number(), connection.address, connection.port);
    }

    /// Once a downstream has named the client.
    pub(super) fn trace_client(&self, connection: &Connection) {
        let number = || self.core.connection_number(connection.number);
        diag::debug!(LIVES, "connection {}: for {} port {}", number(), connection.address, connection.port);
    }

    pub(super) fn trace_server(&self, connection: &Connection) {
        if let (Some(attempt), Some(endpoint)) = (&connection.attempt, &connection.endpoint) {
            let number = || self.core.connection_number(connection.number);
            let server = attempt.server();
            diag::debug!(LIVES, "connection {}: to server {server}, {endpoint}", number());
        }
    }

    pub(super) fn trace_close(&self, connection: &Connection, reason: CloseReason) {
        let number = || self.core.connection_number(connection.number);
        let (up, down) = (connection.from_client.bytes, connection.from_server.bytes);
        diag::debug!(LIVES, "connection {}: {}, {up} bytes up, {down} down", number(), reason.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_as_pairs_or_as_text() {
        let shown = |ascii| Bytes { bytes: b"GET /\r\n\xff", ascii }.to_string();
        assert_eq!(shown(false), "47 45 54 20 2f 0d 0a ff");
        assert_eq!(shown(true), "GET /...");
    }
}
