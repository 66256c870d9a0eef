//! Limits hold under concurrency, and what waits for one goes on when it can.

use crate::common::backend::{Backend, echo, read_line};
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::wait::{eventually, meanwhile};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

fn connections_of(pen: &Pen, server: usize) -> String {
    let servers = pen.control("servers");
    let words: Vec<&str> = servers.lines().nth(server).unwrap().split(' ').collect();
    words[words.iter().position(|word| *word == "conn").unwrap() + 1].to_string()
}

#[test]
fn a_full_server_is_passed_over() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([format!("{a}:1"), format!("{b}:1")]).options("-r").start();
    let mut held = [pen.connect(), pen.connect()];
    let mut names = held.each_mut().map(Client::line);
    names.sort(); // which of two workers asks first is not settled
    assert_eq!(names, ["A", "B"]);
    assert_eq!(pen.asks(3), "---");
    drop(held);
    eventually(
        "both servers to be free",
        || [0, 1].map(|server| connections_of(&pen, server)),
        |free| free == &["0", "0"],
    );
    assert_ne!(pen.ask(), "-");
}

#[test]
fn rejected_clients_do_not_make_room() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("{server}:1")]).options("-r").start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    assert_eq!(pen.asks(5), "-----");
    assert_eq!(connections_of(&pen, 0), "1");
    assert_eq!(server.open_most(), 1);
}

#[test]
fn the_hard_maximum_is_for_clients_that_belong_to_the_server() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([b.to_string(), format!("{a}:1:2")]).start();
    let mut first = pen.connect_from("127.0.0.5");
    let mut second = pen.connect_from("127.0.0.5");
    assert_eq!((first.line(), second.line()), ("A".into(), "A".into()), "over the soft maximum");
    assert_eq!(pen.ask_from("127.0.0.5"), "B", "over the hard maximum");
}

#[test]
fn max_seven_never_sees_an_eighth() {
    let server = Backend::serving(|mut stream| {
        // A client that was in time waits for the name; one that left does not matter.
        let _ = stream.write_all(b"A\n");
        read_line(&stream);
    });
    let pen = Pen::before([format!("{server}:7")]).options("-r").command("threads 4").start();
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let mut client = pen.connect();
                    if client.try_line().is_some() {
                        served.fetch_add(1, SeqCst);
                        client.send("done\n");
                        client.ending();
                    }
                }
            });
        }
    });
    assert!(server.open_most() <= 7, "{} at once", server.open_most());
    assert_eq!(served.load(SeqCst), server.accepted());
    assert!(server.accepted() >= 7, "{} served: clients were turned away without need", server.accepted());
    eventually("the count to return to nothing", || connections_of(&pen, 0), |count| count == "0");
}

#[test]
fn above_conn_max_clients_wait_for_their_turn() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-x 2").start();
    let mut held = vec![pen.connect(), pen.connect()];
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    let mut third = pen.connect();
    meanwhile(Duration::from_millis(200));
    assert_eq!(server.accepted(), 2);
    held.pop();
    assert_eq!(third.line(), "A");
    held.pop();
    assert_eq!(pen.ask(), "A");
}

#[test]
fn raising_conn_max_lets_those_who_wait_in() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-x 1").start();
    let mut first = pen.connect();
    assert_eq!(first.line(), "A");
    let mut second = pen.connect();
    assert_eq!(pen.control("conn_max 2"), "2\n");
    assert_eq!(second.line(), "A");
}

#[test]
fn conn_max_holds_across_workers() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-x 9").command("threads 4").start();
    let mut clients: Vec<Client> = (0..40).map(|_| pen.connect()).collect();
    eventually("nine connections", || server.open(), |open| *open == 9);
    // Whoever is served leaves and lets the next in; nobody waits for ever.
    let names: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = clients.drain(..).map(|mut client| scope.spawn(move || client.line())).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(names.concat(), "A".repeat(40));
    assert!(server.open_most() <= 9, "{}", server.open_most());
}

/// A client that has seen the end of its connection may come again at once, to another worker too.
#[test]
fn a_place_is_free_before_the_client_learns_that_its_connection_is_over() {
    let server = Backend::serving(echo);
    let pen = Pen::before([format!("{server}:1")]).command("threads 4").start();
    for visit in 0..400 {
        let mut client = pen.connect();
        client.send("hello\n");
        client.end();
        assert_eq!(client.rest(), b"hello\n", "visit {visit}");
    }
}
