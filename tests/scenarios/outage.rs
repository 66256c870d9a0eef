//! Every server has failed: that is no reason to turn clients away when one of them is back.

use crate::common::backend::{Backend, UnixBackend, echo};
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::idlers::{alone, await_idlers, status};

const BEGINS: &str = "every server that would take clients has failed: trying them again, longest ago first";

fn failures(pen: &Pen) -> Vec<u64> {
    let status = status(pen);
    let servers = status["servers"].as_array().unwrap().iter();
    servers.map(|server| server["failures_total"].as_u64().unwrap()).collect()
}

#[test]
fn one_refused_connect_costs_one_client() {
    let server = Backend::refusing("A");
    let pen = Pen::before([&server]).options("-b 3600").start();
    assert_eq!(pen.ask(), "-");
    server.resume();
    assert_eq!(pen.asks(20), "A".repeat(20));
    assert_eq!(failures(&pen), [1]);
    let said = pen.stderr();
    let position = |text: &str| said.find(text).unwrap_or_else(|| panic!("{text}: not in {said}"));
    assert!(position(BEGINS) < position(&format!("server 0 ({server}) takes connections again")));
    assert_eq!(said.matches(BEGINS).count(), 1, "{said}");
    assert!(position("no server is left: ") < position("there is a server for clients again"), "{said}");
}

#[test]
fn who_is_taken_out_is_missed_too_and_each_service_speaks_for_itself() {
    let servers = ["A", "B"].map(Backend::named);
    let at = free_port();
    let pen = Pen::before([&servers[0]]).start();
    pen.control("service add web");
    pen.control(&format!("service web server add h2={}", servers[1]));
    pen.control(&format!("service web listen 127.0.0.1:{at}"));
    let told = |text: &str| {
        eventually(text, || pen.stderr(), |said| said.lines().any(|line| line.ends_with(text)));
    };
    pen.control("service web server h2 disable");
    told("service web: no server is left: each has failed, is blacklisted, drains or is disabled");
    pen.control("service web server h2 enable");
    told("service web: there is a server for clients again");
    pen.control("server 0 blacklist 60");
    let told = || pen.stderr().matches(": no server is left").count();
    eventually("the first service to speak, too", told, |count| *count == 2);
}

#[test]
fn servers_that_restart_one_after_the_other_lose_no_client() {
    for options in ["", "-r", "-h", "-h -r", "-W", "-r -W", "-O prio", "-s -r"] {
        let servers = ["A", "B"].map(Backend::named);
        let pen = Pen::before(&servers).options(options).options("-b 3600").start();
        for restarting in [0, 1, 0] {
            servers[restarting].pause();
            let meanwhile = pen.asks(6);
            servers[restarting].resume();
            let afterwards = pen.asks(6);
            let is_served = !meanwhile.contains('-') || options.contains("-s");
            assert!(is_served && !afterwards.contains('-'), "{options}: {meanwhile} {afterwards}");
        }
    }
}

#[test]
fn a_second_cascade_ends_as_the_first_did() {
    let servers = ["A", "B", "C"].map(Backend::refusing);
    let pen = Pen::before(&servers).options("-r -b 3600").start();
    assert_eq!(pen.asks(4), "----");
    assert_eq!(failures(&pen), [4, 4, 4], "each once for each client");
    servers[0].resume();
    assert_eq!(pen.asks(4), "AAAA");
}

#[test]
fn the_operators_word_stands() {
    let servers = [Backend::named("A"), Backend::refusing("B")];
    let pen = Pen::before(&servers).options("-r -b 3600").start();
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.asks(3), "---");
    assert_eq!(failures(&pen), [0, 3]);
    servers[1].resume();
    assert_eq!(pen.asks(3), "BBB");
    pen.control("server 1 blacklist 3600");
    assert_eq!(pen.asks(3), "---");
    pen.control("server 0 blacklist 0");
    assert_eq!(pen.asks(3), "AAA");
}

#[test]
fn the_emergency_server_comes_after_them_and_is_tried_again_itself() {
    let (a, emergency) = (Backend::refusing("A"), Backend::named("E"));
    let pen = Pen::before([&a]).options("-r -b 3600 -e").word(&emergency).start();
    assert_eq!(pen.asks(2), "EE");
    emergency.pause();
    assert_eq!(pen.asks(2), "--");
    emergency.resume();
    assert_eq!(pen.asks(2), "EE");
    a.resume();
    assert_eq!(pen.asks(2), "AA");
}

#[test]
fn a_unix_server_that_is_back_is_found() {
    let server = UnixBackend::echo();
    let moved = server.path().with_extension("moved");
    std::fs::rename(server.path(), &moved).unwrap();
    let pen = Pen::before([server.path().display()]).options("-b 3600").start();
    assert_eq!(pen.connect().try_line(), None);
    std::fs::rename(&moved, server.path()).unwrap();
    assert_eq!(pen.connect().exchange("hello"), "hello");
}

#[test]
fn datagrams_find_a_server_that_is_back() {
    let [mut a, mut b] = ["A", "B"].map(UdpServer::named);
    a.pause();
    b.pause();
    let pen = Pen::before([&a, &b]).options("-U -r -b 3600").start();
    let client = UdpClient::new(pen.address);
    client.send("?");
    assert!(client.hears_nothing());
    eventually("both to have failed", || failures(&pen), |failures| *failures == [1, 1]);
    b.resume();
    assert_eq!(UdpClient::new(pen.address).insist("?").1, "B:?");
    eventually(
        "the operator to hear of it",
        || pen.stderr(),
        |said| said.contains(&format!("server 1 ({b}) takes connections again")),
    );
    assert_eq!(pen.stderr().matches(BEGINS).count(), 1);
}

#[test]
fn idlers_find_a_server_that_is_back() {
    let server = Backend::serving(echo);
    let pen = alone(Pen::before([&server]), 3).options("-b 3600").start();
    await_idlers(&pen, 3, 3);
    pen.control("idlers 0");
    server.pause();
    pen.control("idlers 3");
    eventually("it to be found dead", || failures(&pen), |failures| failures[0] > 0);
    server.resume();
    await_idlers(&pen, 3, 3);
    assert_eq!(status(&pen)["servers"][0]["blacklisted_seconds"], 0);
    assert_eq!(pen.connect().exchange("hello"), "hello");
}
