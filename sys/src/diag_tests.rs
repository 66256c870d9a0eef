//! Unit tests of `diag`.

use super::*;
use crate::tempdir::TempDir;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;

impl Diag {
    fn once(&mut self, severity: Severity, key: &str, text: impl Display, now: Instant) -> bool {
        let (said, is_first) = self.count(severity, key, text, now);
        self.say_all(&said);
        is_first
    }

    fn tick(&mut self, now: Instant) -> Option<Duration> {
        let (said, next) = self.due(now);
        self.say_all(&said);
        next
    }
}

fn to_pipe() -> (Diag, BufReader<io::PipeReader>) {
    let (reader, writer) = io::pipe().unwrap();
    (Diag::new(Sink::Stream(writer.into())), BufReader::new(reader))
}

fn read_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

/// The line without the time before it, which must be one.
fn read_text(reader: &mut impl BufRead) -> String {
    let line = read_line(reader);
    let (stamp, text) = line.split_once(": ").unwrap();
    chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S").expect(stamp);
    text.into()
}

#[test]
fn a_message_is_a_line_with_the_time_before_it() {
    let (mut diag, mut reader) = to_pipe();
    diag.say(Severity::Info, "pen 0.1.0 starting");
    assert_eq!(read_text(&mut reader), "pen 0.1.0 starting\n");
}

#[test]
fn a_message_cannot_forge_another() {
    let (mut diag, mut reader) = to_pipe();
    diag.say(Severity::Info, "name\n2026-11-21 01:02:03: all is well\x1b[1A");
    assert_eq!(read_text(&mut reader), "name\\n2026-11-21 01:02:03: all is well\\x1b[1A\n");
}

#[test]
fn a_block_looks_as_pens() {
    let (mut diag, mut reader) = to_pipe();
    diag.block(Severity::Info, "Server 0 status:\naddress a\x1bb\n");
    diag.block(Severity::Info, "Active clients:");
    assert_eq!(read_text(&mut reader), "Server 0 status:\n");
    assert_eq!(read_line(&mut reader), "address a\\x1bb\n");
    assert_eq!(read_line(&mut reader), "\n");
    assert_eq!(read_text(&mut reader), "Active clients:\n");
}

#[test]
fn the_journal_gets_priorities_line_by_line_and_no_time() {
    let (reader, writer) = io::pipe().unwrap();
    let status = nix::sys::stat::fstat(&writer).unwrap();
    assert!(is_stream(writer.as_fd(), (status.st_dev, status.st_ino)));
    assert!(!is_stream(io::stderr().as_fd(), (status.st_dev, status.st_ino)));
    let (mut diag, mut reader) = (Diag::new(Sink::Journal(writer.into())), BufReader::new(reader));
    diag.say(Severity::Error, "broken\n<0>forged");
    diag.once(Severity::Warning, "log", "full", crate::clock::now());
    diag.block(Severity::Info, "Server 0 status:\naddress a\n");
    for expected in ["<3>broken\\n<0>forged", "<4>full", "<6>Server 0 status:", "<6>address a"] {
        assert_eq!(read_line(&mut reader), format!("{expected}\n"));
    }
}

#[test]
fn syslogd_gets_a_block_line_by_line() {
    let dir = TempDir::new();
    let path = dir.join("log");
    let syslogd = UnixDatagram::bind(&path).unwrap();
    let mut diag = Diag::new(Sink::Syslog(Syslog::open(&path, "pen")));
    diag.block(Severity::Info, "Server 0 status:\naddress 127.0.0.1\n");
    for text in ["Server 0 status:", "address 127.0.0.1"] {
        let mut buffer = [0; 200];
        let length = syslogd.recv(&mut buffer).unwrap();
        let message = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(message.starts_with("<14>") && message.ends_with(&format!("]: {text}")), "{message}");
    }
    syslogd.set_nonblocking(true).unwrap();
    assert_eq!(syslogd.recv(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_reader_that_does_not_read_costs_messages_and_no_time() {
    let (mut diag, mut reader) = to_pipe();
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    while diag.lost == 0 {
        diag.say(Severity::Info, &long);
    }
    diag.say(Severity::Info, "dropped as well");
    assert_eq!(diag.lost, 2);
    let whole = read_text(&mut reader);
    assert_eq!(whole.len(), TEXT_BYTES_MAX + 1);
    while diag.lost > 0 {
        diag.say(Severity::Info, "room again");
        if diag.lost > 0 {
            read_line(&mut reader);
        }
    }
    drop(diag);
    let rest: Vec<_> = reader.lines().map(Result::unwrap).collect();
    let [.., counted, last] = rest.as_slice() else { panic!("{rest:?}") };
    assert!(counted.ends_with(" messages lost"), "{counted}");
    assert!(last.ends_with(": room again"), "{last}");
}

#[test]
fn nobody_to_read_is_no_trouble() {
    let (mut diag, reader) = to_pipe();
    drop(reader);
    diag.say(Severity::Info, "into the void");
    assert_eq!(diag.lost, 1);
    let mut diag = Diag::new(Sink::Syslog(Syslog::open("/nonexistent/log", "pen")));
    diag.say(Severity::Info, "into the void");
    assert_eq!(diag.lost, 1);
}

#[test]
fn the_same_trouble_is_said_once_and_then_counted() {
    let (mut diag, mut reader) = to_pipe();
    let start = crate::clock::now();
    assert_eq!(diag.tick(start), None);
    for time in 0..1000 {
        let is_first =
            diag.once(Severity::Warning, "log", format_args!("cannot write the log: {}", "disk full"), start);
        assert_eq!(is_first, time == 0, "the main thread is woken once");
    }
    assert_eq!(diag.tick(start), Some(Duration::from_secs(60)));
    diag.tick(start + Duration::from_secs(60));
    diag.say(Severity::Info, "end");
    assert_eq!(read_text(&mut reader), "cannot write the log: disk full\n");
    assert_eq!(read_text(&mut reader), "cannot write the log: disk full (999 times more within 60 s)\n");
    assert_eq!(read_text(&mut reader), "end\n");
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let cut = line(&"ö".repeat(TEXT_BYTES_MAX));
    assert_eq!(cut.len(), TEXT_BYTES_MAX);
    let cut = line(&format!("x{}", "ö".repeat(TEXT_BYTES_MAX)));
    assert_eq!(cut.len(), TEXT_BYTES_MAX - 1);
}

/// The level belongs to the whole process: this is the only test that touches it.
#[test]
fn a_level_that_is_off_formats_nothing() {
    struct Panics;
    impl Display for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("formatted")
        }
    }
    debug!(2, "{}", Panics);
    set_level(1);
    debug!(2, "{}", Panics);
    assert!(is_on(1) && !is_on(2));
    set_level(2);
    assert!(std::panic::catch_unwind(|| debug!(2, "{}", Panics)).is_err());
    set_level(0);
}
