//! Signatures in handshakes and certificates: what is offered, and whether one is right.
//!
//! The library looks at a whole certificate before it takes the key out of it. Here the key is enough, so that version 1
//! and unknown extensions do not matter, and keys that are marked for RSA-PSS only are known too.

use super::pss;
use super::words::Said;
use crate::tls::certificate::Certificate;
use crate::tls::{algorithm, der};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme};
use std::sync::Arc;

/// The algorithm of a key that may be used for RSA-PSS only, as its DER begins (1.2.840.113549.1.1.10).
const RSA_PSS_KEY: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];

/// Signatures of such keys, each beside the one that does the same with an ordinary key (RFC 8446, section 4.2.3).
const RSA_PSS_SCHEMES: [(SignatureScheme, SignatureScheme); 3] = [
    (SignatureScheme::Unknown(0x0809), SignatureScheme::RSA_PSS_SHA256),
    (SignatureScheme::Unknown(0x080a), SignatureScheme::RSA_PSS_SHA384),
    (SignatureScheme::Unknown(0x080b), SignatureScheme::RSA_PSS_SHA512),
];

/// The library works with no RSA keys of fewer bits.
const RSA_BITS_MIN: usize = 2048;

/// What is asked of peers, in the order of preference.
pub fn schemes(algorithms: &WebPkiSupportedAlgorithms) -> Vec<SignatureScheme> {
    let mut schemes = algorithms.supported_schemes();
    schemes.extend(RSA_PSS_SCHEMES.map(|(scheme, _)| scheme));
    schemes
}

/// With what certificates may be signed.
pub fn of_certificates(
    algorithms: &WebPkiSupportedAlgorithms,
) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    algorithms.all.iter().copied().chain(pss::LONGEST_SALTS).collect()
}

/// Whether the peer has the key of its certificate.
///
/// # Errors
/// It has not, or nobody can tell with such a key.
pub fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    if let Some(bits) = short_rsa_bits(&read) {
        let said = Said(format!("has an RSA key of {bits} bits, and fewer than {RSA_BITS_MIN} are not safe"));
        return Err(CertificateError::Other(OtherError(Arc::new(said))).into());
    }
    let of_pss_key = RSA_PSS_SCHEMES.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let is_pss_key = read.key_algorithm.starts_with(RSA_PSS_KEY);
    let scheme = of_pss_key.map_or(signed.scheme, |(_, ordinary)| *ordinary);
    let candidates = algorithms.mapping.iter().find(|(known, _)| *known == scheme);
    let (_, candidates) = candidates.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let fits = |algorithm: &dyn SignatureVerificationAlgorithm| match of_pss_key {
        Some(_) => is_pss_key,
        None => algorithm.public_key_alg_id().as_ref() == read.key_algorithm,
    };
    match candidates.iter().find(|algorithm| fits(**algorithm)) {
        Some(algorithm) => algorithm
            .verify_signature(read.key, message, signed.signature())
            .map(|()| HandshakeSignatureValid::assertion())
            .map_err(|_| CertificateError::BadSignature.into()),
        None => Err(CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: candidates[0].signature_alg_id().to_vec(),
            public_key_algorithm_id: read.key_algorithm.to_vec(),
        }
        .into()),
    }
}

/// As [`schemes`], for who does not want to know whom it speaks to.
pub fn all_schemes(algorithms: &WebPkiSupportedAlgorithms) -> Vec<SignatureScheme> {
    let mut schemes = schemes(algorithms);
    schemes.push(SignatureScheme::ED448);
    schemes
}

/// As [`verify`], for who does not want to know whom it speaks to. A signature of a key that the library does not work
/// with is taken as it is: who is in the way could show a key of his own as well.
///
/// # Errors
/// The peer does not have the key.
pub fn verify_if_possible(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let is_readable = Certificate::read(certificate).is_some_and(|read| short_rsa_bits(&read).is_none());
    match is_readable && signed.scheme != SignatureScheme::ED448 {
        true => verify(message, certificate, signed, algorithms),
        false => Ok(HandshakeSignatureValid::assertion()),
    }
}

fn short_rsa_bits(certificate: &Certificate<'_>) -> Option<usize> {
    let modulus = der::only(certificate.key, der::SEQUENCE)?.inner()?.next_of(der::INTEGER)?;
    Some(algorithm::bits(modulus.value)).filter(|bits| *bits < RSA_BITS_MIN)
}
