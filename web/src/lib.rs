//! A web server for a few visitors: read-only documents at fixed paths, over poll(2), one request for each connection.
//!
//! Owns the sockets, the limits and what is refused. What is served says a [`Site`]. The metrics of pen and the live page
//! of webstats are such sites.
#![forbid(unsafe_code)]

mod client;
pub mod request;
pub mod response;
mod server;

pub use request::{HEAD_BYTES_MAX, Method};
pub use response::{Code, Response};
pub use server::{CLIENTS_MAX, Door, Server, Site};
