//! Names to addresses. Blocks on name servers: for start-up, reload and helper threads, never for a worker.

use crate::sys::socket::look_up;
use pen_proto::addr::{Host, ListenAddr, Port};
use std::net::SocketAddr;

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

/// The port that servers without one inherit: that of the main listener; `None` when it is a Unix socket.
pub fn default_server_port(listen: Option<&ListenAddr>) -> Result<Option<u16>, String> {
    listen.and_then(|address| address.port.as_ref()).map(port_number).transpose()
}
