//! The control socket as a transport: framing, limits, and nobody can hold it up.

use crate::common::backend::Backend;
use crate::common::pen::{Pen, control_over_tcp, converse};
use crate::common::wait::{eventually, meanwhile};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn pen() -> Pen {
    Pen::before([] as [&str; 0]).options("-b 17").start()
}

/// The next reply of a session: whether it is an error, and its text.
fn session_reply(stream: &mut UnixStream) -> (bool, String) {
    let mut header = String::new();
    let mut byte = [0];
    while byte[0] != b'\n' {
        stream.read_exact(&mut byte).expect("a header line");
        header.push(byte[0] as char);
    }
    let (word, length) = header.trim_end().split_once(' ').unwrap_or_else(|| panic!("header {header:?}"));
    assert!(["ok", "error"].contains(&word), "{header:?}");
    let mut text = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut text).expect("as many bytes as the header says");
    (word == "error", String::from_utf8(text).unwrap())
}

#[test]
fn one_line_one_reply_then_the_end() {
    let pen = pen();
    assert_eq!(pen.control("blacklist"), "17\n");
    assert_eq!(pen.control("  blacklist   "), "17\n");
    assert_eq!(pen.control("blacklist\r"), "17\n");
    assert_eq!(pen.control("blacklist\nmode"), "17\n", "only the first line counts");
    assert_eq!(pen.control(""), "");
    assert_eq!(pen.control("# a remark"), "");
}

#[test]
fn a_line_in_pieces_is_one_line() {
    let pen = pen();
    let in_pieces = || {
        let mut stream = pen.control_stream().unwrap();
        for piece in ["bla", "ckl", "ist", "\n"] {
            // Fails when pen has taken what came so far for all there is.
            let _ = stream.write_all(piece.as_bytes());
            meanwhile(Duration::from_millis(20));
        }
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        reply
    };
    // A machine so busy that pieces are a second apart gets another chance.
    eventually("the answer to the whole line", in_pieces, |reply| reply == "17\n");
}

#[test]
fn the_newline_may_be_missing() {
    let pen = pen();
    assert_eq!(converse(pen.control_stream().unwrap(), b"blacklist"), "17\n", "with an end of file instead");
    let mut stream = pen.control_stream().unwrap();
    stream.write_all(b"blacklist").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "17\n", "with nothing instead");
}

#[test]
fn a_session_answers_line_after_line() {
    let pen = pen();
    let mut stream = pen.control_stream().unwrap();
    stream.write_all(b"session\n").unwrap();
    assert!(!session_reply(&mut stream).0);
    stream.write_all(b"blacklist\nblacklist 18\r\nno such command\nbla").unwrap();
    assert_eq!(session_reply(&mut stream), (false, "17\n".into()));
    assert_eq!(session_reply(&mut stream), (false, "18\n".into()));
    assert!(session_reply(&mut stream).0);
    stream.write_all(b"cklist\nhash\nquit\n").unwrap();
    assert_eq!(session_reply(&mut stream), (false, "18\n".into()));
    assert_eq!(session_reply(&mut stream), (false, String::new()));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}

#[test]
fn fifty_silent_clients_delay_nobody() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let silent: Vec<UnixStream> = (0..50).map(|_| pen.control_stream().unwrap()).collect();
    for stream in silent.iter().take(25) {
        let mut stream = stream;
        stream.write_all(b"half a comm").unwrap();
    }
    assert_eq!(pen.control("blacklist"), "30\n");
    assert_eq!(pen.asks(3), "AAA");
}

#[test]
fn more_clients_than_there_are_places_still_let_the_operator_in() {
    let pen = pen();
    let _silent: Vec<UnixStream> = (0..200).map(|_| pen.control_stream().unwrap()).collect();
    assert_eq!(pen.control("blacklist"), "17\n");
}

#[test]
fn a_client_that_does_not_read_its_reply_delays_nobody() {
    let servers: Vec<String> = (1..=2_000).map(|port| format!("127.0.0.1:{port}")).collect();
    let pen = Pen::before(&servers).start();
    let mut lazy = pen.control_stream().unwrap();
    lazy.write_all(b"session\n").unwrap();
    lazy.set_nonblocking(true).unwrap();
    // Until pen reads no further commands because nobody takes the replies.
    let mut sent = 0;
    while lazy.write(b"servers\n").is_ok() && sent < 100_000 {
        sent += 1;
    }
    assert_eq!(pen.control("blacklist"), "30\n");
    assert!(crate::common::process::rss_kib(pen.pid()) < 200_000, "the replies are not piled up");
}

#[test]
fn a_line_of_eight_mebibytes_gets_an_answer() {
    let pen = Pen::before([] as [&str; 0]).options("-b 17 -d").start();
    let line = "x".repeat(8 * 1024 * 1024 - 1);
    let reply = pen.control(&line);
    assert!(reply.starts_with("error: "), "{}", &reply[..reply.len().min(200)]);
    assert!(reply.len() < 1_000, "the word is cut in the reply: {} bytes", reply.len());
    assert_eq!(pen.control(&format!("# {}", &line[2..])), "");
    assert!(pen.control(&format!("server 0 address {}", &line[17..])).len() < 1_000);
    assert_eq!(pen.control("blacklist"), "17\n");
    assert!(pen.stderr().len() < 100_000, "and wherever else it is told: {} bytes", pen.stderr().len());
}

#[test]
fn a_line_that_is_too_long_is_refused_and_not_kept() {
    let pen = pen();
    let mut stream = pen.control_stream().unwrap();
    let block = vec![b'x'; 1024 * 1024];
    // It may be cut off at any point beyond the limit.
    let sent = (0..64).take_while(|_| stream.write_all(&block).is_ok()).count();
    assert!(sent >= 8, "cut off after {sent} MiB");
    let mut reply = String::new();
    if stream.read_to_string(&mut reply).is_ok() {
        assert!(reply.starts_with("error: ") && reply.contains("8388608"), "{reply}");
    }
    assert_eq!(pen.control("blacklist"), "17\n");
    assert!(crate::common::process::rss_kib(pen.pid()) < 64 * 1024, "the line was kept");
}

#[test]
fn clients_that_leave_at_any_point_do_no_harm() {
    let pen = pen();
    for bytes in
        [&b""[..], b"st", b"status\n", b"session\n", b"session\nstatus\n", b"\0\xff\xfe\n", b"\n\n\n"]
    {
        for _ in 0..20 {
            let mut stream = pen.control_stream().unwrap();
            stream.write_all(bytes).unwrap();
        }
    }
    assert_eq!(pen.control("blacklist"), "17\n");
}

#[test]
fn over_tcp_it_is_the_same() {
    let port = crate::common::ports::free_port();
    let pen = Pen::before([] as [&str; 0]).control_at(format!("127.0.0.1:{port}")).start();
    let reply = control_over_tcp("127.0.0.1", ([127, 0, 0, 1], port).into(), "control");
    assert_eq!(reply, format!("127.0.0.1:{port}\n"));
    drop(pen);
}
