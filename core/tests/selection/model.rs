//! The rules of selection written down plainly, without a thought for speed: lists are searched from the front, servers
//! live in a map by their printed number, and every connection keeps the list of servers it was offered.

use pen_core::balance::{Duty, Endpoint, ServerSetup};
use pen_core::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};
use pen_proto::weight::Weight;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub const EMERGENCY: i32 = -1;
pub const ABUSE: i32 = -2;
pub const NONE: i32 = -3;

#[derive(Default)]
pub struct ModelServer {
    pub setup: ServerSetup,
    pub connections: u32,
    /// Its last connect failed then.
    failed_at_seconds: Option<i64>,
    /// The operator blacklisted it, as if it had failed then; nothing was heard of it since.
    commanded_at_seconds: Option<i64>,
    pub connections_total: u64,
    pub failures_total: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// How often the operator gave it another address or verdict.
    verdicts: u32,
    /// It is no longer configured; then `setup` is what it was.
    pub removing: bool,
    /// Clients that came when it had no name.
    answers_to_number: bool,
}

impl ModelServer {
    fn is_leaving(&self) -> bool {
        self.removing || self.setup.duty != Duty::Enabled
    }
}

/// What a client remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    Number(i32),
    Name(String),
}

pub struct ModelClient {
    pub address: ClientAddr,
    pub last_use_seconds: u32,
    pub server: Remembered,
    pub connects: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// A client that comes back after it was evicted is another one.
    identity: u64,
}

/// A connection on its way.
pub struct ModelAttempt {
    pub client: ClientAddr,
    identity: u64,
    /// The server it was offered last.
    at: i32,
    /// Those it was sent to in vain.
    tried: Vec<i32>,
    /// The server that counts it.
    pub server: Option<i32>,
    verdicts: u32,
    /// Of the server, or of all of them.
    saw_failure: bool,
    /// It is the first for whom only servers that failed were left.
    pub begins_outage: bool,
}

impl ModelAttempt {
    /// Whether its success tells anything.
    pub fn clears_failure(&self) -> bool {
        self.saw_failure || !self.tried.is_empty()
    }
}

pub enum ModelAdmission {
    Connect(ModelAttempt),
    Denied,
    NoServer,
}

pub struct Model {
    pub servers: BTreeMap<i32, ModelServer>,
    pub count: i32,
    /// From the one that connected longest ago to the latest.
    pub clients: Vec<ModelClient>,
    pub clients_max: usize,
    pub current: i32,
    /// Every connect that failed, in the order of time.
    failures: Vec<i32>,
    outage: bool,
    pointer: i32,
    identities: u64,
    /// Who had no connection left, or none when it began to leave.
    pub emptied: Vec<i32>,
}

impl Model {
    pub fn new(clients_max: usize) -> Model {
        Model {
            servers: BTreeMap::new(),
            count: 0,
            clients: Vec::new(),
            clients_max,
            current: NONE,
            failures: Vec::new(),
            outage: false,
            pointer: 0,
            identities: 0,
            emptied: Vec::new(),
        }
    }

    pub fn set_servers(
        &mut self,
        regular: &[ServerSetup],
        emergency: Option<&ServerSetup>,
        abuse: Option<&ServerSetup>,
    ) {
        self.count = regular.len() as i32;
        let mut wanted: BTreeMap<i32, ServerSetup> = (0..).zip(regular.iter().cloned()).collect();
        wanted.extend(emergency.map(|setup| (EMERGENCY, setup.clone())));
        wanted.extend(abuse.map(|setup| (ABUSE, setup.clone())));
        for id in wanted.keys() {
            self.servers.entry(*id).or_default();
        }
        for (id, server) in &mut self.servers {
            let setup = wanted.remove(id).unwrap_or_default();
            if *id >= 0 && setup == ServerSetup::default() {
                server.removing = server.connections > 0;
                server.answers_to_number = false;
                if !server.removing {
                    *server = ModelServer { verdicts: server.verdicts + 1, ..ModelServer::default() };
                }
                continue;
            }
            let was_leaving = server.is_leaving();
            let has_name = setup.name.is_some() && setup.name == server.setup.name;
            let has_address = setup.endpoint == server.setup.endpoint;
            server.answers_to_number =
                setup.name.is_none() || (server.answers_to_number && (has_address || has_name));
            if !has_address {
                server.failed_at_seconds = None;
                server.verdicts += 1;
            }
            if !has_address && !has_name {
                server.commanded_at_seconds = None;
            }
            server.removing = false;
            server.setup = setup;
            if *id >= 0 && server.is_leaving() && !was_leaving && server.connections == 0 {
                self.emptied.push(*id);
            }
        }
    }

    pub fn blacklist(&mut self, settings: &Settings, id: i32, seconds: u32, now_seconds: u32) {
        let blacklist_seconds = settings.number(Number::Blacklist) as i64;
        if let Some(server) = self.servers.get_mut(&id) {
            let ends_at_seconds = i64::from(now_seconds) + i64::from(seconds);
            server.failed_at_seconds = None;
            server.commanded_at_seconds =
                if seconds == 0 { None } else { Some(ends_at_seconds - blacklist_seconds) };
            server.verdicts += 1;
        }
    }

    pub fn admit(
        &mut self,
        settings: &Settings,
        client: ClientAddr,
        port: u16,
        now_seconds: u32,
    ) -> ModelAdmission {
        let identity = self.touch(settings, client, now_seconds);
        let mut attempt = ModelAttempt {
            client,
            identity,
            at: NONE,
            tried: Vec::new(),
            server: None,
            verdicts: 0,
            saw_failure: false,
            begins_outage: false,
        };
        let denied =
            !settings.acls[settings.number(Number::ClientAcl) as usize].permits(client, &settings.countries);
        let initial =
            if denied { ABUSE } else { self.initial(settings, client, port, identity, now_seconds) };
        attempt.at = initial;
        if !self.offer(settings, &mut attempt, initial, false, now_seconds) {
            self.fail_over(settings, &mut attempt, now_seconds);
        }
        match attempt.server {
            Some(_) => ModelAdmission::Connect(attempt),
            None if denied => ModelAdmission::Denied,
            None => ModelAdmission::NoServer,
        }
    }

    pub fn failed(&mut self, settings: &Settings, attempt: &mut ModelAttempt, now_seconds: u32) {
        let id = attempt.server.take().unwrap();
        let server = self.servers.get_mut(&id).unwrap();
        server.failures_total += 1;
        if server.verdicts == attempt.verdicts {
            server.failed_at_seconds = Some(now_seconds.into());
            server.commanded_at_seconds = None;
            self.failures.push(id);
        }
        self.ended(id);
        attempt.tried.push(id);
        self.fail_over(settings, attempt, now_seconds);
    }

    pub fn passed_over(&mut self, settings: &Settings, attempt: &mut ModelAttempt, now_seconds: u32) {
        let id = attempt.server.take().unwrap();
        self.ended(id);
        attempt.tried.push(id);
        self.fail_over(settings, attempt, now_seconds);
    }

    /// Answers whether an outage is over.
    pub fn connected(&mut self, attempt: &ModelAttempt) -> bool {
        let id = attempt.server.unwrap();
        if id >= 0 && attempt.tried.contains(&self.pointer) {
            self.pointer = id;
        }
        let server = self.servers.get_mut(&id).unwrap();
        if server.verdicts != attempt.verdicts {
            return false;
        }
        server.failed_at_seconds = None;
        server.commanded_at_seconds = None;
        let over = self.outage && id >= 0;
        self.outage &= !over;
        over
    }

    pub fn release(&mut self, attempt: &ModelAttempt, established: bool, up_bytes: u64, down_bytes: u64) {
        let id = attempt.server.unwrap();
        let server = self.servers.get_mut(&id).unwrap();
        server.connections_total += u64::from(established);
        server.sent_bytes += up_bytes;
        server.received_bytes += down_bytes;
        self.ended(id);
        if let Some(client) = self.clients.iter_mut().find(|client| client.identity == attempt.identity) {
            client.sent_bytes += down_bytes;
            client.received_bytes += up_bytes;
        }
    }

    /// A connection of the server has ended.
    fn ended(&mut self, id: i32) {
        let server = self.servers.get_mut(&id).unwrap();
        server.connections -= 1;
        if id >= 0 && server.connections == 0 && server.is_leaving() {
            self.emptied.push(id);
            if server.removing {
                *server = ModelServer { verdicts: server.verdicts + 1, ..ModelServer::default() };
            }
        }
    }

    /// How many numbers are shown.
    pub fn listed(&self) -> i32 {
        let removing = self.servers.iter().filter(|(_, server)| server.removing);
        removing.map(|(id, _)| id + 1).max().unwrap_or(0).max(self.count)
    }

    pub fn state(settings: &Settings, server: &ModelServer, now_seconds: u32) -> &'static str {
        let is_blacklisted = Model::blacklisted_seconds(settings, server, now_seconds) > 0;
        let ServerSetup { max, duty, .. } = server.setup;
        match duty {
            _ if !has_address(server) => "unset",
            _ if server.removing => "removing",
            Duty::Disabled { .. } => "disabled",
            Duty::Draining { .. } => "draining",
            Duty::Enabled if is_blacklisted && server.commanded_at_seconds.is_some() => "blacklisted",
            Duty::Enabled if is_blacklisted => "down",
            Duty::Enabled if max > 0 && server.connections >= max => "full",
            Duty::Enabled => "up",
        }
    }

    pub fn is_expired(settings: &Settings, client: &ModelClient, now_seconds: u32) -> bool {
        let tracking_seconds = settings.number(Number::Tracking);
        tracking_seconds > 0 && u64::from(client.last_use_seconds) + tracking_seconds < u64::from(now_seconds)
    }

    pub fn blacklisted_seconds(settings: &Settings, server: &ModelServer, now_seconds: u32) -> i64 {
        let blacklist_seconds = settings.number(Number::Blacklist) as i64;
        let stamp_seconds = server.failed_at_seconds.or(server.commanded_at_seconds);
        stamp_seconds.map_or(0, |stamp| (stamp + blacklist_seconds - i64::from(now_seconds)).max(0))
    }

    fn touch(&mut self, settings: &Settings, address: ClientAddr, now_seconds: u32) -> u64 {
        let known = self.clients.iter().position(|client| client.address == address);
        let before = known.map(|position| self.clients.remove(position));
        let oldest_is_expired =
            self.clients.first().is_some_and(|oldest| Model::is_expired(settings, oldest, now_seconds));
        if before.is_none() && (self.clients.len() == self.clients_max || oldest_is_expired) {
            self.clients.remove(0);
        }
        self.identities += 1;
        let identity = before.as_ref().map_or(self.identities, |client| client.identity);
        let fresh = ModelClient {
            address,
            last_use_seconds: now_seconds,
            server: Remembered::Number(NONE),
            connects: 1,
            sent_bytes: 0,
            received_bytes: 0,
            identity,
        };
        self.clients.push(match before {
            Some(client) if !Model::is_expired(settings, &client, now_seconds) => {
                ModelClient { last_use_seconds: now_seconds, connects: client.connects + 1, ..client }
            }
            _ => fresh,
        });
        identity
    }

    fn remembered(&self, identity: u64) -> i32 {
        let client = self.clients.iter().find(|client| client.identity == identity);
        client.map_or(NONE, |client| self.known(&client.server))
    }

    /// The number of the server that is remembered.
    pub fn known(&self, remembered: &Remembered) -> i32 {
        let mut configured = (0..self.count).filter(|id| !self.servers[id].removing);
        match remembered {
            Remembered::Number(id) if *id < 0 => *id,
            Remembered::Number(id) if configured.any(|other| other == *id) => {
                if self.servers[id].answers_to_number { *id } else { NONE }
            }
            Remembered::Number(_) => NONE,
            Remembered::Name(name) => {
                configured.find(|id| self.servers[id].setup.name.as_ref() == Some(name)).unwrap_or(NONE)
            }
        }
    }

    fn initial(
        &mut self,
        settings: &Settings,
        client: ClientAddr,
        port: u16,
        identity: u64,
        now_seconds: u32,
    ) -> i32 {
        let remembered = self.remembered(identity);
        if !settings.flag(Flag::Roundrobin)
            && (0..self.count).contains(&remembered)
            && !self.servers[&remembered].is_leaving()
        {
            return remembered;
        }
        if settings.flag(Flag::Prio) {
            return self.least(settings, now_seconds, prio);
        }
        if settings.flag(Flag::Weight) {
            return self.least(settings, now_seconds, load);
        }
        if self.count > 0 && settings.flag(Flag::Hash) {
            let mixed = if settings.flag(Flag::Roundrobin) { port.swap_bytes() } else { 0 };
            let hash = match client {
                ClientAddr::Ip(IpAddr::V4(v4)) => v4.to_bits().swap_bytes() ^ u32::from(mixed),
                ClientAddr::Ip(IpAddr::V6(v6)) => (v6.to_bits() & 255) as u32,
                ClientAddr::Unix => 0,
            };
            let hashed = (hash % self.count as u32) as i32;
            let is_usable = |id: &i32| self.is_usable(settings, *id, now_seconds);
            return match self.servers[&hashed].is_leaving() {
                false => hashed,
                true => (hashed + 1..self.count).chain(0..hashed).find(is_usable).unwrap_or(NONE),
            };
        }
        for _ in 0..self.count {
            let before = self.pointer;
            self.pointer = (self.pointer + 1) % self.count;
            let mut tries = self.count;
            let takes_turns = |model: &Model, id| {
                model.is_usable(settings, id, now_seconds) && !model.is_for_its_own(settings, id)
            };
            while !takes_turns(self, self.pointer) && tries > 0 {
                self.pointer = (self.pointer + 1) % self.count;
                tries -= 1;
            }
            if tries > 0 {
                return self.pointer;
            }
            self.pointer = before;
        }
        NONE
    }

    /// The first usable server for which nothing less was found.
    fn least(
        &self,
        settings: &Settings,
        now_seconds: u32,
        measure: impl Fn(&ModelServer) -> Option<u64>,
    ) -> i32 {
        let usable: Vec<i32> =
            (0..self.count).filter(|id| self.is_usable(settings, *id, now_seconds)).collect();
        self.least_of(&usable, measure).unwrap_or(NONE)
    }

    fn least_of(&self, ids: &[i32], measure: impl Fn(&ModelServer) -> Option<u64>) -> Option<i32> {
        let measured = ids.iter().filter_map(|id| Some((measure(&self.servers[id])?, *id)));
        measured.min().map(|(_, id)| id)
    }

    fn is_usable(&self, settings: &Settings, id: i32, now_seconds: u32) -> bool {
        let server = &self.servers[&id];
        has_address(server)
            && !server.is_leaving()
            && Model::blacklisted_seconds(settings, server, now_seconds) == 0
    }

    /// Whether the server has weight 0 beside others that have more, where clients come in turn.
    fn is_for_its_own(&self, settings: &Settings, id: i32) -> bool {
        let in_turn = [Flag::Prio, Flag::Weight, Flag::Hash].iter().all(|flag| !settings.flag(*flag));
        let weighs =
            |id: i32| has_address(&self.servers[&id]) && self.servers[&id].setup.weight != Some(Weight::ZERO);
        in_turn && self.servers[&id].setup.weight == Some(Weight::ZERO) && (0..self.count).any(weighs)
    }

    /// Whether the server would take the client now; `again`: also if it has failed.
    fn takes(
        &self,
        settings: &Settings,
        attempt: &ModelAttempt,
        id: i32,
        again: bool,
        now_seconds: u32,
    ) -> bool {
        let Some(server) = self.servers.get(&id) else { return false };
        let is_blacklisted = Model::blacklisted_seconds(settings, server, now_seconds) > 0;
        let ServerSetup { max, hard, acl, .. } = server.setup;
        let sticky = self.remembered(attempt.identity) == id;
        let has_room = ((max == 0 || server.connections < max)
            && (sticky || !self.is_for_its_own(settings, id)))
            || (sticky && (max == 0 || server.connections < hard.max(max)));
        has_address(server)
            && !server.is_leaving()
            && (!is_blacklisted || (again && server.commanded_at_seconds.is_none()))
            && has_room
            && settings.acls[usize::from(acl)].permits(attempt.client, &settings.countries)
    }

    /// Lets the server take the client if it can.
    fn offer(
        &mut self,
        settings: &Settings,
        attempt: &mut ModelAttempt,
        id: i32,
        again: bool,
        now_seconds: u32,
    ) -> bool {
        // Nobody comes after the emergency or the abuse server, so they are tried again whatever happened.
        let is_last = id == EMERGENCY || id == ABUSE;
        if !self.takes(settings, attempt, id, again || is_last, now_seconds) {
            return false;
        }
        let server = self.servers.get_mut(&id).unwrap();
        server.connections += 1;
        attempt.at = id;
        attempt.server = Some(id);
        attempt.verdicts = server.verdicts;
        attempt.begins_outage = again && !self.outage;
        self.outage |= again;
        attempt.saw_failure =
            server.failed_at_seconds.or(server.commanded_at_seconds).is_some() || (self.outage && id >= 0);
        self.current = id;
        if let Some(client) = self.clients.iter_mut().find(|client| client.identity == attempt.identity) {
            client.server = match &server.setup.name {
                Some(name) if id >= 0 => Remembered::Name(name.clone()),
                _ => Remembered::Number(id),
            };
        }
        true
    }

    fn fail_over(&mut self, settings: &Settings, attempt: &mut ModelAttempt, now_seconds: u32) {
        let stubborn = settings.flag(Flag::Stubborn);
        if attempt.at == ABUSE || attempt.at == EMERGENCY || (stubborn && !attempt.tried.is_empty()) {
            return;
        }
        if !stubborn
            && attempt.at != NONE
            && let Some(other) = self.other(settings, attempt, now_seconds)
        {
            assert!(self.offer(settings, attempt, other, false, now_seconds));
            return;
        }
        for id in self.failed_longest_ago_first() {
            let is_asked = !stubborn || attempt.at == NONE || attempt.at == id;
            if is_asked
                && !attempt.tried.contains(&id)
                && self.offer(settings, attempt, id, true, now_seconds)
            {
                return;
            }
        }
        if !stubborn {
            self.offer(settings, attempt, EMERGENCY, false, now_seconds);
        }
    }

    /// Whom the policy prefers among those that take the client.
    fn other(&mut self, settings: &Settings, attempt: &ModelAttempt, now_seconds: u32) -> Option<i32> {
        let takes =
            |id: &i32| !attempt.tried.contains(id) && self.takes(settings, attempt, *id, false, now_seconds);
        let others: Vec<i32> = (0..self.count).filter(takes).collect();
        let after = |id: i32| others.iter().find(|other| **other > id).or(others.first()).copied();
        if settings.flag(Flag::Prio) {
            self.least_of(&others, prio)
        } else if settings.flag(Flag::Weight) {
            self.least_of(&others, load).or(after(attempt.at))
        } else if settings.flag(Flag::Hash) {
            after(attempt.at)
        } else if self.count == 0 {
            None
        } else {
            // Who is for his own clients has no turn.
            let pointer = self.pointer % self.count;
            let in_turn = |id: &&i32| !self.is_for_its_own(settings, **id);
            let after_pointer = others.iter().filter(in_turn).find(|other| **other > pointer);
            let next = *after_pointer.or(others.iter().find(in_turn))?;
            // Who refused has had his turn; who stands in for him has it when he takes the client.
            self.pointer = if attempt.tried.is_empty() { next } else { self.pointer };
            Some(next)
        }
    }

    fn failed_longest_ago_first(&self) -> Vec<i32> {
        let is_last = |position: &usize| !self.failures[position + 1..].contains(&self.failures[*position]);
        let last_failures = (0..self.failures.len()).filter(is_last).map(|position| self.failures[position]);
        let has_failed = |id: &i32| {
            let server = &self.servers[id];
            (0..self.count).contains(id) && server.failed_at_seconds.is_some()
        };
        last_failures.filter(has_failed).collect()
    }
}

fn prio(server: &ModelServer) -> Option<u64> {
    Some(server.setup.prio.into())
}

fn load(server: &ModelServer) -> Option<u64> {
    match server.setup.weight {
        Some(weight) if weight.thousandths() == 0 => None,
        Some(weight) => Some(u64::from(server.connections) * 256_000 / u64::from(weight.thousandths())),
        None => Some(u64::from(server.connections) * 256),
    }
}

fn has_address(server: &ModelServer) -> bool {
    match server.setup.endpoint.carrier() {
        Endpoint::AnyOf(places) => places.address().port() != 0,
        Endpoint::Unset | Endpoint::From(_) | Endpoint::Tls(_) => false,
        Endpoint::Inet(address) => !address.ip().is_unspecified() && address.port() != 0,
        Endpoint::Host(ip) => !ip.is_unspecified(),
        Endpoint::Unix(_) => true,
    }
}
