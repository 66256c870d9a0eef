//! Waiting for a text in what comes piece by piece. Pure.

/// Bytes among which the text must be: what a server says first, not all that it has to say.
pub const SEARCH_BYTES_MAX: usize = 64 * 1024;

/// How far the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Found,
    /// It may still come.
    NotYet,
    /// It is not among the first [`SEARCH_BYTES_MAX`] bytes.
    TooFar,
}

/// A search for one text. Keeps no more of what came than could be the beginning of the text.
#[derive(Debug, Clone)]
pub struct Search {
    wanted: Vec<u8>,
    /// The last bytes that came, one less than are wanted.
    tail: Vec<u8>,
    read_bytes: usize,
    is_found: bool,
}

impl Search {
    /// For this text; an empty one is found at once.
    pub fn new(wanted: &[u8]) -> Search {
        Search { wanted: wanted.to_vec(), tail: Vec::new(), read_bytes: 0, is_found: wanted.is_empty() }
    }

    /// Looks at what came.
    pub fn take(&mut self, bytes: &[u8]) -> Seen {
        if self.is_found {
            return Seen::Found;
        }
        let bytes = &bytes[..bytes.len().min(SEARCH_BYTES_MAX - self.read_bytes)];
        self.read_bytes += bytes.len();
        self.tail.extend_from_slice(bytes);
        self.is_found = self.tail.windows(self.wanted.len()).any(|window| window == self.wanted);
        let surplus = self.tail.len().saturating_sub(self.wanted.len() - 1);
        self.tail.drain(..surplus);
        match self.is_found {
            true => Seen::Found,
            false if self.read_bytes == SEARCH_BYTES_MAX => Seen::TooFar,
            false => Seen::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_found_wherever_it_is_cut_and_not_beyond_the_limit() {
        let mut search = Search::new(b"220 ready");
        assert_eq!(search.take(b"22"), Seen::NotYet);
        assert_eq!(search.take(b"220 rea"), Seen::NotYet);
        assert_eq!(search.take(b"dy\r\n"), Seen::Found);
        assert_eq!(search.take(b""), Seen::Found);
        assert_eq!(Search::new(b"").take(b""), Seen::Found);
        let mut search = Search::new(b"needle");
        assert_eq!(search.take(&[b'.'; SEARCH_BYTES_MAX - 3]), Seen::NotYet);
        assert_eq!(search.take(b"needle"), Seen::TooFar, "half of it is beyond");
        assert_eq!(search.take(b"needle"), Seen::TooFar);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_in_the_whole_finds(
            wanted in "[ab]{1,4}", text in "[ab]{0,40}", cuts in prop::collection::vec(0..41usize, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut search = Search::new(wanted.as_bytes());
            let mut seen = Seen::NotYet;
            for pair in cuts.windows(2) {
                seen = search.take(&text.as_bytes()[pair[0]..pair[1]]);
                prop_assert!(search.tail.len() < wanted.len());
            }
            prop_assert_eq!(seen == Seen::Found, text.contains(&wanted));
        }
    }
}
