//! What direct server return asks of the balancer beside the choice: who the servers are, and that one is gone. Pure.

use super::{Balancer, ServerId, forgiven_seconds};
use crate::settings::Settings;
use std::net::IpAddr;

impl Balancer {
    /// The addresses of all servers that have one, the emergency and the abuse server included.
    pub fn server_ips(&self) -> Vec<IpAddr> {
        self.servers.ids().filter_map(|id| self.ip(id)).collect()
    }

    /// Nobody answers at this address: its servers are blacklisted, as by a connect that fails. Whom the operator has
    /// blacklisted stays so.
    pub fn vanished(&mut self, settings: &Settings, ip: IpAddr, now_seconds: u32) {
        let forgiven_seconds = forgiven_seconds(settings, now_seconds);
        for id in self.servers.ids() {
            if self.ip(id) == Some(ip) {
                self.servers.vanished(id, forgiven_seconds, now_seconds);
            }
        }
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
        let mut balancer = Balancer::new(1);
        balancer.set_servers(vec![host(1), inet, ServerSetup::default()], Some(host(2)), None);
        let ips = [1, 2, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        assert_eq!(balancer.server_ips(), ips);
        let settings = Settings::default();
        balancer.vanished(&settings, ips[1], 1_000);
        let seconds = |balancer: &Balancer, now| {
            let statuses = balancer.server_statuses(&settings, now);
            statuses.iter().map(|status| status.blacklisted_seconds).collect::<Vec<_>>()
        };
        assert_eq!(seconds(&balancer, 1_000), [0, 30, 0, 30]);
        balancer.blacklist(&settings, super::super::ServerId::regular(1), 500, 1_000);
        balancer.vanished(&settings, ips[1], 1_001);
        assert_eq!(seconds(&balancer, 1_001), [0, 499, 0, 30], "the operator's word stands");
    }
}
