//! Readiness for systemd: datagrams to the socket named in NOTIFY_SOCKET, see sd_notify(3).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor's socket, connected before a chroot would hide it. Without a supervisor it says nothing to nobody.
#[derive(Debug)]
pub struct Supervisor(Option<UnixDatagram>);

impl Supervisor {
    pub fn from_environment() -> Supervisor {
        Supervisor(std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let name = name.into_encoded_bytes();
            let address = match name.split_first()? {
                (b'@', rest) => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(std::str::from_utf8(&name).ok()?).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address).ok()?;
            Some(socket)
        }))
    }

    /// `READY=1`, `RELOADING=1`, `STOPPING=1` or `STATUS=...`.
    pub fn tell(&self, state: &str) {
        if let Some(socket) = &self.0 {
            // A supervisor that is gone cannot be told anything.
            let _ = socket.send(state.as_bytes());
        }
    }
}
