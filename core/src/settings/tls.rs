//! What is configured about TLS, for those who do it.

use super::ServiceConfig;
use crate::tls::{TlsPlan, TlsSettings};
use pen_proto::commands::{Number, ServerTls, TlsOption};

impl ServiceConfig {
    /// What was said about TLS, apart from the servers.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings::new(|text| self.text(text).map(str::to_owned), self.ssl_options, self.values.choice())
    }

    /// What the workers need of TLS.
    pub fn tls_plan(&self) -> TlsPlan {
        let servers = || self.servers.iter().flatten();
        TlsPlan {
            settings: self.tls(),
            to_servers: self.speaks_tls_to_servers() || self.checks_tls(),
            verify: servers().any(|server| matches!(server.tls, ServerTls::On { verify: true, .. })),
            routes: servers().any(|server| !server.sni.0.is_empty()),
            shown: servers().filter_map(|server| server.tls.certificate()).map(str::to_owned).collect(),
            record_bytes_max: self.number(Number::SslRecordMax),
        }
    }

    /// Whether some server is spoken to by TLS.
    pub(super) fn speaks_tls_to_servers(&self) -> bool {
        self.servers.iter().flatten().any(|server| server.tls != ServerTls::Off)
    }

    /// Switches an option.
    ///
    /// # Errors
    /// No version of TLS would be left.
    pub(super) fn set_tls_option(&mut self, option: TlsOption, on: bool) -> Result<String, String> {
        let mut changed = self.ssl_options;
        changed.set(option, on);
        if changed.is_on(TlsOption::NoTls12) && changed.is_on(TlsOption::NoTls13) {
            return Err(format!("ssl_option {option}: no version of TLS would be left"));
        }
        self.ssl_options = changed;
        Ok(String::new())
    }

    /// One for each option.
    pub(super) fn tls_option_lines(&self) -> String {
        let line = |(word, option): (&str, TlsOption)| {
            format!("{}ssl_option {word}\n", if self.ssl_options.is_on(option) { "" } else { "no " })
        };
        // Those that are off come first: of the two versions one must be left at every line.
        let mut options = TlsOption::WORDS;
        options.sort_by_key(|(_, option)| self.ssl_options.is_on(*option));
        options.into_iter().map(line).collect()
    }
}
