//! Servers that drain, are disabled or are removed, while connections to them are left: cuts those whose time is over, and
//! tells when the last has ended.

use super::Instance;
use crate::balance::{Emptied, ServerId};
use crate::log::diag::{self, Severity};
use crate::news;
use crate::settings::of_service;
use crate::sys::clock;
use pen_proto::status::ServerState;
use std::time::Duration;

/// How often it is looked whether the connections of a server have ended.
const LOOK: Duration = Duration::from_millis(200);

impl Instance {
    /// Cuts connections to servers whose time to drain is over, and tells which servers have no connection any more, and
    /// whether any is left.
    pub fn look_at_leaving(&mut self) {
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        for (name, served) in &self.served {
            let service = self.runtime.service(served.number);
            let (overdue, emptied, news) = service.with(|selection| {
                (selection.overdue(now_seconds), selection.take_emptied(), selection.take_news())
            });
            news::tell_news(service, news);
            for server in overdue {
                self.runtime.close_server(served.number, server);
            }
            for emptied in &emptied {
                diag::say(Severity::Notice, of_service(name, &told(emptied)));
            }
        }
    }

    /// When to look next; `None` as long as there is nothing to wait for.
    pub fn leaving_patience(&self) -> Option<Duration> {
        let awaits = |number| self.runtime.service(number).with(|selection| selection.awaits_ends());
        self.served.values().any(|served| awaits(served.number)).then_some(LOOK)
    }

    /// The connections of one server.
    pub(super) fn cut_server(&self, service: &str, server: u16) -> bool {
        let Some(served) = self.served.get(service) else { return false };
        self.runtime.close_server(served.number, ServerId::regular(server.into())) > 0
    }
}

fn told(emptied: &Emptied) -> String {
    let called = &emptied.called;
    match emptied.state {
        ServerState::Draining => format!("{called}: drained"),
        ServerState::Removing => format!("{called}: removed, and its last connection has ended"),
        ServerState::Standby => {
            format!("{called}: another group is in use, and its last connection has ended")
        }
        _ => format!("{called}: disabled, and its last connection has ended"),
    }
}
