//! What a choice needs to know of the configuration, and nothing else. Pure.
//!
//! Owned by the selection, under its lock: whoever asks for a server needs no settings.

use super::limits::ClientLimits;
use super::policy::Mode;
use crate::acl::{ACL_COUNT, Acl, CountrySource};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::PolicyKind;

/// How one service chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Who is preferred for a client that belongs to no server.
    pub policy: PolicyKind,
    /// The same, with [`PolicyKind::Pen`].
    pub mode: Mode,
    /// Only servers of the highest weight that is usable.
    pub top: bool,
    /// Clients belong to no server (`roundrobin`).
    pub forgets_clients: bool,
    /// A client gets its own server or none.
    pub stubborn: bool,
    /// For so long a server that failed is passed over; 0 retries at once.
    pub blacklist_seconds: u64,
    /// For so long after its last connect a client is remembered; 0 is for ever.
    pub tracking_seconds: u64,
    /// Number of the list that clients must pass.
    pub client_acl: u64,
    pub lists: Lists,
    /// For each client.
    pub client_limits: ClientLimits,
    /// In which time a server that comes back is ramped up; 0 is at once.
    pub slow_start_ms: u64,
    /// How many of 100 connections have a clone.
    pub clone_percent: u64,
    pub rebalance: Rebalance,
    /// What a connection counts for under [`PolicyKind::LeastLoad`].
    pub session_weight_thousandths: u32,
    /// How many clients may wait when every server is full.
    pub queue_max: u64,
}

/// When URIs move from the busiest server to the idlest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalance {
    /// Between two looks; 0 is never.
    pub interval_seconds: u32,
    /// By which they must differ; 0 is never.
    pub threshold_percent: u32,
    /// Of the URIs of the busiest; 0 is none.
    pub size_percent: u32,
}

/// The access lists, and whom they ask for countries. A copy shares the entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lists {
    pub acls: [Acl; ACL_COUNT],
    pub countries: CountrySource,
}

impl Lists {
    /// A list that does not exist lets nobody pass.
    pub fn permit(&self, list: u64, client: ClientAddr) -> bool {
        let acl = usize::try_from(list).ok().and_then(|list| self.acls.get(list));
        acl.is_some_and(|acl| acl.permits(client, &self.countries))
    }
}

impl Rules {
    /// The policy alone: nobody is limited, delayed, cloned, moved or blacklisted. For programs that have no settings.
    pub fn of_policy(policy: PolicyKind) -> Rules {
        Rules {
            policy,
            mode: Mode::RoundRobin,
            top: false,
            forgets_clients: false,
            stubborn: false,
            blacklist_seconds: 0,
            tracking_seconds: 0,
            client_acl: 0,
            lists: Lists::default(),
            client_limits: ClientLimits::default(),
            slow_start_ms: 0,
            clone_percent: 0,
            rebalance: Rebalance { interval_seconds: 0, threshold_percent: 0, size_percent: 0 },
            session_weight_thousandths: 0,
            queue_max: 0,
        }
    }

    /// Whether all weights count, and 0 is for nobody but clients that belong to the server.
    pub(super) fn weigh_all(&self) -> bool {
        self.policy != PolicyKind::Pen
    }

    /// Whether only servers of the highest weight that is usable are chosen.
    pub(super) fn only_top(&self) -> bool {
        self.top || self.policy == PolicyKind::Single
    }

    /// Whether `client_acl` lets the client pass.
    pub(super) fn permit(&self, client: ClientAddr) -> bool {
        self.lists.permit(self.client_acl, client)
    }
}
