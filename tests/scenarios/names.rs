//! A name server that says nothing holds up nobody but who needs its answers.
//!
//! pen runs with a resolv.conf of its own, in a mount namespace. Needs root and unshare(1).

use crate::common::backend::Backend;
use crate::common::datagram::UdpServer;
use crate::common::pen::{Pen, Start, converse};
use crate::common::wait::{eventually, timed};
use crate::common::{programs, root, skip, skip_without};
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;

/// Less than the resolver library waits for one name (5 s, twice), and than pen does.
const AT_ONCE: Duration = Duration::from_secs(4);
/// For eight names at once, not one after the other.
const TOGETHER: Duration = Duration::from_secs(30);
const IN_MOUNT_NAMESPACE: &str = "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" \"$@\"";

/// A name server that takes questions and never answers; `None` where that cannot be had. `number` tells it from others of
/// this process.
fn silent_name_server(number: u8) -> Option<UdpServer> {
    if !root() {
        skip("a resolv.conf of its own needs root");
        return None;
    }
    if !programs::is_installed("unshare") {
        skip_without("util-linux");
        return None;
    }
    let pid = std::process::id();
    let address = format!("127.{}.{}.{}:53", 100 + u32::from(number), pid >> 8 & 255, pid & 255);
    Some(UdpServer::handling(&address, |_, _, _| {}))
}

fn asking(name_server: &UdpServer, start: Start) -> Pen {
    let resolv_conf = format!("nameserver {}\n", name_server.address().ip());
    let start = start.file("resolv.conf", &resolv_conf);
    start.through("unshare --mount sh -c").through_script(IN_MOUNT_NAMESPACE).start()
}

fn names(count: usize) -> String {
    (0..count).map(|index| format!("server {} address host{index}.test port 80\n", index + 1)).collect()
}

/// Until pen waits for the name server.
fn until_asked(name_server: &UdpServer) {
    eventually("a question", || name_server.datagrams().len(), |seen| *seen > 0);
}

#[test]
fn a_reload_waits_alone_and_for_all_names_at_once() {
    let Some(name_server) = silent_name_server(0) else { return };
    let server = Backend::named("A");
    let pen = asking(&name_server, Pen::before([&server]).options("-l pen.log").config("blacklist 8\n"));
    fs::write(pen.path("pen.conf"), format!("blacklist 9\n{}", names(8))).unwrap();
    fs::rename(pen.path("pen.log"), pen.path("pen.log.1")).unwrap();
    pen.signal(Signal::SIGHUP);
    until_asked(&name_server);
    let (answered, taken) = timed(|| (pen.control("blacklist"), pen.ask()));
    assert_eq!(answered, ("8\n".into(), "A".into()));
    assert!(taken < AT_ONCE, "{taken:?}");
    assert!(pen.path("pen.log").exists(), "the log is opened again at once");
    let told = || pen.stderr().lines().filter(|line| line.contains("no answer from the name server")).count();
    let (told, taken) = timed(|| eventually("all names to be told", told, |told| *told == 8));
    assert!(taken < TOGETHER, "{taken:?} for {told}");
    assert_eq!(pen.control("blacklist"), "8\n", "nothing has changed");
}

#[test]
fn a_reload_that_waits_does_not_keep_pen_from_ending() {
    let Some(name_server) = silent_name_server(1) else { return };
    let mut pen = asking(&name_server, Pen::before([] as [&str; 0]).config(""));
    fs::write(pen.path("pen.conf"), names(1)).unwrap();
    pen.signal(Signal::SIGHUP);
    until_asked(&name_server);
    let (code, taken) = timed(|| {
        pen.signal(Signal::SIGTERM);
        pen.wait()
    });
    assert_eq!(code, Some(0));
    assert!(taken < AT_ONCE, "{taken:?}");
}

#[test]
fn a_file_that_is_included_waits_alone_and_for_all_names_at_once() {
    let Some(name_server) = silent_name_server(2) else { return };
    let pen = asking(&name_server, Pen::before([] as [&str; 0]).file("more.conf", &names(8)));
    let asker = pen.control_stream().unwrap();
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| timed(|| converse(asker, b"include more.conf\n")));
        until_asked(&name_server);
        let (answer, taken) = timed(|| pen.control("blacklist"));
        assert_eq!(answer, "30\n");
        assert!(taken < AT_ONCE, "{taken:?}");
        let (reply, taken) = reply.join().unwrap();
        assert!(
            reply
                .starts_with("error: host \"host0.test\": no answer from the name server within 5 seconds\n"),
            "{reply}"
        );
        assert_eq!(reply.lines().count(), 8, "{reply}");
        assert!(taken < TOGETHER, "{taken:?}");
    });
}
