//! The server table: what the operator configured for each server, and how each is doing. Pure.
//!
//! Owns connection counts, standings and totals. It does not choose: policies and the chooser read it, and only the
//! selection changes it, through [`Servers::change`], which keeps the glances true.

mod failures;
mod moments;
mod names;
mod returns;
mod roles;
mod state;

use super::changes::Changes;
use super::checked::{Checked, Untested};
use super::glance::Glance;
pub use super::id::{SERVER_NUMBERS, ServerId};
use super::idlers::Patience;
use super::keys::ServerKey;
use super::loaded::Loaded;
use super::polls::{Extra, Polls};
use super::ramp::Ramp;
use super::routes::{Route, Routes};
use super::standing::{Duty, Standing};
use super::warmth::Warmth;
use moments::Moments;
use pen_proto::called::Called;
use pen_proto::commands::{LoadSource, ProxyHeader, Role};
pub use pen_proto::endpoint::{Endpoint, TlsEndpoint};
use pen_proto::load::Load;
use pen_proto::weight::Weight;
use std::sync::Arc;

/// What the operator configured for one server, with the address looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSetup {
    /// By which services that share a client table agree; without one they go by its number.
    pub name: Option<String>,
    /// The host name that `endpoint` was looked up for; empty where it was numeric. Under the same name it stays the
    /// same server for the operator, wherever the name leads.
    pub host_name: String,
    /// What the operator says of it.
    pub duty: Duty,
    /// The group that it belongs to, for statistics.
    pub group: Option<String>,
    /// Another group is in use: nobody is sent to it.
    pub in_reserve: bool,
    /// Shared with the connections to it.
    pub endpoint: Arc<Endpoint>,
    /// As statistics show it: numeric address or path.
    pub address_text: String,
    /// Soft maximum of connections; 0 is no limit.
    pub max: u32,
    /// Hard maximum, only for clients that already belong to the server; up to `max` it gives no room above.
    pub hard: u32,
    /// `None` was left out: shown as 0, counts as 1. An explicit 0 is never chosen by weight.
    pub weight: Option<Weight>,
    /// Smallest is chosen first in `prio` mode.
    pub prio: u32,
    /// Number of the list that clients must pass.
    pub acl: u8,
    /// Names by which clients ask for it; none: it is for those who ask for no other server's.
    pub sni: Vec<String>,
    /// What connections to it begin with.
    pub proxy: ProxyHeader,
    pub role: Role,
    /// In which time it is ramped up when it comes back; `None`: as the rules say.
    pub slow_start_ms: Option<u64>,
    /// How long it is a clone when it is new.
    pub warm_up_ms: u64,
    /// It takes new clients only when none with a smaller number does; 0 for most servers.
    pub standby: u8,
    /// Whether checks have a say, and how it counts before their first word.
    pub untested: Untested,
    /// Its check as a line has it; empty: none.
    pub check_text: String,
    /// Load at which it is fully loaded; 0: none.
    pub maxload: Load,
    /// With more load than that it gets no new clients.
    pub is_strict: bool,
    /// Its connections are cut when checks or its agent find it down.
    pub is_cut_when_down: bool,
    /// Where its load is read.
    pub load_source: LoadSource,
    /// When a client waits for a check of it; `None`: never.
    pub extra: Option<Extra>,
}

impl ServerSetup {
    /// Has it at this address from now on.
    pub(super) fn put_at(&mut self, endpoint: Arc<Endpoint>) {
        self.address_text = endpoint.to_string();
        self.endpoint = endpoint;
    }

    /// How messages name the server with this number.
    pub(super) fn called(&self, id: ServerId) -> Called {
        Called::new(id.number(), self.name.as_deref(), &self.host_name, String::new()).at(&self.endpoint)
    }

    /// Whether there is no server at all.
    pub(super) fn is_gap(&self) -> bool {
        *self == ServerSetup::default()
    }

    /// Whether both have the same name of their own, or the same host name to look up.
    fn has_name_of(&self, other: &ServerSetup) -> bool {
        let has_host = !self.host_name.is_empty() && self.host_name == other.host_name;
        has_host || (self.name.is_some() && self.name == other.name)
    }

    /// A server with this address and everything else left out.
    pub fn new(endpoint: Endpoint) -> ServerSetup {
        ServerSetup {
            address_text: endpoint.to_string(),
            endpoint: Arc::new(endpoint),
            ..ServerSetup::default()
        }
    }
}

/// A server at work.
#[derive(Debug, Clone, Default)]
pub struct Server {
    pub setup: ServerSetup,
    /// Connections it has, those still connecting included.
    pub connections: u32,
    pub standing: Standing,
    /// Since when it may be used, and how its share grows.
    pub(super) ramp: Ramp,
    pub(super) warmth: Warmth,
    moments: Moments,
    /// What checks found, beside their verdict.
    pub(super) checked: Checked,
    /// What was read of its load; `None` before that.
    pub(super) loaded: Option<Box<Loaded>>,
    /// Checks that clients wait for; `None` before the first.
    pub(super) polls: Option<Box<Polls>>,
    /// What the slots of its clients remember.
    pub(super) key: ServerKey,
    /// Clients that remember its number are its own, too: it had no name when they came.
    answers_to_number: bool,
    /// It is no longer configured; `setup` is what it was. Its number is free when its last connection has ended.
    is_removed: bool,
    /// How it takes idlers.
    pub(super) patience: Patience,
    /// Connections that were established and have ended.
    pub connections_total: u64,
    /// Connects that failed or timed out.
    pub failures_total: u64,
    /// Bytes of ended connections, client to server.
    pub sent_bytes: u64,
    /// Bytes of ended connections, server to client.
    pub received_bytes: u64,
    /// Changes when the operator gives the server another address or another verdict; what becomes of connects that
    /// were under way then says nothing about it.
    pub(super) era: u16,
    /// Those of `setup.sni`, in order.
    routes: Vec<Route>,
    /// Of the endpoint.
    is_complete: bool,
}

impl Server {
    /// Adds up what it was sent and what it sent.
    pub fn add_bytes(&mut self, sent_bytes: u64, received_bytes: u64) {
        self.sent_bytes = self.sent_bytes.saturating_add(sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(received_bytes);
    }

    /// Seconds until a failure or a blacklisting is over; 0 when there is none.
    pub fn blacklisted_seconds(&self, blacklist_seconds: u64, now_seconds: u32) -> u64 {
        self.standing.setback_until_seconds(blacklist_seconds).saturating_sub(now_seconds.into())
    }

    /// Whether a policy may choose the server. Maxima and access lists are looked at afterwards, as in Pen.
    pub fn is_usable(&self, blacklist_seconds: u64, now_seconds: u32) -> bool {
        self.usable_from_seconds(blacklist_seconds) <= now_seconds.into()
    }

    /// The first second in which a policy may choose it for a client; the greatest number when it cannot be connected to
    /// at all.
    pub fn usable_from_seconds(&self, blacklist_seconds: u64) -> u64 {
        self.usable_as_from_seconds(Role::Member, blacklist_seconds)
    }

    /// Whether it is a server of the configuration that could be connected to, and of the group in use.
    pub(super) fn is_configured(&self) -> bool {
        self.is_complete && !self.is_removed && !self.setup.in_reserve
    }

    /// Whether it may be tried where no other is left: what only failed may be well again, and nobody is served worse
    /// by a connect in vain than by none. Against the word of the operator or of a check it may not.
    pub fn is_last_resort(&self, blacklist_seconds: u64, now_seconds: u32) -> bool {
        self.is_complete
            && !self.is_leaving()
            && self.setup.role == Role::Member
            && !self.standing.is_kept_away()
            && !self.standing.is_commanded(blacklist_seconds, now_seconds)
    }

    /// Whether nobody is sent to it by the operator's word, not even clients that belong to it.
    pub fn is_leaving(&self) -> bool {
        self.is_removed || self.setup.in_reserve || !self.setup.duty.is_enabled()
    }

    /// Whether it is for clients that ask for this.
    pub fn serves(&self, route: Route) -> bool {
        match self.routes.is_empty() {
            true => route == Route::DEFAULT,
            false => self.routes.binary_search(&route).is_ok(),
        }
    }

    /// What it serves.
    pub(super) fn routes(&self) -> &[Route] {
        if self.routes.is_empty() { &[Route::DEFAULT] } else { &self.routes }
    }

    /// Forgets its totals.
    pub(super) fn reset(&mut self) {
        self.connections_total = 0;
        self.failures_total = 0;
        self.sent_bytes = 0;
        self.received_bytes = 0;
    }

    /// A connect that began in this era succeeded; false when that says nothing about the server as it is now.
    pub(super) fn connect_succeeded(&mut self, era: u16) -> bool {
        let is_news = self.era == era;
        if is_news {
            self.standing.clear();
        }
        is_news
    }

    /// The operator's verdict: skipped until `seconds` from now; 0 releases.
    pub(super) fn blacklist(&mut self, seconds: u32, blacklist_seconds: u64, now_seconds: u32) {
        self.standing.command(seconds, blacklist_seconds, now_seconds);
        self.era = self.era.wrapping_add(1);
    }

    /// Another address makes another server: the old one's failures are not its own, and unless both are found under the
    /// same name, the operator's word was not about it. Its number stays, and with the number the totals and the
    /// connections that are still open.
    fn set_up(&mut self, mut setup: ServerSetup, key: ServerKey) {
        let is_same_place = self.setup.endpoint.is_same_server(&setup.endpoint);
        let is_same_server = is_same_place || self.setup.has_name_of(&setup);
        self.answers_to_number = setup.name.is_none() || (is_same_server && self.answers_to_number);
        self.key = key;
        if is_same_place {
            // The address that was found to work stays the first.
            if self.setup.endpoint.source() == setup.endpoint.source() {
                setup.put_at(self.setup.endpoint.clone());
            }
        } else {
            match is_same_server {
                true => self.standing.forgive(),
                false => self.standing.clear(),
            }
            self.patience = Patience::default();
            self.era = self.era.wrapping_add(1);
            // A change of a check starts anew as well; here nothing of the old address may be left.
            self.setup.untested = Untested::default();
            self.warmth = Warmth::Cold;
            self.moments.begin_anew();
        }
        if setup.warm_up_ms == 0 || setup.role == Role::Clone {
            self.warmth = Warmth::Warm;
        }
        let is_asked_elsewhere =
            (&self.setup.load_source, &self.setup.check_text) != (&setup.load_source, &setup.check_text);
        if !is_same_place || is_asked_elsewhere {
            self.forget_load();
        }
        self.is_removed = false;
        self.is_complete = setup.endpoint.is_complete();
        if self.setup.untested != setup.untested {
            self.begin_untested(setup.untested);
        }
        self.setup = setup;
    }

    /// It is no longer configured. Where it has connections they go on and it keeps its number; else the place is a gap.
    fn remove(&mut self) {
        self.key = ServerKey::NONE;
        self.answers_to_number = false;
        self.is_removed = self.connections > 0;
        if !self.is_removed {
            // A connect that was under way ends in another era.
            *self = Server { era: self.era.wrapping_add(1), moments: self.moments, ..Server::default() };
        }
    }
}

/// All servers: the regular ones by index, the emergency and the abuse server.
#[derive(Debug, Default)]
pub struct Servers {
    /// Never shortened, because connections to servers that are no longer configured are still to be counted down.
    slots: Vec<Server>,
    /// Of the slots.
    glances: Vec<Glance>,
    /// Of the slots as clones; none where there is no clone.
    clone_glances: Vec<Glance>,
    /// Of the glances.
    changes: Changes,
    /// Of the slots, as far as they are known.
    loads: Vec<Option<Load>>,
    /// Regular servers that failed, the one that failed longest ago first. Some may be well again.
    failed: Vec<ServerId>,
    count: usize,
    left: usize,
    emergency: Server,
    abuse: Server,
    routes: Routes,
    /// The servers with names, by [`ServerKey::name_index`].
    named: Vec<ServerId>,
    /// As in the rules.
    blacklist_seconds: u64,
    /// Whether any has a weight above 0. Where none has, weights say nothing.
    weigh: bool,
    /// The greatest of all.
    standby_max: u8,
    are_alike: bool,
    have_fractions: bool,
    have_reserve: bool,
    /// As in the rules.
    slow_start_ms: u64,
    /// Since the next choice some may be used.
    are_new: bool,
    /// From this second on none is ramped up.
    ramped_up_seconds: u32,
    /// At this second the next is warm.
    warm_seconds: Option<u32>,
    now_seconds: u32,
}

impl Servers {
    /// None, with the blacklist time of the rules.
    pub fn new(blacklist_seconds: u64) -> Servers {
        let special = |id| Server { key: ServerKey::numbered(id), ..Server::default() };
        Servers {
            emergency: special(ServerId::EMERGENCY),
            abuse: special(ServerId::ABUSE),
            blacklist_seconds,
            ..Servers::default()
        }
    }

    /// For servers that have failed already, too.
    pub fn set_blacklist_seconds(&mut self, blacklist_seconds: u64) {
        if self.blacklist_seconds != blacklist_seconds {
            self.blacklist_seconds = blacklist_seconds;
            self.look_again();
        }
    }

    /// Takes all glances anew.
    fn look_again(&mut self) {
        for server in &mut self.slots {
            server.ramp.set_length_ms(server.setup.slow_start_ms.unwrap_or(self.slow_start_ms));
        }
        let ends = self.slots.iter().map(|server| server.ramp.until_seconds());
        self.ramped_up_seconds = ends.max().unwrap_or(0);
        self.warm_seconds = self.slots.iter().filter_map(Server::warm_from_seconds).min();
        let glances =
            |role| self.slots.iter().map(|server| Glance::of(server, role, self.blacklist_seconds)).collect();
        let (members, clones) = (glances(Role::Member), glances(Role::Clone));
        let are_clones = self.regular().iter().any(|server| server.role() == Role::Clone);
        self.glances = members;
        self.clone_glances = if are_clones { clones } else { Vec::new() };
        self.changes.note_all();
        self.loads = self.slots.iter().map(Server::load).collect();
        self.left = self.regular().iter().filter(|server| server.is_left()).count();
    }

    /// Replaces what is configured. Standing and totals stay with the number; a failure goes when the address changes.
    ///
    /// # Panics
    /// With more than [`SERVER_NUMBERS`] regular servers.
    pub fn set(
        &mut self,
        regular: Vec<(ServerSetup, ServerKey)>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) {
        assert!(regular.len() <= SERVER_NUMBERS, "{} servers: at most {SERVER_NUMBERS}", regular.len());
        let before = self.usable_before();
        self.count = regular.len();
        self.slots.resize_with(self.slots.len().max(self.count), Server::default);
        let setups = regular.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        for (server, wanted) in self.slots.iter_mut().zip(setups) {
            match wanted.filter(|(setup, _)| !setup.is_gap()) {
                Some((setup, key)) => server.set_up(setup, key),
                None => server.remove(),
            }
        }
        if before.is_empty() {
            self.slots.iter_mut().for_each(|server| server.warmth = Warmth::Warm);
        }
        let now_seconds = self.now_seconds;
        self.slots.iter_mut().for_each(|server| server.note_place(now_seconds));
        let regular = &self.slots[..self.count];
        self.standby_max = regular.iter().map(|server| server.setup.standby).max().unwrap_or(0);
        self.weights_changed();
        self.routes.clear();
        self.named.clear();
        for (index, server) in self.slots[..self.count].iter_mut().enumerate() {
            let names = if server.is_removed { &[][..] } else { &server.setup.sni };
            server.routes = self.routes.serve(names);
            if let Some(name) = server.key.name_index() {
                self.named.resize(self.named.len().max(name + 1), ServerId::NONE);
                self.named[name] = ServerId::regular(index);
            }
        }
        let is_open = |server: &Server| server.setup.acl == 0 || !server.is_complete;
        self.are_alike =
            self.standby_max == 0 && self.routes.is_empty() && self.regular().iter().all(is_open);
        self.have_reserve = self.regular().iter().any(|server| server.setup.in_reserve);
        self.look_again();
        self.note_returns(&before);
        self.emergency.set_up(emergency.unwrap_or_default(), self.emergency.key);
        self.abuse.set_up(abuse.unwrap_or_default(), self.abuse.key);
    }

    /// The server that a client remembers; [`ServerId::NONE`] when it is not configured here.
    pub fn known(&self, remembered: ServerKey) -> ServerId {
        let Some(id) = remembered.id() else {
            let name = remembered.name_index().and_then(|name| self.named.get(name));
            return name.copied().unwrap_or(ServerId::NONE);
        };
        let is_gone =
            |index: usize| !self.regular().get(index).is_some_and(|server| server.answers_to_number);
        if id.index().is_some_and(is_gone) { ServerId::NONE } else { id }
    }

    /// The greatest number of those that stand by.
    pub fn standby_max(&self) -> u8 {
        self.standby_max
    }

    /// Whether all are for any client at any time: no names, no list but the first, nobody who stands by.
    pub fn are_alike(&self) -> bool {
        self.are_alike
    }

    /// Whether any is of a group that is not in use.
    pub fn have_reserve(&self) -> bool {
        self.have_reserve
    }

    /// Whether a weight is not whole.
    pub fn have_fractions(&self) -> bool {
        self.have_fractions
    }

    /// What a client asks for by this name, in lower case.
    pub fn route(&self, name: Option<&str>) -> Route {
        self.routes.find(name)
    }

    /// How many regular servers there are for clients, see [`Server::is_left`].
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The regular servers in order, gaps included.
    pub fn regular(&self) -> &[Server] {
        &self.slots[..self.count]
    }

    /// All, whatever they are, for what no glance shows.
    pub(super) fn all_mut(&mut self) -> &mut [Server] {
        &mut self.slots
    }

    /// The regular servers and those that are removed but still have connections, in order, gaps included.
    pub fn listed(&self) -> &[Server] {
        let is_listed = |server: &Server| server.is_removed;
        let removed = self.slots.iter().rposition(is_listed).map_or(0, |last| last + 1);
        &self.slots[..removed.max(self.count)]
    }

    /// Whether this server has a weight of 0 beside others that have more: it is for clients that belong to it.
    pub fn is_weightless(&self, server: &Server) -> bool {
        self.weigh && server.weight() == Weight::ZERO
    }

    /// As [`Servers::is_weightless`], for a regular server from afar.
    pub fn is_weightless_at(&self, glance: &Glance) -> bool {
        self.weigh && glance.load() == u64::MAX
    }

    /// Of the regular servers, as far as clients are sent to them.
    pub fn glances(&self) -> &[Glance] {
        &self.glances[..self.count]
    }

    /// Which of the glances have changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The load of a regular server, as far as it is known.
    pub fn load_at(&self, index: usize) -> Option<Load> {
        self.loads.get(index).copied().flatten()
    }

    /// A server by number; `None` for [`ServerId::NONE`] and numbers never configured.
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        match id {
            ServerId::EMERGENCY => Some(&self.emergency),
            ServerId::ABUSE => Some(&self.abuse),
            _ => self.slots.get(id.index()?),
        }
    }

    /// The numbers of the configured servers, the emergency and the abuse server included.
    pub(super) fn ids(&self) -> impl Iterator<Item = ServerId> + use<> {
        (0..self.count).map(ServerId::regular).chain([ServerId::EMERGENCY, ServerId::ABUSE])
    }

    /// Changes a server that [`Servers::get`] would find; `None` when there is none.
    pub(super) fn change<T>(&mut self, id: ServerId, change: impl FnOnce(&mut Server) -> T) -> Option<T> {
        match id {
            ServerId::EMERGENCY => Some(change(&mut self.emergency)),
            ServerId::ABUSE => Some(change(&mut self.abuse)),
            _ => {
                let index = id.index()?;
                let server = self.slots.get_mut(index)?;
                let was_left = usize::from(index < self.count && server.is_left());
                let changed = change(server);
                self.left = self.left + usize::from(index < self.count && server.is_left()) - was_left;
                self.changes.note(index);
                let glance = Glance::of(server, Role::Member, self.blacklist_seconds);
                if let Some(seen) = self.clone_glances.get_mut(index) {
                    *seen = Glance::of(server, Role::Clone, self.blacklist_seconds);
                    self.are_new |= server.warmth == Warmth::Cold;
                }
                self.loads[index] = server.load();
                let before = std::mem::replace(&mut self.glances[index], glance);
                if before.is_full() != glance.is_full() {
                    self.note_filled(index);
                }
                if before.usable_from_seconds() != glance.usable_from_seconds() {
                    self.note_return(index, before.usable_from_seconds(), glance.usable_from_seconds());
                    self.glances[index] =
                        Glance::of(&self.slots[index], Role::Member, self.blacklist_seconds);
                    let until_seconds = self.slots[index].ramp.until_seconds();
                    self.ramped_up_seconds = self.ramped_up_seconds.max(until_seconds);
                }
                Some(changed)
            }
        }
    }

    /// The last connection of a removed server has ended: its place is a gap from now on. Answers what it was.
    pub(super) fn vacate(&mut self, id: ServerId) -> Option<ServerSetup> {
        let server = self.slots.get_mut(id.index()?)?;
        if !server.is_removed || server.connections > 0 {
            return None;
        }
        let setup = std::mem::take(&mut server.setup);
        self.change(id, Server::remove);
        Some(setup)
    }
}
