//! The line behind a first line that is no request by itself: if it is a header line, that was one after all.
//!
//! Servers that take requests without a version read the lines behind as they read mail, and end them at the first that
//! is no header. What is no HTTP gets through here as it is sent.

use super::super::Refusal;
use super::super::begun::Begun;
use super::super::names::{Look, Name, look};
use super::{Editor, Fate, Part, Place, Step};

/// Of the blanks before a name so many are kept, which tell an empty line from others.
const BLANKS_MAX: u8 = 2;

/// Where in it the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    Name,
    /// Behind the name and a blank.
    Blank,
    /// In a line that says nothing.
    Skipped,
}

impl Editor {
    /// The first line has ended and is no request by itself.
    pub(super) fn suspect(&mut self, crlf: bool) {
        self.crlf = crlf;
        self.head.is_irregular = true;
        self.fate = Fate::Kept;
        self.place = Place::Second(Second::Name);
    }

    /// Decides whether header lines follow a first line without version.
    pub(super) fn read_second(&mut self, second: Second, byte: u8, out: &mut Vec<u8>) -> Step {
        if second == Second::Skipped {
            self.skip(byte, out);
            return Step::More;
        }
        // A name so long is none of those that are looked for.
        let is_cut = self.begun.is_full();
        if !is_cut {
            self.begun.push(byte);
        }
        let begun = self.begun;
        let blanks = begun.get().iter().take_while(|&&byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let text = &begun.get()[blanks..];
        let found = if text.is_empty() { Look::Other } else { look(text) };
        match (byte, second) {
            (b':', _) => return self.found_header(found, is_cut, out),
            // A continuation of nothing, which says nothing.
            (b'\n', _) if blanks > 0 && text == b"\n" && begun.get() != b"\r\n" => {
                self.write_begun(out);
                self.begun = Begun::EMPTY;
                return Step::More;
            }
            (b' ' | b'\t' | b'\r', _) if text.is_empty() => {
                self.write_begun(out);
                self.begun.shorten(BLANKS_MAX);
                return Step::More;
            }
            // Mailboxes begin so, and readers of header lines that were made for mail pass over it.
            (b' ', _) if text == b"From " => {
                self.write_begun(out);
                self.begun = Begun::EMPTY;
                self.place = Place::Second(Second::Skipped);
                return Step::More;
            }
            (b' ' | b'\t', _) => self.place = Place::Second(Second::Blank),
            (b'!'..=b'~', Second::Name) => {}
            // They pass over a continuation of nothing too.
            _ if matches!(begun.get()[0], b' ' | b'\t') => {
                if !is_cut {
                    self.begun.shorten(begun.length - 1);
                }
                self.write_begun(out);
                self.begun = Begun::EMPTY;
                self.place = Place::Second(Second::Skipped);
                self.skip(byte, out);
                return Step::More;
            }
            _ => {
                self.finish(out);
                out.extend(is_cut.then_some(byte));
                return Step::NoRequest;
            }
        }
        let is_held = self.edits()
            && !self.begun.is_full()
            && (matches!(found, Look::Is { name: Name::For | Name::Proto, .. })
                || found == Look::Open && text[0] | 0x20 == b'x');
        if !is_held {
            self.write_begun(out);
            out.extend(is_cut.then_some(byte));
        }
        Step::More
    }

    /// Reads on in a line that says nothing. A carriage return in it becomes a blank, since its rest would be a header for
    /// servers that end lines there.
    fn skip(&mut self, byte: u8, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) {
            out.push(if byte == b'\n' { b'\r' } else { b' ' });
        }
        match byte {
            b'\r' if self.edits() => self.after_cr = true,
            _ => out.push(byte),
        }
        if byte == b'\n' {
            self.place = Place::Second(Second::Name);
        }
    }

    /// A header line follows the first line: it is a request. `is_cut`: the colon is not in `begun`.
    fn found_header(&mut self, found: Look, is_cut: bool, out: &mut Vec<u8>) -> Step {
        self.part = Part::Value;
        let has_blank = matches!(self.place, Place::Second(Second::Blank)) || self.begun.get()[0] <= b' ';
        match found {
            // Its name went out, since more blanks followed than are held.
            Look::Is { name: Name::For | Name::Proto, .. } if self.edits() && self.begun.is_full() => {
                return Step::Refused(Refusal::Ambiguous);
            }
            Look::Is { name: name @ (Name::For | Name::Proto), spelled } => {
                self.fate = self.fate_of(name, spelled && !has_blank, out);
            }
            Look::Is { name: Name::Upgrade, spelled: true } if !has_blank => self.head.upgrades = true,
            Look::Is { .. } => self.head.framing.spoil(),
            Look::Open | Look::Other => {}
        }
        self.place = Place::Line;
        let begun = self.begun.take();
        self.keep(begun.unwritten(), out);
        if is_cut {
            self.keep(b":", out);
        }
        Step::More
    }
}
