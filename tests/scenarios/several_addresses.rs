//! A server's name with several addresses: the others are tried before the server is to blame.
//!
//! Needs root and ip(8), for a hosts file of its own.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::network::Network;
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Nobody listens at the first two.
const HOSTS: &str = "127.0.9.1 many.test\n127.0.9.2 many.test\n127.0.9.3 many.test\n";

fn alone(network: &mut Network) -> Result<(), String> {
    network.add_host("alone")
}

/// A pen that finds [`HOSTS`] where it looks names up.
fn with_hosts(start: Start) -> Start {
    let start = start.file("hosts", HOSTS);
    let mount = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", start.path("hosts").display());
    start.through("unshare -m sh -ec").through_script(&mount)
}

fn blacklisted(pen: &Pen) -> u64 {
    let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
    status["servers"][0]["blacklisted_seconds"].as_u64().unwrap()
}

#[test]
fn clients_are_served_by_the_address_that_answers() {
    Network::inside(
        "several_addresses::clients_are_served_by_the_address_that_answers",
        "alone",
        alone,
        |_| {
            let listener = TcpListener::bind("127.0.9.3:20080").unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            let (closing, seen) = (Arc::new(AtomicUsize::new(0)), count.clone());
            let closes = closing.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    seen.fetch_add(1, SeqCst);
                    // A client that has what it wanted may be gone.
                    let _ = stream.unwrap().write_all(b"A\n");
                    if closes.load(SeqCst) == 1 {
                        return;
                    }
                }
            });
            let pen = with_hosts(Pen::before(["many.test:20080"])).command("threads 1").start();
            for _ in 0..3 {
                assert_eq!(pen.ask(), "A");
            }
            assert_eq!(blacklisted(&pen), 0);
            assert!(
                pen.control("servers").contains(" addr 127.0.9.3 port 20080 "),
                "{}",
                pen.control("servers")
            );
            let said = pen.stderr();
            assert!(
                said.contains(
                    "server 0 (many.test, 127.0.9.1:20080) does not answer; trying its next address"
                ),
                "{said}"
            );
            assert!(!said.contains("blacklisting"), "{said}");
            // When none of them answers, the server is to blame.
            closing.store(1, SeqCst);
            assert_eq!(pen.ask(), "A");
            eventually("the last address to be gone", || pen.ask(), |name| name == "-");
            assert!(blacklisted(&pen) > 0);
            assert!(count.load(SeqCst) >= 4);
        },
    );
}

#[test]
fn idlers_and_udp_find_it_too() {
    Network::inside("several_addresses::idlers_and_udp_find_it_too", "alone", alone, |_| {
        let _listener = TcpListener::bind("127.0.9.3:20080").unwrap();
        let pen =
            with_hosts(Pen::before(["many.test:20080"])).command("idlers 2").command("threads 1").start();
        eventually("idlers", || pen.control("idlers"), |reply| reply == "Idlers: 2/2\n");
        assert_eq!(blacklisted(&pen), 0);
        let server = UdpServer::at("127.0.9.3:20081", "A");
        let pen = with_hosts(Pen::before(["many.test:20081"])).options("-U").start();
        for _ in 0..3 {
            assert_eq!(UdpClient::new(pen.address).server(), "A");
        }
        assert_eq!(blacklisted(&pen), 0);
        drop(server);
    });
}
