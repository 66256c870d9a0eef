//! What is kept of an answer to compare it with another: a digest of its beginning, and its first bytes for people to look
//! at. Lines that begin with certain texts, such as a date, are left out.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// So much of an answer is compared byte by byte, left out lines not counted; of what follows only how much it is.
pub const COMPARED_BYTES_MAX: u64 = 64 * 1024;
/// So much is kept to be shown.
const SHOWN_BYTES_MAX: usize = 512;

/// The beginnings of lines that do not count. Upper and lower case are the same, as in names of headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored(Arc<[Box<str>]>);

impl Ignored {
    pub fn new(texts: impl IntoIterator<Item = String>) -> Ignored {
        Ignored(texts.into_iter().map(String::into_boxed_str).collect())
    }

    /// What becomes of a line that begins so: `None` if that is not known yet.
    fn leaves_out(&self, line: &[u8]) -> Option<bool> {
        let mut may_follow = false;
        for text in self.0.iter().map(|text| text.as_bytes()) {
            let known = text.len().min(line.len());
            if text[..known].eq_ignore_ascii_case(&line[..known]) {
                match known == text.len() {
                    true => return Some(true),
                    false => may_follow = true,
                }
            }
        }
        if may_follow { None } else { Some(false) }
    }
}

/// Where in a line the answer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Line {
    /// At its beginning, of which so much may be that of one which does not count.
    Begins(Vec<u8>),
    #[default]
    Counts,
    LeftOut,
}

/// An answer, as it comes.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    ignored: Ignored,
    line: Line,
    digest: DefaultHasher,
    /// Of these bytes.
    digested: u64,
    /// All but those left out.
    counted: u64,
    shown: Vec<u8>,
}

impl Answer {
    pub fn new(ignored: Ignored) -> Answer {
        let line = if ignored.0.is_empty() { Line::Counts } else { Line::Begins(Vec::new()) };
        Answer { ignored, line, ..Answer::default() }
    }

    /// Whether what follows is looked at; otherwise it may be told by [`Answer::pass`].
    pub fn is_looked_at(&self) -> bool {
        self.digested < COMPARED_BYTES_MAX
    }

    /// So many bytes followed.
    pub fn pass(&mut self, count: u64) {
        self.counted += count;
    }

    /// These bytes followed.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.is_looked_at() {
            false => self.pass(bytes.len() as u64),
            true if self.ignored.0.is_empty() => self.count(bytes),
            true => bytes.split_inclusive(|byte| *byte == b'\n').for_each(|piece| self.push_line(piece)),
        }
    }

    /// A line or a part of one.
    fn push_line(&mut self, piece: &[u8]) {
        let ends = piece.ends_with(b"\n");
        match std::mem::take(&mut self.line) {
            Line::Counts => self.count(piece),
            Line::LeftOut => self.line = Line::LeftOut,
            Line::Begins(mut begun) => {
                begun.extend_from_slice(piece);
                match self.ignored.leaves_out(&begun) {
                    Some(true) => self.line = Line::LeftOut,
                    None if !ends => {
                        self.line = Line::Begins(begun);
                        return;
                    }
                    Some(false) | None => self.count(&begun),
                }
            }
        }
        if ends {
            self.line = Line::Begins(Vec::new());
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.counted += bytes.len() as u64;
        let room = (COMPARED_BYTES_MAX - self.digested).min(bytes.len() as u64);
        let digested = &bytes[..room as usize];
        self.digest.write(digested);
        self.digested += room;
        let room = (SHOWN_BYTES_MAX - self.shown.len()).min(digested.len());
        self.shown.extend_from_slice(&digested[..room]);
    }

    /// Nothing follows.
    pub fn finish(&mut self) {
        if let Line::Begins(begun) = std::mem::take(&mut self.line) {
            self.count(&begun);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.counted == 0
    }

    /// Whether both are the same as far as they are looked at. Of finished ones.
    pub fn begins_as(&self, other: &Answer) -> bool {
        self.digested == other.digested && self.digest.finish() == other.digest.finish()
    }

    /// How many bytes count.
    pub fn bytes(&self) -> u64 {
        self.counted
    }

    /// The number of the first line that differs and what each has there, as far as it is kept; `None` when they are the same
    /// there.
    pub fn first_difference<'a>(&'a self, other: &'a Answer) -> Option<(usize, &'a [u8], &'a [u8])> {
        let lines = |answer: &'a Answer| answer.shown.split(|byte| *byte == b'\n');
        let (mut one, mut two) = (lines(self), lines(other));
        (1..)
            .map_while(|number| match (one.next(), two.next()) {
                (None, None) => None,
                (left, right) => Some((number, left.unwrap_or_default(), right.unwrap_or_default())),
            })
            .find(|(_, left, right)| left != right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(ignored: &[&str], pieces: &[&[u8]]) -> Answer {
        let mut answer = Answer::new(Ignored::new(ignored.iter().map(ToString::to_string)));
        pieces.iter().for_each(|piece| answer.push(piece));
        answer.finish();
        answer
    }

    #[test]
    fn lines_that_do_not_count_are_left_out_and_no_others() {
        let ignored = ["Date:", "ETag"];
        let plain = answer(&[], &[b"HTTP/1.1 200 OK\r\nServer: a\r\nDated\r\n\r\nDat"]);
        let told =
            answer(&ignored, &[b"HTTP/1.1 200 OK\r\ndate: Mon\r\nServer: a\r\nETAG: 7\r\nDated\r\n\r\nDat"]);
        assert!(plain.begins_as(&told));
        assert_eq!(plain.bytes(), told.bytes());
        let all = answer(&ignored, &[b"Date: Tue\nDate: Wed"]);
        assert!(all.is_empty());
    }

    #[test]
    fn the_first_line_that_differs_is_found() {
        let one = answer(&[], &[b"a\nb\nc"]);
        for (other, expected) in [
            (&b"a\nb\nc"[..], None),
            (b"a\nx\nc", Some((2, &b"b"[..], &b"x"[..]))),
            (b"a\nb", Some((3, b"c", b""))),
            (b"", Some((1, b"a", b""))),
        ] {
            let other = answer(&[], &[other]);
            assert_eq!(one.first_difference(&other), expected);
            assert_eq!(one.begins_as(&other), expected.is_none());
        }
    }

    #[test]
    fn what_comes_late_is_counted_and_not_looked_at() {
        let long = vec![b'a'; COMPARED_BYTES_MAX as usize + 10];
        let mut other = long.clone();
        *other.last_mut().unwrap() = b'b';
        let (one, other) = (answer(&[], &[&long]), answer(&[], &[&other]));
        assert!(one.begins_as(&other) && !one.is_looked_at());
        assert_eq!(one.bytes(), long.len() as u64);
        let mut early = long;
        early[COMPARED_BYTES_MAX as usize - 1] = b'x';
        assert!(!one.begins_as(&answer(&[], &[&early])));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[abD\n]{0,80}", cut in prop::collection::vec(0usize..80, 0..8)) {
            let ignored = ["ab", "D", "abba"];
            let whole = answer(&ignored, &[text.as_bytes()]);
            let mut cuts: Vec<usize> = cut.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|at| &text.as_bytes()[at[0]..at[1]]).collect();
            let pieced = answer(&ignored, &pieces);
            prop_assert!(whole.begins_as(&pieced));
            prop_assert_eq!((whole.bytes(), &whole.shown), (pieced.bytes(), &pieced.shown));
            let lines = text.split_inclusive('\n');
            let kept: String = lines.filter(|line| !line.starts_with("ab") && !line.starts_with('D')).collect();
            prop_assert_eq!(&whole.shown, kept.as_bytes());
        }
    }
}
