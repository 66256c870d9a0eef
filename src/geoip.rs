//! The country of an address, from a file in MaxMind's format (`geoip FILE`).
//!
//! Owns the file's content, held in memory: a file that is replaced or cut short under a running pen harms nobody. Knows
//! no access list. Called by `control/countries.rs` at start, on reload and for the command; `acl` asks through
//! [`CountrySource`]. Without the cargo feature `geoip` every file is refused.

use crate::acl::CountrySource;

/// Reads the file. Blocks, for some milliseconds with a database of countries. Returns also what the operator should know
/// of it.
///
/// # Errors
///
/// The reason: the file cannot be read, is too large, no such database, or knows no countries.
pub fn open(file: &str) -> Result<(CountrySource, Option<String>), String> {
    database::open(file)
}

#[cfg(not(feature = "geoip"))]
mod database {
    use super::CountrySource;

    pub fn open(_file: &str) -> Result<(CountrySource, Option<String>), String> {
        Err("this pen was built without geoip".into())
    }
}

#[cfg(feature = "geoip")]
mod database {
    use super::CountrySource;
    use crate::acl::Countries;
    use crate::escape::Escaped;
    use crate::sys::errors::reason;
    use crate::sys::files::open_regular;
    use maxminddb::PathElement::{self, Key};
    use maxminddb::{LookupResult, Reader, WithinOptions};
    use pen_proto::commands::{By, Country};
    use std::collections::{BTreeSet, HashMap};
    use std::io::Read;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::Path;

    /// The largest databases that are sold are somewhat smaller.
    const FILE_BYTES_MAX: u64 = 512 << 20;
    /// Networks of each family that are looked at for a first country, those without a record too. A database of countries
    /// has one among the first few hundred; the bound is for files that were made to have none.
    const NETWORKS_TRIED: usize = 1 << 20;
    /// Networks with a country that are looked at for the other kind of country.
    const COUNTRIES_TRIED: usize = 1000;
    /// Keys of records that an error names.
    const KEYS_TOLD: usize = 8;
    const KEY_CHARS_TOLD: usize = 40;
    /// Where the code may be: as GeoLite2 and GeoIP2 have it, as ip-location-db and IPinfo Lite have it, as IPinfo's older
    /// files have it. A name of a country in its place is no code and is passed over.
    const LOCATION: [&[PathElement<'static>]; 3] =
        [&[Key("country"), Key("iso_code")], &[Key("country_code")], &[Key("country")]];
    const REGISTRATION: [&[PathElement<'static>]; 1] = [&[Key("registered_country"), Key("iso_code")]];
    /// What is given out of either family. Of IPv6, so much is in use.
    const WHOLE_V4: &str = "0.0.0.0/0";
    const WHOLE_V6: &str = "2000::/3";

    pub fn open(file: &str) -> Result<(CountrySource, Option<String>), String> {
        read(file).and_then(understand)
    }

    /// The countries that the content of a file tells.
    ///
    /// # Errors
    ///
    /// As [`super::open`].
    pub fn understand(bytes: Vec<u8>) -> Result<(CountrySource, Option<String>), String> {
        // What the reader of the format says may repeat bytes of the file.
        let reader = Reader::from_source(bytes).map_err(|error| Escaped(&error.to_string()).to_string())?;
        let [v4, v6] = [WHOLE_V4, WHOLE_V6].map(|whole| Survey::of(&reader, whole));
        let lack = match (v4.knows_any(), v6.knows_any()) {
            (true, true) => None,
            (true, false) => Some("no IPv6 networks in it: IPv6 clients are in no country".to_owned()),
            (false, true) => Some("no IPv4 networks in it: IPv4 clients are in no country".to_owned()),
            (false, false) => return Err(strange(&reader, v4, v6)),
        };
        let known = By::ALL.map(|by| v4.known[by as usize] || v6.known[by as usize]);
        Ok((CountrySource::new(Database { reader, known }), lack))
    }

    fn read(file: &str) -> Result<Vec<u8>, String> {
        let opened = open_regular(Path::new(file)).map_err(|error| reason(&error))?;
        let mut bytes = Vec::new();
        opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        match bytes.len() as u64 <= FILE_BYTES_MAX {
            true => Ok(bytes),
            false => Err(format!("more than {FILE_BYTES_MAX} bytes")),
        }
    }

    /// Why a file without countries is refused.
    fn strange(reader: &Reader<Vec<u8>>, v4: Survey, v6: Survey) -> String {
        let kind = Escaped(&reader.metadata().database_type).to_string();
        let keys: BTreeSet<String> = v4.keys.into_iter().chain(v6.keys).collect();
        let with = match keys.is_empty() {
            true => "without records".to_owned(),
            false => format!("with {}", keys.into_iter().take(KEYS_TOLD).collect::<Vec<_>>().join(", ")),
        };
        format!(
            "want a database of countries, with country.iso_code, country_code or country; got \"{kind}\" {with}"
        )
    }

    /// What the records about one family of addresses tell.
    #[derive(Default)]
    struct Survey {
        /// By [`By`]: some network has a country of this kind.
        known: [bool; 2],
        /// Names in the first records, when no network has a country.
        keys: BTreeSet<String>,
    }

    impl Survey {
        fn of(reader: &Reader<Vec<u8>>, whole: &str) -> Survey {
            let mut survey = Survey::default();
            let all = WithinOptions::default().include_networks_without_data();
            let networks = whole.parse().ok().and_then(|whole| reader.within(whole, all).ok());
            let mut since_first = 0;
            for found in
                networks.into_iter().flatten().take(NETWORKS_TRIED).flatten().filter(|one| one.has_data())
            {
                By::ALL.into_iter().for_each(|by| survey.known[by as usize] |= code(&found, by).is_some());
                if !survey.knows_any() {
                    survey.note_keys(&found);
                    continue;
                }
                since_first += 1;
                if survey.known == [true; 2] || since_first == COUNTRIES_TRIED {
                    break;
                }
            }
            survey
        }

        fn knows_any(&self) -> bool {
            self.known != [false; 2]
        }

        fn note_keys(&mut self, found: &LookupResult<'_, Vec<u8>>) {
            if self.keys.len() < KEYS_TOLD
                && let Ok(Some(record)) = found.decode::<HashMap<String, serde_json::Value>>()
            {
                let short = |key: String| Escaped(&key).to_string().chars().take(KEY_CHARS_TOLD).collect();
                self.keys.extend(record.into_keys().map(short));
            }
        }
    }

    struct Database {
        reader: Reader<Vec<u8>>,
        /// By [`By`].
        known: [bool; 2],
    }

    impl Countries for Database {
        fn country_of(&self, ip: IpAddr, by: By) -> Option<Country> {
            // An error is an IPv6 address in a file of IPv4 addresses, or damage: either way the country is not known.
            code(&self.reader.lookup(standing_for(ip)).ok()?, by)
        }

        fn know(&self, by: By) -> bool {
            self.known[by as usize]
        }
    }

    /// The IPv4 address that an IPv6 address was made from, where that is where the host is: 6to4 (RFC 3056) and the
    /// well-known prefix of translators (RFC 6052). Few files know them, and some take all of 6to4 for one network.
    fn standing_for(ip: IpAddr) -> IpAddr {
        let IpAddr::V6(v6) = ip else { return ip };
        let bits = v6.to_bits();
        match v6.segments() {
            [0x2002, ..] => Ipv4Addr::from_bits((bits >> 80) as u32).into(),
            [0x64, 0xff9b, 0, 0, 0, 0, ..] => Ipv4Addr::from_bits(bits as u32).into(),
            _ => ip,
        }
    }

    fn code(found: &LookupResult<'_, Vec<u8>>, by: By) -> Option<Country> {
        let places: &[&[PathElement<'static>]] = match by {
            By::Location => &LOCATION,
            By::Registration => &REGISTRATION,
        };
        // A place of another form is an error, and then another place has the code.
        let at = |path: &&[PathElement<'static>]| found.decode_path::<&str>(path).ok()?;
        places.iter().filter_map(at).find_map(|code| Country::parse(code).ok())
    }
}

#[cfg(all(test, feature = "geoip"))]
mod tests;
