//! Whom we believe: the certificates of authorities, read from files and directories, and for how long they are good.
//!
//! A certificate that is listed and no authority vouches for nobody but itself.

use super::files::{self, Listed, located};
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::tls::certificate::{self, Certificate};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files of a directory of certificates that are read.
const CA_FILES_MAX: usize = 10_000;
/// Authorities that are useless are told one by one up to so many.
const TOLD_MAX: usize = 10;
/// Where systems keep the certificates that they trust, one of them.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificates by which others are judged.
#[derive(Debug, Default)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor, from when and until when it is good, in seconds since 1970.
    terms: Vec<(u64, u64)>,
    /// What an operator listed, authority or not, in order of its bytes.
    listed: Vec<CertificateDer<'static>>,
    /// Certificates that are no use as authorities, in words.
    useless: Vec<String>,
}

impl Authorities {
    /// Adds the certificates of a PEM file.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn add_file(&mut self, path: &Path) -> Result<(), String> {
        for Listed { line, der } in files::certificates(path)? {
            self.add(&der, &|reason| located(path, line, reason))?;
            self.listed.push(der);
        }
        self.listed.sort_unstable_by(|a, b| a.as_ref().cmp(b));
        Ok(())
    }

    /// Adds the files of a directory that are named by hashes, as OpenSSL looks for them.
    ///
    /// # Errors
    /// The directory and what is wrong with it, or no such file in it.
    pub fn add_directory(&mut self, directory: &Path) -> Result<(), String> {
        let fail = |reason: String| format!("{}: {reason}", directory.display());
        let entries = std::fs::read_dir(directory).map_err(|error| fail(reason(&error)))?;
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_hash(path)).collect();
        paths.sort();
        paths.truncate(CA_FILES_MAX);
        if paths.is_empty() {
            let wanted = "want certificates named by their hashes, such as 5ed36f99.0; see openssl rehash";
            return Err(fail(wanted.into()));
        }
        paths.iter().try_for_each(|path| self.add_file(path))
    }

    /// Those that the system trusts, as far as they can be understood. They are many and nobody chose them one by one, so
    /// nothing is told of those that are no use.
    ///
    /// # Errors
    /// None are found.
    pub fn of_system() -> Result<Authorities, String> {
        let path = SYSTEM_ROOTS.map(Path::new).into_iter().find(|path| path.exists());
        let path = path.ok_or("no certificates of the system are found (Debian package ca-certificates)")?;
        let mut found = Authorities::default();
        for Listed { der, .. } in files::certificates(path)? {
            // The reason is of no use to anybody.
            let _ = found.add(&der, &|reason| reason.to_string());
        }
        found.useless.clear();
        Ok(found)
    }

    fn add(&mut self, der: &CertificateDer<'_>, told: &dyn Fn(&str) -> String) -> Result<(), String> {
        let read = Certificate::read(der).ok_or_else(|| told("what begins here is no certificate"))?;
        let name = certificate::name(read.subject);
        if let Some(trouble) = read.out_of_date(clock::epoch_ms() / 1000) {
            self.useless.push(told(&format!("{name} {trouble}, and is not trusted meanwhile")));
        }
        if !read.is_authority() {
            self.useless.push(told(&format!("{name} is no authority (CA:FALSE): it verifies only itself")));
            return Ok(());
        }
        let mut one = RootCertStore::empty();
        one.add(der.clone().into_owned())
            .map_err(|error| told(&format!("{name} cannot be used as an authority: {error}")))?;
        self.anchors.append(&mut one.roots);
        self.terms.push((read.not_before, read.not_after));
        Ok(())
    }

    /// What the operator should know of them.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let more = self.useless.len().saturating_sub(TOLD_MAX);
        let rest = (more > 0).then(|| format!("{more} more certificates are no use as authorities"));
        self.useless.iter().take(TOLD_MAX).cloned().chain(rest)
    }

    /// Whether the operator named them, and not the system.
    pub fn are_chosen(&self) -> bool {
        !self.listed.is_empty()
    }

    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Names of those that clients may have their certificates from, with header.
    pub fn subjects(&self) -> Vec<Vec<u8>> {
        let listed =
            self.listed.iter().filter_map(|der| Certificate::read(der)).map(|read| read.subject.to_vec());
        let anchors = RootCertStore { roots: self.anchors.clone() }
            .subjects()
            .into_iter()
            .map(|name| name.as_ref().to_vec());
        let mut seen = HashSet::new();
        anchors.chain(listed).filter(|name| seen.insert(name.clone())).collect()
    }

    /// Whether an anchor, one of [`Authorities::anchors`], is good at this time.
    ///
    /// # Errors
    /// When its time is over, or was: the end of it in seconds since 1970.
    pub fn until(&self, anchor: &TrustAnchor<'_>, now_seconds: u64) -> Result<(), u64> {
        let same = |(one, _): &(&TrustAnchor<'_>, _)| *one == anchor;
        let terms = self.anchors.iter().zip(&self.terms).filter(same).map(|(_, terms)| *terms);
        // The same name and key may be listed with several dates.
        match terms.clone().any(|(from, until)| (from..=until).contains(&now_seconds)) {
            true => Ok(()),
            false => Err(terms.map(|(_, until)| until).max().unwrap_or(0)),
        }
    }

    /// Whether the operator listed exactly this certificate.
    pub fn lists(&self, certificate: &CertificateDer<'_>) -> bool {
        self.listed.binary_search_by(|listed| listed.as_ref().cmp(certificate)).is_ok()
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

/// Whether the system trusts an authority of this name. Remembered from the first call, since the system's files are not
/// to be seen from inside a jail.
pub fn is_known_to_system(subject: &[u8]) -> bool {
    static SUBJECTS: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
    let subjects = SUBJECTS.get_or_init(|| {
        let authorities = Authorities::of_system().unwrap_or_default();
        authorities.anchors.iter().map(|anchor| anchor.subject.to_vec()).collect()
    });
    // An anchor's subject is told without its header.
    crate::tls::der::first(subject).is_some_and(|name| subjects.contains(name.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_good_from_its_first_second_to_its_last() {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2001, 2, 3), rcgen::date_time_ymd(2004, 5, 6));
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone();
        let mut authorities = Authorities::default();
        authorities.add(&der, &|reason| format!("ca.pem:1: {reason}")).unwrap();
        let (first, last) = (981_158_400, 1_083_801_600);
        let good = |at| authorities.until(&authorities.anchors()[0], at);
        assert_eq!(
            [good(first - 1), good(first), good(last), good(last + 1)],
            [Err(last), Ok(()), Ok(()), Err(last)]
        );
        let told: Vec<_> = authorities.warnings().collect();
        assert!(told.len() == 1 && told[0].contains("expired on 2004-05-06 00:00 UTC"), "{told:?}");
        assert!(!authorities.lists(&der) && !authorities.are_chosen(), "only files list something");
    }

    #[test]
    fn hashes_are_told_by_their_looks() {
        assert!(is_hash(Path::new("/a/5ed36f99.0")));
        for name in ["5ed36f99", "5ed36f99.r0", "root.pem", "5ed36f9.0", "5ed36f9g.0"] {
            assert!(!is_hash(Path::new(name)), "{name}");
        }
    }
}
