//! A client table, and the selections of all services that share it: what one lock is around. Pure.

use super::chooser::Chooser;
use super::clients::{ClientTable, Room};
use super::keys::{Names, ServerKey};
use super::rules::Rules;
use super::selection::Selection;
use super::servers::{ServerId, ServerSetup};
use std::collections::HashSet;

/// A selection of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectionKey(u16);

/// Clients, and for each service its servers and the choice between them.
pub struct Pool {
    pub(super) clients: ClientTable,
    names: Names,
    /// By key; `None` is free.
    selections: Vec<Option<Selection>>,
    /// What is drawn by lot follows from it.
    seed: u64,
}

impl Pool {
    /// With room for `clients_max` clients (0 counts as 1).
    ///
    /// # Panics
    /// Without memory.
    pub fn new(clients_max: u32) -> Pool {
        Pool::with_clients(ClientTable::new(clients_max))
    }

    /// With this room for clients.
    pub fn in_room(clients: Room) -> Pool {
        Pool::with_clients(ClientTable::in_room(clients))
    }

    fn with_clients(clients: ClientTable) -> Pool {
        Pool { clients, names: Names::default(), selections: Vec::new(), seed: 0 }
    }

    /// The same, with another seed for what is drawn by lot (`policy random`); without one it is always the same.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Pool {
        Pool { seed, ..self }
    }

    /// Gives the clients a larger room; one that is not larger changes nothing.
    pub fn grow_clients(&mut self, room: Room) {
        self.clients.grow(room);
    }

    /// How many clients are remembered at most.
    pub fn clients_max(&self) -> u32 {
        self.clients.slots_max()
    }

    /// How many slots of the client table have been used; slot numbers are below this.
    pub fn client_slots_used(&self) -> u32 {
        self.clients.slots_used()
    }

    /// One more service, without servers.
    ///
    /// # Panics
    /// With more than 65,536 of them.
    pub fn add_selection(&mut self, rules: Rules) -> SelectionKey {
        let free = self.selections.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.selections.push(None);
            self.selections.len() - 1
        });
        self.selections[place] = Some(Selection::new(rules, self.seed.wrapping_add(place as u64)));
        SelectionKey(place.try_into().expect("at most 65,536 services share a client table"))
    }

    /// The service is gone, and so are its connections. Its key may be given to another.
    ///
    /// # Panics
    /// For a key that this pool has not, as [`Pool::at`].
    pub fn remove_selection(&mut self, key: SelectionKey) {
        assert!(self.selections[usize::from(key.0)].take().is_some(), "{key:?} is not of this pool");
    }

    /// A service's selection and the clients, to choose.
    ///
    /// # Panics
    /// For a key that this pool has not: removed, or of another pool.
    pub fn at(&mut self, key: SelectionKey) -> Chooser<'_> {
        let selection = self.selections.get_mut(usize::from(key.0)).and_then(Option::as_mut);
        Chooser { clients: &mut self.clients, selection: selection.expect("a selection of this pool") }
    }

    /// Replaces the servers of a service. What is known of each stays with its number: connections, totals, and how it
    /// stands unless the address changed. Clients stay with a server's name, or, where it has none, with the number, as
    /// in Pen.
    ///
    /// # Panics
    /// With more than [`super::SERVER_NUMBERS`] regular servers; for a key that this pool has not.
    pub fn set_servers(
        &mut self,
        key: SelectionKey,
        regular: Vec<ServerSetup>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) {
        let mut keyed = Vec::with_capacity(regular.len());
        for (index, setup) in regular.into_iter().enumerate() {
            let server = match &setup.name {
                None => ServerKey::numbered(ServerId::regular(index)),
                Some(name) => self.key_of(name, &keyed),
            };
            keyed.push((setup, server));
        }
        self.at(key).selection.set_servers(keyed, emergency, abuse);
    }

    /// What stands for the name. With too many names at once there is nothing left for it, and its clients are not
    /// remembered.
    fn key_of(&mut self, name: &str, coming: &[(ServerSetup, ServerKey)]) -> ServerKey {
        self.names.key(name).unwrap_or_else(|| {
            let selections = self.selections.iter().flatten();
            let present =
                selections.flat_map(|selection| selection.servers.regular()).map(|server| server.key);
            let in_use: HashSet<ServerKey> = present.chain(coming.iter().map(|(_, key)| *key)).collect();
            let unused = self.names.reclaim(&in_use);
            self.clients.forget_servers(|server| unused.contains(&server));
            self.names.key(name).unwrap_or(ServerKey::NONE)
        })
    }
}
