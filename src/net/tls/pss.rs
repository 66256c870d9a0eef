//! Certificates signed by RSA-PSS with the longest salt that the key has room for, as `openssl` makes them unless it is told
//! otherwise. The TLS library takes only salts as long as the hash. With SHA-256 and keys of the usual lengths.

use aws_lc_rs::signature::{self, RsaParameters, RsaPssSaltLength, UnparsedPublicKey};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// For keys of 2048, 3072 and 4096 bits: the key's bytes without 32 of the hash and two of the padding.
pub static LONGEST_SALTS: [&dyn SignatureVerificationAlgorithm; 3] =
    [&LongestSalt(&SALT_222), &LongestSalt(&SALT_350), &LongestSalt(&SALT_478)];

static SALT_222: [u8; 66] = identifier(222);
static SALT_350: [u8; 66] = identifier(350);
static SALT_478: [u8; 66] = identifier(478);

static PARAMETERS: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// Content of the AlgorithmIdentifier for SHA-256, MGF1 with SHA-256 and this salt (RFC 4055, section 3.1).
const fn identifier(salt_bytes: u16) -> [u8; 66] {
    let mut identifier = *b"\
        \x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x35\
        \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
        \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
        \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\
        \xa2\x04\x02\x02\x00\x00";
    [identifier[64], identifier[65]] = salt_bytes.to_be_bytes();
    identifier
}

#[derive(Debug)]
struct LongestSalt(&'static [u8]);

impl SignatureVerificationAlgorithm for LongestSalt {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&PARAMETERS, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(self.0)
    }
}
