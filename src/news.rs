//! What the operator hears of servers: that one failed, that every one has, and that this is over.
//!
//! Called by the workers of `worker/` and `udp/`, after they have let go of the pool. A message that repeats is counted
//! for each service and server (`sys/repeats.rs`).

use crate::balance::{Attempt, Endpoint, News, ServerId};
use crate::log::diag::{self, Severity};
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

/// The first of them has accepted a connection, if `ends_outage`; and what else there is to hear of servers.
pub fn tell_success(service: &Service, server: ServerId, ends_outage: bool, news: News) {
    if ends_outage && news.back.is_empty() {
        tell_back(service, &service.with(|chooser| chooser.called(server)));
    }
    tell_news(service, news);
}

/// Who is back, and whether any server is left.
pub fn tell_news(service: &Service, news: News) {
    news.back.iter().for_each(|called| tell_back(service, called));
    match news.any_left {
        None => {}
        Some(false) => {
            let text = "no server is left: each has failed, is blacklisted, drains or is disabled";
            let key = format!("none left {}", service.number);
            diag::once_as(Severity::Error, &key, OfService(service, text));
        }
        Some(true) => {
            let key = format!("one left {}", service.number);
            diag::once_as(Severity::Notice, &key, OfService(service, "there is a server for clients again"));
        }
    }
}

fn tell_back(service: &Service, called: &Called) {
    let text = format_args!("{called} takes connections again");
    let key = format!("back {} {}", service.number, called.number());
    diag::once_as(Severity::Notice, &key, OfService(service, text));
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
