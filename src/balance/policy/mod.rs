//! The ways to choose a client's first server. Pure.
//!
//! Owns which policy is in force and what a policy may see. A policy names a server; whether that server takes the
//! client (maxima, access list) is the balancer's business, which alone calls [`Policies::choose`].
//!
//! A new policy is a file here and a line in [`POLICIES`].

mod hash;
mod prio;
mod roundrobin;
mod weight;

use super::glance::Glance;
use super::routes::Route;
use super::servers::{ServerId, Servers};
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::Flag;

/// Whom the choice is for, and between whom.
pub struct Question<'a> {
    pub client: ClientAddr,
    /// The client's port, 0 for a Unix socket.
    pub client_port: u16,
    /// Whether clients are not to be tracked (`-r`), which spreads the hash over their ports.
    pub untracked: bool,
    pub servers: &'a Servers,
    /// What the client asks for: servers that do not serve it are not chosen.
    pub route: Route,
    /// Failures up to this second are over.
    pub forgiven_seconds: i64,
}

impl Question<'_> {
    /// Of all regular servers, gaps included.
    fn glances(&self) -> &[Glance] {
        self.servers.glances()
    }

    /// Whether this server is for what the client asks for.
    fn serves(&self, index: usize) -> bool {
        let is_default = self.route == Route::DEFAULT;
        match self.glances()[index].is_named() {
            true => !is_default && self.servers.regular()[index].serves(self.route),
            false => is_default,
        }
    }

    fn may_choose(&self, index: usize) -> bool {
        self.glances()[index].is_usable(self.forgiven_seconds) && self.serves(index)
    }

    /// The server with the least of something among those that may be chosen, the lowest index among equals.
    /// [`u64::MAX`] is never chosen.
    fn least(&self, measure: impl Fn(&Glance) -> u64) -> Option<usize> {
        let (mut least, mut choice) = (u64::MAX, None);
        for (index, glance) in self.glances().iter().enumerate() {
            // Of many servers few have less than all before them: the others are done with after one comparison.
            if measure(glance) < least && self.may_choose(index) {
                (least, choice) = (measure(glance), Some(index));
                if least == 0 {
                    break;
                }
            }
        }
        choice
    }
}

type Choose = fn(&Question<'_>) -> Option<usize>;

/// The first one switched on is in force; round robin when none is.
const POLICIES: [(Flag, Choose); 3] =
    [(Flag::Prio, prio::choose), (Flag::Weight, weight::choose), (Flag::Hash, hash::choose)];

/// The policies and what they remember from one choice to the next.
#[derive(Debug, Default)]
pub struct Policies {
    round_robin: roundrobin::RoundRobin,
}

impl Policies {
    /// The first server to try; [`ServerId::NONE`] when there is none to choose from.
    pub fn choose(&mut self, settings: &Settings, question: &Question<'_>) -> ServerId {
        let in_force = POLICIES.iter().find(|(flag, _)| settings.flag(*flag));
        let choice = match in_force {
            Some((_, choose)) => choose(question),
            None => self.round_robin.choose(question),
        };
        choice.map_or(ServerId::NONE, ServerId::regular)
    }
}

#[cfg(test)]
mod tests;
