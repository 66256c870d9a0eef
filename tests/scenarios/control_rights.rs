//! Who only looks on a Unix control socket: users other than pen's, unless they belong to `control_group`.

use crate::common::pen::{Ended, Pen, Start};
use crate::common::programs::{all_installed, copy, ours, run};
use crate::common::{root, skip};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// A user that is neither root nor pen's, and a group that nobody has.
const USER: &str = "12345";
const GROUP: u32 = 54321;

fn no_servers() -> [&'static str; 0] {
    []
}

/// Whether this machine can play other users.
fn plays_others() -> bool {
    if !root() {
        skip("only root can be another user");
        return false;
    }
    all_installed(&[("setpriv", "util-linux")])
}

/// Starts a pen, with a penctl beside it that every user may execute.
fn start(start: Start) -> Pen {
    let pen = start.start();
    copy(ours("penctl"), pen.path("penctl"));
    pen
}

/// Runs penctl as another user, with these supplementary groups.
fn penctl_as(pen: &Pen, user: &str, groups: &str, words: &[&str]) -> Ended {
    let groups = if groups.is_empty() { "--clear-groups".to_owned() } else { format!("--groups={groups}") };
    let [program, control] = ["penctl", "control"].map(|name| pen.path(name).display().to_string());
    let ids = [format!("--reuid={user}"), format!("--regid={user}"), groups];
    let mut all: Vec<&str> = ids.iter().map(String::as_str).collect();
    all.extend([program.as_str(), control.as_str()]);
    all.extend(words);
    run("setpriv", &all, "")
}

fn is_refused(ended: &Ended, refusal: &str) {
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains(refusal), "{refusal:?}: {ended:?}");
}

fn is_answered(ended: &Ended, reply: &str) {
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), reply, ""));
}

#[test]
fn other_users_only_look() {
    if !plays_others() {
        return;
    }
    let pen = start(Pen::before(no_servers()).options("-u nobody").command("control_mode 666"));
    let mode = std::fs::metadata(pen.path("control")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    is_answered(&penctl_as(&pen, USER, "", &["blacklist"]), "30\n");
    is_answered(&penctl_as(&pen, USER, "", &["servers", "json"]), "[]\n");
    for (words, word) in [
        (&["blacklist", "5"][..], "blacklist"),
        (&["include", "/etc/passwd"], "include"),
        (&["service", "main", "status"], "status"),
        (&["127.0.0.1:80:1"], "server"),
    ] {
        let refusal = format!("{word}: you may only look here: want root, nobody\n");
        is_refused(&penctl_as(&pen, USER, "", words), &refusal);
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.to_string();
    is_answered(&penctl_as(&pen, &nobody, "", &["blacklist", "5"]), "5\n");
    assert_eq!(pen.control("blacklist 6"), "6\n", "root may");
    let mut stream = pen.control_stream().unwrap();
    std::io::Write::write_all(&mut stream, b"session\n").unwrap();
    let mut greeting = [0; 32];
    let count = std::io::Read::read(&mut stream, &mut greeting).unwrap();
    assert!(!String::from_utf8_lossy(&greeting[..count]).contains("read-only"), "root may do everything");
}

#[test]
fn members_of_the_group_give_commands_whatever_pen_has_given_up() {
    if !plays_others() {
        return;
    }
    let start_in_jail = Pen::before(no_servers()).directory("jail").options("-j jail -u nobody");
    let pen = start(start_in_jail.command("control_mode 660").command(format!("control_group {GROUP}")));
    let metadata = std::fs::metadata(pen.path("control")).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.gid()), (0o660, GROUP));
    is_answered(&penctl_as(&pen, USER, &GROUP.to_string(), &["blacklist", "5"]), "5\n");
    let many: Vec<String> = (GROUP - 99..=GROUP).map(|group| group.to_string()).collect();
    is_answered(&penctl_as(&pen, USER, &many.join(","), &["blacklist", "6"]), "6\n");
    is_answered(&penctl_as(&pen, &GROUP.to_string(), "", &["blacklist", "7"]), "7\n");
    is_refused(&penctl_as(&pen, USER, "", &["blacklist"]), "permission denied");
    assert_eq!(pen.control("control_group"), format!("{GROUP}\n"));
    assert_eq!(pen.control("control_mode"), "660\n");
    assert!(pen.control("control_mode 600").starts_with("error: control_mode: only at start: now 660"));
}

#[test]
fn beside_a_group_everybody_may_look() {
    if !plays_others() {
        return;
    }
    let pen = Pen::before(no_servers()).config(&format!("control_mode 0666\ncontrol_group {GROUP}\n"));
    let pen = start(pen);
    let refusal = format!("blacklist: you may only look here: want root, a member of the group {GROUP}");
    is_refused(&penctl_as(&pen, USER, "", &["blacklist", "5"]), &refusal);
    is_answered(&penctl_as(&pen, USER, &GROUP.to_string(), &["blacklist", "5"]), "5\n");
    pen.control(&format!("write {}", pen.path("saved").display()));
    let saved = pen.text("saved");
    for line in [format!("control_group {GROUP}\n"), "control_mode 666\n".into()] {
        assert!(saved.contains(&line), "{line}: {saved}");
    }
}

#[test]
fn what_cannot_be_is_an_error_at_start() {
    for (command, trouble) in [
        ("control_mode 888", "control_mode: want 0..777 in octal digits, such as 660, got \"888\""),
        ("control_mode 1777", "got \"1777\""),
        ("control_group no-such-group", "control_group: no-such-group: no such group"),
    ] {
        for check in ["", "--check"] {
            let ended = Pen::before(no_servers()).options(check).command(command).run();
            assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
            assert!(ended.stderr.contains(trouble), "{command}: {ended:?}");
        }
    }
}

#[test]
fn a_group_that_cannot_connect_is_remarked_on() {
    if !root() {
        return skip("only root may give a file to any group");
    }
    let mut pen = Pen::before(no_servers()).command("control_group 0").start();
    pen.signal(nix::sys::signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    let remark = "control_group: with control_mode 600 nobody of it can connect; want 660";
    assert!(pen.stderr().contains(remark), "{}", pen.stderr());
}
