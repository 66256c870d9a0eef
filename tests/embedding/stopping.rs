//! How a balancer ends.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::wait::eventually;
use crate::{address, web};
use pen::{Balancer, ErrorKind};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

#[test]
fn a_stop_cuts_connections_and_frees_the_port() {
    let server = Backend::named("one");
    for is_dropped in [false, true] {
        let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
        let place = address(&balancer);
        let mut client = Client::connect(place);
        assert_eq!(client.line(), "one");
        assert!(balancer.is_running());
        match is_dropped {
            true => drop(balancer),
            false => balancer.stop().unwrap(),
        }
        assert_eq!(client.try_line(), None);
        TcpListener::bind(place).expect("the port is free");
    }
}

#[test]
fn a_drain_waits_for_the_last_connection() {
    let server = Backend::named("one");
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    let place = address(&balancer);
    let mut client = Client::connect(place);
    assert_eq!(client.line(), "one");
    let draining = thread::spawn(move || balancer.drain(Duration::MAX));
    eventually("nobody is taken", || std::net::TcpStream::connect(place).is_err(), |refused| *refused);
    client.send("still here\n");
    assert_eq!(client.line(), "still here");
    drop(client);
    draining.join().unwrap().unwrap();
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    let mut client = Client::connect(address(&balancer));
    assert_eq!(client.line(), "one");
    balancer.drain(Duration::from_millis(1)).unwrap();
    assert_eq!(client.try_line(), None, "it was cut");
}

#[test]
fn an_exit_ends_it_and_calls_say_so() {
    let server = Backend::named("one");
    let balancer = Balancer::builder().service(web(&[&server])).start().unwrap();
    let refused = balancer.command("exit").unwrap();
    assert!(refused.starts_with("Exit is not enabled"), "{refused}");
    assert!(balancer.is_running());
    drop(balancer);
    let balancer = Balancer::builder().command("exit_enabled").service(web(&[&server])).start().unwrap();
    balancer.command("exit").unwrap();
    eventually("it has ended", || balancer.is_running(), |running| !running);
    assert_eq!(balancer.command("pid").unwrap_err().kind(), ErrorKind::Ended);
    assert_eq!(balancer.service("web").servers().unwrap_err().kind(), ErrorKind::Ended);
    balancer.wait().unwrap();
}
