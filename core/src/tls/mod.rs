//! What TLS means without sockets, files or keys: what was configured, which ciphers a list names, what a client asks for
//! in its first bytes, and what certificates and OCSP responses say. Pure.
//!
//! The mechanism is in `net/tls` of pen, which reads the files that [`TlsSettings`] names.

#[cfg(feature = "tls")]
pub mod algorithm;
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
#[cfg(feature = "tls")]
pub mod record;

use pen_proto::commands::{ClientCertificate, Group, ROWS, Setting, Text, TlsOption};
use std::collections::BTreeSet;

const WITHOUT_TLS: &str = "want ssl_certificate (-E) too: without it clients speak no TLS";

/// What the workers need of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsPlan {
    pub settings: TlsSettings,
    /// Some server is spoken to by TLS, if only to check it.
    pub to_servers: bool,
    /// Some server's certificate must be right.
    pub verify: bool,
    /// Some server is chosen by the name that clients ask for.
    pub routes: bool,
    /// Files with the certificates, and their keys, that servers are shown.
    pub shown: BTreeSet<String>,
    /// What a record to a client may hold.
    pub record_bytes_max: u64,
}

impl TlsPlan {
    /// Whether there is anything to do that needs a TLS library.
    pub fn is_needed(&self) -> bool {
        self.to_servers || self.settings.text(Text::SslCertificate).is_some()
    }
}

/// Those of `ssl_option` that are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsOptions([bool; TlsOption::COUNT]);

impl TlsOptions {
    pub fn is_on(self, option: TlsOption) -> bool {
        self.0[option as usize]
    }

    pub fn set(&mut self, option: TlsOption, on: bool) {
        self.0[option as usize] = on;
    }
}

/// Everything that was configured about TLS, apart from the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    texts: [Option<String>; Text::COUNT],
    options: TlsOptions,
    pub client_certificate: ClientCertificate,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings::new(|_| None, TlsOptions::default(), ClientCertificate::Off)
    }
}

impl TlsSettings {
    /// With those of the configured texts that are about TLS.
    pub fn new(
        configured: impl Fn(Text) -> Option<String>,
        options: TlsOptions,
        client_certificate: ClientCertificate,
    ) -> TlsSettings {
        let mut texts: [Option<String>; Text::COUNT] = Default::default();
        for row in ROWS.iter().filter(|row| row.group == Group::Tls) {
            if let Some(Setting::Text(text)) = row.kind.setting() {
                texts[text as usize] = configured(text);
            }
        }
        TlsSettings { texts, options, client_certificate }
    }

    pub fn text(&self, text: Text) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }

    pub fn set_text(&mut self, text: Text, value: Option<String>) {
        self.texts[text as usize] = value;
    }

    pub fn option(&self, option: TlsOption) -> bool {
        self.options.is_on(option)
    }

    pub fn set_option(&mut self, option: TlsOption, on: bool) {
        self.options.set(option, on);
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// Clients are to be asked for certificates, and speak no TLS.
    pub fn check(&self) -> Result<(), String> {
        match self.client_certificate {
            ClientCertificate::Off => Ok(()),
            _ if self.text(Text::SslCertificate).is_some() => Ok(()),
            _ => Err(format!("ssl_client_certificate (-R): {WITHOUT_TLS}, and cannot show a certificate")),
        }
    }

    /// As [`TlsSettings::check`], for a pen that starts: nothing that is for clients with TLS may stand there without it.
    ///
    /// # Errors
    /// What was set for nothing.
    pub fn check_at_start(&self) -> Result<(), String> {
        self.check()?;
        let for_clients = [
            ("ssl_key (-K)", Text::SslKey),
            ("ssl_ca_file (-G)", Text::SslCaFile),
            ("ssl_ca_path (-A)", Text::SslCaPath),
            ("ssl_ocsp_response", Text::SslOcspResponse),
            ("ssl_sni_path", Text::SslSniPath),
        ];
        let is_set = |(_, text): &(_, Text)| self.text(*text).is_some();
        match for_clients.into_iter().find(is_set).filter(|_| self.text(Text::SslCertificate).is_none()) {
            Some((name, _)) => Err(format!("{name}: {WITHOUT_TLS}")),
            None => Ok(()),
        }
    }

    /// The file of the key: its own, or that of the certificate.
    pub fn key_file(&self) -> Option<&str> {
        self.text(Text::SslKey).or(self.text(Text::SslCertificate))
    }
}
