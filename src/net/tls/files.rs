//! Reading certificates, keys and OCSP responses. Blocks on files: for the main thread and the loader of `directory.rs`,
//! never for a worker.
//!
//! Errors begin with the command or the file, so that they can be shown as they are.

use crate::sys::errors::reason;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Larger files are refused: the certificates of all known authorities have a quarter of this.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// As in Pen. A response has about 500 bytes, or 2000 with the certificate of who signed it.
pub const OCSP_BYTES_MAX: u64 = 10_000;
/// Files of a directory of certificates that are read.
const CA_FILES_MAX: usize = 10_000;
/// Where systems keep the certificates that they trust, one of them.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

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

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_pem(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{}: want a certificate in PEM form", path.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{}: want certificates in PEM form: {error}", path.display())),
    }
}

/// A certificate with those that lead to its root, and its key.
///
/// # Errors
/// The file and what is wrong with it.
pub fn certified_key(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&read_pem(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!("{}: want a key in PEM form that needs no passphrase", key.display())
        }
        error => format!("{}: want a key in PEM form: {error}", key.display()),
    })?;
    let private = provider.key_provider.load_private_key(private).map_err(|_| {
        format!("{}: want an RSA key of 2048 to 8192 bits, an ECDSA key or an Ed25519 key", key.display())
    })?;
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "{}: the key is not that of the first certificate in {}",
            key.display(),
            certificate.display()
        )),
        Err(error) => Err(format!("{}: {error}", certificate.display())),
    }
}

/// An OCSP response that says something: the outer structure is looked at, the signature is for the client to judge.
///
/// # Errors
/// The file and what is wrong with it.
pub fn ocsp_response(path: &Path) -> Result<Vec<u8>, String> {
    let bytes =
        read(path, OCSP_BYTES_MAX).map_err(|error| format!("{}: {}", path.display(), reason(&error)))?;
    match is_ocsp_response(&bytes) {
        true => Ok(bytes),
        false => Err(format!("{}: want an OCSP response in DER form that was successful", path.display())),
    }
}

/// A SEQUENCE as long as the file, beginning with the ENUMERATED 0, "successful" (RFC 6960, section 4.2.1).
fn is_ocsp_response(bytes: &[u8]) -> bool {
    let (header, length) = match bytes {
        [0x30, 0x82, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        [0x30, 0x81, a, ..] => (3, usize::from(*a)),
        [0x30, a @ ..=0x7f, ..] => (2, usize::from(*a)),
        _ => return false,
    };
    bytes.len() == header + length && bytes[header..].starts_with(&[0x0a, 1, 0])
}

/// Adds the certificates of a PEM file; says how many it was.
///
/// # Errors
/// The file and what is wrong with it.
pub fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<usize, String> {
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    match added {
        0 => Err(format!("{}: want certificates that can be understood", path.display())),
        added => Ok(added),
    }
}

/// Adds the files of a directory that are named by hashes, as OpenSSL looks for them.
///
/// # Errors
/// The directory and what is wrong with it, or no such file in it.
pub fn add_hashed_roots(roots: &mut RootCertStore, directory: &Path) -> Result<(), String> {
    let fail = |reason: String| format!("{}: {reason}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(|error| fail(reason(&error)))?;
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_hash(path)).collect();
    paths.sort();
    paths.truncate(CA_FILES_MAX);
    let mut added = 0;
    for path in &paths {
        added += add_roots(roots, path)?;
    }
    match added {
        0 => Err(fail(
            "want certificates named by their hashes, such as 5ed36f99.0; see openssl rehash".into(),
        )),
        _ => Ok(()),
    }
}

/// Eight hexadecimal digits, a dot and a number.
fn is_hash(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The certificates that the system trusts.
///
/// # Errors
/// None are found.
pub fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for path in SYSTEM_ROOTS.map(Path::new) {
        if path.exists() {
            add_roots(&mut roots, path)?;
            return Ok(roots);
        }
    }
    Err("no certificates of the system are found (Debian package ca-certificates)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_and_hashes_are_told_by_their_looks() {
        assert!(is_ocsp_response(&[0x30, 3, 0x0a, 1, 0]));
        assert!(is_ocsp_response(&[&[0x30, 0x82, 1, 3, 0x0a, 1, 0][..], &[0; 256]].concat()));
        for bytes in [&b""[..], b"garbage", &[0x30, 3, 0x0a, 1, 6], &[0x30, 4, 0x0a, 1, 0], &[0x30, 0x82]] {
            assert!(!is_ocsp_response(bytes), "{bytes:?}");
        }
        assert!(is_hash(Path::new("/a/5ed36f99.0")));
        for name in ["5ed36f99", "5ed36f99.r0", "root.pem", "5ed36f9.0", "5ed36f9g.0"] {
            assert!(!is_hash(Path::new(name)), "{name}");
        }
    }
}
