//! pen: a load balancer for TCP and UDP in the classic Unix style. See docs/architecture.md for the map.

mod autosave;
mod calls;
mod checks;
mod cli;
mod config;
mod conn;
mod control;
mod demo;
mod discovery;
mod dsr;
mod embed;
mod geoip;
mod glbd;
mod imports;
mod instance;
mod log;
mod metrics;
mod net;
mod news;
mod octopus;
mod opening;
mod os;
mod process;
mod reload;
mod renewal;
mod room;
mod runtime;
mod service;
mod shared;
mod start;
mod supervision;
#[doc(hidden)]
pub mod testing;
mod trial;
mod udp;
mod worker;

pub use embed::*;
use pen_core::{
    acl, balance, clones, half_close, http, proxy_protocol, settings, slab, stats, timers, tls, uri,
};
use pen_proto::escape;
use pen_sys as sys;
use pen_sys::published;
#[cfg(test)]
use pen_sys::tempdir;
#[doc(hidden)]
pub use start::{run, run_as};
