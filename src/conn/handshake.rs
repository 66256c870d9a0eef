//! One step of a TLS handshake, with a client or a server.

use super::end::End;
use crate::net::tls::{Session, Trouble};
use std::io;

/// Encrypted bytes that are read at once while the handshake lasts; a session keeps what is decrypted of them.
const HANDSHAKE_READ_BYTES: usize = 16 * 1024;

/// How a handshake goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    Done,
    /// It waits for an event.
    Waits,
    /// The peer ended the connection.
    Ended,
    /// The peer broke the protocol, or one of us refused the other; an answer may be waiting to be written.
    Failed(Trouble),
}

/// Takes a handshake as far as it goes. `choose` is asked for what the session needs before it can answer; false: not yet.
///
/// # Errors
/// The socket failed.
pub fn step(
    end: &mut End<'_>,
    wire: &mut [u8],
    mut choose: impl FnMut(&mut Session) -> Result<bool, Trouble>,
) -> io::Result<Handshake> {
    loop {
        let Some(session) = &mut end.session else { return Ok(Handshake::Done) };
        match choose(session) {
            Ok(true) => {}
            Ok(false) => return Ok(Handshake::Waits),
            Err(trouble) => return Ok(Handshake::Failed(trouble)),
        }
        end.write_out()?;
        let Some(session) = &mut end.session else { return Ok(Handshake::Done) };
        if !session.is_handshaking() {
            return Ok(Handshake::Done);
        }
        let read = match end.socket.readable {
            true => end.socket.read(&mut wire[..HANDSHAKE_READ_BYTES])?,
            false => None,
        };
        match read {
            None => return Ok(Handshake::Waits),
            Some(0) => return Ok(Handshake::Ended),
            Some(count) => {
                if let Err(trouble) = session.shake(&mut wire[..count]) {
                    return Ok(Handshake::Failed(trouble));
                }
            }
        }
    }
}
