//! The one edit that pen makes to what clients send (`http`): telling the server who the client is. Pure.
//!
//! Plain `http` edits the first request of a connection and lets go. `replace` and `append` follow the requests of a
//! connection and edit each: [`Exchanges`] sees everything that the client sends, and for a few decisions what the server
//! answers. Where the next request begins is told by requests alone, and as soon as two servers could read it
//! differently, nothing of the client passes any more. How a head is edited is in `edit.rs`, where bodies end in
//! `framing.rs`, and where answers do in `answers.rs`.

mod answers;
mod begun;
mod edit;
mod first_line;
mod framing;
mod names;
mod ours;

use answers::{Answers, Event, Question};
use edit::{Editor, Request, Step};
use first_line::Method;
use framing::{Body, End};
pub(crate) use names::is_token;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::HttpMode;
use std::fmt;

/// What clients of HTTP/2 begin with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So much of it is a request line like any other, and passes.
const PREFACE_LINE_BYTES: usize = 16;
/// Requests that may wait for their answers; then the client is not read until one comes.
const OPEN_MAX: u8 = 64;

/// What is to be done with the client from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Some bytes may be held back. At end of file call [`Exchanges::finish`].
    NeedMore,
    /// Everything pushed has come out, and everything to come passes through unchanged.
    Done,
    /// Bytes are held until the server has answered: read no more until [`Exchanges::answer`] says so.
    Waits,
    /// End the connection.
    Refused(Refusal),
    /// Nothing of the client passes any more, and no answer is awaited: end the connection.
    Ended,
}

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Servers may differ about where it ends.
    Ambiguous,
    /// Its head is longer than any server takes.
    TooLong,
    /// It is HTTP/2.
    Http2,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Ambiguous => "it is not certain where its request ends",
            Refusal::TooLong => "the head of its request is too long",
            Refusal::Http2 => {
                "it speaks HTTP/2, whose requests http replace cannot edit (http replace h2 lets it pass)"
            }
        })
    }
}

/// What an answer means for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    Nothing,
    /// What is held may go on: push on, with nothing if there is nothing new.
    GoOn,
    /// That was the last answer: end the connection behind it.
    Ended,
    /// That was the last answer before a request that is refused: end the connection behind it.
    Refused(Refusal),
}

/// The requests of a connection, and as much of their answers as must be known.
#[derive(Debug)]
pub struct Exchanges {
    mode: HttpMode,
    editor: Editor,
    phase: Phase,
    /// So many bytes of the connection are those of [`PREFACE`], and no other came.
    preface_bytes: u8,
    has_edited: bool,
    answers: Answers,
    is_lost: bool,
    /// Requests without a complete answer.
    open: u8,
    /// Which of them ask for a head only, the oldest first.
    heads: u64,
    /// What the last of them is.
    last: Question,
    /// Came from the client behind a request whose answer decides what it is.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body(Body),
    Trailers,
    /// Whatever comes now, the server's answer decides.
    Awaiting,
    /// The server speaks another protocol now; the client may still begin HTTP/2 in it, and has sent so much of that.
    Agreed {
        preface_bytes: usize,
    },
    /// The client has sent its last request: nothing more of it passes.
    Last,
    Passing,
    /// So many requests before that one have no complete answer yet. Nothing more of the client passes.
    Refused {
        refusal: Refusal,
        owed: u8,
    },
}

impl Exchanges {
    /// For a connection of `client`. `proto` is what X-Forwarded-Proto is to say: `http`, or `https` for a client that came
    /// through TLS. With [`HttpMode::Off`] there is nothing to do; it is taken for `Add`.
    pub fn new(client: ClientAddr, proto: &'static str, mode: HttpMode) -> Exchanges {
        let mode = if mode == HttpMode::Off { HttpMode::Add } else { mode };
        Exchanges {
            mode,
            editor: Editor::new(client, proto, mode),
            phase: Phase::Head,
            preface_bytes: 0,
            has_edited: false,
            answers: Answers::new(),
            is_lost: false,
            open: 0,
            heads: 0,
            last: Question::Plain,
            held: Vec::new(),
        }
    }

    /// Whether some request has got its header lines.
    pub fn has_edited(&self) -> bool {
        self.has_edited
    }

    /// Takes the next bytes from the client and appends to `out` what may go to the server. How the bytes are cut into
    /// calls makes no difference to what comes out in all.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        let matched = usize::from(self.preface_bytes);
        let rest = if matched < PREFACE.len() { self.read_preface(matched, bytes, out) } else { bytes };
        self.read(rest, out)
    }

    /// Whether all of it passes unchanged; then it need not be pushed.
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        match &mut self.phase {
            Phase::Body(Body::Length(left)) if *left > bytes.len() as u64 => {
                *left -= bytes.len() as u64;
                true
            }
            _ => false,
        }
    }

    /// The client has sent its end of file: what was held back comes out unchanged. Not within the head of a request that
    /// must be edited: some server takes the end of the file for that of the head.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Progress {
        if self.mode != HttpMode::Add && self.phase == Phase::Head && self.editor.is_within_request() {
            self.refuse(Refusal::Ambiguous);
            return self.at_rest();
        }
        let held = self.held_preface();
        match self.phase {
            Phase::Head | Phase::Trailers => self.editor.finish(out),
            _ => {}
        }
        out.extend_from_slice(held);
        self.preface_bytes = u8::MAX;
        Progress::NeedMore
    }

    fn held_preface(&self) -> &'static [u8] {
        let matched = usize::from(self.preface_bytes);
        PREFACE.get(PREFACE_LINE_BYTES..matched).unwrap_or_default()
    }

    /// Passes what is still the preface, its first line as it comes and the rest when it is complete; returns what is not.
    fn read_preface<'a>(&mut self, matched: usize, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let more = bytes.iter().zip(&PREFACE[matched..]).take_while(|(byte, wanted)| byte == wanted).count();
        let (same, rest) = bytes.split_at(more);
        let in_line = PREFACE_LINE_BYTES.saturating_sub(matched).min(more);
        self.read(&same[..in_line], out);
        self.preface_bytes += more as u8;
        if matched + more == PREFACE.len() {
            self.phase = match self.mode {
                HttpMode::Replace => Phase::Refused { refusal: Refusal::Http2, owed: 0 },
                _ => {
                    out.extend_from_slice(self.held_preface());
                    Phase::Passing
                }
            };
            self.preface_bytes = u8::MAX;
        } else if !rest.is_empty() {
            let held = self.held_preface();
            self.preface_bytes = u8::MAX;
            self.read(held, out);
        }
        rest
    }

    fn read(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        loop {
            match &mut self.phase {
                Phase::Passing => {
                    out.extend_from_slice(bytes);
                    return Progress::Done;
                }
                Phase::Last | Phase::Refused { .. } => return self.at_rest(),
                _ if bytes.is_empty() => return Progress::NeedMore,
                Phase::Awaiting => {
                    self.held.extend_from_slice(bytes);
                    return Progress::Waits;
                }
                Phase::Agreed { preface_bytes } => {
                    let wanted = &PREFACE[*preface_bytes..];
                    let same = bytes.iter().zip(wanted).take_while(|(byte, wanted)| byte == wanted).count();
                    *preface_bytes += same;
                    let is_whole = *preface_bytes == PREFACE.len();
                    if same < bytes.len() && !is_whole {
                        self.phase = Phase::Passing;
                    } else {
                        out.extend_from_slice(&bytes[..same - usize::from(is_whole)]);
                        bytes = &bytes[same..];
                    }
                    if is_whole {
                        self.phase = Phase::Refused { refusal: Refusal::Http2, owed: 0 };
                    }
                }
                Phase::Head | Phase::Trailers => {
                    let (used, step) = self.editor.push(bytes, out);
                    bytes = &bytes[used..];
                    self.take(step);
                }
                Phase::Body(body) => {
                    let end = body.read(bytes);
                    let used = match end {
                        End::NotYet => bytes.len(),
                        End::At(used) | End::Trailers(used) => used,
                        End::Broken => 0,
                    };
                    out.extend_from_slice(&bytes[..used]);
                    bytes = &bytes[used..];
                    match end {
                        End::NotYet => {}
                        End::At(_) => self.end_request(),
                        End::Trailers(_) => {
                            self.editor.begin_trailers();
                            self.phase = Phase::Trailers;
                        }
                        End::Broken => self.refuse(Refusal::Ambiguous),
                    }
                }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::More => {}
            Step::Head(request) => {
                self.has_edited = true;
                self.ask(&request);
                match request {
                    _ if self.mode == HttpMode::Add => self.phase = Phase::Passing,
                    Request { is_last: true, .. } => self.phase = Phase::Last,
                    Request { body: Some(body), .. } => self.phase = Phase::Body(body),
                    Request { body: None, .. } => self.end_request(),
                }
            }
            Step::Trailers => self.end_request(),
            // The first bytes of a connection may be anything. Behind a request they are a mistake, which no server
            // reads beyond.
            Step::NoRequest if self.has_edited => self.phase = Phase::Last,
            Step::NoRequest => self.phase = Phase::Passing,
            Step::Refused(refusal) => self.refuse(refusal),
        }
    }

    /// The present request is not passed on, or not to its end. What was asked before it is answered first, if that can be
    /// followed.
    fn refuse(&mut self, refusal: Refusal) {
        let is_counted = matches!(self.phase, Phase::Body(_) | Phase::Trailers);
        let owed = if self.is_lost { 0 } else { self.open.saturating_sub(u8::from(is_counted)) };
        self.phase = Phase::Refused { refusal, owed };
    }

    /// What there is to do when nothing more of the client passes.
    fn at_rest(&self) -> Progress {
        match self.phase {
            Phase::Refused { refusal, owed: 0 } => Progress::Refused(refusal),
            Phase::Last if self.open == 0 && !self.is_lost => Progress::Ended,
            _ => Progress::NeedMore,
        }
    }

    /// Whether a request was refused.
    pub fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused { .. })
    }

    /// The server is asked something.
    fn ask(&mut self, request: &Request) {
        self.last = match request.method {
            Method::Head => Question::Head,
            Method::Connect => Question::Connect,
            Method::Other if request.upgrades => Question::Upgrade,
            Method::Other => Question::Plain,
        };
        if !self.is_lost {
            self.heads |= u64::from(self.last == Question::Head) << self.open;
            self.open += 1;
        }
    }

    /// The next byte of the client is that of another request, if the server sees it as we do.
    fn end_request(&mut self) {
        self.editor.begin_head();
        self.phase = match self.is_lost {
            true if self.last_decides() => Phase::Last,
            // A server may answer before it has the whole body: then there is nothing to wait for.
            false if self.open > 0 && (self.last_decides() || self.open == OPEN_MAX) => Phase::Awaiting,
            _ => Phase::Head,
        };
    }

    /// Whether it depends on the answer to the last request what the client says next.
    fn last_decides(&self) -> bool {
        matches!(self.last, Question::Connect | Question::Upgrade)
    }

    /// Sees what the server sends.
    pub fn answer(&mut self, mut bytes: &[u8]) -> Answered {
        let mut answered = Answered::Nothing;
        while !bytes.is_empty() {
            let (used, event) = self.answers.read(bytes, self.question());
            bytes = &bytes[used..];
            let before = self.phase;
            match event {
                Event::More => {}
                Event::Complete => {
                    self.open -= 1;
                    self.heads >>= 1;
                    match self.phase {
                        Phase::Refused { refusal, owed: 0 | 1 } => {
                            self.phase = Phase::Refused { refusal, owed: 0 };
                            return Answered::Refused(refusal);
                        }
                        Phase::Refused { refusal, owed } => {
                            self.phase = Phase::Refused { refusal, owed: owed - 1 };
                        }
                        Phase::Last if self.open == 0 => return Answered::Ended,
                        Phase::Awaiting if self.open == 0 || !self.last_decides() => self.phase = Phase::Head,
                        _ => {}
                    }
                }
                Event::Agreed if self.is_refused() => {}
                Event::Agreed => {
                    let may_be_http2 = self.mode != HttpMode::Replace || self.last == Question::Connect;
                    self.phase =
                        if may_be_http2 { Phase::Passing } else { Phase::Agreed { preface_bytes: 0 } };
                }
                Event::Lost => {
                    self.is_lost = true;
                    if let Phase::Refused { refusal, owed } = &mut self.phase {
                        *owed = 0;
                        return Answered::Refused(*refusal);
                    }
                    if self.phase == Phase::Awaiting {
                        self.phase = if self.last_decides() { Phase::Last } else { Phase::Head };
                    }
                }
            }
            if self.phase != before && !self.is_refused() {
                answered = Answered::GoOn;
            }
        }
        answered
    }

    /// The server says nothing more: what waits for its answer goes nowhere, and the client may be read to its end.
    pub fn end_of_answers(&mut self) -> Answered {
        if self.phase != Phase::Awaiting {
            return Answered::Nothing;
        }
        self.held.clear();
        self.phase = Phase::Last;
        Answered::GoOn
    }

    /// Whether the server's next bytes are the inside of an answer, at least so many.
    pub fn unlooked_bytes(&self) -> u64 {
        self.answers.unlooked_bytes()
    }

    /// So many of them have come.
    pub fn skip(&mut self, bytes: u64) {
        self.answers.skip(bytes);
    }

    /// What was held while an answer was awaited, to be pushed.
    pub fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn question(&self) -> Option<Question> {
        match self.open {
            0 => None,
            1 => Some(self.last),
            _ if self.heads & 1 == 1 => Some(Question::Head),
            _ => Some(Question::Plain),
        }
    }
}

#[cfg(test)]
mod following_tests;
#[cfg(test)]
mod tests;
