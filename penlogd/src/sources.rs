//! Who may send: networks as the user writes them.
//!
//! Owns the rule. Pure; asked by `main` before a datagram is looked at, because anybody can send one.

use pen_proto::network::Network;
use std::net::IpAddr;

/// The networks of `-a`. None at all lets everybody send, as with the original.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Network>);

impl Sources {
    /// Each is an address, or a network as `ADDRESS/BITS`.
    ///
    /// # Errors
    /// A sentence that repeats the one that is neither.
    pub fn parse(texts: &[String]) -> Result<Sources, String> {
        let network = |text: &String| {
            Network::around(text).map_err(|_| format!("-a: want ADDRESS or ADDRESS/BITS, got \"{text}\""))
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Sources)
    }

    /// `source` is in canonical form: IPv4, not IPv4-mapped IPv6.
    pub fn permit(&self, source: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.contains(source))
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
            (&["::ffff:192.0.2.0/120"], "192.0.2.7", true),
            (&["::ffff:192.0.2.9/120"], "192.0.3.7", false),
            (&["::ffff:192.0.2.9"], "192.0.2.9", true),
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
