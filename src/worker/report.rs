//! Answering the main thread.

use super::{Message, Report, Worker};
use crate::conn::{CloseReason, Connection};
use pen_proto::addr::ClientAddr;
use pen_proto::status::ConnectionStatus;

impl Worker {
    pub(super) fn answer(&mut self, message: Message) {
        // A main thread that has stopped waiting needs no answer.
        match message {
            Message::Report(asker) => {
                let _ = asker.send(self.report());
            }
            Message::Close(index, asker) => {
                let known = self.connections.get(index).is_some();
                self.close(index, CloseReason::Closed);
                let _ = asker.send(known);
            }
            Message::Stop => self.stopping = true,
        }
    }

    fn report(&self) -> Report {
        let connections = self.connections.iter().map(|(index, connection)| self.describe(index, connection));
        let mut totals = self.totals.clone();
        for (_, connection) in self.connections.iter() {
            totals.up_bytes += connection.from_client.bytes;
            totals.down_bytes += connection.from_server.bytes;
        }
        let last = self.last.map(|(index, at_ms)| (self.shared.global_number(self.number, index), at_ms));
        Report { connections: connections.collect(), idlers: self.idlers.ready(), totals, last }
    }

    fn describe(&self, index: u32, connection: &Connection) -> ConnectionStatus {
        let attempt = connection.attempt.as_ref();
        let client = match connection.address {
            ClientAddr::Ip(ip) => std::net::SocketAddr::new(ip, connection.port).to_string(),
            ClientAddr::Unix => String::new(),
        };
        ConnectionStatus {
            number: self.shared.global_number(self.number, index),
            client,
            client_slot: attempt.map_or(-1, |attempt| i64::from(attempt.slot().index)),
            server: attempt.map_or(-3, |attempt| attempt.server().number()),
            server_address: connection
                .endpoint
                .as_ref()
                .map_or_else(String::new, |endpoint| endpoint.to_string()),
            state: connection.state_bits(),
            down_fd: connection.client.number(),
            up_fd: connection.server.number(),
            pending_down_bytes: connection.from_server.pending_bytes() as u64,
            pending_up_bytes: connection.from_client.pending_bytes() as u64,
            up_bytes: connection.from_client.bytes,
            down_bytes: connection.from_server.bytes,
            age_seconds: self.now_ms.saturating_sub(connection.started_ms) / 1000,
            idle_seconds: self.now_ms.saturating_sub(connection.active_ms) / 1000,
        }
    }
}
