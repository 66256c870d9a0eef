//! The line that may begin a request. Pure; read by `edit.rs`.

use super::names::{is_blank, is_token};

/// Longer than `HTTP/1.1`, so that a word which is cut is none.
const WORD_BYTES_MAX: usize = 9;
/// So many bytes of empty lines before a request are passed on; the others are dropped. Servers skip a few (RFC 9112,
/// section 2.2), and some skip any number, behind which a request would not be found any more.
const EMPTY_BYTES_MAX: u8 = 16;

/// What a byte says about the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    /// Part of one empty line too many.
    Superfluous,
    /// The version of HTTP stands before this byte: it is a request, whatever follows.
    Request,
    /// The line has ended with this byte, without a version. What follows decides.
    Ended {
        crlf: bool,
    },
    /// As `Ended`, by the carriage return before this byte, which belongs to the next line.
    EndedBefore,
    /// It has ended, and is nothing that a person or a program writes as text.
    Binary,
}

/// Which request it is, as far as that decides where its answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

#[derive(Debug, Default)]
pub(super) struct FirstLine {
    words: u8,
    /// The beginning of the word being read.
    word: Word,
    empty_bytes: u8,
    is_binary: bool,
    after_cr: bool,
    strict: Strict,
}

/// The first bytes of a word.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    length: u8,
}

impl Word {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
            *place = byte;
            self.length += 1;
        }
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The same line held against `METHOD SP target SP HTTP/1.x`.
#[derive(Debug, Default)]
struct Strict {
    is_violated: bool,
    blanks: u8,
    method: Word,
    has_target: bool,
    version: Word,
}

impl FirstLine {
    /// Reads on; how many bytes leave it open, and what the next one says.
    pub(super) fn read_on(&mut self, bytes: &[u8]) -> (usize, Verdict) {
        let said = bytes.iter().map(|&byte| self.read(byte)).enumerate();
        let mut said = said.skip_while(|(_, verdict)| *verdict == Verdict::Open);
        said.next().unwrap_or((bytes.len(), Verdict::Open))
    }

    /// A request is a line in which some word behind the first begins as `HTTP/1.1` does, with any blanks between the
    /// words that some server takes for such. Empty lines before it are passed over.
    #[inline]
    fn read(&mut self, byte: u8) -> Verdict {
        if std::mem::take(&mut self.after_cr) && self.words > 0 {
            return match byte {
                b'\n' => self.ended(Verdict::Ended { crlf: true }),
                // Some server takes any number of them for the beginning of one line end.
                b'\r' => {
                    self.after_cr = true;
                    Verdict::Open
                }
                _ => self.ended(Verdict::EndedBefore),
            };
        }
        if !is_blank(byte) {
            if self.words == 0 && self.word.length == 0 {
                self.strict = Strict { is_violated: self.strict.is_violated, ..Strict::default() };
            }
            self.word.push(byte);
            self.strict.read(byte);
            return Verdict::Open;
        }
        let word = std::mem::take(&mut self.word);
        if self.words > 0 && is_version(word.get()) {
            return Verdict::Request;
        }
        self.words += u8::from(self.words < 2 && word.length > 0);
        self.after_cr = byte == b'\r';
        match (self.words, byte) {
            (0, b'\r' | b'\n' | b' ' | b'\t' | 0x0b | 0x0c) => self.skip(byte),
            (0, _) => {
                // Some server takes the others for blanks.
                self.is_binary |= matches!(byte, 0..=0x08 | 0x0e..=0x1b | 0x7f..=0x84 | 0x86..=0x9f);
                self.strict.is_violated = true;
                Verdict::Open
            }
            (_, b'\n') => self.ended(Verdict::Ended { crlf: false }),
            (_, b'\r') => Verdict::Open,
            _ => {
                self.strict.read(byte);
                Verdict::Open
            }
        }
    }

    fn skip(&mut self, byte: u8) -> Verdict {
        self.strict.is_violated |= !matches!(byte, b'\r' | b'\n');
        if self.is_binary {
            return Verdict::Open;
        }
        if self.empty_bytes == EMPTY_BYTES_MAX {
            return Verdict::Superfluous;
        }
        self.empty_bytes += 1;
        Verdict::Open
    }

    fn ended(&mut self, verdict: Verdict) -> Verdict {
        if self.is_binary { Verdict::Binary } else { verdict }
    }

    /// Whether every server reads the line alike; asked when it was found to be a request by `byte`.
    pub(super) fn is_regular(&self, byte: u8) -> bool {
        matches!(byte, b'\r' | b'\n') && self.strict.is_kept()
    }

    /// Whether it says HTTP/1.0, where there are no chunks.
    pub(super) fn is_old(&self) -> bool {
        self.strict.version.get() == b"HTTP/1.0"
    }

    pub(super) fn method(&self) -> Method {
        match self.strict.method.get() {
            b"HEAD" => Method::Head,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

impl Strict {
    fn read(&mut self, byte: u8) {
        match (byte, self.blanks) {
            (b' ', _) => self.blanks = self.blanks.saturating_add(1),
            (..=0x1f | 0x7f, _) => self.is_violated = true,
            (_, 0) => {
                self.is_violated |= !is_token(byte);
                self.method.push(byte);
            }
            (_, 1) => self.has_target = true,
            _ => self.version.push(byte),
        }
    }

    fn is_kept(&self) -> bool {
        let method = self.method.get();
        // A server that minds no case would know another method than the one that is written here.
        let is_ambiguous = [b"HEAD".as_slice(), b"CONNECT"]
            .iter()
            .any(|name| method != *name && method.eq_ignore_ascii_case(name));
        !self.is_violated
            && self.blanks == 2
            && self.has_target
            && !method.is_empty()
            && !is_ambiguous
            && matches!(self.version.get(), b"HTTP/1.1" | b"HTTP/1.0")
    }
}

fn is_version(word: &[u8]) -> bool {
    word.len() > 5 && word[..5].eq_ignore_ascii_case(b"HTTP/") && word[5].is_ascii_digit()
}
