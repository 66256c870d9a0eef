//! The listeners of a worker, those of all services, by small numbers.
//!
//! Owns which there are and what is told of them when they are gone: a listener that was closed keeps its number until the
//! last connection that came through it has ended, so that its text stays right. Watches none.

use crate::net::listen::Listener;
use std::sync::Arc;

/// Most listeners of all services, those included that are closed and have connections still.
const LISTENERS_MAX: usize = 1 << 16;
const _: () = assert!(LISTENERS_MAX == u16::MAX as usize + 1);

#[derive(Debug)]
pub(crate) struct Entry {
    /// Number of its service.
    pub service: u16,
    /// `None` once it is closed.
    pub open: Option<Arc<Listener>>,
    /// Datagrams come to it.
    pub is_udp: bool,
    /// What the operator wrote.
    pub text: Arc<String>,
    /// Connections that came through it.
    users: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Listeners {
    entries: Vec<Option<Entry>>,
}

impl Listeners {
    /// `None` when there are [`LISTENERS_MAX`] already.
    pub fn add(&mut self, service: u16, is_udp: bool, listener: Arc<Listener>) -> Option<u16> {
        let free = self.entries.iter().position(Option::is_none).unwrap_or(self.entries.len());
        let number = u16::try_from(free).ok()?;
        let text = listener.text.clone();
        let entry = Some(Entry { service, open: Some(listener), is_udp, text, users: 0 });
        match self.entries.get_mut(free) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        Some(number)
    }

    pub fn get(&self, number: u16) -> Option<&Entry> {
        self.entries.get(usize::from(number))?.as_ref()
    }

    /// The listener with this number, while it is open.
    pub fn listener(&self, number: u16) -> Option<&Arc<Listener>> {
        self.get(number)?.open.as_ref()
    }

    /// What the operator wrote, empty when there is no such listener.
    pub fn text(&self, number: u16) -> &str {
        self.get(number).map_or("", |entry| &entry.text)
    }

    /// Those that are open and take connections, or those that take datagrams.
    pub fn open(&self, is_udp: bool) -> impl Iterator<Item = (u16, &Arc<Listener>)> {
        self.such(move |entry| entry.is_udp == is_udp)
    }

    /// Those of a service that are open.
    pub fn of(&self, service: u16) -> impl Iterator<Item = (u16, &Arc<Listener>)> {
        self.such(move |entry| entry.service == service)
    }

    fn such(&self, is_such: impl Fn(&Entry) -> bool) -> impl Iterator<Item = (u16, &Arc<Listener>)> {
        let entries =
            self.entries.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.as_ref()?)));
        let such = entries.filter(move |(_, entry)| is_such(entry));
        such.filter_map(|(number, entry)| Some((number as u16, entry.open.as_ref()?)))
    }

    /// What a service wants of its listeners and has not, and what it has and wants no more.
    pub fn difference(&self, service: u16, wanted: &[Arc<Listener>]) -> (Vec<Arc<Listener>>, Vec<u16>) {
        let is_wanted = |one: &Arc<Listener>| wanted.iter().any(|listener| Arc::ptr_eq(listener, one));
        let has = |one: &&Arc<Listener>| self.of(service).any(|(_, listener)| Arc::ptr_eq(listener, one));
        let gone = self.of(service).filter(|(_, listener)| !is_wanted(listener)).map(|(number, _)| number);
        (wanted.iter().filter(|one| !has(one)).cloned().collect(), gone.collect())
    }

    /// Lets go of a listener that nobody watches any more.
    pub fn close(&mut self, number: u16) {
        let Some(place) = self.entries.get_mut(usize::from(number)) else { return };
        if let Some(entry) = place {
            entry.open = None;
        }
        place.take_if(|entry| entry.users == 0);
    }

    /// A connection has come through it.
    pub fn enter(&mut self, number: u16) {
        if let Some(Some(entry)) = self.entries.get_mut(usize::from(number)) {
            entry.users += 1;
        }
    }

    /// Such a connection has ended.
    pub fn leave(&mut self, number: u16) {
        let Some(place) = self.entries.get_mut(usize::from(number)) else { return };
        if let Some(entry) = place {
            entry.users -= 1;
        }
        place.take_if(|entry| entry.users == 0 && entry.open.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen::ListenOptions;
    use crate::tempdir::TempDir;
    use pen_proto::addr::ListenAddr;

    #[test]
    fn a_closed_listener_is_known_until_nobody_is_left_who_came_through_it() {
        let directory = TempDir::new();
        let open = |name: &str| {
            let address = ListenAddr::parse(directory.join(name).to_str().unwrap()).unwrap();
            let options = ListenOptions {
                backlog: 8,
                nodelay: true,
                mode: Some(0o600),
                datagram_sockets: 0,
                shared: false,
            };
            Arc::new(Listener::open(&address, options).unwrap())
        };
        let mut listeners = Listeners::default();
        let (a, b) =
            (listeners.add(3, false, open("a")).unwrap(), listeners.add(4, false, open("b")).unwrap());
        listeners.enter(a);
        listeners.close(a);
        listeners.close(b);
        assert!(listeners.listener(a).is_none());
        assert!(listeners.text(a).ends_with("/a"));
        assert_eq!(listeners.add(5, false, open("c")), Some(b), "only its number is free");
        listeners.leave(a);
        assert_eq!(listeners.text(a), "");
        assert_eq!(listeners.add(5, false, open("d")), Some(a));
        let of = |service| listeners.of(service).map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!((of(3), of(5)), (vec![], vec![a, b]));
    }
}
