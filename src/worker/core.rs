//! What both sides of a worker need, the one for connections and the one for UDP sessions.

use super::listeners::Listeners;
use super::near::NearEnds;
use super::services::LocalServices;
use crate::conn::Socket;
use crate::net::poller;
use crate::os::{self, Poller};
use crate::published::Held;
use crate::service::Service;
use crate::settings::ProcessSettings;
use crate::shared::Shared;
use std::sync::Arc;

pub(crate) struct Core {
    /// Of the worker.
    pub number: usize,
    pub shared: Arc<Shared>,
    pub poller: Poller,
    pub process: Held<ProcessSettings>,
    pub services: LocalServices,
    pub listeners: Listeners,
    /// Of its connections and sessions.
    pub near: NearEnds,
    /// The version of all that is shared that this worker has.
    pub generation: u64,
    /// Monotonic time of this wake-up.
    pub now_ms: u64,
}

impl Core {
    pub fn new(number: usize, shared: Arc<Shared>, poller: poller::Poller) -> Core {
        Core {
            number,
            poller: os::watching(poller),
            generation: shared.generation(),
            process: Held::of(shared.process()),
            services: LocalServices::default(),
            listeners: Listeners::default(),
            near: NearEnds::default(),
            now_ms: os::monotonic_ms(),
            shared,
        }
    }

    /// Takes up a service.
    pub fn add_service(&mut self, service: Arc<Service>) {
        service.belong_to(&self.shared);
        self.services.add(service);
    }

    /// Closes a socket that the poller knows.
    pub fn forget_socket(&self, socket: &mut Socket) {
        if let Some(fd) = std::mem::take(socket).fd {
            self.poller.forget(os::borrow(&fd));
            os::close(fd);
        }
    }

    /// Connections whose turn in a queue has come.
    pub fn take_called(&self) -> Vec<u32> {
        self.shared.take_called(self.number)
    }

    /// The number under which operators know the connection with this number.
    pub fn connection_number(&self, local: u32) -> u32 {
        self.shared.connection_number(self.number, local)
    }

    /// The same for a session.
    pub fn session_number(&self, local: u32) -> u32 {
        self.shared.session_number(self.number, local)
    }
}
