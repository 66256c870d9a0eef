//! Who asked which server for what, lately.
//!
//! Owns the entries that pen's datagrams make, and the rules by which a web server's line finds its client. Pure: time
//! is an argument. Filled and asked by `records`. Finding and replacing take logarithmic time however many entries
//! there are, so that nobody can slow penlogd down by what they send.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::Bound;
use std::rc::Rc;

use pen_proto::addr::ClientAddr;

/// How many entries are looked at where a web server logs only the beginning of requests, and many begin like that.
/// As many as Pen's penlogd looks at, which by default keeps no more.
const PREFIX_CANDIDATES_MAX: usize = 1000;

/// The server's sixteen bytes, then the request as pen logs it.
type Key = Rc<[u8]>;

pub struct Cache {
    by_request: BTreeMap<Key, Entry>,
    /// Every entry that came in, oldest first; a key may stand here more than once.
    arrivals: VecDeque<Arrival>,
    entries_max: usize,
    /// 0: entries do not age.
    age_max_seconds: u64,
    arrived: u64,
    scratch: Vec<u8>,
}

struct Entry {
    client: IpAddr,
    arrival: u64,
    at_seconds: u64,
}

struct Arrival {
    key: Key,
    number: u64,
    at_seconds: u64,
}

impl Cache {
    /// Keeps the last `entries_max` entries (at least one), and none longer than `age_max_seconds` (0: for ever).
    pub fn new(entries_max: usize, age_max_seconds: u64) -> Cache {
        Cache {
            by_request: BTreeMap::new(),
            arrivals: VecDeque::new(),
            entries_max: entries_max.max(1),
            age_max_seconds,
            arrived: 0,
            scratch: Vec::new(),
        }
    }

    /// `client` asked `server` for `request`, written as pen logs it.
    pub fn insert(&mut self, server: IpAddr, request: &[u8], client: IpAddr, now_seconds: u64) {
        self.forget(now_seconds);
        let key = self.key(server, request);
        self.arrived += 1;
        let entry = Entry { client, arrival: self.arrived, at_seconds: now_seconds };
        self.arrivals.push_back(Arrival { key: key.clone(), number: entry.arrival, at_seconds: now_seconds });
        self.by_request.insert(key, entry);
    }

    /// The client that last asked `server` for `request`.
    ///
    /// Where there is none, the one that last asked for anything that begins with it: some web servers log requests
    /// without their query or protocol, and to Pen's penlogd both cases are one.
    pub fn client_of(&mut self, server: IpAddr, request: &[u8], now_seconds: u64) -> Option<IpAddr> {
        self.write_key(server, request);
        let key = self.scratch.as_slice();
        let is_fresh = |entry: &&Entry| !self.is_over(entry.at_seconds, now_seconds);
        if let Some(entry) = self.by_request.get(key).filter(is_fresh) {
            return Some(entry.client);
        }
        self.by_request
            .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
            .take_while(|(candidate, _)| candidate.starts_with(key))
            .take(PREFIX_CANDIDATES_MAX)
            .map(|(_, entry)| entry)
            .filter(is_fresh)
            .max_by_key(|entry| entry.arrival)
            .map(|entry| entry.client)
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.arrivals.len()
    }

    /// Makes room for one more, and drops what is too old.
    fn forget(&mut self, now_seconds: u64) {
        while let Some(oldest) = self.arrivals.front()
            && (self.arrivals.len() >= self.entries_max || self.is_over(oldest.at_seconds, now_seconds))
            && let Some(oldest) = self.arrivals.pop_front()
        {
            if self.by_request.get(&oldest.key).is_some_and(|entry| entry.arrival == oldest.number) {
                self.by_request.remove(&oldest.key);
            }
        }
    }

    fn is_over(&self, at_seconds: u64, now_seconds: u64) -> bool {
        self.age_max_seconds > 0 && now_seconds.saturating_sub(at_seconds) > self.age_max_seconds
    }

    fn key(&mut self, server: IpAddr, request: &[u8]) -> Key {
        self.write_key(server, request);
        self.scratch.as_slice().into()
    }

    fn write_key(&mut self, server: IpAddr, request: &[u8]) {
        self.scratch.clear();
        self.scratch.extend_from_slice(&ClientAddr::Ip(server).key());
        self.scratch.extend_from_slice(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn client(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    #[test]
    fn the_newest_client_wins_and_stays() {
        let mut cache = Cache::new(10, 0);
        cache.insert(SERVER, b"GET /", client(1), 0);
        cache.insert(SERVER, b"GET /", client(2), 0);
        assert_eq!(cache.client_of(SERVER, b"GET /", 0), Some(client(2)));
        assert_eq!(cache.client_of(SERVER, b"GET /", 0), Some(client(2)));
        assert_eq!(cache.client_of(client(9), b"GET /", 0), None);
    }

    #[test]
    fn the_same_request_is_better_than_one_that_begins_with_it() {
        let mut cache = Cache::new(10, 0);
        cache.insert(SERVER, b"GET /a", client(1), 0);
        cache.insert(SERVER, b"GET /ab", client(2), 0);
        cache.insert(SERVER, b"GET /abc", client(3), 0);
        cache.insert(SERVER, b"GET /b", client(4), 0);
        assert_eq!(cache.client_of(SERVER, b"GET /a", 0), Some(client(1)));
        assert_eq!(cache.client_of(SERVER, b"GET", 0), Some(client(4)));
        assert_eq!(cache.client_of(SERVER, b"", 0), Some(client(4)));
        assert_eq!(cache.client_of(SERVER, b"GET /abcd", 0), None);
    }

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut cache = Cache::new(2, 0);
        for number in 1..=3 {
            cache.insert(SERVER, &[b'a' + number], client(number), 0);
        }
        assert_eq!(cache.client_of(SERVER, b"b", 0), None);
        assert_eq!(cache.client_of(SERVER, b"c", 0), Some(client(2)));
        assert_eq!(cache.entries(), 2);
    }

    #[test]
    fn a_repeated_request_survives_its_older_entry() {
        let mut cache = Cache::new(2, 0);
        cache.insert(SERVER, b"a", client(1), 0);
        cache.insert(SERVER, b"a", client(2), 0);
        cache.insert(SERVER, b"b", client(3), 0);
        assert_eq!(cache.client_of(SERVER, b"a", 0), Some(client(2)));
    }

    #[test]
    fn old_entries_match_nothing() {
        let mut cache = Cache::new(10, 5);
        cache.insert(SERVER, b"a", client(1), 100);
        assert_eq!(cache.client_of(SERVER, b"a", 105), Some(client(1)));
        assert_eq!(cache.client_of(SERVER, b"a", 106), None);
        assert_eq!(cache.client_of(SERVER, b"", 106), None);
        cache.insert(SERVER, b"b", client(2), 106);
        assert_eq!((cache.entries(), cache.by_request.len()), (1, 1));
    }

    proptest! {
        /// Against the plain rule: look at everything that is left, newest first.
        #[test]
        fn it_finds_what_a_scan_finds(
            entries_max in 1usize..6,
            age_max_seconds in 0u64..6,
            steps in proptest::collection::vec((any::<bool>(), "[ab]{0,3}", 0u8..4, 0u64..3), 0..60),
        ) {
            let mut cache = Cache::new(entries_max, age_max_seconds);
            let mut left: Vec<(String, IpAddr, u64)> = Vec::new();
            let mut now_seconds = 0;
            for (is_insert, request, number, passed_seconds) in steps {
                now_seconds += passed_seconds;
                left.retain(|(_, _, at)| age_max_seconds == 0 || now_seconds - at <= age_max_seconds);
                if is_insert {
                    cache.insert(SERVER, request.as_bytes(), client(number), now_seconds);
                    left.push((request, client(number), now_seconds));
                    let surplus = left.len().saturating_sub(entries_max);
                    left.drain(..surplus);
                    prop_assert!(cache.by_request.len() <= cache.entries());
                    prop_assert_eq!(cache.entries(), left.len());
                } else {
                    let newest = || left.iter().rev();
                    let same = newest().find(|(stored, ..)| *stored == request);
                    let found = same.or_else(|| newest().find(|(stored, ..)| stored.starts_with(&request)));
                    let expected = found.map(|&(_, client, _)| client);
                    prop_assert_eq!(cache.client_of(SERVER, request.as_bytes(), now_seconds), expected);
                }
            }
        }
    }
}
