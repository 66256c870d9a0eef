//! The client table against a plain list, with clients by the million, and at its edges.

use super::*;
use crate::balance::ServerId;
use proptest::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::Ipv6Addr;

/// Of the regular server with this number.
fn numbered(index: usize) -> ServerKey {
    ServerKey::numbered(ServerId::regular(index))
}

fn client(number: u128) -> ClientAddr {
    ClientAddr::Ip(Ipv6Addr::from_bits((0x2001_0db8 << 96) + number).into())
}

fn known<S: BuildHasher>(table: &ClientTable<S>, now_seconds: u32, tracking_seconds: u64) -> Vec<Client> {
    table.clients(0..u32::MAX, now_seconds, tracking_seconds).collect()
}

#[test]
fn the_client_that_connected_longest_ago_makes_room() {
    let mut table = ClientTable::new(2);
    let [first, _, _] = [(1, 10), (2, 11), (1, 12)].map(|(number, now)| table.touch(client(number), now, 0));
    table.remember(first, numbered(7));
    table.touch(client(3), 13, 0);
    let addresses: Vec<_> = known(&table, 13, 0).iter().map(|client| client.address).collect();
    assert_eq!(addresses, [client(1), client(3)]);
    assert_eq!(table.server(first), numbered(7));
}

#[test]
fn a_client_starts_afresh_after_its_tracking_time() {
    let mut table = ClientTable::new(4);
    let key = table.touch(client(1), 100, 10);
    table.remember(key, numbered(2));
    table.add_bytes(key, 5, 6);
    assert_eq!(table.touch(client(1), 110, 10), key, "the last second still counts");
    assert_eq!(table.server(key), numbered(2));
    assert!(known(&table, 121, 10).is_empty());
    assert_eq!(table.touch(client(1), 121, 10), key, "the slot stays the client's own");
    assert_eq!(table.server(key), ServerKey::NONE);
    let afresh = known(&table, 121, 10)[0];
    assert_eq!((afresh.connects, afresh.to_client_bytes, afresh.from_client_bytes), (1, 0, 0));
}

#[test]
fn without_a_tracking_time_clients_are_remembered_for_ever() {
    let mut table = ClientTable::new(4);
    let key = table.touch(client(1), 0, 0);
    table.remember(key, ServerKey::numbered(ServerId::ABUSE));
    table.touch(client(1), u32::MAX, 0);
    assert_eq!(
        (table.server(key), known(&table, u32::MAX, 0)[0].connects),
        (ServerKey::numbered(ServerId::ABUSE), 2)
    );
}

#[test]
fn an_expired_client_makes_room_before_memory_is_touched() {
    let mut table = ClientTable::new(1_000);
    for number in 0..500 {
        table.touch(client(number), number as u32 * 20, 10);
    }
    assert_eq!(table.slots_used(), 1);
}

#[test]
fn a_key_is_worthless_once_its_slot_has_gone_to_somebody_else() {
    let mut table = ClientTable::new(1);
    let gone = table.touch(client(1), 1, 0);
    let here = table.touch(client(2), 2, 0);
    assert_eq!({ gone.index }, { here.index });
    table.add_bytes(gone, 1, 1);
    table.remember(gone, numbered(0));
    let only = known(&table, 2, 0)[0];
    assert_eq!((only.server, only.to_client_bytes, only.from_client_bytes), (ServerKey::NONE, 0, 0));
    assert_eq!(table.server(gone), ServerKey::NONE);
}

#[test]
fn a_million_clients_fit_into_60_mib_and_are_all_found_again() {
    const CLIENTS: u32 = 1_000_000;
    let mut table = ClientTable::new(CLIENTS);
    let bytes = table.slots.capacity() * size_of::<Slot>() + table.buckets.capacity() * size_of::<Link>();
    assert!(bytes <= 60 << 20, "{bytes} bytes");
    let keys: Vec<_> = (0..CLIENTS).map(|number| table.touch(client(number.into()), number, 0)).collect();
    for (number, key) in (0..).zip(&keys) {
        assert_eq!(table.touch(client(number), CLIENTS, 0), *key);
    }
    for number in CLIENTS..2 * CLIENTS {
        table.touch(client(number.into()), number, 0);
    }
    assert_eq!(table.slots_used(), CLIENTS);
    assert!(keys.iter().all(|key| table.owned(*key).is_none()), "all of them were evicted");
}

/// Sends everybody into one of three chains, so that chains are long and entries are taken out of their middle.
#[derive(Default)]
struct ThreeChains(u64);

impl Hasher for ThreeChains {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>() % 3;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The same table, written without any cleverness.
#[derive(Default)]
struct Model {
    slots_max: usize,
    /// From the one that connected longest ago to the latest.
    clients: Vec<(SlotKey, Client)>,
}

impl Model {
    fn is_expired(client: &Client, now_seconds: u32, tracking_seconds: u64) -> bool {
        tracking_seconds > 0 && u64::from(client.last_use_seconds) + tracking_seconds < u64::from(now_seconds)
    }

    /// `key` is what the table gave out; the model checks that it is a key it may give.
    fn touch(&mut self, address: ClientAddr, now_seconds: u32, tracking_seconds: u64, key: SlotKey) {
        let fresh = Client {
            slot: key.index,
            address,
            last_use_seconds: now_seconds,
            server: ServerKey::NONE,
            connects: 1,
            to_client_bytes: 0,
            from_client_bytes: 0,
        };
        let Some(position) = self.clients.iter().position(|(_, client)| client.address == address) else {
            let full = self.clients.len() == self.slots_max;
            let expired =
                |(_, client): &(SlotKey, Client)| Model::is_expired(client, now_seconds, tracking_seconds);
            if full || self.clients.first().is_some_and(expired) {
                let (gone, _) = self.clients.remove(0);
                assert_eq!({ gone.index }, { key.index }, "the oldest client's slot is taken");
                assert_ne!(gone.generation, key.generation, "under a new generation");
            } else {
                assert_eq!({ key.index } as usize, self.clients.len(), "slots are filled in order");
            }
            self.clients.push((key, fresh));
            return;
        };
        let (own_key, client) = self.clients.remove(position);
        assert_eq!(own_key, key, "a client keeps its slot");
        let client = match Model::is_expired(&client, now_seconds, tracking_seconds) {
            true => fresh,
            false => Client { connects: client.connects + 1, last_use_seconds: now_seconds, ..client },
        };
        self.clients.push((key, client));
    }

    fn owned(&mut self, key: SlotKey) -> Option<&mut Client> {
        self.clients.iter_mut().find(|(own, _)| *own == key).map(|(_, client)| client)
    }

    fn known(&self, now_seconds: u32, tracking_seconds: u64) -> Vec<Client> {
        let mut known: Vec<_> = self.clients.iter().map(|(_, client)| *client).collect();
        known.retain(|client| !Model::is_expired(client, now_seconds, tracking_seconds));
        known.sort_by_key(|client| client.slot);
        known
    }
}

#[derive(Debug, Clone)]
enum Step {
    Touch { number: u128 },
    Remember { key: prop::sample::Index, server: usize },
    AddBytes { key: prop::sample::Index },
    Pass { seconds: u32 },
    Tracking { seconds: u64 },
    Grow { slots_max: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..24u128).prop_map(|number| Step::Touch { number }),
        2 => (any::<prop::sample::Index>(), 0..9usize).prop_map(|(key, server)| Step::Remember { key, server }),
        2 => any::<prop::sample::Index>().prop_map(|key| Step::AddBytes { key }),
        2 => (0..20u32).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..30u64).prop_map(|seconds| Step::Tracking { seconds }),
        1 => (0..20u32).prop_map(|slots_max| Step::Grow { slots_max }),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_plain_list_of_clients(
        slots_max in 1..12u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut table = ClientTable::with_hasher(slots_max, BuildHasherDefault::<ThreeChains>::default());
        let mut model = Model { slots_max: slots_max as usize, ..Model::default() };
        let mut keys: HashMap<usize, SlotKey> = HashMap::new();
        let (mut now_seconds, mut tracking_seconds) = (1_000, 0);
        for step in steps {
            match step {
                Step::Touch { number } => {
                    let key = table.touch(client(number), now_seconds, tracking_seconds);
                    model.touch(client(number), now_seconds, tracking_seconds, key);
                    keys.insert(keys.len(), key);
                }
                Step::Remember { key, server } if !keys.is_empty() => {
                    let key = keys[&key.index(keys.len())];
                    table.remember(key, numbered(server));
                    if let Some(client) = model.owned(key) {
                        client.server = numbered(server);
                    }
                }
                Step::AddBytes { key } if !keys.is_empty() => {
                    let key = keys[&key.index(keys.len())];
                    table.add_bytes(key, 3, 4);
                    if let Some(client) = model.owned(key) {
                        client.to_client_bytes += 3;
                        client.from_client_bytes += 4;
                    }
                }
                Step::Remember { .. } | Step::AddBytes { .. } => {}
                Step::Pass { seconds } => now_seconds += seconds,
                Step::Tracking { seconds } => tracking_seconds = seconds,
                Step::Grow { slots_max } => {
                    table.grow(Room::new(slots_max).expect("memory"));
                    model.slots_max = model.slots_max.max(slots_max as usize);
                }
            }
            prop_assert_eq!(table.slots_max() as usize, model.slots_max);
            let tracking = tracking_seconds;
            prop_assert_eq!(known(&table, now_seconds, tracking), model.known(now_seconds, tracking));
        }
    }
}
