//! What of the settings the choice of a server is about.

use super::Settings;
use crate::balance::{Lists, Mode, Rules};
use pen_proto::commands::{Flag, Number};

/// The first one switched on is in force; round robin when none is.
const MODES: [(Flag, Mode); 3] =
    [(Flag::Prio, Mode::Prio), (Flag::Weight, Mode::Weight), (Flag::Hash, Mode::Hash)];

impl Settings {
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
            lists: Lists { acls: self.acls.clone(), countries: self.countries.clone() },
        }
    }
}
