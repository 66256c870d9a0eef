//! What mergelogs does with files, arguments and exits; the merging itself is compared in `differential`.

mod common;

use common::{TempDir, mergelogs, run, run_with_input};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

const PEN_LOG: &str = "\
192.0.2.10 1010532530 10.0.18.6 GET /robots.txt HTTP/1.0
192.0.2.11 1010532531 10.0.18.8 GET /news.html HTTP/1.0
192.0.2.13 1010533230 10.0.18.6 GET /late HTTP/1.0
";

const FIRST_WEB_LOG: &str = "\
10.0.0.99 - - [09/Jan/2002:00:28:50 +0100] \"GET /robots.txt HTTP/1.0\" 404 268
10.0.0.99 - - [09/Jan/2002:00:29:00 +0100] \"GET /nomatch HTTP/1.0\" 200 1
10.0.0.99 - - [09/Jan/2002:00:40:30 +0100] \"GET /late HTTP/1.0\" 200 1
";

const SECOND_WEB_LOG: &str =
    "10.0.0.99 - - [08/Jan/2002:23:28:51 +0000] \"GET /news.html HTTP/1.0\" 200 4017\n";

const MERGED: &str = "\
192.0.2.10 - - [08/Jan/2002:23:28:50 +0000] \"GET /robots.txt HTTP/1.0\" 404 268
192.0.2.11 - - [08/Jan/2002:23:28:51 +0000] \"GET /news.html HTTP/1.0\" 200 4017
10.0.18.6 - - [08/Jan/2002:23:29:00 +0000] \"GET /nomatch HTTP/1.0\" 200 1
192.0.2.13 - - [08/Jan/2002:23:40:30 +0000] \"GET /late HTTP/1.0\" 200 1
";

const ALL: &str = "-p pen.log 10.0.18.6:first.log 10.0.18.8:second.log";

fn example() -> TempDir {
    let directory = TempDir::new();
    directory.file("pen.log", PEN_LOG);
    directory.file("first.log", FIRST_WEB_LOG);
    directory.file("second.log", SECOND_WEB_LOG);
    directory
}

fn compress(directory: &TempDir, name: &str) {
    let path = directory.path().join(name);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&fs::read(&path).unwrap()).unwrap();
    fs::write(path, encoder.finish().unwrap()).unwrap();
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_example_of_the_original_is_merged() {
    let ran = run(&example(), ALL);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.status), (MERGED, "", Some(0)));
}

#[test]
fn compressed_logs_are_known_by_their_content() {
    let directory = example();
    compress(&directory, "pen.log");
    compress(&directory, "first.log");
    assert_eq!(run(&directory, ALL).stdout, MERGED);
}

#[test]
fn standard_input_is_a_log_too() {
    let directory = example();
    let arguments = "-p pen.log 10.0.18.6:first.log 10.0.18.8:-";
    assert_eq!(run_with_input(&directory, arguments, SECOND_WEB_LOG.as_bytes()).stdout, MERGED);
    let arguments = "-p - 10.0.18.6:first.log 10.0.18.8:second.log";
    assert_eq!(run_with_input(&directory, arguments, PEN_LOG.as_bytes()).stdout, MERGED);
}

#[test]
fn rotated_pen_logs_are_one_in_any_order() {
    let directory = example();
    let (old, new) = PEN_LOG.split_at(PEN_LOG.find("192.0.2.13").unwrap());
    directory.file("pen.log.1", old);
    directory.file("pen.log", new);
    for pen_logs in ["-p pen.log -p pen.log.1", "-p pen.log.1 -p pen.log"] {
        let arguments = format!("{pen_logs} 10.0.18.6:first.log 10.0.18.8:second.log");
        assert_eq!(run(&directory, &arguments).stdout, MERGED);
    }
}

#[test]
fn an_ipv6_server_stands_in_brackets() {
    let directory = TempDir::new();
    directory.file("pen.log", "2001:db8::7 1010532530 2001:db8::1 GET /\n");
    directory.file("web.log", "fe80::1 - - [08/Jan/2002:23:28:50 +0000] \"GET /\" 200 1\n");
    let ran = run(&directory, "-p pen.log [2001:DB8:0::1]:web.log");
    assert_eq!(ran.stdout, "2001:db8::7 - - [08/Jan/2002:23:28:50 +0000] \"GET /\" 200 1\n");
}

#[test]
fn a_name_for_an_address_is_reported() {
    let ran = run(&example(), "-p pen.log web1:first.log 10.0.18.8:second.log");
    let expected =
        "mergelogs: web1: the pen log has no server of this name; want the server's address as it is there\n";
    assert_eq!((ran.stderr.as_str(), ran.status), (expected, Some(0)));
    let ran = run(&example(), "-p pen.log 10.0.18.7:first.log");
    assert_eq!(ran.stderr, "mergelogs: no line got its client; -v says why\n");
}

#[test]
fn a_file_appears_complete_or_not_at_all() {
    let directory = example();
    let ran = run(&directory, &format!("-o merged.log {ALL}"));
    assert_eq!((ran.stdout.as_str(), ran.status), ("", Some(0)));
    assert_eq!(fs::read_to_string(directory.path().join("merged.log")).unwrap(), MERGED);
    let mut damaged = fs::read(directory.path().join("second.log")).unwrap();
    damaged.splice(0..0, [0x1f, 0x8b]);
    fs::write(directory.path().join("second.log"), damaged).unwrap();
    let ran = run(&directory, &format!("-o other.log -r rejects.log {ALL}"));
    assert!(ran.stderr.starts_with("mergelogs: second.log: "), "{}", ran.stderr);
    assert_eq!(ran.status, Some(1));
    assert_eq!(names(&directory), ["first.log", "merged.log", "pen.log", "second.log"]);
}

#[test]
fn a_signal_leaves_no_half_file() {
    let directory = example();
    let mut command = mergelogs(&directory, "-o merged.log -p pen.log 10.0.18.6:-");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than the pipe holds: when this is written, the program reads, and its temporary file is there.
    let line = FIRST_WEB_LOG.lines().next().unwrap();
    for _ in 0..4000 {
        writeln!(input, "{line}").unwrap();
    }
    assert!(names(&directory).iter().any(|name| name.starts_with(".merged.log")), "{:?}", names(&directory));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    assert_eq!(names(&directory), ["first.log", "pen.log", "second.log"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let directory = example();
    directory.file("first.log", &FIRST_WEB_LOG.repeat(10_000));
    let mut child = mergelogs(&directory, ALL).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"192.0.2.10");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn lines_that_are_none_are_counted_and_kept_apart() {
    let directory = example();
    let garbage = ["garbage", "", "a - - [99/Jan/2002:00:00:00 +0000] \"x\" y"].join("\n");
    directory.file("second.log", &format!("{garbage}\n{SECOND_WEB_LOG}"));
    let ran = run(&directory, &format!("-d -r rejects.log {ALL}"));
    assert_eq!((ran.stdout.as_str(), ran.status), (MERGED, Some(0)));
    assert_eq!(
        ran.stderr.lines().collect::<Vec<_>>(),
        [
            "mergelogs: second.log:1: no access log line",
            "mergelogs: second.log:2: no access log line",
            "mergelogs: second.log:3: no access log line",
            "mergelogs: 3 lines are no access log lines and were left out, the first is second.log:1",
        ]
    );
    assert_eq!(fs::read_to_string(directory.path().join("rejects.log")).unwrap(), format!("{garbage}\n"));
}

#[test]
fn the_summary_says_why_clients_are_missing() {
    let directory = TempDir::new();
    directory.file(
        "pen.log",
        "192.0.2.1 1010532530 10.0.0.1 GET /a\n192.0.2.1 1010536130 10.0.0.1 GET /b\nno entry\n",
    );
    let line = |time: &str, request: &str| format!("x - - [08/Jan/2002:{time} +0000] \"{request}\" 200 1\n");
    directory.file(
        "first.log",
        &[
            line("20:00:00", "GET /a"),
            line("23:28:50", "GET /a"),
            line("23:38:51", "GET /a"),
            line("23:38:51", "GET /c"),
        ]
        .concat(),
    );
    directory.file("second.log", &line("23:28:50", "GET /a"));
    let ran = run(&directory, "-v -p pen.log 10.0.0.1:first.log 10.0.0.2:second.log");
    assert_eq!(
        ran.stderr.lines().collect::<Vec<_>>(),
        [
            "mergelogs: 5 lines written, 1 with their client",
            "mergelogs: 1 without: the pen log does not name the server",
            "mergelogs: 1 without: the pen log does not cover the time",
            "mergelogs: 1 without: the request is in the pen log, but further away than the jitter",
            "mergelogs: 1 without: the request is not in the pen log",
            "mergelogs: pen.log: 1 line is no entry of pen",
        ]
    );
}

#[test]
fn without_a_cache_the_distance_does_not_matter() {
    let directory = example();
    directory.file("pen.log", &PEN_LOG.replace("1010533230", "1110533230"));
    assert_eq!(run(&directory, ALL).stdout, MERGED.replace("192.0.2.13", "10.0.18.6"));
    assert_eq!(run(&directory, &format!("-c {ALL}")).stdout, MERGED);
}

#[test]
fn entries_out_of_order_are_found() {
    let directory = example();
    let mut lines: Vec<&str> = PEN_LOG.lines().collect();
    lines.rotate_right(1);
    directory.file("pen.log", &(lines.join("\n") + "\n"));
    assert_eq!(run(&directory, ALL).stdout, MERGED);
}

#[test]
fn one_entry_from_a_clock_gone_wrong_hides_nothing() {
    let directory = example();
    directory.file("pen.log", &format!("192.0.2.9 9999999999 10.0.18.6 GET /\n{PEN_LOG}"));
    assert_eq!(run(&directory, ALL).stdout, MERGED);
}

#[test]
fn the_zone_of_the_host_changes_nothing() {
    let directory = example();
    for (zone, arguments) in [("EET-2", ALL.to_owned()), ("EET-2", format!("-t 7200 {ALL}"))] {
        let output = mergelogs(&directory, &arguments).env("TZ", zone).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), MERGED, "TZ={zone} {arguments}");
    }
}

#[test]
fn a_clock_of_pen_that_is_off_can_be_put_right() {
    let directory = example();
    let late = PEN_LOG.replace("1010532530", "1010536130").replace("1010532531", "1010536131");
    directory.file("pen.log", &late.replace("1010533230", "1010536830"));
    assert_eq!(run(&directory, &format!("-t 3600 -j 1 {ALL}")).stdout, MERGED);
}

#[test]
fn what_is_wrong_is_named() {
    let directory = example();
    for (arguments, expected) in [
        ("", "mergelogs: no pen log given: -p penlog\nmergelogs: try --help\n"),
        ("-p nosuch x:first.log", "mergelogs: nosuch: No such file or directory (os error 2)\n"),
        ("-p pen.log x:nosuch", "mergelogs: nosuch: No such file or directory (os error 2)\n"),
        ("-p . x:first.log", "mergelogs: .: is a directory\n"),
        (
            "-o nosuch/x -p pen.log x:first.log",
            "mergelogs: nosuch/x: No such file or directory (os error 2)\n",
        ),
        ("-o /dev/null -p pen.log x:first.log", "mergelogs: /dev/null: exists and is no regular file\n"),
    ] {
        let ran = run(&directory, arguments);
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str(), ran.status),
            ("", expected, Some(1)),
            "{arguments}"
        );
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran: common::Ran = mergelogs(&directory, ALL).stdout(full).output().unwrap().into();
    let expected = "mergelogs: standard output: No space left on device (os error 28)\n";
    assert_eq!((ran.stderr.as_str(), ran.status), (expected, Some(1)));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let directory = TempDir::new();
    let help = run(&directory, "--help");
    assert!(help.stdout.starts_with("Usage: mergelogs -p penlog"), "{help:?}");
    let version = run(&directory, "--version");
    assert_eq!(version.stdout, concat!("mergelogs (pen) ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!((help.status, version.status), (Some(0), Some(0)));
}
