//! `messages`: what pen says of its work in a file, which follows no links, survives a full disk and can be rotated.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn messages_go_to_a_file_that_hup_opens_again() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).options("-d");
    let (file, moved) = (start.path("messages"), start.path("messages.1"));
    let mut pen = start.command(format!("messages {}", file.display())).start();
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let said = eventually("the start", || text(&file), |said| said.contains(" starting\n"));
    let (time, _) = said.split_once(": ").unwrap();
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(form, "9999-99-99 99:99:99");
    assert_eq!(pen.stderr(), "");
    fs::rename(&file, &moved).unwrap();
    pen.control("pid");
    eventually("the moved file", || text(&moved), |said| said.ends_with(": pid\n"));
    pen.signal(Signal::SIGHUP);
    eventually("a new file", || file.exists(), |is_there| *is_there);
    pen.control("mode");
    eventually("its line", || text(&file), |said| said.ends_with(": mode\n"));
    assert!(!text(&moved).contains(": mode\n"));
    assert_eq!(pen.control("messages"), format!("{}\n", file.display()));
    pen.signal(Signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn they_move_while_pen_runs_and_a_link_changes_nothing() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).options("-d");
    let (file, link) = (start.path("messages"), start.path("link"));
    symlink(start.path("target"), &link).unwrap();
    let pen = start.start();
    let refused = pen.control(&format!("messages {}", link.display()));
    assert!(refused.contains("is a symbolic link"), "{refused}");
    assert!(!pen.path("target").exists());
    assert_eq!(pen.control("messages"), "");
    pen.control(&format!("messages {}", file.display()));
    pen.control("pid");
    let text = || fs::read_to_string(&file).unwrap_or_default();
    eventually("a line", text, |said| said.ends_with(": pid\n"));
    assert!(!pen.stderr().contains(": pid\n"));
    pen.control("no messages");
    pen.control("mode");
    eventually("standard error", || pen.stderr(), |said| said.ends_with(": mode\n"));
    assert!(!text().contains(": mode\n"));
}

#[test]
fn a_pen_in_the_background_has_a_file_or_syslog_but_no_standard_error() {
    let server = Backend::refusing("A");
    let start = Pen::before([&server]).options("-p pen.pid").in_background();
    let file = start.path("messages");
    let daemon = start.command(format!("messages {}", file.display())).start_daemon();
    let text = || fs::read_to_string(&file).unwrap_or_default();
    // Nobody takes this client.
    drop(std::net::TcpStream::connect(daemon.address));
    eventually("what became of the server", text, |said| said.contains("refused"));
    let refused = Pen::before([&server]).in_background().command("messages stderr").run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("in the background nobody hears standard error"), "{refused:?}");
}

#[test]
fn a_full_disk_costs_messages_and_nothing_else() {
    let server = Backend::named("A");
    let mut pen = Pen::before([&server]).options("-dd").command("messages /dev/full").start();
    assert_eq!(pen.asks(50), "A".repeat(50));
    let file = pen.path("messages");
    pen.control(&format!("messages {}", file.display()));
    let text = || fs::read_to_string(&file).unwrap_or_default();
    eventually("what waited", text, |said| said.contains(" starting\n") && said.contains("connection "));
    pen.control("messages /dev/full");
    pen.control("pid");
    pen.signal(Signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_and_check_finds_it() {
    for words in ["-f", "-f --check"] {
        let listen = format!("127.0.0.1:{}", free_port());
        let ended = Pen::bare(words).word(listen).word("127.0.0.1:9").command("messages /no/such/file").run();
        assert_eq!(ended.code, Some(1), "{words}");
        assert!(ended.stderr.contains("messages: cannot open /no/such/file: "), "{ended:?}");
    }
}
