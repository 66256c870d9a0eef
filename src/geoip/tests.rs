//! Tests of the file of countries: what is found, what is refused, and damage.

use super::*;
use crate::tempdir::TempDir;
use mmdb::{Mmdb, Record};
use pen_proto::commands::By;
use std::fs;

#[path = "../../tests/common/mmdb.rs"]
mod mmdb;

fn opened(bytes: &[u8]) -> Result<CountrySource, String> {
    database::understand(bytes.to_vec()).map(|(source, _)| source)
}

fn code(source: &CountrySource, ip: &str) -> Option<String> {
    source.country_of(ip.parse().unwrap(), By::Location).map(|country| country.to_string())
}

fn registered(source: &CountrySource, ip: &str) -> Option<String> {
    source.country_of(ip.parse().unwrap(), By::Registration).map(|country| country.to_string())
}

fn some(code: &str) -> Option<String> {
    Some(code.to_string())
}

#[test]
fn addresses_of_both_families_are_found() {
    for record_bits in [24, 28, 32] {
        let source = opened(
            &Mmdb::countries()
                .record_bits(record_bits)
                .network("192.0.2.0/24", Record::country("SE"))
                .network("192.0.2.128/25", Record::country("DK"))
                .network("2001:db8::/32", Record::country("no"))
                .network("2001:db8:1::/48", Record::country("FI"))
                .to_bytes(),
        )
        .unwrap();
        for (ip, expected) in [
            ("192.0.2.0", some("SE")),
            ("192.0.2.127", some("SE")),
            ("192.0.2.128", some("DK")),
            ("192.0.3.0", None),
            ("192.0.1.255", None),
            ("255.255.255.255", None),
            ("2001:db8::1", some("NO")),
            ("2001:db8:1:2::3", some("FI")),
            ("2001:db9::", None),
            ("::1", None),
        ] {
            assert_eq!(code(&source, ip), expected, "{record_bits} bits: {ip}");
        }
    }
}

#[test]
fn a_file_of_ipv4_addresses_knows_no_ipv6() {
    let bytes = Mmdb::countries().ipv4_only().network("192.0.2.0/24", Record::country("SE")).to_bytes();
    let source = opened(&bytes).unwrap();
    assert_eq!(code(&source, "192.0.2.7"), some("SE"));
    assert_eq!(code(&source, "2001:db8::1"), None);
}

#[test]
fn a_record_without_a_code_is_no_country() {
    let bytes = Mmdb::countries()
        .network("192.0.2.0/24", Record::country("SE"))
        .network("198.51.100.0/24", Record::country("Sweden"))
        .network("203.0.113.0/24", Record::empty())
        .to_bytes();
    let source = opened(&bytes).unwrap();
    assert_eq!(code(&source, "198.51.100.1"), None);
    assert_eq!(code(&source, "203.0.113.1"), None);
}

#[test]
fn the_code_may_be_in_several_places() {
    let forms = [
        ("ip-location-db", &[("country_code", "SE")][..], Some("SE")),
        ("IPinfo", &[("continent", "EU"), ("country", "se"), ("country_name", "Sweden")], Some("SE")),
        ("IPinfo Lite", &[("asn", "AS1"), ("country", "Sweden"), ("country_code", "SE")], Some("SE")),
        ("a name only", &[("country", "Sweden")], None),
        ("nothing behind the code", &[("country_code", "")], None),
        ("a code and a name for it", &[("country_code", "-"), ("country", "SE")], Some("SE")),
    ];
    for (form, texts, expected) in forms {
        let made = Mmdb::of_type(form)
            .network("192.0.2.0/24", Record::texts(texts))
            .network("198.51.100.0/24", Record::texts(&[("country_code", "DK")]));
        let source = opened(&made.to_bytes()).unwrap();
        assert_eq!(code(&source, "192.0.2.7").as_deref(), expected, "{form}");
        assert_eq!(registered(&source, "192.0.2.7"), None, "{form}");
        assert!(source.knows(By::Location) && !source.knows(By::Registration));
    }
}

#[test]
fn where_a_network_is_registered_is_another_question() {
    let source = opened(
        &Mmdb::countries()
            .network("192.0.2.0/24", Record::used_and_registered("SE", "US"))
            .network("2001:db8::/32", Record::registered("US"))
            .to_bytes(),
    )
    .unwrap();
    assert_eq!((code(&source, "192.0.2.7"), registered(&source, "192.0.2.7")), (some("SE"), some("US")));
    assert_eq!((code(&source, "2001:db8::1"), registered(&source, "2001:db8::1")), (None, some("US")));
    assert!(By::ALL.into_iter().all(|by| source.knows(by)));
}

/// A file may begin with many networks that are used everywhere.
#[test]
fn the_first_country_may_come_late() {
    let made = (0..1500_u16).fold(Mmdb::countries(), |made, number| {
        let [high, low] = number.to_be_bytes();
        made.network(&format!("10.{high}.{low}.0/24"), Record::registered("US"))
    });
    let source = opened(&made.clone().to_bytes()).unwrap();
    assert!(source.knows(By::Registration) && !source.knows(By::Location));
    let source = opened(&made.network("192.0.2.0/24", Record::country("SE")).to_bytes()).unwrap();
    assert_eq!((code(&source, "192.0.2.7"), code(&source, "10.0.0.1")), (some("SE"), None));
}

#[test]
fn an_address_made_from_an_ipv4_address_is_where_that_is() {
    let source = opened(
        &Mmdb::countries()
            .network("2000::/3", Record::country("US"))
            .network("192.0.2.0/24", Record::country("SE"))
            .to_bytes(),
    )
    .unwrap();
    for (ip, expected) in [
        ("2002:c000:207::1", some("SE")),
        ("2002:c633:6407::1", None),
        ("64:ff9b::192.0.2.7", some("SE")),
        ("64:ff9b:1::192.0.2.7", None),
        ("2003:c000:207::1", some("US")),
    ] {
        assert_eq!(code(&source, ip), expected, "{ip}");
    }
}

#[test]
fn a_file_of_one_family_is_told() {
    let v4 = ("192.0.2.0/24", "no IPv6 networks in it: IPv6 clients are in no country");
    let v6 = ("2001:db8::/32", "no IPv4 networks in it: IPv4 clients are in no country");
    for (network, lack) in [v4, v6] {
        let made = Mmdb::countries().network(network, Record::country("SE"));
        let (_, told) = database::understand(made.clone().to_bytes()).unwrap();
        assert_eq!(told.as_deref(), Some(lack));
        // A record that says nothing does not count.
        let other = if network == v4.0 { v6.0 } else { v4.0 };
        let (_, told) =
            database::understand(made.clone().network(other, Record::empty()).to_bytes()).unwrap();
        assert_eq!(told.as_deref(), Some(lack));
        let both = made.network(other, Record::registered("SE"));
        assert_eq!(database::understand(both.to_bytes()).unwrap().1, None);
    }
    let of_v4 = Mmdb::countries().ipv4_only().network(v4.0, Record::country("SE"));
    assert_eq!(database::understand(of_v4.to_bytes()).unwrap().1.as_deref(), Some(v4.1));
}

#[test]
fn what_is_no_database_of_countries_is_refused() {
    let good = Mmdb::countries().network("192.0.2.0/24", Record::country("SE")).to_bytes();
    let refusal = |record: Record| {
        opened(&Mmdb::of_type("ASN\u{1b}").network("192.0.2.0/24", record).to_bytes()).unwrap_err()
    };
    let want =
        "want a database of countries, with country.iso_code, country_code or country; got \"ASN\\x1b\" ";
    assert_eq!(refusal(Record::empty()), format!("{want}without records"));
    let of_networks = Record::texts(&[("name", "Example"), ("asn\u{1b}", "64496")]);
    assert_eq!(refusal(of_networks), format!("{want}with asn\\x1b, name"));
    let many: Vec<String> = (10..30).map(|number| format!("key{number}")).collect();
    let many = Record::texts(&many.iter().map(|key| (&key[..], "")).collect::<Vec<_>>());
    assert_eq!(refusal(many), format!("{want}with key10, key11, key12, key13, key14, key15, key16, key17"));
    for bytes in [&b""[..], b"# a configuration file\n", &good[..good.len() / 2], &good[..good.len() - 1]] {
        assert!(opened(bytes).is_err(), "{} bytes", bytes.len());
    }
    assert!(opened(&good).is_ok());
}

#[test]
fn only_regular_files_are_read() {
    let directory = TempDir::new();
    let file = directory.join("countries.mmdb");
    fs::write(&file, Mmdb::countries().network("192.0.2.0/24", Record::country("SE")).to_bytes()).unwrap();
    assert_eq!(code(&open(file.to_str().unwrap()).unwrap().0, "192.0.2.7"), some("SE"));
    assert_eq!(open("/nowhere/countries.mmdb").unwrap_err(), "no such file or directory");
    assert_eq!(open("/dev/null").unwrap_err(), "not a regular file");
}

/// Whatever bytes are wrong, the answer is a country, no country, or a refusal.
#[test]
fn damage_is_survived() {
    let networks = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"];
    let good =
        networks.iter().fold(Mmdb::countries(), |made, network| made.network(network, Record::country("SE")));
    let good = good.to_bytes();
    for at in 0..good.len() {
        for value in [0x00, 0x20, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(source) = opened(&bytes) {
                for ip in ["192.0.2.7", "198.51.100.7", "2001:db8::7", "203.0.113.7"] {
                    code(&source, ip);
                }
            }
        }
    }
}
