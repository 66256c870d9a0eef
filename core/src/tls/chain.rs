//! Whether a file of certificates is whole. Pure.

use super::certificate::{Certificate, name};

/// What is missing of the way from the first certificate to a root, in words; `None` when nothing is. The root itself may
/// be left out if it `is_known`, by its subject, to those who will look at the chain.
pub fn gap(chain: &[Certificate<'_>], is_known: impl Fn(&[u8]) -> bool) -> Option<String> {
    let mut at = chain.first()?;
    for _ in chain {
        if at.is_self_signed() || is_known(at.issuer) {
            return None;
        }
        match chain.iter().find(|other| other.subject == at.issuer) {
            Some(issuer) => at = issuer,
            None => break,
        }
    }
    Some(format!(
        "{}, the issuer of the certificate {}, is not in the file, and no authority that this system knows: if it is an \
         intermediate certificate, clients will miss it",
        name(at.issuer),
        name(at.subject)
    ))
}
