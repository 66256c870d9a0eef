//! Names of others as names of pen: valid and unique.

use pen_proto::addr::quoted;
use pen_proto::names::{NAME_BYTES_MAX, Name};
use std::collections::HashSet;

/// Room for a number behind a name.
const STEM_BYTES_MAX: usize = NAME_BYTES_MAX - 6;

/// The names that were given.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// A name for what is called `text`, and what is to be told when it is another. `kind` is what stands before a name
    /// that begins with no letter.
    pub fn name(&mut self, text: &str, kind: &str) -> (String, Option<String>) {
        let inner = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let mut name: String = text.trim().chars().map(inner).take(STEM_BYTES_MAX).collect();
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || Name::parse(&name).is_err() {
            name = format!("{kind}-{}", name.trim_start_matches('-'));
            name.truncate(STEM_BYTES_MAX);
        }
        let stem = name.clone();
        for number in 2.. {
            if self.0.insert(name.clone()) {
                break;
            }
            name = format!("{stem}-{number}");
        }
        let note = (name != text).then(|| format!("{} is called {name} here", quoted(text)));
        (name, note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid_and_stay_different() {
        let mut names = Names::default();
        for (text, expected) in [
            ("web1", "web1"),
            ("web 1", "web-1"),
            ("web 1", "web-1-2"),
            ("1st", "server-1st"),
            ("all", "server-all"),
            ("", "server-"),
            ("a~2", "a-2"),
            ("größe", "gr--e"),
        ] {
            let (name, note) = names.name(text, "server");
            assert_eq!(name, expected);
            assert!(Name::parse(&name).is_ok(), "{name}");
            assert_eq!(note.is_some(), name != text, "{text}");
        }
        let long = "x".repeat(100);
        let (first, second) = (names.name(&long, "server").0, names.name(&long, "server").0);
        assert!(first != second && Name::parse(&first).is_ok() && Name::parse(&second).is_ok());
    }
}
