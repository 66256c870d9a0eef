//! Visitors that come over loopback, where what was sent is there at once.

use super::*;
use crate::server::Door;
use pen_sys::waking::{Wakeups, waker};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Serves one page, and `/later` when it knows it.
struct Page {
    page: Arc<[u8]>,
    later: Option<Response>,
    news: Wakeups,
}

impl Page {
    fn new(page: Vec<u8>) -> Page {
        Page { page: page.into(), later: None, news: waker().unwrap().1 }
    }
}

impl Site for Page {
    fn answer(&mut self, path: &str) -> Option<Response> {
        match path {
            "/" => Some(Response::new(Code::Ok, "text/html", "default-src 'none'", self.page.clone())),
            "/later" => self.later.clone(),
            _ => Some(Response::refusal(Code::NotFound)),
        }
    }

    fn news(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    fn take_news(&mut self) -> bool {
        true
    }

    fn doors(&self) -> &[Door] {
        &[]
    }
}

fn page() -> Page {
    Page::new(b"<!DOCTYPE html>".to_vec())
}

/// A client that arrived at time 0, and its other end.
fn pair(guarded: bool) -> (Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    (Client::new(stream.into(), guarded, 0), other)
}

fn read_all(mut other: TcpStream) -> String {
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    answer
}

/// Lets the client go on until it has said everything.
fn answer_to(request: &str, guarded: bool) -> String {
    let (mut client, mut other) = pair(guarded);
    other.write_all(request.as_bytes()).unwrap();
    client.go_on(&mut page(), 1);
    read_all(other)
}

#[test]
fn documents_are_served_by_their_paths() {
    for (request, first, last) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n<!DOCTYPE html>"),
        ("GET /?a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n<!DOCTYPE html>"),
        (
            "HEAD / HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "\r\nContent-Length: 15\r\nConnection: close\r\n\r\n",
        ),
        ("GET /favicon.ico HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "\r\n\r\n404 Not Found\n"),
        ("POST / HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "\r\n405 Method Not Allowed\n"),
    ] {
        let answer = answer_to(request, false);
        assert!(answer.starts_with(first) && answer.ends_with(last), "{request:?}: {answer:?}");
    }
}

#[test]
fn a_guarded_client_answers_to_local_names_only() {
    assert!(answer_to("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", true).starts_with("HTTP/1.1 421 "));
    assert!(answer_to("GET / HTTP/1.1\r\nHost: localhost:8081\r\n\r\n", true).starts_with("HTTP/1.1 200 "));
    assert!(answer_to("GET / HTTP/1.1\r\nHost: lb.example\r\n\r\n", false).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_request_may_come_byte_by_byte_but_not_for_ever() {
    let (mut client, mut other) = pair(false);
    for byte in b"GET / HTTP/1.0\r\n\r" {
        other.write_all(&[*byte]).unwrap();
        client.go_on(&mut page(), HEAR_MS - 1);
        assert!(matches!(client.state, State::Hearing(_)));
    }
    assert_eq!(client.deadline_ms(), HEAR_MS);
    client.go_on(&mut page(), HEAR_MS);
    let answer = read_all(other);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn an_answer_that_is_not_known_yet_is_waited_for_but_not_for_ever() {
    let ask = || {
        let (mut client, mut other) = pair(false);
        other.write_all(b"GET /later HTTP/1.0\r\n\r\n").unwrap();
        client.go_on(&mut page(), 1);
        assert!(client.is_waiting() && client.interest().is_empty());
        (client, other)
    };
    let (mut client, other) = ask();
    let known = Some(Response::plain(Code::Ok, "now\n".into()));
    client.go_on(&mut Page { later: known, ..page() }, 2);
    assert!(read_all(other).ends_with("\r\n\r\nnow\n"));

    let (mut client, other) = ask();
    let late_ms = client.deadline_ms();
    client.go_on(&mut page(), late_ms);
    assert!(read_all(other).starts_with("HTTP/1.1 503 "));
}

#[test]
fn who_takes_no_answer_or_does_not_go_is_let_go() {
    let mut large = Page::new(vec![b' '; 64 << 20]);
    let (mut client, mut other) = pair(false);
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    client.go_on(&mut large, 1);
    assert_eq!((client.interest(), client.deadline_ms()), (PollFlags::POLLOUT, 1 + ANSWER_MS));
    client.go_on(&mut large, 1 + ANSWER_MS);
    assert!(client.is_gone());

    let (mut client, mut other) = pair(false);
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    client.go_on(&mut page(), 1);
    assert_eq!((client.interest(), client.deadline_ms()), (PollFlags::POLLIN, 1 + LEAVE_MS));
    client.go_on(&mut page(), 1 + LEAVE_MS);
    assert!(client.is_gone());
}

#[test]
fn who_leaves_early_is_gone() {
    let (mut client, other) = pair(false);
    drop(other);
    client.go_on(&mut page(), 1);
    assert!(client.is_gone());
}
