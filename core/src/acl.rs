//! Access lists: the first entry that matches decides. Pure.
//!
//! Owns what a list means. Entries come from the command parser; `balance` asks about clients of the listener, the
//! control server and direct server return about theirs. Which country an address is in is somebody else's knowledge
//! ([`Countries`]).

mod index;

use index::Index;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, By, Country};
use std::cell::OnceCell;
use std::collections::TryReserveError;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// How many lists there are: `acl 0` to `acl 9`.
pub const ACL_COUNT: usize = 10;

/// How many entries at the end of a list are compared one by one, so that a list that grows entry by entry is not
/// arranged anew each time. A short list is not arranged at all.
const WALKED_MAX: usize = 16;

/// One list, in the order the entries were added.
///
/// A copy shares the entries with the original until one of them changes.
#[derive(Debug, Clone, Default)]
pub struct Acl {
    entries: Arc<Vec<AclEntry>>,
    /// Of the first entries.
    index: Arc<Index>,
}

impl Acl {
    pub fn entries(&self) -> &[AclEntry] {
        &self.entries
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// There is no memory for it; then the list is as it was.
    pub fn push(&mut self, entry: AclEntry) -> Result<(), TryReserveError> {
        if let Some(entries) = Arc::get_mut(&mut self.entries) {
            entries.try_reserve(1)?;
            entries.push(entry);
            return Ok(());
        }
        let mut entries = Vec::new();
        // Somebody else goes on with the list as it is.
        entries.try_reserve(self.entries.len() + 1)?;
        entries.extend_from_slice(&self.entries);
        entries.push(entry);
        self.entries = Arc::new(entries);
        Ok(())
    }

    pub fn clear(&mut self) {
        *self = Acl::default();
    }

    /// Arranges the entries, so that it no longer matters to [`Acl::permits`] how many there are. To be called before a
    /// changed list is published; it changes no answer.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn arrange(&mut self) -> Result<(), TryReserveError> {
        if !self.is_arranged() {
            Arc::get_mut(&mut self.entries).into_iter().for_each(Vec::shrink_to_fit);
            self.index = Arc::new(Index::new(&self.entries)?);
        }
        Ok(())
    }

    /// Whether few or no entries have come since [`Acl::arrange`].
    pub fn is_arranged(&self) -> bool {
        self.walked().len() <= WALKED_MAX
    }

    /// Whether `client` passes.
    ///
    /// An empty list lets everybody pass, and every list lets clients of a Unix socket pass: they have no address to
    /// judge. When no entry matches, the answer is the opposite of the last entry, even if that one is about the other
    /// address family, so a list that ends in a permit denies everybody else. All of this is Pen's rule.
    ///
    /// `countries` is asked once at most for each kind of country, and not at all when an entry before the first country
    /// matches.
    pub fn permits(&self, client: ClientAddr, countries: &CountrySource) -> bool {
        let (ClientAddr::Ip(ip), Some(last)) = (client, self.entries.last()) else { return true };
        let found = [OnceCell::new(), OnceCell::new()];
        let country = |by: By| *found[by as usize].get_or_init(|| countries.country_of(ip, by));
        let walk = || self.walked().iter().find(|entry| matches(entry.what, ip, country));
        let first = self.index.permits(ip, country).or_else(|| walk().map(|entry| entry.permit));
        first.unwrap_or(!last.permit)
    }

    /// Whether it names addresses of this family.
    pub fn is_about(&self, ip: IpAddr) -> bool {
        let names = |entry: &AclEntry| match entry.what {
            AclMatch::V4 { .. } => ip.is_ipv4(),
            AclMatch::V6 { .. } => ip.is_ipv6(),
            AclMatch::Country(..) => false,
        };
        self.index.is_about(ip) || self.walked().iter().any(names)
    }

    /// Whether the list asks for countries of this kind.
    pub fn names_countries(&self, by: By) -> bool {
        self.entries.iter().any(|entry| matches!(entry.what, AclMatch::Country(asked, _) if asked == by))
    }

    /// The entries that the index does not know.
    fn walked(&self) -> &[AclEntry] {
        &self.entries[self.index.covered()..]
    }
}

impl From<Vec<AclEntry>> for Acl {
    /// The list of these entries, not arranged.
    fn from(entries: Vec<AclEntry>) -> Acl {
        Acl { entries: Arc::new(entries), index: Arc::default() }
    }
}

/// The same entries; whether they are arranged is no property of a list.
impl PartialEq for Acl {
    fn eq(&self, other: &Acl) -> bool {
        self.entries == other.entries
    }
}

/// Knows where addresses are.
pub trait Countries: Send + Sync {
    /// The country of an address; `None` when that is not known. Quick: it is asked while a client waits.
    fn country_of(&self, ip: IpAddr, by: By) -> Option<Country>;

    /// Whether any address has a country of this kind.
    fn know(&self, by: By) -> bool;
}

/// Who is asked for countries; by default nobody, and then no address is in any.
#[derive(Clone, Default)]
pub struct CountrySource(Option<Arc<dyn Countries>>);

impl CountrySource {
    pub fn new(countries: impl Countries + 'static) -> CountrySource {
        CountrySource(Some(Arc::new(countries)))
    }

    pub fn country_of(&self, ip: IpAddr, by: By) -> Option<Country> {
        self.0.as_ref()?.country_of(ip, by)
    }

    /// Whether any address has a country of this kind.
    pub fn knows(&self, by: By) -> bool {
        self.0.as_ref().is_some_and(|countries| countries.know(by))
    }
}

/// The same source, not one that knows the same.
impl PartialEq for CountrySource {
    fn eq(&self, other: &CountrySource) -> bool {
        match (&self.0, &other.0) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }
}

impl fmt::Debug for CountrySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "CountrySource(known)" } else { "CountrySource(none)" })
    }
}

/// An entry of the other address family matches nobody.
fn matches(what: AclMatch, ip: IpAddr, country: impl Fn(By) -> Option<Country>) -> bool {
    match (what, ip) {
        (AclMatch::Country(by, wanted), _) => country(by) == Some(wanted),
        (AclMatch::V4 { address, mask }, IpAddr::V4(client)) => client.to_bits() & mask == address,
        (AclMatch::V6 { address, prefix }, IpAddr::V6(client)) => {
            let host_bits = 128u32.saturating_sub(prefix.into());
            let differing = client.to_bits() ^ address;
            // A shift by all 128 bits is no shift at all to the processor.
            differing.checked_shr(host_bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
