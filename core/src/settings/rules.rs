//! What of the settings the choice of a server is about.

use super::Settings;
use crate::balance::{ClientLimits, Lists, Mode, Rebalance, Rules};
use pen_proto::commands::{Flag, Number};
use pen_proto::rate::Rate;

/// The first one switched on is in force; round robin when none is.
const MODES: [(Flag, Mode); 3] =
    [(Flag::Prio, Mode::Prio), (Flag::Weight, Mode::Weight), (Flag::Hash, Mode::Hash)];

impl Settings {
    /// What one client may have.
    pub fn client_limits(&self) -> ClientLimits {
        ClientLimits {
            // The bounds of the row make it fit.
            connections_max: self.number(Number::ClientConnMax) as u32,
            rate: Rate::from_bits(self.number(Number::ClientRate)),
        }
    }

    /// The rules for choosing. They share the entries of the access lists.
    pub fn rules(&self) -> Rules {
        let mode = MODES.iter().find(|(flag, _)| self.flag(*flag));
        Rules {
            policy: self.choice(),
            top: self.flag(Flag::Top),
            mode: mode.map_or(Mode::RoundRobin, |(_, mode)| *mode),
            forgets_clients: self.flag(Flag::Roundrobin),
            stubborn: self.flag(Flag::Stubborn),
            blacklist_seconds: self.number(Number::Blacklist),
            tracking_seconds: self.number(Number::Tracking),
            client_acl: self.number(Number::ClientAcl),
            client_limits: self.client_limits(),
            slow_start_ms: self.number(Number::SlowStart),
            clone_percent: self.number(Number::ClonePercent),
            // The bounds of the rows make them fit.
            rebalance: Rebalance {
                interval_seconds: self.number(Number::RebalanceInterval) as u32,
                threshold_percent: self.number(Number::RebalanceThreshold) as u32,
                size_percent: self.number(Number::RebalanceSize) as u32,
            },
            // The bounds of the row make it fit.
            session_weight_thousandths: self.number(Number::SessionWeight) as u32,
            queue_max: self.number(Number::Queue),
            lists: Lists { acls: self.acls.clone(), countries: self.countries.clone() },
        }
    }
}
