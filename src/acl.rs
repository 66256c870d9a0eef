//! Access lists: the first entry that matches decides. Pure.
//!
//! Owns what a list means. Entries come from the command parser; `balance` asks about clients of the listener, the
//! control server about its own.

use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch};
use std::net::IpAddr;

/// How many lists there are: `acl 0` to `acl 9`.
pub const ACL_COUNT: usize = 10;

/// One list, in the order the entries were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    pub entries: Vec<AclEntry>,
}

impl Acl {
    /// Whether `client` passes.
    ///
    /// An empty list lets everybody pass, and every list lets clients of a Unix socket pass: they have no address to
    /// judge. When no entry matches, the answer is the opposite of the last entry, even if that one is about the other
    /// address family, so a list that ends in a permit denies everybody else. All of this is Pen's rule.
    pub fn permits(&self, client: ClientAddr) -> bool {
        let (ClientAddr::Ip(ip), Some(last)) = (client, self.entries.last()) else { return true };
        match self.entries.iter().find(|entry| matches(entry.what, ip)) {
            Some(entry) => entry.permit,
            None => !last.permit,
        }
    }
}

impl Acl {
    /// Whether it says anything about addresses of this family.
    pub fn is_about(&self, ip: IpAddr) -> bool {
        self.entries.iter().any(|entry| matches!(entry.what, AclMatch::V4 { .. }) == ip.is_ipv4())
    }
}

/// An entry of the other address family matches nobody.
fn matches(what: AclMatch, ip: IpAddr) -> bool {
    match (what, ip) {
        (AclMatch::V4 { address, mask }, IpAddr::V4(client)) => client.to_bits() & mask == address,
        (AclMatch::V6 { address, prefix }, IpAddr::V6(client)) => {
            let host_bits = 128u32.saturating_sub(prefix.into());
            let differing = client.to_bits() ^ address;
            // A shift by all 128 bits is no shift at all to the processor.
            differing.checked_shr(host_bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v4(permit: bool, address: &str, mask: &str) -> AclEntry {
        let bits = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
        AclEntry { permit, what: AclMatch::V4 { address: bits(address), mask: bits(mask) } }
    }

    fn v6(permit: bool, address: &str, prefix: u8) -> AclEntry {
        let address = address.parse::<Ipv6Addr>().unwrap().to_bits();
        AclEntry { permit, what: AclMatch::V6 { address, prefix } }
    }

    fn client(text: &str) -> ClientAddr {
        if text == "unix" { ClientAddr::Unix } else { ClientAddr::Ip(text.parse().unwrap()) }
    }

    #[test]
    fn the_first_match_decides_and_no_match_is_the_opposite_of_the_last_entry() {
        const HOST: &str = "255.255.255.255";
        let cases: &[(&str, Vec<AclEntry>, &str, bool)] = &[
            ("empty permits", vec![], "127.0.0.1", true),
            ("empty permits IPv6", vec![], "2001:db8::1", true),
            ("permitted", vec![v4(true, "127.0.0.1", HOST)], "127.0.0.1", true),
            ("not permitted", vec![v4(true, "127.0.0.1", HOST)], "127.0.0.2", false),
            ("denied", vec![v4(false, "127.0.0.1", HOST)], "127.0.0.1", false),
            ("not denied", vec![v4(false, "127.0.0.1", HOST)], "127.0.0.2", true),
            (
                "earlier entry wins",
                vec![v4(false, "10.1.2.3", HOST), v4(true, "10.0.0.0", "255.0.0.0")],
                "10.1.2.3",
                false,
            ),
            (
                "later entry for the rest",
                vec![v4(false, "10.1.2.3", HOST), v4(true, "10.0.0.0", "255.0.0.0")],
                "10.1.2.4",
                true,
            ),
            ("host bits match nobody", vec![v4(true, "127.0.0.9", "255.0.0.0")], "127.0.0.9", false),
            ("mask of zero matches all", vec![v4(false, "0.0.0.0", "0.0.0.0")], "203.0.113.9", false),
            (
                "last entry of the other family still sets the default",
                vec![v4(false, "127.0.0.2", HOST), v6(true, "::1", 128)],
                "127.0.0.1",
                false,
            ),
            (
                "entries of the other family are skipped",
                vec![v6(true, "::", 0), v4(false, "127.0.0.2", HOST)],
                "127.0.0.2",
                false,
            ),
            ("IPv4 mask does not match IPv6", vec![v4(false, "0.0.0.0", "0.0.0.0")], "2001:db8::1", true),
            ("prefix inside a byte", vec![v6(true, "2001:db8:8000::", 33)], "2001:db8:ffff::1", true),
            ("outside that prefix", vec![v6(true, "2001:db8:8000::", 33)], "2001:db8:7fff::1", false),
            ("host bits of IPv6 are ignored", vec![v6(true, "2001:db8::7", 32)], "2001:db8::1", true),
            ("prefix 0 matches all", vec![v6(false, "::", 0)], "ff02::1", false),
            ("prefix 128 is one host", vec![v6(false, "2001:db8::1", 128)], "2001:db8::3", true),
            ("Unix passes a permit list", vec![v4(true, "127.0.0.1", HOST)], "unix", true),
            ("Unix passes a deny list", vec![v4(false, "0.0.0.0", "0.0.0.0")], "unix", true),
        ];
        for (name, entries, address, expected) in cases {
            let acl = Acl { entries: entries.clone() };
            assert_eq!(acl.permits(client(address)), *expected, "{name}: {address}");
        }
    }
}
