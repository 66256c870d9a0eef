//! `NOTIFY_SOCKET`: pen says when it is ready and when it stops.

use crate::common::client::Client;
use crate::common::tempdir::TempDir;
use crate::common::wait::PATIENCE;
use crate::common::{backend::Backend, ports::free_port};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ready_means_that_clients_are_served() {
    let dir = TempDir::new();
    let server = Backend::named("A");
    let path = dir.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pen"));
    command.args(["-f", &format!("127.0.0.1:{port}"), &server.to_string()]).env("NOTIFY_SOCKET", &path);
    let process = Process(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut message = [0; 4096];
    let length = notify.recv(&mut message).expect("a message");
    let text = String::from_utf8_lossy(&message[..length]).into_owned();
    assert!(text.lines().any(|line| line == "READY=1"), "{text:?}");
    assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).line(), "A");
    drop(process);
}

#[test]
fn a_notify_socket_that_is_not_there_is_no_obstacle() {
    let server = Backend::named("A");
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pen"));
    command
        .args(["-f", &format!("127.0.0.1:{port}"), &server.to_string()])
        .env("NOTIFY_SOCKET", "/nonexistent/notify");
    let process = Process(command.stdin(Stdio::null()).spawn().unwrap());
    crate::common::wait::eventually(
        "pen to listen",
        || crate::common::process::listening(port),
        |listening| *listening,
    );
    assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).line(), "A");
    drop(process);
}
