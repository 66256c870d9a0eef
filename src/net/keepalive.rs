//! How silent connections to servers are probed: `keepalive` and its intervals.
//!
//! Owns what the settings mean for a socket. Called when a socket is made, by `connect`.

use crate::settings::Settings;
use nix::sys::socket::{setsockopt, sockopt};
use pen_proto::commands::{Flag, Number};
use std::os::fd::OwnedFd;

/// Probing, or none. A value of 0 leaves the system's own in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalive {
    on: bool,
    idle_seconds: u32,
    interval_seconds: u32,
    probes: u32,
}

impl Keepalive {
    pub fn of(settings: &Settings) -> Keepalive {
        if !settings.flag(Flag::Keepalive) {
            return Keepalive::default();
        }
        // The bounds in the command table are those of the kernel, so all of them fit.
        let number = |number| settings.number(number) as u32;
        Keepalive {
            on: true,
            idle_seconds: number(Number::KeepaliveIdle),
            interval_seconds: number(Number::KeepaliveInterval),
            probes: number(Number::KeepaliveProbes),
        }
    }

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
