//! What commands change about TLS, and the lines that say it again.

use super::Config;
use crate::tls::{TlsPlan, ciphers};
use pen_proto::commands::{Number, ServerTls, TlsOption, TlsText};

impl Config {
    /// What the workers need of TLS.
    pub fn tls_plan(&self) -> TlsPlan {
        let servers = || self.servers.iter().flatten();
        TlsPlan {
            settings: self.tls.clone(),
            to_servers: servers().any(|server| server.tls != ServerTls::Off),
            verify: servers().any(|server| matches!(server.tls, ServerTls::On { verify: true, .. })),
            routes: servers().any(|server| !server.sni.0.is_empty()),
            shown: servers().filter_map(|server| server.tls.certificate()).map(str::to_owned).collect(),
            record_bytes_max: self.settings.number(Number::SslRecordMax),
        }
    }

    /// Sets or shows a text.
    ///
    /// # Errors
    /// A list of ciphers that cannot be used.
    pub(super) fn set_tls_text(&mut self, text: TlsText, value: Option<&str>) -> Result<String, String> {
        let Some(value) = value else {
            return Ok(self.tls.text(text).map(|value| format!("{value}\n")).unwrap_or_default());
        };
        let reply = match text {
            TlsText::Ciphers => {
                ciphers::choose(value).map_err(|reason| format!("ssl_ciphers: {reason}"))?.to_string()
            }
            _ => String::new(),
        };
        self.tls.set_text(text, Some(value.to_owned()));
        Ok(reply)
    }

    /// Switches an option.
    ///
    /// # Errors
    /// No version of TLS would be left.
    pub(super) fn set_tls_option(&mut self, option: TlsOption, on: bool) -> Result<String, String> {
        let mut changed = self.tls.clone();
        changed.set_option(option, on);
        if changed.option(TlsOption::NoTls12) && changed.option(TlsOption::NoTls13) {
            return Err(format!("ssl_option {option}: no version of TLS would be left"));
        }
        self.tls = changed;
        Ok(String::new())
    }

    /// One for each option.
    pub(super) fn tls_option_lines(&self) -> String {
        let line = |(word, option): (&str, TlsOption)| {
            format!("{}ssl_option {word}\n", if self.tls.option(option) { "" } else { "no " })
        };
        // Those that are off come first: of the two versions one must be left at every line.
        let mut options = TlsOption::WORDS;
        options.sort_by_key(|(_, option)| self.tls.option(*option));
        options.into_iter().map(line).collect()
    }

    /// The line of a text; nothing for a command that is about no text.
    pub(super) fn tls_text_line(&self, word: &str) -> String {
        match TlsText::of(word).map(|text| self.tls.text(text)) {
            Some(Some(value)) => format!("{word} {value}\n"),
            Some(None) => format!("no {word}\n"),
            None => String::new(),
        }
    }
}
