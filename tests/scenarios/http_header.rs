//! `http`: the header lines that tell a web server who its client is, and not one byte changed elsewhere.

use crate::common::backend::{Backend, echo};
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use std::io::Read;

const INSERTED: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.7\r\n";

/// What reaches the server when the pieces are sent one after the other, each as a packet of its own.
fn through(pieces: &[&str]) -> String {
    through_with("http", pieces)
}

fn through_with(command: &str, pieces: &[&str]) -> String {
    let server = Backend::serving(echo);
    let start = Pen::before([&server]);
    let pen = if command == "http" { start.options("-H") } else { start.command(command) }.start();
    let mut client = pen.connect_from("127.0.0.7");
    client.stream.set_nodelay(true).unwrap();
    for piece in pieces {
        client.send(piece);
    }
    client.end();
    String::from_utf8(client.rest()).unwrap()
}

#[test]
fn the_lines_are_inserted_before_the_blank_line() {
    let got = through(&["GET / HTTP/1.1\r\nHost: example\r\n\r\n"]);
    assert_eq!(got, format!("GET / HTTP/1.1\r\nHost: example\r\n{INSERTED}\r\n"));
}

#[test]
fn a_head_in_pieces_is_the_same_head() {
    let whole = "POST /form HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody";
    let mut text = [0; 4];
    let bytes: Vec<String> = whole.chars().map(|byte| byte.encode_utf8(&mut text).to_string()).collect();
    let pieces: Vec<&str> = bytes.iter().map(String::as_str).collect();
    assert_eq!(through(&pieces), through(&[whole]));
}

#[test]
fn lines_that_are_there_are_left_alone() {
    let head = "GET / HTTP/1.1\r\nx-forwarded-for: 10.0.0.1\r\nX-FORWARDED-PROTO: https\r\n\r\n";
    assert_eq!(through(&[head]), head);
}

#[test]
fn a_body_is_never_touched() {
    let body = "GET / HTTP/1.1\r\nthis is data\r\n\r\nGET ";
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    let want = format!("{head}{INSERTED}\r\n{body}");
    assert_eq!(through(&[&format!("{head}\r\n"), body]), want);
    assert_eq!(through(&[&format!("{head}\r\n{body}")]), want);
}

#[test]
fn what_is_not_http_passes_unchanged() {
    for text in ["EHLO example\r\n\r\nMAIL", "GE", "GETTING / HTTP/1.1", "\r\n\r\n", "SSH-2.0-x\r\n\r\n"] {
        assert_eq!(through(&[text]), text);
    }
}

#[test]
fn a_head_that_never_ends_passes_unchanged() {
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(100_000));
    assert_eq!(through(&[&endless]), endless);
}

#[test]
fn the_reply_is_not_touched() {
    let reply = "GET / HTTP/1.1\r\n\r\n";
    let server = Backend::serving(move |mut stream| {
        std::io::Write::write_all(&mut stream, reply.as_bytes()).unwrap();
    });
    let pen = Pen::before([&server]).options("-H").start();
    assert_eq!(pen.connect().rest(), reply.as_bytes());
}

#[test]
fn http_can_be_switched_while_running() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    let ask = || {
        let mut client = pen.connect_from("127.0.0.7");
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.end();
        String::from_utf8(client.rest()).unwrap()
    };
    assert_eq!(ask(), "GET / HTTP/1.1\r\n\r\n");
    pen.control("http");
    assert_eq!(ask(), format!("GET / HTTP/1.1\r\n{INSERTED}\r\n"));
    pen.control("no http");
    assert_eq!(ask(), "GET / HTTP/1.1\r\n\r\n");
}

/// A head with what a client says about itself, and a body that looks like a head.
const FORGED: &str = "POST / HTTP/1.1\r\nx-forwarded-for: 10.0.0.1\r\nHost: a\r\nX-Forwarded-Proto : https\r\n\
                      X-FORWARDED-FOR: 10.0.0.2,\r\n 10.0.0.3\r\n\r\nX-Forwarded-For: body\r\n\r\n";

#[test]
fn replace_leaves_nothing_of_what_the_client_said() {
    let want = format!("POST / HTTP/1.1\r\nHost: a\r\n{INSERTED}\r\nX-Forwarded-For: body\r\n\r\n");
    assert_eq!(through_with("http replace", &[FORGED]), want);
    let bytes: Vec<&str> = FORGED.split("").filter(|byte| !byte.is_empty()).collect();
    assert_eq!(through_with("http replace", &bytes), want, "byte by byte");
}

#[test]
fn append_adds_to_what_the_client_said() {
    // A line with a blank before its colon is taken by some servers only, and left out.
    let proper = FORGED.replace("X-Forwarded-Proto : https\r\n", "");
    let want = proper.replace(" 10.0.0.3\r\n", " 10.0.0.3, 127.0.0.7\r\nX-Forwarded-Proto: http\r\n");
    assert_eq!(through_with("http append", &[FORGED]), want);
    let bytes: Vec<&str> = FORGED.split("").filter(|byte| !byte.is_empty()).collect();
    assert_eq!(through_with("http append", &bytes), want, "byte by byte");
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n";
    assert_eq!(through_with("http append", &[plain, "\r\n"]), format!("{plain}{INSERTED}\r\n"));
}

#[test]
fn a_long_head_is_replaced_all_the_same() {
    let long = "y".repeat(100_000);
    let got = through_with(
        "http replace",
        &[&format!("GET / HTTP/1.1\r\nA: {long}\r\nX-Forwarded-For: 1\r\n\r\n")],
    );
    assert_eq!(got, format!("GET / HTTP/1.1\r\nA: {long}\r\n{INSERTED}\r\n"));
}

#[test]
fn what_is_not_http_passes_every_mode_unchanged() {
    for text in [
        "EHLO example\r\nMAIL FROM:<a@b>\r\nX-Forwarded-For: 1\r\n\r\n",
        "HELLO",
        "GE",
        "\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        assert_eq!(through_with("http replace", &[text]), text);
        assert_eq!(through_with("http append", &[text]), text);
    }
}

/// Whatever it may still become: nobody waits for the end of a line.
#[test]
fn what_is_no_http_is_not_held_back() {
    let server = Backend::serving(echo);
    for words in ["-H", "-O http\u{a0}replace", "-O http\u{a0}append"] {
        let words: Vec<String> = words.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
        let pen = words.iter().fold(Pen::before([&server]).options("-d"), Start::word).start();
        for text in ["HELLO", "LOGIN bob", "CONNECT\r", "\u{16}\u{3}"] {
            let mut client = pen.connect();
            client.send(text);
            let mut got = vec![0; text.len()];
            client.stream.read_exact(&mut got).unwrap();
            assert_eq!(got, text.as_bytes(), "{words:?}");
        }
        let counted = || pen.control("metrics");
        eventually("all to be counted", counted, |text| text.contains("pen_http_unedited_total 4\n"));
        eventually("a line", || pen.stderr(), |said| said.contains("http: nothing added for 127.0.0.1: "));
        let mut client = pen.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.end();
        client.rest();
        assert!(counted().contains("pen_http_unedited_total 4\n"));
    }
}

#[test]
fn long_heads_and_odd_first_lines_get_the_lines_too() {
    let long = "y".repeat(100_000);
    for head in [
        &*format!("GET / HTTP/1.1\r\nA: {long}\r\n"),
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/2.0\r\n",
        "AMETHODWITHMORETHANTHIRTYTWOCHARACTERS / HTTP/1.1\r\n",
    ] {
        assert_eq!(through(&[head, "\r\n"]), format!("{head}{INSERTED}\r\n"));
    }
}

/// The server is chosen by the first piece, and the rest comes before or after it has accepted.
#[test]
fn a_request_in_two_pieces_has_its_line_in_the_log() {
    let server = Backend::serving(echo);
    for words in ["-l pen.log -H", "-l pen.log -H -O peek", "-l pen.log"] {
        let pen = Pen::before([&server]).options(words).start();
        let mut client = pen.connect();
        client.send("GET /two HTTP/1.1\r\nHost: a\r\n");
        let line = format!("{} GET /two HTTP/1.1", server.address().ip());
        eventually("its line", || pen.text("pen.log"), |log| log.lines().any(|entry| entry.ends_with(&line)));
        client.send("\r\n");
        client.end();
        client.rest();
        assert_eq!(pen.text("pen.log").matches("GET").count(), 1, "{words}");
    }
}

#[test]
fn the_mode_is_saved() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("http append").start();
    for (command, saved) in [
        ("", "http append"),
        ("http replace", "http replace"),
        ("http replace h2", "http replace h2"),
        ("http", "http"),
        ("no http", "no http"),
    ] {
        pen.control(command);
        pen.control("write saved");
        assert!(pen.text("saved").lines().any(|line| line == saved), "{saved}");
    }
    assert!(pen.control("http add").contains("want replace or append"));
    assert!(pen.control("http replace h3").contains("want h2"));
    assert!(pen.control("http append h2").starts_with("error"));
}

#[test]
fn the_address_is_that_of_the_connection_even_when_the_client_was_forgotten() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-H -c 1").start();
    let mut first = pen.connect_from("127.0.0.7");
    let mut second = pen.connect_from("127.0.0.8");
    assert_eq!(second.exchange("hello"), "hello", "the only slot belongs to the second client now");
    first.send("GET / HTTP/1.1\r\n\r\n");
    first.end();
    assert_eq!(first.rest(), format!("GET / HTTP/1.1\r\n{INSERTED}\r\n").as_bytes());
}
