//! What an OCSP response says of which certificate (RFC 6960, section 4.2.1). Pure.
//!
//! Its signature is for the client to judge, who trusts us no further than that.

use super::der::{self, SEQUENCE};

/// The response was successful; others say nothing about certificates.
const SUCCESSFUL: &[u8] = &[0];

/// What a response says of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The content of the OBJECT IDENTIFIER of the hash.
    pub hash: &'a [u8],
    /// Of the issuer's name.
    pub issuer_hash: &'a [u8],
    pub serial: &'a [u8],
    pub status: Status,
    /// Seconds since 1970.
    pub this_update: u64,
    /// `None`: newer information is always to be had.
    pub next_update: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Good,
    Revoked,
    Unknown,
}

/// All answers of a successful response; `None` for what is none.
pub fn answers(response: &[u8]) -> Option<Vec<Answer<'_>>> {
    let mut outer = der::only(response, SEQUENCE)?.inner()?;
    outer.next_of(der::ENUMERATED).filter(|status| status.value == SUCCESSFUL)?;
    let mut typed = der::only(outer.next_of(der::context(0))?.value, SEQUENCE)?.inner()?;
    typed.next_of(der::OBJECT_IDENTIFIER)?;
    let mut basic = der::only(typed.next_of(der::OCTET_STRING)?.value, SEQUENCE)?.inner()?;
    let data = basic.next_of(SEQUENCE)?.inner()?;
    // The only SEQUENCE in it; version, responder and extensions have other tags.
    let list = data.filter(|part| part.tag == SEQUENCE).last()?;
    list.inner()?.map(|single| answer(&single)).collect()
}

fn answer<'a>(single: &der::Element<'a>) -> Option<Answer<'a>> {
    let mut parts = single.inner()?;
    let mut id = parts.next_of(SEQUENCE)?.inner()?;
    let hash = id.next_of(SEQUENCE)?.inner()?.next_of(der::OBJECT_IDENTIFIER)?.value;
    let issuer_hash = id.next_of(der::OCTET_STRING)?.value;
    id.next_of(der::OCTET_STRING)?; // the hash of the issuer's key
    let serial = id.next_of(der::INTEGER)?.value;
    let status = match parts.next()?.tag & 0x1f {
        0 => Status::Good,
        1 => Status::Revoked,
        _ => Status::Unknown,
    };
    let this_update = parts.next()?.epoch_seconds();
    let next_update = parts.next_of(der::context(0)).and_then(|time| der::first(time.value));
    let next_update = next_update.map(|time| time.epoch_seconds());
    Some(Answer { hash, issuer_hash, serial, status, this_update, next_update })
}
