//! The entries of lists.

use super::Parsed;
use super::words::Words;
use crate::addr::{quoted, strict_number};
use crate::commands::{AclEntry, AclMatch, By, Command, Country, Entries, Entry, List, TlsOption};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Of the beginning of a line that is not compared.
const CLONE_IGNORE_BYTES_MAX: usize = 200;
const NEVER_SPOKEN: &str = "SSL and TLS 1.0 and 1.1 are never spoken.";

/// What follows the word of a list: an entry to add. Without one the list is shown, where that may be asked.
pub fn add(list: List, words: &mut Words) -> Parsed<Command> {
    match list {
        List::Acl => acl(words).map(Command::Add),
        List::CloneIgnore => Ok(match ignored(words)? {
            Some(text) => Command::Add(Entry::CloneIgnore(text)),
            None => Command::List(Entries::CloneIgnore),
        }),
        List::ProxyAccept => Ok(match words.downstream()? {
            Some(downstream) => Command::Add(Entry::ProxyAccept(downstream)),
            None => Command::List(Entries::ProxyAccept),
        }),
        List::SslOption => Ok(tls_option(words)?.map_or(Command::Explained(NEVER_SPOKEN), Command::Add)),
    }
}

/// What follows `no` and the word of a list.
pub fn remove(list: List, words: &mut Words) -> Parsed<Command> {
    match list {
        List::Acl => Ok(Command::Clear(Entries::Acl(words.list()?))),
        List::CloneIgnore => Ok(match ignored(words)? {
            Some(text) => Command::Remove(Entry::CloneIgnore(text)),
            None => Command::Clear(Entries::CloneIgnore),
        }),
        List::ProxyAccept => Ok(match words.downstream()? {
            Some(downstream) => Command::Remove(Entry::ProxyAccept(downstream)),
            None => Command::Clear(Entries::ProxyAccept),
        }),
        List::SslOption => Ok(tls_option(words)?.map_or(Command::Explained(NEVER_SPOKEN), Command::Remove)),
    }
}

/// The beginning of a line.
fn ignored(words: &mut Words) -> Parsed<Option<String>> {
    let Some(text) = words.next() else { return Ok(None) };
    match text.len() <= CLONE_IGNORE_BYTES_MAX && !text.is_empty() && !text.contains('\n') {
        true => Ok(Some(text.to_owned())),
        false => Err(words.error(&format!(
            "want the beginning of a line, of 1 to {CLONE_IGNORE_BYTES_MAX} bytes, got {}",
            quoted(text)
        ))),
    }
}

/// `None` for what is switched off for good.
fn tls_option(words: &mut Words) -> Parsed<Option<Entry>> {
    let names: Vec<_> = TlsOption::NEVER.into_iter().chain(TlsOption::WORDS.map(|(name, _)| name)).collect();
    let want = names.join(" or ");
    let word = words.need(&want)?;
    if TlsOption::NEVER.contains(&word) {
        return Ok(None);
    }
    match TlsOption::WORDS.iter().find(|(name, _)| *name == word) {
        Some((_, option)) => Ok(Some(Entry::SslOption(*option))),
        None => Err(words.error(&format!("want {want}, got {}", quoted(word)))),
    }
}

fn acl(words: &mut Words) -> Parsed<Entry> {
    let list = words.list()?;
    words.place = format!("acl {list}");
    let Some(permit) = words.choice(&[("permit", true), ("deny", false)])? else {
        return Err(words.error("want permit or deny, got nothing"));
    };
    let word = words.need("an address")?;
    let kind = By::ALL.into_iter().find(|by| by.word() == word);
    let what = match (kind, word.split_once('/')) {
        (Some(by), _) => country(by, words),
        _ if word.contains(':') => v6_network(word, words),
        (_, Some((address, length))) => v4_network(address, length, words),
        (_, None) => v4_masked(word, words),
    };
    Ok(Entry::Acl(list, AclEntry { permit, what: what? }))
}

fn country(by: By, words: &mut Words) -> Parsed<AclMatch> {
    let code = words.need("a country code of two letters")?;
    words.checked(Country::parse(code)).map(|country| AclMatch::Country(by, country))
}

fn v6_network(word: &str, words: &Words) -> Parsed<AclMatch> {
    let (address, prefix) = word.split_once('/').unwrap_or((word, "128"));
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| words.error(&format!("want an IPv6 address, got {}", quoted(address))))?;
    if let Some(v4) = address.to_ipv4_mapped() {
        // Its clients are IPv4 clients here; the bits behind the length are passed over as in other IPv6 entries.
        let length = words.checked(strict_number(prefix, 96, 128, "bits"))? - 96;
        let mask = v4_mask(length as u32);
        return Ok(AclMatch::V4 { address: v4.to_bits() & mask, mask });
    }
    // The bound makes it fit.
    let prefix = words.checked(strict_number(prefix, 0, 128, "bits"))? as u8;
    Ok(AclMatch::V6 { address: address.into(), prefix })
}

/// `length` bits of 32.
fn v4_mask(length: u32) -> u32 {
    // A shift by all 32 bits is no shift in Rust, but nothing remains.
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn v4_network(address: &str, length: &str, words: &Words) -> Parsed<AclMatch> {
    let address = v4(address, "an IPv4 address", words)?;
    let length = words.checked(strict_number(length, 0, 32, "bits"))?;
    let mask = v4_mask(length as u32);
    if address & !mask != 0 {
        let network = Ipv4Addr::from(address & mask);
        let given = Ipv4Addr::from(address);
        return Err(words.error(&format!("{given}/{length} would match no address; want {network}/{length}")));
    }
    Ok(AclMatch::V4 { address, mask })
}

/// An address with a dotted mask, or without one. As in Pen the mask may have holes.
fn v4_masked(address: &str, words: &mut Words) -> Parsed<AclMatch> {
    let address = v4(address, "an IP address", words)?;
    let mask = match words.next() {
        Some(word) => v4(word, "a mask such as 255.255.255.0", words)?,
        None => u32::MAX,
    };
    Ok(AclMatch::V4 { address, mask })
}

fn v4(word: &str, want: &str, words: &Words) -> Parsed<u32> {
    match word.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => Err(words.error(&format!("want {want}, got {}", quoted(word)))),
    }
}
