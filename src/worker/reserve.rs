//! The connections a worker keeps ready, by server: which there are, and which are missing.
//!
//! Owns the sockets and the book about them; opens and watches none, which is for `idlers.rs`, its only user.

use crate::balance::{IdlerPlace, IdlerTarget, ServerId};
use crate::os::Fd;
use crate::slab::Slab;
use std::ops::Range;

/// Connects under way to one server: so many at a time do not drive clients out of its queue.
const CONNECTING_MAX: usize = 16;

/// A server of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub service: u16,
    pub server: ServerId,
}

/// A connection to a server, without a client.
#[derive(Debug)]
pub struct Idler {
    pub service: u16,
    pub target: IdlerTarget,
    pub fd: Fd,
    pub stage: Stage,
}

impl Idler {
    pub fn spot(&self) -> Spot {
        Spot { service: self.service, server: self.target.server }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Given up at this time; monotonic.
    Connecting { deadline_ms: u64 },
    /// `readable`: the server has said something, which stays unread for the client to come.
    Ready { readable: bool },
}

/// A server and its idlers.
#[derive(Debug)]
struct Place {
    service: u16,
    plan: IdlerPlace,
    /// The numbers of those that are ready, the latest last.
    ready: Vec<u32>,
    connecting: usize,
    /// Gets no new one before; monotonic.
    paused_until_ms: u64,
}

impl Place {
    fn spot(&self) -> Spot {
        Spot { service: self.service, server: self.plan.target.server }
    }

    fn count(&self) -> usize {
        self.ready.len() + self.connecting
    }
}

/// The idlers of a worker.
#[derive(Debug, Default)]
pub struct Reserve {
    /// In the order of services and their servers.
    places: Vec<Place>,
    idlers: Slab<Idler>,
}

impl Reserve {
    /// Takes over where idlers of a service must be, and returns the numbers of those that are too many now or at a server
    /// that must have none. The caller removes them.
    pub fn adopt(&mut self, service: u16, plan: Vec<IdlerPlace>) -> Vec<u32> {
        let range = self.range(service);
        if self.places[range.clone()].iter().map(|place| &place.plan).eq(&plan) {
            return Vec::new();
        }
        let places = plan.into_iter().map(|plan| {
            let spot = Spot { service, server: plan.target.server };
            let paused_until_ms = self.place(spot).map_or(0, |place| place.paused_until_ms);
            Place { service, plan, ready: Vec::new(), connecting: 0, paused_until_ms }
        });
        let places: Vec<_> = places.collect();
        self.places.splice(range, places);
        let mut surplus = Vec::new();
        for (index, idler) in self.idlers.iter().filter(|(_, idler)| idler.service == service) {
            let place = place_of(&mut self.places, idler.spot())
                .filter(|place| place.plan.target.endpoint == idler.target.endpoint)
                .filter(|place| place.count() < place.plan.wanted);
            match (place, idler.stage) {
                (Some(place), Stage::Ready { .. }) => place.ready.push(index),
                (Some(place), Stage::Connecting { .. }) => place.connecting += 1,
                (None, _) => surplus.push(index),
            }
        }
        // Until they are removed they are under way as well, and `remove` counts them off.
        for index in &surplus {
            if let Some(idler) = self.idlers.get(*index)
                && matches!(idler.stage, Stage::Connecting { .. })
                && let Some(place) = place_of(&mut self.places, idler.spot())
            {
                place.connecting += 1;
            }
        }
        surplus
    }

    /// A server that has fewer than it must have now, no pause, and not too many connects under way; and its service.
    pub fn missing(&self, now_ms: u64) -> Option<(u16, &IdlerTarget)> {
        let is_short = |place: &&Place| {
            let is_free = place.paused_until_ms <= now_ms && place.connecting < CONNECTING_MAX;
            is_free && place.count() < place.plan.wanted.min(place.plan.opened_max)
        };
        self.places.iter().find(is_short).map(|place| (place.service, &place.plan.target))
    }

    /// Lets the server wait for its next idler; a pause that it has already is not made longer.
    pub fn pause(&mut self, spot: Spot, now_ms: u64, pause_ms: u64) {
        if let Some(place) = place_of(&mut self.places, spot)
            && place.paused_until_ms <= now_ms
        {
            place.paused_until_ms = now_ms + pause_ms;
        }
    }

    /// Adds one that is not ready yet.
    pub fn insert(&mut self, idler: Idler) -> u32 {
        debug_assert!(matches!(idler.stage, Stage::Connecting { .. }));
        if let Some(place) = place_of(&mut self.places, idler.spot()) {
            place.connecting += 1;
        }
        self.idlers.insert(idler)
    }

    /// The server has accepted it.
    pub fn connected(&mut self, index: u32) {
        let Some(idler) = self.idlers.get_mut(index) else { return };
        idler.stage = Stage::Ready { readable: false };
        if let Some(place) = place_of(&mut self.places, idler.spot()) {
            place.connecting -= 1;
            place.ready.push(index);
        }
    }

    /// The latest that is ready at this server: of all it has waited the shortest, so the server is the least likely to
    /// be about to close it.
    pub fn take(&mut self, spot: Spot) -> Option<Idler> {
        let index = place_of(&mut self.places, spot)?.ready.pop()?;
        self.idlers.remove(index)
    }

    pub fn remove(&mut self, index: u32) -> Option<Idler> {
        let idler = self.idlers.remove(index)?;
        if let Some(place) = place_of(&mut self.places, idler.spot()) {
            match idler.stage {
                Stage::Ready { .. } => place.ready.retain(|ready| *ready != index),
                Stage::Connecting { .. } => place.connecting -= 1,
            }
        }
        Some(idler)
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Idler> {
        self.idlers.get_mut(index)
    }

    /// One that can best be done without: at the server that has the most.
    pub fn dispensable(&self) -> Option<u32> {
        let place = self.places.iter().max_by_key(|place| place.ready.len());
        let ready = place.and_then(|place| place.ready.last()).copied();
        ready.or_else(|| self.idlers.iter().next().map(|(index, _)| index))
    }

    /// All of a service.
    pub fn of(&self, service: u16) -> Vec<u32> {
        self.idlers.iter().filter(|(_, idler)| idler.service == service).map(|(index, _)| index).collect()
    }

    /// Those whose connect has taken too long.
    pub fn overdue(&self, now_ms: u64) -> Vec<u32> {
        let is_late = |stage| matches!(stage, Stage::Connecting { deadline_ms } if deadline_ms <= now_ms);
        self.idlers.iter().filter(|(_, idler)| is_late(idler.stage)).map(|(index, _)| index).collect()
    }

    /// How many of a service are ready, by server.
    pub fn ready(&self, service: u16) -> Vec<(ServerId, usize)> {
        self.places[self.range(service)]
            .iter()
            .map(|place| (place.plan.target.server, place.ready.len()))
            .collect()
    }

    /// Makes the numbers of removed ones available again: see [`Slab::recycle`].
    pub fn recycle(&mut self) {
        self.idlers.recycle();
    }

    /// The places of a service.
    fn range(&self, service: u16) -> Range<usize> {
        let start = self.places.partition_point(|place| place.service < service);
        start..self.places.partition_point(|place| place.service <= service)
    }

    fn place(&self, spot: Spot) -> Option<&Place> {
        let found = self.places.binary_search_by_key(&spot, Place::spot);
        found.ok().map(|at| &self.places[at])
    }
}

fn place_of(places: &mut [Place], spot: Spot) -> Option<&mut Place> {
    let found = places.binary_search_by_key(&spot, Place::spot);
    found.ok().map(|at| &mut places[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{Endpoint, Pool, ServerSetup};
    use crate::settings::Settings;
    use std::os::unix::net::UnixStream;

    /// For servers at these ports, `wanted` in all.
    fn plan(ports: &[u16], wanted: u64) -> Vec<IdlerPlace> {
        let setup = |port: &u16| ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], *port).into()));
        let mut pool = Pool::new(1);
        let selection = pool.add_selection(Settings::default().rules());
        pool.set_servers(selection, ports.iter().map(setup).collect(), None, None);
        pool.at(selection).idler_places(0..wanted, 0)
    }

    fn spot(server: usize) -> Spot {
        Spot { service: 0, server: ServerId::regular(server) }
    }

    fn open(reserve: &mut Reserve, deadline_ms: u64) -> u32 {
        let (service, target) = reserve.missing(0).expect("one is missing");
        let target = target.clone();
        let fd = Fd::from(UnixStream::pair().expect("a pair of sockets").0);
        reserve.insert(Idler { service, target, fd, stage: Stage::Connecting { deadline_ms } })
    }

    fn fill(reserve: &mut Reserve) -> Vec<u32> {
        let mut opened = Vec::new();
        while reserve.missing(0).is_some() {
            let index = open(reserve, 9);
            reserve.connected(index);
            opened.push(index);
        }
        opened
    }

    fn counts(reserve: &Reserve) -> Vec<usize> {
        reserve.ready(0).into_iter().map(|(_, count)| count).collect()
    }

    fn adopt(reserve: &mut Reserve, plan: Vec<IdlerPlace>) -> usize {
        let surplus = reserve.adopt(0, plan);
        surplus.iter().for_each(|index| assert!(reserve.remove(*index).is_some()));
        surplus.len()
    }

    #[test]
    fn what_was_taken_or_removed_is_missing_again() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1, 2], 5));
        let opened = fill(&mut reserve);
        assert_eq!(counts(&reserve), [3, 2]);
        assert!(reserve.take(spot(1)).is_some());
        assert!(reserve.remove(opened[0]).is_some());
        assert!(reserve.remove(opened[0]).is_none());
        assert_eq!(counts(&reserve), [2, 1]);
        assert_eq!(fill(&mut reserve).len(), 2);
        assert_eq!(counts(&reserve), [3, 2]);
        assert!(reserve.take(spot(7)).is_none());
    }

    #[test]
    fn the_latest_is_taken_first_and_none_that_still_connects() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1], 3));
        let opened = [9, 8, 7].map(|deadline_ms| open(&mut reserve, deadline_ms));
        assert!(reserve.missing(0).is_none());
        assert!(reserve.take(spot(0)).is_none());
        [opened[1], opened[0]].into_iter().for_each(|index| reserve.connected(index));
        reserve.get_mut(opened[0]).expect("it is there").stage = Stage::Ready { readable: true };
        let taken = reserve.take(spot(0)).expect("two are ready");
        assert_eq!(taken.stage, Stage::Ready { readable: true });
        assert!(reserve.overdue(6).is_empty());
        assert_eq!(reserve.overdue(7), [opened[2]]);
    }

    #[test]
    fn a_server_is_not_flooded_with_connects() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1], 40));
        let opened = [(); CONNECTING_MAX].map(|()| open(&mut reserve, 9));
        assert!(reserve.missing(0).is_none());
        reserve.connected(opened[3]);
        open(&mut reserve, 9);
        assert!(reserve.missing(0).is_none());
        assert!(reserve.remove(opened[4]).is_some());
        assert!(reserve.missing(0).is_some());
    }

    #[test]
    fn those_under_way_that_are_too_many_are_counted_off_once() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1, 2], 8));
        (0..8).for_each(|_| _ = open(&mut reserve, 9));
        assert_eq!(adopt(&mut reserve, plan(&[1, 3], 4)), 6, "two too many, and four to another address");
        let connecting =
            |reserve: &Reserve| reserve.places.iter().map(|place| place.connecting).collect::<Vec<_>>();
        assert_eq!(connecting(&reserve), [2, 0]);
        assert_eq!(fill(&mut reserve).len(), 2);
        assert_eq!((counts(&reserve), connecting(&reserve)), (vec![0, 2], vec![2, 0]));
    }

    #[test]
    fn what_the_richest_server_has_can_best_be_done_without() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1, 2], 6));
        fill(&mut reserve);
        assert!(reserve.take(spot(1)).is_some());
        for expected in [[2, 2], [2, 1], [1, 1]] {
            let index = reserve.dispensable().expect("there are some");
            assert!(reserve.remove(index).is_some());
            let mut left = counts(&reserve);
            left.sort_by(|a, b| b.cmp(a));
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn a_pause_is_kept_and_not_made_longer() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1, 2], 2));
        reserve.pause(spot(0), 100, 50);
        reserve.pause(spot(0), 120, 50);
        let missing = |reserve: &Reserve, now_ms| reserve.missing(now_ms).map(|(_, target)| target.server);
        assert_eq!(missing(&reserve, 149), Some(ServerId::regular(1)));
        reserve.adopt(0, plan(&[1, 3], 4));
        assert_eq!(missing(&reserve, 149), Some(ServerId::regular(1)));
        assert_eq!(missing(&reserve, 150), Some(ServerId::regular(0)));
    }

    #[test]
    fn each_service_has_its_own() {
        let mut reserve = Reserve::default();
        reserve.adopt(7, plan(&[1, 2], 2));
        reserve.adopt(3, plan(&[1], 2));
        let opened = fill(&mut reserve);
        assert_eq!((reserve.ready(3).len(), reserve.ready(7).len(), opened.len()), (1, 2, 4));
        assert!(reserve.take(spot(0)).is_none());
        assert!(reserve.take(Spot { service: 7, ..spot(0) }).is_some());
        let (service, target) = reserve.missing(0).expect("the one taken");
        assert_eq!((service, target.server), (7, ServerId::regular(0)));
        assert_eq!(reserve.adopt(3, Vec::new()), reserve.of(3));
        assert_eq!(reserve.ready(7).len(), 2, "they are left alone");
    }

    #[test]
    fn a_new_plan_keeps_what_fits_it() {
        let mut reserve = Reserve::default();
        reserve.adopt(0, plan(&[1, 2, 3], 6));
        fill(&mut reserve);
        assert_eq!(adopt(&mut reserve, plan(&[1, 2, 3], 6)), 0);
        assert_eq!(adopt(&mut reserve, plan(&[1, 4, 3], 6)), 2, "another address");
        assert_eq!(counts(&reserve), [2, 0, 2]);
        fill(&mut reserve);
        assert_eq!(adopt(&mut reserve, plan(&[1, 4, 3], 4)), 2, "fewer");
        assert_eq!(counts(&reserve), [2, 1, 1]);
        assert_eq!(adopt(&mut reserve, plan(&[1], 4)), 2, "servers are gone");
        assert_eq!(counts(&reserve), [2]);
        assert_eq!(adopt(&mut reserve, Vec::new()), 2);
        assert_eq!((reserve.dispensable(), reserve.of(0)), (None, Vec::new()));
    }
}
