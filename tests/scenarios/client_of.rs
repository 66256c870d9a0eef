//! Who is the client of a connection that a server sees from some address: `client_of`.

use crate::common::backend::Backend;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use std::net::SocketAddr;

fn client_of(pen: &Pen, near: &str) -> String {
    pen.control(&format!("client_of {near}"))
}

/// What the server saw last.
fn last_peer(server: &Backend, count: usize) -> SocketAddr {
    eventually("the server to have the connection", || server.accepted(), |seen| *seen == count);
    server.peers()[count - 1]
}

#[test]
fn a_server_learns_the_true_client_of_each_connection() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).options("--threads 2").start();
    assert_eq!(
        client_of(&pen, "127.0.0.1:9"),
        "error: client_of: no connection to a server comes from 127.0.0.1:9\n"
    );
    let clients: Vec<_> = (1..=20)
        .map(|count| {
            let mut client = pen.connect_from(&format!("127.0.0.{count}"));
            assert_eq!(client.line(), "A");
            let peer = last_peer(&a, count);
            assert_eq!(client_of(&pen, &peer.to_string()), format!("{}\n", client.local()));
            (client, peer)
        })
        .collect();
    for (client, peer) in &clients {
        assert_eq!(client_of(&pen, &peer.to_string()), format!("{}\n", client.local()), "and again later");
    }
    let peers: Vec<SocketAddr> = clients.iter().map(|(_, peer)| *peer).collect();
    drop(clients);
    eventually(
        "the connection to be unknown",
        || client_of(&pen, &peers[0].to_string()),
        |reply| reply.starts_with("error: "),
    );
    for nonsense in ["client_of", "client_of 1", "client_of 127.0.0.1", "client_of localhost:80"] {
        assert!(pen.control(nonsense).starts_with("error: client_of: want HOST:PORT"), "{nonsense}");
    }
}

/// A connection kept ready becomes a client's, and failover gives it another socket.
#[test]
fn it_follows_idlers_and_failovers() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a]).options("--threads 1").command("idlers 1").start();
    let idler = last_peer(&a, 1);
    assert!(client_of(&pen, &idler.to_string()).starts_with("error: "), "nobody's yet");
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    let of_client = format!("{}\n", client.local());
    eventually("the client to have it", || client_of(&pen, &idler.to_string()), |got| *got == of_client);
    drop(pen);
    a.pause();
    let pen = Pen::before([&a, &b]).options("-O prio").start();
    assert!(client_of(&pen, "127.0.0.1:9").starts_with("error: "));
    let mut client = pen.connect();
    assert_eq!(client.line(), "B");
    assert_eq!(client_of(&pen, &last_peer(&b, 1).to_string()), format!("{}\n", client.local()));
}

#[test]
fn sessions_of_udp_are_found_too() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").start();
    let client = UdpClient::from("127.0.0.5", pen.address);
    assert_eq!(client.server(), "A");
    let peer = *server.peers().first().unwrap();
    assert!(client_of(&pen, &peer.to_string()).starts_with("127.0.0.5:"));
}

#[test]
fn ipv6_and_the_client_of_a_header_are_told() {
    let a = Backend::named("A");
    let port = free_port();
    let pen = Pen::before([&a]).listen(format!("[::1]:{port}")).command("proxy_accept ::1").start();
    let mut client = crate::common::client::Client::connect((std::net::Ipv6Addr::LOCALHOST, port).into());
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n");
    assert_eq!(client.line(), "A");
    assert_eq!(client_of(&pen, &last_peer(&a, 1).to_string()), "[2001:db8::7]:4711\n");
}
