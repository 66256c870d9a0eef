//! Telling the poller of a connection's sockets.

use super::{Context, Key};
use crate::conn::{CloseReason, Connection, Side, Socket};
use crate::log::diag;
use crate::net::poller::REGISTRATIONS_LAST;
use crate::sys::errors::reason;

impl Context {
    /// Tells the poller of a socket, once.
    ///
    /// # Errors
    /// It refuses: the connection would hang for ever.
    pub(super) fn register(&self, connection: &mut Connection, side: Side) -> Result<(), CloseReason> {
        let key = Key::Connection(connection.number, side).pack();
        let socket = connection.socket(side);
        if socket.registered {
            return Ok(());
        }
        match socket.fd().and_then(|fd| self.core.poller.add(fd, key)) {
            Ok(()) => {
                socket.registered = true;
                Ok(())
            }
            Err(error) => {
                diag::once("register", format_args!("cannot watch a socket: {}", reason(&error)));
                Err(CloseReason::Shortage)
            }
        }
    }

    /// Renews the registrations where they do not last.
    pub(super) fn rearm(&self, connection: &Connection) {
        if REGISTRATIONS_LAST {
            return;
        }
        for (side, socket, eof) in [
            (Side::Client, &connection.client, connection.from_client.eof),
            (Side::Server, &connection.server, connection.from_server.eof),
        ] {
            if let (Ok(fd), true) = (socket.fd(), socket.registered) {
                let read = !socket.readable && !eof;
                let key = Key::Connection(connection.number, side).pack();
                // Fails only when the socket is not registered, which is excluded.
                let _ = self.core.poller.rearm(fd, key, read, !socket.writable);
            }
        }
    }

    /// The socket to a server is given up; events of it may still come in this wake-up.
    pub(super) fn drop_server(&mut self, connection: &mut Connection) {
        connection.drop_server_session();
        if let Ok(fd) = connection.server.fd() {
            self.core.poller.forget(fd);
            self.dropped.push(connection.number);
        }
        connection.server = Socket::default();
    }
}
