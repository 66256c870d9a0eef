//! Settings that are one of a few words.

use super::word_of;
use std::fmt;

/// Which PROXY header a server gets: `server N proxy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    #[default]
    None,
    /// A line of text.
    V1,
    /// Binary.
    V2,
    /// Binary, with what is known of the client's TLS.
    V2Ssl,
}

impl ProxyHeader {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, ProxyHeader); 4] = [
        ("v1", ProxyHeader::V1),
        ("v2", ProxyHeader::V2),
        ("v2-ssl", ProxyHeader::V2Ssl),
        ("none", ProxyHeader::None),
    ];
}

impl fmt::Display for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&ProxyHeader::WORDS, self))
    }
}

/// What `http` makes of the header lines that tell a server about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpMode {
    #[default]
    Off,
    /// Each is added, unless the client sent one itself: Pen's way.
    Add,
    /// Those that the client sent are taken out, and ours added. Clients that speak HTTP/2 are refused.
    Replace,
    /// The same, but HTTP/2 passes as it is.
    ReplaceH2,
    /// The address is added to the list that the client sent.
    Append,
}

impl HttpMode {
    /// The values that a word chooses.
    pub const WORDS: [(&'static str, HttpMode); 2] =
        [("replace", HttpMode::Replace), ("append", HttpMode::Append)];
}

/// The whole command: `http`, `http append`, `no http`.
impl fmt::Display for HttpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpMode::Off => f.write_str("no http"),
            HttpMode::Add => f.write_str("http"),
            HttpMode::ReplaceH2 => f.write_str("http replace h2"),
            mode => write!(f, "http {}", word_of(&HttpMode::WORDS, mode)),
        }
    }
}
