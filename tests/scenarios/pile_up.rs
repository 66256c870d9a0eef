//! What piled up while pen was kept from running comes to it all at once, in the order in which it happened.

use crate::common::backend::{Backend, Unresponsive, read_line};
use crate::common::client::{Client, End, reset};
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::process::{connected, connecting, delivered};
use crate::common::wait::eventually;
use nix::sys::signal::{SIGCONT, SIGUSR2};
use std::io::Write;
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::mpsc;

/// A handler must be shareable between threads.
fn gate() -> (mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>) {
    let (open, wait) = mpsc::channel();
    (open, Mutex::new(wait))
}

#[test]
fn what_the_last_server_said_is_not_taken_for_the_next_ones_words() {
    let (first, second, third) = (Unresponsive::new(), Unresponsive::new(), Backend::named("C"));
    let servers = [third.to_string(), first.to_string(), second.to_string()];
    let pen = Pen::before(servers).options("-r -t 3").start();
    let mut client = pen.connect();
    eventually("a connect under way", || connecting(first.port()), |connecting| *connecting);
    pen.freeze();
    // The client's event comes first: while it is served the refusal is noticed, whose own event comes after it.
    client.send("hello\n");
    let port = first.port();
    drop(first);
    eventually("the refusal", || connecting(port), |connecting| !connecting);
    pen.signal(SIGCONT);
    assert_eq!(client.line(), "C");
    assert_eq!(client.line(), "hello");
}

#[test]
fn a_reset_that_is_found_in_writing_is_passed_on() {
    let (go, gone) = gate();
    let server = Backend::serving(move |mut stream| {
        stream.write_all(b"half a mess").unwrap();
        gone.lock().unwrap().recv().unwrap();
        reset(stream);
    });
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    let mut half = [0; 11];
    std::io::Read::read_exact(&mut client.stream, &mut half).unwrap();
    pen.freeze();
    client.send("more");
    go.send(()).unwrap();
    eventually("the reset", || connected(server.port()), |connected| !connected);
    pen.signal(SIGCONT);
    assert_eq!(client.ending(), End::Reset);
}

#[test]
fn an_answer_is_complete_although_its_server_hears_no_more() {
    const BYTES: usize = 60_000;
    let (go, gone) = gate();
    let server = Backend::serving(move |mut stream| {
        read_line(&stream);
        pattern::write(&mut stream, BYTES).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        gone.lock().unwrap().recv().unwrap();
        reset(stream);
    });
    let pen = Pen::before([&server]).start();
    let mut client = Client::with_small_buffer(pen.address);
    client.send("go\n");
    eventually("pen to have it all", || delivered(server.port()), |delivered| *delivered);
    pen.freeze();
    // More than pen reads at once: what it leaves unread would make its close a reset.
    client.send(vec![b'x'; 50_000]);
    go.send(()).unwrap();
    eventually("the reset", || delivered(server.port()), |still_there| !still_there);
    pen.signal(SIGCONT);
    assert_eq!(pattern::read_to_end(&mut client.stream), BYTES);
}

#[test]
fn usr2_turns_nobody_away_who_waits_already() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).command("shutdown_timeout 0");
    let mut pen = start.command("threads 2").command("pending_max 1000").start();
    pen.freeze();
    let mut clients: Vec<Client> = (0..120).map(|_| pen.connect()).collect();
    pen.signal(SIGUSR2);
    pen.signal(SIGCONT);
    for client in &mut clients {
        assert_eq!(client.line(), "A");
    }
    drop(clients);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn another_listener_turns_nobody_away_who_waits_at_the_old_one() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("threads 2").command("pending_max 1000").start();
    pen.freeze();
    let mut clients: Vec<Client> = (0..120).map(|_| pen.connect()).collect();
    let mut control = pen.control_stream().unwrap();
    control
        .write_all(format!("listen 127.0.0.1:{}\n", crate::common::ports::free_port()).as_bytes())
        .unwrap();
    pen.signal(SIGCONT);
    for client in &mut clients {
        assert_eq!(client.line(), "A");
    }
}

#[test]
fn urgent_bytes_keep_their_place_and_hold_nothing_up() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    pen.freeze();
    client.send("be");
    client.send_urgent("!");
    client.send("hind\n");
    pen.signal(SIGCONT);
    assert_eq!(client.line(), "be!hind");
}
