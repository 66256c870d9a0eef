//! Services beside the one that a snapshot is about, and how renderers see each of them.

use super::{ClientStatus, ClonesStatus, ConnectionStatus, DsrStatus, ServerStatus, Status, Totals};
use crate::commands::Role;
use crate::load::Load;
use serde::{Deserialize, Serialize};

/// The service that is meant where none is named.
pub const MAIN: &str = "main";

/// A service other than the one that a [`Status`] is about. Fields are as there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub name: String,
    /// `tcp`, `udp` or `dsr`.
    pub kind: String,
    pub listen: Vec<String>,
    pub mode: String,
    pub current_server: i32,
    pub servers: Vec<ServerStatus>,
    pub clients_max: u64,
    /// With `clients_from` those of the shared table, with the servers that they have here.
    pub clients: Vec<ClientStatus>,
    /// How many clients are remembered, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_used: Option<u64>,
    /// The service that it shares the client table of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_from: Option<String>,
    /// The load of its servers together, in percent of what they should have; see [`ServiceView::load_percent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_percent: Option<u32>,
    /// Of this service alone.
    pub connections_used: u64,
    pub connections_last: u64,
    pub connections: Vec<ConnectionStatus>,
    pub idlers: u64,
    pub idlers_wanted: u64,
    /// Connects under way are counted for all services together, in [`Status::totals`].
    pub totals: Totals,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clones: Option<ClonesStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsr: Option<DsrStatus>,
}

/// What is known of one service, wherever it stands in the snapshot.
#[derive(Debug, Clone, Copy)]
pub struct ServiceView<'a> {
    /// Empty for the only service of a snapshot that names none.
    pub name: &'a str,
    pub kind: &'a str,
    /// Whether the connections are UDP sessions.
    pub udp: bool,
    pub listen: &'a [String],
    pub mode: &'a str,
    pub current_server: i32,
    pub servers: &'a [ServerStatus],
    pub clients_max: u64,
    /// How many are remembered, listed or not.
    pub clients_used: u64,
    pub clients: &'a [ClientStatus],
    pub clients_from: Option<&'a str>,
    /// Of this service alone.
    pub connections_used: u64,
    pub connections_last: u64,
    pub connections: &'a [ConnectionStatus],
    pub idlers: u64,
    pub idlers_wanted: u64,
    pub totals: &'a Totals,
    pub clones: Option<&'a ClonesStatus>,
    pub dsr: Option<&'a DsrStatus>,
}

impl ServiceStatus {
    pub fn view(&self) -> ServiceView<'_> {
        ServiceView {
            name: &self.name,
            kind: &self.kind,
            udp: self.kind == "udp",
            listen: &self.listen,
            mode: &self.mode,
            current_server: self.current_server,
            servers: &self.servers,
            clients_max: self.clients_max,
            clients_used: self.clients_used.unwrap_or(self.clients.len() as u64),
            clients: &self.clients,
            clients_from: self.clients_from.as_deref(),
            connections_used: self.connections_used,
            connections_last: self.connections_last,
            connections: &self.connections,
            idlers: self.idlers,
            idlers_wanted: self.idlers_wanted,
            totals: &self.totals,
            clones: self.clones.as_ref(),
            dsr: self.dsr.as_ref(),
        }
    }
}

impl Status {
    /// The service that the snapshot is about.
    pub fn own(&self) -> ServiceView<'_> {
        let kind = match (&self.dsr, self.udp) {
            (Some(_), _) => "dsr",
            (None, true) => "udp",
            (None, false) => "tcp",
        };
        let connections_used = match self.services.is_empty() {
            true => self.connections_used,
            false => self.connections_own.unwrap_or(self.connections.len() as u64),
        };
        ServiceView {
            name: &self.service,
            kind,
            udp: self.udp,
            listen: &self.listen,
            mode: &self.mode,
            current_server: self.current_server,
            servers: &self.servers,
            clients_max: self.clients_max,
            clients_used: self.clients_used.unwrap_or(self.clients.len() as u64),
            clients: &self.clients,
            clients_from: self.clients_from.as_deref(),
            connections_used,
            connections_last: self.connections_last,
            connections: &self.connections,
            idlers: self.idlers,
            idlers_wanted: self.idlers_wanted,
            totals: &self.totals,
            clones: self.clones.as_ref(),
            dsr: self.dsr.as_ref(),
        }
    }

    /// Every service, the one that the snapshot is about first.
    pub fn views(&self) -> impl Iterator<Item = ServiceView<'_>> {
        std::iter::once(self.own()).chain(self.services.iter().map(ServiceStatus::view))
    }
}

impl<'a> ServiceView<'a> {
    /// The name, where it has to be said: not of `main`, nor of a service that has none.
    pub fn named(&self) -> Option<&'a str> {
        Some(self.name).filter(|name| !name.is_empty() && *name != MAIN)
    }

    /// The load of all its servers together in percent of what they should have, of those of which both are known. Only the
    /// regular members count.
    pub fn load_percent(&self) -> Option<u32> {
        let known = |server: &ServerStatus| {
            Some((server.load?, server.maxload?)).filter(|(load, _)| *load > Load::default())
        };
        let members = self.regular_servers().filter(|server| server.role == Role::Member);
        let known = members.filter_map(known);
        let sums = known.fold((0u64, 0u64), |(loads, most), (load, maxload)| {
            (loads + u64::from(load.thousandths()), most + u64::from(maxload.thousandths()))
        });
        let percent = (sums.0 * 100).checked_div(sums.1)?;
        Some(u32::try_from(percent).unwrap_or(u32::MAX))
    }

    /// The servers that have a number; the emergency and the abuse server do not count.
    pub fn regular_servers(&self) -> impl Iterator<Item = &'a ServerStatus> {
        self.servers.iter().filter(|server| server.index >= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_main_alone_says_nothing_of_services() {
        let json = serde_json::to_string(&Status::default()).unwrap();
        assert!(!json.contains("service") && !json.contains("clients_from"), "{json}");
        let status: Status = serde_json::from_str(&json).unwrap();
        assert_eq!(status.views().map(|view| view.named()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn the_load_of_a_service_is_that_of_the_servers_that_tell_theirs() {
        let server = |load: Option<u64>, maxload: u64| ServerStatus {
            load: load.map(Load::of_thousandths),
            maxload: Some(Load::of_thousandths(maxload)).filter(|load| *load > Load::default()),
            ..Default::default()
        };
        let percent =
            |servers: Vec<ServerStatus>| Status { servers, ..Default::default() }.own().load_percent();
        assert_eq!(percent(vec![server(Some(1_500), 4_000), server(Some(500), 4_000)]), Some(25));
        let with_others = vec![server(Some(3_000), 2_000), server(None, 4_000), server(Some(9_000), 0)];
        assert_eq!(percent(with_others), Some(150), "those that do not tell do not count");
        assert_eq!(percent(vec![server(None, 4_000), server(Some(0), 4_000)]), None);
    }

    #[test]
    fn every_service_is_seen_in_the_same_way() {
        let service = ServiceStatus { name: "web".into(), connections_used: 3, ..Default::default() };
        let status = Status {
            service: MAIN.into(),
            connections_used: 4,
            connections: vec![ConnectionStatus::default()],
            services: vec![service],
            ..Default::default()
        };
        let seen: Vec<_> = status.views().map(|view| (view.named(), view.connections_used)).collect();
        assert_eq!(seen, [(None, 1), (Some("web"), 3)]);
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    }
}
