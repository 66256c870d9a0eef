//! Giving a connection that is ready to a client, and a new one if it turns out to have been dead.
//!
//! A server may end a connection at the very moment at which a client is given it, or have vanished while it was idle.
//! Until the server has sent something, what the client sends is therefore kept. If the connection ends before that, or
//! `timeout` passes, and the server has not acknowledged a byte, the client gets a new connection or another server and
//! never learns of the old one. What was acknowledged may have been acted on, and is not sent twice. Called by
//! `connect.rs` and `relay.rs`; the connections come from `idlers.rs`.

use super::idlers::ReadyIdler;
use super::near::Holder;
use super::request::forget_request;
use super::reserve::Spot;
use super::services::LocalService;
use super::verdict::Verdict;
use super::{Context, Key};
use crate::conn::relay::Flow;
use crate::conn::{Chain, Connection, Direction, NEVER_ASKED, Side, Socket, Stage};
use crate::os;
use pen_proto::commands::{Flag, ProxyHeader};

/// So many bytes of a client are kept. Who sends more before the server has sent anything gets no new connection.
const UNPROVEN_BYTES_MAX: usize = 64 * 1024;

impl Context {
    /// Gives the client a connection to its server that is ready, and relays. `None` when there is none.
    pub(super) fn hand_over(&mut self, connection: &mut Connection) -> Option<Verdict> {
        let idler = self.idler_for(connection)?;
        let LocalService { settings, totals, .. } = self.service(connection);
        let nodelay = !settings.flag(Flag::TcpNodelay);
        totals.idlers_used += 1;
        let kept = connection.from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        connection.extras().chain.unproven = Some(self.work.pool.hold(kept));
        connection.server = Socket {
            fd: Some(idler.fd),
            readable: idler.readable,
            nodelay,
            registered: true,
            ..Socket::default()
        };
        connection.asked_ms = NEVER_ASKED;
        self.core.near.begins(Holder::Connection(connection.number), self.core.now_ms);
        if let Err(reason) = self.register(connection, Side::Client) {
            return Some(Verdict::Close(reason));
        }
        self.log_held(connection);
        self.established(connection);
        Some(self.relay(connection))
    }

    fn idler_for(&mut self, connection: &Connection) -> Option<ReadyIdler> {
        let attempt = connection.attempt.as_ref().filter(|_| !has_revived(connection))?;
        // The server may want a header since it got its idlers; who waited without one is not what it was.
        if attempt.proxy() != ProxyHeader::None {
            return None;
        }
        let spot = Spot { service: connection.service, server: attempt.server() };
        let idler = self.take_idler(spot, connection.endpoint.as_deref()?)?;
        let key = Key::Connection(connection.number, Side::Server).pack();
        // Fails only for want of kernel memory; a connect is as good then.
        self.core.poller.rekey(os::borrow(&idler.fd), key).ok().map(|()| idler)
    }

    /// Whether the idler that a client was given has not ended without having done anything.
    pub(super) fn is_idler_alive(&mut self, connection: &mut Connection, from_server: Flow) -> bool {
        let has_spoken = connection.from_server.bytes > 0 || connection.from_server.pending.is_some();
        let has_ended = from_server == Flow::SenderFailed
            || connection.from_server.eof
            || connection.from_client.receiver_gone;
        if has_spoken || (has_ended && !nothing_arrived(connection)) {
            self.trust(connection);
        } else if has_ended {
            return false;
        } else if connection.from_client.bytes > 0 && connection.asked_ms == NEVER_ASKED {
            connection.asked_ms = self.core.now_ms;
            self.arm_silence(connection);
        }
        true
    }

    /// The server is alive: what was kept is needed no more.
    fn trust(&mut self, connection: &mut Connection) {
        self.work.pool.give_back(connection.take_unproven());
        forget_request(connection);
        self.arm_silence(connection);
    }

    /// Whether the server had as much time to acknowledge something as it would have had for a connect, and has not. If
    /// it has, it is trusted, however long it takes for an answer.
    pub(super) fn is_proof_overdue(&mut self, connection: &mut Connection) -> bool {
        if self.proof_deadline_ms(connection).is_none_or(|deadline_ms| self.core.now_ms < deadline_ms) {
            return false;
        }
        let is_overdue = nothing_arrived(connection);
        if !is_overdue {
            self.trust(connection);
        }
        is_overdue
    }

    /// When the server that the client was given must have acknowledged something; `None` when there is nothing to wait for.
    pub(super) fn proof_deadline_ms(&self, connection: &Connection) -> Option<u64> {
        let waits = connection.unproven().is_some() && connection.asked_ms != NEVER_ASKED;
        waits.then(|| self.connect_deadline_ms(connection))
    }

    /// The client of an idler that was dead gets a new connection.
    pub(super) fn replace_idler(&mut self, connection: &mut Connection) -> Verdict {
        self.forget_idler(connection);
        self.drop_server(connection);
        self.try_servers(connection)
    }

    /// The server has vanished without a word: as a connect that timed out.
    pub(super) fn give_up_idler(&mut self, connection: &mut Connection) -> Verdict {
        self.forget_idler(connection);
        self.connect_timed_out(connection)
    }

    /// Leaves the connection as it was before anything had gone to a server.
    fn forget_idler(&mut self, connection: &mut Connection) {
        self.service(connection).totals.idlers_lost += 1;
        let kept = connection.take_unproven().filter(|kept| !kept.is_empty());
        connection.extras().revived = true;
        let from_client = &mut connection.from_client;
        self.work.pool.give_back(std::mem::replace(&mut from_client.pending, kept));
        from_client.bytes = 0;
        from_client.shut = false;
        from_client.receiver_gone = false;
        connection.from_server = Direction::default();
        self.enter(connection, Stage::Choosing);
    }
}

/// Remembers what was sent to a connection that has not proved alive.
pub(super) fn keep(chain: Option<&mut Chain>, sent: &[u8]) {
    let Some(Chain { unproven, .. }) = chain else { return };
    let Some(kept) = unproven.as_mut() else { return };
    if kept.len() + sent.len() > UNPROVEN_BYTES_MAX {
        *unproven = None;
    } else {
        kept.bytes_mut().extend_from_slice(sent);
    }
}

fn has_revived(connection: &Connection) -> bool {
    connection.extras.as_ref().is_some_and(|extras| extras.revived)
}

fn nothing_arrived(connection: &Connection) -> bool {
    let never_sent = connection.from_client.bytes == 0;
    never_sent || connection.server.fd().is_ok_and(os::nothing_arrived)
}
