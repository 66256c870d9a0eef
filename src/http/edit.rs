//! `http replace` and `http append`: header lines that a client cannot forge. Pure; called by [`super::Head`].
//!
//! Where servers disagree about what a request is, this sides with the most tolerant of them, since a line that only the
//! server takes for a header would be the forger's: any method and any blanks around the words of the first line count as
//! a request, a blank before a colon makes no other header of it, and a bare carriage return, at which some servers end a
//! line, becomes a blank (RFC 9112, section 2.2). It decides line by line and holds back next to nothing, so that nobody
//! gets past it with a long head.

use super::Progress;
use pen_proto::addr::ClientAddr;

/// A head longer than this is taken by no server; what follows passes unchanged.
const HEAD_BYTES_MAX: usize = 16 << 20;
/// With `append`, so much behind a list is held back, in case it is the last one. After more, ours is a line of its own.
const HELD_BYTES_MAX: usize = 32 * 1024;

const FOR: &[u8] = b"x-forwarded-for";
const PROTO: &[u8] = b"x-forwarded-proto";
/// Longer than `HTTP/1.1`, so that a word which is cut is none.
const WORD_BYTES_MAX: usize = 9;

/// Takes out and puts in the lines of the first header block.
///
/// `replace` drops every line of either name and adds ours. `append` adds the address to the last list that is there, or
/// a line if there is none, and the protocol only if it is missing. Everything but HTTP/1 requests passes unchanged.
#[derive(Debug)]
pub struct Editor {
    address: String,
    proto: &'static str,
    appends: bool,
    place: Place,
    /// Bytes of the head so far.
    seen_bytes: usize,
    /// Of the line being read, or of the one before a continuation.
    fate: Fate,
    /// The last line ended with CR LF.
    crlf: bool,
    /// The byte before was a carriage return, which is not written yet.
    after_cr: bool,
    has_proto: bool,
    list: List,
}

#[derive(Debug)]
enum Place {
    FirstLine(FirstLine),
    /// At the beginning of a header; the bytes do not tell yet which one it is.
    Name(Vec<u8>),
    /// Further on in a line.
    Line,
    /// Behind the header block, or this is no request.
    Done,
}

/// What is known of a line that may become a request line.
#[derive(Debug, Default)]
struct FirstLine {
    words: usize,
    is_preface: bool,
    /// The beginning of the word being read.
    word: Vec<u8>,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The line of the request: kept. A line behind it that begins with a blank continues nothing and is dropped (RFC 9112,
    /// section 2.2): a server might take it for a header.
    Request,
    Kept,
    Dropped,
    /// Kept, and a list of addresses that ours may be added to.
    List,
}

/// The list that was read last.
#[derive(Debug, Default)]
struct List {
    /// From its line end on; while it is held, the end of the list is not written yet.
    held: Option<Vec<u8>>,
    has_colon: bool,
    has_value: bool,
}

impl Editor {
    /// The address is written without its port, and `unknown` for a client of a Unix socket.
    pub fn new(client: ClientAddr, proto: &'static str, appends: bool) -> Editor {
        let address = match client {
            ClientAddr::Ip(ip) => ip.to_string(),
            ClientAddr::Unix => "unknown".to_owned(),
        };
        Editor {
            address,
            proto,
            appends,
            place: Place::FirstLine(FirstLine::default()),
            seen_bytes: 0,
            fate: Fate::Request,
            crlf: true,
            after_cr: false,
            has_proto: false,
            list: List::default(),
        }
    }

    /// As [`super::Head::push`].
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.seen_bytes == HEAD_BYTES_MAX {
                self.finish(out);
            }
            if let Place::Done = self.place {
                out.extend_from_slice(&bytes[index..]);
                return Progress::Done;
            }
            self.seen_bytes += 1;
            self.read(byte, out);
        }
        if let Place::Done = self.place { Progress::Done } else { Progress::NeedMore }
    }

    /// As [`super::Head::finish`].
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) && self.fate != Fate::Dropped {
            self.write(b'\r', out);
        }
        self.release(out);
        if let Place::Name(bytes) = std::mem::replace(&mut self.place, Place::Done) {
            out.extend_from_slice(&bytes);
        }
    }

    fn read(&mut self, byte: u8, out: &mut Vec<u8>) {
        match &mut self.place {
            Place::FirstLine(line) => match line.read(byte) {
                Verdict::Open => out.push(byte),
                Verdict::NoRequest => {
                    out.push(byte);
                    self.place = Place::Done;
                }
                Verdict::Request => {
                    self.place = Place::Line;
                    self.read_line(byte, out);
                }
            },
            Place::Name(bytes) => {
                bytes.push(byte);
                let bytes = std::mem::take(bytes);
                self.read_name(bytes, out);
            }
            Place::Line => self.read_line(byte, out),
            Place::Done => out.push(byte),
        }
    }

    /// The beginning of a line, as far as it is there.
    fn read_name(&mut self, bytes: Vec<u8>, out: &mut Vec<u8>) {
        match &bytes[..] {
            b"\n" | b"\r\n" => return self.end_head(&bytes, out),
            b"\r" => return self.place = Place::Name(bytes),
            // The line before goes on.
            [b' ' | b'\t' | b'\r', ..] if self.fate == Fate::Request => self.fate = Fate::Dropped,
            [b' ' | b'\t' | b'\r', ..] => {}
            _ if is_begun(&bytes, FOR) || is_begun(&bytes, PROTO) => return self.place = Place::Name(bytes),
            _ if is_named(&bytes, FOR) => self.fate = self.fate_of_list(out),
            _ if is_named(&bytes, PROTO) && self.appends => (self.fate, self.has_proto) = (Fate::Kept, true),
            _ if is_named(&bytes, PROTO) => self.fate = Fate::Dropped,
            _ => self.fate = Fate::Kept,
        }
        self.place = Place::Line;
        for byte in bytes {
            self.read_line(byte, out);
        }
    }

    fn fate_of_list(&mut self, out: &mut Vec<u8>) -> Fate {
        if !self.appends {
            return Fate::Dropped;
        }
        self.release(out); // the list before is not the last one
        self.list = List::default();
        Fate::List
    }

    fn read_line(&mut self, byte: u8, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) {
            if byte == b'\n' {
                return self.end_line(b"\r\n", out);
            }
            self.keep(b' ', out);
        }
        match byte {
            b'\r' => self.after_cr = true,
            b'\n' => self.end_line(b"\n", out),
            _ => self.keep(byte, out),
        }
    }

    fn keep(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.fate == Fate::List {
            self.list.has_value |= self.list.has_colon && !matches!(byte, b' ' | b'\t');
            self.list.has_colon |= byte == b':';
        }
        if self.fate != Fate::Dropped {
            self.write(byte, out);
        }
    }

    fn end_line(&mut self, line_end: &[u8], out: &mut Vec<u8>) {
        self.place = Place::Name(Vec::new());
        self.crlf = line_end == b"\r\n";
        match self.fate {
            Fate::Dropped => {}
            Fate::List if self.list.has_colon => {
                self.release(out);
                self.list.held = Some(line_end.to_vec());
            }
            Fate::Request | Fate::Kept | Fate::List => {
                line_end.iter().for_each(|&byte| self.write(byte, out))
            }
        }
    }

    /// `blank_line` is the line that ends the header block.
    fn end_head(&mut self, blank_line: &[u8], out: &mut Vec<u8>) {
        let line_end = if self.crlf { "\r\n" } else { "\n" };
        let is_listed = self.list.held.is_some();
        if is_listed {
            let comma = if self.list.has_value { "," } else { "" };
            out.extend_from_slice(format!("{comma} {}", self.address).as_bytes());
            self.release(out);
        }
        if !self.has_proto {
            out.extend_from_slice(format!("X-Forwarded-Proto: {}{line_end}", self.proto).as_bytes());
        }
        if !is_listed {
            out.extend_from_slice(format!("X-Forwarded-For: {}{line_end}", self.address).as_bytes());
        }
        out.extend_from_slice(blank_line);
        self.place = Place::Done;
    }

    /// Behind a list that may be the last, the bytes wait for the address that may be written before them.
    fn write(&mut self, byte: u8, out: &mut Vec<u8>) {
        match &mut self.list.held {
            None => out.push(byte),
            Some(held) => {
                held.push(byte);
                if held.len() == HELD_BYTES_MAX {
                    self.release(out);
                }
            }
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        out.extend(self.list.held.take().unwrap_or_default());
    }
}

/// What a byte says about the first line.
enum Verdict {
    Open,
    NoRequest,
    Request,
}

impl FirstLine {
    /// A request is a line in which some word behind the first begins as `HTTP/1.1` does. Empty lines before it are passed
    /// over, as servers do (RFC 9112, section 2.2). The preface of HTTP/2 is no request: it must not be edited.
    fn read(&mut self, byte: u8) -> Verdict {
        if !byte.is_ascii_whitespace() && byte != b'\x0b' {
            if self.word.len() < WORD_BYTES_MAX {
                self.word.push(byte);
            }
            return Verdict::Open;
        }
        let word = std::mem::take(&mut self.word);
        let is_version =
            word.len() > 5 && word[..5].eq_ignore_ascii_case(b"HTTP/") && word[5].is_ascii_digit();
        if self.words > 0 && is_version && !(self.is_preface && word == b"HTTP/2.0") {
            return Verdict::Request;
        }
        if !word.is_empty() {
            self.is_preface |= self.words == 0 && word == b"PRI";
            self.words += 1;
        }
        match byte {
            b'\n' if self.words > 0 => Verdict::NoRequest,
            _ => Verdict::Open,
        }
    }
}

/// Whether it may become this name, or is it so far.
fn is_begun(bytes: &[u8], name: &[u8]) -> bool {
    bytes.len() <= name.len() && bytes.eq_ignore_ascii_case(&name[..bytes.len()])
}

/// Whether it is this name and the byte after it.
fn is_named(bytes: &[u8], name: &[u8]) -> bool {
    let Some((begin, after)) = bytes.split_at_checked(name.len()) else { return false };
    begin.eq_ignore_ascii_case(name) && matches!(after, [b':' | b' ' | b'\t' | b'\r', ..])
}

#[cfg(test)]
mod tests;
