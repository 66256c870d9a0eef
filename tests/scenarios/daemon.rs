//! Without `-f`: the parent's exit status tells whether pen runs, and the pid file tells where.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Daemon, Pen};
use crate::common::process::kill_processes_in;
use crate::common::wait::eventually;
use nix::sys::signal::{SIGKILL, SIGTERM};
use std::fs;

fn started(server: &Backend) -> Daemon {
    Pen::before([server]).in_background().options("-p pen.pid").start_daemon()
}

#[test]
fn the_parent_exits_with_zero_when_pen_is_ready() {
    let server = Backend::named("A");
    let daemon = started(&server);
    assert_eq!((daemon.parent.code, daemon.parent.stderr.as_str()), (Some(0), ""));
    assert_eq!(Client::connect(daemon.address).line(), "A", "without waiting");
    assert_eq!(
        fs::read_to_string(daemon.path("pen.pid")).unwrap(),
        daemon.pid.to_string(),
        "no newline, as in Pen"
    );
}

#[test]
fn it_is_on_its_own() {
    let server = Backend::named("A");
    let daemon = started(&server);
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(daemon.pid))).unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap(), "a session of its own");
    for descriptor in 0..3 {
        let target = fs::read_link(format!("/proc/{}/fd/{descriptor}", daemon.pid)).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"), "descriptor {descriptor}");
    }
    let directory = fs::read_link(format!("/proc/{}/cwd", daemon.pid)).unwrap();
    assert_eq!(directory, daemon.path("").components().as_path(), "relative paths keep working");
}

#[test]
fn term_ends_it_and_removes_the_pid_file() {
    let server = Backend::named("A");
    let daemon = started(&server);
    daemon.signal(SIGTERM);
    eventually("the pid file to go", || daemon.path("pen.pid").exists(), |exists| !exists);
    eventually("pen to go", || daemon.alive(), |alive| !alive);
}

#[test]
fn a_port_in_use_is_the_parents_exit_status() {
    let taken = Backend::named("taken");
    let ended = Pen::before(["127.0.0.1:1"]).in_background().without_control().listen(&taken).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&taken.to_string()), "the address is named: {ended:?}");
    assert!(ended.stderr.contains("in use"), "the reason is named: {ended:?}");
}

#[test]
fn two_pens_cannot_share_a_port_unnoticed() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let ended = Pen::before([&server]).listen(pen.address).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

/// What cannot work at start, and what the message must name.
const FAILURES: &[(&str, &str)] = &[
    ("-l missing/directory/log", "missing/directory/log"),
    ("-p missing/directory/pid", "missing/directory/pid"),
    ("-F missing.conf", "missing.conf"),
    ("-u nosuchuser", "nosuchuser"),
    ("-j missing/jail", "missing/jail"),
    ("-e no.such.host.invalid:80", "no.such.host.invalid"),
];

#[test]
fn every_failure_at_start_is_the_parents_exit_status() {
    for (options, name) in FAILURES {
        let server = Backend::named("A");
        let ended = Pen::before([&server]).in_background().without_control().options(options).run();
        assert_eq!(ended.code, Some(1), "{options}: {ended:?}");
        assert!(ended.stderr.contains(name), "{options}: {ended:?}");
        assert_eq!(ended.stdout, "", "{options}");
    }
}

#[test]
fn with_any_number_of_descriptors_it_starts_or_leaves_nothing_behind() {
    let mut failures = 0;
    for limit in 8..40 {
        let start = Pen::before(["127.0.0.1:9"]).in_background().listen("./listen").control_at("./control");
        let start = start.options("-p pen.pid -l pen.log").command("threads 2");
        let (ended, dir) = start.through(&format!("prlimit --nofile={limit}:{limit}")).run_and_keep();
        let left = ["pen.pid", "listen", "control"].map(|name| dir.path().join(name).exists());
        match ended.code {
            Some(0) => {
                assert_eq!(left, [true; 3], "{limit} descriptors");
                kill_processes_in(dir.path());
            }
            _ => {
                failures += 1;
                assert_eq!(left, [false; 3], "{limit} descriptors: {ended:?}");
            }
        }
    }
    assert!((1..32).contains(&failures), "{failures} of 32 failed");
}

#[test]
fn a_second_pen_does_not_take_the_pid_file_of_a_living_one() {
    let server = Backend::named("A");
    let daemon = started(&server);
    let ended =
        Pen::before([&server]).in_background().options("-p").word(daemon.path("pen.pid").display()).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("pen.pid"), "{ended:?}");
    assert_eq!(fs::read_to_string(daemon.path("pen.pid")).unwrap(), daemon.pid.to_string());
    assert!(daemon.alive());
}

#[test]
fn a_pid_file_left_behind_is_no_obstacle() {
    let server = Backend::named("A");
    let first = started(&server);
    first.signal(SIGKILL);
    eventually("pen to go", || first.alive(), |alive| !alive);
    let stale = fs::read_to_string(first.path("pen.pid")).unwrap();
    let second =
        Pen::before([&server]).in_background().file("pen.pid", &stale).options("-p pen.pid").start_daemon();
    assert_ne!(second.pid.to_string(), stale);
    assert!(second.alive());
}
