//! The OCSP response that is stapled to a certificate, and only while it says something good of that certificate: clients
//! that look at it refuse a connection for a wrong one, and for none they do not.

use super::files::{self, OCSP_BYTES_MAX};
use crate::log::diag::{self, Severity};
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::tls::certificate::{Certificate, date};
use crate::tls::ocsp::{self, Answer, Status};
use aws_lc_rs::digest;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Object identifiers of the hashes that name an issuer.
const HASHES: [(&[u8], &digest::Algorithm); 2] = [
    (&[0x2b, 14, 3, 2, 26], &digest::SHA1_FOR_LEGACY_USE_ONLY),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], &digest::SHA256),
];
/// How far the clock of who made a response may be ahead.
const CLOCK_SECONDS: u64 = 300;

/// A response as a file has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Response {
    /// Reads one that says something about certificates. The signature is for the client to judge.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Response, String> {
        let told = |reason: String| format!("{}: {reason}", path.display());
        let bytes = files::read(path, OCSP_BYTES_MAX).map_err(|error| told(reason(&error)))?;
        match ocsp::answers(&bytes) {
            Some(_) => Ok(Response { path: path.to_owned(), bytes }),
            None => Err(told("want an OCSP response in DER form that was successful".into())),
        }
    }

    /// Until when it may be stapled to the certificate, in seconds since 1970; `None`: for ever.
    ///
    /// # Errors
    /// Why it may not.
    fn good_until(&self, certificate: &[u8], now_seconds: u64) -> Result<Option<u64>, String> {
        let answers = ocsp::answers(&self.bytes).unwrap_or_default();
        let certificate = Certificate::read(certificate).ok_or("the certificate cannot be read")?;
        let answer = answers.iter().find(|answer| is_about(answer, &certificate));
        let answer = answer.ok_or("the response is for another certificate")?;
        match answer.status {
            Status::Good => {}
            Status::Revoked => return Err("the response says that the certificate was revoked".into()),
            Status::Unknown => return Err("the response says that the certificate is not known".into()),
        }
        if now_seconds + CLOCK_SECONDS < answer.this_update {
            return Err(format!("the response is not valid before {}", date(answer.this_update)));
        }
        match answer.next_update.filter(|until| now_seconds > *until) {
            Some(until) => Err(format!("the response was good until {}", date(until))),
            None => Ok(answer.next_update),
        }
    }
}

/// Serial number and issuer must be the same; an issuer that is named by an unknown hash is taken on trust.
fn is_about(answer: &Answer<'_>, certificate: &Certificate<'_>) -> bool {
    let hash = HASHES.iter().find(|(id, _)| *id == answer.hash).map(|(_, hash)| *hash);
    let is_issuer = |hash| digest::digest(hash, certificate.issuer).as_ref() == answer.issuer_hash;
    answer.serial == certificate.serial && hash.is_none_or(is_issuer)
}

/// A certificate as clients get it.
#[derive(Debug)]
pub struct Shown {
    plain: Arc<CertifiedKey>,
    stapled: Option<Stapled>,
}

#[derive(Debug)]
struct Stapled {
    certified: Arc<CertifiedKey>,
    until_seconds: Option<u64>,
    path: PathBuf,
    /// Whether it was said that its time is over.
    is_told: AtomicBool,
}

impl Shown {
    /// With the response, if it is good; if not, the reason, which begins with the file, is to be told.
    pub fn new(certified: &CertifiedKey, response: Option<&Response>) -> (Shown, Option<String>) {
        let plain = Arc::new(CertifiedKey { ocsp: None, ..certified.clone() });
        let Some(response) = response else { return (Shown { plain, stapled: None }, None) };
        let leaf = certified.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
        match response.good_until(leaf, now_seconds()) {
            Ok(until_seconds) => {
                let certified = CertifiedKey { ocsp: Some(response.bytes.clone()), ..certified.clone() };
                let stapled = Stapled {
                    certified: Arc::new(certified),
                    until_seconds,
                    path: response.path.clone(),
                    is_told: AtomicBool::new(false),
                };
                (Shown { plain, stapled: Some(stapled) }, None)
            }
            Err(reason) => {
                let told = format!("{}: {reason}; it is not stapled", response.path.display());
                (Shown { plain, stapled: None }, Some(told))
            }
        }
    }
}

fn now_seconds() -> u64 {
    clock::epoch_ms() / 1000
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Some(stapled) = &self.stapled else { return Some(self.plain.clone()) };
        let Some(until) = stapled.until_seconds.filter(|until| now_seconds() > *until) else {
            return Some(stapled.certified.clone());
        };
        if !stapled.is_told.swap(true, Ordering::Relaxed) {
            diag::say(
                Severity::Notice,
                format_args!(
                    "{}: the OCSP response was good until {}; it is not stapled any more, until there is a newer one \
                     and it is read, on HUP or by command",
                    stapled.path.display(),
                    date(until)
                ),
            );
        }
        Some(self.plain.clone())
    }
}
