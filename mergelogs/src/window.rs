//! What pen saw lately: who made which request to which server, and when.
//!
//! Owns the index that makes finding the nearest request cheap, and forgetting. Pure: entries and questions come from
//! `pen_log`. Every operation costs the same however many requests are kept, but for the logarithm of how often the
//! same request was made.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU8;

/// The longest client that is kept: no address is longer (`INET6_ADDRSTRLEN` without its NUL).
pub const CLIENT_BYTES_MAX: usize = 45;

/// A server's place in the list of servers.
pub type ServerId = u32;

/// Stands for a server and a request, so that their text needs no room: a hash of 64 bits with a secret key. Nobody
/// can choose requests so that two are the same, and in a billion lines looked up among a million no two are by chance
/// but once in twenty thousand such merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// Makes [`Fingerprint`]s; those of different instances do not compare.
#[derive(Default)]
pub struct Fingerprints(RandomState);

impl Fingerprints {
    pub fn of(&self, server: ServerId, request: &[u8]) -> Fingerprint {
        let mut hasher = self.0.build_hasher();
        hasher.write(request);
        hasher.write_u32(server);
        Fingerprint(hasher.finish())
    }
}

/// A client as text, without an allocation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    length: NonZeroU8,
    bytes: [u8; CLIENT_BYTES_MAX],
}

impl Client {
    /// `None` for what cannot be an address: nothing, too much, or a character that does not show.
    pub fn new(text: &[u8]) -> Option<Client> {
        if text.len() > CLIENT_BYTES_MAX || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; CLIENT_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Client { length: NonZeroU8::new(text.len() as u8)?, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length.get())]
    }
}

/// A request that pen passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub epoch_seconds: i64,
    pub client: Client,
}

impl Sighting {
    pub fn distance_seconds(&self, epoch_seconds: i64) -> u64 {
        self.epoch_seconds.abs_diff(epoch_seconds)
    }
}

/// The sightings of one request to one server. Most requests are seen once. With its fingerprint it fills one cache
/// line: finding it there is most of what a line costs.
enum Sightings {
    One(Sighting),
    Many(Series),
}

/// In order of time; of sightings in one second only the first, because the others are never the answer.
struct Series {
    sightings: VecDeque<Sighting>,
    /// Where the last answer was found.
    place: usize,
}

impl Sightings {
    fn insert(&mut self, sighting: Sighting) {
        match self {
            Sightings::One(first) if first.epoch_seconds == sighting.epoch_seconds => {}
            Sightings::One(first) => {
                let mut series = Series { sightings: VecDeque::from([*first]), place: 0 };
                series.insert(sighting);
                *self = Sightings::Many(series);
            }
            Sightings::Many(series) => series.insert(sighting),
        }
    }

    fn nearest(&mut self, epoch_seconds: i64) -> &Sighting {
        match self {
            Sightings::One(only) => only,
            Sightings::Many(series) => series.nearest(epoch_seconds),
        }
    }

    /// Whether anything is left.
    fn forget_before(&mut self, epoch_seconds: i64) -> bool {
        match self {
            Sightings::One(only) => only.epoch_seconds >= epoch_seconds,
            Sightings::Many(series) => series.forget_before(epoch_seconds),
        }
    }
}

impl Series {
    /// Pen's log is in order of time but for moments, so the place is near the end.
    fn insert(&mut self, sighting: Sighting) {
        let is_later = |other: &&Sighting| other.epoch_seconds > sighting.epoch_seconds;
        let later = self.sightings.iter().rev().take_while(is_later).count();
        let place = self.sightings.len() - later;
        let is_second = place > 0 && self.sightings[place - 1].epoch_seconds == sighting.epoch_seconds;
        if !is_second {
            self.sightings.insert(place, sighting);
        }
    }

    /// The earlier one of two that are equally near.
    fn nearest(&mut self, epoch_seconds: i64) -> &Sighting {
        let after = self.first_from(epoch_seconds);
        self.place = after;
        let candidates = [after.checked_sub(1), Some(after)].into_iter().flatten();
        candidates
            .filter_map(|index| self.sightings.get(index))
            .min_by_key(|sighting| sighting.distance_seconds(epoch_seconds))
            .expect("a series is never empty")
    }

    /// Web logs are in order of time but for moments too, so the place is near the last one.
    fn first_from(&self, epoch_seconds: i64) -> usize {
        const NEAR: usize = 8;
        let is_before = |sighting: &Sighting| sighting.epoch_seconds < epoch_seconds;
        let start = self.place.saturating_sub(NEAR / 2).min(self.sightings.len());
        let steps =
            self.sightings.range(start..).take(NEAR).take_while(|sighting| is_before(sighting)).count();
        let is_beyond_start = start == 0 || is_before(&self.sightings[start - 1]);
        if is_beyond_start && steps < NEAR {
            start + steps
        } else {
            self.sightings.partition_point(is_before)
        }
    }

    fn forget_before(&mut self, epoch_seconds: i64) -> bool {
        while self.sightings.front().is_some_and(|first| first.epoch_seconds < epoch_seconds) {
            self.sightings.pop_front();
            self.place = self.place.saturating_sub(1);
        }
        !self.sightings.is_empty()
    }
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

    /// The sighting of this request that is nearest in time: the earlier one of two that are equally near, and of one
    /// second the first.
    pub fn nearest(&mut self, fingerprint: Fingerprint, epoch_seconds: i64) -> Option<&Sighting> {
        self.by_request.get_mut(&fingerprint).map(|sightings| sightings.nearest(epoch_seconds))
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

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sighting(epoch_seconds: i64, number: usize) -> Sighting {
        Sighting { epoch_seconds, client: Client::new(format!("192.0.2.{number}").as_bytes()).unwrap() }
    }

    #[test]
    fn an_entry_of_the_index_fills_a_cache_line() {
        assert!(size_of::<(Fingerprint, Sightings)>() <= 64);
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
        /// Against the plain rule: the nearest of all, the earliest of equals, unless it may be forgotten.
        #[test]
        fn the_nearest_is_found(
            batches in proptest::collection::vec(proptest::collection::vec((0u32..3, 0i64..60), 0..16), 0..20),
            questions in proptest::collection::vec((0u32..3, 0i64..70), 1..40),
        ) {
            let fingerprints = Fingerprints::default();
            let mut window = Window::default();
            let mut all = Vec::new();
            for batch in &batches {
                let from = all.len();
                for &(server, epoch_seconds) in batch {
                    all.push((server, sighting(epoch_seconds, all.len())));
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
                    .min_by_key(|seen| (seen.distance_seconds(epoch_seconds), seen.epoch_seconds));
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
