//! What a certificate says: dates, names, key, what it may be used for. Pure.
//!
//! Reads every certificate that other programs make, also of version 1 and with extensions that nobody knows; what to
//! think of them is the caller's business. The signature is looked at by nobody here.

use super::der::{self, Element, SEQUENCE};
use chrono::DateTime;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
/// Bit 5 of the key usage, in its first byte.
const KEY_CERT_SIGN: u8 = 0x04;

/// A certificate, as far as anybody here asks. All parts are DER as they stand in it.
#[derive(Debug)]
pub struct Certificate<'a> {
    /// 1 to 3.
    pub version: u8,
    pub serial: &'a [u8],
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    /// Seconds since 1970, both inclusive.
    pub not_before: u64,
    pub not_after: u64,
    /// Its SubjectPublicKeyInfo.
    pub key_info: &'a [u8],
    /// The content of the AlgorithmIdentifier in it.
    pub key_algorithm: &'a [u8],
    pub key: &'a [u8],
    /// What is signed.
    pub signed: &'a [u8],
    /// As `key_algorithm`.
    pub signature_algorithm: &'a [u8],
    pub signature: &'a [u8],
    pub extensions: Vec<Extension<'a>>,
}

/// One extension of version 3.
#[derive(Debug)]
pub struct Extension<'a> {
    /// The content of its OBJECT IDENTIFIER.
    pub id: &'a [u8],
    pub is_critical: bool,
    pub value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// `None`: these bytes are no certificate.
    pub fn read(bytes: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = der::only(bytes, SEQUENCE)?.inner()?;
        let signed = outer.next_of(SEQUENCE)?;
        let signature_algorithm = outer.next_of(SEQUENCE)?.value;
        let signature = outer.next()?.bits()?;
        let mut parts = signed.inner()?;
        let version = match parts.next_of(der::context(0)) {
            Some(version) => 1 + *der::only(version.value, der::INTEGER)?.value.last()?,
            None => 1,
        };
        let serial = parts.next_of(der::INTEGER)?.value;
        parts.next_of(SEQUENCE)?; // the signature's algorithm once more
        let issuer = parts.next_of(SEQUENCE)?.whole;
        let mut dates = parts.next_of(SEQUENCE)?.inner()?;
        let (not_before, not_after) = (dates.next()?.epoch_seconds(), dates.next()?.epoch_seconds());
        let subject = parts.next_of(SEQUENCE)?.whole;
        let key_info = parts.next_of(SEQUENCE)?;
        let mut key_parts = key_info.inner()?;
        let (key_algorithm, key) = (key_parts.next_of(SEQUENCE)?.value, key_parts.next()?.bits()?);
        let extensions = match parts.find(|part| part.tag == der::context(3)) {
            Some(list) => der::only(list.value, SEQUENCE)?.inner()?.map(extension).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Certificate {
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key_info: key_info.whole,
            key_algorithm,
            key,
            signed: signed.whole,
            signature_algorithm,
            signature,
            extensions,
        })
    }

    fn extension(&self, id: &[u8]) -> Option<&'a [u8]> {
        self.extensions.iter().find(|extension| extension.id == id).map(|extension| extension.value)
    }

    /// By the names only; whether its own key signed it is not looked at.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// What the date has to say against it, in words.
    pub fn out_of_date(&self, now_seconds: u64) -> Option<String> {
        if now_seconds > self.not_after {
            return Some(format!("expired on {}", date(self.not_after)));
        }
        (now_seconds < self.not_before).then(|| format!("is not valid before {}", date(self.not_before)))
    }

    /// Whether others may be signed with its key. As everywhere, a root of version 1, which could not say so, may, and so
    /// may a certificate without basic constraints whose key is for that.
    pub fn is_authority(&self) -> bool {
        let may_sign = self.key_usage().map(|usage| usage & KEY_CERT_SIGN != 0);
        let is_ca = self.extension(BASIC_CONSTRAINTS).map(|value| {
            let mut parts = der::only(value, SEQUENCE).and_then(|list| list.inner());
            parts.as_mut().and_then(|parts| parts.next_of(der::BOOLEAN)).is_some_and(|ca| ca.value != [0])
        });
        match is_ca {
            Some(is_ca) => is_ca && may_sign != Some(false),
            None => may_sign.unwrap_or(self.version < 3 && self.is_self_signed()),
        }
    }

    fn key_usage(&self) -> Option<u8> {
        let bits = der::only(self.extension(KEY_USAGE)?, der::BIT_STRING)?.value;
        Some(bits.get(1).copied().unwrap_or(0))
    }

    /// Whether it has a critical extension that says something other than what the methods here tell.
    pub fn demands_the_unknown(&self) -> bool {
        let known =
            [KEY_USAGE, SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, CERTIFICATE_POLICIES, EXTENDED_KEY_USAGE];
        self.extensions.iter().any(|extension| extension.is_critical && !known.contains(&extension.id))
    }

    /// Whether the extended key usage allows this one, by its object identifier; without any, all are allowed.
    pub fn may_be_used_for(&self, usage: &[u8]) -> bool {
        let Some(value) = self.extension(EXTENDED_KEY_USAGE) else { return true };
        let mut allowed = der::only(value, SEQUENCE).and_then(|list| list.inner()).into_iter().flatten();
        allowed.any(|allowed| allowed.tag == der::OBJECT_IDENTIFIER && allowed.value == usage)
    }

    /// Whether it lists names of hosts or others; then the common name counts for nothing.
    pub fn has_alternative_names(&self) -> bool {
        self.extension(SUBJECT_ALT_NAME).is_some()
    }

    /// The last common name of the subject.
    pub fn common_name(&self) -> Option<String> {
        name_parts(self.subject).filter(|(id, _)| *id == COMMON_NAME).last().map(|(_, value)| value)
    }
}

fn extension(part: Element<'_>) -> Option<Extension<'_>> {
    let mut parts = (part.tag == SEQUENCE).then(|| part.inner())??;
    let id = parts.next_of(der::OBJECT_IDENTIFIER)?.value;
    let is_critical = parts.next_of(der::BOOLEAN).is_some_and(|critical| critical.value != [0]);
    let value = parts.next_of(der::OCTET_STRING)?.value;
    Some(Extension { id, is_critical, value })
}

/// The attributes of a name, and their text as far as it can be read.
fn name_parts(name: &[u8]) -> impl Iterator<Item = (&[u8], String)> {
    let sets = der::only(name, SEQUENCE).and_then(|name| name.inner());
    sets.into_iter().flatten().filter_map(|set| set.inner()).flatten().filter_map(|attribute| {
        let mut parts = attribute.inner()?;
        let id = parts.next_of(der::OBJECT_IDENTIFIER)?.value;
        Some((id, String::from_utf8_lossy(parts.next()?.value).into_owned()))
    })
}

/// A subject or issuer for people: its common name, else everything that it says.
pub fn name(of: &[u8]) -> String {
    let parts: Vec<_> = name_parts(of).collect();
    match parts.iter().rfind(|(id, _)| *id == COMMON_NAME) {
        Some((_, common)) => format!("{common:?}"),
        None => format!("{:?}", parts.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(", ")),
    }
}

/// A date for people, in UTC.
pub fn date(epoch_seconds: u64) -> String {
    let time = i64::try_from(epoch_seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "a date that nobody has".into(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["web.test".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "some \"name\"");
        (params.not_before, params.not_after) = (date_time_ymd(2001, 2, 3), date_time_ymd(2060, 1, 1));
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn dates_names_and_purposes_are_read() {
        let der = made(|_| {});
        let read = Certificate::read(&der).unwrap();
        assert_eq!((read.version, read.not_before, read.not_after), (3, 981_158_400, 2_840_140_800));
        assert!(read.is_self_signed() && read.has_alternative_names() && !read.is_authority());
        assert!(read.may_be_used_for(&[1]) && !read.demands_the_unknown());
        assert_eq!(read.common_name().unwrap(), "some \"name\"");
        assert_eq!(read.out_of_date(981_158_400), None);
        assert_eq!(read.out_of_date(2_840_140_801).unwrap(), "expired on 2060-01-01 00:00 UTC");
        assert_eq!(read.out_of_date(7).unwrap(), "is not valid before 2001-02-03 00:00 UTC");
    }

    #[test]
    fn an_authority_says_that_it_is_one() {
        let with = |is_ca: IsCa, usages: &[KeyUsagePurpose]| {
            let der = made(|params| (params.is_ca, params.key_usages) = (is_ca, usages.to_vec()));
            Certificate::read(&der).unwrap().is_authority()
        };
        let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
        assert!(with(ca(), &[]) && with(ca(), &[KeyUsagePurpose::KeyCertSign]));
        assert!(!with(ca(), &[KeyUsagePurpose::DigitalSignature]));
        assert!(!with(IsCa::ExplicitNoCa, &[KeyUsagePurpose::KeyCertSign]) && !with(IsCa::NoCa, &[]));
    }

    proptest! {
        /// They come from the network.
        #[test]
        fn whatever_is_changed_nothing_panics(place in any::<usize>(), byte in any::<u8>(), length in any::<usize>()) {
            let mut der = made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(3)));
            let place = place % der.len();
            der[place] = byte;
            if let Some(read) = Certificate::read(&der) {
                let _ = (read.is_authority(), read.common_name(), read.out_of_date(0), name(read.issuer));
                let _ = (read.demands_the_unknown(), read.may_be_used_for(&[]));
            }
            let length = length % der.len();
            prop_assert!(Certificate::read(&der[..length]).is_none());
            let _ = super::super::ocsp::answers(&der);
        }
    }
}
