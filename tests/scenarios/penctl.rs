//! `penctl` on a real pen: words in, replies out, and an exit status to rely on.

use crate::common::backend::Backend;
use crate::common::pen::{Ended, Make, ORIGINAL, Pen};
use crate::common::programs::run;
use crate::common::skip_without;

fn pen() -> Pen {
    Pen::before([] as [&str; 0]).options("-b 17").start()
}

/// Runs penctl on the pen's socket.
fn penctl(pen: &Pen, words: &[&str], stdin: &str) -> Ended {
    let socket = pen.path("control").display().to_string();
    run("penctl", &[&[socket.as_str()], words].concat(), stdin)
}

fn is_success(ended: &Ended, stdout: &str) {
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), stdout, ""));
}

fn is_failure(ended: &Ended, name: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains(name), "{name:?} is not named: {ended:?}");
}

#[test]
fn a_reply_goes_to_standard_output() {
    let pen = pen();
    is_success(&penctl(&pen, &["blacklist"], ""), "17\n");
    is_success(&penctl(&pen, &["hash"], ""), "");
}

#[test]
fn words_are_one_command() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    is_success(&penctl(&pen, &["server", "0", "max", "3"], ""), "");
    assert!(pen.control("servers").contains(" max 3 "));
    is_success(&penctl(&pen, &["blacklist 5"], ""), "5\n");
}

#[test]
fn an_error_goes_to_standard_error_with_status_one() {
    let pen = pen();
    is_failure(&penctl(&pen, &["bogus"], ""), "bogus");
    is_failure(&penctl(&pen, &["blacklist", "x"], ""), "x");
}

#[test]
fn whom_it_cannot_reach_it_names() {
    let dead = Backend::refusing("dead");
    is_failure(&run("penctl", &[&dead.to_string(), "blacklist"], ""), &dead.to_string());
    is_failure(&run("penctl", &["/nonexistent/control", "blacklist"], ""), "/nonexistent/control");
    is_failure(&run("penctl", &["no.such.host.invalid:80", "blacklist"], ""), "no.such.host.invalid");
    is_failure(&run("penctl", &["127.0.0.1", "blacklist"], ""), "127.0.0.1");
}

#[test]
fn several_commands_share_a_session() {
    let pen = pen();
    let socket = pen.path("control").display().to_string();
    is_success(
        &run("penctl", &["-e", "blacklist", "-e", "blacklist 18", "-e", "mode", &socket], ""),
        "17\n18\nno hash no roundrobin no stubborn no weight no prio\n",
    );
}

#[test]
fn commands_may_come_from_standard_input() {
    let pen = pen();
    is_success(&penctl(&pen, &[], "blacklist\nblacklist 18\n\n# remark\nblacklist"), "17\n18\n18\n");
}

#[test]
fn help_and_version() {
    for option in ["--help", "--version"] {
        let ended = run("penctl", &[option], "");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{option}");
        assert!(ended.stdout.contains("penctl"), "{option}: {ended:?}");
    }
}

#[test]
fn it_speaks_with_the_original_too() {
    if !std::path::Path::new(ORIGINAL).exists() {
        return skip_without("pen");
    }
    let pen = Pen::before([] as [&str; 0]).make(Make::Original).options("-b 17").start();
    is_success(&penctl(&pen, &["blacklist"], ""), "17\n");
}
