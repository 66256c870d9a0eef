//! The log file: one line for every read from a client, there at once, never lost by rotation.

use crate::common::backend::{Backend, echo};
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use nix::sys::signal::{SIGHUP, SIGTERM};
use std::fs;

/// Lines without their time.
fn lines(pen: &Pen, name: &str) -> Vec<String> {
    let text = pen.text(name);
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.splitn(4, ' ').collect();
            let epoch: u64 = fields[1].parse().unwrap_or_else(|_| panic!("no time in {line:?}"));
            assert!(epoch > 1_700_000_000, "{line:?}");
            format!("{} {} {}", fields[0], fields[2], fields[3])
        })
        .collect()
}

fn say(client: &mut Client, text: &str) {
    client.send(text);
    let mut echoed = vec![0; text.len()];
    std::io::Read::read_exact(&mut client.stream, &mut echoed).unwrap();
}

#[test]
fn lines_are_pens_and_there_without_waiting_for_more() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-l pen.log").start();
    let mut client = pen.connect_from("127.0.0.6");
    let long = "x".repeat(150);
    for text in
        ["GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "body part", "BIN\u{e9}\u{1}\tabc\n", &long, "\n", " \r"]
    {
        say(&mut client, text);
    }
    let want = [
        "127.0.0.6 127.0.0.1 GET /a HTTP/1.1".to_string(),
        "127.0.0.6 127.0.0.1 body part".to_string(),
        "127.0.0.6 127.0.0.1 BIN..\\x01\\tabc".to_string(),
        format!("127.0.0.6 127.0.0.1 {}", &long[..100]),
        "127.0.0.6 127.0.0.1 ".to_string(),
        "127.0.0.6 127.0.0.1  ".to_string(),
    ];
    eventually("the lines", || lines(&pen, "pen.log"), |lines| lines == &want);
}

#[test]
fn nothing_is_missing_after_the_end() {
    let server = Backend::serving(echo);
    let mut pen = Pen::before([&server]).options("-l pen.log").command("threads 4").start();
    for round in 0..200 {
        say(&mut pen.connect(), &format!("round {round}\n"));
    }
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    let mut rounds: Vec<String> = lines(&pen, "pen.log");
    let mut want: Vec<String> = (0..200).map(|round| format!("127.0.0.1 127.0.0.1 round {round}")).collect();
    rounds.sort_unstable();
    want.sort_unstable();
    assert_eq!(rounds, want);
}

#[test]
fn with_one_client_slot_every_line_still_has_its_own_client() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-c 1 -l pen.log").start();
    let (mut first, mut second) = (pen.connect_from("127.0.0.2"), pen.connect_from("127.0.0.3"));
    say(&mut second, "second\n");
    say(&mut first, "first\n");
    let want = ["127.0.0.3 127.0.0.1 second", "127.0.0.2 127.0.0.1 first"];
    eventually("the lines", || lines(&pen, "pen.log"), |lines| lines == &want);
}

#[test]
fn rotation_loses_no_line() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-l pen.log").start();
    let mut client = pen.connect();
    for round in 0..10 {
        say(&mut client, &format!("round {round}\n"));
        fs::rename(pen.path("pen.log"), pen.path(&format!("pen.log.{round}"))).unwrap();
        pen.signal(SIGHUP);
        eventually("a new file", || pen.path("pen.log").exists(), |exists| *exists);
    }
    pen.control("pid"); // answered after the last signal: the new file is in use
    say(&mut client, "last\n");
    // A line on its way when the file changes may be the last of the old one or the first of the new one.
    let everywhere = || {
        let rotated = (0..10).flat_map(|round| lines(&pen, &format!("pen.log.{round}")));
        rotated.chain(lines(&pen, "pen.log")).collect::<Vec<String>>()
    };
    let mut want: Vec<String> = (0..10).map(|round| format!("127.0.0.1 127.0.0.1 round {round}")).collect();
    want.push("127.0.0.1 127.0.0.1 last".into());
    eventually("every line, once and in order", everywhere, |lines| *lines == want);
}

#[test]
fn the_log_is_rotated_whatever_is_wrong_with_the_configuration_file() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-l pen.log").config("blacklist 7\n").start();
    fs::remove_file(pen.path("pen.conf")).unwrap();
    fs::rename(pen.path("pen.log"), pen.path("pen.log.1")).unwrap();
    pen.signal(SIGHUP);
    eventually("a new log", || pen.path("pen.log").exists(), |exists| *exists);
    eventually("a word about it", || pen.stderr(), |said| said.contains("pen.conf"));
    assert_eq!(pen.control("blacklist"), "7\n");
}

#[test]
fn the_log_can_be_switched_while_running() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    say(&mut client, "unlogged\n");
    for file in ["one.log", "two.log", "one.log"] {
        assert_eq!(pen.control(&format!("log {file}")), format!("{file}\n"));
        say(&mut client, &format!("in {file}\n"));
    }
    pen.control("no log");
    assert_eq!(pen.control("log"), "");
    say(&mut client, "unlogged\n");
    let both = || ["one.log", "two.log"].map(|file| lines(&pen, file));
    let line = |file: &str| format!("127.0.0.1 127.0.0.1 in {file}");
    let want = [vec![line("one.log"), line("one.log")], vec![line("two.log")]];
    eventually("each line in its file", both, |lines| *lines == want);
}

#[test]
fn a_log_that_cannot_be_opened_is_said_and_the_old_one_stays() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-l pen.log").start();
    let reply = pen.control("log missing/directory/log");
    assert!(reply.starts_with("error: ") && reply.contains("missing/directory/log"), "{reply}");
    assert_eq!(pen.control("log"), "pen.log\n");
    say(&mut pen.connect(), "still\n");
    eventually("a line in the old file", || lines(&pen, "pen.log"), |lines| lines.len() == 1);
}

#[test]
fn a_full_disk_stops_nobody_and_logging_goes_on_when_there_is_room() {
    if !root() {
        return skip("a small file system needs root");
    }
    let server = Backend::serving(echo);
    let pen = Pen::before([&server])
        .through("unshare --mount sh -c")
        .through_script("mount -t tmpfs -o size=64k tmpfs small && exec \"$0\" \"$@\"")
        .directory("small")
        .options("-l small/pen.log")
        .start();
    let small = format!("/proc/{}/root{}", pen.pid(), pen.path("small").display());
    let filler = format!("{small}/filler");
    // As root may write more than there is, the end is an error, and that is wanted.
    let _ = fs::write(&filler, vec![0; 256 * 1024]);
    let mut client = pen.connect();
    for round in 0..200 {
        say(&mut client, &format!("while full {round}\n"));
    }
    eventually("a word about it", || pen.stderr(), |said| said.to_lowercase().contains("log"));
    fs::remove_file(&filler).unwrap();
    let look = || {
        say(&mut client, "room again\n");
        fs::read_to_string(format!("{small}/pen.log")).unwrap_or_default()
    };
    let log = eventually("lines again", look, |log| log.contains("room again\n"));
    for line in log.lines() {
        let data = line.splitn(4, ' ').nth(3).unwrap_or_else(|| panic!("a torn line: {line:?}"));
        assert!(data.starts_with("while full ") || data == "room again", "a torn line: {line:?}");
    }
}
