//! Sockets: waiting for them, listening, connecting, looking up names.

pub mod connect;
pub mod datagram;
pub mod itself;
pub mod keepalive;
pub mod listen;
pub mod poller;
pub mod resolve;
pub mod srv;
