//! Where a running pen listens, and how it moves elsewhere without a gap.

use super::{Instance, MAIN};
use crate::net::listen::{ListenOptions, Listener, begin_no_more};
use crate::net::resolve;
use crate::runtime::worker_count;
use crate::settings::Settings;
use crate::sys::errors::reason;
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Flag, Number};
use std::sync::Arc;

/// What a listening address becomes.
pub(super) enum NewListener {
    /// It takes the place of the present ones.
    Opened(Listener),
    /// The present one, for an address that is written in another way.
    Renamed(Listener),
    /// Packets to it are directed.
    Directed,
}

impl Instance {
    /// Opened before the old one is closed, beside it where they overlap: nobody meets a gap.
    pub(super) fn listen(
        &mut self,
        address: &ListenAddr,
        settings: &Settings,
    ) -> Result<NewListener, String> {
        if self.draining {
            return Err("pen is about to end and takes no more clients".into());
        }
        if let Some(dsr) = &mut self.dsr {
            return dsr.serve(address).map(|()| NewListener::Directed);
        }
        let before = self.listeners();
        let options = listen_options(settings);
        if let Some(renamed) = before.iter().find_map(|old| old.renamed(address, options)) {
            return renamed.map(NewListener::Renamed).map_err(|error| reason(&error));
        }
        let shared = before.iter().any(|old| overlaps(old, address));
        before.iter().for_each(|old| old.share(shared));
        let opened = Listener::open(address, ListenOptions { shared, ..options });
        if opened.is_err() {
            before.iter().for_each(|old| old.share(old.is_divided()));
        }
        opened.map(NewListener::Opened).map_err(|error| error.to_string())
    }

    pub(super) fn use_listener(&mut self, listener: NewListener) {
        match listener {
            NewListener::Directed => {}
            NewListener::Renamed(listener) => self.runtime.set_listeners(MAIN, vec![Arc::new(listener)]),
            NewListener::Opened(listener) => {
                listener.share(listener.is_divided());
                begin_no_more(self.listeners().iter().map(AsRef::as_ref));
                self.runtime.set_listeners(MAIN, vec![Arc::new(listener)]);
            }
        }
    }
}

/// Whether one may be in the way of the other: they have the same port.
fn overlaps(old: &Listener, new: &ListenAddr) -> bool {
    let port = new.port.as_ref().and_then(|port| resolve::port_number(port).ok());
    port.is_some() && old.address.map(|old| old.port()) == port
}

/// How the main listener is opened under these settings.
pub fn listen_options(settings: &Settings) -> ListenOptions {
    ListenOptions {
        backlog: settings.number(Number::ListenQueue),
        nodelay: settings.flag(Flag::TcpNodelay),
        private: false,
        datagram_sockets: if settings.flag(Flag::Udp) { worker_count(settings) } else { 0 },
        shared: false,
    }
}
