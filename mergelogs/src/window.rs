//! What pen saw lately: who made which request to which server, and when.
//!
//! Owns the index that makes finding the nearest request cheap, and forgetting. Pure: entries and questions come from
//! `pen_log`. Every operation costs the same however many requests are kept, but for the logarithm of how often the
//! same request was made.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};

/// The longest client that is kept: no address is longer (`INET6_ADDRSTRLEN` without its NUL).
pub const CLIENT_BYTES_MAX: usize = 45;

/// A server's place in the list of servers.
pub type ServerId = u32;

/// Stands for a server and a request. Two 64-bit hashes with secret keys: requests are made by clients, who must not
/// be able to find two with the same value, and at this width no two ever meet by chance. So the text needs no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

/// Makes [`Fingerprint`]s; those of different instances do not compare.
#[derive(Default)]
pub struct Fingerprints {
    high: RandomState,
    low: RandomState,
}

impl Fingerprints {
    pub fn of(&self, server: ServerId, request: &[u8]) -> Fingerprint {
        let half = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write_u32(server);
            hasher.write(request);
            u128::from(hasher.finish())
        };
        Fingerprint(half(&self.high) << 64 | half(&self.low))
    }
}

/// A client as text, without an allocation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    length: u8,
    bytes: [u8; CLIENT_BYTES_MAX],
}

impl Client {
    /// `None` for what cannot be an address: nothing, too much, or a character that does not show.
    pub fn new(text: &[u8]) -> Option<Client> {
        if text.is_empty() || text.len() > CLIENT_BYTES_MAX || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; CLIENT_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Client { length: text.len() as u8, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A request that pen passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub epoch_seconds: i64,
    /// Its place in the pen log: of two equally near the first one counts.
    pub order: u64,
    pub client: Client,
}

impl Sighting {
    pub fn distance_seconds(&self, epoch_seconds: i64) -> u64 {
        self.epoch_seconds.abs_diff(epoch_seconds)
    }
}

/// All sightings of one request to one server, in order of time. Most requests are seen once.
enum Sightings {
    One(Sighting),
    Many(VecDeque<Sighting>),
}

impl Sightings {
    fn insert(&mut self, sighting: Sighting) {
        match self {
            Sightings::One(first) => {
                let mut many = VecDeque::from([*first]);
                insert_in_order(&mut many, sighting);
                *self = Sightings::Many(many);
            }
            Sightings::Many(many) => insert_in_order(many, sighting),
        }
    }

    fn nearest(&self, epoch_seconds: i64) -> &Sighting {
        match self {
            Sightings::One(only) => only,
            Sightings::Many(many) => nearest(many, epoch_seconds),
        }
    }

    /// Whether anything is left.
    fn forget_before(&mut self, epoch_seconds: i64) -> bool {
        match self {
            Sightings::One(only) => only.epoch_seconds >= epoch_seconds,
            Sightings::Many(many) => {
                while many.front().is_some_and(|first| first.epoch_seconds < epoch_seconds) {
                    many.pop_front();
                }
                !many.is_empty()
            }
        }
    }
}

/// Pen's log is in order of time but for moments, so the place is near the end.
fn insert_in_order(many: &mut VecDeque<Sighting>, sighting: Sighting) {
    let later = many.iter().rev().take_while(|other| other.epoch_seconds > sighting.epoch_seconds).count();
    many.insert(many.len() - later, sighting);
}

/// `many` is not empty.
fn nearest(many: &VecDeque<Sighting>, epoch_seconds: i64) -> &Sighting {
    let first_from = |moment: i64| many.partition_point(|other| other.epoch_seconds < moment);
    let after = first_from(epoch_seconds);
    let Some(last_before) = after.checked_sub(1) else { return &many[after] };
    let before = first_from(many[last_before].epoch_seconds);
    let distance = |index: usize| (many[index].distance_seconds(epoch_seconds), many[index].order);
    let nearer = if after < many.len() && distance(after) < distance(before) { after } else { before };
    &many[nearer]
}

/// Sightings that came together, to be forgotten together.
struct Batch {
    newest_epoch_seconds: i64,
    fingerprints: Vec<Fingerprint>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        self.newest_epoch_seconds == other.newest_epoch_seconds
    }
}

impl Eq for Batch {}

impl PartialOrd for Batch {
    fn partial_cmp(&self, other: &Batch) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Batch {
    fn cmp(&self, other: &Batch) -> Ordering {
        self.newest_epoch_seconds.cmp(&other.newest_epoch_seconds)
    }
}

/// The requests that are kept.
#[derive(Default)]
pub struct Window {
    by_request: HashMap<Fingerprint, Sightings, FingerprintState>,
    batches: BinaryHeap<Reverse<Batch>>,
}

impl Window {
    /// Keeps what was read in one go. It is forgotten when its newest member is, so an entry far ahead of its time
    /// keeps only its own batch.
    pub fn insert(&mut self, batch: &[(Fingerprint, Sighting)]) {
        let Some(newest_epoch_seconds) = batch.iter().map(|(_, sighting)| sighting.epoch_seconds).max()
        else {
            return;
        };
        for &(fingerprint, sighting) in batch {
            self.by_request
                .entry(fingerprint)
                .and_modify(|sightings| sightings.insert(sighting))
                .or_insert(Sightings::One(sighting));
        }
        let fingerprints = batch.iter().map(|&(fingerprint, _)| fingerprint).collect();
        self.batches.push(Reverse(Batch { newest_epoch_seconds, fingerprints }));
    }

    /// Forgets batches that are over and done with before `epoch_seconds`.
    pub fn forget_before(&mut self, epoch_seconds: i64) {
        while let Some(Reverse(oldest)) = self.batches.peek()
            && oldest.newest_epoch_seconds < epoch_seconds
            && let Some(Reverse(batch)) = self.batches.pop()
        {
            for fingerprint in batch.fingerprints {
                if let Some(sightings) = self.by_request.get_mut(&fingerprint)
                    && !sightings.forget_before(epoch_seconds)
                {
                    self.by_request.remove(&fingerprint);
                }
            }
        }
    }

    /// The sighting of this request that is nearest in time, the first in the pen log where two are equally near.
    pub fn nearest(&self, fingerprint: Fingerprint, epoch_seconds: i64) -> Option<&Sighting> {
        self.by_request.get(&fingerprint).map(|sightings| sightings.nearest(epoch_seconds))
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct FingerprintState;

struct FingerprintHasher(u64);

impl BuildHasher for FingerprintState {
    type Hasher = FingerprintHasher;

    fn build_hasher(&self) -> FingerprintHasher {
        FingerprintHasher(0)
    }
}

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sighting(epoch_seconds: i64, order: u64) -> Sighting {
        Sighting { epoch_seconds, order, client: Client::new(b"192.0.2.1").unwrap() }
    }

    #[test]
    fn clients_are_addresses_or_names() {
        assert_eq!(Client::new(b"2001:db8::1").unwrap().as_bytes(), b"2001:db8::1");
        assert!(Client::new(&[b'a'; CLIENT_BYTES_MAX]).is_some());
        for text in [&b""[..], &[b'a'; CLIENT_BYTES_MAX + 1], b"a b", b"a\x1b[2J", b"\xff"] {
            assert_eq!(Client::new(text), None);
        }
    }

    #[test]
    fn fingerprints_tell_servers_and_requests_apart() {
        let fingerprints = Fingerprints::default();
        assert_eq!(fingerprints.of(1, b"GET /"), fingerprints.of(1, b"GET /"));
        assert_ne!(fingerprints.of(1, b"GET /"), fingerprints.of(2, b"GET /"));
        assert_ne!(fingerprints.of(1, b"GET /"), fingerprints.of(1, b"GET /\0"));
    }

    proptest! {
        /// Against the plain rule: the nearest of all, the first of equals, unless it may be forgotten.
        #[test]
        fn the_nearest_is_found(
            batches in proptest::collection::vec(proptest::collection::vec((0u32..3, 0i64..60), 0..6), 0..20),
            questions in proptest::collection::vec((0u32..3, 0i64..70), 1..20),
        ) {
            let fingerprints = Fingerprints::default();
            let mut window = Window::default();
            let mut all = Vec::new();
            for batch in &batches {
                let from = all.len();
                for &(server, epoch_seconds) in batch {
                    all.push((server, sighting(epoch_seconds, all.len() as u64)));
                }
                let batch: Vec<_> =
                    all[from..].iter().map(|&(server, seen)| (fingerprints.of(server, b"r"), seen)).collect();
                window.insert(&batch);
            }
            let mut horizon = 0;
            for (server, epoch_seconds) in questions {
                horizon = horizon.max(epoch_seconds - 20);
                window.forget_before(horizon);
                let nearest = all
                    .iter()
                    .filter(|&&(other, _)| other == server)
                    .map(|(_, seen)| seen)
                    .min_by_key(|seen| (seen.distance_seconds(epoch_seconds), seen.order));
                if let Some(nearest) = nearest && nearest.epoch_seconds >= horizon {
                    let found = window.nearest(fingerprints.of(server, b"r"), epoch_seconds);
                    prop_assert_eq!(found, Some(nearest));
                }
            }
            window.forget_before(i64::MAX);
            prop_assert!(window.by_request.is_empty() && window.batches.is_empty());
        }
    }
}
