//! TLS towards clients: the certificate, whom it is shown, and what is agreed on.

use super::authorities::Authorities;
use super::directory::{Directory, Found};
use super::groups::ByGroup;
use super::judge::Judge;
use super::staple::{Response, Shown};
use super::{Loading, files, provider};
use crate::tls::{TlsPlan, TlsSettings, ciphers};
use pen_proto::commands::{ClientCertificate, SSL_RECORD_BYTES_MAX, Text, TlsOption, protocols};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, SupportedProtocolVersion, version};
use std::path::Path;
use std::sync::Arc;

/// Sessions of clients that take no tickets, most of them with TLS 1.2. Each has some hundred bytes, and with a client
/// certificate some thousand.
const SESSIONS_MAX: usize = 10_000;

/// The library counts the header of a record in its size.
const RECORD_HEADER_BYTES: usize = 5;

/// What serves clients.
pub struct Front {
    terms: Arc<Terms>,
    certified: Arc<CertifiedKey>,
    ocsp: Option<Arc<Response>>,
    default: Arc<Configs>,
    directory: Option<Arc<Directory>>,
}

impl Front {
    /// `None` without a certificate.
    ///
    /// # Errors
    /// See [`super::Tls::load`].
    pub fn load(
        plan: &TlsPlan,
        before: Option<&Front>,
        loading: &mut Loading<'_>,
    ) -> Result<Option<Front>, String> {
        let settings = &plan.settings;
        let Some(certificate) = settings.text(Text::SslCertificate) else { return Ok(None) };
        let terms = Arc::new(Terms::load(plan, before.map(|front| &*front.terms), loading)?);
        let key = settings.key_file().unwrap_or(certificate);
        let own = files::own(Path::new(certificate), Path::new(key), &terms.provider)
            .map_err(|reason| format!("ssl_certificate: {reason}"));
        let certified = own.map(|own| {
            loading.warnings.extend(own.warnings().map(|warning| format!("ssl_certificate: {warning}")));
            Arc::new(own.certified)
        });
        let certified = loading.or_before(certified, before.map(|front| front.certified.clone()))?;
        let ocsp = match settings.text(Text::SslOcspResponse) {
            Some(file) => {
                let read = Response::read(Path::new(file)).map(|response| Some(Arc::new(response)));
                let read = read.map_err(|reason| format!("ssl_ocsp_response: {reason}"));
                loading.or_before(read, before.map(|front| front.ocsp.clone()))?
            }
            None => None,
        };
        let mut told = Vec::new();
        let default = terms.configs(&certified, ocsp.as_deref(), None, &mut told)?;
        loading.warnings.extend(told.into_iter().map(|reason| format!("ssl_ocsp_response: {reason}")));
        let directory = match settings.text(Text::SslSniPath) {
            Some(path) => {
                let old = before.and_then(|front| front.directory.as_deref());
                let read = Directory::load(Path::new(path), terms.clone(), old, &mut loading.warnings);
                let read = read.map(Arc::new).map_err(|reason| format!("ssl_sni_path: {reason}"));
                Some(loading.or_before(read, before.and_then(|front| front.directory.clone()))?)
            }
            None => None,
        };
        Ok(Some(Front { terms, certified, ocsp, default, directory }))
    }

    /// What a client gets that begins like this.
    pub fn config_for(&self, hello: &ClientHello<'_>, now_ms: u64) -> Choice {
        let name = hello.server_name();
        let found = self.directory.as_ref().zip(name).map(|(directory, name)| directory.find(name, now_ms));
        match found {
            Some(Found::Configs(configs)) => Choice::Made(self.terms.one_of(&configs, hello)),
            Some(Found::Later) => Choice::Later,
            Some(Found::Unknown) | None => Choice::Made(self.terms.one_of(&self.default, hello)),
        }
    }

    pub fn on_found(&self, wake: Box<dyn Fn() + Send + Sync>) {
        if let Some(directory) = &self.directory {
            directory.on_found(wake);
        }
    }
}

/// Which configuration a session gets.
pub enum Choice {
    Made(Arc<ServerConfig>),
    /// The files are being looked for; ask again when the waker is called.
    Later,
}

/// Those of one certificate.
pub type Configs = ByGroup<Arc<ServerConfig>>;

/// What is the same for all certificates.
pub struct Terms {
    pub provider: Arc<CryptoProvider>,
    /// The same with fewer groups.
    providers: ByGroup<Arc<CryptoProvider>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: Vec<Vec<u8>>,
    server_order: bool,
    gives_tickets: bool,
    /// `None`: as much as there may be.
    record_bytes_max: Option<usize>,
    client_certificate: ClientCertificate,
    authorities: Option<Arc<Authorities>>,
    sessions: Sessions,
}

/// Where sessions are remembered that clients come back to.
#[derive(Clone)]
struct Sessions {
    cache: Arc<dyn StoresServerSessions>,
    /// Its keys change every 6 hours; a ticket is good for 12.
    tickets: Arc<dyn ProducesTickets>,
}

impl Sessions {
    fn new() -> Result<Sessions, String> {
        let tickets =
            aws_lc_rs::Ticketer::new().map_err(|error| format!("keys of session tickets: {error}"))?;
        Ok(Sessions { cache: ServerSessionMemoryCache::new(SESSIONS_MAX), tickets })
    }
}

impl Terms {
    fn load(plan: &TlsPlan, before: Option<&Terms>, loading: &mut Loading<'_>) -> Result<Terms, String> {
        let settings = &plan.settings;
        let choice = match settings.text(Text::SslCiphers) {
            Some(list) => ciphers::choose(list).map_err(|reason| format!("ssl_ciphers: {reason}"))?,
            None => ciphers::Choice::default(),
        };
        let client_certificate = settings.client_certificate;
        let authorities = match client_certificate {
            ClientCertificate::Off => {
                if settings.text(Text::SslCaFile).or(settings.text(Text::SslCaPath)).is_some() {
                    let idle = "ssl_ca_file, ssl_ca_path: no client is asked for a certificate, because \
                                ssl_client_certificate is off (-R requires one)";
                    loading.warnings.push(idle.into());
                }
                None
            }
            _ => {
                let read = of_clients(settings, &mut loading.warnings).map(|read| Some(Arc::new(read)));
                loading.or_before(read, before.map(|terms| terms.authorities.clone()))?
            }
        };
        // A session that is taken up again is not asked for its certificate: whoever was let in under other terms is
        // asked anew.
        let same = before.filter(|terms| {
            (terms.client_certificate, client_certificate) == (ClientCertificate::Off, ClientCertificate::Off)
        });
        let provider = provider(&choice);
        Ok(Terms {
            versions: versions(settings, !choice.tls12.is_empty())?,
            providers: ByGroup::of_provider(&provider),
            provider: Arc::new(provider),
            protocols: settings
                .text(Text::SslAlpn)
                .map_or(Ok(Vec::new()), protocols)?
                .into_iter()
                .map(String::into_bytes)
                .collect(),
            server_order: settings.option(TlsOption::CipherServerPreference),
            gives_tickets: !settings.option(TlsOption::NoTicket),
            record_bytes_max: Some(plan.record_bytes_max)
                .filter(|bytes| *bytes < SSL_RECORD_BYTES_MAX)
                .map(|bytes| bytes as usize),
            client_certificate,
            authorities,
            sessions: same.map_or_else(Sessions::new, |terms| Ok(terms.sessions.clone()))?,
        })
    }

    /// For one certificate, with the response that is stapled to it; why it is not is to `tell`. `own_authorities`: by which
    /// its site's clients are judged, instead of the common ones.
    ///
    /// # Errors
    /// What the settings and the certificate cannot do together.
    pub fn configs(
        &self,
        certified: &CertifiedKey,
        ocsp: Option<&Response>,
        own_authorities: Option<Arc<Authorities>>,
        tell: &mut Vec<String>,
    ) -> Result<Arc<Configs>, String> {
        let sessions = if own_authorities.is_some() { Sessions::new()? } else { self.sessions.clone() };
        let (shown, trouble) = Shown::new(certified, ocsp);
        tell.extend(trouble);
        let shown = Arc::new(shown);
        let verifier = self.verifier(own_authorities);
        let make = |provider: &Arc<CryptoProvider>| {
            let builder = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&self.versions)
                .map_err(|error| format!("TLS: {error}"))?;
            let mut config =
                builder.with_client_cert_verifier(verifier.clone()).with_cert_resolver(shown.clone());
            config.alpn_protocols.clone_from(&self.protocols);
            config.ignore_client_order = self.server_order;
            config.session_storage = sessions.cache.clone();
            match self.gives_tickets {
                true => config.ticketer = sessions.tickets.clone(),
                false => config.send_tls13_tickets = 0,
            }
            config.max_fragment_size = self.record_bytes_max.map(|bytes| bytes + RECORD_HEADER_BYTES);
            Ok(Arc::new(config))
        };
        self.providers.try_map(make).map(Arc::new)
    }

    /// That for a client that begins like this.
    fn one_of(&self, configs: &Configs, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let is_tls13 = |suite: &CipherSuite| {
            let suites = &self.provider.cipher_suites;
            suites.iter().any(|known| known.suite() == *suite && known.tls13().is_some())
        };
        // A client that speaks TLS 1.3 has ciphers of it.
        let is_new = self.versions.contains(&&version::TLS13) && hello.cipher_suites().iter().any(is_tls13);
        let spoken = if is_new { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
        configs.for_client(hello.named_groups().unwrap_or_default(), spoken).clone()
    }

    fn verifier(&self, own: Option<Arc<Authorities>>) -> Arc<dyn ClientCertVerifier> {
        match own.or(self.authorities.clone()).filter(|_| self.asks_clients()) {
            Some(authorities) => Arc::new(Judge::new(
                authorities,
                self.provider.signature_verification_algorithms,
                self.client_certificate == ClientCertificate::Optional,
            )),
            None => Arc::new(NoClientAuth),
        }
    }

    /// Whether clients are asked for certificates.
    pub fn asks_clients(&self) -> bool {
        self.client_certificate != ClientCertificate::Off
    }
}

fn versions(
    settings: &TlsSettings,
    has_tls12: bool,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    if !settings.option(TlsOption::NoTls13) {
        versions.push(&version::TLS13);
    }
    if !settings.option(TlsOption::NoTls12) && has_tls12 {
        versions.push(&version::TLS12);
    }
    match versions.is_empty() {
        true => Err("ssl_option: with these ssl_ciphers no version of TLS is left".into()),
        false => Ok(versions),
    }
}

/// Those of `ssl_ca_file` and `ssl_ca_path`, or those of the system.
fn of_clients(settings: &TlsSettings, warnings: &mut Vec<String>) -> Result<Authorities, String> {
    let (file, directory) = (settings.text(Text::SslCaFile), settings.text(Text::SslCaPath));
    if file.is_none() && directory.is_none() {
        return Authorities::of_system().map_err(|reason| format!("ssl_client_certificate: {reason}"));
    }
    let mut authorities = Authorities::default();
    if let Some(file) = file {
        authorities.add_file(Path::new(file)).map_err(|reason| format!("ssl_ca_file: {reason}"))?;
    }
    if let Some(directory) = directory {
        authorities.add_directory(Path::new(directory)).map_err(|reason| format!("ssl_ca_path: {reason}"))?;
    }
    let command = if file.is_some() { "ssl_ca_file" } else { "ssl_ca_path" };
    warnings.extend(authorities.warnings().map(|warning| format!("{command}: {warning}")));
    Ok(authorities)
}
