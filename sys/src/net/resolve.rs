//! Names to addresses. Blocks on name servers: for start-up, reload and helper threads, never for a worker.

use crate::socket::look_up;
use nix::net::if_::if_nametoindex;
use pen_proto::addr::{Host, ListenAddr, Port};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The number of a port; services are looked up in the system's services database.
pub fn port_number(port: &Port) -> Result<u16, String> {
    match port {
        Port::Number(number) => Ok(*number),
        Port::Service(name) => look_up(None, Some(name))
            .ok()
            .and_then(|found| found.first().map(SocketAddr::port))
            .ok_or_else(|| format!("port: want 1..65535 or a known service, got \"{name}\"")),
    }
}

/// The first address of an Internet host, as Pen takes it.
pub fn socket_address(host: &Host, port: u16) -> Result<SocketAddr, String> {
    match host {
        Host::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
        Host::Name(name) => match zoned(name, port) {
            Some(found) => found,
            None => {
                let first = addresses(name)?.first().copied();
                let first = first.ok_or_else(|| format!("host \"{name}\": no address"))?;
                Ok(SocketAddr::new(first, port))
            }
        },
        Host::Unix(path) => Err(format!("want an Internet address, got the Unix socket {path}")),
    }
}

/// All addresses of a name, in the order in which the resolver prefers them.
pub fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = look_up(Some(name), None).map_err(|reason| format!("host \"{name}\": {reason}"))?;
    Ok(found.iter().map(SocketAddr::ip).collect())
}

/// An IPv6 address with a zone, which is an interface by its name or number: `fe80::1%eth0`. `None` for anything else.
fn zoned(name: &str, port: u16) -> Option<Result<SocketAddr, String>> {
    let (ip, zone) = name.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let index = zone.parse().or_else(|_| if_nametoindex(zone));
    let address = index.map(|index| SocketAddrV6::new(ip, port, 0, index).into());
    Some(address.map_err(|_| format!("host \"{name}\": there is no interface \"{zone}\"")))
}

/// How to reach who listens at an Internet address: all addresses of its name, and the loopback for "any address".
pub fn destinations(listener: &ListenAddr) -> Result<Vec<SocketAddr>, String> {
    let port = listener.port.as_ref().ok_or_else(|| format!("want a port, got \"{listener}\""))?;
    let port = port_number(port)?;
    Ok(match &listener.host {
        Host::Ip(IpAddr::V4(any)) if any.is_unspecified() => vec![(Ipv4Addr::LOCALHOST, port).into()],
        Host::Ip(IpAddr::V6(any)) if any.is_unspecified() => vec![(Ipv6Addr::LOCALHOST, port).into()],
        host => match host.name() {
            None => vec![socket_address(host, port)?],
            Some(name) => addresses(name)?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_where_it_listens() {
        let reached = |text: &str| {
            let found = destinations(&ListenAddr::parse(text)?)?;
            Ok(found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [
            ("8888", "127.0.0.1:8888"),
            ("*:8888", "127.0.0.1:8888"),
            (":::8888", "[::1]:8888"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("::1:8888", "[::1]:8888"),
            ("[fe80::1%7]:8888", "[fe80::1%7]:8888"),
            ("[fe80::1%lo]:8888", "[fe80::1%1]:8888"),
        ] {
            assert_eq!(reached(text), Ok::<_, String>(expected.to_string()), "{text}");
        }
        let unknown = reached("[fe80::1%none]:8888");
        assert_eq!(unknown, Err("host \"fe80::1%none\": there is no interface \"none\"".to_string()));
        assert_eq!(reached("/run/pen"), Err("want a port, got \"/run/pen\"".to_string()));
        assert!(reached("localhost:8888").unwrap().contains(":8888"));
    }
}
