//! Who may send: networks as the user writes them.
//!
//! Owns their grammar and the rule. Pure; asked by `main` before a datagram is looked at, because anybody can send one.

use std::net::IpAddr;

/// The networks of `-a`. None at all lets everybody send, as with the original.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Network>);

#[derive(Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Sources {
    /// Each is an address, or a network as `ADDRESS/BITS`.
    ///
    /// # Errors
    /// A sentence that repeats the one that is neither.
    pub fn parse(texts: &[String]) -> Result<Sources, String> {
        let network = |text: &String| {
            Network::parse(text).ok_or_else(|| format!("-a: want ADDRESS or ADDRESS/BITS, got \"{text}\""))
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Sources)
    }

    /// `source` is in canonical form: IPv4, not IPv4-mapped IPv6.
    pub fn permit(&self, source: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.contains(source))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix_bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix_bits.unwrap_or(bits_max);
        (prefix_bits <= bits_max).then_some(Network { address, prefix_bits })
    }

    fn contains(&self, source: IpAddr) -> bool {
        let differing = match (self.address, source) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differing.leading_zeros() >= u32::from(self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Result<Sources, String> {
        Sources::parse(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (texts, source, expected) in [
            (&[][..], "192.0.2.1", true),
            (&["192.0.2.1"], "192.0.2.1", true),
            (&["192.0.2.1"], "192.0.2.2", false),
            (&["192.0.2.0/25"], "192.0.2.127", true),
            (&["192.0.2.0/25"], "192.0.2.128", false),
            (&["192.0.2.9/24"], "192.0.2.1", true),
            (&["0.0.0.0/0"], "203.0.113.1", true),
            (&["0.0.0.0/0"], "::1", false),
            (&["::/0"], "::1", true),
            (&["2001:db8::/33"], "2001:db8:7fff::1", true),
            (&["2001:db8::/33"], "2001:db8:8000::1", false),
            (&["::1", "10.0.0.0/8"], "10.255.0.1", true),
            (&["::1", "10.0.0.0/8"], "11.0.0.0", false),
        ] {
            assert_eq!(
                sources(texts).unwrap().permit(source.parse().unwrap()),
                expected,
                "{texts:?} {source}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10/8", "/8"] {
            let expected = format!("-a: want ADDRESS or ADDRESS/BITS, got \"{text}\"");
            assert_eq!(sources(&["::1", text]), Err(expected));
        }
    }
}
