//! The scenario harness: a real pen between mock servers and real clients, all on loopback.
//!
//! A scenario starts [`backend::Backend`]s, puts a [`pen::Pen`] before them, drives it with [`client::Client`]s and
//! the control socket, and looks at what came out. Nothing here waits but [`wait::eventually`]; whatever a scenario
//! starts ends when it goes out of scope. `PEN_UNDER_TEST=PATH` runs the scenarios on another program, for example
//! on the original Pen, to see where that differs.
#![allow(dead_code, reason = "each test target uses its part of the harness")]

pub mod backend;
pub mod balancers;
pub mod client;
pub mod datagram;
pub mod mmdb;
pub mod network;
pub mod pattern;
pub mod pen;
pub mod ports;
pub mod process;
pub mod programs;
pub mod real;
pub mod skip;
pub mod sockets;
pub mod terminal;
pub mod wait;

pub use pen_sys::tempdir;
pub use skip::skip;

/// Whether the tests run as root. What needs root says so and is skipped otherwise.
pub fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says that a test does nothing because a Debian package is not installed. Under `CI=true` that is a failure:
/// `tests/run` installs what is needed.
pub fn skip_without(package: &str) {
    skip::skip_outside_ci(&format!("the Debian package {package} is not installed"));
}
