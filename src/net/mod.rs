//! Sockets: waiting for them, listening, connecting, looking up names. Mechanism without policy.

pub mod connect;
pub mod datagram;
pub mod itself;
pub mod keepalive;
pub mod listen;
pub mod poller;
pub mod resolve;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub mod tls;
