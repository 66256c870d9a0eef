//! What a client asks for in the first line that it sends, for the policies that go by it. Pure.
//!
//! Owns where a request ends as far as a choice needs it: the URI without its query. Nothing is decoded, and neither the
//! method nor the host counts.

use crate::http::is_token;
use pen_proto::commands::PolicyKind;
use std::hash::{DefaultHasher, Hasher};

/// So many bytes of a line may come before the end of its URI is known; behind them it is no request.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Octopus looks at no more of a line.
const OCTOPUS_BYTES_MAX: usize = 200;
/// Octopus has 65,535 places for assignments and uses all but the last.
const OCTOPUS_PLACES: u16 = 65_534;
/// Longer than any method.
const METHOD_BYTES_MAX: usize = 32;
/// A URI begins with one of these.
const BEGINNINGS: [&[u8]; 3] = [b"/", b"http://", b"https://"];

/// What stands for a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uri(pub u64);

/// What a client has asked for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// More may tell.
    Incomplete,
    For(Uri),
    /// This is no request.
    Nothing,
}

/// What the first bytes of a client ask for, as this policy reads them. `is_all`: no more will come.
pub fn read(policy: PolicyKind, bytes: &[u8], is_all: bool) -> Asked {
    let asked = match policy {
        PolicyKind::UriStatic => as_octopus(bytes, is_all),
        PolicyKind::UriHash => request(bytes),
        _ => Asked::Nothing,
    };
    if asked == Asked::Incomplete && is_all { Asked::Nothing } else { asked }
}

/// The second word of a line, whatever the line is, as Octopus has it: where it is the last word, the end of the line belongs
/// to it.
fn as_octopus(bytes: &[u8], is_all: bool) -> Asked {
    let seen = &bytes[..bytes.len().min(OCTOPUS_BYTES_MAX)];
    let end = seen.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let line = &seen[..end.unwrap_or(seen.len())];
    let is_whole = is_all || end.is_some() || line.len() == OCTOPUS_BYTES_MAX;
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let Some(word) = words.nth(1) else {
        return if is_whole { Asked::Nothing } else { Asked::Incomplete };
    };
    let path = before_query(word);
    match is_whole || path.len() < word.len() || line.ends_with(b" ") || words.next().is_some() {
        true => Asked::For(Uri(octopus_hash(path).into())),
        false => Asked::Incomplete,
    }
}

/// Octopus's function.
fn octopus_hash(uri: &[u8]) -> u16 {
    let step = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    uri.iter().fold(5381, step) as u16 % OCTOPUS_PLACES
}

fn before_query(uri: &[u8]) -> &[u8] {
    uri.split(|byte| *byte == b'?').next().unwrap_or(uri)
}

/// The URI of a request of HTTP/1: a method, a blank, and a path or an address. What another protocol begins with is none, nor
/// is the beginning of HTTP/2.
fn request(bytes: &[u8]) -> Asked {
    let unfinished = if bytes.len() > LINE_BYTES_MAX { Asked::Nothing } else { Asked::Incomplete };
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &bytes[empty..];
    let method = line.iter().take_while(|byte| is_token(**byte)).count();
    let rest = match line.get(method) {
        None if method <= METHOD_BYTES_MAX => return unfinished,
        Some(b' ') if (1..=METHOD_BYTES_MAX).contains(&method) => &line[method + 1..],
        _ => return Asked::Nothing,
    };
    let begins = |beginning: &&[u8]| {
        let common = rest.len().min(beginning.len());
        rest[..common].eq_ignore_ascii_case(&beginning[..common])
    };
    if !BEGINNINGS.iter().any(begins) {
        return Asked::Nothing;
    }
    // A blank, the end of the line, or what no URI holds.
    match rest.iter().position(|byte| *byte == b'?' || *byte <= b' ') {
        None => unfinished,
        Some(end) => {
            let mut hasher = DefaultHasher::new();
            hasher.write(&rest[..end]);
            Asked::For(Uri(hasher.finish()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn octopus(line: &str) -> Asked {
        read(PolicyKind::UriStatic, line.as_bytes(), false)
    }

    fn hashed(line: &str) -> Asked {
        read(PolicyKind::UriHash, line.as_bytes(), false)
    }

    /// The numbers are those of Octopus's function: from 5381, for each byte times 33 plus the byte, the low 16 bits modulo
    /// 65534, computed apart from this program.
    #[test]
    fn octopus_and_pen_agree() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(300));
        for (line, number) in [
            ("GET / HTTP/1.0\r\n", 46_548),
            ("GET /index.html HTTP/1.1\r\n", 47_567),
            ("POST /index.html?id=7 HTTP/1.1\r\n", 47_567),
            ("GET  /index.html HTTP/1.1", 47_567),
            ("GET /a/b?", 30_822),
            ("GET /a/b\r\n", 11_165),
            ("GET /a/b\n", 34_096),
            ("EHLO client.example\r\n", 31_669),
            (&long, 15_804),
            ("GET /%7Euser/caf\u{e9} HTTP/1.1\r\n", 59_001),
        ] {
            assert_eq!(octopus(line), Asked::For(Uri(number)), "{line:?}");
        }
        assert_eq!(octopus("QUIT\r\n"), Asked::Nothing);
        assert_eq!(octopus("\r\nGET / HTTP/1.0\r\n"), Asked::Nothing);
        assert_eq!(octopus(&"x".repeat(200)), Asked::Nothing);
        for part in ["", "G", "GET", "GET ", "GET /a/b", "GET /a/b\r"] {
            assert_eq!(octopus(part), Asked::Incomplete, "{part:?}");
        }
    }

    #[test]
    fn a_request_is_a_method_and_a_path_or_an_address() {
        let index = hashed("GET /index.html HTTP/1.1\r\n");
        assert!(matches!(index, Asked::For(_)));
        for same in ["POST /index.html?a=b HTTP/1.1", "GET /index.html\r\n", "\r\nM-SEARCH /index.html?"] {
            assert_eq!(hashed(same), index, "{same:?}");
        }
        for other in
            ["GET /Index.html ", "GET /index.html/ ", "GET http://a.test/index.html ", "GET /index.html#a "]
        {
            assert!(matches!(hashed(other), Asked::For(_)) && hashed(other) != index, "{other:?}");
        }
        for nothing in [
            "EHLO client.example\r\n",
            "PRI * HTTP/2.0\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "CONNECT a.test:443 HTTP/1.1",
            "QUIT\r\n",
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "\u{16}\u{3}\u{1}",
            "GET htt HTTP/1.1",
        ] {
            assert_eq!(hashed(nothing), Asked::Nothing, "{nothing:?}");
        }
        for part in ["", "\r\n", "G", "GET", "GET ", "GET /index.html", "GET HTTP:"] {
            assert_eq!(hashed(part), Asked::Incomplete, "{part:?}");
        }
        assert_eq!(hashed(&"G".repeat(METHOD_BYTES_MAX + 1)), Asked::Nothing);
        assert_eq!(hashed(&format!("GET /{}", "x".repeat(LINE_BYTES_MAX))), Asked::Nothing);
    }

    proptest! {
        /// What is known once stays known, so it does not matter in which pieces a line comes.
        #[test]
        fn pieces_are_read_as_the_whole(
            line in prop_oneof!["[A-Z]{1,5} [/a-z? ]{0,9}(\r?\n)?.{0,4}", ".{0,20}", "[A-Z]{0,40} /[a-z]{150,250} "],
            at in any::<prop::sample::Index>(),
        ) {
            let part = at.index(line.len() + 1);
            for policy in [PolicyKind::UriStatic, PolicyKind::UriHash] {
                let early = read(policy, &line.as_bytes()[..part], false);
                if early != Asked::Incomplete {
                    prop_assert_eq!(early, read(policy, line.as_bytes(), false));
                }
                prop_assert_ne!(read(policy, line.as_bytes(), true), Asked::Incomplete);
            }
        }
    }
}
