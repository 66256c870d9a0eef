//! How silent connections to servers are probed: `keepalive` and its intervals.
//!
//! Called when a socket is made, by `connect`.

use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::OwnedFd;

/// Probing, or none. A value of 0 leaves the system's own in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalive {
    pub on: bool,
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub probes: u32,
}

impl Keepalive {
    /// Makes a TCP socket follow; nothing is asked of the system when probing is off.
    ///
    /// # Errors
    /// What the system says.
    pub fn apply(&self, socket: &OwnedFd) -> nix::Result<()> {
        if !self.on {
            return Ok(());
        }
        setsockopt(socket, sockopt::KeepAlive, &true)?;
        if self.idle_seconds > 0 {
            setsockopt(socket, sockopt::TcpKeepIdle, &self.idle_seconds)?;
        }
        if self.interval_seconds > 0 {
            setsockopt(socket, sockopt::TcpKeepInterval, &self.interval_seconds)?;
        }
        if self.probes > 0 {
            setsockopt(socket, sockopt::TcpKeepCount, &self.probes)?;
        }
        Ok(())
    }
}
