//! Answering the main thread.

use super::Worker;
use super::near::Holder;
use crate::calls;
use crate::conn::{CloseReason, Connection};
use crate::os;
use crate::shared::{Detail, Message, Report, ServiceReport, Which};
use pen_proto::addr::ClientAddr;
use pen_proto::status::{CloneEnd, ConnectionStatus, bits};
use std::net::SocketAddr;

impl Worker {
    pub(super) fn answer(&mut self, message: Message) {
        // A main thread that has stopped waiting needs no answer.
        match message {
            Message::Report(detail, asker) => {
                let _ = asker.send(self.report(detail));
            }
            Message::SeenFrom(end, asker) => {
                let _ = asker.send(self.seen_from(end));
            }
            Message::Close(which, asker) => {
                let _ = asker.send(self.close_these(which));
            }
            Message::Stop => self.stopping = true,
        }
    }

    /// Those that servers see from this address.
    fn seen_from(&mut self, end: SocketAddr) -> Vec<(u16, ConnectionStatus)> {
        let (connections, udp) = (&self.connections, &self.udp);
        let all = || {
            let connections = connections.iter().map(|(index, _)| Holder::Connection(index));
            connections.chain(udp.holders())
        };
        let end_of = |holder| match holder {
            Holder::Connection(index) => os::local_address(connections.get(index)?.server.fd().ok()?),
            Holder::Session(index) => udp.near_end(index),
        };
        let now_ms = self.context.core.now_ms;
        let found = self.context.core.near.find(end, now_ms, all, end_of);
        let describe = |holder| match holder {
            Holder::Connection(index) => {
                let connection = self.connections.get(index)?;
                Some((connection.service, self.describe(index, connection)))
            }
            Holder::Session(index) => self.udp.describe_session(&self.context.core, index),
        };
        found.into_iter().filter_map(describe).collect()
    }

    /// How many there were.
    fn close_these(&mut self, which: Which) -> usize {
        let meant = self.these(which);
        meant.iter().for_each(|index| self.close(*index, CloseReason::Closed));
        match which {
            Which::Server(service, server) => {
                self.context.cut_clones(CloneEnd::WithClient, |of, clone| (of, clone) == (service, server));
            }
            Which::Service(service) => {
                self.context.cut_clones(CloneEnd::WithClient, |of, _| of == service);
            }
            Which::Connection(_) | Which::Session(_) => {}
        }
        meant.len() + self.udp.close_these(&mut self.context.core, which)
    }

    fn these(&self, which: Which) -> Vec<u32> {
        let all = |is_meant: &dyn Fn(&Connection) -> bool| {
            let meant = self.connections.iter().filter(|(_, connection)| is_meant(connection));
            meant.map(|(index, _)| index).collect()
        };
        match which {
            Which::Session(_) => Vec::new(),
            Which::Connection(index) => self.connections.get(index).map(|_| index).into_iter().collect(),
            Which::Service(service) => all(&|connection| connection.service == service),
            Which::Server(service, server) => all(&|connection| {
                let attempt = connection.attempt.as_ref();
                connection.service == service && attempt.is_some_and(|attempt| attempt.server() == server)
            }),
        }
    }

    fn report(&self, detail: Detail) -> Report {
        let end = self.context.core.services.end() as u16;
        let mut services: Vec<Option<ServiceReport>> =
            (0..end).map(|number| self.report_service(number)).collect();
        for (index, connection) in self.connections.iter() {
            let Some(report) = &mut services[usize::from(connection.service)] else { continue };
            report.totals.up_bytes += connection.from_client.bytes;
            report.totals.down_bytes += connection.from_server.bytes;
            report.open += 1;
            if let Some(attempt) = &connection.attempt
                && connection.state_bits() & bits::CONNECTED != 0
            {
                let (up_bytes, down_bytes) = (connection.from_client.bytes, connection.from_server.bytes);
                report.live.add(attempt.server(), up_bytes, down_bytes);
            }
            if detail == Detail::Each {
                report.connections.push(self.describe(index, connection));
            }
        }
        self.context.report_clones(&mut services);
        self.udp.report(&self.context.core, detail, &mut services);
        Report {
            services: services.into_iter().flatten().collect(),
            ended: self.context.core.services.ended.clone(),
            calls: calls::counted(),
        }
    }

    /// All but its connections.
    fn report_service(&self, number: u16) -> Option<ServiceReport> {
        let local = self.context.core.services.get(number)?;
        let number_of = |index| match local.service.is_udp {
            true => self.context.core.session_number(index),
            false => self.context.core.connection_number(index),
        };
        Some(ServiceReport {
            number,
            idlers: self.context.idlers.ready(number),
            totals: local.totals.clone(),
            clones: (!local.clones.is_empty()).then(|| Box::new(local.clones.clone())),
            times: local.times.iter().map(|(server, times)| (server, *times)).collect(),
            last: local.last.map(|(index, at_ms)| (number_of(index), at_ms)),
            ..ServiceReport::default()
        })
    }

    fn describe(&self, index: u32, connection: &Connection) -> ConnectionStatus {
        let attempt = connection.attempt.as_ref();
        let client = match connection.address {
            ClientAddr::Ip(ip) => std::net::SocketAddr::new(ip, connection.port).to_string(),
            ClientAddr::Unix => String::new(),
        };
        ConnectionStatus {
            number: self.context.core.connection_number(index),
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
            age_seconds: self.context.core.now_ms.saturating_sub(connection.started_ms) / 1000,
            idle_seconds: self.context.core.now_ms.saturating_sub(connection.active_ms) / 1000,
        }
    }
}
