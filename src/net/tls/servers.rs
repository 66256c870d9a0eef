//! TLS towards servers.

use super::authorities::Authorities;
use super::judge::Judge;
use super::{Loading, Session, Trouble, default_provider, signature};
use crate::balance::TlsEndpoint;
use crate::tls::TlsPlan;
use pen_proto::commands::TlsText;
use rustls::client::ClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

/// What speaks to servers. Sessions with them are taken up again.
pub struct Servers {
    authorities: Option<Arc<Authorities>>,
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
        let verifying =
            authorities.clone().map(|authorities| config(judge(authorities), &provider)).transpose()?;
        let trusting = config(Arc::new(Trusting(provider.clone())), &provider)?;
        Ok(Some(Servers { authorities, verifying, trusting }))
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

fn of_servers(plan: &TlsPlan, warnings: &mut Vec<String>) -> Result<Authorities, String> {
    let told = |reason: String| format!("ssl_server_ca_file: {reason}");
    let Some(file) = plan.settings.text(TlsText::ServerCaFile) else {
        return Authorities::of_system().map_err(told);
    };
    let mut authorities = Authorities::default();
    authorities.add_file(Path::new(file)).map_err(told)?;
    warnings.extend(authorities.warnings().map(told));
    Ok(authorities)
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
