//! Members and clones: in which role a server may be used.

use super::super::glance::Glance;
use super::{Server, Servers};
use pen_proto::commands::Role;

impl Server {
    /// The same in this role. Nobody is sent to a server in the role that it has not.
    pub(in crate::balance) fn usable_as_from_seconds(&self, role: Role, blacklist_seconds: u64) -> u64 {
        match self.is_complete && !self.is_leaving() && self.role() == role {
            true => self.standing.usable_from_seconds(blacklist_seconds),
            false => u64::MAX,
        }
    }

    /// Whether clients are sent to it, or what they say is copied to it.
    pub fn role(&self) -> Role {
        self.setup.role
    }
}

impl Servers {
    /// The same in this role; nothing where no server has it.
    pub fn glances_as(&self, role: Role) -> &[Glance] {
        match role {
            Role::Member => self.glances(),
            Role::Clone => self.clone_glances.get(..self.count).unwrap_or_default(),
        }
    }

    /// Whether any server is a clone.
    pub fn has_clones(&self) -> bool {
        !self.clone_glances.is_empty()
    }
}
