//! One head after the other, line by line: what `http` takes out of it and puts in. Pure; called by [`super::Exchanges`].
//!
//! Where servers disagree about what a request is, this sides with the most tolerant of them, since a line that only the
//! server takes for a header would be the forger's: any method and any blanks around the words of the first line count as
//! a request, and so does any line that header lines follow; a blank before a colon makes no other header of it, and a
//! bare carriage return, at which some servers end a line, becomes a blank (RFC 9112, section 2.2). It holds back next to
//! nothing, so that nobody gets past it with a long head, and what is no HTTP arrives as it is sent.

mod second_line;

use super::Refusal;
use super::begun::{BEGUN_BYTES_MAX, Begun};
use super::first_line::{FirstLine, Method, Verdict};
use super::framing::{Body, Framing};
use super::names::{Look, Name, is_blank, is_of_no_concern, is_token, look};
use super::ours::{List, write_address};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::HttpMode;
use second_line::Second;

/// A head longer than this is taken by no server.
const HEAD_BYTES_MAX: u32 = 16 << 20;
/// With `append`, so much behind a list is held back, in case it is the last one. After more, ours is a line of its own.
const HELD_BYTES_MAX: usize = 32 * 1024;

/// Edits the heads of a connection, and the trailers of its bodies.
///
/// Plain `http` adds each line unless the client sent it, and changes nothing else. `replace` drops every line of either
/// name and adds ours. `append` adds the address to the last list that is there, or a line if there is none, and the
/// protocol only if it is missing.
#[derive(Debug)]
pub(super) struct Editor {
    client: ClientAddr,
    proto: &'static str,
    mode: HttpMode,
    place: Place,
    /// In trailers, where nothing is added.
    is_trailer: bool,
    /// Of the head so far.
    seen_bytes: u32,
    begun: Begun,
    /// Of the line being read, or of the one before a continuation.
    fate: Fate,
    part: Part,
    /// The line before says how long the body is.
    after_length: bool,
    /// The last line ended with CR LF.
    crlf: bool,
    /// The byte before was a carriage return, which is not written yet.
    after_cr: bool,
    has_proto: bool,
    has_for: bool,
    list: List,
    head: Head,
}

/// What is known of the present request.
#[derive(Debug, Default)]
struct Head {
    framing: Framing,
    method: Option<Method>,
    is_old: bool,
    /// Its first line ended with CR LF.
    crlf: bool,
    /// Some server might read it differently.
    is_irregular: bool,
    upgrades: bool,
}

/// A head that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub body: Option<Body>,
    pub method: Method,
    /// It asks for another protocol.
    pub upgrades: bool,
    /// It is clear that there is no body, but not what follows: nothing of the client must.
    pub is_last: bool,
}

/// How far the editor has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has read all bytes.
    More,
    Head(Request),
    Trailers,
    /// It is no request.
    NoRequest,
    Refused(Refusal),
}

#[derive(Debug)]
enum Place {
    First(FirstLine),
    /// The line after a first line that is no request by itself.
    Second(Second),
    /// At the beginning of a line; the bytes do not tell yet what it is.
    Name,
    /// The line says how long the body is, or asks for another protocol: it is looked at as a whole.
    Field(Name),
    /// Further on in a line.
    Line,
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

/// Where in a line it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Value,
    /// A continuation of the line before.
    Fold,
}

impl Editor {
    pub(super) fn new(client: ClientAddr, proto: &'static str, mode: HttpMode) -> Editor {
        Editor {
            client,
            proto,
            mode,
            place: Place::First(FirstLine::default()),
            is_trailer: false,
            seen_bytes: 0,
            begun: Begun::EMPTY,
            fate: Fate::Request,
            part: Part::Value,
            after_length: false,
            crlf: true,
            after_cr: false,
            has_proto: false,
            has_for: false,
            list: List::default(),
            head: Head::default(),
        }
    }

    /// Reads on in a head, and says after how many bytes it has ended or come to a decision. Nothing is lost: what was
    /// read and is not in `out` was dropped, or comes later.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> (usize, Step) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at;
            let step = match &mut self.place {
                Place::Line => {
                    at += self.read_line(rest, out);
                    Step::More
                }
                Place::Name if self.begun.length == 0 && is_of_no_concern(rest[0]) => {
                    (self.fate, self.part, self.after_length) = (Fate::Kept, Part::Name, false);
                    self.place = Place::Line;
                    continue;
                }
                Place::First(line) => {
                    let most = HEAD_BYTES_MAX.saturating_sub(self.seen_bytes) as usize + 1;
                    let rest = &rest[..rest.len().min(most)];
                    let (length, verdict) = line.read_on(rest);
                    out.extend_from_slice(&rest[..length]);
                    at += length + usize::from(length < rest.len());
                    rest.get(length).map_or(Step::More, |&byte| self.judge_first(verdict, byte, out))
                }
                _ => {
                    at += 1;
                    self.read(rest[0], out)
                }
            };
            self.seen_bytes = self.seen_bytes.saturating_add((at - before) as u32);
            match step {
                Step::More if self.seen_bytes > HEAD_BYTES_MAX => return (at, self.too_long(out)),
                // At the end of the line, however it came.
                Step::More if self.is_spoiled_trailer() && matches!(self.place, Place::Name) => {
                    return (at, Step::Refused(Refusal::Ambiguous));
                }
                Step::More => {}
                step => return (at, step),
            }
        }
        (at, Step::More)
    }

    /// Some server might see the trailers end elsewhere. The framing of the request was clear when they began.
    fn is_spoiled_trailer(&self) -> bool {
        self.is_trailer && self.edits() && self.head.framing.body().is_none()
    }

    fn too_long(&mut self, out: &mut Vec<u8>) -> Step {
        let is_certain = !matches!(self.place, Place::First(_) | Place::Second(_));
        if is_certain && self.edits() {
            return Step::Refused(Refusal::TooLong);
        }
        self.finish(out);
        Step::NoRequest
    }

    /// The client has sent its end of file, or its bytes are looked at no more: what was held back comes out.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.after_cr) && self.fate != Fate::Dropped {
            self.write(b"\r", out);
        }
        self.release(out);
        out.extend_from_slice(self.begun.take().unwritten());
    }

    /// Whether the first line of a request has come, and not yet the end of its head.
    pub(super) fn is_within_request(&self) -> bool {
        !matches!(self.place, Place::First(_) | Place::Second(_))
    }

    /// For what follows the body of the request before.
    pub(super) fn begin_head(&mut self) {
        self.begin(Place::First(FirstLine::default()), Fate::Request);
        self.crlf = true;
        (self.has_proto, self.has_for) = (false, false);
        self.list.held.clear();
        self.head = Head::default();
    }

    /// For what follows the last chunk.
    pub(super) fn begin_trailers(&mut self) {
        self.begin(Place::Name, Fate::Kept);
        self.is_trailer = true;
    }

    fn begin(&mut self, place: Place, fate: Fate) {
        (self.place, self.fate, self.part) = (place, fate, Part::Value);
        (self.is_trailer, self.after_length, self.seen_bytes) = (false, false, 0);
    }

    /// Whether it takes lines out, and not only adds some.
    fn edits(&self) -> bool {
        self.mode != HttpMode::Add
    }

    fn read(&mut self, byte: u8, out: &mut Vec<u8>) -> Step {
        match self.place {
            Place::Second(second) => self.read_second(second, byte, out),
            Place::Name => self.read_name(byte, out),
            Place::Field(name) => self.read_field(name, byte, out),
            Place::First(_) | Place::Line => Step::More, // read as a whole
        }
    }

    /// What the first line says of a byte.
    fn judge_first(&mut self, verdict: Verdict, byte: u8, out: &mut Vec<u8>) -> Step {
        let edits = self.edits();
        let Place::First(line) = &mut self.place else { return Step::More };
        match verdict {
            Verdict::Superfluous if edits => {
                self.seen_bytes = 0; // however many there are
                return Step::More;
            }
            Verdict::Open | Verdict::Superfluous => out.push(byte),
            Verdict::Binary => {
                out.push(byte);
                return Step::NoRequest;
            }
            Verdict::Request => {
                self.head.is_irregular = !line.is_regular(byte);
                self.head.is_old = line.is_old();
                self.head.method = Some(line.method());
                self.place = Place::Line;
                self.feed(&[byte], out);
            }
            Verdict::Ended { crlf } => {
                self.suspect(crlf);
                out.push(byte);
            }
            Verdict::EndedBefore => {
                self.suspect(true);
                return self.read_second(Second::Name, byte, out);
            }
        }
        Step::More
    }

    fn write_begun(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.begun.unwritten());
        self.begun.written = self.begun.length;
    }

    /// The beginning of a line, as far as it is there.
    fn read_name(&mut self, byte: u8, out: &mut Vec<u8>) -> Step {
        self.begun.push(byte);
        let line = self.begun.get();
        match line {
            b"\n" | b"\r\n" => return self.end_head(out),
            b"\r" => return Step::More,
            _ => {}
        }
        let blanks = line.iter().take_while(|&&byte| is_blank(byte)).count();
        let text = &line[blanks..];
        if text.is_empty() && byte != b'\n' && !self.begun.is_full() {
            return Step::More;
        }
        let is_fold = matches!(line[0], b' ' | b'\t' | b'\r');
        if is_fold && self.is_trailer {
            self.head.framing.spoil();
        }
        let found = if text.is_empty() { Look::Other } else { look(text) };
        if found == Look::Open && !self.begun.is_full() {
            return Step::More;
        }
        // Copied only when it is clear what it is.
        let is_empty = text.is_empty();
        let begun = self.begun;
        match found {
            Look::Open | Look::Other if is_fold => self.begin_fold(is_empty),
            Look::Open | Look::Other => {
                (self.fate, self.part) = (Fate::Kept, Part::Name);
            }
            Look::Is { name, spelled } => {
                let exact = spelled && byte == b':' && blanks == 0;
                match name {
                    _ if self.is_trailer && self.edits() => self.fate = Fate::Dropped,
                    Name::For | Name::Proto => self.fate = self.fate_of(name, exact, out),
                    _ if !self.edits() => self.fate = Fate::Kept,
                    _ if exact => {
                        self.place = Place::Field(name);
                        return Step::More;
                    }
                    Name::Upgrade => self.fate = Fate::Dropped,
                    Name::Length | Name::Encoding => {
                        self.fate = Fate::Kept;
                        self.head.framing.spoil();
                    }
                }
                self.part = Part::Value;
            }
        }
        self.after_length &= is_fold;
        self.begun.clear();
        self.place = Place::Line;
        self.feed(begun.get(), out);
        Step::More
    }

    /// The line before goes on.
    fn begin_fold(&mut self, is_blank: bool) {
        self.part = Part::Fold;
        self.head.is_irregular |= is_blank && self.fate != Fate::Dropped;
        if self.fate == Fate::Request && self.edits() {
            self.fate = Fate::Dropped;
        }
        if self.after_length {
            self.head.framing.spoil();
        }
    }

    /// Of a line that is one of ours. `exact`: spelled as ours is, with the colon right behind it. At another, the head ends
    /// for some servers, so that ours must not stand there.
    fn fate_of(&mut self, name: Name, exact: bool, out: &mut Vec<u8>) -> Fate {
        match (self.mode, name) {
            (HttpMode::Append, _) if !exact => Fate::Dropped,
            (HttpMode::Append, Name::For) => {
                self.release(out); // the list before is not the last one
                self.list.has_colon = false;
                self.list.has_value = false;
                Fate::List
            }
            (HttpMode::Append | HttpMode::Add, _) => {
                self.has_for |= exact && name == Name::For;
                self.has_proto |= exact && name == Name::Proto;
                Fate::Kept
            }
            _ => Fate::Dropped,
        }
    }

    /// A line that is looked at as a whole.
    fn read_field(&mut self, name: Name, byte: u8, out: &mut Vec<u8>) -> Step {
        self.begun.push(byte);
        let is_whole = byte == b'\n';
        if !is_whole && !self.begun.is_full() {
            return Step::More;
        }
        let begun = self.begun.take();
        let line = begun.get();
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
        let value = &line[colon + 1..];
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        (self.fate, self.part) = (Fate::Kept, Part::Value);
        match name {
            Name::Length if is_whole => self.head.framing.length(value),
            Name::Encoding if is_whole => self.head.framing.encoding(value),
            Name::Upgrade => match self.may_upgrade(value) && is_whole {
                true => self.head.upgrades = true,
                false => self.fate = Fate::Dropped,
            },
            _ => self.head.framing.spoil(),
        }
        self.after_length = name != Name::Upgrade;
        self.place = Place::Line;
        self.feed(line, out);
        Step::More
    }

    /// Whether the server may be asked for this protocol: not with `replace` for one whose requests cannot be edited. The
    /// line is for the next hop only, so that taking it out is an answer that every client knows.
    fn may_upgrade(&self, value: &[u8]) -> bool {
        let begins = |token: &[u8], name: &[u8]| {
            token.len() >= name.len() && token[..name.len()].eq_ignore_ascii_case(name)
        };
        let is_http = |token: &[u8]| {
            [b"h2".as_slice(), b"http", b"tls"].iter().any(|name| begins(token.trim_ascii(), name))
        };
        self.mode != HttpMode::Replace || !value.split(|&byte| byte == b',').any(is_http)
    }

    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            bytes = &bytes[self.read_line(bytes, out)..];
        }
    }

    /// Reads on in a line, and says how many bytes were read.
    fn read_line(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        if std::mem::take(&mut self.after_cr) {
            if bytes[0] == b'\n' {
                self.end_line(b"\r\n", out);
                return 1;
            }
            self.head.is_irregular |= self.fate == Fate::Request;
            self.keep(if self.edits() { b" " } else { b"\r" }, out);
        }
        let length = bytes.iter().position(|&byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        self.keep(&bytes[..length], out);
        match bytes.get(length) {
            None => return length,
            Some(b'\r') => self.after_cr = true,
            Some(_) => self.end_line(b"\n", out),
        }
        length + 1
    }

    fn keep(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.fate {
            Fate::Dropped => return,
            Fate::Request => {}
            Fate::Kept => self.check(bytes),
            Fate::List => {
                for &byte in bytes {
                    self.list.has_value |= self.list.has_colon && !matches!(byte, b' ' | b'\t');
                    self.list.has_colon |= byte == b':';
                }
            }
        }
        self.write(bytes, out);
    }

    /// Looks whether every server sees the line as one header, and the same. At a line that is none, the head ends for
    /// some: with lines missing, ours among them.
    fn check(&mut self, bytes: &[u8]) {
        match self.part {
            Part::Value => {}
            Part::Fold => self.head.is_irregular |= bytes.contains(&b':'),
            Part::Name => {
                let colon = bytes.iter().position(|&byte| byte == b':');
                let name = &bytes[..colon.unwrap_or(bytes.len())];
                if !name.iter().all(|&byte| is_token(byte)) {
                    self.head.framing.spoil();
                }
                if colon.is_some() {
                    self.part = Part::Value;
                }
            }
        }
    }

    fn end_line(&mut self, line_end: &[u8], out: &mut Vec<u8>) {
        self.place = Place::Name;
        self.crlf = line_end == b"\r\n";
        match (self.fate, self.part) {
            _ if self.is_trailer && !self.crlf => self.head.framing.spoil(),
            (Fate::Request, _) => self.head.crlf = self.crlf,
            (Fate::Kept, Part::Name) => self.head.framing.spoil(), // no colon
            _ => {}
        }
        self.check_line_end();
        match self.fate {
            Fate::Dropped => {}
            Fate::List if self.list.has_colon => {
                self.release(out);
                self.list.held.extend_from_slice(line_end);
                self.list.is_held = true;
            }
            Fate::Request | Fate::Kept | Fate::List => self.write(line_end, out),
        }
    }

    /// A server that ends lines at CR LF only would read on behind a bare line feed. If the first line ends with one, it
    /// finds no request at all.
    fn check_line_end(&mut self) {
        self.head.is_irregular |= self.head.crlf && !self.crlf;
    }

    /// The line that ends the head is in `begun`.
    fn end_head(&mut self, out: &mut Vec<u8>) -> Step {
        let begun = self.begun.take();
        let end = begun.get();
        if self.is_trailer {
            if self.edits() && end != b"\r\n" {
                return Step::Refused(Refusal::Ambiguous);
            }
            out.extend_from_slice(end);
            return Step::Trailers;
        }
        let line_end = if self.crlf { "\r\n" } else { "\n" };
        self.crlf = end == b"\r\n";
        self.check_line_end();
        let request = match self.edits() {
            true => self.request(),
            false => Ok(Request { body: None, method: Method::Other, upgrades: false, is_last: false }),
        };
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return Step::Refused(refusal),
        };
        self.add_ours(line_end, out);
        if request.is_last {
            out.extend_from_slice(b"Connection: close");
            out.extend_from_slice(line_end.as_bytes());
        }
        out.extend_from_slice(end);
        Step::Head(request)
    }

    fn add_ours(&mut self, line_end: &str, out: &mut Vec<u8>) {
        let (proto, client) = (self.proto, self.client);
        let is_listed = self.list.is_held;
        if is_listed {
            out.extend_from_slice(if self.list.has_value { b", " } else { b" " });
            match client {
                ClientAddr::Ip(ip) => write_address(ip, out),
                ClientAddr::Unix => out.extend_from_slice(b"unknown"),
            }
            self.release(out);
        }
        if !self.has_proto {
            [b"X-Forwarded-Proto: ", proto.as_bytes(), line_end.as_bytes()]
                .iter()
                .for_each(|part| out.extend_from_slice(part));
        }
        if !(is_listed || self.has_for) {
            out.extend_from_slice(b"X-Forwarded-For: ");
            match client {
                ClientAddr::Ip(ip) => write_address(ip, out),
                ClientAddr::Unix if self.edits() => out.extend_from_slice(b"unknown"),
                ClientAddr::Unix => {} // as Pen
            }
            out.extend_from_slice(line_end.as_bytes());
        }
    }

    /// What the head says of the rest of the request.
    fn request(&self) -> Result<Request, Refusal> {
        let Head { framing, method, is_old, is_irregular, upgrades, .. } = &self.head;
        let method = method.unwrap_or(Method::Other);
        let body = framing.body().ok_or(Refusal::Ambiguous)?;
        if framing.is_given() && (*is_irregular || method == Method::Connect)
            || framing.is_chunked() && *is_old
        {
            return Err(Refusal::Ambiguous);
        }
        let body = body.filter(|body| *body != Body::Length(0));
        Ok(Request { body, method, upgrades: *upgrades, is_last: *is_irregular })
    }

    /// Behind a list that may be the last, the bytes wait for the address that may be written before them.
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.list.is_held {
            return out.extend_from_slice(bytes);
        }
        let room = HELD_BYTES_MAX - self.list.held.len();
        if bytes.len() < room {
            return self.list.held.extend_from_slice(bytes);
        }
        self.list.held.extend_from_slice(&bytes[..room]);
        self.release(out);
        out.extend_from_slice(&bytes[room..]);
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.list.is_held) {
            out.append(&mut self.list.held);
            self.list.held.shrink_to(BEGUN_BYTES_MAX * 8);
        }
    }
}
