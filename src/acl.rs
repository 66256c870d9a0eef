//! Access lists: the first entry that matches decides. Pure.
//!
//! Owns what a list means. Entries come from the command parser; `balance` asks about clients of the listener, the
//! control server about its own. Which country an address is in is somebody else's knowledge ([`Countries`]).

use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, Country};
use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

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
    ///
    /// `countries` is asked once at most, and not at all when an entry before the first country matches.
    pub fn permits(&self, client: ClientAddr, countries: &CountrySource) -> bool {
        let (ClientAddr::Ip(ip), Some(last)) = (client, self.entries.last()) else { return true };
        let found = OnceCell::new();
        let country = || *found.get_or_init(|| countries.country_of(ip));
        match self.entries.iter().find(|entry| matches(entry.what, ip, country)) {
            Some(entry) => entry.permit,
            None => !last.permit,
        }
    }

    /// Whether it names addresses of this family.
    pub fn is_about(&self, ip: IpAddr) -> bool {
        self.entries.iter().any(|entry| match entry.what {
            AclMatch::V4 { .. } => ip.is_ipv4(),
            AclMatch::V6 { .. } => ip.is_ipv6(),
            AclMatch::Country(_) => false,
        })
    }

    /// Whether the list asks for countries.
    pub fn names_countries(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.what, AclMatch::Country(_)))
    }
}

/// Knows where addresses are.
pub trait Countries: Send + Sync {
    /// The country of an address; `None` when that is not known. Quick: it is asked while a client waits.
    fn country_of(&self, ip: IpAddr) -> Option<Country>;
}

/// Who is asked for countries; by default nobody, and then no address is in any.
#[derive(Clone, Default)]
pub struct CountrySource(Option<Arc<dyn Countries>>);

impl CountrySource {
    pub fn new(countries: impl Countries + 'static) -> CountrySource {
        CountrySource(Some(Arc::new(countries)))
    }

    pub fn country_of(&self, ip: IpAddr) -> Option<Country> {
        self.0.as_ref()?.country_of(ip)
    }
}

/// The same source, not one that knows the same.
impl PartialEq for CountrySource {
    fn eq(&self, other: &CountrySource) -> bool {
        match (&self.0, &other.0) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }
}

impl fmt::Debug for CountrySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "CountrySource(known)" } else { "CountrySource(none)" })
    }
}

/// An entry of the other address family matches nobody.
fn matches(what: AclMatch, ip: IpAddr, country: impl Fn() -> Option<Country>) -> bool {
    match (what, ip) {
        (AclMatch::Country(wanted), _) => country() == Some(wanted),
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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
            let permits = acl.permits(client(address), &CountrySource::default());
            assert_eq!(permits, *expected, "{name}: {address}");
        }
    }

    fn country(permit: bool, code: &str) -> AclEntry {
        AclEntry { permit, what: AclMatch::Country(Country::parse(code).unwrap()) }
    }

    /// 192.0.2.0/24 and 2001:db8::/32 are in Sweden, 198.51.100.0/24 is in Denmark. Counts the questions.
    #[derive(Default)]
    struct Atlas(Arc<AtomicUsize>);

    impl Countries for Atlas {
        fn country_of(&self, ip: IpAddr) -> Option<Country> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let code = match ip {
                IpAddr::V4(ip) if ip.octets().starts_with(&[192, 0, 2]) => "SE",
                IpAddr::V4(ip) if ip.octets().starts_with(&[198, 51, 100]) => "DK",
                IpAddr::V6(ip) if ip.segments().starts_with(&[0x2001, 0xdb8]) => "SE",
                _ => return None,
            };
            Some(Country::parse(code).unwrap())
        }
    }

    #[test]
    fn countries_decide_like_networks_and_an_unknown_one_matches_no_entry() {
        let atlas = CountrySource::new(Atlas::default());
        let cases: &[(&str, Vec<AclEntry>, &str, bool)] = &[
            ("permitted", vec![country(true, "SE")], "192.0.2.7", true),
            ("permitted, IPv6", vec![country(true, "SE")], "2001:db8::7", true),
            ("another country", vec![country(true, "SE")], "198.51.100.7", false),
            ("unknown, permit list", vec![country(true, "SE")], "203.0.113.7", false),
            ("unknown, deny list", vec![country(false, "SE")], "203.0.113.7", true),
            ("denied", vec![country(false, "DK"), country(false, "SE")], "192.0.2.7", false),
            (
                "earlier",
                vec![v4(false, "192.0.2.7", "255.255.255.255"), country(true, "SE")],
                "192.0.2.7",
                false,
            ),
            (
                "later",
                vec![country(true, "SE"), v4(false, "192.0.2.7", "255.255.255.255")],
                "192.0.2.7",
                true,
            ),
            ("Unix is in no country", vec![country(false, "SE")], "unix", true),
        ];
        for (name, entries, address, expected) in cases {
            let acl = Acl { entries: entries.clone() };
            assert!(acl.names_countries(), "{name}");
            assert_eq!(acl.permits(client(address), &atlas), *expected, "{name}: {address}");
        }
        let nobody = CountrySource::default();
        assert!(!Acl { entries: vec![country(true, "SE")] }.permits(client("192.0.2.7"), &nobody));
        assert!(Acl { entries: vec![country(false, "SE")] }.permits(client("192.0.2.7"), &nobody));
    }

    #[test]
    fn the_country_is_asked_for_once_at_most() {
        let asked = Arc::new(AtomicUsize::new(0));
        let atlas = CountrySource::new(Atlas(asked.clone()));
        let many = Acl { entries: ["DE", "FI", "NO", "DK"].map(|code| country(true, code)).into() };
        assert!(many.permits(client("198.51.100.7"), &atlas));
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1);
        let mut early = many.clone();
        early.entries.insert(0, v4(true, "198.51.100.0", "255.255.255.0"));
        assert!(early.permits(client("198.51.100.7"), &atlas));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_source_equals_itself_only() {
        let atlas = CountrySource::new(Atlas::default());
        assert_eq!(atlas, atlas.clone());
        assert_ne!(atlas, CountrySource::new(Atlas::default()));
        assert_ne!(atlas, CountrySource::default());
        assert_eq!(CountrySource::default(), CountrySource::default());
    }
}
