//! The words of the TLS commands: options, and what a server is told by `tls` and `sni`.
//!
//! Owns what these words mean as data and how they are written again. Which rows they stand in says `rows.rs`; what is
//! behind a file name or a cipher is not known here.

use super::{SERVER_KEYS, word_of};
use crate::addr::quoted;
use crate::words::written;
use std::fmt;

/// Longest name in a ClientHello, in a certificate or in a file name (RFC 1035, section 2.3.4, less dots at the ends).
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// Longest part of a name between dots (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Longest name of an application protocol (RFC 7301, section 3.1).
const PROTOCOL_BYTES_MAX: usize = 255;
/// What a TLS record may hold of a stream (RFC 8446, section 5.1).
pub const SSL_RECORD_BYTES_MAX: u64 = 1 << 14;
/// Names of one `server N sni` or `ssl_alpn`.
pub const NAMES_MAX: usize = 256;

/// What `ssl_option` switches. The original's words for protocols that are never spoken here are accepted beside these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum TlsOption {
    /// Our order of ciphers counts, not the client's.
    CipherServerPreference,
    /// Clients get no tickets to come back with.
    NoTicket,
    NoTls12,
    NoTls13,
}

impl TlsOption {
    pub const COUNT: usize = TlsOption::NoTls13 as usize + 1;

    /// Every option with its word.
    pub const WORDS: [(&'static str, TlsOption); TlsOption::COUNT] = [
        ("cipher_server_preference", TlsOption::CipherServerPreference),
        ("no_ticket", TlsOption::NoTicket),
        ("no_tlsv1.2", TlsOption::NoTls12),
        ("no_tlsv1.3", TlsOption::NoTls13),
    ];
    /// Words for what is switched off for good.
    pub const NEVER: [&'static str; 4] = ["no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1.1"];
}

impl fmt::Display for TlsOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&TlsOption::WORDS, self))
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerTls {
    #[default]
    Off,
    On {
        /// Whether its certificate must be right.
        verify: bool,
        /// The name asked for and expected in the certificate; `None`: the server's address as it was given.
        name: Option<String>,
        /// File with the certificate and the key that are shown to it when it asks; `None`: it is shown none.
        certificate: Option<String>,
    },
}

impl ServerTls {
    /// The words after `tls`.
    pub const MODES: [&'static str; 3] = ["verify", "noverify", "off"];
    /// The word before a file.
    pub const CERTIFICATE: &'static str = "certificate";

    /// Whether it is no name where one may stand, because it says what follows.
    pub fn is_word(text: &str) -> bool {
        text == ServerTls::CERTIFICATE || SERVER_KEYS.iter().any(|key| key.word == text)
    }

    /// The file that is shown to the server.
    pub fn certificate(&self) -> Option<&str> {
        match self {
            ServerTls::Off => None,
            ServerTls::On { certificate, .. } => certificate.as_deref(),
        }
    }
}

/// As after `tls`: `verify www.example.org certificate pen.pem`.
impl fmt::Display for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerTls::On { verify, name, certificate } = self else { return f.write_str("off") };
        f.write_str(if *verify { "verify" } else { "noverify" })?;
        if let Some(name) = name {
            // With a dot at its end it is the same name and no word of ours.
            let dot = if ServerTls::is_word(name) { "." } else { "" };
            write!(f, " {name}{dot}")?;
        }
        certificate.iter().try_for_each(|file| write!(f, " {} {}", ServerTls::CERTIFICATE, written(file)))
    }
}

/// The names by which clients ask for a server: host names in lower case, `*.example.org` for all names with one more
/// label. Empty: the server is for whoever asks for none of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SniNames(pub Vec<String>);

/// The word that empties the list.
const ANY: &str = "any";

impl SniNames {
    /// Reads names with commas between them, or `any`.
    ///
    /// # Errors
    /// The name that is none, and what was expected.
    pub fn parse(text: &str) -> Result<SniNames, String> {
        if text == ANY {
            return Ok(SniNames::default());
        }
        let names = text.split(',').map(|name| {
            let bare = name.strip_prefix("*.").unwrap_or(name);
            match host_name(bare) {
                Some(_) => Ok(name.to_ascii_lowercase()),
                None => {
                    Err(format!("want host names with commas between them, or {ANY}, got {}", quoted(name)))
                }
            }
        });
        limited(names.collect::<Result<Vec<_>, _>>()?).map(SniNames)
    }
}

impl fmt::Display for SniNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(ANY) } else { f.write_str(&self.0.join(",")) }
    }
}

/// The names of application protocols in a value of `ssl_alpn`.
///
/// # Errors
/// The name that is none, and what was expected.
pub fn protocols(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(|name| match name.len() {
        1..=PROTOCOL_BYTES_MAX => Ok(name.to_owned()),
        _ => Err(format!("want protocols such as h2,http/1.1, got {}", quoted(text))),
    });
    limited(names.collect::<Result<Vec<_>, _>>()?)
}

fn limited(names: Vec<String>) -> Result<Vec<String>, String> {
    if names.len() > NAMES_MAX {
        return Err(format!("want at most {NAMES_MAX} names, got {}", names.len()));
    }
    Ok(names)
}

/// A host name in lower case, without a dot at its end; `None` for what is no host name. Only letters, digits, `-` and
/// `_` between single dots pass, so the name is also harmless as a part of a file name: no `/`, no `..`, no NUL, and it
/// does not begin with a dot.
pub fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_inner) && !label.starts_with('-')
    };
    (text.len() <= HOST_NAME_BYTES_MAX && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_names_are_told_from_tricks() {
        for (text, name) in [
            ("www.Example.ORG", "www.example.org"),
            ("a.test.", "a.test"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_dmarc.example", "_dmarc.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(host_name(text).as_deref(), Some(name));
        }
        let long = "a".repeat(64);
        let longer = "a.".repeat(128);
        for text in [
            "", ".", "..", "../x", "a/b", "a..b", ".a", "-a", "a\0", "a b", "a%2fb", "ä.test", "*.a", "a\\b",
            &long, &longer,
        ] {
            assert_eq!(host_name(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_and_protocols_are_written_as_they_are_read() {
        for text in ["any", "a.test", "*.a.test,b.test"] {
            assert_eq!(SniNames::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "a,,b", "*", "*.", "a.*.test", "../x", "a,", "**.a"] {
            assert!(SniNames::parse(text).is_err(), "{text}");
        }
        assert!(SniNames::parse(&["a"; NAMES_MAX + 1].join(",")).is_err());
        assert_eq!(protocols("h2,http/1.1").unwrap(), ["h2", "http/1.1"]);
        assert!(protocols("").is_err() && protocols("h2,").is_err());
        assert_eq!(ServerTls::Off.to_string(), "off");
        let named = |name: &str, file: Option<&str>| {
            let certificate = file.map(str::to_owned);
            ServerTls::On { verify: true, name: Some(name.into()), certificate }.to_string()
        };
        assert_eq!(named("a.test", None), "verify a.test");
        assert_eq!(named("a.test", Some("c.pem")), "verify a.test certificate c.pem");
        assert_eq!(named("certificate", None), "verify certificate.");
        assert_eq!(named("max", Some("c.pem")), "verify max. certificate c.pem");
    }

    proptest! {
        /// Whatever a client sends as a name: what passes can be a file name in its directory and nothing else.
        #[test]
        fn what_passes_stays_in_its_directory(text in "[-a-zA-Z0-9._/\\\\\\x00*%]{0,40}") {
            if let Some(name) = host_name(&text) {
                prop_assert!(!name.contains(['/', '\\', '\0', '%', '*']) && !name.starts_with('.'));
                prop_assert!(!name.contains("..") && !name.is_empty());
                prop_assert_eq!(host_name(&name), Some(name));
            }
        }
    }
}
