//! The client table: which client belongs to which server, in a fixed number of slots. Pure.
//!
//! Owns the slots, the index by address and the order of use. It knows nothing about servers but their keys, and it
//! reads no clock. Only the pool calls it, under its lock, so every operation takes the same short time at a million
//! slots: nothing here walks the table except
//! [`ClientTable::grow`], [`ClientTable::forget_servers`] and the listing for statistics.

use super::keys::ServerKey;
use crate::lru::{END, Link, Links, Lru, Slots};
use pen_proto::addr::ClientAddr;
use std::collections::TryReserveError;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// A place in the table together with the client that held it. The number may be printed; the generation tells whether
/// the slot has since gone to somebody else (it wraps after 65536 owners). Packed, because every connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(2))]
pub struct SlotKey {
    pub index: u32,
    generation: u16,
}

impl SlotKey {
    /// Nobody's.
    pub const NONE: SlotKey = SlotKey { index: u32::MAX, generation: 0 };
}

/// What the table knows about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub slot: u32,
    pub address: ClientAddr,
    /// When it connected last.
    pub last_use_seconds: u32,
    /// The server that took it last, [`ServerKey::NONE`] before the first.
    pub server: ServerKey,
    pub connects: u32,
    pub to_client_bytes: u64,
    pub from_client_bytes: u64,
}

#[derive(Clone)]
struct Slot {
    key: [u8; 16],
    to_client_bytes: u64,
    from_client_bytes: u64,
    last_use_seconds: u32,
    connects: u32,
    next_in_bucket: Link,
    age: Links,
    server: ServerKey,
    generation: u16,
}

const _: () = assert!(size_of::<Slot>() == 56);

impl Slots for Vec<Slot> {
    #[inline]
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self[slot as usize].age
    }
}

impl Slot {
    fn new(key: [u8; 16], generation: u16) -> Slot {
        Slot {
            key,
            to_client_bytes: 0,
            from_client_bytes: 0,
            last_use_seconds: 0,
            connects: 0,
            next_in_bucket: END,
            age: Links::default(),
            server: ServerKey::NONE,
            generation,
        }
    }

    /// Pen's rule: the second in which the time is exactly over still counts. Zero tracking seconds is for ever.
    fn is_expired(&self, now_seconds: u32, tracking_seconds: u64) -> bool {
        let remembered_until = u64::from(self.last_use_seconds).saturating_add(tracking_seconds);
        tracking_seconds > 0 && remembered_until < u64::from(now_seconds)
    }

    fn forget(&mut self) {
        self.server = ServerKey::NONE;
        self.connects = 0;
        self.to_client_bytes = 0;
        self.from_client_bytes = 0;
    }
}

/// A table of fixed size. When it is full, the client that connected longest ago makes room for a new one.
///
/// Memory is 56 bytes a slot, touched only as slots come into use, and 4 to 8 for the index. The index is hashed with a
/// secret key because clients choose their addresses.
pub struct ClientTable<S = RandomState> {
    slots: Vec<Slot>,
    slots_max: u32,
    /// First slot of each chain; the length is a power of two.
    buckets: Vec<Link>,
    hasher: S,
    ages: Lru,
}

/// Memory for a table of some size, of which nothing is used yet.
pub struct Room {
    slots: Vec<Slot>,
    slots_max: u32,
    buckets: Vec<Link>,
}

impl Room {
    /// For `slots_max` clients; 0 counts as 1.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new(slots_max: u32) -> Result<Room, TryReserveError> {
        let slots_max = slots_max.clamp(1, u32::MAX - 1);
        let mut room = Room { slots: Vec::new(), slots_max, buckets: Vec::new() };
        room.slots.try_reserve_exact(slots_max as usize)?;
        let buckets = (slots_max as usize).next_power_of_two();
        room.buckets.try_reserve_exact(buckets)?;
        room.buckets.resize(buckets, END);
        Ok(room)
    }
}

impl ClientTable {
    /// A table for `slots_max` clients; 0 counts as 1.
    ///
    /// # Panics
    /// Without memory; who can do without asks for [`Room`] first.
    pub fn new(slots_max: u32) -> ClientTable {
        ClientTable::with_hasher(slots_max, RandomState::new())
    }

    /// An empty table that fills this room.
    pub fn in_room(room: Room) -> ClientTable {
        ClientTable::empty(room, RandomState::new())
    }
}

impl<S: BuildHasher> ClientTable<S> {
    /// As [`ClientTable::new`], with a hash that the caller chose.
    ///
    /// # Panics
    /// Without memory.
    pub fn with_hasher(slots_max: u32, hasher: S) -> ClientTable<S> {
        ClientTable::empty(Room::new(slots_max).expect("memory for the client table"), hasher)
    }

    fn empty(room: Room, hasher: S) -> ClientTable<S> {
        let Room { slots, slots_max, buckets } = room;
        ClientTable { slots, slots_max, buckets, hasher, ages: Lru::default() }
    }

    /// How many clients fit.
    pub fn slots_max(&self) -> u32 {
        self.slots_max
    }

    /// How many slots have ever been used; their numbers are below this.
    pub fn slots_used(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Moves into a larger room. Slots keep their numbers; a room that is not larger changes nothing.
    pub fn grow(&mut self, mut room: Room) {
        if room.slots_max <= self.slots_max {
            return;
        }
        room.slots.append(&mut self.slots);
        (self.slots, self.slots_max, self.buckets) = (room.slots, room.slots_max, room.buckets);
        for index in 0..self.slots_used() {
            self.link_bucket(index);
        }
    }

    /// Notes that `client` connects: finds its slot or gives it one, and counts.
    ///
    /// A client whose last connect is more than `tracking_seconds` ago starts afresh, with no server and no counts, but
    /// keeps its slot and key, so that connections it still has open go on counting for it. 0 seconds is for ever.
    pub fn touch(&mut self, client: ClientAddr, now_seconds: u32, tracking_seconds: u64) -> SlotKey {
        let key = client.key();
        let index = match self.find(&key) {
            Some(index) => {
                self.ages.remove(&mut self.slots, index);
                index
            }
            None => self.take_slot(key, now_seconds, tracking_seconds),
        };
        self.ages.push(&mut self.slots, index);
        let slot = self.slot_mut(index);
        if slot.is_expired(now_seconds, tracking_seconds) {
            slot.forget();
        }
        slot.last_use_seconds = now_seconds;
        slot.connects = slot.connects.saturating_add(1);
        SlotKey { index, generation: slot.generation }
    }

    /// The server that the client belongs to; [`ServerKey::NONE`] also when the slot has gone to another client.
    pub fn server(&self, key: SlotKey) -> ServerKey {
        self.owned(key).map_or(ServerKey::NONE, |slot| slot.server)
    }

    /// From now on the client belongs to `server`. Ignored when the slot has gone to another client.
    pub fn remember(&mut self, key: SlotKey, server: ServerKey) {
        if let Some(slot) = self.owned_mut(key) {
            slot.server = server;
        }
    }

    /// Clients of these servers belong to none from now on. Walks the table: for what happens rarely.
    pub fn forget_servers(&mut self, is_gone: impl Fn(ServerKey) -> bool) {
        self.slots
            .iter_mut()
            .filter(|slot| is_gone(slot.server))
            .for_each(|slot| slot.server = ServerKey::NONE);
    }

    /// Counts bytes of a connection. Ignored when the slot has gone to another client.
    pub fn add_bytes(&mut self, key: SlotKey, to_client_bytes: u64, from_client_bytes: u64) {
        if let Some(slot) = self.owned_mut(key) {
            slot.to_client_bytes = slot.to_client_bytes.saturating_add(to_client_bytes);
            slot.from_client_bytes = slot.from_client_bytes.saturating_add(from_client_bytes);
        }
    }

    /// The clients in a range of slots, by slot; those whose tracking time is over are left out.
    pub fn clients(
        &self,
        slots: Range<u32>,
        now_seconds: u32,
        tracking_seconds: u64,
    ) -> impl Iterator<Item = Client> {
        let end = slots.end.min(self.slots_used());
        let start = slots.start.min(end);
        let known = self.slots[start as usize..end as usize].iter();
        (start..).zip(known).filter(move |(_, slot)| !slot.is_expired(now_seconds, tracking_seconds)).map(
            |(index, slot)| Client {
                slot: index,
                address: ClientAddr::from_key(slot.key),
                last_use_seconds: slot.last_use_seconds,
                server: slot.server,
                connects: slot.connects,
                to_client_bytes: slot.to_client_bytes,
                from_client_bytes: slot.from_client_bytes,
            },
        )
    }

    fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    fn owned(&self, key: SlotKey) -> Option<&Slot> {
        self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    fn owned_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    /// An unused slot or that of the client that connected longest ago, entered in the index but not in the order of
    /// use. An expired client goes before an unused slot is touched: the table stays as small as its use.
    fn take_slot(&mut self, key: [u8; 16], now_seconds: u32, tracking_seconds: u64) -> u32 {
        let full = self.slots_used() == self.slots_max;
        let index = match self.ages.oldest() {
            Some(oldest) if full || self.slot(oldest).is_expired(now_seconds, tracking_seconds) => {
                self.ages.remove(&mut self.slots, oldest);
                self.unlink_bucket(oldest);
                let generation = self.slot(oldest).generation.wrapping_add(1);
                *self.slot_mut(oldest) = Slot::new(key, generation);
                oldest
            }
            _ => {
                self.slots.push(Slot::new(key, 0));
                self.slots_used() - 1
            }
        };
        self.link_bucket(index);
        index
    }

    fn bucket_of(&self, key: &[u8; 16]) -> usize {
        // As one number: an array is hashed with its length, which costs half as much again.
        self.hasher.hash_one(u128::from_ne_bytes(*key)) as usize & (self.buckets.len() - 1)
    }

    fn find(&self, key: &[u8; 16]) -> Option<u32> {
        let mut link = self.buckets[self.bucket_of(key)];
        while let Some(index) = link.checked_sub(1) {
            let slot = self.slot(index);
            if slot.key == *key {
                return Some(index);
            }
            link = slot.next_in_bucket;
        }
        None
    }

    fn link_bucket(&mut self, index: u32) {
        let bucket = self.bucket_of(&self.slot(index).key);
        self.slot_mut(index).next_in_bucket = self.buckets[bucket];
        self.buckets[bucket] = index + 1;
    }

    fn unlink_bucket(&mut self, index: u32) {
        let bucket = self.bucket_of(&self.slot(index).key);
        let next = self.slot(index).next_in_bucket;
        let mut link = self.buckets[bucket];
        if link == index + 1 {
            self.buckets[bucket] = next;
            return;
        }
        while let Some(before) = link.checked_sub(1) {
            link = self.slot(before).next_in_bucket;
            if link == index + 1 {
                self.slot_mut(before).next_in_bucket = next;
                return;
            }
        }
        unreachable!("slot {index} is not in its bucket");
    }
}

#[cfg(test)]
mod tests;
