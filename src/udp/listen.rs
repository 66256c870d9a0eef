//! The sockets to which clients send. Each worker has one of its own at every listener.

use super::Udp;
use crate::conn::CloseReason;
use crate::log::diag;
use crate::net::listen::Listener;
use crate::worker::{Core, Key};
use std::io;
use std::sync::Arc;

/// So often a listener is heard before it is closed: its buffer holds less.
const TURNS_AT_END_MAX: usize = 64;
/// When to try again what the poller refused.
const RETRY_MS: u64 = 100;

impl Udp {
    /// Takes a listener of a service.
    ///
    /// # Errors
    /// The poller refuses it; then it is there and not heard.
    pub fn add_listener(&self, core: &mut Core, service: u16, listener: Arc<Listener>) -> io::Result<()> {
        let number = core.listeners.add(service, true, listener.clone());
        let number = number.ok_or_else(|| io::Error::other("too many listeners"))?;
        core.poller.add_reader(listener.datagram_socket(core.number), Key::Listener(number).pack())
    }

    /// Lets a listener go. Sessions end with that which they came through: it was from its address that they were
    /// answered. What has come already goes to the servers.
    pub fn close_listener(&mut self, core: &mut Core, number: u16) {
        for _ in 0..TURNS_AT_END_MAX {
            if !self.hear_clients(core, number) {
                break;
            }
        }
        self.send_to_clients(core);
        let came_through =
            |index: &u32| self.sessions.parties(*index).is_some_and(|parties| parties.listener == number);
        let ended: Vec<u32> = self.sessions.indices().into_iter().filter(came_through).collect();
        ended.into_iter().for_each(|index| self.close(core, index, CloseReason::Closed));
        if let Some(listener) = core.listeners.listener(number) {
            // Fails only when it is not registered, which is what is wanted.
            let _ = core.poller.remove_listener(listener.datagram_socket(core.number));
        }
        core.listeners.close(number);
    }

    /// Leaves what clients of a service send in the sockets, for whoever listens there next.
    pub fn hear_no_more(&mut self, core: &Core, service: u16) {
        for (_, listener) in core.listeners.of(service) {
            // Fails only when it is not registered, which is what is wanted.
            let _ = core.poller.remove_listener(listener.datagram_socket(core.number));
        }
    }

    /// The poller refused a listener.
    pub fn listen_later(&mut self, core: &Core, error: &io::Error) {
        diag::once("listen", format_args!("cannot listen: {error}; trying again"));
        for (_, listener) in core.listeners.open(true) {
            // As above.
            let _ = core.poller.remove_listener(listener.datagram_socket(core.number));
        }
        self.listen_again_ms = Some(core.now_ms + RETRY_MS);
    }

    pub(super) fn listen_again(&mut self, core: &Core) {
        if self.listen_again_ms.is_none_or(|at_ms| core.now_ms < at_ms) {
            return;
        }
        self.listen_again_ms = None;
        let registered = core.listeners.open(true).try_for_each(|(number, listener)| {
            core.poller.add_reader(listener.datagram_socket(core.number), Key::Listener(number).pack())
        });
        if let Err(error) = registered {
            self.listen_later(core, &error);
        }
    }
}
