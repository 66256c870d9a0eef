//! Servers that are pen itself: the first client would come back as the next one, for as long as there is room.
//!
//! A forgotten port is enough, because a server without one gets that of the listener. Decides about a numeric
//! configuration; opens nothing. Called by `apply.rs` before a configuration takes effect.

use crate::net::itself;
use crate::settings::{Config, ServerEntry, ServiceConfig};
use pen_proto::addr::{Host, ListenAddr, Port};
use pen_proto::commands::{Flag, Text};
use std::cell::LazyCell;
use std::net::IpAddr;

/// Refuses servers at which pen itself listens. What goes through others and comes back cannot be seen from here.
///
/// # Errors
/// The server, and what is wrong with it.
pub fn check(config: &Config) -> Result<(), String> {
    // Only where it matters, and then once for all servers: it costs several system calls.
    let around = LazyCell::new(itself::look_around);
    let is_here = |ip| {
        LazyCell::force(&around);
        itself::is_here(ip)
    };
    let mut services = config.services.iter();
    services.try_for_each(|service| find(service, is_here).map_err(|trouble| service.of(&trouble)))
}

fn find(service: &ServiceConfig, is_here: impl Fn(IpAddr) -> bool) -> Result<(), String> {
    // Direct server return listens nowhere, and a dummy has no use for servers.
    if service.text(Text::DsrIf).is_some() || service.flag(Flag::Dummy) {
        return Ok(());
    }
    for (name, ServerEntry { spec, more, .. }) in service.entries() {
        let hosts = std::iter::once(spec.host.clone()).chain(more.iter().map(|ip| Host::Ip(*ip)));
        for host in hosts {
            let port = spec.port.as_ref();
            if service.listeners().any(|listen| is_listener(listen, &host, port, &is_here)) {
                return Err(match &spec.port {
                    Some(port) if !host.is_unix() => format!(
                        "{name}: {host} port {port} is where pen itself listens: want another address or port (without a \
                         port a server has that of listen)"
                    ),
                    _ => format!("{name}: {host} is where pen itself listens: want another path"),
                });
            }
        }
    }
    Ok(())
}

fn is_listener(
    listen: &ListenAddr,
    host: &Host,
    port: Option<&Port>,
    is_here: impl Fn(IpAddr) -> bool,
) -> bool {
    match (&listen.host, host) {
        (Host::Unix(listen), Host::Unix(server)) => listen == server,
        _ if listen.port.is_none() || listen.port.as_ref() != port => false,
        (Host::Ip(listen), Host::Ip(server)) => {
            let (listen, server) = (listen.to_canonical(), server.to_canonical());
            // At port 0 and at no address there is no server.
            let is_reached = !server.is_unspecified();
            let is_heard = listen.is_unspecified() && (listen.is_ipv6() || server.is_ipv4());
            is_reached && (listen == server || is_heard && is_here(server))
        }
        // With a zone.
        (listen, server) => listen == server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::addr::ServerSpec;
    use pen_proto::commands::{Address, AddressValue};

    fn listening_at(address: &str) -> ServiceConfig {
        let mut config = ServiceConfig::default();
        config.values.set_address(Address::Listen, Some(AddressValue::listen(address).unwrap()));
        config
    }

    /// 127.0.0.1 and 192.0.2.1 are here.
    fn found(listen: &str, server: &str) -> Result<(), String> {
        let mut config = listening_at(listen);
        config.servers.push(None);
        config.servers.push(Some(ServerSpec::parse(server).unwrap().into()));
        find(&config, |ip| {
            ["127.0.0.1", "192.0.2.1"].iter().any(|here| ip == here.parse::<IpAddr>().unwrap())
        })
    }

    #[test]
    fn what_is_certain_is_refused() {
        let certain = [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("80", "127.0.0.1:80"),
            ("80", "192.0.2.1:80"),
            ("[::]:80", "192.0.2.1:80"),
            ("[::]:80", "[::ffff:127.0.0.1]:80"),
            ("[::1]:80", "[::1]:80"),
            ("203.0.113.9:80", "203.0.113.9:80"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
        ];
        for (listen, server) in certain {
            let error = found(listen, server).expect_err(&format!("{listen} {server}"));
            assert!(
                error.starts_with("server 1: ") && error.contains(" port 80 is where pen itself"),
                "{error}"
            );
        }
        let error = found("/run/a", "/run/a").unwrap_err();
        assert_eq!(error, "server 1: /run/a is where pen itself listens: want another path");
    }

    #[test]
    fn what_is_not_is_let_be() {
        let others = [
            ("80", "127.0.0.1:8080"),
            ("80", "198.51.100.7:80"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("80", "0.0.0.0:80"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth1]:80"),
            ("/run/a", "/run/b"),
            ("/run/a", "127.0.0.1"),
            ("80", "127.0.0.1"),
        ];
        for (listen, server) in others {
            assert_eq!(found(listen, server), Ok(()), "{listen} {server}");
        }
    }

    #[test]
    fn a_pen_that_needs_no_server_may_have_itself() {
        let emergency = Some(ServerSpec::parse("127.0.0.1:80").unwrap().into());
        let mut config = ServiceConfig { emergency, ..listening_at("127.0.0.1:80") };
        assert!(find(&config, |_| true).unwrap_err().starts_with("-e: 127.0.0.1 port 80 "));
        config.values.set_flag(Flag::Dummy, true);
        assert_eq!(find(&config, |_| true), Ok(()));
    }
}
