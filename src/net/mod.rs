//! Sockets: waiting for them, listening, connecting, looking up names. Mechanism without policy.

#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub mod tls;

use crate::settings::Settings;
use keepalive::Keepalive;
use pen_proto::commands::{Flag, Number};
pub(crate) use pen_sys::net::{connect, datagram, itself, keepalive, listen, poller, resolve, srv};

/// How silent connections to servers are probed.
pub fn keepalive_of(settings: &Settings) -> Keepalive {
    // The bounds in the command table are those of the kernel, so all of them fit.
    let number = |number| settings.number(number) as u32;
    Keepalive {
        on: settings.flag(Flag::Keepalive),
        idle_seconds: number(Number::KeepaliveIdle),
        interval_seconds: number(Number::KeepaliveInterval),
        probes: number(Number::KeepaliveProbes),
    }
}
