//! Clients that wait because every server is full. Pure.
//!
//! Owns who waits, in which order, and who gets a place that comes free. The place is taken for the one who is next in the
//! moment in which it is free, under the same lock, so nobody who comes later can have it; the one is told by whoever
//! holds the lock ([`Chooser::serve_queue`]), and fetches it with its ticket. A client waits in a line for the servers that it
//! may have: with `stubborn` for its own alone. So the next one is found without looking at the others, unless a server
//! has a list of its own or places for its own clients only.

use super::attempt::{Asker, Attempt};
use super::chooser::Chooser;
use super::polls::Poll;
use super::routes::Route;
use super::selection::Selection;
use super::servers::{Endpoint, Server, ServerId};
use super::walk::{Failed, Walk};
use crate::lru::{Links, Lru, Slots};
use crate::slab::Slab;
use pen_proto::commands::Role;
use std::collections::HashMap;
use std::sync::Arc;

/// How many clients of a line are looked at for a server that does not take every client.
pub const LOOKED_AT_MAX: usize = 1_024;

/// Whom the caller tells that a client's turn has come: it means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub worker: u16,
    pub connection: u32,
}

/// A place in the queue. To be given back in the end, by [`Chooser::claim`], [`Chooser::stop_waiting`] or
/// [`Chooser::leave_queue`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the place in the queue, or the one that was taken at a server, is given back with it"]
pub struct Ticket(u32);

/// What has become of a client that waits.
#[derive(Debug)]
pub enum Claim {
    /// A place is reserved for it.
    Connect(Attempt, Arc<Endpoint>),
    /// The same, once a check has found the server well.
    Polls(Attempt, Arc<Endpoint>, Poll),
    /// It is not its turn yet. With a second, it is to have everybody looked at then ([`Chooser::look_again`]): a server may
    /// be used again without anything happening before.
    Waits(Ticket, Option<u32>),
    /// What it waited for is no more: it is to come anew.
    Again,
}

impl Claim {
    /// Where a place is reserved.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Claim::Connect(attempt, _) | Claim::Polls(attempt, ..) => Some(attempt.current),
            Claim::Waits(..) | Claim::Again => None,
        }
    }
}

/// For which servers a client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Line {
    /// For any that serves what it asks for.
    Any(Route),
    Own(usize),
}

#[derive(Debug)]
enum Turn {
    /// In this line.
    Waits(Line),
    /// A place is taken for it.
    HasCome(Arc<Endpoint>),
    /// There is nothing to wait for any more.
    IsVoid,
}

#[derive(Debug)]
struct Waiter {
    who: Waiting,
    asker: Asker,
    attempt: Attempt,
    /// In which order they came.
    sequence: u64,
    since_seconds: u32,
    links: Links,
    turn: Turn,
}

#[derive(Debug, Default)]
struct Waiters(Slab<Waiter>);

impl Slots for Waiters {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self.0.get_mut(slot).expect("a listed client").links
    }
}

/// Who waits for the servers of one service.
#[derive(Debug, Default)]
pub struct Queue {
    waiters: Waiters,
    /// None is empty.
    lines: HashMap<Line, Lru>,
    /// In all lines.
    waiting: usize,
    sequence: u64,
    /// Servers that have a place since the queue was served last.
    freed: Vec<ServerId>,
    /// Any server may have places, or some are no more.
    is_changed: bool,
    /// Whose turn has come, and who has not been told.
    told: Vec<Waiting>,
    /// Somebody was not sent at once to where it comes from, and may be a second later.
    is_spared: bool,
    /// Who has everybody looked at, and in which second.
    lookout: Option<(u32, u32)>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// A server may have a place.
    #[inline]
    pub fn freed(&mut self, server: ServerId) {
        if self.waiting > 0 {
            self.freed.push(server);
        }
    }

    /// These are told at once, whatever they wait for.
    pub(super) fn tell(&mut self, waiting: impl IntoIterator<Item = Waiting>) {
        self.told.extend(waiting);
    }

    /// Servers or rules have changed.
    #[inline]
    pub fn changed(&mut self) {
        self.is_changed = self.waiting > 0;
    }

    fn join(&mut self, line: Line, walk: Walk, attempt: Attempt, who: Waiting) -> Ticket {
        self.sequence += 1;
        let (sequence, links, turn) = (self.sequence, Links::default(), Turn::Waits(line));
        let (asker, since_seconds) = (walk.asker, walk.now_seconds);
        let waiter = Waiter { who, asker, attempt, sequence, since_seconds, links, turn };
        let slot = self.waiters.0.insert(waiter);
        self.lines.entry(line).or_default().push(&mut self.waiters, slot);
        self.waiting += 1;
        // Whoever is the only one looks out for servers that are usable again.
        self.is_changed |= self.waiting == 1;
        Ticket(slot)
    }

    /// Takes a client out of its line, if it is in one.
    fn step_out(&mut self, slot: u32, turn: Turn) {
        let Some(waiter) = self.waiters.0.get_mut(slot) else { return };
        let Turn::Waits(line) = waiter.turn else { return };
        waiter.turn = turn;
        self.waiting -= 1;
        if self.lookout.take_if(|(lookout, _)| *lookout == slot).is_some() {
            self.changed();
        }
        if let Some(list) = self.lines.get_mut(&line) {
            list.remove(&mut self.waiters, slot);
            if list.len() == 0 {
                self.lines.remove(&line);
            }
        }
    }

    /// Forgets a client. Answers with the place that was taken for it, if its turn had come.
    fn take(&mut self, ticket: Ticket) -> Option<(Attempt, Asker, Option<Arc<Endpoint>>)> {
        self.step_out(ticket.0, Turn::IsVoid);
        let Waiter { attempt, asker, turn, .. } = self.waiters.0.remove(ticket.0)?;
        self.waiters.0.recycle();
        let endpoint = match turn {
            Turn::HasCome(endpoint) => Some(endpoint),
            Turn::Waits(_) | Turn::IsVoid => None,
        };
        Some((attempt, asker, endpoint))
    }

    /// The clients of a line, the first one first, as far as they are looked at.
    fn of_line(&mut self, line: Line, looked_at_max: usize) -> Vec<(u64, u32)> {
        let Some(list) = self.lines.get(&line).copied() else { return Vec::new() };
        let mut next = list.oldest();
        let mut slots = Vec::new();
        while let Some(slot) = next.filter(|_| slots.len() < looked_at_max) {
            slots.push((self.waiters.0.get(slot).map_or(0, |waiter| waiter.sequence), slot));
            next = list.newer(&mut self.waiters, slot);
        }
        slots
    }
}

impl Chooser<'_> {
    /// How many clients wait for a place.
    pub fn waiting(&self) -> usize {
        self.selection.queue.len()
    }

    /// Places at servers that anybody who waits might have now: none after [`Chooser::serve_queue`]. For tests.
    pub fn idle_places(&self, now_seconds: u32) -> usize {
        let selection = &*self.selection;
        if selection.queue.len() == 0 {
            return 0;
        }
        let is_idle = |(index, server): (usize, &Server)| {
            let waits = |line: Line| {
                let first = selection.queue.lines.get(&line).and_then(Lru::oldest);
                let first = first.and_then(|slot| selection.queue.waiters.0.get(slot));
                first.is_some_and(|waiter| waiter.since_seconds <= now_seconds)
            };
            server.role() == Role::Member
                && server.is_usable(selection.rules.blacklist_seconds, now_seconds)
                && server.has_room(false)
                && !selection.is_for_its_own(server)
                && server.setup.acl == 0
                && (waits(Line::Own(index)) || server.routes().iter().any(|route| waits(Line::Any(*route))))
        };
        selection.servers.regular().iter().enumerate().filter(|server| is_idle(*server)).count()
    }

    /// Clients with connections that count towards their limits. For tests.
    pub fn counted_clients(&self) -> usize {
        self.selection.limiter.busy_clients()
    }

    /// Whether [`Chooser::serve_queue`] has something to do.
    #[inline]
    pub fn may_serve_queue(&self) -> bool {
        let queue = &self.selection.queue;
        queue.is_changed || !queue.freed.is_empty() || !queue.told.is_empty()
    }

    /// Gives places that have come free to those who are next. Whoever is returned is to ask with its ticket.
    pub fn serve_queue(&mut self, now_seconds: u32) -> Vec<Waiting> {
        self.selection.tell_time(now_seconds);
        let mut told = std::mem::take(&mut self.selection.queue.told);
        let freed = std::mem::take(&mut self.selection.queue.freed);
        if std::mem::take(&mut self.selection.queue.is_changed) {
            self.end_vain_waits(&mut told);
            self.serve_all(now_seconds, &mut told);
        }
        for index in freed.into_iter().filter_map(ServerId::index) {
            self.serve(index, now_seconds, &mut told);
        }
        self.post_lookout(now_seconds, &mut told);
        told
    }

    /// Has one of those who wait look again when a blacklisted server that has places is usable.
    fn post_lookout(&mut self, now_seconds: u32, told: &mut Vec<Waiting>) {
        let Selection { queue, servers, .. } = &mut *self.selection;
        let is_spared = std::mem::take(&mut queue.is_spared);
        if queue.len() == 0 {
            return;
        }
        let with_places = servers.glances().iter().filter(|glance| !glance.is_full());
        let usable_after = with_places.filter_map(|glance| glance.usable_after(now_seconds));
        let next_seconds = usable_after.chain(is_spared.then_some(now_seconds + 1)).min();
        let posted = queue.lookout.map(|(_, seconds)| seconds);
        let Some(seconds) = next_seconds.filter(|next| posted.is_none_or(|posted| *next < posted)) else {
            return;
        };
        let slot = queue.lookout.map(|(slot, _)| slot);
        let slot = slot.or_else(|| queue.lines.values().next().and_then(Lru::oldest));
        if let Some((slot, waiter)) = slot.and_then(|slot| Some((slot, queue.waiters.0.get(slot)?))) {
            told.push(waiter.who);
            queue.lookout = Some((slot, seconds));
        }
    }

    /// The second has come of which [`Claim::Waits`] told.
    pub fn look_again(&mut self) {
        let queue = &mut self.selection.queue;
        queue.lookout = None;
        queue.changed();
    }

    /// Has the client wait, if there is a server that would take it but is full, and room in the queue. An attempt that waits
    /// holds no place.
    pub(super) fn join_queue(
        &mut self,
        walk: Walk,
        attempt: Attempt,
        who: Waiting,
    ) -> Result<Ticket, Attempt> {
        let selection = &mut *self.selection;
        if selection.queue.len() as u64 >= selection.rules.queue_max {
            return Err(attempt);
        }
        match self.line(walk, &attempt) {
            Some(line) => Ok(self.selection.queue.join(line, walk, attempt, who)),
            None => Err(attempt),
        }
    }

    /// What the client may wait for.
    fn line(&self, walk: Walk, attempt: &Attempt) -> Option<Line> {
        let selection = &*self.selection;
        let own = selection.servers.known(self.clients.server(attempt.slot));
        let tried = selection.tried.of(attempt.tried);
        let is_only_full = |index: usize, server: &Server| {
            let is_its_own = own.index() == Some(index);
            !tried.contains(index)
                && server.is_usable(selection.rules.blacklist_seconds, walk.now_seconds)
                && server.serves(walk.asker.route)
                && (is_its_own || !selection.is_for_its_own(server))
                && !server.has_room(is_its_own)
                && selection.rules.lists.permit(server.setup.acl.into(), walk.asker.client)
        };
        let regular = selection.servers.regular();
        match (attempt.current, selection.rules.stubborn) {
            (ServerId::ABUSE | ServerId::EMERGENCY, _) => None,
            (current, true) if current.index().is_some() => {
                let index = current.index()?;
                is_only_full(index, regular.get(index)?).then_some(Line::Own(index))
            }
            _ => {
                let mut servers = regular.iter().enumerate();
                let may_wait = servers.any(|(index, server)| is_only_full(index, server));
                may_wait.then_some(Line::Any(walk.asker.route))
            }
        }
    }

    /// Those who wait come before who comes now.
    pub(super) fn serve_before(&mut self, now_seconds: u32) {
        if self.selection.queue.len() > 0 {
            let mut told = std::mem::take(&mut self.selection.queue.told);
            self.serve_all(now_seconds, &mut told);
            // Told by whoever lets go of the lock.
            self.selection.queue.told = told;
        }
    }

    fn serve_all(&mut self, now_seconds: u32, told: &mut Vec<Waiting>) {
        let count = self.selection.servers.regular().len();
        for index in 0..count {
            if self.selection.queue.len() == 0 {
                break;
            }
            let glance = &self.selection.servers.glances()[index];
            if glance.is_usable(now_seconds) && !glance.is_full() {
                self.serve(index, now_seconds, told);
            }
        }
    }

    /// Fills the places of a server.
    fn serve(&mut self, index: usize, now_seconds: u32, told: &mut Vec<Waiting>) {
        while let Some(who) = self.serve_one(index, now_seconds) {
            told.push(who);
        }
    }

    fn serve_one(&mut self, index: usize, now_seconds: u32) -> Option<Waiting> {
        let selection = &mut *self.selection;
        let server = selection.servers.regular().get(index)?;
        if selection.queue.len() == 0
            || !server.has_room(true)
            || !server.is_usable(selection.rules.blacklist_seconds, now_seconds)
        {
            return None;
        }
        let is_for_all = server.has_room(false) && !selection.is_for_its_own(server) && server.setup.acl == 0;
        let looked_at_max = if is_for_all { 1 } else { LOOKED_AT_MAX };
        let mut next: Vec<(u64, u32)> = selection.queue.of_line(Line::Own(index), looked_at_max);
        let routes: Vec<Route> = server.routes().to_vec();
        for route in routes {
            next.extend(selection.queue.of_line(Line::Any(route), looked_at_max));
        }
        next.sort_unstable();
        next.into_iter().find_map(|(_, slot)| self.place(slot, ServerId::regular(index), now_seconds))
    }

    /// Takes a place at the server for this client, if it takes it. From a server that did not do, it is not sent there again
    /// before the next second: without that, one that refuses would keep a worker busy where `blacklist` is 0.
    fn place(&mut self, slot: u32, server: ServerId, now_seconds: u32) -> Option<Waiting> {
        let Selection { queue, tried, .. } = &mut *self.selection;
        let waiter = queue.waiters.0.get_mut(slot)?;
        let has_tried = server.index().is_some_and(|index| tried.of(waiter.attempt.tried).contains(index));
        if has_tried && waiter.since_seconds >= now_seconds {
            queue.is_spared = true;
            return None;
        }
        let walk = Walk { asker: waiter.asker, now_seconds };
        let vacant = Attempt::new(waiter.attempt.slot, ServerId::NONE);
        let mut attempt = std::mem::replace(&mut waiter.attempt, vacant);
        let endpoint = self.reserve(walk, &mut attempt, server, Failed::PassedOver);
        let queue = &mut self.selection.queue;
        let waiter = queue.waiters.0.get_mut(slot)?;
        waiter.attempt = attempt;
        let who = waiter.who;
        queue.step_out(slot, Turn::HasCome(endpoint?));
        Some(who)
    }

    /// Whoever waits for what there is no more comes anew: where the queue was closed, or all servers of a line are gone.
    fn end_vain_waits(&mut self, told: &mut Vec<Waiting>) {
        let selection = &mut *self.selection;
        let lines: Vec<Line> = selection.queue.lines.keys().copied().collect();
        let stays =
            |server: &Server| server.is_configured() && !server.is_leaving() && server.role() == Role::Member;
        for line in lines {
            let regular = selection.servers.regular();
            let is_vain = selection.rules.queue_max == 0
                || match line {
                    Line::Any(route) => !regular.iter().any(|server| stays(server) && server.serves(route)),
                    Line::Own(index) => !regular.get(index).is_some_and(stays) || !selection.rules.stubborn,
                };
            if !is_vain {
                continue;
            }
            for (_, slot) in selection.queue.of_line(line, usize::MAX) {
                told.extend(selection.queue.waiters.0.get(slot).map(|waiter| waiter.who));
                selection.queue.step_out(slot, Turn::IsVoid);
            }
        }
    }

    /// Asks whether the client's turn has come.
    pub fn claim(&mut self, ticket: Ticket, who: Waiting, now_ms: u64) -> Claim {
        let queue = &mut self.selection.queue;
        let waits = |waiter: &Waiter| matches!(waiter.turn, Turn::Waits(_));
        if queue.waiters.0.get(ticket.0).is_some_and(waits) {
            let lookout = queue.lookout.filter(|(slot, _)| *slot == ticket.0);
            return Claim::Waits(ticket, lookout.map(|(_, seconds)| seconds));
        }
        match queue.take(ticket) {
            Some((attempt, _, Some(endpoint))) => match self.selection.poll(&attempt, who, now_ms) {
                Some(poll) => Claim::Polls(attempt, endpoint, poll),
                None => Claim::Connect(attempt, endpoint),
            },
            Some((mut attempt, ..)) => {
                self.selection.forget_tried(&mut attempt);
                Claim::Again
            }
            None => Claim::Again,
        }
    }

    /// The client has waited long enough: it gets the place that was taken for it, or the emergency server, or nobody.
    pub fn stop_waiting(&mut self, ticket: Ticket, now_seconds: u32) -> Option<(Attempt, Arc<Endpoint>)> {
        let (mut attempt, asker, endpoint) = self.selection.queue.take(ticket)?;
        let endpoint = endpoint.or_else(|| self.emergency(Walk { asker, now_seconds }, &mut attempt));
        match endpoint {
            Some(endpoint) => Some((attempt, endpoint)),
            None => {
                self.selection.forget_tried(&mut attempt);
                None
            }
        }
    }

    /// The client has left. A place that was taken for it is free for the next one.
    pub fn leave_queue(&mut self, ticket: Ticket) {
        if let Some((attempt, ..)) = self.selection.queue.take(ticket) {
            self.abandon(attempt);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
