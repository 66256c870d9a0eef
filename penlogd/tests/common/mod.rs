//! A penlogd of either make, datagrams for it, and its log. Shared by the test targets of this crate.
#![allow(dead_code, reason = "each test target uses its part")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[path = "../../../tests/common/ports.rs"]
mod ports;
#[path = "../../../tests/common/skip.rs"]
pub mod skip;
#[path = "../../../tests/common/wait.rs"]
mod wait;

pub use pen_sys::tempdir::TempDir;
pub use ports::free_port;
pub use wait::eventually;

pub const OURS: &str = env!("CARGO_BIN_EXE_penlogd");
pub const PENLOG: &str = env!("CARGO_BIN_EXE_penlog");
pub const ORIGINAL: &str = "/usr/bin/penlogd";

/// Whether the tests run as root. What needs root says so and is skipped otherwise.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether somebody receives on the port.
pub fn is_bound(port: u16) -> bool {
    !sockets(port).is_empty()
}

/// Whether something waits to be received on the port.
pub fn is_waiting(port: u16) -> bool {
    sockets(port).iter().any(|fields| !fields[4].ends_with(":00000000"))
}

/// What the kernel tells of the sockets on this port.
fn sockets(port: u16) -> Vec<Vec<String>> {
    let suffix = format!(":{port:04X}");
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|fields| fields[1].ends_with(&suffix))
        .collect()
}

/// A penlogd that serves, in the foreground, with its log in a file.
pub struct Penlogd {
    pub directory: TempDir,
    pub port: u16,
    pub child: Child,
}

impl Penlogd {
    /// Ours, with more arguments.
    pub fn start(arguments: &str) -> Penlogd {
        Penlogd::start_make(OURS, arguments)
    }

    pub fn start_make(program: &str, arguments: &str) -> Penlogd {
        let directory = TempDir::new();
        let port = free_port();
        let child = Command::new(program)
            .args(["-f", "-l", "log", "-p", "pid"])
            .args(arguments.split_whitespace())
            .arg(port.to_string())
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut penlogd = Penlogd { directory, port, child };
        penlogd.wait_until_ready();
        penlogd
    }

    /// Both makes bind and open files before they receive; ours can be told to end as soon as its pid file is there.
    fn wait_until_ready(&mut self) {
        let child = &mut self.child;
        let (port, pid_file) = (self.port, self.directory.path().join("pid"));
        let ready = || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            is_bound(port) && fs::read_to_string(&pid_file).is_ok_and(|pid| pid == child.id().to_string())
        };
        eventually("penlogd to start", ready, |ready| *ready);
    }

    pub fn send(&self, source: &str, datagrams: &[&[u8]]) {
        let any = if source.contains(':') { "::1" } else { "127.0.0.1" };
        let socket = UdpSocket::bind((source, 0)).unwrap();
        for datagram in datagrams {
            assert_eq!(socket.send_to(datagram, (any, self.port)).unwrap(), datagram.len());
        }
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join(name)).unwrap_or_default()).into_owned()
    }

    /// Waits for the log to read like this.
    pub fn expect_log(&self, expected: &str) {
        eventually("the log", || self.read("log"), |log| log == expected);
    }

    /// Waits for a line on standard error that contains the text, and returns all of it.
    pub fn expect_said(&self, text: &str) -> String {
        eventually(text, || self.read("stderr"), |said| said.contains(text))
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Ends it by a signal and returns the exit status.
    pub fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Penlogd {
    fn drop(&mut self) {
        // It may have ended as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of `/proc/PID/status`.
pub fn status_field(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
