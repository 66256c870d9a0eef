//! `-u` and `-j`: what is given up, completely.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::process::status_field;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use nix::unistd::User;
use std::fs;
use std::path::Path;

fn nobody() -> User {
    User::from_name("nobody").unwrap().expect("a user nobody")
}

#[test]
fn as_another_user_nothing_of_root_is_left() {
    if !root() {
        return skip("only root can become somebody else");
    }
    let server = Backend::named("A");
    let groups = "setpriv --groups=4,20,24";
    let pen = Pen::before([&server]).through(groups).options("-u nobody").start();
    let (user, group) = (nobody().uid.to_string(), nobody().gid.to_string());
    let all = |id: &str| vec![id.to_string(); 4];
    let ids = |field| status_field(pen.pid(), field).split_whitespace().map(String::from).collect::<Vec<_>>();
    assert_eq!(ids("Uid"), all(&user));
    assert_eq!(ids("Gid"), all(&group));
    assert!(ids("Groups").iter().all(|id| *id == group), "supplementary groups: {:?}", ids("Groups"));
    for field in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(status_field(pen.pid(), field), "0000000000000000", "{field}");
    }
    assert_eq!(pen.ask(), "A");
    assert_eq!(pen.control("blacklist"), "30\n", "root may still give commands");
}

#[test]
fn every_thread_has_given_up_root() {
    if !root() {
        return skip("only root can become somebody else");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-u nobody").command("threads 4").start();
    assert_eq!(pen.asks(8), "A".repeat(8));
    let user = nobody().uid.to_string();
    for thread in fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let ids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
        assert!(ids.split_whitespace().skip(1).all(|id| id == user), "{ids}");
        assert!(status.contains("CapBnd:\t0000000000000000\n"), "{status}");
    }
}

#[test]
fn a_low_port_is_bound_before_root_is_given_up() {
    if !root() {
        return skip("only root can bind low ports");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).listen("127.0.83.1:83").options("-u nobody").start();
    assert_eq!(pen.ask(), "A");
}

#[test]
fn a_low_port_is_not_given_up_for_an_address_that_cannot_be_had() {
    if !root() {
        return skip("only root can bind low ports");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).listen("127.0.83.2:83").options("-u nobody").start();
    // Nobody has the first; the others would need root again.
    for address in ["192.0.2.1:8083", "127.0.83.2:84", "83"] {
        let reply = pen.control(&format!("listen {address}"));
        assert!(reply.starts_with("error: "), "{address}: {reply}");
        assert_eq!(pen.ask(), "A", "{address}");
    }
}

#[test]
fn a_user_may_be_a_number() {
    if !root() {
        return skip("only root can become another user");
    }
    let server = Backend::named("A");
    for (number, group) in [("65534", "65534"), ("54321", "54321")] {
        let pen = Pen::before([&server]).options(&format!("-u {number}")).start();
        assert_eq!(status_field(pen.pid(), "Uid"), [number; 4].join("\t"));
        assert_eq!(status_field(pen.pid(), "Gid"), [group; 4].join("\t"));
        assert_eq!(status_field(pen.pid(), "Groups"), group);
        assert_eq!(pen.ask(), "A");
    }
    let ended = Pen::before([&server]).options("-u 99999999999").run();
    assert!(ended.stderr.contains("Can't getpwnam(99999999999): no such user"), "{}", ended.stderr);
}

#[test]
fn as_another_user_it_still_listens_beside_itself() {
    if !root() {
        return skip("only root can become another user");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-u nobody").start();
    let address = format!("0.0.0.0:{}", pen.address.port());
    assert_eq!(pen.control(&format!("listen {address}")), format!("{address}\n"));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn in_a_jail_the_jail_is_all_there_is() {
    if !root() {
        return skip("only root can chroot");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).directory("jail").options("-j jail -u nobody").start();
    let jail = pen.path("jail");
    assert_eq!(fs::read_link(format!("/proc/{}/root", pen.pid())).unwrap(), jail);
    let directory = fs::read_link(format!("/proc/{}/cwd", pen.pid())).unwrap();
    assert!(directory == jail || directory == Path::new("/"), "{directory:?} is outside");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn in_a_jail_the_log_still_works_and_rotates() {
    if !root() {
        return skip("only root can chroot");
    }
    let server = Backend::named("A");
    let start = Pen::before([&server]).directory("jail").options("-j jail");
    let pen = start.command("log /pen.log").start();
    let log = pen.path("jail").join("pen.log");
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let say = || {
        let mut client = pen.connect();
        client.line();
        client.exchange("hello");
    };
    if !log.exists() {
        // Opened before the chroot, a path is the one outside; from now on it is the one inside.
        pen.control("log /pen.log");
    }
    say();
    eventually("a line", lines, |lines| *lines == 1);
    fs::rename(&log, pen.path("jail").join("pen.log.1")).unwrap();
    pen.signal(nix::sys::signal::SIGHUP);
    eventually("a new file", || log.exists(), |exists| *exists);
    say();
    eventually("a line in the new file", lines, |lines| *lines == 1);
}

/// Bit 13 of the masks in /proc is CAP_NET_RAW.
const CAP_NET_RAW_ONLY: &str = "0000000000002000";

#[test]
fn transparent_keeps_the_one_capability_it_needs() {
    if !root() {
        return skip("only root can become somebody else");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-u nobody").command("transparent").start();
    for field in ["CapEff", "CapPrm"] {
        assert_eq!(status_field(pen.pid(), field), CAP_NET_RAW_ONLY, "{field}");
    }
    for field in ["CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(status_field(pen.pid(), field), "0000000000000000", "{field}");
    }
    let ids = status_field(pen.pid(), "Uid");
    assert!(ids.split_whitespace().all(|id| id == nobody().uid.to_string()), "{ids}");
    assert_eq!(pen.ask_from("127.0.0.44"), "A");
    assert_eq!(server.peers()[0].ip().to_string(), "127.0.0.44");
}

#[test]
fn transparent_is_refused_where_its_capability_was_given_up() {
    if !root() {
        return skip("only root can become somebody else");
    }
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-u nobody").start();
    let reply = pen.control("transparent");
    assert!(reply.starts_with("error: transparent: "), "{reply}");
    assert_eq!(pen.ask_from("127.0.0.44"), "A");
    assert_eq!(server.peers()[0].ip().to_string(), "127.0.0.1", "nothing has changed");
}

#[test]
fn transparent_without_its_capability_ends_the_start() {
    if !root() {
        return skip("only root can start a program with less than everything");
    }
    let through = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let ended = Pen::before(["127.0.0.1:9"]).without_control().through(through).command("transparent").run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("transparent: want the capability CAP_NET_RAW"), "{ended:?}");
}
