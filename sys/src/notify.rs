//! What a supervisor hears of us, and keeps for the next of us: datagrams to the socket named in NOTIFY_SOCKET, see
//! sd_notify(3).

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor's socket, connected before a chroot would hide it. Without a supervisor it says nothing to nobody.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// How many descriptors it keeps.
    store_max: usize,
}

impl Supervisor {
    pub fn from_environment() -> Supervisor {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let name = name.into_encoded_bytes();
            let address = match name.split_first()? {
                (b'@', rest) => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(std::str::from_utf8(&name).ok()?).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address).ok()?;
            Some(socket)
        });
        // systemd sets it from version 254 on; before, the unit does.
        let store_max = std::env::var("FDSTORE").ok().and_then(|max| max.parse().ok());
        Supervisor { store_max: store_max.filter(|_| socket.is_some()).unwrap_or(0), socket }
    }

    /// Without one.
    pub fn nobody() -> Supervisor {
        Supervisor { socket: None, store_max: 0 }
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How many descriptors it keeps for the next of us; 0 where it keeps none.
    pub fn store_max(&self) -> usize {
        self.store_max
    }

    /// `READY=1`, `RELOADING=1`, `STOPPING=1` or `STATUS=...`.
    pub fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // A supervisor that is gone cannot be told anything.
            let _ = socket.send(state.as_bytes());
        }
    }

    /// Has it keep a descriptor under a name, which has no `:` in it.
    pub fn store(&self, name: &str, descriptor: BorrowedFd<'_>) {
        let Some(socket) = &self.socket else { return };
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}");
        let descriptors = [descriptor.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&descriptors)];
        // As above.
        let _ = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            &message,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
    }

    /// Has it close what it keeps under a name.
    pub fn forget(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }
}
