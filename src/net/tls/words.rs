//! What the TLS library has to say against a peer, in words for the operator who reads them in a log.

use crate::tls::algorithm;
use crate::tls::certificate::date;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::fmt;

/// A reason that is in words already, on its way through the library.
#[derive(Debug)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// Why a session cannot go on.
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("the peer's certificate {}", of_certificate(why)),
        Error::NoCertificatesPresented => "the peer shows no certificate".into(),
        Error::InvalidMessage(_) => "what the peer sends is no TLS".into(),
        Error::PeerIncompatible(why) => of_incompatible(why),
        Error::PeerMisbehaved(why) => format!("the peer breaks the rules of TLS ({why:?})"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the peer sends what is not its turn".into()
        }
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::DecryptError => "what came was changed on the way".into(),
        Error::PeerSentOversizedRecord => "the peer sends records that are too long".into(),
        Error::NoApplicationProtocol => "none of the protocols that the peer offers is in ssl_alpn".into(),
        error => error.to_string(),
    }
}

fn of_incompatible(why: &PeerIncompatible) -> String {
    use PeerIncompatible as P;
    match why {
        P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired | P::KeyShareExtensionRequired => {
            "no key exchange in common; ours are ephemeral, with X25519MLKEM768, X25519, P-256 or P-384".into()
        }
        P::NoCipherSuitesInCommon => {
            "no cipher in common; ours have ephemeral keys and AES-GCM or ChaCha20-Poly1305".into()
        }
        P::NoSignatureSchemesInCommon | P::NoCertificateRequestSignatureSchemesInCommon => {
            "no kind of signature in common that goes with our key".into()
        }
        P::SignatureAlgorithmsExtensionRequired => {
            "the peer says of no kind of signature that it knows it, as those that speak nothing newer than TLS 1.1".into()
        }
        P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig => "no version of TLS in common".into(),
        why => format!("the peer lacks what we need ({why:?})"),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let meaning = match alert {
        A::UnknownCA => "it knows no authority that vouches for our certificate",
        A::CertificateExpired => "our certificate is out of date",
        A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown | A::CertificateRevoked => {
            "it does not accept our certificate"
        }
        A::CertificateRequired => "it wants a certificate of ours",
        A::HandshakeFailure => "it finds no version, cipher, key exchange or signature in common",
        A::ProtocolVersion => "it speaks no version of TLS that we speak",
        A::InsufficientSecurity => "it wants something safer",
        A::UnrecognisedName => "it does not serve the name that was asked for",
        A::NoApplicationProtocol => "it speaks none of the protocols that were offered",
        A::UserCanceled => "it gave up",
        A::InternalError => "it has trouble of its own",
        _ => "it ends the connection",
    };
    format!("the peer says: {meaning} (alert {})", u8::from(alert))
}

fn of_certificate(why: &CertificateError) -> String {
    use CertificateError as C;
    match why {
        C::BadEncoding => "cannot be read".into(),
        C::ExpiredContext { not_after, .. } => {
            format!("or one that vouches for it expired on {}", date(not_after.as_secs()))
        }
        C::NotValidYetContext { not_before, .. } => {
            format!("or one that vouches for it is not valid before {}", date(not_before.as_secs()))
        }
        C::UnknownIssuer => "has no authority that we know".into(),
        C::NotValidForNameContext { expected, presented } => match presented.is_empty() {
            true => format!("is not for {:?}: it has no alternative names", expected.to_str()),
            false => format!("is not for {:?} but for {}", expected.to_str(), names(presented)),
        },
        C::BadSignature => {
            "or what it signed has a wrong signature, or one by an RSA key of fewer than 2048 bits".into()
        }
        C::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            format!("is signed in a way that is not taken: {}", algorithm::name(signature_algorithm_id))
        }
        C::UnsupportedSignatureAlgorithmForPublicKeyContext { public_key_algorithm_id, .. } => {
            format!("has a key that is not taken for this: {}", algorithm::name(public_key_algorithm_id))
        }
        C::InvalidPurpose => "is not meant for this use (extendedKeyUsage)".into(),
        C::Other(other) => match (other.0.downcast_ref::<webpki::Error>(), other.0.downcast_ref::<Said>()) {
            (Some(error), _) => of_rules(error),
            (_, Some(said)) => said.to_string(),
            _ => other.to_string(),
        },
        why => why.to_string(),
    }
}

/// A certificate may have thousands of names.
const NAMES_MAX: usize = 5;

/// As they stand in the certificate; the library writes `DnsName("web.test")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let mut names: Vec<_> = presented.iter().take(NAMES_MAX).map(bare).collect();
    names.extend((presented.len() > NAMES_MAX).then(|| format!("and {} more", presented.len() - NAMES_MAX)));
    names.join(", ")
}

fn of_rules(error: &webpki::Error) -> String {
    use webpki::Error as E;
    match error {
        E::CaUsedAsEndEntity => {
            "was made as an authority (CA:TRUE): make it with basicConstraints=CA:FALSE, or list it itself among the \
             authorities"
                .into()
        }
        E::UnsupportedCertVersion => {
            "is of version 1, which is taken only where an authority of ours signed it directly".into()
        }
        E::UnsupportedCriticalExtension => "has a critical extension that nobody here knows".into(),
        E::NameConstraintViolation => "has a name that its authority may not vouch for".into(),
        E::PathLenConstraintViolated => "has more intermediate certificates than its authority allows".into(),
        E::MaximumPathDepthExceeded => "has more than 6 intermediate certificates".into(),
        error => format!("is not in order ({error})"),
    }
}
