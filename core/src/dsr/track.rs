//! The flows that pen directs: which client and port belongs to which server, in a table of limited size. Pure.
//!
//! Owns the index, the order of use and what is given up when there is no room. It knows neither frames nor servers: the
//! value is the caller's. Finding, adding, touching and expiring a flow take the same time in a table of any size. Only
//! `director.rs` uses it, on one thread.

use crate::lru::{END, Link, Links, Lru, Slots};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Whose flow it is, and to which port of the service. The address of the service and the protocol are the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub client: SocketAddr,
    pub port: u16,
}

/// How much a flow has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing but its first packet, which anybody can send in anybody's name.
    Fresh,
    /// The client went on.
    Proven,
    /// The client has ended it.
    Closing,
}

impl Stage {
    const ALL: [Stage; 3] = [Stage::Fresh, Stage::Proven, Stage::Closing];
}

/// How long a flow of each stage is kept without a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub fresh_ms: u64,
    pub proven_ms: u64,
    pub closing_ms: u64,
}

impl Patience {
    fn of(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Fresh => self.fresh_ms,
            Stage::Proven => self.proven_ms,
            Stage::Closing => self.closing_ms,
        }
    }
}

#[derive(Debug)]
pub struct Flow<T> {
    pub key: FlowKey,
    pub stage: Stage,
    /// Client to server.
    pub bytes: u64,
    pub opened_ms: u64,
    /// When its last packet came.
    pub active_ms: u64,
    pub value: T,
}

struct Slot<T> {
    flow: Option<Flow<T>>,
    /// In the list of its stage.
    age: Links,
    /// In that of vacant slots.
    next_vacant: Link,
}

impl<T> Slots for Vec<Slot<T>> {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self[slot as usize].age
    }
}

/// Share of the table that flows which proved nothing may take from the others: one in so many.
const FRESH_SHARE: usize = 8;

pub struct Track<T> {
    slots: Vec<Slot<T>>,
    slots_max: usize,
    /// With a secret key, because clients choose their addresses and ports.
    index: HashMap<FlowKey, u32>,
    vacant: Link,
    ages: [Lru; 3],
}

impl<T> Track<T> {
    /// For `slots_max` flows; 0 counts as 1. Memory is touched as slots come into use.
    pub fn new(slots_max: usize) -> Track<T> {
        let slots_max = slots_max.clamp(1, u32::MAX as usize - 1);
        Track { slots: Vec::new(), slots_max, index: HashMap::new(), vacant: END, ages: [Lru::default(); 3] }
    }

    /// Makes room for more flows; a smaller number than now changes nothing.
    pub fn grow(&mut self, slots_max: usize) {
        self.slots_max = self.slots_max.max(slots_max.min(u32::MAX as usize - 1));
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// How many slots were ever used; slot numbers are below this.
    pub fn slots_used(&self) -> u32 {
        self.slots.len() as u32
    }

    pub fn find(&self, key: &FlowKey) -> Option<u32> {
        self.index.get(key).copied()
    }

    pub fn get(&self, slot: u32) -> Option<&Flow<T>> {
        self.slots.get(slot as usize)?.flow.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Flow<T>> {
        self.slots.get_mut(slot as usize)?.flow.as_mut()
    }

    /// Counts a packet: the flow is in `stage` from now on and the last one to be given up of those.
    pub fn touch(&mut self, slot: u32, stage: Stage, bytes: usize, now_ms: u64) {
        self.unlink(slot);
        if let Some(flow) = self.get_mut(slot) {
            flow.stage = stage;
            flow.bytes = flow.bytes.saturating_add(bytes as u64);
            flow.active_ms = now_ms;
        }
        self.link(slot);
    }

    /// Adds a flow that is not there yet, [`Stage::Fresh`]. When the table is full, or there is no memory for more,
    /// another is given up and returned; without memory for any, this one.
    pub fn insert(&mut self, key: FlowKey, value: T, bytes: usize, now_ms: u64) -> Option<Flow<T>> {
        let stage = Stage::Fresh;
        let flow = Flow { key, stage, bytes: bytes as u64, opened_ms: now_ms, active_ms: now_ms, value };
        let is_full = self.len() >= self.slots_max || !self.has_memory();
        let given_up = if is_full { self.give_up() } else { None };
        if is_full && given_up.is_none() {
            return Some(flow);
        }
        let slot = self.take_vacant();
        self.slots[slot as usize].flow = Some(flow);
        self.link(slot);
        self.index.insert(key, slot);
        given_up
    }

    pub fn remove(&mut self, slot: u32) -> Option<Flow<T>> {
        self.get(slot)?;
        self.unlink(slot);
        let vacant = std::mem::replace(&mut self.vacant, slot + 1);
        let entry = &mut self.slots[slot as usize];
        entry.next_vacant = vacant;
        let flow = entry.flow.take()?;
        self.index.remove(&flow.key);
        Some(flow)
    }

    /// Takes out a flow whose patience is over; call it until there is none.
    pub fn expire(&mut self, now_ms: u64, patience: &Patience) -> Option<Flow<T>> {
        let due = |stage: &Stage| self.deadline_ms(*stage, patience).is_some_and(|due_ms| due_ms <= now_ms);
        let stage = Stage::ALL.into_iter().find(due)?;
        self.remove(self.oldest(stage)?)
    }

    /// When the next flow expires if no packet comes.
    pub fn next_deadline_ms(&self, patience: &Patience) -> Option<u64> {
        Stage::ALL.into_iter().filter_map(|stage| self.deadline_ms(stage, patience)).min()
    }

    fn deadline_ms(&self, stage: Stage, patience: &Patience) -> Option<u64> {
        let flow = self.get(self.oldest(stage)?)?;
        Some(flow.active_ms.saturating_add(patience.of(stage)))
    }

    fn oldest(&self, stage: Stage) -> Option<u32> {
        self.ages[stage as usize].oldest()
    }

    /// A flood of first packets displaces first packets. Otherwise what has ended goes before what goes on.
    fn give_up(&mut self) -> Option<Flow<T>> {
        let fresh_are_many = self.ages[Stage::Fresh as usize].len() > self.slots_max / FRESH_SHARE;
        let order = match fresh_are_many {
            true => [Stage::Fresh, Stage::Closing, Stage::Proven],
            false => [Stage::Closing, Stage::Proven, Stage::Fresh],
        };
        let slot = order.into_iter().find_map(|stage| self.oldest(stage))?;
        self.remove(slot)
    }

    /// For one more flow.
    fn has_memory(&mut self) -> bool {
        let has_slot = self.vacant != END || self.slots.try_reserve(1).is_ok();
        has_slot && self.index.try_reserve(1).is_ok()
    }

    fn take_vacant(&mut self) -> u32 {
        match self.vacant.checked_sub(1) {
            Some(slot) => {
                self.vacant = self.slots[slot as usize].next_vacant;
                slot
            }
            None => {
                self.slots.push(Slot { flow: None, age: Links::default(), next_vacant: END });
                self.slots.len() as u32 - 1
            }
        }
    }

    /// As the newest of its stage.
    fn link(&mut self, slot: u32) {
        let Some(stage) = self.get(slot).map(|flow| flow.stage) else { return };
        self.ages[stage as usize].push(&mut self.slots, slot);
    }

    fn unlink(&mut self, slot: u32) {
        let Some(stage) = self.get(slot).map(|flow| flow.stage) else { return };
        self.ages[stage as usize].remove(&mut self.slots, slot);
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
