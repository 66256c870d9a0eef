//! Reading certificates, keys and OCSP responses. Blocks on files: for the main thread and the loader of `directory.rs`,
//! never for a worker.
//!
//! Errors begin with the command or the file, so that they can be shown as they are.

use super::authorities;
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::tls::certificate::Certificate;
use crate::tls::pem::{self, Block};
use crate::tls::{algorithm, chain, der};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Larger files are refused: the certificates of all known authorities have a quarter of this.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// As in Pen. A response has about 500 bytes, or 2000 with the certificate of who signed it.
pub const OCSP_BYTES_MAX: u64 = 10_000;
/// Keys that the library takes.
const KEYS: &str = "an RSA key of 2048 to 8192 bits or one for P-256, P-384, P-521 or Ed25519";

/// The whole file.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    read(path, FILE_BYTES_MAX).map_err(|error| format!("{}: {}", path.display(), reason(&error)))
}

/// A certificate of a file.
pub struct Listed {
    /// Where it begins.
    pub line: usize,
    pub der: CertificateDer<'static>,
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// The file and what is wrong with it. Nothing that stands for a certificate is passed over.
pub fn certificates(path: &Path) -> Result<Vec<Listed>, String> {
    let bytes = read_pem(path)?;
    let fail = |line, reason| located(path, line, reason);
    let mut found = Vec::new();
    for block in pem::blocks(&bytes).map_err(|fault| fail(fault.line, fault.reason))? {
        if let Some(der) = certificate(&block).map_err(|reason| fail(block.line, reason))? {
            found.push(Listed { line: block.line, der });
        }
    }
    match found.is_empty() {
        true => Err(format!("{}: want a certificate in PEM form", path.display())),
        false => Ok(found),
    }
}

pub fn located(path: &Path, line: usize, reason: impl Display) -> String {
    format!("{}:{line}: {reason}", path.display())
}

/// The certificate of a block; `None` for what may stand in a file beside certificates: keys, and parameters of keys.
fn certificate(block: &Block<'_>) -> Result<Option<CertificateDer<'static>>, String> {
    let label = block.label;
    let der = match label {
        "CERTIFICATE" | "X509 CERTIFICATE" => decode(block)?,
        // What OpenSSL trusts it for follows the certificate.
        "TRUSTED CERTIFICATE" => {
            let both = decode(block)?;
            let first = der::first(&both).ok_or("what begins here is no certificate")?;
            first.whole.to_vec()
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            return Err(
                "this only asks for a certificate; want the certificate that the authority made of it".into(),
            );
        }
        _ if ["KEY", "PARAMETERS"].iter().any(|word| label.ends_with(word)) => return Ok(None),
        _ => return Err(format!("want -----BEGIN CERTIFICATE-----, got -----BEGIN {label}-----")),
    };
    match Certificate::read(&der) {
        Some(_) => Ok(Some(der.into())),
        None => Err("what begins here is no certificate: is something cut off?".into()),
    }
}

/// The bytes of a block.
fn decode(block: &Block<'_>) -> Result<Vec<u8>, String> {
    let section = section("CERTIFICATE", block.body);
    let decoded = CertificateDer::from_pem_slice(&section);
    decoded.map(|der| der.to_vec()).map_err(|_| "what begins here is not base64 to its end".to_string())
}

fn section(label: &str, body: &[u8]) -> Vec<u8> {
    let (begin, end) = (format!("-----BEGIN {label}-----\n"), format!("\n-----END {label}-----\n"));
    [begin.as_bytes(), body, end.as_bytes()].concat()
}

/// The first key of a PEM file that needs no passphrase.
///
/// # Errors
/// The file and what is wrong with it.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read_pem(path)?;
    let fail = |line, reason: &str| located(path, line, reason);
    let blocks = pem::blocks(&bytes).map_err(|fault| fail(fault.line, &fault.reason))?;
    let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
    match keys.clone().find(|block| !is_locked(block)) {
        Some(block) if block.label == "OPENSSH PRIVATE KEY" => {
            Err(fail(block.line, "want a key as openssl writes it, got one of OpenSSH"))
        }
        Some(block) => PrivateKeyDer::from_pem_slice(&section(block.label, block.body)).map_err(|_| {
            fail(block.line, &format!("want a key, got -----BEGIN {}----- and what is none", block.label))
        }),
        None => Err(match keys.next() {
            Some(block) => fail(
                block.line,
                "want a key that needs no passphrase, for nobody is there to type it; openssl pkey -in FILE -out NEW \
                 takes it away",
            ),
            None => format!("{}: want a key in PEM form", path.display()),
        }),
    }
}

/// Whether it needs a passphrase, in the form of PKCS#8 or in OpenSSL's older one.
fn is_locked(block: &Block<'_>) -> bool {
    let old = b"Proc-Type: 4,ENCRYPTED";
    block.label == "ENCRYPTED PRIVATE KEY" || block.body.windows(old.len()).any(|bytes| bytes == old)
}

/// A certificate with those that lead to its root, and its key.
pub struct Own {
    pub certified: CertifiedKey,
    /// Why peers will not like it, with the file.
    pub out_of_date: Option<String>,
    /// Why clients may not know who signed it, with the file. Servers know it of those they expect.
    pub gap: Option<String>,
}

impl Own {
    /// What clients will not like.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        self.out_of_date.iter().chain(&self.gap)
    }
}

/// Reads a certificate with those that lead to its root, and its key.
///
/// # Errors
/// The file and what is wrong with it.
pub fn own(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Own, String> {
    let chain: Vec<_> = certificates(certificate)?.into_iter().map(|listed| listed.der).collect();
    let secret = private_key(key)?;
    let private = provider.key_provider.load_private_key(secret.clone_key()).map_err(|_| {
        let kind = algorithm::of_private_key(secret.secret_der());
        format!("{}: want {KEYS}, got {kind}", key.display())
    })?;
    let read: Vec<_> = chain.iter().filter_map(|der| Certificate::read(der)).collect();
    let is_other = private.public_key().is_some_and(|public| public.as_ref() != read[0].key_info);
    if is_other {
        return Err(format!(
            "{}: the key is not that of the first certificate in {}",
            key.display(),
            certificate.display()
        ));
    }
    let now_seconds = clock::epoch_ms() / 1000;
    let told = |text: String| format!("{}: {text}", certificate.display());
    let out_of_date =
        read[0].out_of_date(now_seconds).map(|trouble| told(format!("the certificate {trouble}")));
    let gap = chain::gap(&read, authorities::is_known_to_system).map(told);
    Ok(Own { certified: CertifiedKey::new(chain, private), out_of_date, gap })
}
