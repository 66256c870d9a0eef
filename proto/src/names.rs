//! Names of services, servers and groups, and how a command says which server it means.
//!
//! A name begins with a letter, so it cannot be taken for a number.

use crate::addr::{quoted, strict_number};
use crate::commands::SERVER_LAST;
use std::fmt;
use std::ops::Deref;

/// Longest name that a person may give.
pub const NAME_BYTES_MAX: usize = 63;
/// Words that stand where a name may stand.
const RESERVED: [&str; 4] = ["add", "all", "json", "remove"];
/// What a person may not give: between the name and the number of what was made of it.
const GENERATED: char = '~';

/// A name: a letter, then letters, digits, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name that somebody gives to something.
    ///
    /// # Errors
    /// What a name may be and what was given instead.
    pub fn parse(text: &str) -> Result<Name, String> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = text.len() <= NAME_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(is_inner);
        match is_name {
            true if RESERVED.contains(&text) => {
                Err(format!("want another name than {}, got {}", RESERVED.join(", "), quoted(text)))
            }
            true => Ok(Name(text.to_owned())),
            false => Err(format!(
                "want a name, a letter and then letters, digits, -, _ or ., {NAME_BYTES_MAX} at most, got {}",
                quoted(text)
            )),
        }
    }

    /// Reads the name of something that is there: also one that [`Name::generated`] made.
    ///
    /// # Errors
    /// As [`Name::parse`].
    pub fn of_existing(text: &str) -> Result<Name, String> {
        match text.split_once(GENERATED) {
            Some((name, number)) if strict_number(number, 0, u64::from(u32::MAX), "").is_ok() => {
                Name::parse(name).map(|name| Name(format!("{name}{GENERATED}{number}")))
            }
            _ => Name::parse(text),
        }
    }

    /// The name of the `number`th thing made of what has this name: `web~2`.
    pub fn generated(&self, number: u32) -> Name {
        Name(format!("{self}{GENERATED}{number}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which server of a service a command means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerRef {
    Number(u16),
    Name(Name),
}

impl ServerRef {
    /// Reads a number or a name.
    ///
    /// # Errors
    /// What was expected and what was given.
    pub fn parse(text: &str) -> Result<ServerRef, String> {
        if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Name::of_existing(text).map(ServerRef::Name);
        }
        // The bound makes it fit.
        let number = strict_number(text, 0, SERVER_LAST as u64, "");
        number
            .map(|number| ServerRef::Number(number as u16))
            .map_err(|_| format!("want 0..{SERVER_LAST} or a name, got {}", quoted(text)))
    }
}

impl fmt::Display for ServerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerRef::Number(number) => number.fmt(f),
            ServerRef::Name(name) => name.fmt(f),
        }
    }
}

/// Takes a name off the front of what may have one: `web=10.0.0.1:80`. A path that contains `=` has none.
///
/// # Errors
/// What stands before the `=` is no name.
pub fn with_name(text: &str) -> Result<(Option<Name>, &str), String> {
    match text.split_once('=') {
        Some((name, rest)) if !name.contains('/') => Name::parse(name).map(|name| (Some(name), rest)),
        _ => Ok((None, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_told_from_numbers_and_words() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        for text in ["a", "Web-1", "www.example.org", "x_y", "additional", &longest] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
            assert_eq!(ServerRef::parse(text).unwrap().to_string(), text);
        }
        let longer = format!("{longest}a");
        for text in ["", "1a", "-a", ".a", "a b", "a/b", "ä", "a~1", "a=b", "*", &longer] {
            assert!(Name::parse(text).unwrap_err().starts_with("want a name, a letter"), "{text}");
        }
        for text in RESERVED {
            let error = format!(r#"want another name than add, all, json, remove, got "{text}""#);
            assert_eq!(Name::parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn what_was_made_of_a_name_is_found_and_not_given() {
        let made = Name::parse("web").unwrap().generated(2);
        assert_eq!(made.as_str(), "web~2");
        assert!(Name::parse(&made).is_err());
        assert_eq!(Name::of_existing(&made), Ok(made));
        for text in ["web~", "~2", "web~x", "web~1~2", "web~-1"] {
            assert!(Name::of_existing(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_is_meant_by_number_or_name() {
        assert_eq!(ServerRef::parse("007"), Ok(ServerRef::Number(7)));
        assert_eq!(ServerRef::parse("web~1").unwrap().to_string(), "web~1");
        for text in ["-1", "32001", "", "+1", "1a"] {
            let error = format!("want 0..4095 or a name, got \"{text}\"");
            assert_eq!(ServerRef::parse(text).unwrap_err(), error);
        }
        assert!(ServerRef::parse("all").is_err());
    }

    #[test]
    fn a_name_may_stand_before_an_address() {
        let name = |text| with_name(text).map(|(name, rest)| (name.map(|name| name.to_string()), rest));
        assert_eq!(name("web=10.0.0.1:80"), Ok((Some("web".into()), "10.0.0.1:80")));
        assert_eq!(name("web=/run/a=b"), Ok((Some("web".into()), "/run/a=b")));
        assert_eq!(name("10.0.0.1:80"), Ok((None, "10.0.0.1:80")));
        assert_eq!(name("/run/a=b"), Ok((None, "/run/a=b")));
        assert!(name("1=x").is_err() && name("=x").is_err() && name("all=x").is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_written_as_it_is_read(text in "[-a-z0-9._~=/ ]{0,8}") {
            if let Ok(name) = Name::of_existing(&text) {
                prop_assert_eq!(name.as_str(), &text);
            }
            if let Ok(server) = ServerRef::parse(&text) {
                prop_assert_eq!(ServerRef::parse(&server.to_string()), Ok(server));
            }
        }
    }
}
