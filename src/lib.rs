//! pen: a load balancer for TCP and UDP in the classic Unix style, as a library.
//!
//! The program `pen` is one use of it. A program in Rust can have a balancer inside of itself: it describes services with
//! [`Balancer::builder`], starts it, and speaks with it by the commands of pen ([`Balancer::command`]) or by calls
//! ([`ServiceHandle`]). What clients see is the same: affinity, failover, checks, TLS, draining. A program may bring along
//! a [`Policy`] or a [`Check`] of its own, and hear of connections ([`Builder::events`]).
//!
//! ```
//! use pen::{Balancer, Server, Service};
//!
//! let web = Service::new("web")
//!     .listen("127.0.0.1:0")
//!     .server(Server::new("10.0.0.1:80").name("blue"))
//!     .server(Server::new("10.0.0.2:80").name("green"))
//!     .command("check connect");
//! let balancer = Balancer::builder().service(web).start()?;
//! println!("balancing {:?}", balancer.service("web").addresses()?);
//! balancer.service("web").drain("blue", None)?;
//! balancer.stop()?;
//! # Ok::<(), pen::Error>(())
//! ```
//!
//! # What it does to the process
//!
//! A balancer has threads of its own (a main thread, workers, and others where it checks servers or writes logs), and ends
//! without leaving one, or a descriptor. It needs no asynchronous runtime, and stands beside any. It installs no signal
//! handler, changes no limit, user or directory, and writes nothing to the standard streams: messages go to whom
//! [`Builder::messages`] names. Several balancers in one process know nothing of each other; they share the descriptors of
//! the process, so a program with several of them sets `conn_max` for each.
//!
//! `docs/embedding.md` is the guide, `docs/commands.md` the language of commands, and `docs/architecture.md` the map of the
//! source.

#![warn(missing_docs)]

mod autosave;
mod calls;
mod checks;
mod cli;
mod config;
mod conn;
#[allow(missing_docs, reason = "only tests and fuzz targets see it from outside, by `testing`")]
mod control;
mod demo;
mod discovery;
mod dsr;
mod embed;
mod geoip;
mod glbd;
mod hooks;
mod imports;
mod instance;
#[allow(missing_docs, reason = "only tests and fuzz targets see it from outside, by `testing`")]
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
#[allow(missing_docs, reason = "only tests and fuzz targets see it from outside, by `testing`")]
mod runtime;
#[allow(missing_docs, reason = "only tests and fuzz targets see it from outside, by `testing`")]
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
