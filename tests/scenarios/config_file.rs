//! `-F`: the file at start, and HUP.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use nix::sys::signal::{SIGHUP, Signal};
use std::fs;

/// The file is replaced as a whole: the one before may be being read still.
fn reload(pen: &Pen, lines: &str) {
    fs::write(pen.path("pen.conf.new"), lines).unwrap();
    fs::rename(pen.path("pen.conf.new"), pen.path("pen.conf")).unwrap();
    pen.signal(Signal::SIGHUP);
}

fn server(index: usize, backend: &Backend) -> String {
    format!("server {index} address 127.0.0.1 port {}\n", backend.port())
}

#[test]
fn the_file_overrides_options() {
    let pen =
        Pen::before([] as [&str; 0]).options("-b 11").command("blacklist 9").config("blacklist 7\n").start();
    assert_eq!(pen.control("blacklist"), "7\n");
}

#[test]
fn who_has_nothing_to_say_names_dev_null() {
    let pen = Pen::before([] as [&str; 0]).options("-F /dev/null -b 11").start();
    pen.signal(Signal::SIGHUP);
    assert_eq!(pen.control("include /dev/null"), "");
    assert_eq!(pen.control("blacklist"), "11\n");
    assert_eq!(pen.stderr(), "");
}

#[test]
fn remarks_blank_lines_and_foreign_line_ends_are_fine() {
    let text = "# remark\r\n\r\n   blacklist\t12\r\n\n\ntracking 5";
    let pen = Pen::before([] as [&str; 0]).config(text).start();
    assert_eq!(pen.control("blacklist"), "12\n");
    assert_eq!(pen.control("tracking"), "5\n", "the last line needs no end");
}

#[test]
fn a_long_line_is_one_line() {
    let remark = format!("# {} blacklist 99\n", "x".repeat(10_000));
    let pen = Pen::before([] as [&str; 0]).config(&remark).start();
    assert_eq!(pen.control("blacklist"), "30\n");
}

#[test]
fn servers_may_stand_in_the_file() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([] as [&str; 0]).options("-r").config(&(server(0, &a) + &server(1, &b))).start();
    assert_eq!(pen.asks(2), "BA");
}

#[test]
fn the_listener_may_stand_in_the_file() {
    let backend = Backend::named("A");
    let start = Pen::before([] as [&str; 0]);
    let port = crate::common::ports::free_port();
    let pen = start.listen("").config(&format!("listen 127.0.0.1:{port}\n{}", server(0, &backend))).start();
    let mut client = crate::common::client::Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.line(), "A");
    drop(pen);
}

#[test]
fn files_may_include_files() {
    let start = Pen::before([] as [&str; 0]).file("more.conf", "blacklist 8\n");
    let pen = start.config("blacklist 7\ninclude more.conf\ntracking 9\n").start();
    assert_eq!((pen.control("blacklist"), pen.control("tracking")), ("8\n".into(), "9\n".into()));
}

/// A file and what the message must name.
const MISTAKES: &[(&str, &[&str])] = &[
    ("blacklist 7\nblaklist 8\n", &["pen.conf:2", "blaklist"]),
    ("# one\n\nserver 3 weight x\n", &["pen.conf:3", "weight", "x"]),
    ("include more.conf\n", &["more.conf:1", "oops"]),
    ("include pen.conf\n", &["pen.conf"]),
    ("include missing.conf\n", &["pen.conf:1", "missing.conf"]),
    ("timeout 0\n", &["pen.conf:1", "timeout", "0"]),
];

#[test]
fn a_mistake_at_start_is_named_and_ends_pen() {
    for (text, names) in MISTAKES {
        let ended = Pen::before([] as [&str; 0]).file("more.conf", "oops\n").config(text).run();
        assert_eq!(ended.code, Some(1), "{text:?}: {ended:?}");
        for name in *names {
            assert!(ended.stderr.contains(name), "{text:?}: {name:?} not in {:?}", ended.stderr);
        }
    }
}

#[test]
fn a_mistake_at_reload_changes_nothing() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([] as [&str; 0]).options("-r").config(&server(0, &a)).start();
    for (text, names) in MISTAKES {
        fs::write(pen.path("more.conf"), "oops\n").unwrap();
        let before = pen.stderr().len();
        reload(&pen, &format!("{text}blacklist 77\n{}", server(0, &b)));
        let said = eventually(
            "the mistake to be named",
            || pen.stderr()[before..].to_string(),
            |said| names.iter().all(|name| said.contains(name)),
        );
        assert_eq!((pen.control("blacklist").as_str(), pen.ask().as_str()), ("30\n", "A"), "{said}");
    }
}

#[test]
fn a_missing_file_at_reload_changes_nothing() {
    let a = Backend::named("A");
    let pen = Pen::before([] as [&str; 0]).config(&server(0, &a)).start();
    fs::remove_file(pen.path("pen.conf")).unwrap();
    pen.signal(SIGHUP);
    eventually("the file to be missed", || pen.stderr(), |said| said.contains("pen.conf"));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn reload_moves_new_connections_and_keeps_old_ones() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([] as [&str; 0]).config(&server(0, &a)).start();
    let mut old = pen.connect();
    assert_eq!(old.line(), "A");
    reload(&pen, &server(0, &b));
    eventually("new connections to move", || pen.ask(), |name| name == "B");
    assert_eq!(old.exchange("still"), "still");
}

#[test]
fn reload_takes_back_what_the_file_says_no_longer_and_nothing_else() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let file = server(0, &a) + "blacklist 5\ntimeout 7\nacl 1 permit 10.0.0.0/8\n";
    let pen = Pen::before([] as [&str; 0]).options("-r -t 9").config(&file).start();
    pen.control("tracking 6");
    pen.control(&server(2, &c));
    let mut old = pen.connect();
    assert!(["A", "C"].contains(&&*old.line()));
    reload(&pen, &(server(1, &b) + "acl 1 permit 10.0.0.0/8\n"));
    eventually("the second server", || pen.asks(4), |names| names.contains('B') && !names.contains('A'));
    assert!(pen.asks(4).contains('C'), "what a command added stays");
    assert_eq!(old.exchange("still"), "still", "connections end on their own");
    assert_eq!(["blacklist", "tracking", "timeout"].map(|word| pen.control(word)), ["30\n", "6\n", "9\n"]);
    pen.control("write saved");
    let entries = pen.text("saved").lines().filter(|line| line.starts_with("acl 1 ")).count();
    assert_eq!(entries, 1, "read twice and there once");
}

#[test]
fn reloads_in_quick_succession_lose_no_connection() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([] as [&str; 0]).options("-r").config(&server(0, &a)).start();
    for round in 0..20 {
        reload(&pen, &server(0, if round % 2 == 0 { &b } else { &a }));
        let names = pen.asks(5);
        assert!(!names.contains('-'), "{names}");
    }
}

#[test]
fn exit_in_the_file_acts_on_reload_only() {
    let mut pen = Pen::before([] as [&str; 0]).options("-X").config("exit\n").start();
    assert_eq!(pen.control("blacklist"), "30\n");
    pen.signal(SIGHUP);
    assert_eq!(pen.wait(), Some(0));
}
