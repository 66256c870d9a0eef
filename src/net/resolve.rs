//! Names to addresses. Blocks on name servers: for start-up, reload and helper threads, never for a worker.

use crate::sys::socket::look_up;
use pen_proto::addr::{Host, ListenAddr, Port};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
        Host::Name(name) => {
            let found = look_up(Some(name), None).map_err(|reason| format!("host \"{name}\": {reason}"))?;
            let first = found.first().ok_or_else(|| format!("host \"{name}\": no address"))?;
            Ok(SocketAddr::new(first.ip(), port))
        }
        Host::Unix(path) => Err(format!("want an Internet address, got the Unix socket {path}")),
    }
}

/// How to reach who listens at an Internet address: all addresses of its name, and the loopback for "any address".
pub fn destinations(listener: &ListenAddr) -> Result<Vec<SocketAddr>, String> {
    let port = listener.port.as_ref().ok_or_else(|| format!("want a port, got \"{listener}\""))?;
    let port = port_number(port)?;
    let ips = match &listener.host {
        Host::Ip(IpAddr::V4(any)) if any.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        Host::Ip(IpAddr::V6(any)) if any.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into()],
        Host::Name(name) => {
            let found = look_up(Some(name), None).map_err(|reason| format!("host \"{name}\": {reason}"))?;
            found.iter().map(SocketAddr::ip).collect()
        }
        host => vec![socket_address(host, port)?.ip()],
    };
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
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
        ] {
            assert_eq!(reached(text), Ok::<_, String>(expected.to_string()), "{text}");
        }
        assert_eq!(reached("/run/pen"), Err("want a port, got \"/run/pen\"".to_string()));
        assert!(reached("localhost:8888").unwrap().contains(":8888"));
    }
}
