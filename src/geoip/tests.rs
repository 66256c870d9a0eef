//! Tests of the file of countries: what is found, what is refused, and damage.

use super::*;
use crate::test_dir::TestDir;
use mmdb::{Mmdb, Record};
use std::fs;

#[path = "../../tests/common/mmdb.rs"]
mod mmdb;

fn opened(bytes: &[u8]) -> Result<CountrySource, String> {
    database::understand(bytes.to_vec())
}

fn code(source: &CountrySource, ip: &str) -> Option<String> {
    source.country_of(ip.parse().unwrap()).map(|country| country.to_string())
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
fn what_is_no_database_of_countries_is_refused() {
    let good = Mmdb::countries().network("192.0.2.0/24", Record::country("SE")).to_bytes();
    let asn = Mmdb::of_type("GeoLite2-ASN\u{1b}").network("192.0.2.0/24", Record::empty()).to_bytes();
    assert_eq!(opened(&asn).unwrap_err(), "want a database of countries, got \"GeoLite2-ASN\\x1b\"");
    for bytes in [&b""[..], b"# a configuration file\n", &good[..good.len() / 2], &good[..good.len() - 1]] {
        assert!(opened(bytes).is_err(), "{} bytes", bytes.len());
    }
    assert!(opened(&good).is_ok());
}

#[test]
fn only_regular_files_are_read() {
    let directory = TestDir::new();
    let file = directory.join("countries.mmdb");
    fs::write(&file, Mmdb::countries().network("192.0.2.0/24", Record::country("SE")).to_bytes()).unwrap();
    assert_eq!(code(&open(file.to_str().unwrap()).unwrap(), "192.0.2.7"), some("SE"));
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
