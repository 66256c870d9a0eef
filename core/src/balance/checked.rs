//! What checks find, and what becomes of it. Pure: the checks themselves are elsewhere, and so is how many of them make a
//! verdict (`checks/`).
//!
//! Owns how the words of clients and of checks are joined. A check that says that a server is down is right until it says
//! otherwise; nobody is sent there, not even as a last resort. A connect that failed is forgotten when a check has
//! connected to the same place after it; what a program says proves no connect and forgets none.

use super::selection::Selection;
use super::servers::{Endpoint, Server, ServerId};
use super::standing::Verdict;
use pen_proto::weight::{WEIGHT_MAX, Weight};
use std::sync::Arc;

/// How a checked server counts until the first check of it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Untested {
    /// It is not checked.
    #[default]
    Unchecked,
    /// As one that is well: clients find out.
    Used,
    /// Used only where no other is left: the program that knows has not said anything.
    Avoided,
    /// Not used: somebody named it, and nobody knows whether it is there.
    NotUsed,
}

/// What a check makes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Down,
    /// It serves, and is used only where no other is left.
    Avoid,
    Up,
}

/// What checks have found out about a server.
#[derive(Debug, Clone)]
pub struct Finding {
    /// As it counts now.
    pub health: Health,
    /// Why it is not up; empty when it is.
    pub reason: Arc<str>,
    /// The last check connected to the server where clients do, and began in this second.
    pub connected_since_seconds: Option<u32>,
    /// How long the last check took, if it was answered.
    pub took_us: Option<u32>,
    /// When the last check ended, if it found the server serving; monotonic.
    pub served_ms: Option<u64>,
}

/// What is known of checks beside the verdict, which is in the [`super::standing::Standing`].
#[derive(Debug, Clone, Default)]
pub struct Checked {
    pub reason: Option<Arc<str>>,
    pub took_us: Option<u32>,
    /// What its weight is multiplied by, in thousandths; 0: by one.
    share_thousandths: u32,
}

impl Checked {
    /// The weight that counts.
    pub fn share_of(&self, weight: Weight) -> Weight {
        if self.share_thousandths == 0 || weight == Weight::ZERO {
            return weight;
        }
        let product = u64::from(weight.thousandths()) * u64::from(self.share_thousandths) / 1000;
        Weight::of_thousandths(product.clamp(1, u64::from(WEIGHT_MAX) * 1000) as u32)
    }
}

impl Server {
    /// Checks begin, or end, or are others than before.
    pub(super) fn begin_untested(&mut self, untested: Untested) {
        self.standing.verdict = Verdict::Untested(untested);
        self.checked = Checked::default();
        if let Some(polls) = &mut self.polls {
            polls.forget();
        }
    }

    fn take_in(&mut self, finding: &Finding, now_seconds: u32) {
        let since_seconds = match (finding.health, self.standing.verdict) {
            (Health::Down, Verdict::Down { since_seconds })
            | (Health::Avoid, Verdict::Avoid { since_seconds }) => since_seconds,
            _ => now_seconds,
        };
        self.standing.verdict = match finding.health {
            Health::Up => Verdict::Up,
            Health::Avoid => Verdict::Avoid { since_seconds },
            Health::Down => Verdict::Down { since_seconds },
        };
        self.checked.reason = (!finding.reason.is_empty()).then(|| finding.reason.clone());
        self.checked.took_us = finding.took_us.or(self.checked.took_us);
        if let Some(began_seconds) = finding.connected_since_seconds.filter(|_| finding.health == Health::Up)
        {
            self.standing.forgive_before(began_seconds);
        }
    }
}

impl Selection {
    /// Takes in what checks found at this endpoint. Says nothing about a server that is elsewhere by now, or is no longer
    /// checked: then false.
    pub fn checked(
        &mut self,
        server: ServerId,
        endpoint: &Endpoint,
        finding: &Finding,
        now_seconds: u32,
    ) -> bool {
        let is_about = |server: &Server| {
            server.setup.untested != Untested::Unchecked && server.setup.endpoint.is_same_server(endpoint)
        };
        if !self.servers.get(server).is_some_and(is_about) {
            return false;
        }
        self.servers.tell_time(now_seconds);
        self.servers.change(server, |server| server.take_in(finding, now_seconds));
        self.end_poll(server, finding.served_ms);
        self.queue.changed();
        true
    }

    /// Multiplies the weight of a server by so many thousandths, 0 for none. Nothing becomes of weight 0.
    pub fn share(&mut self, server: ServerId, thousandths: u32) {
        self.servers.change(server, |server| server.checked.share_thousandths = thousandths);
        self.servers.weights_changed();
        self.policies.servers_changed(&self.servers);
    }
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
