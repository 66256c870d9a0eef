//! A full pen says so, once, and when it is over.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::Pen;
use crate::common::wait::eventually;

const OVER: &str = "there is room again";

fn is_full(pen: &Pen) -> bool {
    let metrics = pen.control("metrics");
    let line = metrics.lines().find(|line| line.starts_with("pen_full ")).expect("the gauge");
    line == "pen_full 1"
}

fn await_said(pen: &Pen, text: &str) {
    eventually(text, || pen.stderr(), |said| said.contains(text));
}

fn count(pen: &Pen, text: &str) -> usize {
    pen.stderr().matches(text).count()
}

#[test]
fn it_is_said_once_and_when_it_is_over() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-x 2").start();
    let mut held = vec![pen.connect(), pen.connect()];
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    assert!(!is_full(&pen) && !pen.stderr().contains("no more fit"), "nobody waits");
    let mut waiting = pen.connect();
    await_said(&pen, "2 connections, no more fit (conn_max 2; ");
    await_said(&pen, " open files); clients wait\n");
    assert!(is_full(&pen));
    // Places become free and are taken at once, many times.
    for _ in 0..20 {
        let next = pen.connect();
        held.remove(0);
        assert_eq!(waiting.line(), "A");
        held.push(std::mem::replace(&mut waiting, next));
    }
    assert_eq!((count(&pen, "no more fit"), count(&pen, OVER)), (1, 0));
    drop((held, waiting));
    await_said(&pen, OVER);
    assert!(!is_full(&pen));
    assert_eq!(count(&pen, OVER), 1);
}

#[test]
fn too_many_connects_under_way_are_told() {
    // A queue that is full takes nobody: the connect stays under way.
    let listener = crate::common::ports::bound_port();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let _fills_it: Vec<Client> = (0..1).map(|_| Client::connect(address)).collect();
    // Two workers may each begin one at the same moment.
    let pen = Pen::before([address]).options("-t 60 --threads 1").command("pending_max 1").start();
    let _clients: Vec<Client> = (0..3).map(|_| pen.connect()).collect();
    await_said(&pen, "1 connects under way, no more at a time (pending_max 1); clients wait");
    assert!(is_full(&pen));
}

#[test]
fn too_many_udp_sessions_are_told() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("udp_sessions_max 2").command("threads 1").start();
    let clients: Vec<UdpClient> = (0..4).map(|_| UdpClient::new(pen.address)).collect();
    clients.iter().for_each(|client| assert_eq!(client.server(), "A"));
    await_said(&pen, "2 sessions, no more fit (udp_sessions_max 2; conn_max 0; ");
    assert!(is_full(&pen));
    await_said(&pen, OVER);
    assert!(!is_full(&pen));
}

#[test]
fn a_want_of_descriptors_is_told() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.ask(), "A");
    pen.leave_descriptors(7);
    let held: Vec<Client> = (0..20).map(|_| pen.connect()).collect();
    await_said(&pen, "connections, descriptors have run out (conn_max 0; ");
    assert!(is_full(&pen));
    drop(held);
    await_said(&pen, OVER);
    assert!(!is_full(&pen));
}
