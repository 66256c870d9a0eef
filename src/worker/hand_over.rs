//! Giving a connection that is ready to a client, and a new one if it turns out to have been dead.
//!
//! A server may end a connection at the very moment at which a client is given it. Until the server has sent something,
//! what the client sends is therefore kept. If the connection ends before that, and the server has not acknowledged a
//! byte, the client gets a new connection and never learns of the old one. What was acknowledged may have been acted on,
//! and is not sent twice. Called by `connect.rs` and `serve.rs`; the connections come from `idlers.rs`.

use super::idlers::ReadyIdler;
use super::{Worker, key};
use crate::conn::buffers::Pending;
use crate::conn::relay::Flow;
use crate::conn::{Connection, Direction, Side, Socket, Stage};
use crate::sys::socket;
use pen_proto::commands::Flag;
use std::os::fd::AsFd;

/// So many bytes of a client are kept. Who sends more before the server has sent anything gets no new connection.
const UNPROVEN_BYTES_MAX: usize = 64 * 1024;

impl Worker {
    /// Gives the client a connection to its server that is ready. False when there is none.
    pub(super) fn hand_over(&mut self, index: u32) -> bool {
        let nodelay = self.flag(Flag::TcpNodelay);
        let Some(idler) = self.idler_for(index) else { return false };
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let kept = connection.from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        connection.unproven = Some(self.pool.hold(kept));
        connection.server = Socket {
            fd: Some(idler.fd),
            readable: idler.readable,
            nodelay: !nodelay,
            registered: true,
            ..Socket::default()
        };
        self.totals.idlers_used += 1;
        self.register(index, Side::Client);
        self.log_held(index);
        self.established(index);
        true
    }

    fn idler_for(&mut self, index: u32) -> Option<ReadyIdler> {
        let connection = self.connections.get(index).filter(|connection| !connection.revived)?;
        let server = connection.attempt.as_ref()?.server();
        let endpoint = connection.endpoint.clone();
        let idler = self.take_idler(server, &endpoint)?;
        // Fails only for want of kernel memory; a connect is as good then.
        self.poller.rekey(idler.fd.as_fd(), key(index, Side::Server)).ok().map(|()| idler)
    }

    /// Looks whether the connection that a client was given has proved alive. True when it was dead: the client has a new
    /// one, or is on its way to one, and this turn of it is over.
    pub(super) fn replace_dead_idler(&mut self, index: u32, from_server: Flow) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let has_spoken = connection.from_server.bytes > 0 || connection.from_server.pending.is_some();
        let has_ended =
            from_server == Flow::SenderFailed || connection.from_server.eof || connection.from_client.dead;
        if !has_spoken && !has_ended {
            return false;
        }
        let Some(kept) = connection.unproven.take() else { return false };
        if has_spoken || !nothing_arrived(connection) {
            self.pool.give_back(kept);
            return false;
        }
        self.totals.idlers_lost += 1;
        self.drop_server_socket(index);
        self.start_again(index, kept);
        self.pursue(index);
        true
    }

    /// As if nothing had gone to a server yet.
    fn start_again(&mut self, index: u32, kept: Box<Pending>) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let from_client = &mut connection.from_client;
        let unsent = from_client.pending.replace(kept).into_iter();
        unsent.for_each(|pending| self.pool.give_back(pending));
        if from_client.pending_bytes() == 0 {
            from_client.pending.take().into_iter().for_each(|empty| self.pool.give_back(empty));
        }
        from_client.bytes = 0;
        from_client.shut = false;
        from_client.dead = false;
        connection.from_server = Direction::default();
        connection.stage = Stage::Connecting;
        connection.revived = true;
    }
}

/// Remembers what was sent to a connection that has not proved alive.
pub(super) fn keep(unproven: &mut Option<Box<Pending>>, sent: &[u8]) {
    let Some(kept) = unproven else { return };
    if kept.len() + sent.len() > UNPROVEN_BYTES_MAX {
        *unproven = None;
    } else {
        kept.bytes_mut().extend_from_slice(sent);
    }
}

fn nothing_arrived(connection: &Connection) -> bool {
    let never_sent = connection.from_client.bytes == 0;
    never_sent || connection.server.fd().is_ok_and(socket::nothing_arrived)
}
