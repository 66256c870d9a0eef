//! Whether a peer's certificate is believed. The rules are those of the crate `webpki`; this adds what it has no mind for:
//!
//! - A certificate that the operator listed himself is believed for what it is, whatever it may be used for.
//! - One that an authority of the operator's signed directly may be of version 1, may say that it is an authority, may have
//!   policies that must be understood, and may have its name in the subject only: as certificates are that people make
//!   with openssl. Nobody but that authority can make one.
//! - Authorities are good until their own date only.

use super::authorities::Authorities;
use super::signature;
use crate::tls::certificate::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use std::sync::Arc;
use webpki::{EndEntityCert, InvalidNameContext, KeyUsage, VerifiedPath};

/// Object identifiers of extended key usages: for clients, and for servers.
const FOR_CLIENTS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const FOR_SERVERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// What a certificate must be good for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    Client,
    Server(&'a ServerName<'a>),
}

impl Purpose<'_> {
    fn usage(self) -> KeyUsage {
        match self {
            Purpose::Client => KeyUsage::client_auth(),
            Purpose::Server(_) => KeyUsage::server_auth(),
        }
    }

    fn usage_id(self) -> &'static [u8] {
        match self {
            Purpose::Client => FOR_CLIENTS,
            Purpose::Server(_) => FOR_SERVERS,
        }
    }
}

/// Judges the certificates of clients or servers.
#[derive(Debug)]
pub struct Judge {
    authorities: Arc<Authorities>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What clients are told: by whose certificates they are judged.
    hints: Vec<DistinguishedName>,
    /// Whether a client may have none.
    is_optional: bool,
}

impl Judge {
    pub fn new(
        authorities: Arc<Authorities>,
        algorithms: WebPkiSupportedAlgorithms,
        is_optional: bool,
    ) -> Judge {
        let hints = authorities.subjects().into_iter().map(DistinguishedName::from).collect();
        Judge { authorities, algorithms, hints, is_optional }
    }

    fn judge(
        &self,
        der: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        purpose: Purpose<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = Certificate::read(der).ok_or(CertificateError::BadEncoding)?;
        if self.authorities.lists(der) {
            in_time(&certificate, now)?;
            return check_name(der, &certificate, purpose)
                .map_err(|error| in_rustls(error, &certificate, now));
        }
        self.by_the_rules(der, between, purpose, now).or_else(|error| {
            let may_be_by_hand = match error {
                webpki::Error::CaUsedAsEndEntity | webpki::Error::UnsupportedCertVersion => true,
                webpki::Error::UnsupportedCriticalExtension => true,
                webpki::Error::CertNotValidForName(_) => !certificate.has_alternative_names(),
                _ => false,
            };
            if may_be_by_hand && self.is_signed_directly(&certificate, purpose, now) {
                in_time(&certificate, now)?;
                return check_name(der, &certificate, purpose)
                    .map_err(|error| in_rustls(error, &certificate, now));
            }
            Err(in_rustls(error, &certificate, now))
        })
    }

    fn by_the_rules(
        &self,
        der: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        purpose: Purpose<'_>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let parsed = EndEntityCert::try_from(der)?;
        let is_good = |path: &VerifiedPath<'_>| match self.authorities.until(path.anchor(), now.as_secs()) {
            Ok(()) => Ok(()),
            Err(until) => Err(webpki::Error::CertExpired {
                time: now,
                not_after: UnixTime::since_unix_epoch(std::time::Duration::from_secs(until)),
            }),
        };
        let anchors = self.authorities.anchors();
        parsed.verify_for_usage(
            &signature::of_certificates(&self.algorithms),
            anchors,
            between,
            now,
            purpose.usage(),
            None,
            Some(&is_good),
        )?;
        match purpose {
            Purpose::Client => Ok(()),
            Purpose::Server(name) => parsed.verify_is_valid_for_subject_name(name),
        }
    }

    /// Whether an authority of the operator's signed it itself, and it may be used for this.
    fn is_signed_directly(&self, certificate: &Certificate<'_>, purpose: Purpose<'_>, now: UnixTime) -> bool {
        if !self.authorities.are_chosen()
            || certificate.demands_the_unknown()
            || !certificate.may_be_used_for(purpose.usage_id())
        {
            return false;
        }
        let algorithms = signature::of_certificates(&self.algorithms);
        let signed_by = |anchor: &TrustAnchor<'_>| {
            anchor.name_constraints.is_none()
                && self.authorities.until(anchor, now.as_secs()).is_ok()
                && is_signed_by(certificate, anchor, &algorithms)
        };
        self.authorities.anchors().iter().any(signed_by)
    }
}

fn is_signed_by(
    certificate: &Certificate<'_>,
    anchor: &TrustAnchor<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    use crate::tls::der;
    let issuer = der::only(certificate.issuer, der::SEQUENCE).map(|issuer| issuer.value);
    if issuer != Some(anchor.subject.as_ref()) {
        return false;
    }
    let key_info = || {
        let mut parts = der::elements(&anchor.subject_public_key_info)?;
        Some((parts.next_of(der::SEQUENCE)?.value, parts.next()?.bits()?))
    };
    let Some((key_algorithm, key)) = key_info() else { return false };
    algorithms.iter().any(|algorithm| {
        algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm
            && algorithm.public_key_alg_id().as_ref() == key_algorithm
            && algorithm.verify_signature(key, certificate.signed, certificate.signature).is_ok()
    })
}

fn in_time(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    if now.as_secs() > certificate.not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after: at(certificate.not_after) });
    }
    match now.as_secs() < certificate.not_before {
        true => {
            Err(CertificateError::NotValidYetContext { time: now, not_before: at(certificate.not_before) })
        }
        false => Ok(()),
    }
}

/// A server's certificate must have its name: among the alternative names, or, where it has none of those, as the common
/// name of its subject.
fn check_name(
    der: &CertificateDer<'_>,
    certificate: &Certificate<'_>,
    purpose: Purpose<'_>,
) -> Result<(), webpki::Error> {
    let Purpose::Server(name) = purpose else { return Ok(()) };
    if certificate.has_alternative_names() {
        return EndEntityCert::try_from(der)?.verify_is_valid_for_subject_name(name);
    }
    let common = certificate.common_name();
    match common.as_ref().is_some_and(|common| common.eq_ignore_ascii_case(&name.to_str())) {
        true => Ok(()),
        false => Err(webpki::Error::CertNotValidForName(InvalidNameContext {
            expected: name.to_owned(),
            presented: common.into_iter().collect(),
        })),
    }
}

/// The same in the words of the library, which chooses the alert by them.
fn in_rustls(error: webpki::Error, certificate: &Certificate<'_>, now: UnixTime) -> Error {
    use webpki::Error as E;
    let error = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CertNotValidForName(names) => {
            CertificateError::NotValidForNameContext { expected: names.expected, presented: names.presented }
        }
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: context.signature_algorithm_id,
                supported_algorithms: context.supported_algorithms,
            }
        }
        E::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
        }
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    };
    // What is out of date is told as such, whatever else is wrong with it.
    in_time(certificate, now).err().unwrap_or(error).into()
}

impl ClientCertVerifier for Judge {
    fn client_auth_mandatory(&self) -> bool {
        !self.is_optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, Purpose::Client, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes(&self.algorithms)
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, Purpose::Server(name), now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature::verify(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature::schemes(&self.algorithms)
    }
}
