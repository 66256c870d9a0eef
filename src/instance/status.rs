//! What a running pen tells of itself: the workers' reports, the servers and the clients in one snapshot.

use super::{Instance, Served};
use crate::balance::{Chooser, add_flows, add_idlers, add_live, add_live_to_clients, add_times};
use crate::clones::Tally;
use crate::control::apply::Wanted;
use crate::dsr::{self, Dsr};
use crate::log::local_time;
use crate::runtime::ServiceSnapshot;
use crate::service::Service;
use crate::settings::{MAIN, Settings};
use crate::shared::Detail;
use crate::sys::clock;
use crate::sys::process_figures;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::{ClientStatus, ClonesState, ClonesStatus, ServiceStatus, Status};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Slots of the client table read under one hold of the pool's lock: some tens of microseconds.
const SLOTS_PER_LOOK: u32 = 1024;

/// How often the workers and the totals are asked until nothing has ended in between.
const LOOKS_MAX: u32 = 4;

/// Where more connections than this end in one look, one more or less is nothing, and the next look would be no better.
const FEW: u64 = 8;

impl Instance {
    /// What `service` would tell, or the first service if there is no such one. Of the others something is told only when
    /// everything is wanted, and nothing of those that were removed.
    ///
    /// A connection that ends after its worker has told of it, and before the totals are read, is in both. So a counter
    /// would go back with the next look, which programs take for a restart of pen; a second look counts right.
    pub(super) fn status(&mut self, wanted: Wanted, service: &str) -> Status {
        for _ in 1..LOOKS_MAX {
            let before = self.connections_ended();
            let status = self.look(wanted, service);
            if !(1..=FEW).contains(&self.connections_ended().abs_diff(before)) {
                return status;
            }
        }
        self.look(wanted, service)
    }

    fn connections_ended(&self) -> u64 {
        let ended = |served: &Served| {
            let service = self.runtime.service(served.number);
            service.pool().at(service.selection).connections_ended()
        };
        self.served.values().map(ended).sum()
    }

    fn look(&mut self, wanted: Wanted, service: &str) -> Status {
        let found = self.served.get_key_value(service).or_else(|| self.served.iter().next());
        let Some((own_name, own)) = found else { return Status::default() };
        let detail = match wanted {
            Wanted::Servers | Wanted::Figures => Detail::Sums,
            Wanted::Clients | Wanted::Connections | Wanted::Everything => Detail::Each,
        };
        let snapshot = self.runtime.snapshot(detail);
        let now_ms = clock::monotonic_ms();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            time_local: local_time::stamp(&local_time::now()).to_string(),
            time_epoch_seconds: clock::epoch_ms() / 1000,
            uptime_seconds: now_ms / 1000,
            workers: snapshot.workers,
            connections_max: snapshot.connections_max,
            connections_used: snapshot.connections_used,
            full: snapshot.full,
            calls: snapshot.calls,
            process: matches!(wanted, Wanted::Figures | Wanted::Everything).then(process_figures::look),
            udp: own.settings.flag(Flag::Udp),
            ..Status::default()
        };
        let by_number: HashMap<u16, (&Arc<str>, &Served)> =
            self.served.iter().map(|(name, served)| (served.number, (name, served))).collect();
        for part in snapshot.services {
            let Some((name, served)) = by_number.get(&part.number) else { continue };
            let is_own = served.number == own.number;
            if !is_own && !matches!(wanted, Wanted::Everything | Wanted::Figures) {
                continue;
            }
            let (told, flows_max) = self.told(wanted, name, served, part, now_ms);
            if !is_own {
                status.services.push(told);
                continue;
            }
            status.connections_own = (wanted == Wanted::Figures).then_some(told.connections_used);
            if let Some(flows_max) = flows_max {
                (status.connections_used, status.connections_max) = (told.connections_used, flows_max);
            }
            tell_own(&mut status, told);
        }
        if self.served.len() == 1 && **own_name == *MAIN {
            status.service.clear();
        }
        status.totals.pending_connects = snapshot.pending_connects;
        status
    }

    /// Beside it, how many flows there may be, if it directs packets.
    fn told(
        &self,
        wanted: Wanted,
        name: &Arc<str>,
        served: &Served,
        part: ServiceSnapshot,
        now_ms: u64,
    ) -> (ServiceStatus, Option<u64>) {
        let ServiceSnapshot {
            connections, open, live, clones, times, connections_last, idlers, totals, ..
        } = part;
        let listeners = self.runtime.listeners(served.number);
        let mut told = ServiceStatus {
            name: name.to_string(),
            kind: if served.settings.flag(Flag::Udp) { "udp" } else { "tcp" }.into(),
            listen: listeners.iter().map(|listener| listener.text.to_string()).collect(),
            mode: served.settings.mode(),
            clients_from: served.clients_from.as_deref().map(Into::into),
            connections_used: open,
            connections_last,
            connections,
            idlers: idlers.iter().map(|(_, count)| *count as u64).sum(),
            idlers_wanted: served.settings.number(Number::Idlers),
            totals,
            ..ServiceStatus::default()
        };
        let directed = self.dsr.as_ref().filter(|(directed, _)| directed == name);
        let flows_max = directed.map(|(_, dsr)| add_dsr(&mut told, dsr));
        told.totals.log_lines_dropped = served.log.dropped_lines();
        let service = self.runtime.service(served.number);
        let now_seconds = clock::steady_epoch_seconds(now_ms);
        {
            let mut pool = service.pool();
            told.clients_max = pool.clients_max().into();
            let selection = pool.at(service.selection);
            told.current_server = selection.current_server().number();
            told.totals.waiting = selection.waiting() as u64;
            told.servers = selection.server_statuses(now_seconds);
            told.clones = clones_status(&selection, clones.as_deref(), &served.settings, now_seconds);
        }
        match wanted {
            Wanted::Clients | Wanted::Everything => told.clients = clients(service, now_seconds),
            Wanted::Figures => told.clients_used = Some(count_clients(service, now_seconds)),
            Wanted::Servers | Wanted::Connections => {}
        }
        add_live(&mut told.servers, &live);
        add_times(&mut told.servers, &times);
        if flows_max.is_some() {
            add_flows(&mut told.servers, &told.connections);
        }
        add_live_to_clients(&mut told.clients, &told.connections);
        add_idlers(&mut told.servers, &idlers);
        told.load_percent = told.view().load_percent();
        (told, flows_max)
    }
}

/// Makes the snapshot one about this service.
fn tell_own(status: &mut Status, told: ServiceStatus) {
    status.service = told.name;
    status.listen = told.listen;
    status.mode = told.mode;
    status.current_server = told.current_server;
    status.servers = told.servers;
    status.clients_max = told.clients_max;
    status.clients = told.clients;
    status.clients_used = told.clients_used;
    status.clients_from = told.clients_from;
    status.load_percent = told.load_percent;
    status.connections_last = told.connections_last;
    status.connections = told.connections;
    status.idlers = told.idlers;
    status.idlers_wanted = told.idlers_wanted;
    status.totals = told.totals;
    status.clones = told.clones;
    status.dsr = told.dsr;
}

/// Nothing where there are no clones and never were.
fn clones_status(
    selection: &Chooser<'_>,
    tally: Option<&Tally>,
    settings: &Settings,
    now_seconds: u32,
) -> Option<ClonesStatus> {
    let state = match (selection.may_clone(), selection.has_usable_clone(now_seconds)) {
        (false, _) => ClonesState::Disabled,
        (true, true) => ClonesState::Enabled,
        (true, false) => ClonesState::Failed,
    };
    let percent = settings.number(Number::ClonePercent);
    let is_told = selection.has_clones() || tally.is_some();
    is_told.then(|| ClonesStatus { state, percent, ..tally.map(Tally::status).unwrap_or_default() })
}

/// The client table.
fn clients(service: &Service, now_seconds: u32) -> Vec<ClientStatus> {
    let mut clients = Vec::new();
    look_at_clients(service, |chooser, slots| clients.extend(chooser.client_statuses(slots, now_seconds)));
    clients
}

/// How many clients are in it.
fn count_clients(service: &Service, now_seconds: u32) -> u64 {
    let mut count = 0;
    look_at_clients(service, |chooser, slots| count += chooser.count_clients(slots, now_seconds));
    count
}

/// Looks at some slots of the client table at a time: a worker that wants to choose waits for a part of it, not for all.
fn look_at_clients(service: &Service, mut look: impl FnMut(Chooser<'_>, Range<u32>)) {
    let mut start = 0;
    loop {
        let mut pool = service.pool();
        let used = pool.client_slots_used();
        let end = used.min(start + SLOTS_PER_LOOK);
        look(pool.at(service.selection), start..end);
        if end == used {
            return;
        }
        start = end;
    }
}

/// Flows count as connections. Returns how many there may be.
fn add_dsr(told: &mut ServiceStatus, dsr: &Dsr) -> u64 {
    let dsr::Snapshot { connections, connections_max, totals, status } = dsr.snapshot();
    told.kind = "dsr".into();
    told.listen = vec![dsr.text.clone()];
    told.connections_used = connections.len() as u64;
    told.connections = connections;
    told.totals.add(&totals);
    told.dsr = Some(status);
    connections_max
}
