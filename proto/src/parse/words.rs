//! The words of a line, taken one after the other.

use super::{ParseError, Parsed};
use crate::addr::{file_name, quoted, strict_number};
use crate::commands::{ACL_LAST, Choice, Listing};
use crate::network::Downstream;
use std::borrow::Cow;

/// The words not read yet, and the place for error messages.
pub struct Words<'a> {
    pub place: String,
    rest: &'a [Cow<'a, str>],
}

/// Permissions of a file, in octal digits as chmod(1) takes them.
///
/// # Errors
/// What was expected and what was given.
pub fn file_mode(word: &str) -> Result<u64, String> {
    let is_octal = (1..=4).contains(&word.len()) && word.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u64::from_str_radix(word, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| format!("want 0..777 in octal digits, such as 660, got {}", quoted(word)))
}

impl<'a> Words<'a> {
    pub fn new(place: String, words: &'a [Cow<'a, str>]) -> Words<'a> {
        Words { place, rest: words }
    }

    pub fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(word)
    }

    /// The next word, which stays there to be read.
    pub fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(|word| &**word)
    }

    /// Every word that is left.
    pub fn take_rest(&mut self) -> &'a [Cow<'a, str>] {
        std::mem::take(&mut self.rest)
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word; `want` says what it would be.
    pub fn need(&mut self, want: &str) -> Parsed<&'a str> {
        self.next().ok_or_else(|| self.error(&format!("want {want}, got nothing")))
    }

    pub fn need_number(&mut self, min: u64, max: u64, unit: &str) -> Parsed<u64> {
        let blank = if unit.is_empty() { "" } else { " " };
        let word = self.need(&format!("{min}..{max}{blank}{unit}"))?;
        self.number(word, min, max, unit)
    }

    pub fn number(&self, word: &str, min: u64, max: u64, unit: &str) -> Parsed<u64> {
        self.checked(strict_number(word, min, max, unit))
    }

    /// The number of an access list.
    pub fn list(&mut self) -> Parsed<u8> {
        // The bound makes it fit.
        Ok(self.need_number(0, ACL_LAST.into(), "")? as u8)
    }

    pub fn need_path(&mut self) -> Parsed<String> {
        let word = self.need("a file name")?;
        self.checked(file_name(word)).map(str::to_owned)
    }

    pub fn path(&mut self) -> Parsed<Option<String>> {
        match self.next() {
            Some(word) => self.checked(file_name(word)).map(|path| Some(path.to_owned())),
            None => Ok(None),
        }
    }

    /// The value that the next word stands for, if there is a next word.
    pub fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Parsed<Option<T>> {
        let Some(word) = self.next() else {
            return Ok(None);
        };
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                Err(self.error(&format!("want {}, got {}", names.join(" or "), quoted(word))))
            }
        }
    }

    pub fn downstream(&mut self) -> Parsed<Option<Downstream>> {
        let downstream = self.next().map(Downstream::parse).transpose();
        self.checked(downstream)
    }

    pub fn listing(&mut self) -> Parsed<Listing> {
        Ok(self.choice(&[("json", Listing::Json)])?.unwrap_or_default())
    }

    /// The place in `values` of the value that follows, which may be a pair of words. `None` if there is no further word,
    /// unless no word is a value too.
    pub fn choice_of(&mut self, values: &[&str]) -> Parsed<Option<u8>> {
        let mut given: Vec<&str> = Vec::new();
        loop {
            let mut next: Vec<&str> = Vec::new();
            for value in values.iter().filter(|value| !matches!(**value, Choice::NO | "")) {
                let mut parts = value.split(' ');
                if given.iter().all(|word| parts.next() == Some(word)) {
                    next.extend(parts.next().filter(|part| !next.contains(part)));
                }
            }
            let Some(word) = self.peek().filter(|_| !next.is_empty()) else { break };
            if !next.contains(&word) {
                return Err(self.error(&format!("want {}, got {}", next.join(" or "), quoted(word))));
            }
            given.push(word);
            self.next();
        }
        let text = given.join(" ");
        // There are fewer words than 256.
        Ok(values.iter().position(|value| *value == text).map(|place| place as u8))
    }

    pub fn end(&mut self) -> Parsed<()> {
        match self.next() {
            None => Ok(()),
            Some(surplus) => Err(self.error(&format!("nothing may follow here, got {}", quoted(surplus)))),
        }
    }

    pub fn checked<T>(&self, result: Result<T, String>) -> Parsed<T> {
        result.map_err(|reason| self.error(&reason))
    }

    pub fn error(&self, message: &str) -> ParseError {
        ParseError { place: self.place.clone(), message: message.to_owned(), unknown: None }
    }
}
