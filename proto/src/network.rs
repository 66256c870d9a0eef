//! IP networks as written, `10.0.0.0/8` or `2001:db8::/32`, and who is in one.

use crate::addr::{ClientAddr, quoted, strict_number};
use std::fmt;
use std::net::IpAddr;

/// What comes before an IPv4 address in IPv6 form.
const V4_FORM_BITS: u8 = 96;

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Reads `ADDRESS/LENGTH`, or a single address. IPv4 networks in IPv6 form are IPv4 networks.
    ///
    /// # Errors
    /// No address, a length beyond its bits, or bits behind the length, which would match nobody.
    pub fn parse(text: &str) -> Result<Network, String> {
        let network = Network::read(text)?;
        let Network { address, length } = network;
        match network.first() {
            first if first == address => Ok(network.canonical()),
            first => Err(format!("{address}/{length} would match no address; want {first}/{length}")),
        }
    }

    /// As [`Network::parse`], but bits behind the length are cleared: the network of this length that holds the address.
    ///
    /// # Errors
    /// No address, or a length beyond its bits.
    pub fn around(text: &str) -> Result<Network, String> {
        let network = Network::read(text)?;
        Ok(Network { address: network.first(), ..network }.canonical())
    }

    fn read(text: &str) -> Result<Network, String> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("want a network such as 10.0.0.0/8, got {}", quoted(text)))?;
        let bits = bits(address);
        let is_v4_in_v6_form = address.is_ipv6() && address.to_canonical().is_ipv4();
        let least = if is_v4_in_v6_form { V4_FORM_BITS } else { 0 };
        let length = match length {
            // The bound makes it fit.
            Some(length) => strict_number(length, least.into(), bits.into(), "bits")? as u8,
            None => bits,
        };
        Ok(Network { address, length })
    }

    /// Whether the address is one of the network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same_family = ip.is_ipv4() == self.address.is_ipv4();
        same_family && Network { address: ip, ..*self }.first() == self.address
    }

    /// Its address with the bits behind the length cleared.
    fn first(&self) -> IpAddr {
        // A shift by all bits is no shift at all to the processor.
        match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }

    fn canonical(self) -> Network {
        match (self.address.to_canonical(), self.length.checked_sub(V4_FORM_BITS)) {
            (address @ IpAddr::V4(_), Some(length)) if self.address.is_ipv6() => Network { address, length },
            _ => self,
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// With its length, unless it is a single address.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { address, length } = self;
        if *length == bits(*address) { write!(f, "{address}") } else { write!(f, "{address}/{length}") }
    }
}

/// Whose word about a client is believed: `proxy_accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downstream {
    Network(Network),
    /// Everybody who comes through a Unix socket: the permissions of the file decide who that is.
    Unix,
}

impl Downstream {
    /// Reads a network or the word `unix`.
    ///
    /// # Errors
    /// As [`Network::parse`].
    pub fn parse(text: &str) -> Result<Downstream, String> {
        if text == "unix" { Ok(Downstream::Unix) } else { Network::parse(text).map(Downstream::Network) }
    }

    /// Whether a peer with this address is meant.
    pub fn includes(&self, peer: ClientAddr) -> bool {
        match (self, peer) {
            (Downstream::Network(network), ClientAddr::Ip(ip)) => network.contains(ip),
            (Downstream::Unix, ClientAddr::Unix) => true,
            _ => false,
        }
    }
}

/// As after `proxy_accept`.
impl fmt::Display for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Downstream::Network(network) => network.fmt(f),
            Downstream::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_begins_with_their_bits() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.7", false),
            ("::1", "::1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ];
        for (network, address, expected) in cases {
            assert_eq!(
                Network::parse(network).unwrap().contains(ip(address)),
                expected,
                "{network} {address}"
            );
        }
    }

    #[test]
    fn wrong_networks_are_explained() {
        let cases = [
            ("x", r#"want a network such as 10.0.0.0/8, got "x""#),
            ("10.0.0.0/8/8", r#"want 0..32 bits, got "8/8""#),
            ("10.0.0/8", r#"want a network such as 10.0.0.0/8, got "10.0.0/8""#),
            ("10.0.0.0/33", r#"want 0..32 bits, got "33""#),
            ("::/129", r#"want 0..128 bits, got "129""#),
            ("::ffff:10.0.0.0/8", r#"want 96..128 bits, got "8""#),
            ("10.1.0.0/8", "10.1.0.0/8 would match no address; want 10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::1/32 would match no address; want 2001:db8::/32"),
        ];
        for (text, message) in cases {
            assert_eq!(Network::parse(text).expect_err(text), message);
        }
    }

    #[test]
    fn a_downstream_is_a_network_or_the_unix_socket() {
        let includes = |text: &str, peer| Downstream::parse(text).unwrap().includes(peer);
        assert!(includes("unix", ClientAddr::Unix));
        assert!(!includes("unix", ClientAddr::Ip(ip("127.0.0.1"))));
        assert!(!includes("0.0.0.0/0", ClientAddr::Unix));
        assert!(includes("127.0.0.1", ClientAddr::Ip(ip("127.0.0.1"))));
    }

    proptest! {
        #[test]
        fn what_is_written_parses_to_the_same_network(address in any::<IpAddr>(), length in 0..=128_u8) {
            let network = Network { address, length: length.min(bits(address)) };
            let network = Network { address: network.first(), ..network }.canonical();
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
            prop_assert!(network.contains(network.address));
        }
    }
}
