//! Names of header lines, as the most tolerant server may read them. Pure.

/// A header that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    For,
    Proto,
    Length,
    Encoding,
    Upgrade,
}

const NAMES: [(&[u8], Name); 5] = [
    (b"x-forwarded-for", Name::For),
    (b"x-forwarded-proto", Name::Proto),
    (b"content-length", Name::Length),
    (b"transfer-encoding", Name::Encoding),
    (b"upgrade", Name::Upgrade),
];

/// What the beginning of a line says about the header that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It may still become one of the headers that are looked at.
    Open,
    /// Another one, or none.
    Other,
    /// `spelled`: as it should be.
    Is { name: Name, spelled: bool },
}

/// Looks at the beginning of a line, which is not empty.
///
/// Servers that hand headers to programs as variables spell every byte but letters and digits as `_`, so that nobody can
/// tell `X_Forwarded_For` from `X-Forwarded-For` any more: here they are the same.
pub(super) fn look(line: &[u8]) -> Look {
    if !matches!(line[0] | 0x20, b'x' | b'c' | b't' | b'u') {
        return Look::Other; // spares most headers the comparison
    }
    for (spelling, name) in NAMES {
        if line.iter().zip(spelling).any(|(&byte, &wanted)| folded(byte) != wanted) {
            continue;
        }
        match line.get(spelling.len()) {
            None => return Look::Open,
            Some(&end) if end == b':' || is_blank(end) => {
                let spelled = line[..spelling.len()].eq_ignore_ascii_case(spelling);
                return Look::Is { name, spelled };
            }
            Some(_) => {}
        }
    }
    Look::Other
}

/// Whether a line that begins with this byte is a header that is none of those looked at.
pub(super) fn is_of_no_concern(byte: u8) -> bool {
    byte.is_ascii_alphabetic() && look(&[byte]) == Look::Other
}

fn folded(byte: u8) -> u8 {
    match byte {
        b':' => byte,
        _ if is_blank(byte) || byte.is_ascii_alphanumeric() => byte.to_ascii_lowercase(),
        _ => b'-',
    }
}

/// What ends a word for some server: control characters, blanks, and the blanks of Latin-1.
pub(super) fn is_blank(byte: u8) -> bool {
    byte <= b' ' || (0x7f..=0xa0).contains(&byte)
}

/// The characters of a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    /// Looked up, because every name of a header is held against it.
    const TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            tokens[byte] = matches!(byte as u8, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
                || (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let wanted = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (0..=u8::MAX).for_each(|byte| assert_eq!(is_token(byte), wanted(byte), "{byte}"));
    }

    #[test]
    fn spellings() {
        let is = |name, spelled| Look::Is { name, spelled };
        let cases: [(&[u8], Look); 16] = [
            (b"X-Forwarded-For:", is(Name::For, true)),
            (b"x-forwarded-FOR: 1", is(Name::For, true)),
            (b"X_Forwarded_For:", is(Name::For, false)),
            (b"X-Forwarded.For:", is(Name::For, false)),
            (b"X-Forwarded-For :", is(Name::For, true)),
            (b"X-Forwarded-For\xa0", is(Name::For, true)),
            (b"X-Forwarded-Proto\t", is(Name::Proto, true)),
            (b"Content-Length:", is(Name::Length, true)),
            (b"transfer_encoding:", is(Name::Encoding, false)),
            (b"UPGRADE:", is(Name::Upgrade, true)),
            (b"X-Forwarded-", Look::Open),
            (b"C", Look::Open),
            (b"X-Forwarded-For-Me:", Look::Other),
            (b"X:Forwarded-For: 1", Look::Other),
            (b"X-Forwarded For:", Look::Other),
            (b"Host:", Look::Other),
        ];
        for (line, expected) in cases {
            assert_eq!(look(line), expected, "{}", line.escape_ascii());
        }
    }
}
