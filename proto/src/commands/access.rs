//! What an entry of an access list says: the values of `acl N permit|deny ...`, and how they are written.
//!
//! What a list decides is not said here; that is `acl.rs` of pen.

use crate::addr::quoted;
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclEntry {
    pub permit: bool,
    pub what: AclMatch,
}

/// As after `acl N`: `permit 10.0.0.0 255.0.0.0`.
impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.permit { "permit" } else { "deny" };
        write!(f, "{verdict} {}", self.what)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclMatch {
    /// Matches when `client & mask == address`, so host bits in `address` match nobody (as in Pen).
    V4 {
        address: u32,
        mask: u32,
    },
    V6 {
        address: u128,
        prefix: u8,
    },
    /// Matches clients whose address `geoip` finds in this country.
    Country(By, Country),
}

/// What makes an address one of a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Where it is used.
    Location,
    /// Where its network is registered. Some networks, of large publishers for example, are used everywhere and have no
    /// other country than this.
    Registration,
}

impl By {
    pub const ALL: [By; 2] = [By::Location, By::Registration];

    /// As written before the code of a country.
    pub fn word(self) -> &'static str {
        match self {
            By::Location => "country",
            By::Registration => "registered_country",
        }
    }
}

impl fmt::Display for AclMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AclMatch::V4 { address, mask } => {
                write!(f, "{} {}", Ipv4Addr::from(address), Ipv4Addr::from(mask))
            }
            AclMatch::V6 { address, prefix } => write!(f, "{}/{prefix}", Ipv6Addr::from(address)),
            AclMatch::Country(by, country) => write!(f, "{} {country}", by.word()),
        }
    }
}

/// A country by its two-letter code (ISO 3166-1), in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads a code; capital letters or not. Digits are taken too, because old databases have codes such as `A1`.
    ///
    /// # Errors
    /// What was expected and what was given.
    pub fn parse(text: &str) -> Result<Country, String> {
        match *text.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphanumeric() => {
                Ok(Country([first, second].map(|byte| byte.to_ascii_uppercase())))
            }
            _ => Err(format!("want a country code of two letters, got {}", quoted(text))),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}
