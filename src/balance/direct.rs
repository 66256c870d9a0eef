//! What direct server return asks of the balancer beside the choice: who the servers are, and that one is gone. Pure.

use super::Balancer;
use std::net::IpAddr;

impl Balancer {
    /// The addresses of all servers that have one, the emergency and the abuse server included.
    pub fn server_ips(&self) -> Vec<IpAddr> {
        self.servers.all().filter_map(|server| server.setup.endpoint.ip()).collect()
    }

    /// Nobody answers at this address: its servers are blacklisted, as by a connect that fails. Whom the operator has
    /// blacklisted for longer stays so.
    pub fn vanished(&mut self, ip: IpAddr, now_seconds: u32) {
        self.servers.change_all(|server| {
            if server.setup.endpoint.ip() == Some(ip) {
                server.failed_at_seconds = server.failed_at_seconds.max(Some(now_seconds.into()));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoint, ServerSetup};
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn who_vanished_is_blacklisted_and_nobody_else() {
        let host = |last: u8| ServerSetup::new(Endpoint::Host([10, 0, 0, last].into()));
        let inet = ServerSetup::new(Endpoint::Inet(([10, 0, 0, 2], 80).into()));
        let mut balancer = Balancer::new(1);
        balancer.set_servers(vec![host(1), inet, ServerSetup::default()], Some(host(2)), None);
        let ips = [1, 2, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        assert_eq!(balancer.server_ips(), ips);
        balancer.vanished(ips[1], 1_000);
        let settings = Settings::default();
        let seconds = |balancer: &Balancer, now| {
            let statuses = balancer.server_statuses(&settings, now);
            statuses.iter().map(|status| status.blacklisted_seconds).collect::<Vec<_>>()
        };
        assert_eq!(seconds(&balancer, 1_000), [0, 30, 0, 30]);
        balancer.blacklist(&settings, super::super::ServerId::regular(1), 500, 1_000);
        balancer.vanished(ips[1], 1_001);
        assert_eq!(seconds(&balancer, 1_001), [0, 499, 0, 30], "the operator's word stands");
    }
}
