//! What TLS means without sockets, files or keys: what was configured, which ciphers a list names, what a client asks for
//! in its first bytes, and what certificates and OCSP responses say. Pure.
//!
//! The mechanism is in `net/tls`, which reads the files that [`TlsSettings`] names.

#[cfg(feature = "tls")]
pub mod certificate;
#[cfg(feature = "tls")]
pub mod chain;
pub mod ciphers;
#[cfg(feature = "tls")]
pub mod der;
pub mod hello;
#[cfg(feature = "tls")]
pub mod ocsp;
#[cfg(feature = "tls")]
pub mod pem;

use pen_proto::commands::{ClientCertificate, TlsOption, TlsText};

/// What the workers need of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsPlan {
    pub settings: TlsSettings,
    /// Some server is spoken to by TLS.
    pub to_servers: bool,
    /// Some server's certificate must be right.
    pub verify: bool,
    /// Some server is chosen by the name that clients ask for.
    pub routes: bool,
}

impl TlsPlan {
    /// Whether there is anything to do that needs a TLS library.
    pub fn is_needed(&self) -> bool {
        self.to_servers || self.settings.text(TlsText::Certificate).is_some()
    }
}

/// Everything that was configured about TLS, apart from the servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    texts: [Option<String>; TlsText::COUNT],
    options: [bool; TlsOption::COUNT],
    pub client_certificate: ClientCertificate,
}

impl TlsSettings {
    pub fn text(&self, text: TlsText) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }

    pub fn set_text(&mut self, text: TlsText, value: Option<String>) {
        self.texts[text as usize] = value;
    }

    pub fn option(&self, option: TlsOption) -> bool {
        self.options[option as usize]
    }

    pub fn set_option(&mut self, option: TlsOption, on: bool) {
        self.options[option as usize] = on;
    }

    /// The file of the key: its own, or that of the certificate.
    pub fn key_file(&self) -> Option<&str> {
        self.text(TlsText::Key).or(self.text(TlsText::Certificate))
    }
}
