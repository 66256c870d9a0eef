//! The servers of one service, the rules between them, and a policy with its memory. Pure.
//!
//! Owns whether an outage is told. What needs the clients too is in `chooser.rs` and `walk.rs`.

use super::attempt::{Attempt, Hold};
use super::clones::Clones;
use super::keys::ServerKey;
use super::leaving::Emptied;
use super::limits::Limiter;
use super::news::Untold;
use super::policy::{Mode, Own, Policies};
use super::queue::Queue;
use super::routes::Route;
use super::rules::Rules;
use super::servers::{Endpoint, Server, ServerId, ServerSetup, Servers};
use super::tried::Tried;
use pen_proto::addr::ClientAddr;
use pen_proto::called::Called;
use pen_proto::commands::{PolicyKind, Role};
use pen_proto::weight::Weight;
use std::sync::Arc;

/// Servers, and the choice between them.
pub struct Selection {
    pub(super) rules: Rules,
    pub(super) servers: Servers,
    pub(super) policies: Policies,
    pub(super) clones: Clones,
    pub(super) tried: Tried,
    /// The server tried last.
    pub(super) current: ServerId,
    /// Only servers that failed were left for a client, and none of them has taken one since.
    pub(super) is_outage: bool,
    pub(super) untold: Untold,
    /// Each server once for a time that it leaves.
    pub(super) emptied: Vec<Emptied>,
    pub(super) queue: Queue,
    pub(super) limiter: Limiter,
}

impl Selection {
    /// Without servers. What is drawn by lot follows from `seed`.
    pub(super) fn new(rules: Rules, seed: u64) -> Selection {
        let mut servers = Servers::new(rules.blacklist_seconds);
        servers.set_slow_start_ms(rules.slow_start_ms);
        Selection {
            servers,
            policies: Policies::new(Role::Member, rules.policy, seed),
            clones: Clones::new(rules.policy, seed),
            rules,
            tried: Tried::default(),
            current: ServerId::NONE,
            is_outage: false,
            untold: Untold::default(),
            emptied: Vec::new(),
            queue: Queue::default(),
            limiter: Limiter::default(),
        }
    }

    /// Asks a policy of the program around pen first.
    pub fn bring(&mut self, own: Box<dyn Own>) {
        self.policies.bring(own);
    }

    /// Chooses by these rules from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.servers.set_blacklist_seconds(rules.blacklist_seconds);
        self.servers.set_slow_start_ms(rules.slow_start_ms);
        self.policies.follow(rules.policy, &self.servers);
        self.clones.follow(rules.policy, &self.servers);
        self.rules = rules;
        self.queue.changed();
    }

    /// Servers that came back, or are warm by now, count from now on.
    #[inline]
    pub(super) fn settle(&mut self, now_seconds: u32) {
        if self.servers.settle(now_seconds) {
            self.policies.servers_changed(&self.servers);
            self.clones.servers_changed(&self.servers);
            self.queue.changed();
        }
    }

    /// What is changed from now on has this time. Choices say it themselves.
    pub fn tell_time(&mut self, now_seconds: u32) {
        self.servers.tell_time(now_seconds);
    }

    /// See [`super::Pool::set_servers`].
    pub(super) fn set_servers(
        &mut self,
        regular: Vec<(ServerSetup, ServerKey)>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) {
        let were_leaving: Vec<bool> = self.servers.regular().iter().map(Server::is_leaving).collect();
        self.servers.set(regular, emergency, abuse);
        self.policies.servers_changed(&self.servers);
        self.clones.servers_changed(&self.servers);
        self.queue.changed();
        self.end_vain_polls();
        self.look_who_is_empty(&were_leaving);
    }

    /// Whether `client_acl` denies the client and there is no abuse server for it: nothing need be asked of it.
    pub fn turns_away(&self, client: ClientAddr) -> bool {
        !self.rules.permit(client) && !self.has_abuse_server()
    }

    /// Whether there is a server for clients that may not have another.
    pub fn has_abuse_server(&self) -> bool {
        self.servers.get(ServerId::ABUSE).is_some_and(|server| server.setup.endpoint.is_complete())
    }

    /// What a client asks for that names this server in TLS, in lower case.
    pub fn route(&self, name: Option<&str>) -> Route {
        self.servers.route(name)
    }

    /// How messages name a server, at its present address.
    pub fn called(&self, server: ServerId) -> Called {
        let nothing = ServerSetup::default();
        self.servers.get(server).map_or(&nothing, |server| &server.setup).called(server)
    }

    /// Blacklists a server for `seconds` from now, whatever the blacklist time; 0 releases it. A server that does not
    /// exist is ignored.
    pub fn blacklist(&mut self, server: ServerId, seconds: u32, now_seconds: u32) {
        let blacklist_seconds = self.rules.blacklist_seconds;
        self.servers.tell_time(now_seconds);
        self.servers.change(server, |server| server.blacklist(seconds, blacklist_seconds, now_seconds));
        self.queue.changed();
    }

    /// The connect succeeded: the server's failures are forgotten. Needed only if [`Attempt::clears_failure`]. True when
    /// this ends what [`Attempt::begins_outage`] told.
    pub fn connected(&mut self, attempt: &Attempt) -> bool {
        if attempt.hold == Hold::Nothing {
            return false;
        }
        if let Some(index) = attempt.current.index() {
            self.policies.stood_in(index, self.tried.of(attempt.tried));
        }
        self.succeeded(attempt.current, attempt.era)
    }

    /// The client is served. When it loses this server some day, those that did not do before may be well again. For
    /// clients that can change servers as long as they like.
    pub fn forget_tried(&mut self, attempt: &mut Attempt) {
        self.tried.forget(&mut attempt.tried);
    }

    /// The server has accepted at another of its addresses: that one is tried first from now on. Needed only if
    /// [`Endpoint::is_second_choice`].
    pub fn prefer(&mut self, server: ServerId, endpoint: &Endpoint) {
        self.servers.change(server, |server| {
            let present = &server.setup.endpoint;
            if present.is_same_server(endpoint) && present.source() == endpoint.source() {
                server.setup.put_at(Arc::new(endpoint.preferred()));
            }
        });
    }

    /// Whether the client might go to another server than its present one, as far as that can be told without trying.
    pub fn has_other(&self, attempt: &Attempt, client: ClientAddr, now_seconds: u32) -> bool {
        let is_final = matches!(attempt.current, ServerId::ABUSE | ServerId::EMERGENCY);
        if is_final || self.rules.stubborn {
            return false;
        }
        let tried = self.tried.of(attempt.tried);
        let regular = self.servers.regular().iter().enumerate();
        let untried = regular
            .filter(|(index, _)| attempt.current.index() != Some(*index) && !tried.contains(*index))
            .map(|(_, server)| server);
        untried.chain(self.servers.get(ServerId::EMERGENCY)).any(|server| {
            server.is_last_resort(self.rules.blacklist_seconds, now_seconds)
                && server.has_room(false)
                && !self.is_for_its_own(server)
                && self.rules.lists.permit(server.setup.acl.into(), client)
        })
    }

    /// Whether only clients that belong to the server may come.
    pub(super) fn is_for_its_own(&self, server: &Server) -> bool {
        match self.rules.policy {
            PolicyKind::Pen => self.rules.mode == Mode::RoundRobin && self.servers.is_weightless(server),
            _ => server.weight() == Weight::ZERO,
        }
    }

    /// A connect that began in this era succeeded. True when an outage is over.
    pub(super) fn succeeded(&mut self, id: ServerId, era: u16) -> bool {
        let had_failed = self.servers.get(id).is_some_and(|server| server.standing.has_failed());
        let is_news = self.servers.change(id, |server| server.connect_succeeded(era)) == Some(true);
        if is_news && had_failed {
            self.is_back(id);
        }
        self.queue.changed();
        is_news && id.index().is_some() && std::mem::take(&mut self.is_outage)
    }

    /// The one place where a server's connections are counted down, while `change` tells it how the connection ended;
    /// `None` when the attempt holds no place.
    pub(super) fn give_back(
        &mut self,
        attempt: &mut Attempt,
        change: impl FnOnce(&mut Server),
    ) -> Option<()> {
        let is_empty = self.change_held(attempt, |server| {
            server.connections -= 1;
            change(server);
            server.connections == 0 && server.is_leaving()
        });
        attempt.hold = Hold::Nothing;
        if is_empty.is_some() {
            self.queue.freed(attempt.current);
        }
        if is_empty? && attempt.current.index().is_some() {
            self.emptied(attempt.current);
        }
        Some(())
    }

    /// Changes the server at which the attempt holds a place; `None` when there is none.
    pub(super) fn change_held<T>(
        &mut self,
        attempt: &Attempt,
        change: impl FnOnce(&mut Server) -> T,
    ) -> Option<T> {
        if attempt.hold == Hold::Nothing {
            return None;
        }
        self.servers.change(attempt.current, change)
    }
}

#[cfg(test)]
impl Selection {
    /// With the rules of the default settings, and servers without names.
    pub(super) fn of(
        regular: Vec<ServerSetup>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) -> Selection {
        let mut selection = Selection::new(crate::settings::Settings::default().rules(), 0);
        selection.set_servers(keyed(regular), emergency, abuse);
        selection
    }
}

/// Servers that go by their numbers.
#[cfg(test)]
pub(super) fn keyed(regular: Vec<ServerSetup>) -> Vec<(ServerSetup, ServerKey)> {
    let key = |index| ServerKey::numbered(ServerId::regular(index));
    regular.into_iter().enumerate().map(|(index, setup)| (setup, key(index))).collect()
}
