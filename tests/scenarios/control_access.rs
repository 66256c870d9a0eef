//! Who may give commands.

use crate::common::pen::{Pen, control_over_tcp};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

fn no_servers() -> [&'static str; 0] {
    []
}

#[test]
fn the_socket_is_for_its_owner_only_and_goes_when_pen_goes() {
    let mut pen = Pen::before(no_servers()).start();
    let metadata = std::fs::metadata(pen.path("control")).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    pen.signal(nix::sys::signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    assert!(!pen.path("control").exists());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let start = Pen::before(no_servers());
    drop(UnixListener::bind(start.path("control")).unwrap());
    assert_eq!(start.start().control("blacklist"), "30\n");
}

#[test]
fn a_socket_in_use_is_not_taken_away() {
    let pen = Pen::before(no_servers()).start();
    let ended = Pen::before(no_servers()).control_at(pen.path("control").display()).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(pen.control("blacklist"), "30\n");
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let start = Pen::before(no_servers()).file("control", "precious");
    let path = start.path("control");
    let (ended, _dir) = start.run_and_keep();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("control"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
}

#[test]
fn control_acl_turns_others_away_without_a_word() {
    let port = free_port();
    let start = Pen::before(no_servers()).control_at(format!("127.0.0.1:{port}"));
    let pen = start.command("acl 4 permit 127.0.0.5").command("control_acl 4").start();
    let control = ([127, 0, 0, 1], port).into();
    assert_eq!(control_over_tcp("127.0.0.1", control, "blacklist"), "");
    assert_eq!(control_over_tcp("127.0.0.5", control, "blacklist"), "30\n");
    eventually("a word to the operator", || pen.stderr(), |text| text.contains("not from there"));
}

#[test]
fn unix_clients_always_pass() {
    let pen = Pen::before(no_servers()).command("acl 4 permit 10.0.0.1").command("control_acl 4").start();
    assert_eq!(pen.control("control_acl"), "4\n");
}

#[test]
fn as_root_without_a_user_there_is_no_control_port() {
    if !root() {
        return skip("only root is refused");
    }
    let port = free_port();
    let pen = Pen::before(no_servers()).without_control().options(&format!("-C 127.0.0.1:{port}")).start();
    let refusal = "Won't open control port running as root; use -u to run as different user";
    eventually("the refusal", || pen.stderr(), |text| text.contains(refusal));
    assert!(!crate::common::process::listening(port));
}

#[test]
fn exit_needs_to_be_allowed() {
    let pen = Pen::before(no_servers()).start();
    assert_eq!(pen.control("exit"), "Exit is not enabled; restart with -X flag\n");
    assert_eq!(pen.control("blacklist"), "30\n");
    let mut pen = Pen::before(no_servers()).options("-X").start();
    pen.control("exit");
    assert_eq!(pen.wait(), Some(0));
}
