//! Finds the first entry of an access list that matches, without walking the list. Pure.
//!
//! Owns a second form of the entries and nothing they mean: `acl.rs` says when an entry matches, and the tests here
//! compare the two. Networks become ranges that do not overlap, each with the entry that decides in it, so that a look
//! is a binary search. Masks with holes make no ranges: their addresses are looked up mask by mask, so it is the number
//! of different masks that counts. Countries are looked up by name.

use pen_proto::commands::{AclEntry, AclMatch, By, Country};
use std::cmp::Reverse;
use std::collections::TryReserveError;
use std::net::IpAddr;

/// What an entry says, and its number: the smaller of two decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Verdict(u32);

impl Verdict {
    /// No entry says anything. Greater than any other.
    const NONE: Verdict = Verdict(u32::MAX);

    fn new(number: usize, permit: bool) -> Verdict {
        // ACL_ENTRIES_MAX leaves room for the bit.
        Verdict((number as u32) << 1 | u32::from(permit))
    }

    fn permit(self) -> Option<bool> {
        (self != Verdict::NONE).then_some(self.0 & 1 == 1)
    }
}

/// Entries arranged for a quick look.
#[derive(Debug, Default)]
pub struct Index {
    covered: usize,
    names_v4: bool,
    names_v6: bool,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    holed: Vec<Holed>,
    located: ByCountry,
    registered: ByCountry,
}

impl Index {
    /// Of the entries of a list, or of its beginning. Takes the time to sort them.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(entries: &[AclEntry]) -> Result<Index, TryReserveError> {
        let mut index = Index { covered: entries.len(), ..Index::default() };
        let (mut v4, mut v6, mut holed) = (Vec::new(), Vec::new(), Vec::new());
        for (number, entry) in entries.iter().enumerate() {
            let verdict = Verdict::new(number, entry.permit);
            match entry.what {
                AclMatch::V4 { address, mask } => {
                    index.names_v4 = true;
                    let has_holes = mask.leading_ones() != mask.count_ones();
                    match address & !mask == 0 {
                        true if has_holes => push(&mut holed, (mask, address, verdict))?,
                        true => push(&mut v4, (address, address | !mask, verdict))?,
                        false => {} // host bits: matches nobody
                    }
                }
                AclMatch::V6 { address, prefix } => {
                    index.names_v6 = true;
                    let hosts = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    push(&mut v6, (address & !hosts, address | hosts, verdict))?;
                }
                AclMatch::Country(By::Location, country) => index.located.add(country, verdict)?,
                AclMatch::Country(By::Registration, country) => index.registered.add(country, verdict)?,
            }
        }
        index.v4 = Ranges::new(v4, |last| last.checked_add(1))?;
        index.v6 = Ranges::new(v6, |last| last.checked_add(1))?;
        index.holed = Holed::by_mask(holed)?;
        index.located.arrange();
        index.registered.arrange();
        Ok(index)
    }

    /// How many entries it knows: those with the smallest numbers.
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Whether an entry names addresses of this family.
    pub fn is_about(&self, ip: IpAddr) -> bool {
        if ip.is_ipv4() { self.names_v4 } else { self.names_v6 }
    }

    /// What the first entry that matches says; `None` when none does. `country` is asked once at most for each kind of
    /// country, and not when an entry before the first of the kind matches.
    pub fn permits(&self, ip: IpAddr, country: impl Fn(By) -> Option<Country>) -> Option<bool> {
        let network = match ip {
            IpAddr::V4(ip) => self.v4_verdict(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.find(ip.to_bits()),
        };
        let mut kinds = [(&self.located, By::Location), (&self.registered, By::Registration)];
        if self.registered.first < self.located.first {
            kinds.reverse(); // the kind asked first may spare the other question
        }
        let sooner = |verdict, (kind, by): (&ByCountry, By)| kind.sooner(verdict, || country(by));
        kinds.into_iter().fold(network, sooner).permit()
    }

    fn v4_verdict(&self, ip: u32) -> Verdict {
        self.holed.iter().map(|holed| holed.find(ip)).fold(self.v4.find(ip), Verdict::min)
    }
}

/// The entries about countries of one kind.
#[derive(Debug, Default)]
struct ByCountry {
    /// By country, each once.
    rows: Vec<(Country, Verdict)>,
    first: Option<Verdict>,
}

impl ByCountry {
    /// In the order of the list.
    fn add(&mut self, country: Country, verdict: Verdict) -> Result<(), TryReserveError> {
        self.first.get_or_insert(verdict);
        push(&mut self.rows, (country, verdict))
    }

    /// To be called when all have been added.
    fn arrange(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|(country, _)| *country);
    }

    /// `otherwise`, unless an entry before it matches.
    fn sooner(&self, otherwise: Verdict, country: impl FnOnce() -> Option<Country>) -> Verdict {
        if self.first.is_none_or(|first| otherwise < first) {
            return otherwise;
        }
        let place = country().and_then(|country| self.rows.binary_search_by_key(&country, |row| row.0).ok());
        place.map_or(otherwise, |place| otherwise.min(self.rows[place].1))
    }
}

/// All addresses, cut where the verdict changes. Addresses below the first cut have none.
#[derive(Debug, Default)]
struct Ranges<T> {
    /// Where each range begins, in order. Apart from the verdicts: a search touches fewer cache lines.
    starts: Vec<T>,
    verdicts: Vec<Verdict>,
}

impl<T: Copy + Ord> Ranges<T> {
    /// From networks as first and last address, of which any two lie apart or one in the other. `next` is the address
    /// after another one, `None` after the last of all.
    fn new(
        mut networks: Vec<(T, T, Verdict)>,
        next: fn(T) -> Option<T>,
    ) -> Result<Ranges<T>, TryReserveError> {
        networks.sort_unstable_by_key(|&(first, last, verdict)| (first, Reverse(last), verdict));
        let mut ranges = Ranges { starts: Vec::new(), verdicts: Vec::new() };
        // The networks around the present place, the innermost at the end, with what holds in them.
        let mut around: Vec<(T, Verdict)> = Vec::new();
        let innermost =
            |around: &[(T, Verdict)]| around.last().map_or(Verdict::NONE, |(_, verdict)| *verdict);
        let leave = |ranges: &mut Ranges<T>, around: &mut Vec<(T, Verdict)>, before: Option<T>| {
            while let Some((last, _)) = around.pop_if(|(last, _)| before.is_none_or(|before| *last < before))
            {
                if let Some(start) = next(last) {
                    ranges.cut(start, innermost(around))?;
                }
            }
            Ok::<(), TryReserveError>(())
        };
        for (first, last, verdict) in networks {
            leave(&mut ranges, &mut around, Some(first))?;
            let verdict = verdict.min(innermost(&around));
            ranges.cut(first, verdict)?;
            push(&mut around, (last, verdict))?;
        }
        leave(&mut ranges, &mut around, None)?;
        ranges.starts.shrink_to_fit();
        ranges.verdicts.shrink_to_fit();
        Ok(ranges)
    }

    /// From `start` on it is `verdict`; a later cut at the same place counts instead.
    fn cut(&mut self, start: T, verdict: Verdict) -> Result<(), TryReserveError> {
        if self.starts.pop_if(|last| *last == start).is_some() {
            self.verdicts.pop();
        }
        if self.verdicts.last().copied().unwrap_or(Verdict::NONE) != verdict {
            push(&mut self.starts, start)?;
            push(&mut self.verdicts, verdict)?;
        }
        Ok(())
    }

    fn find(&self, ip: T) -> Verdict {
        let begun = self.starts.partition_point(|start| *start <= ip);
        begun.checked_sub(1).map_or(Verdict::NONE, |range| self.verdicts[range])
    }
}

/// The entries with one mask that has holes.
#[derive(Debug)]
struct Holed {
    mask: u32,
    /// By address, each once.
    addresses: Vec<(u32, Verdict)>,
}

impl Holed {
    /// From masks with addresses.
    fn by_mask(mut entries: Vec<(u32, u32, Verdict)>) -> Result<Vec<Holed>, TryReserveError> {
        entries.sort_unstable();
        entries.dedup_by_key(|&mut (mask, address, _)| (mask, address));
        let mut all = Vec::new();
        for group in entries.chunk_by(|left, right| left.0 == right.0) {
            let mut addresses = Vec::new();
            addresses.try_reserve_exact(group.len())?;
            addresses.extend(group.iter().map(|&(_, address, verdict)| (address, verdict)));
            push(&mut all, Holed { mask: group[0].0, addresses })?;
        }
        Ok(all)
    }

    fn find(&self, ip: u32) -> Verdict {
        let place = self.addresses.binary_search_by_key(&(ip & self.mask), |row| row.0);
        place.map_or(Verdict::NONE, |place| self.addresses[place].1)
    }
}

fn push<T>(list: &mut Vec<T>, value: T) -> Result<(), TryReserveError> {
    list.try_reserve(1)?;
    list.push(value);
    Ok(())
}
