//! UDP without sockets.

pub mod burst;
pub mod crowd;
pub mod sessions;
