//! What the program around pen hears of connections, where there is one that listens.

use super::Context;
use crate::balance::ServerId;
use crate::conn::Connection;
use crate::hooks::{Event, EventKind, Hook, client_of, server_of};

impl Context {
    #[inline]
    pub(super) fn tell(&self, connection: &Connection, kind: EventKind) {
        if let Some(hook) = self.core.shared.hook() {
            let server = connection.attempt.as_ref().map(|attempt| attempt.server());
            self.tell_hook(hook, connection, server, kind);
        }
    }

    /// Of a connection that has ended, and no longer holds the place at its server.
    #[inline]
    pub(super) fn tell_end(
        &self,
        connection: &Connection,
        server: ServerId,
        kind: impl FnOnce() -> EventKind,
    ) {
        if let Some(hook) = self.core.shared.hook() {
            self.tell_hook(hook, connection, Some(server), kind());
        }
    }

    #[cold]
    fn tell_hook(&self, hook: &Hook, connection: &Connection, server: Option<ServerId>, kind: EventKind) {
        let (server, server_address) = server_of(server, connection.endpoint.as_deref());
        hook.tell(&Event {
            kind,
            service: &self.core.services[connection.service].service.name,
            connection: self.core.connection_number(connection.number),
            client: client_of(connection.address, connection.port),
            server,
            server_address,
        });
    }
}
