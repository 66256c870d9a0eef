//! The two ways in which a pen takes no more clients: for good, or because another one is about to take its place.

use super::{Instance, Served};
use crate::net::listen::{Listener, begin_no_more};
use crate::sys::clock;
use pen_proto::commands::Flag;
use std::net::SocketAddr;
use std::sync::Arc;

impl Instance {
    /// Everything that it listens at, of all services.
    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        self.served.values().flat_map(|served| self.runtime.listeners(served.number).to_vec()).collect()
    }

    /// The internet addresses at which a service listens.
    pub fn addresses(&self, service: &str) -> Vec<SocketAddr> {
        let served = self.served.get(service);
        let listeners = served.map(|served| self.runtime.listeners(served.number)).unwrap_or_default();
        listeners.iter().filter_map(|listener| listener.address).collect()
    }

    /// Takes no more clients; those that are connected go on.
    pub fn drain(&mut self) {
        self.draining = true;
        if let Some((_, dsr)) = &self.dsr {
            dsr.drain();
        }
        let (datagrams, connections) = self.by_kind();
        datagrams.iter().for_each(|served| self.runtime.drain(served.number));
        let listeners: Vec<_> =
            connections.iter().flat_map(|served| self.runtime.listeners(served.number).to_vec()).collect();
        begin_no_more(listeners.iter().map(AsRef::as_ref));
        connections.iter().for_each(|served| self.runtime.set_listeners(served.number, Vec::new()));
    }

    /// The same, and whoever comes waits in the sockets, which stay open for the next pen.
    pub fn hand_over(&mut self) {
        self.draining = true;
        if let Some((_, dsr)) = &self.dsr {
            dsr.drain();
        }
        self.kept = self.listeners();
        let (datagrams, connections) = self.by_kind();
        datagrams.iter().for_each(|served| self.runtime.hear_no_more(served.number));
        connections.iter().for_each(|served| self.runtime.set_listeners(served.number, Vec::new()));
    }

    /// Services for datagrams, and those for connections.
    fn by_kind(&self) -> (Vec<&Served>, Vec<&Served>) {
        self.served.values().partition(|served| served.settings.flag(Flag::Udp))
    }

    /// Connections and sessions.
    pub fn connections_used(&self) -> u64 {
        self.runtime.connections_used() + self.dsr.as_ref().map_or(0, |(_, dsr)| dsr.flows())
    }

    /// How many servers take clients, and how many there are, in all services.
    pub fn servers_up(&self) -> (u64, u64) {
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        let counts = self.served.values().map(|served| {
            self.runtime.service(served.number).with(|selection| selection.count_up(now_seconds))
        });
        counts.fold((0, 0), |(up, all), (more_up, more)| (up + more_up, all + more))
    }

    pub fn sessions_used(&self) -> u64 {
        self.runtime.sessions_used()
    }
}
