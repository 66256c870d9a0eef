//! pen: a load balancer for TCP in the classic Unix style. See docs/architecture.md for the map.

pub mod acl;
pub mod balance;
pub mod escape;
pub mod net;
pub mod runtime;
pub mod settings;
pub mod stats;
