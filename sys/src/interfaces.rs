//! Network interfaces and addresses of this host, as the kernel lists them.

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::if_nametoindex;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub mac: [u8; 6],
    /// Its link-local IPv6 address, if it has one.
    pub link_local: Option<Ipv6Addr>,
}

/// Finds an interface by name.
///
/// # Errors
/// There is none of that name, or it is not Ethernet.
pub fn ethernet(name: &str) -> io::Result<Interface> {
    let index = if_nametoindex(name)?;
    let (mut mac, mut link_local) = (None, None);
    for address in getifaddrs()?.filter(|entry| entry.interface_name == name) {
        let Some(storage) = address.address else { continue };
        if let Some(link) = storage.as_link_addr().filter(|link| link.hatype() == libc::ARPHRD_ETHER) {
            mac = link.addr();
        }
        if let Some(v6) = storage.as_sockaddr_in6().filter(|v6| v6.ip().is_unicast_link_local()) {
            link_local = Some(v6.ip());
        }
    }
    let mac = mac.ok_or_else(|| io::Error::other("not an Ethernet interface"))?;
    Ok(Interface { index, mac, link_local })
}

/// Every address of this host.
pub fn own_addresses() -> io::Result<HashSet<IpAddr>> {
    let ip = |entry: nix::ifaddrs::InterfaceAddress| {
        let storage = entry.address?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(getifaddrs()?.filter_map(ip).collect())
}

/// The first and the last of the ports that the system chooses from for sockets that ask for none; `None` where it does not
/// tell.
pub fn ports_handed_out() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_whitespace().map(|port| port.parse().ok());
    Some((ports.next()??, ports.next()??))
}

/// Whether this host passes on packets that arrive at an interface for others. False where the kernel does not tell.
pub fn forwards(name: &str, ip: IpAddr) -> bool {
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/conf/{name}/forwarding"));
    setting.is_ok_and(|text| text.trim() != "0")
}
