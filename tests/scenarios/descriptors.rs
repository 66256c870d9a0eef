//! Out of descriptors: no spinning, nobody dropped, and everything goes on afterwards.

use crate::common::backend::Backend;
use crate::common::client::{Client, names};
use crate::common::pen::Pen;
use crate::common::process::{cpu_percent, descriptors, raise_descriptor_limit};
use crate::common::wait::eventually;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// More than waiting costs and far less than spinning, which takes a whole core.
const BUSY_PERCENT: u64 = 20;

#[test]
fn with_few_descriptors_clients_wait_and_all_are_served() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).through("prlimit --nofile=64:64").start();
    let held: Vec<Client> = (0..100).map(|_| pen.connect()).collect();
    eventually("pen to be full", || server.open(), |open| *open >= 10);
    assert!(cpu_percent(pen.pid()) < BUSY_PERCENT, "pen spins");
    assert!(descriptors(pen.pid()) <= 64);
    assert!(server.open() < 32, "two descriptors for each connection");
    assert_eq!(pen.control("blacklist"), "30\n", "the operator gets in");
    assert_eq!(names(held), "A".repeat(100));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn silent_control_clients_leave_the_others_their_descriptors() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).through("prlimit --nofile=64:64").options("--threads 2").start();
    let silent: Vec<_> = (0..50).map(|_| pen.control_stream().unwrap()).collect();
    assert_eq!(pen.control("blacklist"), "30\n", "the operator gets in");
    let held: Vec<Client> = (0..16).map(|_| pen.connect()).collect();
    eventually("all 16 to be served at once", || server.open(), |open| *open == 16);
    assert_eq!(names(held), "A".repeat(16));
    drop(silent);
}

#[test]
fn a_limit_lowered_while_running_is_survived() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.ask(), "A");
    pen.leave_descriptors(7);
    let held: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    eventually("pen to take some", || server.open(), |open| *open >= 1);
    assert!(cpu_percent(pen.pid()) < BUSY_PERCENT, "pen spins");
    assert_eq!(pen.control("blacklist"), "30\n", "the operator gets in");
    assert_eq!(names(held), "A".repeat(50));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn two_reasons_to_wait_are_waited_for_as_one_is() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.ask(), "A");
    pen.leave_descriptors(7);
    let held: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    eventually("pen to take some", || server.open(), |open| *open >= 2);
    assert_eq!(pen.control("conn_max 1"), "1\n");
    assert!(cpu_percent(pen.pid()) < BUSY_PERCENT, "pen spins");
    assert_eq!(names(held), "A".repeat(50));
}

#[test]
fn an_idle_pen_does_nothing() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).command("threads 4").start();
    let mut held: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    assert!(cpu_percent(pen.pid()) <= 2, "an idle pen is busy");
}

/// Numbers the connections as they are accepted and keeps them until all are there, then echoes 8 bytes on each.
fn echo_when_all_are_here(listener: TcpListener, count: usize) {
    let mut streams: Vec<TcpStream> = (0..count).map(|_| listener.accept().unwrap().0).collect();
    for stream in &mut streams {
        let mut word = [0; 8];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    }
}

#[test]
fn five_thousand_connections_at_once() {
    let descriptors_max = raise_descriptor_limit() as usize;
    // The client and the server side are both in this process, beside the other tests.
    let count = 5_000.min(descriptors_max / 3);
    if count < 5_000 {
        eprintln!("only {count} connections: the limit is {descriptors_max} descriptors");
    }
    let listener = crate::common::ports::bound_port();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || echo_when_all_are_here(listener, count));
    let pen = Pen::before([address]).options("-t 20").command("threads 2").start();
    let mut clients: Vec<Client> = (0..count).map(|_| pen.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send((number as u64).to_be_bytes());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.rest(), (number as u64).to_be_bytes(), "connection {number}");
    }
    server.join().unwrap();
    drop(clients);
    eventually(
        "all connections to be gone",
        || pen.control("servers"),
        |servers| servers.contains(" conn 0 "),
    );
}
