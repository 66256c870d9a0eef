//! pen: a load balancer for TCP and UDP in the classic Unix style. See docs/architecture.md for the map.

pub mod acl;
pub mod balance;
pub mod chunked;
pub mod cli;
pub mod config;
pub mod conn;
pub mod control;
pub mod demo;
pub mod dsr;
pub mod geoip;
pub mod half_close;
pub mod http;
pub mod instance;
pub mod log;
pub mod net;
mod outage;
pub mod process;
pub mod proxy_protocol;
pub mod reload;
pub mod runtime;
pub mod settings;
pub mod slab;
pub mod start;
pub mod stats;
pub mod sys;
#[cfg(test)]
mod test_dir;
pub mod timers;
pub mod tls;
mod turn;
pub mod udp;
pub mod worker;

pub use pen_proto::escape;
