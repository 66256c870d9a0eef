//! penlogd as a process: what it receives and writes, signals, files, privileges, the way into the background.

mod common;

use common::skip::skip_outside_ci;
use common::{
    OURS, Penlogd, TempDir, eventually, exists, free_port, is_bound, is_root, is_waiting, status_field,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

const PEN_LINE: &[u8] = b"+ 10.1.1.1 127.0.0.1 GET /a HTTP/1.1\n";
const WEB_LINE: &[u8] = b"127.0.0.1 - - [t] \"GET /a HTTP/1.1\" 200 1\n";
const JOINED: &str = "10.1.1.1 - - [t] \"GET /a HTTP/1.1\" 200 1\n";
const NOT_JOINED: &str = "127.0.0.1 - - [t] \"GET /a HTTP/1.1\" 200 1\n";

#[test]
fn lines_are_joined_and_written_at_once() {
    let penlogd = Penlogd::start("");
    penlogd.send("127.0.0.1", &[PEN_LINE, WEB_LINE]);
    penlogd.expect_log(JOINED);
    penlogd.send("127.0.0.2", &[WEB_LINE]);
    penlogd.expect_log(&format!("{JOINED}{NOT_JOINED}"));
}

#[test]
fn servers_speak_ipv6_too() {
    let penlogd = Penlogd::start("");
    penlogd.send("::1", &[b"+ 2001:db8::7 ::1 GET /a HTTP/1.1\n", WEB_LINE]);
    penlogd.expect_log("2001:db8::7 - - [t] \"GET /a HTTP/1.1\" 200 1\n");
}

#[test]
fn one_family_can_be_enough() {
    let (v4, v6) = (Penlogd::start("-4"), Penlogd::start("-6"));
    assert!(UdpSocket::bind(("::1", v4.port)).is_ok());
    assert!(UdpSocket::bind(("127.0.0.1", v6.port)).is_ok());
    v4.send("127.0.0.1", &[WEB_LINE]);
    v6.send("::1", &[WEB_LINE]);
    v4.expect_log(NOT_JOINED);
    v6.expect_log(NOT_JOINED);
}

#[test]
fn what_is_no_line_is_told_and_dropped() {
    let penlogd = Penlogd::start("-d");
    let longest = [b"x".as_slice(), &[b' '; 65_506]].concat();
    penlogd
        .send("127.0.0.1", &[b"+ 1.2.3.4 nosuch GET /\n", b"+ 1.2.3.4 ::1", b"", b"\x1b\0\xff\n", &longest]);
    penlogd.send("127.0.0.1", &[WEB_LINE]);
    penlogd.expect_log(NOT_JOINED);
    let said = penlogd.expect_said("bogus web line x");
    assert!(said.starts_with("penlogd: discarding bogus pen line + 1.2.3.4 nosuch GET /\n"), "{said}");
    assert!(said.contains("penlogd: bogus web line \\x1b\\x00"), "{said}");
}

#[test]
fn only_permitted_sources_count() {
    let penlogd = Penlogd::start("-a 127.0.0.2 -a 127.0.1.0/24 -d");
    penlogd.send("127.0.0.1", &[PEN_LINE, WEB_LINE]);
    penlogd.send("::1", &[WEB_LINE]);
    penlogd.send("127.0.1.9", &[PEN_LINE]);
    penlogd.send("127.0.0.2", &[b"+ 10.1.1.1 127.0.0.2 GET /a HTTP/1.1\n", WEB_LINE]);
    penlogd.expect_log(JOINED);
    penlogd.expect_said("datagram from ::1 refused");
    penlogd.signal(Signal::SIGUSR1);
    penlogd.expect_said("2 lines from pen (2 remembered), 1 from web servers, 1 of them matched; 0 bogus lines, 3 datagrams refused");
}

#[test]
fn a_small_cache_forgets() {
    let penlogd = Penlogd::start("-n 1");
    penlogd.send("127.0.0.1", &[PEN_LINE, b"+ 10.1.1.2 127.0.0.1 GET /b HTTP/1.1\n", WEB_LINE]);
    penlogd.expect_log(NOT_JOINED);
}

#[test]
fn a_hangup_opens_the_log_again() {
    let penlogd = Penlogd::start("");
    penlogd.send("127.0.0.1", &[WEB_LINE]);
    penlogd.expect_log(NOT_JOINED);
    let path = |name| penlogd.directory.path().join(name);
    fs::rename(path("log"), path("log.1")).unwrap();
    // Without a hangup the line still goes to the old file, under its new name.
    penlogd.send("127.0.0.1", &[PEN_LINE, WEB_LINE]);
    eventually("the renamed log", || penlogd.read("log.1"), |log| *log == format!("{NOT_JOINED}{JOINED}"));
    penlogd.signal(Signal::SIGHUP);
    eventually("the new log", || exists(&path("log")), |there| *there);
    penlogd.send("127.0.0.1", &[WEB_LINE]);
    penlogd.expect_log(JOINED);
}

#[test]
fn a_log_that_cannot_be_opened_again_goes_on() {
    let penlogd = Penlogd::start("");
    let path = |name| penlogd.directory.path().join(name);
    fs::rename(path("log"), path("log.1")).unwrap();
    fs::create_dir(path("log")).unwrap();
    penlogd.signal(Signal::SIGHUP);
    penlogd.expect_said("Can't reopen logfile log: ");
    penlogd.send("127.0.0.1", &[WEB_LINE]);
    eventually("the renamed log", || penlogd.read("log.1"), |log| log == NOT_JOINED);
}

#[test]
fn it_ends_orderly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut penlogd = Penlogd::start("");
        penlogd.send("127.0.0.1", &[PEN_LINE, WEB_LINE]);
        assert_eq!(penlogd.end(signal), Some(0));
        assert_eq!(penlogd.read("log"), JOINED);
        assert!(!exists(&penlogd.directory.path().join("pid")));
    }
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let mut penlogd = Penlogd::start("-l /dev/full");
    for _ in 0..2 {
        penlogd.send("127.0.0.1", &[WEB_LINE]);
        penlogd.expect_said("lines are lost");
    }
    penlogd.signal(Signal::SIGUSR1);
    penlogd.expect_said(" 2 lines lost on writing");
    assert_eq!(penlogd.read("stderr").matches("No space left on device").count(), 1);
    assert_eq!(penlogd.end(Signal::SIGTERM), Some(0));
}

/// More than any socket buffer holds while nobody receives.
#[test]
fn what_finds_no_room_is_counted() {
    const SENT: u64 = 100_000;
    let penlogd = Penlogd::start("");
    penlogd.signal(Signal::SIGSTOP);
    eventually("it to stop", || status_field(penlogd.child.id(), "State"), |state| state.starts_with('T'));
    penlogd.send("127.0.0.1", &vec![WEB_LINE; SENT as usize]);
    penlogd.signal(Signal::SIGCONT);
    eventually("room", || is_waiting(penlogd.port), |waiting| !waiting);
    penlogd.signal(Signal::SIGUSR1);
    let said = penlogd.expect_said("lost on receipt");
    let number_before = |words: &str| -> u64 {
        let before = said.split(words).next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (written, lost) = (number_before(" from web servers"), number_before(" lost on receipt"));
    assert_eq!(written + lost, SENT, "{said}");
    assert!(lost > 0, "{said}");
    assert_eq!(penlogd.read("log").lines().count() as u64, written);
}

#[test]
fn standard_output_is_a_log_too() {
    let port = free_port();
    let mut child = Command::new(OURS)
        .args(["-f", &port.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("penlogd to start", || is_bound(port), |bound| *bound);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = || socket.send_to(WEB_LINE, ("127.0.0.1", port)).unwrap();
    send();
    let mut stdout = child.stdout.take().unwrap();
    let mut line = vec![0; NOT_JOINED.len()];
    stdout.read_exact(&mut line).unwrap();
    assert_eq!(line, NOT_JOINED.as_bytes());
    // Who reads went away: there is nothing left to do, and whoever started it may start both again.
    // A process that another test starts just now may hold the pipe for a moment longer, so once may not be enough.
    drop(stdout);
    let ended = || {
        send();
        child.try_wait().unwrap()
    };
    eventually("penlogd to end", ended, Option::is_some);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (said.as_str(), output.status.code()),
        ("penlogd: standard output: nobody reads it any more\n", Some(1))
    );
}

/// Ends the daemon whose pid is in the file.
fn end_daemon(directory: &TempDir) {
    let pid_file = directory.path().join("pid");
    let pid = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    eventually("the pid file to go", || exists(&pid_file), |there| !there);
}

#[test]
fn the_parent_leaves_when_the_daemon_serves() {
    let directory = TempDir::new();
    let port = free_port().to_string();
    let daemon = || {
        let mut command = Command::new(OURS);
        command.args(["-l", "log", "-p", "pid", &port]).current_dir(directory.path()).output().unwrap()
    };
    let first = daemon();
    assert_eq!((first.status.code(), first.stdout.len(), first.stderr.len()), (Some(0), 0, 0));
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(WEB_LINE, format!("127.0.0.1:{port}")).unwrap();
    let log = || fs::read_to_string(directory.path().join("log")).unwrap();
    eventually("the log", log, |log| log == NOT_JOINED);
    let second = daemon();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(said, format!("penlogd: port {port} (IPv4): Address already in use (os error 98)\n"));
    end_daemon(&directory);
}

#[test]
fn a_daemon_keeps_its_standard_output() {
    let directory = TempDir::new();
    let port = free_port();
    let log = directory.path().join("log");
    let status = Command::new(OURS)
        .args(["-p", "pid", &port.to_string()])
        .current_dir(directory.path())
        .stdout(fs::File::create(&log).unwrap())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(WEB_LINE, ("127.0.0.1", port)).unwrap();
    eventually("the log", || fs::read_to_string(&log).unwrap(), |log| log == NOT_JOINED);
    end_daemon(&directory);
}

#[test]
fn a_daemon_that_cannot_start_says_so_to_its_parent() {
    let directory = TempDir::new();
    for (arguments, expected) in [
        ("-l nosuch/log", "penlogd: Can't open logfile nosuch/log: No such file or directory (os error 2)\n"),
        ("-p nosuch/pid", "penlogd: Can't open pidfile nosuch/pid: No such file or directory (os error 2)\n"),
        ("-u nosuch-user", "penlogd: Can't getpwnam(nosuch-user): no such user\n"),
        ("-j nosuch", "penlogd: Can't chroot(nosuch): "),
    ] {
        let output = Command::new(OURS)
            .args(arguments.split_whitespace())
            .arg(free_port().to_string())
            .current_dir(directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(expected), "{arguments}: {said}");
        assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)), "{arguments}");
    }
}

#[test]
fn it_gives_up_root_and_lives_in_its_jail() {
    if !is_root() {
        return skip_outside_ci("only root can become somebody else");
    }
    let jail = TempDir::new();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    nix::unistd::chown(jail.path(), Some(nobody.uid), Some(nobody.gid)).unwrap();
    let port = free_port();
    let mut child = Command::new(OURS)
        .args(["-f", "-u", "nobody", "-l", "/log", "-p", "pid", "-j"])
        .arg(jail.path())
        .arg(port.to_string())
        .spawn()
        .unwrap();
    let path = |name| jail.path().join(name);
    eventually("the log", || exists(&path("log")), |there| *there);
    let (uid, gid) = (nobody.uid, nobody.gid);
    assert_eq!(status_field(child.id(), "Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(status_field(child.id(), "Gid"), format!("{gid} {gid} {gid} {gid}"));
    assert!(!status_field(child.id(), "Groups").split(' ').any(|group| group == "0"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(WEB_LINE, ("127.0.0.1", port)).unwrap();
    eventually("the log", || fs::read_to_string(path("log")).unwrap(), |log| log == NOT_JOINED);
    fs::rename(path("log"), path("log.1")).unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("the new log", || exists(&path("log")), |there| *there);
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Seconds since midnight in the line of syslog that a penlogd in the background in this time zone sends on USR1.
fn second_of_the_day_in_syslog(zone: &str) -> i64 {
    let directory = TempDir::new();
    fs::create_dir_all(directory.path().join("dev/shm")).unwrap();
    directory.file("dev/null", "");
    let syslogd = UnixDatagram::bind(directory.path().join("dev/log")).unwrap();
    syslogd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A /dev of its own, with the syslogd of this test in it; shared memory is what a faked clock is kept in.
    let script = "mount --bind /dev/shm dev/shm && mount --rbind dev /dev && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", OURS, "-l", "log", "-p", "pid", &free_port().to_string()])
        .env("TZ", zone)
        .current_dir(directory.path())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
    let pid = fs::read_to_string(directory.path().join("pid")).unwrap();
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGUSR1).unwrap();
    let mut buffer = [0; 1024];
    let length = syslogd.recv(&mut buffer).unwrap();
    let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
    end_daemon(&directory);
    // <13>Nov  1 01:02:03 penlogd[4711]: 0 lines from pen ...
    let (time, text) = line.strip_prefix("<13>").unwrap().split_at("Nov  1 01:02:03".len());
    assert!(text.starts_with(&format!(" penlogd[{pid}]: 0 lines from pen")), "{line}");
    let fields = time["Nov  1 ".len()..].split(':').map(|field| field.parse::<i64>().unwrap());
    fields.fold(0, |seconds, field| seconds * 60 + field)
}

#[test]
fn syslog_has_local_time() {
    if !is_root() {
        return skip_outside_ci("only root can have a /dev of its own");
    }
    const DAY: i64 = 24 * 3600;
    let ahead = second_of_the_day_in_syslog("JST-9") - second_of_the_day_in_syslog("UTC0");
    // A minute may pass between the two.
    let error = (ahead - 9 * 3600).rem_euclid(DAY);
    assert!(!(60..DAY - 60).contains(&error), "{ahead} s ahead of UTC");
}

#[test]
fn wrong_arguments_are_errors() {
    for (arguments, expected) in [
        (&[][..], "penlogd: want one port, got 0\npenlogd: try --help\n"),
        (&["http"], "penlogd: port: want 1..65535, got \"http\"\npenlogd: try --help\n"),
    ] {
        let output = Command::new(OURS).args(arguments).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)));
    }
    let help = Command::new(OURS).arg("--help").output().unwrap();
    assert!(help.stdout.starts_with(b"Usage: penlogd [options] port\n"));
    let version = Command::new(OURS).arg("--version").output().unwrap();
    assert_eq!(version.stdout, concat!("penlogd (pen) ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
}
