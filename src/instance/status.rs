//! What a running pen tells of itself: the workers' reports, the servers and the clients in one snapshot.

use super::Instance;
use crate::balance::{add_idlers, add_live};
use crate::control::apply::Wanted;
use crate::dsr::{self, Dsr};
use crate::log::local_time;
use crate::log::traffic::LogHub;
use crate::runtime::{ServiceSnapshot, Snapshot};
use crate::service::Service;
use crate::sys::clock;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::{ClientStatus, Status};

/// Slots of the client table read under one hold of the pool's lock: some tens of microseconds.
const SLOTS_PER_LOOK: u32 = 1024;

impl Instance {
    /// What `service` would tell, or the first service if there is no such one.
    pub(super) fn status(&mut self, wanted: Wanted, service: &str) -> Status {
        let served = self.served.get(service).or_else(|| self.served.values().next());
        let Some(served) = served else { return Status::default() };
        let snapshot = self.runtime.snapshot();
        let totals = snapshot.totals();
        let Snapshot { services, connections_used, connections_max, workers, full, .. } = snapshot;
        let own = services.into_iter().find(|service| service.number == served.number).unwrap_or_default();
        let ServiceSnapshot { connections, connections_last, idlers, .. } = own;
        let now_ms = clock::monotonic_ms();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            time_local: local_time::stamp(&local_time::now()).to_string(),
            time_epoch_seconds: clock::epoch_ms() / 1000,
            uptime_seconds: now_ms / 1000,
            listen: self
                .runtime
                .listeners(served.number)
                .iter()
                .map(|listener| listener.text.to_string())
                .collect(),
            workers,
            connections,
            connections_used,
            connections_max,
            connections_last,
            full,
            idlers: idlers.iter().map(|(_, count)| *count as u64).sum(),
            idlers_wanted: served.settings.number(Number::Idlers),
            udp: served.settings.flag(Flag::Udp),
            totals,
            ..Status::default()
        };
        let logs = self.served.values().map(|served| &served.log);
        let logs = logs.chain(self.leaving.iter().map(|(_, log)| log));
        status.totals.log_lines_dropped = logs.map(LogHub::dropped_lines).sum();
        status.mode = served.settings.mode();
        if let Some((name, dsr)) = &self.dsr
            && self.served.get(name).is_some_and(|directed| directed.number == served.number)
        {
            add_dsr(&mut status, dsr);
        }
        let now_seconds = clock::steady_epoch_seconds(now_ms);
        {
            let service = self.runtime.service(served.number);
            let mut pool = service.pool();
            status.clients_max = pool.clients_max().into();
            let selection = pool.at(service.selection);
            status.current_server = selection.current_server().number();
            status.servers = selection.server_statuses(now_seconds);
        }
        if matches!(wanted, Wanted::Clients | Wanted::Everything) {
            status.clients = clients(self.runtime.service(served.number), now_seconds);
        }
        add_live(&mut status.servers, &mut status.clients, &status.connections);
        add_idlers(&mut status.servers, &idlers);
        status
    }
}

/// The client table, some slots at a time: a worker that wants to choose waits for a part of it, not for all.
fn clients(service: &Service, now_seconds: u32) -> Vec<ClientStatus> {
    let mut clients = Vec::new();
    let mut start = 0;
    loop {
        let mut pool = service.pool();
        let used = pool.client_slots_used();
        let end = used.min(start + SLOTS_PER_LOOK);
        clients.extend(pool.at(service.selection).client_statuses(start..end, now_seconds));
        if end == used {
            return clients;
        }
        start = end;
    }
}

/// Flows count as connections.
fn add_dsr(status: &mut Status, dsr: &Dsr) {
    let dsr::Snapshot { connections, connections_max, totals, status: dsr_status } = dsr.snapshot();
    status.listen = vec![dsr.text.clone()];
    status.connections_used = connections.len() as u64;
    status.connections_max = connections_max;
    status.connections = connections;
    status.totals.add(&totals);
    status.dsr = Some(dsr_status);
}
