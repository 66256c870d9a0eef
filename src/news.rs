//! What the operator hears of servers: that one failed, that every one has, and that this is over.
//!
//! Called by the workers of `worker/` and `udp/`, after they have let go of the pool. A message that repeats is counted
//! for each service and server (`sys/repeats.rs`).

use crate::balance::{Attempt, Endpoint, ServerId};
use crate::log::diag;
use crate::service::Service;
use pen_proto::called::Called;
use std::fmt::Display;

/// Says something about a server, once a minute for each `kind` of it.
pub fn tell(service: &Service, kind: &str, called: &Called, text: impl Display) {
    diag::once(&format!("{kind} {} {}", service.number, called.number()), OfService(service, text));
}

/// Says it if this is the first client for whom only servers that failed were left.
pub fn tell_outage(service: &Service, attempt: &Attempt) {
    if attempt.begins_outage() {
        let text = "every server that would take clients has failed: trying them again, longest ago first";
        diag::once(&format!("outage {}", service.number), OfService(service, text));
    }
}

/// The first of them has accepted a connection.
pub fn tell_end(service: &Service, server: ServerId) {
    let called = service.with(|chooser| chooser.called(server));
    let text = format_args!("{called} takes connections again");
    diag::once(&format!("outage is over {}", service.number), OfService(service, text));
}

/// One of several addresses of a server failed; the server is not blamed yet.
pub fn tell_next_place(service: &Service, server: ServerId, failed: &Endpoint) {
    let called = service.with(|chooser| chooser.called(server)).at(failed);
    tell(service, "place", &called, format_args!("{called} does not answer; trying its next address"));
}

/// A text about a service, which is named unless it is `main`.
struct OfService<'a, T>(&'a Service, T);

impl<T: Display> Display for OfService<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::settings::of_service(&self.0.name, &self.1.to_string()))
    }
}
