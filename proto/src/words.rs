//! A line is words between blanks. This file owns how a word is written that has blanks in it, and how it is read.

use crate::addr::quoted;
use std::borrow::Cow;
use std::fmt::Write;

/// The words of a line, without its comment and the line end.
///
/// Words are separated by blanks and tabs. A word that begins with `"` ends with the next one; `\r`, `\n`, `\t`, `\\`, `\"`
/// and `\xNN`, a byte in two hexadecimal digits, may stand in it. Another word that begins with `#` begins a comment.
///
/// # Errors
/// A word in quotes that does not end, goes on behind its end, has a backslash before something else, or is not UTF-8.
pub fn split(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_end_matches(['\r', '\n']).trim_start_matches(is_blank);
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(inside) => in_quotes(inside)?,
            None => {
                let (word, behind) = rest.split_at(rest.find(is_blank).unwrap_or(rest.len()));
                (Cow::Borrowed(word), behind)
            }
        };
        words.push(word);
        rest = behind.trim_start_matches(is_blank);
    }
    Ok(words)
}

/// A word as a line has it: in quotes if it must be, otherwise as it is. [`split`] reads it back.
pub fn written(word: &str) -> Cow<'_, str> {
    let is_plain = !word.is_empty()
        && !word.starts_with(['"', '#'])
        && !word.contains(|c: char| is_blank(c) || c.is_ascii_control());
    if is_plain {
        return Cow::Borrowed(word);
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '\r' => text.push_str("\\r"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '"' | '\\' => text.extend(['\\', c]),
            // A String takes everything.
            c if c.is_ascii_control() => drop(write!(text, "\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    Cow::Owned(text)
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// The word that goes on in `text`, behind its opening quote, and what follows the closing one.
fn in_quotes(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut bytes = Vec::new();
    // From here on nothing has been copied yet.
    let mut from = 0;
    let mut at = 0;
    let end = loop {
        match text.as_bytes().get(at) {
            None => return Err(format!("want \" at the end of a word in quotes, got {}", quoted(text))),
            Some(b'"') => break at,
            Some(b'\\') => {
                let escape = &text.as_bytes()[at + 1..];
                let (byte, length) = escaped(escape).ok_or_else(|| {
                    let shown: String = text[at..].chars().take(4).collect();
                    format!(r#"want \r, \n, \t, \\, \" or \xNN in a word in quotes, got {}"#, quoted(&shown))
                })?;
                bytes.extend_from_slice(&text.as_bytes()[from..at]);
                bytes.push(byte);
                at += 1 + length;
                from = at;
            }
            Some(_) => at += 1,
        }
    };
    let behind = &text[end + 1..];
    if !behind.is_empty() && !behind.starts_with(is_blank) {
        return Err(format!("want a blank behind a word in quotes, got {}", quoted(behind)));
    }
    if from == 0 {
        return Ok((Cow::Borrowed(&text[..end]), behind));
    }
    bytes.extend_from_slice(&text.as_bytes()[from..end]);
    let word = String::from_utf8(bytes)
        .map_err(|_| format!("want UTF-8 in a word in quotes, got {}", quoted(&text[..end])))?;
    Ok((Cow::Owned(word), behind))
}

/// What stands for a byte behind a backslash: the byte, and how long that is.
fn escaped(escape: &[u8]) -> Option<(u8, usize)> {
    let digit = |at: usize| escape.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match escape.first()? {
        b'r' => Some((b'\r', 1)),
        b'n' => Some((b'\n', 1)),
        b't' => Some((b'\t', 1)),
        byte @ (b'\\' | b'"') => Some((*byte, 1)),
        // Two digits make a byte.
        b'x' => Some(((digit(1)? * 16 + digit(2)?) as u8, 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_what_stands_between_blanks_or_in_quotes() {
        for (line, words) in [
            ("", &[][..]),
            (" a\tb  c \r\n", &["a", "b", "c"]),
            (r#"a "b c" d"#, &["a", "b c", "d"]),
            (r#""" """#, &["", ""]),
            (r#""\r\n\t\\\"\x41\xc3\xa9" x"#, &["\r\n\t\\\"Aé", "x"]),
            ("\"a\tb\"", &["a\tb"]),
            (r#"a"b c"d \x41 e\"#, &["a\"b", "c\"d", "\\x41", "e\\"]),
            (r##"a "#b" #c "d"##, &["a", "#b"]),
            ("a#b #c", &["a#b"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn quotes_that_are_wrong_are_explained() {
        for (line, message) in [
            (r#"a "b c"#, r#"want " at the end of a word in quotes, got "b c""#),
            (r#"a "b\"#, r#"want \r, \n, \t, \\, \" or \xNN in a word in quotes, got "\\""#),
            (r#""\q""#, r#"want \r, \n, \t, \\, \" or \xNN in a word in quotes, got "\\q\"""#),
            (r#""\x4""#, r#"want \r, \n, \t, \\, \" or \xNN in a word in quotes, got "\\x4\"""#),
            (r#""\xff""#, r#"want UTF-8 in a word in quotes, got "\\xff""#),
            (r#""a"b"#, r#"want a blank behind a word in quotes, got "b""#),
        ] {
            assert_eq!(split(line).unwrap_err(), message, "{line}");
        }
    }

    #[test]
    fn only_what_must_be_is_written_in_quotes() {
        for word in ["a", "/var/log/pen.log", "a#b", "a\"b", "\\x41", "é", "-", "\u{a0}"] {
            assert_eq!(written(word), word);
        }
        assert_eq!(written(""), "\"\"");
        assert_eq!(written("a b"), "\"a b\"");
        assert_eq!(written("#a"), "\"#a\"");
        assert_eq!(written("\"\n\\\x7f"), r#""\"\n\\\x7f""#);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(words in prop::collection::vec("(\\PC|[ \t\r\n\"\\\\#x\\x00-\\x1f\\x7f]){0,12}", 0..6)) {
            let line = words.iter().map(|word| written(word)).collect::<Vec<_>>().join(" ");
            prop_assert!(!line.contains(['\n', '\r']));
            prop_assert_eq!(split(&line).unwrap(), words);
        }

        #[test]
        fn any_line_has_words_or_is_refused(line in "(\\PC|[ \t\"\\\\x]){0,40}") {
            let Ok(words) = split(&line) else { return Ok(()) };
            let again = words.iter().map(|word| written(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&again).unwrap(), words);
        }
    }
}
