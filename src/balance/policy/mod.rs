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

use super::routes::Route;
use super::servers::{Server, ServerId};
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
    /// All regular servers, gaps included.
    pub servers: &'a [Server],
    /// What the client asks for: servers that do not serve it are not chosen.
    pub route: Route,
    /// Failures up to this second are over.
    pub forgiven_seconds: i64,
}

impl Question<'_> {
    fn is_usable(&self, index: usize) -> bool {
        self.may_choose(&self.servers[index])
    }

    /// Index and state of the servers that may be chosen.
    fn usable(&self) -> impl Iterator<Item = (usize, &Server)> {
        self.servers.iter().enumerate().filter(|(_, server)| self.may_choose(server))
    }

    fn may_choose(&self, server: &Server) -> bool {
        server.serves(self.route) && server.is_usable(self.forgiven_seconds)
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
