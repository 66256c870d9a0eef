//! The doors through which a running pen is commanded, and the room behind them.
//!
//! `running` is what commands touch of a pen; `apply` carries them out, whatever door they came through, all or nothing,
//! and `guarded` lets pen outlive a mistake in that; `plan` is the way of the running pen from one configuration to another,
//! `countries` has it know those that its `geoip` file tells; `answers` asks it and `queries` phrases answers, `glb` knows
//! what lines of GLB mean, `deeds` has it do what sets nothing. `request` is what was said, `draft` what it leads to,
//! `places` where in the file it stands. `names` knows host names,
//! `lookups` has them looked up. `rights` knows who may give commands and who only looks. `server` owns the control sockets,
//! `client` one caller's socket, `session` what is said on it, `calls` what other threads of the process say. All of it
//! runs on the main thread; only names are looked up on others.
//! docs/control.md is the protocol.

mod answers;
pub mod apply;
pub mod calls;
mod client;
mod countries;
mod deeds;
mod draft;
#[cfg(test)]
pub(crate) mod fake;
mod glb;
pub(crate) mod guarded;
pub(crate) mod lookups;
mod loops;
pub mod names;
mod places;
pub mod plan;
mod programs;
pub mod queries;
mod request;
pub mod rights;
mod running;
pub mod server;
mod session;
mod whole;
