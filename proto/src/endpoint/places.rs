//! A server whose name has several addresses: they are tried in turn before the server is to blame. Pure.
//!
//! Nothing here is shared or changed: a connect that fails goes on with the next of the addresses, and when that accepts,
//! the selection makes it the server's first.

use std::net::SocketAddr;
use std::sync::Arc;

/// The addresses of one server, and which of them is meant.
#[derive(Debug, Clone)]
pub struct Places {
    addresses: Arc<[SocketAddr]>,
    at: usize,
    /// Others that have failed for the same client.
    tried: usize,
}

/// What was tried before does not matter.
impl PartialEq for Places {
    fn eq(&self, other: &Places) -> bool {
        self.address() == other.address() && self.is_same_server(other)
    }
}

impl Eq for Places {}

impl Places {
    /// All addresses of a server, the one to be tried first at the front.
    ///
    /// # Panics
    /// Without any.
    pub fn new(addresses: Vec<SocketAddr>) -> Places {
        assert!(!addresses.is_empty(), "a server without address");
        Places { addresses: addresses.into(), at: 0, tried: 0 }
    }

    /// The one that is meant.
    pub fn address(&self) -> SocketAddr {
        self.addresses[self.at]
    }

    /// The next one; `None` when all were tried.
    pub fn next(&self) -> Option<Places> {
        let tried = self.tried + 1;
        let at = (self.at + 1) % self.addresses.len();
        (tried < self.addresses.len()).then(|| Places { addresses: self.addresses.clone(), at, tried })
    }

    /// Whether another was tried before.
    pub fn is_second_choice(&self) -> bool {
        self.tried > 0
    }

    /// As the first to be tried from now on.
    pub fn preferred(&self) -> Places {
        Places { tried: 0, ..self.clone() }
    }

    /// The same addresses with another port.
    pub fn at_port(&self, port: u16) -> Places {
        let addresses = self.addresses.iter().map(|address| SocketAddr::new(address.ip(), port));
        Places { addresses: addresses.collect(), ..self.clone() }
    }

    /// Whether the other has the same addresses, in whatever order a name server tells them.
    pub fn is_same_server(&self, other: &Places) -> bool {
        let is_in = |address| other.addresses.contains(address);
        self.addresses.len() == other.addresses.len() && self.addresses.iter().all(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ports: &[u16]) -> Places {
        Places::new(ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect())
    }

    #[test]
    fn each_is_tried_once_from_wherever_one_begins() {
        let first = places(&[1, 2, 3]);
        let second = first.next().unwrap();
        let third = second.next().unwrap();
        assert_eq!([&first, &second, &third].map(|places| places.address().port()), [1, 2, 3]);
        assert!(third.next().is_none() && third.is_second_choice() && !first.is_second_choice());
        let again = third.preferred();
        let tried: Vec<u16> =
            std::iter::successors(Some(again), Places::next).map(|places| places.address().port()).collect();
        assert_eq!(tried, [3, 1, 2]);
        assert!(places(&[1]).next().is_none());
    }

    #[test]
    fn the_order_of_a_name_server_makes_no_other_server() {
        assert!(places(&[1, 2]).is_same_server(&places(&[2, 1])));
        assert_ne!(places(&[1, 2]), places(&[2, 1]), "another address is meant");
        assert!(!places(&[1, 2]).is_same_server(&places(&[1, 3])));
        assert!(!places(&[1, 2]).is_same_server(&places(&[1])));
    }
}
