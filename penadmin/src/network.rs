//! Where somebody comes from, as limits count it.

use std::net::{IpAddr, Ipv6Addr};

/// The network of an address: of IPv6 the /64, which is the least that one customer has, of IPv4 the address itself.
pub fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_customer_are_one_network() {
        for (address, network) in [
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
            ("::1", "::1"),
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(of(address.parse().unwrap()).to_string(), network, "{address}");
        }
    }
}
