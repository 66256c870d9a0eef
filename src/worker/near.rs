//! Which connections a server sees from an address: `client_of`.
//!
//! Only the system knows the near end of a connection to a server. While somebody asks, a worker keeps an index of them: it is
//! made of all connections at the first question, and completed at each by those that have begun since. A minute after
//! the last question there is none any more. Entries are not taken out when connections end: what is found is compared with
//! the socket once more.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// For so long after a question the index is kept up.
const KEPT_MS: u64 = 60_000;
/// With more connections that began since the last question the index is made anew at the next.
const NEWCOMERS_MAX: usize = 65_536;
/// The index is made anew when it has twice as many entries as there are connections, and so many more.
const SPARE_ENTRIES: usize = 1_024;

/// What has a socket to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    Connection(u32),
    /// Of UDP.
    Session(u32),
}

/// Near ends of connections to servers, while somebody asks for them.
#[derive(Debug, Default)]
pub(crate) struct NearEnds {
    index: Option<Box<Index>>,
}

#[derive(Debug, Default)]
struct Index {
    by_end: BTreeSet<(SocketAddr, Holder)>,
    newcomers: Vec<Holder>,
    asked_ms: u64,
}

impl NearEnds {
    /// This one has a socket to a server from now on, or another one.
    #[inline]
    pub fn begins(&mut self, holder: Holder, now_ms: u64) {
        if let Some(index) = &mut self.index {
            match now_ms.saturating_sub(index.asked_ms) > KEPT_MS || index.newcomers.len() >= NEWCOMERS_MAX {
                true => self.index = None,
                false => index.newcomers.push(holder),
            }
        }
    }

    /// Those whose near end this is. `all` are those that there are, `end_of` asks the system.
    pub fn find<A: Iterator<Item = Holder>>(
        &mut self,
        end: SocketAddr,
        now_ms: u64,
        all: impl Fn() -> A,
        end_of: impl Fn(Holder) -> Option<SocketAddr>,
    ) -> Vec<Holder> {
        let end = plain(end);
        let is_new = self.index.is_none();
        let index = self.index.get_or_insert_default();
        index.asked_ms = now_ms;
        let newcomers = std::mem::take(&mut index.newcomers);
        let mut enter = |holder| {
            if let Some(end) = end_of(holder) {
                index.by_end.insert((plain(end), holder));
            }
        };
        match is_new {
            true => all().for_each(&mut enter),
            false => newcomers.into_iter().for_each(&mut enter),
        }
        let found: Vec<Holder> = index
            .by_end
            .range((end, Holder::Connection(0))..=(end, Holder::Session(u32::MAX)))
            .map(|(_, holder)| *holder)
            .collect();
        let (there, gone): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|holder| end_of(*holder).map(plain) == Some(end));
        for holder in gone {
            index.by_end.remove(&(end, holder));
        }
        if index.by_end.len() > SPARE_ENTRIES && index.by_end.len() > SPARE_ENTRIES + 2 * all().count() {
            self.index = None;
        }
        there
    }
}

/// An IPv4 address counts as itself, also where it is written as an IPv6 one; zones do not count.
fn plain(end: SocketAddr) -> SocketAddr {
    let ip: IpAddr = end.ip().to_canonical();
    SocketAddr::new(ip, end.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    /// Connections with their near ends, and how often the system was asked.
    #[derive(Default)]
    struct World {
        ends: RefCell<BTreeMap<Holder, u16>>,
        asked: Cell<usize>,
    }

    impl World {
        fn find(&self, near: &mut NearEnds, port: u16, now_ms: u64) -> Vec<Holder> {
            let all = || self.ends.borrow().keys().copied().collect::<Vec<_>>().into_iter();
            let end_of = |holder| {
                self.asked.set(self.asked.get() + 1);
                self.ends.borrow().get(&holder).map(|port| ([127, 0, 0, 1], *port).into())
            };
            near.find(([127, 0, 0, 1], port).into(), now_ms, all, end_of)
        }

        fn begins(&self, near: &mut NearEnds, holder: Holder, port: u16, now_ms: u64) {
            self.ends.borrow_mut().insert(holder, port);
            near.begins(holder, now_ms);
        }

        fn asked(&self) -> usize {
            self.asked.replace(0)
        }
    }

    #[test]
    fn each_connection_is_asked_for_once_and_what_is_found_once_more() {
        let (world, mut near) = (World::default(), NearEnds::default());
        for number in 0..1000 {
            world.begins(&mut near, Holder::Connection(number), 1000 + number as u16, 0);
        }
        assert_eq!(world.asked(), 0, "nobody wants to know");
        assert_eq!(world.find(&mut near, 1007, 1), [Holder::Connection(7)]);
        assert_eq!(world.asked(), 1001);
        world.begins(&mut near, Holder::Session(3), 5000, 2);
        world.begins(&mut near, Holder::Connection(3), 6000, 2);
        assert_eq!(world.find(&mut near, 5000, 3), [Holder::Session(3)]);
        assert_eq!(world.asked(), 3);
        assert_eq!(world.find(&mut near, 6000, 3), [Holder::Connection(3)]);
        assert_eq!(world.find(&mut near, 1003, 3), [], "its number went to another");
        world.ends.borrow_mut().remove(&Holder::Session(3));
        assert_eq!(world.find(&mut near, 5000, 3), []);
        world.begins(&mut near, Holder::Connection(2000), 1007, 4);
        let both = [Holder::Connection(7), Holder::Connection(2000)];
        assert_eq!(world.find(&mut near, 1007, 5), both, "to different servers");
    }

    #[test]
    fn nothing_is_kept_when_nobody_asks_any_more() {
        let (world, mut near) = (World::default(), NearEnds::default());
        assert_eq!(world.find(&mut near, 1, 0), []);
        world.begins(&mut near, Holder::Connection(1), 1, KEPT_MS);
        assert!(near.index.is_some());
        world.begins(&mut near, Holder::Connection(2), 2, KEPT_MS + 1);
        assert!(near.index.is_none());
        assert_eq!(world.find(&mut near, 2, KEPT_MS + 1), [Holder::Connection(2)]);
        for number in 0..5_000 {
            world.begins(&mut near, Holder::Connection(7), 10_000 + number, KEPT_MS + 2);
            world.find(&mut near, 2, KEPT_MS + 2);
        }
        let entries = near.index.as_ref().map_or(0, |index| index.by_end.len());
        assert!(entries <= SPARE_ENTRIES + 10, "{entries}");
    }
}
