//! `penctl` without an address: which pens run, and which of them is meant.

use crate::common::pen::{Ended, Pen};
use crate::common::programs::{ours, run};
use crate::common::tempdir::TempDir;
use crate::common::terminal::Terminal;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// A pen whose control socket is `DIRECTORY/NAME/control`.
fn pen_called(directory: &Path, name: &str, blacklist: u32) -> Pen {
    let place = directory.join(name);
    std::fs::create_dir(&place).unwrap();
    let start = Pen::before([] as [&str; 0]).control_at(place.join("control").display());
    start.options(&format!("-b {blacklist}")).start()
}

/// Runs penctl where pens are looked for in this directory.
fn penctl(directory: &Path, words: &[&str], stdin: &str) -> Ended {
    let directory = format!("PEN_RUN_DIR={}", directory.display());
    let program = ours("penctl").display().to_string();
    run("env", &[&[directory.as_str(), program.as_str()], words].concat(), stdin)
}

#[test]
fn the_only_pen_is_meant() {
    let directory = TempDir::new();
    let ended = penctl(&directory, &["-e", "blacklist"], "");
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    let nothing = format!("penctl: no pen found in {}; want the address", directory.display());
    assert!(ended.stderr.starts_with(&nothing), "{ended:?}");
    let _pen = pen_called(&directory, "web", 7);
    drop(UnixListener::bind(directory.join("old")).unwrap());
    let ended = penctl(&directory, &["-e", "blacklist"], "");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "7\n"));
    assert!(ended.stderr.contains("/old: no process listens there; the socket was left behind"), "{ended:?}");
    let ended = penctl(&directory, &[], "blacklist\n");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "7\n"), "commands on standard input");
}

#[test]
fn several_are_listed_and_one_is_named() {
    let directory = TempDir::new();
    let [mail, _web] =
        [("mail", 5), ("web", 7)].map(|(name, blacklist)| pen_called(&directory, name, blacklist));
    // It takes callers in and never says a word.
    let _hanging = UnixListener::bind(directory.join("hanging")).unwrap();
    std::fs::write(directory.join("no-socket"), "").unwrap();
    let ended = penctl(&directory, &[], "blacklist\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let [pid, listen] = [mail.pid().to_string(), mail.address.to_string()];
    let socket = directory.join("mail/control").display().to_string();
    assert_eq!(lines.len(), 4, "{ended:?}");
    assert_eq!(lines[1][..4], ["-", "hanging", "-", "no"]);
    assert_eq!(lines[2], ["1", "mail", &pid, "full", "main", &listen, &socket]);
    assert_eq!(lines[3][..2], ["2", "web"]);
    assert!(ended.stderr.contains("several pens run here: want the name or socket of one"), "{ended:?}");
    assert!(ended.stderr.contains("/hanging: does not answer"), "{ended:?}");
    let listed = penctl(&directory, &["--list"], "");
    assert_eq!((listed.code, listed.stdout), (Some(0), ended.stdout));
    assert_eq!(penctl(&directory, &["web", "blacklist"], "").stdout, "7\n");
    let ended = penctl(&directory, &["wen", "blacklist"], "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no pen is called \"wen\": mail, web"), "{ended:?}");
}

#[test]
fn on_a_terminal_one_chooses_and_goes_over_to_another() {
    let directory = TempDir::new();
    let _pens = [("mail", 5), ("web", 7)].map(|(name, blacklist)| pen_called(&directory, name, blacklist));
    let mut command = Command::new(ours("penctl"));
    command.env("PEN_RUN_DIR", directory.path()).env("HOME", directory.path());
    let mut terminal = Terminal::start(command, (200, 40));
    terminal.until("by number or name? ");
    terminal.write("3\r");
    terminal.until("want a number from 1 to 2 or a name, got \"3\"");
    terminal.until("by number or name? ");
    terminal.write("web\r");
    terminal.until("web/control> ");
    terminal.write("blacklist\r");
    terminal.until("\r\n7\r\n");
    terminal.write("scan\r");
    terminal.until("by number or name? ");
    terminal.write("1\r");
    terminal.until("mail/control> ");
    terminal.write("blacklist\r");
    terminal.until("\r\n5\r\n");
    terminal.write("quit\r");
    assert!(terminal.child.wait().unwrap().success());
}
