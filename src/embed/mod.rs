//! pen inside of another program: what is public of the library.
//!
//! `builder.rs` and `service.rs` are what a program says before the start, `balancer.rs` and `handle.rs` what it says
//! afterwards, `info.rs` what it hears; `start.rs` begins and `line.rs` is how its threads reach the main thread of the
//! balancer, which is that of the program pen (`process.rs`) without signals and without a supervisor. Types of other
//! modules stay inside: what is here is a promise.

/// The guide, whose examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Guide;

mod balancer;
mod builder;
mod error;
mod handle;
mod info;
mod line;
mod policy;
mod service;
mod start;

pub use crate::checks::{Check, CheckedServer, Verdict};
pub use crate::hooks::{Event, EventKind};
pub use balancer::Balancer;
pub use builder::{Builder, Severity};
pub use error::{Error, ErrorKind};
pub use handle::ServiceHandle;
pub use info::{ServerInfo, ServerState};
pub use policy::{Candidate, Choice, Policy};
pub use service::{Server, Service};
