//! TLS towards servers.

use super::authorities::Authorities;
use super::judge::Judge;
use super::{Loading, Session, Trouble, default_provider, files, signature};
use crate::balance::TlsEndpoint;
use crate::tls::TlsPlan;
use pen_proto::commands::Text;
use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::collections::HashMap;
use std::iter;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What speaks to servers. Sessions with them are taken up again.
pub struct Servers {
    authorities: Option<Arc<Authorities>>,
    /// By the file of the certificate that is shown, if one is.
    identities: HashMap<Option<String>, Identity>,
}

/// As whom pen speaks to some servers.
struct Identity {
    shown: Option<Arc<CertifiedKey>>,
    verifying: Option<Arc<ClientConfig>>,
    trusting: Arc<ClientConfig>,
}

impl Servers {
    /// `None` when no server has TLS.
    ///
    /// # Errors
    /// See [`super::Tls::load`].
    pub fn load(
        plan: &TlsPlan,
        before: Option<&Servers>,
        loading: &mut Loading<'_>,
    ) -> Result<Option<Servers>, String> {
        if !plan.to_servers {
            return Ok(None);
        }
        let authorities = match plan.verify {
            true => {
                let read = of_servers(plan, &mut loading.warnings).map(|read| Some(Arc::new(read)));
                loading.or_before(read, before.map(|servers| servers.authorities.clone()))?
            }
            false => None,
        };
        let provider = default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let judge = |authorities| Arc::new(Judge::new(authorities, algorithms, false));
        let verifying = authorities.clone().map(judge);
        let trusting = Arc::new(Trusting(provider.clone()));
        let mut identities = HashMap::new();
        for file in iter::once(None).chain(plan.shown.iter().cloned().map(Some)) {
            let old = before.and_then(|servers| servers.identities.get(&file));
            let shown = match &file {
                Some(file) => {
                    let read = shown(file, &provider, &mut loading.warnings).map(Some);
                    loading.or_before(read, old.map(|identity| identity.shown.clone()))?
                }
                None => None,
            };
            let verifying =
                verifying.clone().map(|judge| config(judge, &provider, shown.as_ref())).transpose()?;
            let trusting = config(trusting.clone(), &provider, shown.as_ref())?;
            identities.insert(file, Identity { shown, verifying, trusting });
        }
        Ok(Some(Servers { authorities, identities }))
    }

    pub fn session(&self, server: &TlsEndpoint, protocol: Option<&[u8]>) -> Result<Session, Trouble> {
        let Some(identity) = self.identities.get(&server.certificate) else {
            return Err(Trouble("its certificate is being read".into()));
        };
        let config = match (server.verify, &identity.verifying) {
            (false, _) => &identity.trusting,
            (true, Some(config)) => config,
            (true, None) => return Err(Trouble("verification is being switched on".into())),
        };
        let name = match ServerName::try_from(server.name.clone()) {
            Ok(name) => name,
            // An address is not sent as a name.
            Err(_) if !server.verify => ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Err(_) => {
                return Err(Trouble(format!("{:?} is no name that a certificate can have", server.name)));
            }
        };
        let protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        let connection = UnbufferedClientConnection::new_with_alpn(config.clone(), name, protocols);
        connection.and_then(Session::with_server).map_err(Trouble::from)
    }
}

fn of_servers(plan: &TlsPlan, warnings: &mut Vec<String>) -> Result<Authorities, String> {
    let told = |reason: String| format!("ssl_server_ca_file: {reason}");
    let Some(file) = plan.settings.text(Text::SslServerCaFile) else {
        return Authorities::of_system().map_err(told);
    };
    let mut authorities = Authorities::default();
    authorities.add_file(Path::new(file)).map_err(told)?;
    warnings.extend(authorities.warnings().map(told));
    Ok(authorities)
}

/// The certificate and the key of a file.
fn shown(
    file: &str,
    provider: &CryptoProvider,
    warnings: &mut Vec<String>,
) -> Result<Arc<CertifiedKey>, String> {
    let told = |reason: String| format!("server: tls: certificate: {reason}");
    let path = Path::new(file);
    let own = files::own(path, path, provider).map_err(told)?;
    warnings.extend(own.out_of_date.map(told));
    Ok(Arc::new(own.certified))
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    provider: &Arc<CryptoProvider>,
    shown: Option<&Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS to servers: {error}"))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match shown {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown.clone()))),
        None => builder.with_no_client_auth(),
    }))
}

/// `noverify`: any certificate will do, whatever it says.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify_if_possible(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify_if_possible(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::all_schemes(&self.0.signature_verification_algorithms)
    }
}
