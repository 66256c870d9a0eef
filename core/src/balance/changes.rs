//! Which servers have changed, for whoever keeps an order of them. Pure.

/// How many changes are remembered. Whoever has missed more looks at all servers.
const RECENT: usize = 256;

/// The changes of a table of servers, counted.
#[derive(Debug)]
pub struct Changes {
    count: u64,
    /// Change N is at N modulo the length.
    recent: [u16; RECENT],
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { count: 0, recent: [0; RECENT] }
    }
}

impl Changes {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The server with this index has changed.
    pub fn note(&mut self, index: usize) {
        // Indices of servers take 15 bits.
        self.recent[(self.count % RECENT as u64) as usize] = index as u16;
        self.count += 1;
    }

    /// All may have changed.
    pub fn note_all(&mut self) {
        self.count += RECENT as u64 + 1;
    }

    /// Indices of those that have changed since there were so many changes; `None`: perhaps all.
    pub fn since(&self, count: u64) -> Option<impl Iterator<Item = usize>> {
        let is_known = count.checked_add(RECENT as u64).is_some_and(|known| known >= self.count);
        is_known.then(|| (count..self.count).map(|at| self.recent[(at % RECENT as u64) as usize].into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_known() {
        let mut changes = Changes::default();
        let since = |changes: &Changes, count| changes.since(count).map(Iterator::collect::<Vec<_>>);
        assert_eq!(since(&changes, 0), Some(vec![]));
        (0..RECENT).for_each(|index| changes.note(index));
        assert_eq!(since(&changes, 0), Some((0..RECENT).collect()));
        changes.note(7);
        assert_eq!(since(&changes, 0), None);
        assert_eq!(since(&changes, RECENT as u64), Some(vec![7]));
        let before = changes.count();
        changes.note_all();
        assert_eq!(since(&changes, before), None);
        assert_eq!(since(&changes, changes.count()), Some(vec![]));
    }
}
