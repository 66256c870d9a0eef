//! What direct server return asks of a selection beside the choice: who the servers are, and that one is gone. Pure.

use super::{Selection, ServerId};
use pen_proto::called::Called;
use std::net::IpAddr;

impl Selection {
    /// The addresses of all servers that have one, the emergency and the abuse server included.
    pub fn server_ips(&self) -> Vec<IpAddr> {
        self.servers.ids().filter_map(|id| self.ip(id)).collect()
    }

    /// Nobody answers at this address: its servers are blacklisted, as by a connect that fails. Whom the operator has
    /// blacklisted stays so.
    pub fn vanished(&mut self, ip: IpAddr, now_seconds: u32) {
        for id in self.servers.ids() {
            if self.ip(id) == Some(ip) {
                self.servers.vanished(id, now_seconds);
            }
        }
    }

    /// How messages name the server at this address; of several the first.
    pub fn called_at(&self, ip: IpAddr) -> Option<Called> {
        self.servers.ids().find(|id| self.ip(*id) == Some(ip)).map(|id| self.called(id))
    }

    fn ip(&self, id: ServerId) -> Option<IpAddr> {
        self.servers.get(id)?.setup.endpoint.ip()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoint, ServerSetup};
    use super::*;

    #[test]
    fn who_vanished_is_blacklisted_and_nobody_else() {
        let host = |last: u8| ServerSetup::new(Endpoint::Host([10, 0, 0, last].into()));
        let inet = ServerSetup::new(Endpoint::Inet(([10, 0, 0, 2], 80).into()));
        let mut selection = Selection::of(vec![host(1), inet, ServerSetup::default()], Some(host(2)), None);
        let ips = [1, 2, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        assert_eq!(selection.server_ips(), ips);
        let called = ips.map(|ip| selection.called_at(ip).unwrap().to_string());
        assert_eq!(called, ["server 0 (10.0.0.1)", "server 1 (10.0.0.2:80)", "server 1 (10.0.0.2:80)"]);
        selection.vanished(ips[1], 1_000);
        let seconds = |selection: &Selection, now| {
            let statuses = selection.server_statuses(now);
            statuses.iter().map(|status| status.blacklisted_seconds).collect::<Vec<_>>()
        };
        assert_eq!(seconds(&selection, 1_000), [0, 30, 0, 30]);
        selection.blacklist(super::super::ServerId::regular(1), 500, 1_000);
        selection.vanished(ips[1], 1_001);
        assert_eq!(seconds(&selection, 1_001), [0, 499, 0, 30], "the operator's word stands");
    }
}
