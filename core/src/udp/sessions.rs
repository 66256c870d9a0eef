//! The sessions of a worker: who talks to whom, and who must go when there is no more room. Pure.
//!
//! Owns the sessions by number, the index by client and the two orders of use; of what a session is for it knows
//! nothing. It reads no clock and sets no limit: whoever inserts makes room first, with [`Sessions::victim`].
//!
//! Anybody can send a datagram in the name of anybody, so a new session proves nothing. It becomes an *established* one
//! when its client speaks after the server has answered: who only pretends to be there has not heard the answer and
//! seldom knows when to go on. Room is made at the cost of new sessions, the one silent for the longest time first, and
//! of established ones only when there are no others. Established sessions may fill seven eighths of the room: beyond
//! that the one silent for the longest time counts as new again, so that newcomers always have a place in which to prove
//! themselves.
//!
//! Everything here takes the same time however many sessions there are.

use crate::lru::{Links, Lru, Slots};
use crate::slab::Slab;
pub use pen_proto::endpoint::OwnAddress;
use std::collections::{HashMap, TryReserveError};
use std::net::SocketAddr;

/// Of so many places one is kept for those that are new.
const NEWCOMERS_ONE_IN: usize = 8;

/// Two datagrams belong to the same session if they have the same of all this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parties {
    /// Who sends and is answered: the client, or a downstream of `proxy_accept`.
    pub peer: SocketAddr,
    /// The client for whom a downstream sends.
    pub named: Option<SocketAddr>,
    /// The address that the peer spoke to, from which it is answered.
    pub local: OwnAddress,
    /// Number of the listener.
    pub listener: u16,
}

impl Parties {
    /// Whose session it is.
    pub fn client(&self) -> SocketAddr {
        self.named.unwrap_or(self.peer)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    New,
    Established,
}

#[derive(Debug)]
struct Slot<T> {
    parties: Parties,
    rank: Rank,
    /// The server has spoken since the session began.
    answered: bool,
    age: Links,
    value: T,
}

impl<T> Slots for Slab<Slot<T>> {
    fn links(&mut self, slot: u32) -> &mut Links {
        &mut self.get_mut(slot).expect("a number in use").age
    }
}

/// Sessions by number and by client, each with a value. A number that became free is not given out again before
/// [`Sessions::recycle`].
#[derive(Debug)]
pub struct Sessions<T> {
    slots: Slab<Slot<T>>,
    /// Hashed with a secret key, because clients choose their addresses.
    numbers: HashMap<Parties, u32>,
    /// Of each rank, in the order in which they were last used.
    new: Lru,
    established: Lru,
    established_max: usize,
}

impl<T> Default for Sessions<T> {
    fn default() -> Sessions<T> {
        Sessions {
            slots: Slab::default(),
            numbers: HashMap::new(),
            new: Lru::default(),
            established: Lru::default(),
            established_max: usize::MAX,
        }
    }
}

impl<T> Sessions<T> {
    /// Tells how many sessions there is to be room for: established ones get no more than their part of it.
    pub fn expect(&mut self, most: usize) {
        self.established_max = (most - most / NEWCOMERS_ONE_IN).max(1);
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// How many have proved that somebody is there.
    pub fn established(&self) -> usize {
        self.established.len()
    }

    pub fn find(&self, parties: &Parties) -> Option<u32> {
        self.numbers.get(parties).copied()
    }

    /// Makes sure that there is memory for one more session.
    ///
    /// # Errors
    /// There is none.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.numbers.try_reserve(1)?;
        self.slots.try_reserve()
    }

    /// Begins a session, a new one in rank, with a datagram of its client.
    ///
    /// # Panics
    /// If there is one between the same parties.
    pub fn insert(&mut self, parties: Parties, value: T) -> u32 {
        let slot = Slot { parties, rank: Rank::New, answered: false, age: Links::default(), value };
        let number = self.slots.insert(slot);
        let before = self.numbers.insert(parties, number);
        assert!(before.is_none(), "two sessions of {parties:?}");
        self.append(number);
        number
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        Some(&self.slot(number)?.value)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        Some(&mut self.slots.get_mut(number)?.value)
    }

    pub fn parties(&self, number: u32) -> Option<Parties> {
        Some(self.slot(number)?.parties)
    }

    /// The client has sent something more: the session is used, and established if it had been answered.
    pub fn client_spoke(&mut self, number: u32) {
        let Some(slot) = self.slot(number) else { return };
        let proves_itself = slot.answered && slot.rank == Rank::New;
        self.unlink(number);
        if proves_itself {
            self.slot_mut(number).rank = Rank::Established;
        }
        self.append(number);
        if proves_itself && self.established.len() > self.established_max {
            self.demote_oldest();
        }
    }

    /// The server has sent something: the session is used.
    pub fn server_spoke(&mut self, number: u32) {
        if self.slot(number).is_none() {
            return;
        }
        self.slot_mut(number).answered = true;
        self.unlink(number);
        self.append(number);
    }

    /// The session to end when there is no room for another; `None` when there are none.
    pub fn victim(&self) -> Option<u32> {
        self.new.oldest().or(self.established.oldest())
    }

    pub fn remove(&mut self, number: u32) -> Option<(Parties, T)> {
        self.slot(number)?;
        self.unlink(number);
        let slot = self.slots.remove(number)?;
        self.numbers.remove(&slot.parties);
        Some((slot.parties, slot.value))
    }

    /// Makes the numbers freed since the last call available again. Called between wake-ups.
    pub fn recycle(&mut self) {
        self.slots.recycle();
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Parties, &T)> {
        self.slots.iter().map(|(number, slot)| (number, &slot.parties, &slot.value))
    }

    /// All numbers in use.
    pub fn indices(&self) -> Vec<u32> {
        self.slots.indices()
    }

    /// It becomes the last of the new sessions that would have to go: it has proved itself once.
    fn demote_oldest(&mut self) {
        let Some(number) = self.established.oldest() else { return };
        self.unlink(number);
        self.slot_mut(number).rank = Rank::New;
        self.append(number);
    }

    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        self.slots.get(number)
    }

    fn slot_mut(&mut self, number: u32) -> &mut Slot<T> {
        self.slots.get_mut(number).expect("a number in use")
    }

    /// Puts a session that is in no list at the end of that of its rank.
    fn append(&mut self, number: u32) {
        match self.slot_mut(number).rank {
            Rank::New => self.new.push(&mut self.slots, number),
            Rank::Established => self.established.push(&mut self.slots, number),
        }
    }

    fn unlink(&mut self, number: u32) {
        match self.slot_mut(number).rank {
            Rank::New => self.new.remove(&mut self.slots, number),
            Rank::Established => self.established.remove(&mut self.slots, number),
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
