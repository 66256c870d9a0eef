//! What a choice between many servers looks at of each, close together in memory. Pure.
//!
//! Owns no state: `servers.rs` takes a new glance of a server after each change of it, policies and the walk through the
//! servers read them. With a thousand servers it is the memory that a choice costs, and a server takes several cache
//! lines where a glance takes half of one.

use super::servers::Server;
use pen_proto::commands::Role;
use pen_proto::weight::Weight;

/// Pen's scale: loads that differ by less than a 256th connection per unit of weight count as equal.
const SCALE: u64 = 256;
/// Set in [`Glance::standby`] for a server that checks say is to be avoided: it comes after all others.
pub const AVOIDED: u8 = 0x80;

/// A server, seen from afar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// Not before this second; [`Glance::NEVER`] when it cannot be connected to at all.
    usable_from_seconds: u32,
    /// Before this second it has less than its share.
    ramped_up_seconds: u32,
    load: u64,
    connections: u32,
    weight: Weight,
    prio: u32,
    is_full: bool,
    is_named: bool,
    acl: u8,
    standby: u8,
}

const _: () = assert!(size_of::<Glance>() == 32);

impl Glance {
    /// No second.
    pub const NEVER: u32 = u32::MAX;

    /// The first second in which it may be used.
    pub fn usable_from_seconds(&self) -> u32 {
        self.usable_from_seconds
    }

    /// Before this second it has less than its share.
    pub fn ramped_up_seconds(&self) -> u32 {
        self.ramped_up_seconds
    }

    /// As it is in this role. A clone is not ramped up.
    pub fn of(server: &Server, role: Role, blacklist_seconds: u64) -> Glance {
        let load = SCALE * u64::from(Weight::ONE.thousandths()) * u64::from(server.connections);
        Glance {
            usable_from_seconds: u32::try_from(server.usable_as_from_seconds(role, blacklist_seconds))
                .unwrap_or(Glance::NEVER),
            ramped_up_seconds: if role == Role::Member { server.ramp.until_seconds() } else { 0 },
            load: load.checked_div(server.weight().thousandths().into()).unwrap_or(u64::MAX),
            connections: server.connections,
            weight: server.weight(),
            prio: server.setup.prio,
            is_full: !server.has_room(false),
            is_named: !server.setup.sni.is_empty(),
            acl: server.setup.acl,
            standby: server.setup.standby.min(AVOIDED - 1)
                | if server.standing.is_avoided() { AVOIDED } else { 0 },
        }
    }

    /// As [`Server::is_usable`].
    pub fn is_usable(&self, now_seconds: u32) -> bool {
        self.usable_from_seconds <= now_seconds && self.usable_from_seconds != Glance::NEVER
    }

    /// The second from which it is usable, if that is known and later.
    pub fn usable_after(&self, now_seconds: u32) -> Option<u32> {
        let from_seconds = self.usable_from_seconds;
        (from_seconds > now_seconds && from_seconds != Glance::NEVER).then_some(from_seconds)
    }

    /// Connections for its weight, rounded down; [`u64::MAX`] for weight 0, which is never chosen.
    pub fn load(&self) -> u64 {
        self.load
    }

    /// Those still connecting included.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// What counts; 1 where none was given.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    pub fn prio(&self) -> u32 {
        self.prio
    }

    /// Whether it has room for nobody who does not belong to it already.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether it is used only where no other is left.
    pub fn is_avoided(&self) -> bool {
        self.standby & AVOIDED != 0
    }

    /// The list that must permit a client.
    pub fn acl(&self) -> u8 {
        self.acl
    }

    /// How many others must be gone before it is used, and [`AVOIDED`] beside that.
    pub fn standby(&self) -> u8 {
        self.standby
    }

    /// Whether it is for clients that ask for it by name.
    pub fn is_named(&self) -> bool {
        self.is_named
    }
}
