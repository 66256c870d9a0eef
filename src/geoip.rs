//! The country of an address, from a file in MaxMind's format (`geoip FILE`).
//!
//! Owns the file's content, held in memory: a file that is replaced or cut short under a running pen harms nobody. Knows
//! no access list. Called by `control/countries.rs` at start, on reload and for the command; `acl` asks through
//! [`CountrySource`]. Without the cargo feature `geoip` every file is refused.

use crate::acl::CountrySource;

/// Reads the file. Blocks, for some milliseconds with a database of countries.
///
/// # Errors
///
/// The reason: the file cannot be read, is too large, no such database, or knows no countries.
pub fn open(file: &str) -> Result<CountrySource, String> {
    database::open(file)
}

#[cfg(not(feature = "geoip"))]
mod database {
    use super::CountrySource;

    pub fn open(_file: &str) -> Result<CountrySource, String> {
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
    use maxminddb::{LookupResult, PathElement, Reader};
    use pen_proto::commands::Country;
    use std::io::Read;
    use std::net::IpAddr;
    use std::path::Path;

    /// The largest databases that are sold are somewhat smaller.
    const FILE_BYTES_MAX: u64 = 512 << 20;
    /// Networks of a file that are looked at for countries. In a database of countries nearly all have one.
    const NETWORKS_TRIED: usize = 1000;
    /// Where GeoLite2 and GeoIP2, and what others publish in their form, have the code.
    const CODE: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

    pub fn open(file: &str) -> Result<CountrySource, String> {
        read(file).and_then(understand)
    }

    /// The countries that the content of a file tells.
    ///
    /// # Errors
    ///
    /// As [`super::open`].
    pub fn understand(bytes: Vec<u8>) -> Result<CountrySource, String> {
        // What the reader of the format says may repeat bytes of the file.
        let reader = Reader::from_source(bytes).map_err(|error| Escaped(&error.to_string()).to_string())?;
        let database = Database(reader);
        match database.knows_countries() {
            true => Ok(CountrySource::new(database)),
            false => {
                let kind = &database.0.metadata().database_type;
                Err(format!("want a database of countries, got \"{}\"", Escaped(kind)))
            }
        }
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

    struct Database(Reader<Vec<u8>>);

    impl Database {
        fn knows_countries(&self) -> bool {
            let Ok(networks) = self.0.networks(Default::default()) else { return false };
            networks.take(NETWORKS_TRIED).flatten().any(|found| code(&found).is_some())
        }
    }

    impl Countries for Database {
        fn country_of(&self, ip: IpAddr) -> Option<Country> {
            // An error is an IPv6 address in a file of IPv4 addresses, or damage: either way the country is not known.
            code(&self.0.lookup(ip).ok()?)
        }
    }

    fn code(found: &LookupResult<'_, Vec<u8>>) -> Option<Country> {
        let code: &str = found.decode_path(&CODE).ok()??;
        Country::parse(code).ok()
    }
}

#[cfg(all(test, feature = "geoip"))]
mod tests;
