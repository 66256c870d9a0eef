//! pen inside of another program: this one.

#[path = "../common/mod.rs"]
mod common;

mod brought;
mod calls;
mod examples;
mod starting;
mod stopping;

use common::backend::Backend;
use common::ports::free_port;
use pen::{Balancer, Service};
use std::net::SocketAddr;

/// A service `web` on a free port before these servers.
fn web(servers: &[&Backend]) -> Service {
    let service = Service::new("web").listen(format!("127.0.0.1:{}", free_port()));
    servers.iter().fold(service, |service, server| service.server(server.address()))
}

/// Its address.
fn address(balancer: &Balancer) -> SocketAddr {
    balancer.service("web").addresses().unwrap()[0]
}
