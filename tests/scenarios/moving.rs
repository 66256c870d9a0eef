//! `listen` and USR2: whoever has connected to the old address is served, and pen is in nobody's way, not in its own either.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A pen that is full, and clients that have connected to it and wait.
fn full(server: &Backend) -> (Pen, Client, Vec<Client>) {
    let pen = Pen::before([server]).command("conn_max 1").command("shutdown_timeout 0").start();
    let mut first = pen.connect();
    assert_eq!(first.line(), "A");
    let waiting = (0..5).map(|_| pen.connect()).collect();
    (pen, first, waiting)
}

#[test]
fn who_waits_for_room_is_served_when_the_listener_moves() {
    let server = Backend::named("A");
    let (pen, _first, mut waiting) = full(&server);
    let port = free_port();
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    assert!(
        TcpStream::connect(pen.address).is_err(),
        "the old address is closed when the command is answered"
    );
    waiting.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
}

/// The queue of a listener is as long as it was made, whatever the next one is to have.
#[test]
fn a_shorter_queue_for_the_next_listener_turns_nobody_away() {
    let server = Backend::named("A");
    let (pen, _first, mut waiting) = full(&server);
    waiting.extend((0..20).map(|_| pen.connect()));
    assert_eq!(pen.control("listen_queue 1"), "1\n");
    let port = free_port();
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    waiting.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
}

#[test]
fn who_waits_for_room_is_served_when_pen_is_about_to_end() {
    let server = Backend::named("A");
    let (mut pen, first, mut waiting) = full(&server);
    pen.drain();
    waiting.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    drop((first, waiting));
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn who_waits_at_a_unix_socket_is_served_when_the_listener_moves() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).command("conn_max 1");
    let socket = start.path("socket");
    let pen = start.listen(socket.display()).start();
    let connect = || std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let read = |stream: &mut std::os::unix::net::UnixStream| {
        let mut name = [0; 2];
        std::io::Read::read_exact(stream, &mut name).expect("a greeting");
        assert_eq!(&name, b"A\n");
    };
    let mut first = connect();
    read(&mut first);
    let mut waiting = connect();
    let port = free_port();
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    assert!(!socket.exists());
    read(&mut waiting);
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Connects again and again, by several threads, while `moves` are made. Returns how many were served, and what happened
/// to the others, told by a word each.
fn under_load(address: impl Fn() -> SocketAddr + Sync, moves: impl FnOnce()) -> (usize, Vec<String>) {
    let (over, served, trouble) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let visit = || {
        let Ok(stream) = TcpStream::connect(address()) else { return Err("refused".to_string()) };
        match Client::over(stream).try_line().as_deref() {
            Some("A") => Ok(()),
            other => Err(format!("lost: {other:?}")),
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    match visit() {
                        Ok(()) => _ = served.fetch_add(1, SeqCst),
                        Err(word) => trouble.lock().unwrap().push(word),
                    }
                }
            });
        }
        // Also when something fails: the scope waits for the threads.
        let _end = AtEnd(&over);
        eventually("some to be served", || served.load(SeqCst), |count| *count > 20);
        moves();
    });
    (served.into_inner(), trouble.into_inner().unwrap())
}

#[test]
fn back_to_back_nobody_who_has_connected_is_lost() {
    back_to_back(|start| start);
}

#[test]
fn nor_when_pen_has_given_up_its_privileges() {
    if !root() {
        return skip("only root can become somebody else");
    }
    back_to_back(|start| start.options("-u nobody"));
}

fn back_to_back(with: impl FnOnce(Start) -> Start) {
    let server = Backend::named("A");
    let pen = with(Pen::before([&server]).command("threads 2")).start();
    let ports = [pen.address.port(), free_port()];
    let now = AtomicUsize::new(0);
    let (served, trouble) = under_load(
        || local(ports[now.load(SeqCst)]),
        || {
            for number in 1..=30 {
                let address = local(ports[number % 2]);
                assert_eq!(pen.control(&format!("listen {address}")), format!("{address}\n"));
                now.store(number % 2, SeqCst);
            }
        },
    );
    assert!(trouble.iter().all(|word| word == "refused"), "{trouble:?} beside {served}");
}

/// The new address has the port of the old one: clients meet one or the other, and never a gap.
#[test]
fn where_the_addresses_overlap_nobody_is_turned_away() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("threads 2").start();
    let port = pen.address.port();
    let (served, trouble) = under_load(
        || pen.address,
        || {
            for address in
                [format!("0.0.0.0:{port}"), format!("{port}"), pen.address.to_string()].iter().cycle().take(9)
            {
                assert_eq!(pen.control(&format!("listen {address}")), format!("{address}\n"));
            }
        },
    );
    assert!(trouble.is_empty(), "{trouble:?} beside {served}");
    // And nobody else shares the port afterwards.
    let second = Pen::before([&server]).listen(pen.address).run();
    assert!(second.stderr.contains("address already in use"), "{}", second.stderr);
}
