//! How long a client is waited for, by the clock of a simulated network.

use super::super::Worker;
use super::super::tests::{listener, worker_before};
use crate::balance::{Endpoint, ServerSetup};
use crate::conn::{CloseReason, Stage};
use crate::os::simulated::{self, Network};
use crate::settings::{ProcessConfig, ProcessSettings, Settings};
use pen_proto::commands::PolicyKind;
use std::net::SocketAddr;

/// A worker, and the wire of a client that has just come.
fn begin() -> (Worker, u32) {
    simulated::begin(Network::new(1_000, 20_000));
    let mut settings = Settings::default();
    settings.set_choice(PolicyKind::UriHash);
    let process = ProcessSettings::from(&ProcessConfig::default());
    let server = ServerSetup::new(Endpoint::Inet(SocketAddr::from(([10, 0, 1, 1], 80))));
    let mut worker = worker_before(process, settings, vec![server], vec![listener()]);
    let wire = simulated::with(|network| network.client(SocketAddr::from(([10, 0, 0, 1], 1024))));
    turn(&mut worker);
    (worker, wire)
}

fn end(mut worker: Worker) {
    worker.connections.indices().into_iter().for_each(|index| worker.close(index, CloseReason::Shutdown));
    drop(worker);
    simulated::end();
}

fn turn(worker: &mut Worker) {
    let ready = simulated::with(|network| network.poll(|| true));
    worker.turn(&ready, &mut Vec::new());
}

/// So many milliseconds later. Timers ring at 64 ms.
fn later(worker: &mut Worker, ms: u64) {
    simulated::with(|network| network.now_ms += ms);
    turn(worker);
}

fn stage(worker: &Worker) -> Stage {
    worker.connections.iter().next().expect("a connection").1.stage
}

fn say(worker: &mut Worker, wire: u32, bytes: &[u8]) {
    simulated::with(|network| network.wires[wire as usize].come(bytes));
    turn(worker);
}

#[test]
fn a_silent_client_gets_a_server_within_200_ms() {
    let (mut worker, _) = begin();
    later(&mut worker, 130);
    assert_eq!(stage(&worker), Stage::Request);
    later(&mut worker, 70);
    assert_ne!(stage(&worker), Stage::Request);
    end(worker);
}

/// `timeout` is 3 seconds unless set, and no byte makes it begin anew.
#[test]
fn a_line_that_does_not_end_is_waited_for_as_long_as_a_server() {
    let (mut worker, wire) = begin();
    for _ in 0..15 {
        say(&mut worker, wire, b"G");
        later(&mut worker, 190);
        assert_eq!(stage(&worker), Stage::Request);
    }
    later(&mut worker, 400);
    assert_ne!(stage(&worker), Stage::Request);
    end(worker);
}

#[test]
fn a_request_is_enough() {
    let (mut worker, wire) = begin();
    say(&mut worker, wire, b"GET /a");
    assert_eq!(stage(&worker), Stage::Request);
    say(&mut worker, wire, b"?");
    assert_ne!(stage(&worker), Stage::Request);
    let connection = worker.connections.iter().next().unwrap().1;
    assert_eq!(connection.from_client.moved_bytes(), 7, "none is lost");
    end(worker);
}
