//! penlog as a process, with its penlogd or with a plain socket at the other end.

mod common;

use common::{PENLOG, Penlogd};
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};

fn penlog(arguments: &str, input: &[u8]) -> Output {
    let mut command = Command::new(PENLOG);
    command.args(arguments.split_whitespace());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Where it ends at once for its arguments, nobody reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Sends the input to a socket and returns the datagrams that arrive.
fn sent(arguments: &str, input: &[u8], count: usize) -> Vec<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = penlog(&arguments.replace("PORT", &socket.local_addr().unwrap().port().to_string()), input);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    // All of them have arrived: loopback delivers while sending.
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    let datagrams: Vec<_> =
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
            .map(|datagram| String::from_utf8(datagram).unwrap())
            .collect();
    assert_eq!(datagrams.len(), count);
    datagrams
}

#[test]
fn words_that_are_no_text_are_named() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"a\xff");
    let ended = Command::new(PENLOG).arg("-s").arg(bad).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "penlog: \"a\\xff\": not UTF-8\n");
}

#[test]
fn every_line_is_a_datagram() {
    assert_eq!(sent("127.0.0.1 PORT", b"one\ntwo\r\n\nlast", 4), ["one\n", "two\r\n", "\n", "last"]);
    assert_eq!(sent("localhost PORT", b"", 0), [""; 0]);
}

#[test]
fn long_lines_are_cut_to_what_every_penlogd_takes() {
    let line = format!("w - - [t] \"GET /{} HTTP/1.1\" 200 1", "x".repeat(3000));
    let datagrams = sent("127.0.0.1 PORT", format!("{line}\nnext\n").as_bytes(), 2);
    assert_eq!(datagrams[0], format!("{}\"\n", &line[..1022]));
    assert_eq!(datagrams[1], "next\n");
    assert_eq!(sent("-s 65507 127.0.0.1 PORT", line.as_bytes(), 1), [line]);
}

#[test]
fn the_source_address_names_the_server() {
    let penlogd = Penlogd::start("");
    penlogd.send("127.0.0.1", &[b"+ 10.1.1.1 127.0.0.2 GET /a\n"]);
    let line = b"w - - [t] \"GET /a\" 200 1\n";
    assert!(penlog(&format!("127.0.0.1 {} 127.0.0.2", penlogd.port), line).status.success());
    penlogd.expect_log("10.1.1.1 - - [t] \"GET /a\" 200 1\n");
    assert!(penlog(&format!("::1 {}", penlogd.port), line).status.success());
    penlogd.expect_log("10.1.1.1 - - [t] \"GET /a\" 200 1\nw - - [t] \"GET /a\" 200 1\n");
}

#[test]
fn nobody_there_is_told_but_no_reason_to_stop() {
    let port = common::free_port();
    let output = penlog(&format!("127.0.0.1 {port}"), "line\n".repeat(50).as_bytes());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.lines().all(|line| line == "penlog: Connection refused (os error 111)"), "{said}");
}

#[test]
fn wrong_arguments_are_errors() {
    const USAGE: &str = "Usage: penlog server_ip server_port [my_ip]\n";
    for (arguments, expected) in [
        ("", USAGE),
        ("127.0.0.1", USAGE),
        ("127.0.0.1 1 2 3", USAGE),
        ("127.0.0.1 0", "penlog: server_port: want 1..65535, got \"0\"\n"),
        ("127.0.0.1 9 192.0.2.1", "penlog: cannot send to 127.0.0.1 port 9 from 192.0.2.1: "),
        ("127.0.0.1 9 ::1", "penlog: cannot send to 127.0.0.1 port 9 from ::1: no address of its family\n"),
        ("no.such.host.invalid 9", "penlog: no.such.host.invalid: "),
    ] {
        let output = penlog(arguments, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(expected), "{arguments}: {said}");
        assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)), "{arguments}");
    }
    assert!(penlog("--help", b"").stdout.starts_with(USAGE.as_bytes()));
    let version = concat!("penlog (pen) ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(penlog("--version", b"").stdout, version.as_bytes());
}
