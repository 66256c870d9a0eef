//! Members and clones: in which role a server may be used.

use super::super::glance::Glance;
use super::super::warmth::Warmth;
use super::{Server, Servers};
use pen_proto::commands::Role;
use pen_proto::weight::Weight;

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
        match self.warmth {
            Warmth::Warm => self.setup.role,
            Warmth::Cold | Warmth::Since(_) => Role::Clone,
        }
    }

    /// The same at this second, when nobody has chosen since it became warm.
    pub fn role_at(&self, now_seconds: u32) -> Role {
        if self.is_warming_up(now_seconds) { Role::Clone } else { self.setup.role }
    }

    /// Whether it is a clone because it is new.
    pub fn is_warming_up(&self, now_seconds: u32) -> bool {
        self.warmth != Warmth::Warm && self.warm_from_seconds().is_none_or(|from| from > now_seconds)
    }

    /// The second from which it is warm, if that is known and to come.
    pub(super) fn warm_from_seconds(&self) -> Option<u32> {
        self.warmth.until_seconds(self.setup.warm_up_ms)
    }

    /// Whether clients may be sent to it though it is not warm, because no other takes them.
    pub(in crate::balance) fn is_usable_cold(&self, blacklist_seconds: u64, now_seconds: u32) -> bool {
        self.warmth != Warmth::Warm
            && self.usable_as_from_seconds(Role::Clone, blacklist_seconds) <= now_seconds.into()
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

    /// Regular servers that are clones because they are new.
    pub(in crate::balance) fn warming_up(&self) -> impl Iterator<Item = (usize, &Server)> {
        // Most have none.
        let some = if self.has_clones() { self.regular() } else { &[] };
        some.iter().enumerate().filter(|(_, server)| server.warmth != Warmth::Warm)
    }

    /// New servers that can be used warm up from now on, and those for which the time is over are members.
    pub(super) fn settle_warmth(&mut self, now_seconds: u32) {
        let blacklist_seconds = self.blacklist_seconds;
        let before = self.usable_before();
        let mut are_warm = false;
        let begins_or_ends = |server: &&mut Server| {
            let began = matches!(server.warmth, Warmth::Since(_));
            began || server.is_usable_cold(blacklist_seconds, now_seconds)
        };
        for server in self.slots.iter_mut().filter(begins_or_ends) {
            server.warmth = server.warmth.settled(server.setup.warm_up_ms, now_seconds);
            are_warm |= server.warmth == Warmth::Warm;
        }
        self.look_again();
        if are_warm {
            self.weights_changed();
            self.note_returns(&before);
        }
    }

    /// The weights that count have changed.
    pub(in crate::balance) fn weights_changed(&mut self) {
        let regular = &self.slots[..self.count];
        self.have_fractions = regular.iter().any(|server| !server.weight().is_whole());
        let counts =
            |server: &Server| server.is_complete && !server.setup.in_reserve && server.role() == Role::Member;
        self.weigh = regular.iter().any(|server| counts(server) && server.weight() > Weight::ZERO);
    }

    /// Whether any server is a clone.
    pub fn has_clones(&self) -> bool {
        !self.clone_glances.is_empty()
    }
}
