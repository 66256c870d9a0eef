//! How messages name a server: `server 1 (h2, 10.0.0.2:80)`, the same in all of them.

use crate::endpoint::Endpoint;
use crate::status::special;
use std::fmt;

/// The number of a server, its name or else its host name as it was written, and its address with the port. What is not
/// known, and what would be there twice, is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// An index, or one of [`special`].
    number: i32,
    /// Empty where it has neither a name nor a host name.
    name: String,
    /// Empty where it has none.
    address: String,
}

impl Called {
    /// `host_name` is empty where an address was written.
    pub fn new(number: i32, name: Option<&str>, host_name: &str, address: String) -> Called {
        Called { number, name: name.unwrap_or(host_name).into(), address }
    }

    /// The server by its number, at this place.
    pub fn numbered(number: i32, place: &Endpoint) -> Called {
        Called::new(number, None, "", address_of(place))
    }

    pub fn number(&self) -> i32 {
        self.number
    }

    /// The same server by another of its addresses, the one that was tried.
    pub fn at(self, place: &Endpoint) -> Called {
        Called { address: address_of(place), ..self }
    }
}

/// With the port, where it has one: `10.0.0.2:80`, `[2001:db8::17]:80`, `/run/app.sock`.
pub fn address_of(place: &Endpoint) -> String {
    place.internet_address().map_or_else(|| place.to_string(), |address| address.to_string())
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            special::EMERGENCY => f.write_str("emergency server")?,
            special::ABUSE => f.write_str("abuse server")?,
            number => write!(f, "server {number}")?,
        }
        match (&*self.name, &*self.address) {
            ("", "") => Ok(()),
            (one, "") | ("", one) => write!(f, " ({one})"),
            (name, address) if name == address => write!(f, " ({name})"),
            (name, address) => write!(f, " ({name}, {address})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_number_name_and_address_and_nothing_twice() {
        let place = |text: &str| Endpoint::Inet(text.parse().unwrap());
        let called = |number, name, host| {
            Called::new(number, name, host, String::new()).at(&place("10.0.0.2:80")).to_string()
        };
        assert_eq!(called(1, Some("h2"), "host2"), "server 1 (h2, 10.0.0.2:80)");
        assert_eq!(called(1, None, "host2"), "server 1 (host2, 10.0.0.2:80)");
        assert_eq!(called(1, None, ""), "server 1 (10.0.0.2:80)");
        assert_eq!(called(special::EMERGENCY, None, ""), "emergency server (10.0.0.2:80)");
        assert_eq!(called(special::ABUSE, None, "tarpit"), "abuse server (tarpit, 10.0.0.2:80)");
        let six = Called::numbered(3, &place("[2001:db8::17]:8080"));
        assert_eq!(six.to_string(), "server 3 ([2001:db8::17]:8080)");
        assert_eq!(
            six.at(&Endpoint::Unix(std::path::Path::new("/run/a").into())).to_string(),
            "server 3 (/run/a)"
        );
        assert_eq!(Called::numbered(3, &Endpoint::Unset).to_string(), "server 3");
        assert_eq!(Called::new(0, Some("a"), "", "a".into()).to_string(), "server 0 (a)");
    }
}
