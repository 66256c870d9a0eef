//! pen: a load balancer for TCP in the classic Unix style. See docs/architecture.md for the map.

pub mod acl;
pub mod balance;
pub mod conn;
pub mod escape;
pub mod half_close;
pub mod http;
pub mod log;
pub mod net;
pub mod runtime;
pub mod settings;
pub mod stats;
pub mod sys;
<<<<<<< HEAD
pub mod timers;
pub mod worker;
=======
#[cfg(test)]
mod test_dir;
>>>>>>> stats
