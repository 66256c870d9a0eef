//! `idlers`: connections to servers that are ready before a client needs them, so that the client is spared the round
//! trip of the connect.
//!
//! Owns when they are opened, watched, handed over and given up. Which servers get them is for `balance/idlers.rs`, and
//! which server a client gets is not affected. Called from the worker's loop; `hand_over.rs` gives them to clients.

use super::connect::Failure;
use super::reserve::{Idler, Reserve, Spot, Stage};
use super::services::LocalService;
use super::{Context, Key};
use crate::balance::{Endpoint, IdlerTarget, ServerId};
use crate::net::connect::{LocalAddress, StartError};
use crate::net::keepalive::Keepalive;
use crate::net::keepalive_of;
use crate::net::poller::{REGISTRATIONS_LAST, Readiness};
use crate::news;
use crate::os::{self, Fd, Started};
use pen_proto::commands::{Flag, Number};
use std::io;
use std::ops::Range;

/// How often a worker looks whether its idlers are where they should be: servers are blacklisted and come back.
const LOOK_MS: u64 = 1_000;
/// How long a server waits for its next idler when one could not be connected, and everybody when descriptors have run
/// out. One that has ended an idler unused waits so long at least, until the balancer says how long.
const PAUSE_MS: u64 = 1_000;
/// Idlers opened in one wake-up, before others get their turn.
const OPENED_MAX: usize = 64;

/// The idlers of a worker.
#[derive(Debug, Default)]
pub struct Idlers {
    /// For the services that keep some, in their order.
    plans: Vec<Plan>,
    reserve: Reserve,
    /// When to look next; monotonic.
    look_ms: u64,
    /// Some may be missing.
    short: bool,
    /// None is opened before; monotonic.
    paused_until_ms: u64,
    /// The version of `Shared::idlers_shed` that was obeyed.
    shed: u64,
}

/// What a service wants of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    service: u16,
    /// The numbers of this worker's idlers among those of all workers; not empty.
    numbers: Range<u64>,
    terms: Terms,
}

/// What all idlers of a service are opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms {
    local: LocalAddress,
    keepalive: Keepalive,
}

/// What a client is given.
pub(super) struct ReadyIdler {
    pub fd: Fd,
    /// The server has said something.
    pub readable: bool,
}

impl Idlers {
    pub fn are_kept(&self) -> bool {
        !self.plans.is_empty()
    }

    pub fn look_ms(&self) -> Option<u64> {
        self.are_kept().then_some(self.look_ms)
    }

    /// A server has failed: its idlers are to go.
    pub fn look_at_once(&mut self, now_ms: u64) {
        self.look_ms = now_ms;
    }

    /// How many of a service are ready, by server.
    pub fn ready(&self, service: u16) -> Vec<(ServerId, usize)> {
        self.reserve.ready(service)
    }

    fn plan(&self, service: u16) -> Option<&Plan> {
        let found = self.plans.binary_search_by_key(&service, |plan| plan.service);
        found.ok().map(|at| &self.plans[at])
    }
}

impl Context {
    /// Follows the services and their settings. What was opened on other terms is given up.
    pub(super) fn renew_idlers(&mut self) {
        let shed = self.core.shared.room().idlers_shed();
        let are_shed = std::mem::replace(&mut self.idlers.shed, shed) != shed;
        if are_shed {
            self.idlers.paused_until_ms = self.core.now_ms + PAUSE_MS;
        }
        let plans = self.core.services.iter().filter_map(|local| self.idler_plan(local)).collect();
        for before in std::mem::replace(&mut self.idlers.plans, plans) {
            let plan = self.idlers.plan(before.service);
            if are_shed || plan.is_none_or(|plan| plan.terms != before.terms) {
                self.close_idlers(before.service);
            }
        }
        self.idlers.look_ms = self.core.now_ms;
    }

    /// An equal share for every worker, in runs of numbers. None where connections to servers cannot be made ahead
    /// (`transparent`), lead nowhere (`dummy`), or nobody comes any more.
    fn idler_plan(&self, local: &LocalService) -> Option<Plan> {
        let settings = &local.settings;
        let wanted = settings.number(Number::Idlers);
        let by_client = settings.flag(Flag::Transparent) && settings.source().is_none();
        let nobody_comes = local.leaving || local.listeners.is_empty();
        if wanted == 0 || by_client || settings.flag(Flag::Dummy) || nobody_comes {
            return None;
        }
        let start = |worker: usize| wanted * worker as u64 / self.core.shared.workers() as u64;
        let numbers = start(self.core.number)..start(self.core.number + 1);
        let source = settings.source().map_or(LocalAddress::Any, LocalAddress::Source);
        let terms = Terms { local: source, keepalive: keepalive_of(settings) };
        (!numbers.is_empty()).then(|| Plan { service: local.service.number, numbers, terms })
    }

    /// After every wake-up: makes way for clients, replaces what was handed over, looks around when it is time.
    pub(super) fn keep_idlers(&mut self) {
        while self.core.shared.room().is_crowded()
            && let Some(index) = self.idlers.reserve.dispensable()
        {
            self.close_idler(index);
        }
        if self.core.now_ms >= self.idlers.look_ms {
            self.look_after_idlers();
        }
        if std::mem::take(&mut self.idlers.short) {
            self.open_idlers();
        }
        self.idlers.reserve.recycle();
    }

    fn look_after_idlers(&mut self) {
        self.idlers.look_ms = self.core.now_ms + LOOK_MS;
        for index in self.idlers.reserve.overdue(self.core.now_ms) {
            if let Some(idler) = self.close_idler(index) {
                self.idler_failed(idler.service, &idler.target, &Failure::TimedOut);
            }
        }
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        for at in 0..self.idlers.plans.len() {
            let Plan { service: number, numbers, .. } = self.idlers.plans[at].clone();
            let LocalService { service, .. } = &self.core.services[number];
            let places = service.with(|chooser| chooser.idler_places(numbers, now_seconds));
            for index in self.idlers.reserve.adopt(number, places) {
                self.close_idler(index);
            }
        }
        self.idlers.short = true;
    }

    fn open_idlers(&mut self) {
        for _ in 0..OPENED_MAX {
            let Some((service, target)) = self.idlers.reserve.missing(self.core.now_ms) else { return };
            let target = target.clone();
            if self.core.now_ms < self.idlers.paused_until_ms || !self.core.shared.room().take_idler() {
                return;
            }
            self.open_idler(service, target);
        }
        self.idlers.look_ms = self.core.now_ms; // the rest when clients had their turn
    }

    /// Opens one in the place of another, whose room is free.
    fn try_idler(&mut self, service: u16, target: IdlerTarget) {
        if self.core.shared.room().take_idler() {
            self.open_idler(service, target);
        }
    }

    fn open_idler(&mut self, service: u16, target: IdlerTarget) {
        let terms = self.idlers.plan(service).map(|plan| plan.terms);
        let Some(Terms { local, keepalive }) = terms else { return self.core.shared.room().give_idler() };
        let trouble = match os::connect(&target.endpoint, local, keepalive) {
            Ok(Started::UnderWay(fd) | Started::Connected(fd)) => {
                return self.watch_idler(service, target, fd);
            }
            Err(trouble) => trouble,
        };
        self.core.shared.room().give_idler();
        match trouble {
            StartError::Server(error) => self.idler_failed(service, &target, &Failure::Refused(error)),
            StartError::Local(error) => self.idler_failed(service, &target, &Failure::Local(error)),
            StartError::Busy => {
                let spot = Spot { service, server: target.server };
                self.idlers.reserve.pause(spot, self.core.now_ms, PAUSE_MS);
            }
            StartError::Shortage(_) => self.idlers.paused_until_ms = self.core.now_ms + PAUSE_MS,
        }
    }

    /// One that is connected already is told so by its first event, like the others.
    fn watch_idler(&mut self, service: u16, target: IdlerTarget, fd: Fd) {
        let timeout_ms = self.core.services[service].settings.number(Number::Timeout) * 1000;
        let stage = Stage::Connecting { deadline_ms: self.core.now_ms + timeout_ms };
        let spot = Spot { service, server: target.server };
        let index = self.idlers.reserve.insert(Idler { service, target, fd, stage });
        let Some(idler) = self.idlers.reserve.get_mut(index) else { return };
        if self.core.poller.add(os::borrow(&idler.fd), Key::Idler(index).pack()).is_err() {
            self.close_idler(index);
            self.idlers.reserve.pause(spot, self.core.now_ms, PAUSE_MS);
        }
    }

    /// Something happened to an idler.
    pub(super) fn idler_event(&mut self, index: u32, event: Readiness) {
        let Some(idler) = self.idlers.reserve.get_mut(index) else { return };
        if let Stage::Connecting { .. } = idler.stage {
            match os::take_error(os::borrow(&idler.fd)) {
                0 if event.writable => {
                    let IdlerTarget { server, endpoint, .. } = &idler.target;
                    if endpoint.is_second_choice() {
                        self.core.services[idler.service]
                            .service
                            .with(|chooser| chooser.prefer(*server, endpoint));
                    }
                    self.idlers.reserve.connected(index);
                    self.idlers.short = true;
                    self.idler_connected(index);
                }
                0 => return self.rearm_idler(index),
                error => return self.idler_refused(index, error),
            }
        }
        let Some(Idler { fd, stage, .. }) = self.idlers.reserve.get_mut(index) else { return };
        if has_ended(fd, &event) {
            return self.idler_ended(index);
        }
        if let Stage::Ready { readable } = stage {
            *readable |= event.readable;
        }
        self.rearm_idler(index);
    }

    /// A server that has failed and accepts is well again.
    fn idler_connected(&mut self, index: u32) {
        let Some(idler) = self.idlers.reserve.get_mut(index).filter(|idler| idler.target.clears_failure)
        else {
            return;
        };
        let service = &self.core.services[idler.service].service;
        let (ends, news) =
            service.with(|chooser| (chooser.idler_connected(&idler.target), chooser.take_news()));
        news::tell_success(service, idler.target.server, ends, news);
        self.idlers.look_at_once(self.core.now_ms);
    }

    fn idler_refused(&mut self, index: u32, error: i32) {
        if let Some(idler) = self.close_idler(index) {
            self.idler_failed(
                idler.service,
                &idler.target,
                &Failure::Refused(io::Error::from_raw_os_error(error)),
            );
        }
    }

    /// The server did not want to wait for a client. It is not to blame, but neither is it to be kept busy.
    fn idler_ended(&mut self, index: u32) {
        if let Some(idler) = self.close_idler(index) {
            let local = &mut self.core.services[idler.service];
            local.totals.idlers_lost += 1;
            let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
            local.service.with(|chooser| chooser.idler_ended(&idler.target, now_seconds));
            self.idlers.reserve.pause(idler.spot(), self.core.now_ms, PAUSE_MS);
            self.idlers.short = true;
        }
    }

    /// As with a client's connect that fails: the server is blacklisted, unless the reason is ours.
    fn idler_failed(&mut self, service: u16, target: &IdlerTarget, failure: &Failure) {
        let shared = &self.core.services[service].service;
        if let Some(next) = target.endpoint.next_place() {
            news::tell_next_place(shared, target.server, &target.endpoint);
            return self.try_idler(service, target.at(next));
        }
        let now_seconds = os::steady_epoch_seconds(self.core.now_ms);
        let (called, news) = shared.with(|chooser| {
            let called = chooser.called(target.server).at(&target.endpoint);
            if !matches!(failure, Failure::Local(_)) {
                chooser.idler_failed(target, now_seconds);
            }
            (called, chooser.take_news())
        });
        self.report_failure(service, &called, failure);
        news::tell_news(&self.core.services[service].service, news);
        let spot = Spot { service, server: target.server };
        self.idlers.reserve.pause(spot, self.core.now_ms, PAUSE_MS);
    }

    /// Renews the registration where it does not last. What was said stays unread, so it is not asked for again.
    fn rearm_idler(&mut self, index: u32) {
        if REGISTRATIONS_LAST {
            return;
        }
        let Some(idler) = self.idlers.reserve.get_mut(index) else { return };
        let (read, write) = match idler.stage {
            Stage::Connecting { .. } => (false, true),
            Stage::Ready { readable } => (!readable, false),
        };
        // Fails only when the socket is not registered, which is excluded.
        let _ = self.core.poller.rearm(os::borrow(&idler.fd), Key::Idler(index).pack(), read, write);
    }

    /// A connection to this place that is ready, if there is one. It is still registered, under a key of its own.
    pub(super) fn take_idler(&mut self, spot: Spot, endpoint: &Endpoint) -> Option<ReadyIdler> {
        while let Some(idler) = self.idlers.reserve.take(spot) {
            self.idlers.short = true;
            self.core.shared.room().give_idler();
            match idler.stage {
                Stage::Ready { readable } if *idler.target.endpoint == *endpoint => {
                    return Some(ReadyIdler { fd: idler.fd, readable });
                }
                _ => self.core.poller.forget(os::borrow(&idler.fd)),
            }
        }
        None
    }

    fn close_idler(&mut self, index: u32) -> Option<Idler> {
        let idler = self.idlers.reserve.remove(index)?;
        self.core.poller.forget(os::borrow(&idler.fd));
        self.core.shared.room().give_idler();
        Some(idler)
    }

    /// All of a service.
    fn close_idlers(&mut self, service: u16) {
        for index in self.idlers.reserve.of(service) {
            self.close_idler(index);
        }
        self.idlers.reserve.adopt(service, Vec::new());
    }

    /// Descriptors have run out: idlers and clones make way. True when some of this worker did; others are asked to.
    pub(super) fn idlers_make_way(&mut self) -> bool {
        let had_some = self.idlers.reserve.dispensable().is_some();
        for service in self.idlers.plans.iter().map(|plan| plan.service).collect::<Vec<_>>() {
            self.close_idlers(service);
        }
        self.idlers.paused_until_ms = self.core.now_ms + PAUSE_MS;
        self.core.shared.shed_idlers();
        self.clones_make_way() || had_some
    }
}

/// Whether the server has closed or reset its side, whatever it said before; such an idler could only disappoint. One
/// that brings urgent bytes, before there is anything to be urgent about, is taken for ended too.
fn has_ended(fd: &Fd, event: &Readiness) -> bool {
    if REGISTRATIONS_LAST {
        return event.until_dry;
    }
    // Here an event may mean anything.
    match os::peek(os::borrow(fd), &mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
