//! One visitor: hears a request, answers it, leaves.
//!
//! Owns a connection's states and deadlines. Never blocks; the time is an argument.

use crate::http::{self, Code, HEAD_BYTES_MAX, Heard, Method, Request};
use crate::page;
use chrono::{DateTime, Utc};
use pen_sys::clock;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::rounds::JSON_PATH;

/// To say what is wanted, from the first byte to the last.
const HEAR_MS: u64 = 10_000;
/// To take the answer.
const ANSWER_MS: u64 = 30_000;
/// To go, once everything is said: closing at once could reset the connection and tear the end of the answer away.
const LEAVE_MS: u64 = 2_000;

/// What is served.
pub struct Documents {
    pub page: Arc<[u8]>,
    pub json: Arc<[u8]>,
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Read,
    Write,
    /// It is done with.
    Nothing,
}

enum State {
    Hearing(Vec<u8>),
    /// Head, body, and how much of both was taken.
    Answering(Vec<u8>, Arc<[u8]>, usize),
    Leaving,
    Gone,
}

pub struct Client {
    stream: TcpStream,
    /// Answers only to names that are this machine's for certain.
    guarded: bool,
    state: State,
    deadline_ms: u64,
}

impl Client {
    /// # Errors
    /// What the system says about the socket.
    pub fn new(stream: TcpStream, guarded: bool, now_ms: u64) -> io::Result<Client> {
        stream.set_nonblocking(true)?;
        Ok(Client { stream, guarded, state: State::Hearing(Vec::new()), deadline_ms: now_ms + HEAR_MS })
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// When [`Client::go_on`] wants to be called even if nothing happened. Monotonic.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    pub fn need(&self) -> Need {
        match self.state {
            State::Hearing(_) | State::Leaving => Need::Read,
            State::Answering(..) => Need::Write,
            State::Gone => Need::Nothing,
        }
    }

    /// Goes as far as it can without waiting.
    pub fn go_on(&mut self, documents: &Documents, now_ms: u64) {
        let late = now_ms >= self.deadline_ms;
        let gone_on = match &mut self.state {
            State::Hearing(_) if late => self.answer(refusal(Code::RequestTimeout), now_ms),
            State::Hearing(_) => self.hear(documents, now_ms),
            State::Answering(..) | State::Leaving if late => Err(ErrorKind::TimedOut.into()),
            State::Answering(..) => self.go_on_answering(now_ms),
            State::Leaving => self.go_on_leaving(),
            State::Gone => Ok(()),
        };
        match gone_on {
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::Interrupted => {
            }
            // Nobody is left to be told.
            Err(_) => self.state = State::Gone,
            Ok(()) => {}
        }
    }

    fn hear(&mut self, documents: &Documents, now_ms: u64) -> io::Result<()> {
        let State::Hearing(input) = &mut self.state else { return Ok(()) };
        let mut piece = [0; HEAD_BYTES_MAX];
        match self.stream.read(&mut piece)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                input.extend_from_slice(&piece[..count]);
                match http::hear(input) {
                    Heard::Nothing => Ok(()),
                    Heard::Refused(code) => self.answer(refusal(code), now_ms),
                    Heard::Request(request) => self.answer(reply(&request, self.guarded, documents), now_ms),
                }
            }
        }
    }

    fn answer(&mut self, (head, body): (Vec<u8>, Arc<[u8]>), now_ms: u64) -> io::Result<()> {
        self.state = State::Answering(head, body, 0);
        self.deadline_ms = now_ms + ANSWER_MS;
        self.go_on_answering(now_ms)
    }

    fn go_on_answering(&mut self, now_ms: u64) -> io::Result<()> {
        let State::Answering(head, body, taken) = &mut self.state else { return Ok(()) };
        while *taken < head.len() + body.len() {
            let rest = match head.get(*taken..).filter(|rest| !rest.is_empty()) {
                Some(rest) => rest,
                None => &body[*taken - head.len()..],
            };
            *taken += self.stream.write(rest)?;
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.state = State::Leaving;
        self.deadline_ms = now_ms + LEAVE_MS;
        Ok(())
    }

    /// Reads away what still comes, until the other side goes too.
    fn go_on_leaving(&mut self) -> io::Result<()> {
        while self.stream.read(&mut [0; 4096])? > 0 {}
        self.state = State::Gone;
        Ok(())
    }
}

fn reply(request: &Request, guarded: bool, documents: &Documents) -> (Vec<u8>, Arc<[u8]>) {
    if guarded && !http::is_local_name(request.host.as_deref()) {
        return refusal(Code::Misdirected);
    }
    let (content_type, policy, body) = match request.path.as_str() {
        "/" => ("text/html; charset=utf-8", page::policy(), documents.page.clone()),
        JSON_PATH => ("application/json", "default-src 'none'".into(), documents.json.clone()),
        _ => return refusal(Code::NotFound),
    };
    let head = http::head(Code::Ok, &date(), &http::body_headers(content_type, &policy), body.len());
    let body = if request.method == Method::Head { Arc::default() } else { body };
    (head.into_bytes(), body)
}

fn refusal(code: Code) -> (Vec<u8>, Arc<[u8]>) {
    let body = format!("{}\n", code.line());
    let headers = http::body_headers("text/plain; charset=utf-8", "default-src 'none'");
    (http::head(code, &date(), &headers, body.len()).into_bytes(), body.into_bytes().into())
}

/// RFC 9110 section 5.6.7.
fn date() -> String {
    let now = DateTime::<Utc>::from_timestamp_millis(clock::epoch_ms() as i64).unwrap_or_default();
    now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn documents() -> Documents {
        Documents { page: b"<!DOCTYPE html>".to_vec().into(), json: b"{}\n".to_vec().into() }
    }

    /// A client that arrived at time 0, and its other end.
    fn pair(guarded: bool) -> (Client, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Client::new(listener.accept().unwrap().0, guarded, 0).unwrap(), other)
    }

    /// Lets the client go on until it has said everything. On loopback, what was sent is there.
    fn answer_to(request: &str, guarded: bool) -> String {
        let (mut client, mut other) = pair(guarded);
        other.write_all(request.as_bytes()).unwrap();
        client.go_on(&documents(), 1);
        let mut answer = String::new();
        other.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn documents_are_served_by_their_paths() {
        for (request, first, last) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n<!DOCTYPE html>"),
            ("GET /status.json?a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n{}\n"),
            (
                "HEAD / HTTP/1.0\r\n\r\n",
                "HTTP/1.1 200 OK\r\n",
                "\r\nContent-Length: 15\r\nConnection: close\r\n\r\n",
            ),
            ("GET /favicon.ico HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "\r\n\r\n404 Not Found\n"),
            (
                "POST / HTTP/1.0\r\n\r\n",
                "HTTP/1.1 405 Method Not Allowed\r\n",
                "\r\n\r\n405 Method Not Allowed\n",
            ),
        ] {
            let answer = answer_to(request, false);
            assert!(answer.starts_with(first) && answer.ends_with(last), "{request:?}: {answer:?}");
        }
    }

    #[test]
    fn a_guarded_client_answers_to_local_names_only() {
        assert!(answer_to("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", true).starts_with("HTTP/1.1 421 "));
        assert!(
            answer_to("GET / HTTP/1.1\r\nHost: localhost:8081\r\n\r\n", true).starts_with("HTTP/1.1 200 ")
        );
        assert!(answer_to("GET / HTTP/1.1\r\nHost: lb.example\r\n\r\n", false).starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn a_request_may_come_byte_by_byte_but_not_for_ever() {
        let (mut client, mut other) = pair(false);
        for byte in b"GET / HTTP/1.0\r\n\r" {
            other.write_all(&[*byte]).unwrap();
            client.go_on(&documents(), HEAR_MS - 1);
            assert_eq!(client.need(), Need::Read);
        }
        assert_eq!(client.deadline_ms(), HEAR_MS);
        client.go_on(&documents(), HEAR_MS);
        let mut answer = String::new();
        other.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[test]
    fn who_takes_no_answer_or_does_not_go_is_let_go() {
        let large = Documents { page: vec![b' '; 64 << 20].into(), ..documents() };
        let (mut client, mut other) = pair(false);
        other.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        client.go_on(&large, 1);
        assert_eq!((client.need(), client.deadline_ms()), (Need::Write, 1 + ANSWER_MS));
        client.go_on(&large, 1 + ANSWER_MS);
        assert_eq!(client.need(), Need::Nothing);

        let (mut client, mut other) = pair(false);
        other.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        client.go_on(&documents(), 1);
        assert_eq!((client.need(), client.deadline_ms()), (Need::Read, 1 + LEAVE_MS));
        client.go_on(&documents(), 1 + LEAVE_MS);
        assert_eq!(client.need(), Need::Nothing);
    }

    #[test]
    fn who_leaves_early_is_gone() {
        let (mut client, other) = pair(false);
        drop(other);
        client.go_on(&documents(), 1);
        assert_eq!(client.need(), Need::Nothing);
    }
}
