//! What pen tells: diagnostics for its operator (`diag`) and the traffic log (`traffic`, written by `writer`).
//!
//! Nothing here may hold up a worker: diagnostics go out without waiting or not at all, log lines go into a buffer
//! that a thread of its own empties.

pub mod messages;
pub mod record;
pub mod target;
pub mod traffic;
mod writer;

pub(crate) use pen_sys::{diag, local_time};
