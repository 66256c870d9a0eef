//! `server N proxy` with every server of the table in docs/client-address.md that Debian packages, as it is told there to expect a
//! header: whom does it take for the client? Each is started with a configuration of its own, on ports of its own, and
//! ended. What is not installed is told and left out; `tests/run` installs everything.

#[path = "../common/mod.rs"]
mod common;

mod data;
mod door;
mod mail;
mod names;
mod web;
