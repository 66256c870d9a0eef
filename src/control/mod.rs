//! The doors through which a running pen is commanded, and the room behind them.
//!
//! `apply` carries commands out, whatever door they came through, all or nothing; `commit` makes the running pen follow
//! a changed configuration; `queries` phrases answers; `names` looks names up; `server` and `session` are the control
//! sockets. Everything here runs on the main thread.

pub mod apply;
mod client;
mod commit;
#[cfg(test)]
pub(crate) mod fake;
mod names;
pub mod queries;
pub mod server;
mod session;
