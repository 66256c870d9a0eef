//! What the main thread is told of sessions.

use super::Udp;
use super::session::Session;
use super::sessions::Parties;
use crate::shared::{Detail, ServiceReport};
use crate::sys::socket::local_address;
use crate::worker::{Core, Holder};
use pen_proto::status::{ConnectionStatus, bits};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

impl Udp {
    /// Adds the sessions to the reports of their services, which are in the places of their numbers.
    pub fn report(&self, core: &Core, detail: Detail, services: &mut [Option<ServiceReport>]) {
        for (index, parties, session) in self.sessions.iter() {
            let Some(report) = &mut services[usize::from(session.service)] else { continue };
            report.totals.up_bytes += session.up_bytes;
            report.totals.down_bytes += session.down_bytes;
            report.open += 1;
            if let Some(attempt) = &session.attempt {
                report.live.add(attempt.server(), session.up_bytes, session.down_bytes);
            }
            if let Some((clone, up_bytes, down_bytes)) =
                session.clone.as_ref().and_then(|clone| clone.moved())
            {
                report.live.add(clone, up_bytes, down_bytes);
            }
            if detail == Detail::Each {
                report.connections.push(self.describe(core, index, parties, session));
            }
        }
    }

    /// All sessions.
    pub fn holders(&self) -> impl Iterator<Item = Holder> {
        self.sessions.iter().map(|(index, ..)| Holder::Session(index))
    }

    /// From where the server of a session sees it.
    pub fn near_end(&self, index: u32) -> Option<SocketAddr> {
        local_address(self.sessions.get(index)?.socket.as_ref()?.as_fd())
    }

    /// A session and its service.
    pub fn describe_session(&self, core: &Core, index: u32) -> Option<(u16, ConnectionStatus)> {
        let mut sessions = self.sessions.iter();
        let (_, parties, session) = sessions.find(|(number, ..)| *number == index)?;
        Some((session.service, self.describe(core, index, parties, session)))
    }

    fn describe(&self, core: &Core, index: u32, parties: &Parties, session: &Session) -> ConnectionStatus {
        let attempt = session.attempt.as_ref();
        let listener = core.listeners.listener(parties.listener);
        let client = SocketAddr::new(parties.client().ip().to_canonical(), parties.client().port());
        ConnectionStatus {
            number: core.session_number(index),
            client: client.to_string(),
            client_slot: attempt.map_or(-1, |attempt| i64::from(attempt.slot().index)),
            server: attempt.map_or(-3, |attempt| attempt.server().number()),
            server_address: session.endpoint.to_string(),
            state: bits::CONNECTED,
            down_fd: listener.map_or(-1, |listener| listener.datagram_socket(core.number).as_raw_fd()),
            up_fd: session.socket.as_ref().map_or(-1, OwnedFd::as_raw_fd),
            pending_down_bytes: 0,
            pending_up_bytes: 0,
            up_bytes: session.up_bytes,
            down_bytes: session.down_bytes,
            age_seconds: core.now_ms.saturating_sub(session.started_ms) / 1000,
            idle_seconds: core.now_ms.saturating_sub(session.active_ms) / 1000,
        }
    }
}
