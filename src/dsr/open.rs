//! What direct server return needs from the operating system, opened and checked while there are privileges.

use super::director::{Protocol, Service};
use super::filter;
use super::frame::Mac;
use super::reply::{Station, link_local_of};
use crate::log::diag::{self, Severity};
use crate::settings::{ServerEntry, ServiceConfig};
use crate::sys::errors::reason;
use crate::sys::interfaces::{self, Interface};
use crate::sys::packet::PacketSocket;
use pen_proto::addr::{Host, ListenAddr, Port};
use pen_proto::commands::{Flag, Text};
use std::collections::HashSet;
use std::net::IpAddr;

/// An interface, ready to receive.
#[derive(Debug)]
pub struct Opened {
    pub socket: PacketSocket,
    pub interface: String,
    pub index: u32,
    pub station: Station,
    pub service: Service,
    pub protocol: Protocol,
    pub own: HashSet<IpAddr>,
    /// The listening address as the operator wrote it.
    pub text: String,
}

/// Opens the interface of `dsr_if`; `None` where it is not set.
///
/// # Errors
/// What is wrong with the interface, the listening address or a server, beginning with the command.
pub fn open(config: &ServiceConfig) -> Result<Option<Opened>, String> {
    let Some(name) = config.text(Text::DsrIf) else { return Ok(None) };
    open_interface(config, name).map(Some).map_err(|reason| format!("dsr_if: {reason}"))
}

fn open_interface(config: &ServiceConfig, name: &str) -> Result<Opened, String> {
    let address = config.listen().ok_or("want an address to serve")?;
    let service = service(address)?;
    check_servers(config)?;
    tell_useless_ports(config, service);
    let trouble = |error| format!("{name}: {}", reason(&error));
    let Interface { index, mac, link_local } = interfaces::ethernet(name).map_err(trouble)?;
    let own = interfaces::own_addresses().map_err(trouble)?;
    check_not_own(service.ip, &own)?;
    if interfaces::forwards(name, service.ip) {
        let family = if service.ip.is_ipv4() { "ipv4" } else { "ipv6" };
        diag::say(
            Severity::Notice,
            format_args!(
                "dsr_if: this host forwards what arrives at {name}, packets to {} too: set \
                 net.{family}.conf.{name}.forwarding to 0",
                service.ip
            ),
        );
    }
    let mac = Mac(mac);
    let station = Station { mac, link_local: link_local.unwrap_or_else(|| link_local_of(mac)) };
    let program = filter::program(service.ip, config.values.tarpit_acl().is_some());
    let socket = PacketSocket::open(index, program).map_err(trouble)?;
    let (interface, text) = (name.to_owned(), address.text.clone());
    Ok(Opened { socket, interface, index, station, service, protocol: protocol(config), own, text })
}

fn protocol(config: &ServiceConfig) -> Protocol {
    if config.flag(Flag::Udp) { Protocol::Udp } else { Protocol::Tcp }
}

/// The original does not look at them either; here it is said.
fn tell_useless_ports(config: &ServiceConfig, service: Service) {
    for (index, entry) in config.servers.iter().enumerate() {
        if let Some(ServerEntry { spec, .. }) = entry
            && let Some(Port::Number(port)) = spec.port
            && service.port != Some(port)
        {
            let called = config.called(index);
            let text = format_args!("dsr_if: {called}: port {port} has no effect, packets keep theirs");
            diag::say(Severity::Notice, text);
        }
    }
}

/// The address and port that clients connect to.
///
/// # Errors
/// It is not a single address.
pub fn service(address: &ListenAddr) -> Result<Service, String> {
    let port = match &address.port {
        None => None,
        Some(Port::Number(port)) => Some(*port),
        Some(Port::Service(name)) => return Err(format!("port {name} was never looked up")),
    };
    match address.host {
        Host::Ip(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(Service { ip, port }),
        _ => Err(format!(
            "want an address to serve as listening address, such as 192.0.2.10 or 192.0.2.10:80, got {:?}",
            address.text
        )),
    }
}

/// # Errors
/// The address is this host's: it would answer clients itself.
pub fn check_not_own(ip: IpAddr, own: &HashSet<IpAddr>) -> Result<(), String> {
    match own.contains(&ip) {
        true => Err(format!("{ip} is an address of this host; only the servers may have it")),
        false => Ok(()),
    }
}

/// A frame goes to a station on the link, which a Unix socket is not.
fn check_servers(config: &ServiceConfig) -> Result<(), String> {
    for (name, ServerEntry { spec, .. }) in config.entries() {
        if let Host::Unix(path) = &spec.host {
            return Err(format!("{name}: want an IP address on the same network, got {path:?}"));
        }
    }
    Ok(())
}
