//! `proxy_accept` with `-U`: each datagram of a trusted downstream names its client, which then counts everywhere.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use crate::idlers::{status, total};
use pen_core::proxy_protocol::{Endpoints, Transport, write_v2, write_v2_with};
use std::net::SocketAddr;

const DOWNSTREAM: &str = "127.0.0.2";

fn named(client: &str, words: &str) -> Vec<u8> {
    let endpoints = Endpoints::new(client.parse().unwrap(), "198.51.100.1:53".parse().unwrap());
    let mut bytes = Vec::new();
    write_v2(Some(&endpoints), Transport::Datagram, &mut bytes);
    [&bytes, words.as_bytes()].concat()
}

fn trusting(servers: &[UdpServer]) -> Start {
    Pen::before(servers).options("-U").command(format!("proxy_accept {DOWNSTREAM}"))
}

/// What comes back to the downstream.
fn answer(downstream: &UdpClient, datagram: impl AsRef<[u8]>) -> String {
    downstream.send(datagram);
    String::from_utf8_lossy(&downstream.answer()).into_owned()
}

#[test]
fn the_header_is_taken_off_and_its_client_is_the_client() {
    let servers = ["A", "B"].map(UdpServer::named);
    let pen = trusting(&servers).command("log_format json").options("-l pen.log").start();
    let downstream = UdpClient::from(DOWNSTREAM, pen.address);
    let first = answer(&downstream, named("192.0.2.7:4000", "one"));
    let home = first.strip_suffix(":one").expect(&first).to_owned();
    for (port, words) in [(4000, "two"), (4001, ""), (4002, "three")] {
        let said = answer(&downstream, named(&format!("192.0.2.7:{port}"), words));
        assert_eq!(said, format!("{home}:{words}"), "the server that the client had before");
    }
    let other = answer(&downstream, named("[2001:db8::7]:1", "four"));
    assert!(other.ends_with(":four") && !other.starts_with(&home), "{other}");
    let clients: Vec<String> = status(&pen)["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["client"].as_str().unwrap().to_owned())
        .collect();
    assert!(clients.contains(&"192.0.2.7:4000".to_owned()) && clients.len() == 4, "{clients:?}");
    assert!(pen.control("clients").contains(" addr 2001:db8::7 "));
    let up = || total(&pen, "up_bytes");
    eventually("bytes of clients only", up, |count| *count == "onetwothreefour".len() as u64);
    // From everybody else a header is data like any other.
    let stranger = UdpClient::from("127.0.0.3", pen.address);
    let said = answer(&stranger, named("192.0.2.8:4000", "five"));
    assert!(said.contains("QUIT\n") && said.ends_with("five"), "{said}");
}

#[test]
fn lists_judge_the_client_and_servers_are_told_of_it() {
    let server = UdpServer::named("A");
    let servers = [server];
    let start = trusting(&servers).command("acl 1 deny 192.0.2.7").command("client_acl 1");
    let pen = start.command("server 0 proxy v2-ssl").start();
    let downstream = UdpClient::from(DOWNSTREAM, pen.address);
    downstream.send(named("192.0.2.7:4000", "denied"));
    let endpoints = Endpoints::new("192.0.2.8:4000".parse().unwrap(), "198.51.100.1:53".parse().unwrap());
    let extended = |extensions: &[u8]| {
        let mut bytes = Vec::new();
        write_v2_with(Some(&endpoints), Transport::Datagram, extensions, &mut bytes);
        [&bytes[..], b"hello"].concat()
    };
    downstream.send(extended(b"\x04\0\x01x\x02\0\x01a"));
    downstream.answer();
    assert_eq!(servers[0].datagrams(), [extended(b"\x02\0\x01a")]);
    assert_eq!(total(&pen, "denied"), 1);
}

#[test]
fn what_is_no_header_is_dropped_and_told() {
    let servers = [UdpServer::named("A")];
    let pen = trusting(&servers).start();
    let downstream = UdpClient::from(DOWNSTREAM, pen.address);
    let cut = named("192.0.2.7:4000", "");
    for (count, bad) in [&b"hello"[..], b"", b"PROXY UNKNOWN\r\nhello", &cut[..20]].into_iter().enumerate() {
        downstream.send(bad);
        eventually("the error", || total(&pen, "proxy_errors"), |errors| *errors == count as u64 + 1);
    }
    let said = pen.stderr();
    assert!(
        said.contains("PROXY header from 127.0.0.2: want version 2 at the beginning of a datagram; dropping"),
        "{said}"
    );
    assert!(servers[0].datagrams().is_empty());
    // LOCAL: the downstream itself asks, for example whether somebody is there.
    let mut local = Vec::new();
    write_v2(None, Transport::Datagram, &mut local);
    assert_eq!(answer(&downstream, [&local[..], b"check"].concat()), "A:check");
    let own: SocketAddr = downstream.socket.local_addr().unwrap();
    assert_eq!(status(&pen)["connections"][0]["client"], own.to_string());
}
