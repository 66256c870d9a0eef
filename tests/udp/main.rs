//! UDP with what people use it for: name servers and syslog; on a host with several addresses; and beside the original.
//!
//! What is not installed is told and left out; `tests/run` installs everything, and with CI=true nothing may be missing.

#[path = "../common/mod.rs"]
mod common;

mod dns;
mod hosts;
mod original;
mod syslog;
