//! What lists mean, case by case, and that the index finds what a walk through the entries finds.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
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

/// The list with none, some or all of its entries arranged.
fn shapes(entries: &[AclEntry]) -> Vec<Acl> {
    let arranged = |count| Acl {
        index: Arc::new(Index::new(&entries[..count]).expect("memory")),
        ..Acl::from(entries.to_vec())
    };
    (0..=entries.len()).map(arranged).collect()
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
        for acl in shapes(entries) {
            let permits = acl.permits(client(address), &CountrySource::default());
            assert_eq!(permits, *expected, "{name}: {address}, {acl:?}");
        }
    }
}

fn country(permit: bool, code: &str) -> AclEntry {
    AclEntry { permit, what: AclMatch::Country(By::Location, Country::parse(code).unwrap()) }
}

fn registered(permit: bool, code: &str) -> AclEntry {
    AclEntry { permit, what: AclMatch::Country(By::Registration, Country::parse(code).unwrap()) }
}

/// 192.0.2.0/24 and 2001:db8::/32 are in Sweden, 198.51.100.0/24 is in Denmark; all of these, and 203.0.113.0/24, are
/// registered in Norway. Counts the questions.
#[derive(Default)]
struct Atlas(Arc<AtomicUsize>);

impl Countries for Atlas {
    fn country_of(&self, ip: IpAddr, by: By) -> Option<Country> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let code = match ip {
            IpAddr::V4(_) if by == By::Registration => "NO",
            IpAddr::V4(ip) if ip.octets().starts_with(&[192, 0, 2]) => "SE",
            IpAddr::V4(ip) if ip.octets().starts_with(&[198, 51, 100]) => "DK",
            IpAddr::V6(ip) if ip.segments().starts_with(&[0x2001, 0xdb8]) => "SE",
            _ => return None,
        };
        Some(Country::parse(code).unwrap())
    }

    fn know(&self, _by: By) -> bool {
        true
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
        ("earlier", vec![v4(false, "192.0.2.7", "255.255.255.255"), country(true, "SE")], "192.0.2.7", false),
        ("later", vec![country(true, "SE"), v4(false, "192.0.2.7", "255.255.255.255")], "192.0.2.7", true),
        ("registered elsewhere", vec![registered(true, "SE")], "192.0.2.7", false),
        ("registered, and in no country", vec![registered(true, "NO")], "203.0.113.7", true),
        ("located first", vec![country(false, "SE"), registered(true, "NO")], "192.0.2.7", false),
        ("registered first", vec![registered(true, "NO"), country(false, "SE")], "192.0.2.7", true),
        ("Unix is in no country", vec![country(false, "SE")], "unix", true),
    ];
    for (name, entries, address, expected) in cases {
        for acl in shapes(entries) {
            assert!(By::ALL.into_iter().any(|by| acl.names_countries(by)), "{name}");
            assert_eq!(acl.permits(client(address), &atlas), *expected, "{name}: {address}, {acl:?}");
        }
    }
    let nobody = CountrySource::default();
    assert!(!Acl::from(vec![country(true, "SE")]).permits(client("192.0.2.7"), &nobody));
    assert!(Acl::from(vec![country(false, "SE")]).permits(client("192.0.2.7"), &nobody));
}

#[test]
fn each_kind_of_country_is_asked_for_once_at_most() {
    let asked = Arc::new(AtomicUsize::new(0));
    let atlas = CountrySource::new(Atlas(asked.clone()));
    let many = ["DE", "FI", "NO", "DK"].map(|code| country(true, code));
    for acl in shapes(&many) {
        assert!(acl.permits(client("198.51.100.7"), &atlas));
        assert_eq!(asked.swap(0, Ordering::Relaxed), 1, "{acl:?}");
    }
    let both = [&many[..3], &[registered(true, "SE"), registered(true, "FI")]].concat();
    for acl in shapes(&both) {
        assert!(!acl.permits(client("198.51.100.7"), &atlas));
        assert_eq!(asked.swap(0, Ordering::Relaxed), 2, "{acl:?}");
    }
    let early = [&[v4(true, "198.51.100.0", "255.255.255.0")], &many[..]].concat();
    for acl in shapes(&early) {
        assert!(acl.permits(client("198.51.100.7"), &atlas));
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{acl:?}");
    }
}

#[test]
fn a_source_equals_itself_only() {
    let atlas = CountrySource::new(Atlas::default());
    assert_eq!(atlas, atlas.clone());
    assert_ne!(atlas, CountrySource::new(Atlas::default()));
    assert_ne!(atlas, CountrySource::default());
    assert_eq!(CountrySource::default(), CountrySource::default());
}

#[test]
fn a_list_is_arranged_when_it_has_grown_by_more_than_is_walked() {
    let mut acl = Acl::default();
    for count in 1..=5 * (WALKED_MAX as u32 + 1) {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + count).to_string();
        acl.push(v4(false, &address, "255.255.255.255")).unwrap();
        let before = acl.clone();
        acl.arrange().unwrap();
        assert_eq!(acl, before);
        let stayed = Arc::ptr_eq(&acl.index, &before.index);
        assert_eq!(stayed, count % (WALKED_MAX as u32 + 1) != 0, "{count}");
        assert!(acl.is_arranged());
    }
    acl.clear();
    assert_eq!(acl, Acl::default());
    assert!(acl.permits(client("10.0.0.1"), &CountrySource::default()));
    acl.push(v4(true, "10.0.0.2", "255.255.255.255")).unwrap();
    assert!(!acl.permits(client("10.0.0.1"), &CountrySource::default()));
}

#[test]
fn a_copy_shares_the_entries_until_one_changes() {
    let acl = Acl::from(vec![country(true, "SE")]);
    let mut copy = acl.clone();
    assert!(Arc::ptr_eq(&copy.entries, &acl.entries));
    copy.push(country(true, "DK")).unwrap();
    assert_eq!((acl.entries().len(), copy.entries().len()), (1, 2));
}

#[test]
fn a_list_is_about_the_families_it_names() {
    let ips = ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
    let cases: &[(Vec<AclEntry>, [bool; 2])] = &[
        (vec![], [false, false]),
        (vec![country(true, "SE")], [false, false]),
        (vec![v4(true, "10.0.0.9", "255.0.0.0")], [true, false]),
        (vec![v6(true, "::", 0), country(true, "SE")], [false, true]),
        (vec![v6(true, "::", 0), v4(true, "10.0.0.1", "255.255.255.255")], [true, true]),
    ];
    for (entries, about) in cases {
        for acl in shapes(entries) {
            assert_eq!(ips.map(|ip| acl.is_about(ip)), *about, "{acl:?}");
        }
    }
}

/// Few addresses, at both ends and in the middle, so that entries overlap, repeat and meet often.
fn any_v4() -> impl Strategy<Value = u32> {
    (select(vec![0, 0x0a00_0000, 0xffff_fff0]), 0..16u32).prop_map(|(high, low)| high | low)
}

fn any_v6() -> impl Strategy<Value = u128> {
    (select(vec![0, 0x2001_0db8 << 96, u128::MAX << 4]), 0..16u128).prop_map(|(high, low)| high | low)
}

/// With and without holes.
fn any_mask() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0..=5u32).prop_map(|hosts| u32::MAX << hosts),
        1 => (0..=32u32).prop_map(|hosts| u32::MAX.checked_shl(hosts).unwrap_or(0)),
        3 => (0..16u32).prop_map(|low| !0xf | low),
        1 => select(vec![0x0000_000f, 0xff00_000f, 0x0fff_ffff, 0x8000_0001]),
        1 => any::<u32>(),
    ]
}

fn any_what() -> impl Strategy<Value = AclMatch> {
    let v4 = (any_v4(), any_mask(), prop::bool::weighted(0.2)).prop_map(|(address, mask, has_host_bits)| {
        AclMatch::V4 { address: if has_host_bits { address } else { address & mask }, mask }
    });
    let prefix = prop_oneof![5 => 123..=128u8, 1 => 0..=255u8];
    let v6 = (any_v6(), prefix).prop_map(|(address, prefix)| AclMatch::V6 { address, prefix });
    let code = select(vec!["SE", "DK", "NO"]).prop_map(|code| Country::parse(code).unwrap());
    let country = (select(By::ALL.to_vec()), code).prop_map(|(by, code)| AclMatch::Country(by, code));
    prop_oneof![6 => v4, 4 => v6, 1 => country]
}

fn any_entries() -> impl Strategy<Value = Vec<AclEntry>> {
    vec((any::<bool>(), any_what()).prop_map(|(permit, what)| AclEntry { permit, what }), 0..60)
}

/// Neighbours live in different countries, a quarter of them in none, and are registered where the next one lives. Counts
/// the questions.
#[derive(Default)]
struct Patchwork(Arc<AtomicUsize>);

impl Countries for Patchwork {
    fn country_of(&self, ip: IpAddr, by: By) -> Option<Country> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let last = match ip {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => ip.octets()[15],
        };
        let code = ["SE", "DK", "NO"].get((usize::from(last) + by as usize) % 4)?;
        Some(Country::parse(code).unwrap())
    }

    fn know(&self, _by: By) -> bool {
        true
    }
}

/// The rule as it is told: entry by entry, bit by bit. Also how many kinds of country had to be known.
fn told(entries: &[AclEntry], ip: IpAddr) -> (bool, usize) {
    let mut asked = [0; 2];
    for entry in entries {
        let fits = match (entry.what, ip) {
            (AclMatch::V4 { address, mask }, IpAddr::V4(ip)) => {
                (0..32).all(|bit| (ip.to_bits() & mask) >> bit & 1 == address >> bit & 1)
            }
            (AclMatch::V6 { address, prefix }, IpAddr::V6(ip)) => {
                (0..128).take(prefix.into()).all(|bit| ip.to_bits() << bit >> 127 == address << bit >> 127)
            }
            (AclMatch::Country(by, wanted), _) => {
                asked[by as usize] = 1;
                Patchwork::default().country_of(ip, by) == Some(wanted)
            }
            _ => false,
        };
        if fits {
            return (entry.permit, asked.iter().sum());
        }
    }
    (entries.last().is_none_or(|last| !last.permit), asked.iter().sum())
}

proptest! {
    #[test]
    fn an_arranged_list_decides_as_the_rule_is_told(
        entries in any_entries(),
        arranged in any::<prop::sample::Index>(),
        v4 in vec(any_v4(), 8),
        v6 in vec(any_v6(), 8),
    ) {
        let counts = [0, arranged.index(entries.len() + 1), entries.len()];
        let v4 = v4.into_iter().map(|bits| IpAddr::V4(bits.into()));
        let v6 = v6.into_iter().map(|bits| IpAddr::V6(bits.into()));
        let asked = Arc::new(AtomicUsize::new(0));
        let patchwork = CountrySource::new(Patchwork(asked.clone()));
        for ip in v4.chain(v6) {
            for count in counts {
                let index = Arc::new(Index::new(&entries[..count]).expect("memory"));
                let acl = Acl { index, ..Acl::from(entries.clone()) };
                let permits = acl.permits(ClientAddr::Ip(ip), &patchwork);
                let answer = (permits, asked.swap(0, Ordering::Relaxed));
                prop_assert_eq!(answer, told(&entries, ip), "{} of {}: {}", count, entries.len(), ip);
            }
        }
    }
}
