//! The thread that checks servers: who is due, what comes of it, and what the selections are told.
//!
//! Owns all probes and programs; whom it watches is in `watcher/follow.rs`, what comes of it in `watcher/results.rs`. It takes the lock of a pool only to hand over what was found.

mod follow;
mod own;
mod results;

use crate::inbox::{Asking, Inbox, Message};
use crate::probe::{Probe, Progressed};
use crate::program::{self, Ending};
use crate::rounds::{Round, Seen};
use crate::slot::{Outcome, Slot, Work, forget};
use crate::snmp::{Ask, Asked, SILENCE};
use crate::target::TargetKey;
use crate::watched::{Surroundings, Watched};
use crate::wire::SCRATCH_BYTES;
use pen_core::balance::{Health, Reading, ServerId};
use pen_core::loads::agent::Said;
use pen_core::settings::{Rounds, of_service};
use pen_core::timers::Wheel;
use pen_proto::commands::{Check, LoadSource};
use pen_sys::clock;
use pen_sys::errors::reason;
use pen_sys::net::poller::{Poller, Readiness};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Checks that are due within this time begin together. Were it longer, thousands of servers would bring bunches of checks,
/// and clients that share the processor would wait for all of a bunch.
const TICK_MS: u64 = 4;
/// The first checks of many servers are begun so far apart, at most.
const FIRST_APART_MS: u64 = 10;
/// Bits of a poller's key that are the number of a slot; above them is which of its probes.
const SLOT_BITS: u32 = 20;
/// The golden ratio in 32 bits: its multiples are spread evenly, however many there are.
const GOLDEN: u32 = 0x9E37_79B9;

pub struct Watcher {
    poller: Poller,
    here: Box<dyn Surroundings>,
    environment: Vec<(OsString, OsString)>,
    /// Makes numbers of questions.
    ids: RandomState,
    /// Of services that make something of all their checks together.
    rounds: HashMap<u16, Round>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_server: HashMap<(u16, TargetKey), u32>,
    /// When the next check of a slot is due, at twice its number; when the present one has failed, at one more.
    timers: Wheel<TICK_MS>,
    ending: Vec<Ending>,
    /// Services that are to hear of a change before the next wait, however many servers of theirs have changed.
    changed: BTreeMap<u16, Arc<dyn Watched>>,
    /// By this, threads of checks reach this one.
    asking: Asking,
    own_turn: u32,
    own_threads: Vec<JoinHandle<()>>,
    now_ms: u64,
    scratch: Box<[u8]>,
}

impl Watcher {
    pub fn new(
        poller: Poller,
        here: Box<dyn Surroundings>,
        environment: Vec<(OsString, OsString)>,
        asking: Asking,
    ) -> Watcher {
        let now_ms = clock::monotonic_ms();
        Watcher {
            poller,
            here,
            environment,
            ids: RandomState::new(),
            rounds: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_server: HashMap::new(),
            timers: Wheel::new(now_ms),
            ending: Vec::new(),
            changed: BTreeMap::new(),
            asking,
            own_turn: 0,
            own_threads: Vec::new(),
            now_ms,
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }

    /// Checks until it is told to stop, and leaves no program behind.
    pub fn run(mut self, inbox: &Inbox) {
        let mut events = Vec::new();
        loop {
            let messages = inbox.take();
            let stops = messages.iter().any(|message| matches!(message, Message::Stop));
            messages.into_iter().for_each(|message| self.obey(message));
            if stops {
                self.slots.iter_mut().flatten().for_each(|slot| self.ending.extend(slot.end(self.now_ms)));
            }
            self.ending.retain_mut(|ending| !ending.is_over(self.now_ms));
            if stops {
                self.end_own();
                return self.finish();
            }
            std::mem::take(&mut self.changed).values().for_each(|service| service.changed());
            let waited = self.poller.wait(&mut events, self.patience_ms());
            self.now_ms = clock::monotonic_ms();
            if let Err(error) = waited {
                self.here.once("checks", &format!("checks: cannot wait: {}", reason(&error)));
                clock::wait_ms(program::LOOK_MS);
            }
            events.drain(..).for_each(|event| self.happened(event));
            let mut due = Vec::new();
            self.timers.expire(self.now_ms, |id| due.push(id));
            due.into_iter().for_each(|id| self.is_due(id));
            self.end_rounds();
        }
    }

    /// Sees all programs to their end.
    fn finish(mut self) {
        while !self.ending.is_empty() {
            clock::wait_ms(program::LOOK_MS);
            let now_ms = clock::monotonic_ms();
            self.ending.retain_mut(|ending| !ending.is_over(now_ms));
        }
    }

    fn patience_ms(&self) -> Option<u64> {
        let timer = self.timers.next_deadline_ms().map(|deadline_ms| deadline_ms.saturating_sub(self.now_ms));
        let look = (!self.ending.is_empty()).then_some(program::LOOK_MS);
        let round = self.rounds.values().map(|round| round.next_ms.saturating_sub(self.now_ms)).min();
        [timer, look, round].into_iter().flatten().min()
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Follow(service, targets, rounds) => {
                self.follow(&service, targets);
                self.change_rounds(service.number(), rounds);
            }
            Message::Forget(number) => {
                self.keep_only(number, &HashMap::new());
                self.rounds.remove(&number);
            }
            Message::Environment(environment) => {
                self.environment = environment;
                let programs: Vec<u32> =
                    (0..self.slots.len() as u32).filter(|n| self.has_program(*n)).collect();
                for number in programs {
                    self.timers.disarm(2 * number + 1);
                    if let Some(slot) = self.slots[number as usize].as_mut() {
                        forget(&self.poller, slot);
                        self.ending.extend(slot.end(self.now_ms));
                    }
                }
            }
            Message::Poll(service, server) => self.poll(service, server),
            Message::Verdict { slot, turn, outcome } => self.own_verdict(slot, turn, outcome),
            Message::Stop => {}
        }
    }

    fn change_rounds(&mut self, service: u16, rounds: Rounds) {
        if rounds.latency == 0 {
            // Weights that followed the time of checks do not any more.
            for slot in self.slots.iter_mut().flatten().filter(|slot| slot.service.number() == service) {
                if slot.latency.forget_share() {
                    slot.service.with(|chooser| chooser.share(slot.target.server, 0));
                }
            }
        }
        let is_wanted = rounds.interval_ms > 0 && (rounds.discover.is_some() || rounds.latency > 0);
        match self.rounds.get_mut(&service) {
            Some(round) if round.rounds == rounds => {}
            Some(round) if round.rounds.discover.is_some() == rounds.discover.is_some() && is_wanted => {
                round.rounds = rounds;
            }
            _ if is_wanted => _ = self.rounds.insert(service, Round::new(rounds, self.now_ms)),
            None => {}
            Some(_) => _ = self.rounds.remove(&service),
        }
    }

    /// Ends the rounds that are due.
    fn end_rounds(&mut self) {
        for (number, round) in &mut self.rounds {
            if round.next_ms > self.now_ms {
                continue;
            }
            round.next_ms = self.now_ms + round.rounds.interval_ms.max(1);
            let mut service = None;
            let own = self.slots.iter_mut().flatten().filter(|slot| slot.service.number() == *number);
            let up = own.filter(|slot| slot.tracker.health() == Some(Health::Up));
            let mut seen: Vec<Seen<'_>> = up
                .map(|slot| {
                    service.get_or_insert_with(|| slot.service.clone());
                    Seen { server: slot.target.server, latency: &mut slot.latency, members: &slot.members }
                })
                .collect();
            let (members, shares) = round.end(&mut seen);
            let Some(service) = service else { continue };
            if let Some(members) = members {
                service.named(members);
            }
            if !shares.is_empty() {
                service.with(|chooser| {
                    shares.iter().for_each(|(server, share)| chooser.share(*server, *share));
                });
            }
        }
    }

    fn has_program(&self, number: u32) -> bool {
        let slot = self.slots[number as usize].as_ref();
        slot.is_some_and(|slot| matches!(slot.work, Work::Program(_)))
    }

    fn is_due(&mut self, id: u32) {
        let number = id / 2;
        match id % 2 {
            0 => self.begin(number),
            _ => self.time_is_over(number),
        }
    }

    /// A client waits for a check of this server: the one under way, or one that begins now. Where it is not checked yet, its
    /// first check is about to begin.
    fn poll(&mut self, service: u16, server: ServerId) {
        let Some(number) = self.by_server.get(&(service, (server, false))).copied() else { return };
        let Some(slot) = self.slots[number as usize].as_ref() else { return };
        if slot.work.is_under_way() {
            return;
        }
        self.begin(number);
        let Some(slot) = self.slots[number as usize].as_ref() else { return };
        if let Work::Program(job) = &slot.work
            && !job.is_running()
        {
            // It pauses after a failure, of which the selection knows, or there are no descriptors for it.
            slot.service.with(|chooser| chooser.void_poll(server));
        }
    }

    /// Begins the next check of a slot, unless the last one is still under way.
    fn begin(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        let interval_ms = slot.target.watch.interval_ms.max(1);
        // Each slot has its own phase of the interval.
        let phase_ms = (u64::from(number.wrapping_mul(GOLDEN)) * interval_ms) >> 32;
        let at_least_ms = self.now_ms + interval_ms / 2 + 1;
        let next_ms = (at_least_ms.saturating_sub(phase_ms)).div_ceil(interval_ms) * interval_ms + phase_ms;
        self.timers.arm(2 * number, next_ms);
        // A slower check goes on: it counts from when it began, however short the interval.
        if slot.work.is_under_way() {
            return;
        }
        slot.began = clock::now();
        slot.began_seconds = clock::steady_epoch_seconds(self.now_ms);
        let deadline_ms = self.now_ms + slot.target.watch.timeout_ms;
        match slot.target.watch.check.clone() {
            // Its load is read by SNMP.
            Check::None => self.ask_snmp(number),
            Check::Dummy => self.begin_own(number),
            Check::Exec { program, arguments } => {
                let asked = self.ask(number, &program, arguments);
                match asked {
                    Ok(true) => self.timers.arm(2 * number + 1, deadline_ms),
                    Ok(false) => {}
                    Err(reason) => self.program_failed(number, reason),
                }
            }
            _ => {
                let place = slot.target.place.clone();
                self.timers.arm(2 * number + 1, deadline_ms);
                self.probe(number, &place);
            }
        }
    }

    /// Asks the SNMP agent of a server.
    fn ask_snmp(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        let Some(LoadSource::Snmp { version, community, .. }) = &slot.target.load else { return };
        let local = slot.service.local();
        slot.turn = slot.turn.wrapping_add(1);
        // A number that is not negative and that nobody can guess.
        let id = (self.ids.hash_one((number, slot.turn)) >> 33) as i32;
        let question = (*version, community.as_str());
        match Ask::start(&slot.target.place, local, question, id, slot.object) {
            Ok(ask) => {
                let added = self.poller.add(ask.fd(), key_of(number, slot.turn));
                let half_ms = slot.target.watch.timeout_ms.div_ceil(2);
                slot.work = Work::Snmp(Box::new(ask));
                match added {
                    Ok(()) => self.timers.arm(2 * number + 1, self.now_ms + half_ms),
                    Err(error) => self.ours(number, reason(&error)),
                }
            }
            Err(reason) => self.loaded(number, Reading::Unknown(reason.into())),
        }
    }

    fn hear_snmp(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        let Work::Snmp(ask) = &mut slot.work else { return };
        match ask.go_on(&slot.target.place) {
            Asked::Waits => {
                if let Err(error) = self.poller.rearm(ask.fd(), key_of(number, slot.turn), true, false) {
                    self.ours(number, reason(&error));
                }
            }
            Asked::Load(load) => {
                slot.object = ask.object;
                self.loaded(number, Reading::Said(Said { load: Some(load), ..Said::default() }));
            }
            Asked::Unknown(reason) => self.loaded(number, Reading::Unknown(reason.into())),
        }
    }

    /// Connects to one of the addresses of a server.
    fn probe(&mut self, number: u32, place: &pen_proto::endpoint::Endpoint) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        slot.turn = slot.turn.wrapping_add(1);
        match Probe::start(&slot.target, place, &*slot.service) {
            Ok(probe) => {
                slot.work = Work::Probe(Box::new(probe));
                self.go_on(number, false);
            }
            Err(Progressed::Bad(reason)) => self.try_next_place(number, place.clone(), reason),
            Err(Progressed::Ours(reason)) => self.ours(number, reason),
            Err(Progressed::Waits | Progressed::Good | Progressed::Said(_)) => {}
        }
    }

    fn try_next_place(&mut self, number: u32, place: pen_proto::endpoint::Endpoint, reason: String) {
        match place.next_place() {
            Some(next) => self.probe(number, &next),
            None => self.found(number, Outcome::bad(reason)),
        }
    }

    /// It could not be checked, for a reason of ours: nothing is known.
    fn ours(&mut self, number: u32, reason: String) {
        self.leave(number);
        let Some(slot) = self.slots[number as usize].as_ref() else { return };
        if slot.target.load.is_some() {
            return self.loaded(number, Reading::Unknown(reason.into()));
        }
        // It is the same trouble for all servers of the service.
        let text = format!("{} cannot be checked: {reason}", slot.target.called);
        let key = format!("check {} {reason}", slot.service.number());
        self.here.once(&key, &of_service(slot.service.name(), &text));
        slot.service.with(|chooser| chooser.void_poll(slot.target.server));
    }

    /// Ends what is under way.
    fn leave(&mut self, number: u32) {
        self.timers.disarm(2 * number + 1);
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        if let Work::Probe(_) = slot.work
            && let Work::Probe(probe) = std::mem::replace(&mut slot.work, Work::Nothing)
        {
            self.poller.forget(probe.fd());
            probe.close();
        }
        if let Work::Snmp(ask) = &slot.work {
            self.poller.forget(ask.fd());
            slot.work = Work::Nothing;
        }
    }

    fn happened(&mut self, event: Readiness) {
        let number = (event.key & ((1 << SLOT_BITS) - 1)) as u32;
        let Some(slot) = self.slots.get(number as usize).and_then(Option::as_ref) else { return };
        if key_of(number, slot.turn) != event.key {
            return;
        }
        match slot.work {
            Work::Probe(_) => self.go_on(number, event.writable || event.error),
            Work::Program(_) => self.hear(number),
            Work::Snmp(_) => self.hear_snmp(number),
            Work::Nothing | Work::Own { .. } => {}
        }
    }

    fn go_on(&mut self, number: u32, may_be_connected: bool) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        let Work::Probe(probe) = &mut slot.work else { return };
        let progressed = probe.go_on(may_be_connected, &mut self.scratch);
        match progressed {
            Progressed::Waits => {
                let key = key_of(number, slot.turn);
                let watched = if std::mem::replace(&mut probe.is_watched, true) {
                    // Where registrations do not last, a socket that is connected is mostly read.
                    self.poller.rearm(probe.fd(), key, true, !probe.has_connected())
                } else {
                    self.poller.add(probe.fd(), key)
                };
                if let Err(error) = watched {
                    self.ours(number, reason(&error));
                }
            }
            Progressed::Good => self.found(number, Outcome::good()),
            Progressed::Said(said) => self.agent_said(number, said),
            Progressed::Bad(reason) => {
                let (has_connected, place) = (probe.has_connected(), probe.place.clone());
                if has_connected {
                    return self.found(number, Outcome::bad(reason));
                }
                self.drop_probe(number);
                self.try_next_place(number, place, reason);
            }
            Progressed::Ours(reason) => self.ours(number, reason),
        }
    }

    /// Gives up a connect; the time for the check goes on.
    fn drop_probe(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        if let Work::Probe(probe) = std::mem::replace(&mut slot.work, Work::Nothing) {
            self.poller.forget(probe.fd());
        }
    }

    fn time_is_over(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        match &mut slot.work {
            Work::Snmp(ask) => match ask.repeat() {
                true => self.timers.arm(2 * number + 1, self.now_ms + slot.target.watch.timeout_ms / 2 + 1),
                false => self.loaded(number, Reading::Unknown(SILENCE.into())),
            },
            Work::Probe(probe) => {
                let reason = probe.awaited();
                self.found(number, Outcome::bad(reason));
            }
            Work::Program(job) => {
                let reason = job.with_complaint("the program has not answered in time");
                self.program_failed(number, reason);
            }
            Work::Own { .. } => self.own_is_late(number),
            Work::Nothing => {}
        }
    }
}

fn key_of(number: u32, turn: u32) -> usize {
    // Eleven bits tell a probe from those before it.
    (((turn & 0x7FF) << SLOT_BITS) | number) as usize
}
