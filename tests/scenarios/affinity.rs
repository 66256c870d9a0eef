//! Who is remembered, where, and for how long.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::{eventually, meanwhile};
use std::time::Duration;

fn three() -> [Backend; 3] {
    ["A", "B", "C"].map(Backend::named)
}

#[test]
fn a_client_stays_with_its_server_and_the_next_client_gets_the_next_one() {
    let servers = three();
    let pen = Pen::before(&servers).start();
    let asked = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.1"];
    let names: String = asked.iter().map(|client| pen.ask_from(client)).collect();
    assert_eq!(names, "BBCACB");
}

#[test]
fn without_tracking_connections_go_round() {
    let servers = three();
    assert_eq!(Pen::before(&servers).options("-r").start().asks(7), "BCABCAB");
    assert_eq!(Pen::before(&servers[..1]).options("-r").start().asks(3), "AAA");
}

#[test]
fn roundrobin_can_be_switched_while_running() {
    let servers = three();
    let pen = Pen::before(&servers).start();
    assert_eq!(pen.asks(2), "BB");
    assert_eq!(pen.control("roundrobin"), "");
    assert_eq!(pen.asks(3), "CAB");
    assert_eq!(pen.control("no roundrobin"), "");
    assert_eq!(pen.asks(2), "BB");
}

#[test]
fn a_full_client_table_forgets_the_least_recently_used() {
    let servers = three();
    let pen = Pen::before(&servers).options("-c 2").start();
    for client in ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3"] {
        pen.ask_from(client);
    }
    let recent = pen.control("recent");
    let mut known: Vec<&str> = recent.lines().map(|line| line.split(' ').next().unwrap()).collect();
    known.sort_unstable();
    assert_eq!(known, ["127.0.0.1", "127.0.0.3"]);
    assert!(recent.contains("127.0.0.1 connects 2 "), "{recent}");
}

#[test]
fn tracking_time_over_means_unknown() {
    let servers = three();
    let pen = Pen::before(&servers).options("-T 1").start();
    assert_eq!(pen.asks(1), "B");
    // The clock has whole seconds, and more than one of them must pass.
    meanwhile(Duration::from_millis(2_100));
    assert_eq!(pen.asks(1), "C");
    assert!(pen.control("recent").starts_with("127.0.0.1 connects 1 "), "{}", pen.control("recent"));
}

#[test]
fn tracking_time_not_over_means_known() {
    let servers = three();
    let pen = Pen::before(&servers).options("-T 3600").start();
    assert_eq!(pen.asks(4), "BBBB");
}

#[test]
fn recent_counts_bytes_from_the_point_of_view_of_the_client() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect_from("127.0.0.8");
    assert_eq!(client.line(), "A");
    assert_eq!(client.exchange("hello"), "hello");
    client.end();
    client.rest();
    // Two bytes of greeting and six of echo to the client, six from it.
    eventually(
        "the client's bytes",
        || pen.control("recent"),
        |recent| recent == "127.0.0.8 connects 1 sx 8 rx 6\n",
    );
}

#[test]
fn clients_keep_their_servers_across_more_workers() {
    let servers = three();
    let pen = Pen::before(&servers).command("threads 4").start();
    let clients: Vec<String> = (1..=30).map(|last| format!("127.0.7.{last}")).collect();
    let first: Vec<String> = clients.iter().map(|client| pen.ask_from(client)).collect();
    let again: Vec<String> = clients.iter().map(|client| pen.ask_from(client)).collect();
    assert_eq!(first, again);
    assert_eq!(first.concat(), "BCA".repeat(10), "round robin is exact across workers");
}
