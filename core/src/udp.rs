//! UDP without sockets.

pub mod crowd;
pub mod sessions;
