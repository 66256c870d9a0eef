//! `http replace` and `append` on connections that carry more than one request: each is edited, and where the next one
//! begins is never left to the client.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};

const FORGED: &str = "GET /forged HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that keeps connections, and what it was told: the line of each request and the addresses in it.
struct Web {
    server: Backend,
    heard: Receiver<(String, Vec<String>)>,
}

impl Web {
    /// It answers with what `answer` says of the line of a request; with nothing it waits for the next one.
    fn answering(answer: fn(&str) -> &'static str) -> Web {
        let (teller, heard) = channel();
        let server = Backend::serving(move |stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some((line, addresses, is_last)) = hear(&mut reader) {
                let text = answer(&line);
                teller.send((line, addresses)).unwrap();
                if (&stream).write_all(text.as_bytes()).is_err() || is_last {
                    return;
                }
            }
        });
        Web { server, heard }
    }

    fn new() -> Web {
        Web::answering(|_| OK)
    }

    fn behind(&self, mode: &str) -> Start {
        Pen::before([&self.server]).command(format!("http {mode}"))
    }

    /// What it was told so far; the connections are over.
    fn told(&self) -> Vec<(String, Vec<String>)> {
        eventually("the server's connections to end", || self.server.open(), |open| *open == 0);
        self.heard.try_iter().collect()
    }
}

/// Reads one request as servers do; `None` at the end.
fn hear(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<String>, bool)> {
    let mut next = || {
        let mut line = String::new();
        (reader.read_line(&mut line).ok()? > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    };
    let mut line = next()?;
    while line.is_empty() {
        line = next()?;
    }
    let (mut addresses, mut length, mut is_last) = (Vec::new(), 0, !line.contains("HTTP/1.1"));
    loop {
        let header = next()?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.trim_end().to_ascii_lowercase().replace('_', "-").as_str() {
            "x-forwarded-for" => addresses.push(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "connection" => is_last |= value.trim() == "close",
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((line, addresses, is_last))
}

/// One answer of [`OK`].
fn ok(client: &mut Client) {
    let mut got = vec![0; OK.len()];
    client.stream.read_exact(&mut got).unwrap();
    assert_eq!(got, OK.as_bytes());
}

fn one(address: &str) -> Vec<String> {
    vec![address.to_owned()]
}

#[test]
fn every_request_of_a_connection_tells_the_client() {
    let web = Web::new();
    for (mode, expected) in [("replace", "127.0.0.7"), ("append", "6.6.6.6, 127.0.0.7")] {
        let pen = web.behind(mode).start();
        let mut client = pen.connect_from("127.0.0.7");
        for round in 0..3 {
            // One by one, in pieces, and several at once.
            client.send(FORGED);
            ok(&mut client);
            for piece in FORGED.split_inclusive('o') {
                client.send(piece);
            }
            client
                .send(format!("POST /{round} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{FORGED}", FORGED.len()));
            client.send(FORGED.repeat(100));
            (0..102).for_each(|_| ok(&mut client));
        }
        drop(client);
        let told = web.told();
        assert_eq!(told.len(), 3 * 103);
        for (line, addresses) in told {
            let wanted = if line.starts_with("POST") { "127.0.0.7" } else { expected };
            assert_eq!(addresses, one(wanted), "{mode}: {line}");
        }
    }
}

#[test]
fn a_request_that_can_be_read_in_two_ways_ends_the_connection() {
    let web = Web::new();
    let pen = web.behind("replace").options("-l pen.json").command("log_format json").start();
    for lines in [
        "Content-Length: 5\r\nContent-Length: 50\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length:\r\n 5\r\n",
        "A b\r\n",
        "A b: c\r\n",
    ] {
        let mut client = pen.connect();
        client.send(FORGED);
        ok(&mut client);
        client.send(format!("POST / HTTP/1.1\r\n{lines}\r\n{FORGED}"));
        client.ending();
        let told = web.told();
        assert_eq!(told, [("GET /forged HTTP/1.1".to_owned(), one("127.0.0.1"))], "{lines:?}");
    }
    assert!(pen.control("metrics").contains("pen_http_refused_total 5\n"));
    let said = pen.stderr();
    assert!(
        said.contains("request of 127.0.0.1 refused: it is not certain where its request ends"),
        "{said}"
    );
    eventually("the log", || pen.text("pen.json"), |log| log.matches("\"bad_request\"").count() == 5);
}

/// The answer to a request before it, which is still under way, arrives whole.
#[test]
fn behind_a_refused_request_the_answers_before_it_still_arrive() {
    let (begin, end) = OK.split_at(OK.find('C').unwrap());
    let server = Backend::serving(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        hear(&mut reader);
        (&stream).write_all(begin.as_bytes()).unwrap();
        // So much of the next one passes, and pen has read it all.
        reader.read_line(&mut String::new()).unwrap();
        (&stream).write_all(end.as_bytes()).unwrap();
        while hear(&mut reader).is_some() {}
    });
    let pen = Pen::before([&server]).command("http replace").start();
    let mut client = pen.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.line(), "HTTP/1.1 200 OK\r");
    client.send(format!("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{FORGED}"));
    assert_eq!(String::from_utf8(client.rest()).unwrap(), end);
    eventually(
        "it to be counted",
        || pen.control("metrics"),
        |text| text.contains("pen_http_refused_total 1\n"),
    );
}

/// The answer arrives whole, the client learns that it is the last, and what it said behind its request goes nowhere.
#[test]
fn behind_an_odd_request_the_connection_ends_with_the_answer() {
    let web = Web::new();
    let pen = web.behind("replace").start();
    for head in ["GET /  HTTP/1.1\r\nA: b\r\n", "GET / RTSP/1.0\r\nX-Forwarded-For: 6.6.6.6\r\n"] {
        let mut client = pen.connect();
        client.send(FORGED);
        client.send(format!("{head}\r\n{FORGED}"));
        assert_eq!(String::from_utf8(client.rest()).unwrap(), OK.repeat(2), "{head:?}");
        let told = web.told();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|(_, addresses)| *addresses == one("127.0.0.1")), "{told:?}");
    }
}

/// The same with a server that would keep the connection for ever.
#[test]
fn pen_ends_the_connection_behind_an_odd_request_if_the_server_does_not() {
    let server = Backend::serving(|mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .unwrap();
        crate::common::client::ending(&mut stream);
    });
    let pen = Pen::before([&server]).command("http replace").start();
    let mut client = pen.connect();
    client.send("GET /  HTTP/1.1\r\nA: b\r\n\r\n");
    assert!(client.rest().ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn another_protocol_begins_when_the_server_says_so() {
    // It agrees to one of the paths, and tells back what comes then.
    let server = Backend::serving(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((line, addresses, _)) = hear(&mut reader) {
            assert_eq!(addresses, one("127.0.0.7"), "{line}");
            let answer = if line.contains("yes") { "HTTP/1.1 101 Yes\r\n\r\n" } else { OK };
            (&stream).write_all(answer.as_bytes()).unwrap();
            if line.contains("yes") {
                return crate::common::backend::echo(stream);
            }
        }
    });
    let pen = Pen::before([&server]).command("http replace").start();
    let request =
        |path: &str| format!("GET {path} HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut client = pen.connect_from("127.0.0.7");
    client.send(format!("{}{FORGED}{}", request("/no"), request("/yes")));
    client.send(FORGED);
    ok(&mut client);
    ok(&mut client);
    assert_eq!((client.line().as_str(), client.line().as_str()), ("HTTP/1.1 101 Yes\r", "\r"));
    let mut echoed = vec![0; FORGED.len()];
    client.stream.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, FORGED.as_bytes());
    assert_eq!(client.exchange("anything"), "anything");
}

#[test]
fn http2_is_refused_unless_it_is_allowed() {
    let server = Backend::serving(crate::common::backend::echo);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let pen = Pen::before([&server]).command("http replace").start();
    let mut client = pen.connect();
    client.send(preface);
    client.send("frames");
    client.ending();
    eventually("a line", || pen.stderr(), |said| said.contains("refused: it speaks HTTP/2"));
    pen.control("http replace h2");
    let mut client = pen.connect();
    client.send(preface);
    client.send("frames");
    client.end();
    assert_eq!(String::from_utf8(client.rest()).unwrap(), format!("{preface}frames"));
    let counted = |text: &String| text.contains("pen_http_unedited_total 1\n");
    eventually("one to be counted", || pen.control("metrics"), counted);
}

/// More than pen moves in one turn, so that it looks at the beginning and the end only.
#[test]
fn a_long_answer_is_followed_to_its_end() {
    const LONG_BYTES: usize = 20 << 20;
    let server = Backend::serving(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((line, addresses, _)) = hear(&mut reader) {
            assert_eq!(addresses, one("127.0.0.1"), "{line}");
            write!(&stream, "HTTP/1.1 200 OK\r\nContent-Length: {LONG_BYTES}\r\n\r\n").unwrap();
            crate::common::pattern::write(&mut &stream, LONG_BYTES).unwrap();
        }
    });
    let pen = Pen::before([&server]).command("http replace").start();
    let mut client = pen.connect();
    let plain = "GET / HTTP/1.1\r\n\r\n".to_owned();
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    for (requests, answers) in
        [(plain.clone(), 1), (format!("{upgrade}{FORGED}"), 2), (plain.replace("/ H", "/  H"), 1)]
    {
        client.send(requests);
        for _ in 0..answers {
            assert_eq!(client.line(), "HTTP/1.1 200 OK\r");
            client.line();
            client.line();
            let mut body = (&client.stream).take(LONG_BYTES as u64);
            assert_eq!(crate::common::pattern::read_to_end(&mut body), LONG_BYTES);
        }
    }
    client.ending();
}

/// Whoever waits for the answer to an Upgrade is let go when the server has ended without one, and holds no place.
#[test]
fn a_client_that_waits_for_an_answer_is_let_go_when_the_server_ends() {
    for answer in ["", "HTTP/1.0 200 OK\r\n\r\nbody"] {
        let server = Backend::serving(move |stream| {
            hear(&mut BufReader::new(stream.try_clone().unwrap()));
            (&stream).write_all(answer.as_bytes()).unwrap();
        });
        let pen = Pen::before([&server]).command("http append").start();
        let waits = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\nmore".to_owned();
        for requests in [waits, "GET / HTTP/1.1\r\n\r\n".repeat(70)] {
            let mut client = pen.connect();
            client.send(requests);
            assert_eq!(String::from_utf8(client.rest()).unwrap(), answer);
        }
        eventually("every connection to end", || pen.control("connections"), |list| list.is_empty());
    }
}

/// What is no request goes nowhere, and a server that waits for the rest of it does not keep the client.
#[test]
fn stray_bytes_behind_a_complete_exchange_end_the_connection() {
    let web = Web::new();
    let pen = web.behind("replace").start();
    let mut client = pen.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    ok(&mut client);
    client.send("foo\r\nbar\r\n");
    client.ending();
    assert_eq!(web.told().len(), 1);
}

/// A client that is not read, because the answer to its Upgrade is awaited, is missed when it resets all the same.
#[test]
fn a_client_that_resets_while_its_server_is_silent_is_missed() {
    let server = Backend::serving(|mut stream| {
        crate::common::client::ending(&mut stream);
    });
    let pen = Pen::before([&server]).command("http append").start();
    let mut client = pen.connect();
    client.send("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\nmore");
    eventually("the request to arrive", || pen.control("connections"), |list| !list.is_empty());
    client.reset();
    eventually("the connection to end", || pen.control("connections"), |list| list.is_empty());
    assert!(
        pen.control("metrics").contains("pen_resets_total{side=\"client\"} 1\n"),
        "{}",
        pen.control("metrics")
    );
}
