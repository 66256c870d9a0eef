//! What a server answers, as far as it must be known where answers begin and end. Pure; called by [`super::Exchanges`].
//!
//! Nothing here decides where a request begins: that is for the framing of requests alone. It tells when a server has
//! agreed to another protocol, and when the last answer is complete. A server whose answers cannot be understood is lost
//! sight of: then neither is ever the case.

use super::framing::{Body, End, Framing};
use super::names::{Look, Name, look};

/// Of each line, so much is looked at; a longer one tells no length.
const LINE_BYTES_MAX: usize = 64;

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Plain,
    Head,
    Connect,
    Upgrade,
}

/// What has happened in the bytes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing; all bytes were read.
    More,
    /// The answer to the oldest question is complete.
    Complete,
    /// The server has agreed to another protocol, which begins behind this answer.
    Agreed,
    /// It cannot be followed any more.
    Lost,
}

#[derive(Debug)]
pub(super) struct Answers {
    place: Place,
    line: [u8; LINE_BYTES_MAX],
    /// Bytes of the line so far; more than the room if it is longer.
    length: usize,
    framing: Framing,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Status,
    Headers {
        status: u16,
    },
    Body(Body),
    Trailers,
    /// To the end of the connection.
    Rest,
}

impl Answers {
    pub(super) fn new() -> Answers {
        Answers { place: Place::Status, line: [0; LINE_BYTES_MAX], length: 0, framing: Framing::default() }
    }

    /// Reads on until something happens; says how many bytes were read. `question`: the oldest that is not answered.
    pub(super) fn read(&mut self, bytes: &[u8], question: Option<Question>) -> (usize, Event) {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.place {
                Place::Rest => return (bytes.len(), Event::More),
                Place::Body(body) => match body.read(&bytes[at..]) {
                    End::NotYet => return (bytes.len(), Event::More),
                    End::At(used) => return (at + used, self.complete()),
                    End::Broken => return (bytes.len(), self.lose()),
                    End::Trailers(used) => {
                        at += used;
                        self.place = Place::Trailers;
                    }
                },
                _ => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|&byte| byte == b'\n');
                    let length = end.unwrap_or(rest.len());
                    self.keep(&rest[..length]);
                    at += length + usize::from(end.is_some());
                    match end.map(|_| self.end_line(question)) {
                        None | Some(Event::More) => {}
                        Some(event) => return (at, event),
                    }
                }
            }
        }
        (at, Event::More)
    }

    /// So many bytes need not be looked at.
    pub(super) fn unlooked_bytes(&self) -> u64 {
        match self.place {
            Place::Body(Body::Length(left)) => left,
            Place::Rest => u64::MAX,
            _ => 0,
        }
    }

    /// So many of them have come.
    pub(super) fn skip(&mut self, bytes: u64) {
        if let Place::Body(Body::Length(left)) = &mut self.place {
            *left = left.saturating_sub(bytes);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let place = self.line.get_mut(self.length..).unwrap_or_default();
        let count = place.len().min(bytes.len());
        place[..count].copy_from_slice(&bytes[..count]);
        self.length += bytes.len();
    }

    fn end_line(&mut self, question: Option<Question>) -> Event {
        let length = std::mem::take(&mut self.length);
        let line = &self.line[..length.min(LINE_BYTES_MAX)];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_cut = length > LINE_BYTES_MAX;
        match self.place {
            Place::Status if line.is_empty() => Event::More, // as between requests
            Place::Status => match (status(line), question) {
                (Some(status), Some(_)) => {
                    self.place = Place::Headers { status };
                    self.framing = Framing::default();
                    Event::More
                }
                _ => self.lose(),
            },
            Place::Headers { status } if line.is_empty() => self.end_head(status, question),
            Place::Trailers if line.is_empty() => self.complete(),
            Place::Headers { .. } => {
                if let Look::Is { name, spelled } = look(line) {
                    let colon = line.iter().position(|&byte| byte == b':');
                    let value = colon.filter(|_| spelled && !is_cut).map(|colon| &line[colon + 1..]);
                    match (name, value) {
                        (Name::Length, Some(value)) => self.framing.length(value),
                        (Name::Encoding, Some(value)) => self.framing.encoding(value),
                        (Name::Length | Name::Encoding, None) => self.framing.spoil(),
                        _ => {}
                    }
                }
                Event::More
            }
            _ => Event::More,
        }
    }

    fn end_head(&mut self, status: u16, question: Option<Question>) -> Event {
        // What has a body, or says that it has none, is no tunnel (RFC 9110, section 9.3.6).
        let is_bare = self.framing.body() == Some(None);
        match (status, question) {
            (205, Some(Question::Connect)) if is_bare => return self.complete(),
            (101, Some(Question::Upgrade)) => return self.agree(),
            (200..=299, Some(Question::Connect)) if is_bare && status != 204 => return self.agree(),
            (101, _) => return self.lose(),
            (100..=199, _) => {
                self.place = Place::Status;
                return Event::More;
            }
            (204 | 304, _) | (_, Some(Question::Head)) => return self.complete(),
            _ => {}
        }
        match self.framing.body() {
            Some(Some(Body::Length(0))) => return self.complete(),
            Some(Some(body)) => self.place = Place::Body(body),
            Some(None) => self.place = Place::Rest,
            None => return self.lose(),
        }
        Event::More
    }

    fn complete(&mut self) -> Event {
        self.place = Place::Status;
        Event::Complete
    }

    fn agree(&mut self) -> Event {
        self.place = Place::Rest;
        Event::Agreed
    }

    fn lose(&mut self) -> Event {
        self.place = Place::Rest;
        Event::Lost
    }
}

/// The status in a line of HTTP/1.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [b'0'..=b'9', b' ', digits @ ..] = rest else { return None };
    let (digits, after) = digits.split_at_checked(3)?;
    let is_number = digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0';
    let ends = after.first().is_none_or(|&byte| byte == b' ');
    (is_number && ends).then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit & 0x0f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of one answer after the other, with what each is for; whole and byte by byte.
    fn events(questions: &[Question], text: &str) -> Vec<Event> {
        let read = |size| {
            let (mut answers, mut events) = (Answers::new(), Vec::new());
            let mut questions = questions.iter().copied();
            let mut question = questions.next();
            for mut piece in text.as_bytes().chunks(size) {
                while !piece.is_empty() {
                    let (used, event) = answers.read(piece, question);
                    piece = &piece[used..];
                    if event == Event::Complete {
                        question = questions.next();
                    }
                    if event != Event::More {
                        events.push(event);
                    }
                }
            }
            events
        };
        let whole = read(text.len());
        assert_eq!(read(1), whole, "{text:?}");
        whole
    }

    #[test]
    fn answers_end_where_they_say() {
        use Event::{Agreed, Complete, Lost};
        use Question::{Connect, Head, Plain, Upgrade};
        let cases: [(&[Question], &str, &[Event]); 22] = [
            (&[Plain], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &[Complete]),
            (&[Plain], "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", &[Complete]),
            (&[Plain], "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", &[]),
            (&[Plain], "HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n", &[Complete]),
            (&[Head], "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", &[Complete]),
            (&[Plain], "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 304 Old\r\n\r\n", &[Complete]),
            (&[Plain], "HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 101 no\r\n\r\n", &[]),
            (
                &[Plain, Plain],
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
                &[Complete, Complete],
            ),
            (&[Upgrade], "HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\nanything\r\n", &[Agreed]),
            (&[Upgrade], "HTTP/1.1 200 No\r\nContent-Length: 1\r\n\r\nx", &[Complete]),
            (&[Connect], "HTTP/1.1 200 Yes\r\nA: b\r\n\r\n\0", &[Agreed]),
            (&[Connect], "HTTP/1.1 200 No\r\nContent-Length: 1\r\n\r\nx", &[Complete]),
            (&[Connect], "HTTP/1.1 200 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[Complete]),
            (&[Connect], "HTTP/1.1 200 No\r\nContent_Length: 1\r\n\r\nx", &[Lost]),
            (&[Connect], "HTTP/1.1 204 No\r\n\r\n", &[Complete]),
            (&[Connect], "HTTP/1.1 205 No\r\n\r\n", &[Complete]),
            (&[Connect], "HTTP/1.1 405 No\r\nContent-Length: 1\r\n\r\nx", &[Complete]),
            (&[Plain], "HTTP/1.1 101 Yes\r\n\r\n", &[Lost]),
            (&[Plain], "<html>\r\n", &[Lost]),
            (&[], "HTTP/1.1 408 Late\r\n\r\n", &[Lost]),
            (&[Plain], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", &[Lost]),
            (&[Plain], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", &[Lost]),
        ];
        for (questions, text, expected) in cases {
            assert_eq!(events(questions, text), expected, "{text:?}");
        }
    }
}
