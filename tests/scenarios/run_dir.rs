//! `run_dir`: a control socket where penctl looks for pens.

use crate::common::pen::{Pen, Start, control_over_tcp};
use crate::common::ports::free_port;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

fn no_servers() -> [&'static str; 0] {
    []
}

/// With this directory in the place of `-C`, and the socket's path.
fn found_in(start: Start, directory: &str) -> (Start, PathBuf) {
    let path = start.path(directory);
    let start = start.command(format!("run_dir {}", path.display()));
    let name = format!("pen-{}", start.words().last().unwrap());
    (start, path.join(name))
}

/// The harness leaves out `-u root` where there is no `-C`.
fn without_c() -> Start {
    let start = Pen::before(no_servers()).without_control();
    if crate::common::root() { start.options("-u root") } else { start }
}

#[test]
fn a_pen_without_c_is_found_there() {
    let (start, socket) = found_in(without_c(), "run");
    let mut pen = start.start();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&pen.path("run"))), (0o600, 0o755));
    let ended = crate::common::programs::run("penctl", &[socket.to_str().unwrap(), "run_dir"], "");
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{}\n", pen.path("run").display())));
    pen.signal(nix::sys::signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    assert!(!socket.exists(), "it goes with pen");
}

#[test]
fn it_is_beside_the_socket_of_c() {
    let port = free_port();
    let start = Pen::before(no_servers()).control_at(format!("127.0.0.1:{port}"));
    let (start, socket) = found_in(start, "run");
    let _pen = start.start();
    assert_eq!(control_over_tcp("127.0.0.1", ([127, 0, 0, 1], port).into(), "blacklist"), "30\n");
    assert!(socket.exists());
}

#[test]
fn a_socket_of_c_in_it_is_enough() {
    let start = Pen::before(no_servers()).directory("run").directory("run/web");
    let control = start.path("run/web/control");
    let (start, _) = found_in(start.control_at(control.display()), "run");
    let pen = start.start();
    let entries: Vec<_> = std::fs::read_dir(pen.path("run")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(control.exists());
}

#[test]
fn a_name_in_use_gets_a_number_and_one_left_behind_is_replaced() {
    let (start, socket) = found_in(without_c().directory("run"), "run");
    let other = UnixListener::bind(&socket).unwrap();
    let pen = start.start();
    let numbered = PathBuf::from(format!("{}-{}", socket.display(), pen.pid()));
    assert!(numbered.exists() && socket.exists());
    drop((pen, other));
    let (start, socket) = found_in(without_c().directory("run"), "run");
    drop(UnixListener::bind(&socket).unwrap());
    let _pen = start.start();
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
}

#[test]
fn a_directory_that_cannot_be_is_an_error() {
    let start = without_c().command("run_dir /nonexistent/run/pen");
    let ended = start.run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("run_dir: /nonexistent/run/pen: no such file or directory"), "{ended:?}");
}
