//! Text from the network made harmless for a log, a page or a terminal. Pure; called by everything that shows it.
//!
//! Owns the question which characters may not reach a reader: those that steer a terminal, forge a line, turn the
//! reading order around or are not seen. Log lines have escapes of their own (`logline`, `weblog`), for the same ones.

use std::fmt::{self, Display, Write};

/// Shows the text with everything dangerous escaped: `\n`, `\t`, `\r`, `\xhh`, `\u{hhhh}`.
///
/// A backslash stays as it is, so that escaping twice changes nothing.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = self.0;
        while let Some((at, c)) = plain.char_indices().find(|&(_, c)| is_dangerous(c)) {
            f.write_str(&plain[..at])?;
            write_escape(f, c)?;
            plain = &plain[at + c.len_utf8()..];
        }
        f.write_str(plain)
    }
}

/// Shows bytes that should be UTF-8 like [`Escaped`]; what is not UTF-8 appears as `\xhh`.
pub struct EscapedBytes<'a>(pub &'a [u8]);

impl Display for EscapedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            Escaped(chunk.valid()).fmt(f)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Makes text from pen harmless for a terminal: control characters and what reverses the reading direction become
/// escapes; newlines and tabs stay.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let line = piece.trim_end_matches(['\n', '\t']);
        shown.push_str(&Escaped(line).to_string());
        shown.push_str(&piece[line.len()..]);
    }
    shown
}

/// Whether the character may not reach a reader as it is: control characters (C0, DEL, C1), line and paragraph
/// separators, the Unicode marks for direction (the trick of CVE-2021-42574), and what has no width.
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Writes a dangerous character as [`Escaped`] shows it.
///
/// # Errors
/// Those of `out`.
pub fn write_escape(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_is_dangerous() {
        for (text, shown) in [
            ("GET / HTTP/1.1", "GET / HTTP/1.1"),
            ("größer \\n", "größer \\n"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\x1b[2J\x7f\0", "\\x1b[2J\\x7f\\x00"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt\u{2066}\u{200f}\u{61c}", "\\u{202e}txt\\u{2066}\\u{200f}\\u{61c}"),
            ("\u{2028}", "\\u{2028}"),
            ("a\u{200b}\u{feff}b", "a\\u{200b}\\u{feff}b"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn bytes_that_are_not_text_become_hexadecimal() {
        assert_eq!(EscapedBytes(b"a\xff\xc3\xb6\xc3\x1b").to_string(), "a\\xffö\\xc3\\x1b");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left_and_twice_is_once(text in any::<String>()) {
            let once = Escaped(&text).to_string();
            prop_assert!(!once.chars().any(is_dangerous));
            prop_assert_eq!(Escaped(&once).to_string(), once);
        }
    }
}
