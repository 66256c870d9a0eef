//! TLS towards servers.

use super::{Loading, Session, Trouble, default_provider, files};
use crate::balance::TlsEndpoint;
use crate::tls::TlsPlan;
use pen_proto::commands::TlsText;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What speaks to servers. Sessions with them are taken up again.
pub struct Servers {
    roots: Option<Arc<RootCertStore>>,
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
        let roots = match plan.verify {
            true => {
                let read = roots(plan).map(|roots| Some(Arc::new(roots)));
                loading.or_before(read, before.map(|servers| servers.roots.clone()))?
            }
            false => None,
        };
        let provider = default_provider();
        let verifying = roots.clone().map(|roots| {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            verifier.map_err(|error| format!("TLS to servers: {error}"))
        });
        let verifying = verifying.transpose()?.map(|verifier| config(verifier, &provider)).transpose()?;
        let trusting = config(Arc::new(Trusting(provider.clone())), &provider)?;
        Ok(Some(Servers { roots, verifying, trusting }))
    }

    pub fn session(&self, server: &TlsEndpoint, protocol: Option<&[u8]>) -> Result<Session, Trouble> {
        let config = match (server.verify, &self.verifying) {
            (false, _) => &self.trusting,
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
        let connection = ClientConnection::new_with_alpn(config.clone(), name, protocols);
        connection.map(|connection| Session::open(connection.into())).map_err(Trouble::from)
    }
}

fn roots(plan: &TlsPlan) -> Result<RootCertStore, String> {
    let Some(file) = plan.settings.text(TlsText::ServerCaFile) else {
        return files::system_roots().map_err(|reason| format!("ssl_server_ca_file: {reason}"));
    };
    let mut roots = RootCertStore::empty();
    files::add_roots(&mut roots, Path::new(file))
        .map_err(|reason| format!("ssl_server_ca_file: {reason}"))?;
    Ok(roots)
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS to servers: {error}"))?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// `noverify`: any certificate will do, but the server must have its key.
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
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
