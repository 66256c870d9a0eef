//! Figures from pen's control socket: `status json`.
//!
//! Owns what is asked, the limit on the reply, and what a failure means. Reads only; blocks its caller.

use pen_proto::escape::Escaped;
use pen_proto::status::Status;
use pen_sys::control::{Address, Patience};
use std::io::{self, ErrorKind};

/// Several hundred thousand clients and connections.
const REPLY_BYTES_MAX: usize = 128 << 20;

/// How much of an answer that makes no sense is repeated.
const NONSENSE_CHARS: usize = 80;

/// Asks the pen at a path (with a `/`), HOST:PORT or a port of this host, as written for `pen -C`.
///
/// # Errors
/// A sentence that names the address.
pub fn status(address: &str, deadline_ms: u64) -> Result<Status, String> {
    let ask = || {
        let address = Address::parse(address).map_err(io::Error::other)?;
        address.converse("status json", Patience::until(deadline_ms), REPLY_BYTES_MAX)
    };
    let reply = ask().map_err(|error| format!("{address}: {}", reason(&error)))?;
    understand(&reply).map_err(|sentence| format!("{address}: {sentence}"))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "pen did not answer in time".into(),
        ErrorKind::NotFound => "no such socket; is pen running, with -C?".into(),
        ErrorKind::ConnectionRefused => "nobody answers; is pen running, with -C?".into(),
        _ => error.to_string(),
    }
}

fn understand(reply: &[u8]) -> Result<Status, String> {
    if reply.is_empty() {
        return Err("pen turned the question away (control_acl?)".into());
    }
    serde_json::from_slice(reply).map_err(|_| {
        let start: String = String::from_utf8_lossy(reply).chars().take(NONSENSE_CHARS).collect();
        format!("want figures, got \"{}\"; is this a pen 0.1.0 or later?", Escaped(start.trim_end()))
    })
}
