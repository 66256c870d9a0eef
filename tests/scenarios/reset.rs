//! A reset is passed on as a reset, so that neither side takes half a message for a whole one.

use crate::common::backend::{Backend, read_line};
use crate::common::client::{Client, End, ending, reset};
use crate::common::pen::Pen;
use crate::common::process::{connected, cpu_percent};
use crate::common::wait::{eventually, received};
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn a_reset_by_the_client_reaches_the_server() {
    let (ended, ends) = mpsc::channel();
    let server = Backend::serving(move |mut stream| ended.send(ending(&mut stream)).unwrap());
    let pen = Pen::before([&server]).start();
    for _ in 0..20 {
        let mut client = pen.connect();
        client.send("half a mess");
        eventually("the server to be reached", || server.open(), |open| *open == 1);
        client.reset();
        assert_eq!(received(&ends), End::Reset);
        eventually("the server to be done", || server.open(), |open| *open == 0);
    }
}

#[test]
fn a_reset_by_the_server_reaches_the_client() {
    let server = Backend::serving(|mut stream| {
        stream.write_all(b"half a mess").unwrap();
        read_line(&stream);
        reset(stream);
    });
    let pen = Pen::before([&server]).start();
    for _ in 0..20 {
        let mut client = pen.connect();
        client.send("go\n");
        assert_eq!(client.ending(), End::Reset);
    }
}

#[test]
fn a_reset_after_half_close_is_still_a_reset() {
    let (ended, ends) = mpsc::channel();
    let server = Backend::serving(move |mut stream| {
        stream.write_all(b"bye\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        ended.send(ending(&mut stream)).unwrap();
    });
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    assert_eq!(client.rest(), b"bye\n");
    client.reset();
    assert_eq!(received(&ends), End::Reset);
}

/// Pours without end until told to reset the connection.
fn pouring() -> (Backend, mpsc::Sender<()>) {
    let (stop, stopped) = mpsc::channel::<()>();
    let stopped = Mutex::new(stopped);
    let server = Backend::serving(move |mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        while stopped.lock().unwrap().try_recv().is_err() {
            // What is not taken is not waited for: nobody counts these bytes.
            let _ = stream.write(&[b'x'; 65_536]);
        }
        reset(stream);
    });
    (server, stop)
}

fn stalled_reader(pen: &Pen) -> Client {
    let client = Client::with_small_buffer(pen.address);
    eventually(
        "bytes to be kept",
        || pen.control("connections json"),
        |shown| shown.contains("\"pending_down_bytes\":") && !shown.contains("\"pending_down_bytes\":0"),
    );
    client
}

#[test]
fn bytes_that_are_thrown_away_make_the_end_a_reset() {
    let (server, _stop) = pouring();
    let pen = Pen::before([&server]).command("threads 1").start();
    let mut client = stalled_reader(&pen);
    pen.control("close 0");
    assert_eq!(client.ending(), End::Reset);
}

#[test]
fn a_reset_behind_a_stalled_reader_waits_for_it_in_peace() {
    let (server, stop) = pouring();
    let pen = Pen::before([&server]).command("threads 1").start();
    let mut client = stalled_reader(&pen);
    stop.send(()).unwrap();
    eventually("the reset", || connected(server.port()), |connected| !connected);
    assert!(cpu_percent(pen.pid()) < 20, "pen spins");
    assert_eq!(client.ending(), End::Reset);
}

#[test]
fn clients_that_reset_leave_nothing_behind() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("{server}:50")]).options("-r").start();
    for _ in 0..200 {
        pen.connect().reset();
    }
    eventually(
        "all connections to be gone",
        || pen.control("servers"),
        |servers| servers.contains(" conn 0 "),
    );
    assert_eq!(pen.ask(), "A");
}
