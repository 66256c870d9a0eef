//! UDP without sockets.

pub mod sessions;
