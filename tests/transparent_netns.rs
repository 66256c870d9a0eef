//! `transparent` between a client and a server on different networks, set up as docs/client-address.md says, for IPv4 and IPv6.
//!
//! Needs root, ip(8), iptables(8), python3 and curl. The tests run inside the host `lb`, where pen is.

mod common;

use common::network::{Network, here, recipe, shell_words};
use common::pen::{Pen, Start};
use common::wait::{eventually, received};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

const CLIENT: &str = "203.0.113.5";
const CLIENT_V6: &str = "2001:db8:1::5";
const LARGE_BYTES: usize = 3 << 20;

fn two_networks(network: &mut Network) -> Result<(), String> {
    for host in ["client", "lb", "server"] {
        network.add_host(host)?;
    }
    let outside: &[&str] = &["203.0.113.80/24", "2001:db8:1::80/64"];
    let inside: &[&str] = &["10.0.0.80/24", "2001:db8:2::80/64"];
    network.connect(("lb", "eth0", outside), ("client", "eth0", &["203.0.113.5/24", "2001:db8:1::5/64"]))?;
    network.connect(("lb", "eth1", inside), ("server", "eth0", &["10.0.0.1/24", "2001:db8:2::1/64"]))
}

fn blocks() -> Vec<String> {
    recipe("## Transparent proxying")
}

/// The routing of the recipe: everything on the server, and one of the two ways on lb.
fn set_up(network: &Network, by_firewall: bool) {
    let [server, mark, reverse_path, by_interface] = &blocks()[..4] else { panic!("the recipe has changed") };
    network.run("server", server).unwrap();
    here(if by_firewall { mark } else { by_interface });
    here(reverse_path);
}

fn pen_of(line: &str) -> Start {
    let words = shell_words(line);
    words[1..].iter().fold(Pen::before([] as [&str; 0]).listen(""), |start, word| start.word(word))
}

/// A web server on the host `server` that answers with the address of its client and much more, and tells it here too.
fn web(network: &Network) -> Receiver<SocketAddr> {
    let listener = network.on("server", || TcpListener::bind("[::]:80").unwrap());
    let (sender, peers) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().unwrap();
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let body = format!("{}\n{}", peer.ip(), "x".repeat(LARGE_BYTES));
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let mut stream = lines.into_inner();
            // A client that leaves is its own business.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            let _ = sender.send(peer);
        }
    });
    peers
}

/// The address that the server has seen for a client of `url`.
fn seen(network: &Network, url: &str, peers: &Receiver<SocketAddr>) -> String {
    let got = network.output("client", &format!("curl -sS --max-time 20 {url}")).unwrap();
    let (address, rest) = got.split_once('\n').unwrap();
    assert_eq!(rest.len(), LARGE_BYTES);
    assert_eq!(received(peers).ip().to_string(), address);
    address.to_string()
}

fn servers_see_clients(network: &Network) {
    let peers = web(network);
    for (block, url, client, own) in [
        (4, "http://203.0.113.80/", CLIENT, "10.0.0.80"),
        (5, "http://[2001:db8:1::80]/", CLIENT_V6, "2001:db8:2::80"),
    ] {
        let pen = pen_of(&blocks()[block]).start();
        assert_eq!(seen(network, url, &peers), client);
        let user = common::process::status_field(pen.pid(), "Uid");
        assert!(!user.split_whitespace().any(|id| id == "0"), "root is given up: {user}");
        pen.control("no transparent");
        assert_eq!(seen(network, url, &peers), own, "without it the server sees lb");
        pen.control("transparent");
        assert_eq!(seen(network, url, &peers), client, "and can be switched on again");
    }
}

#[test]
fn servers_see_clients_by_a_mark() {
    if !common::programs::is_installed("iptables") {
        return common::skip_without("iptables");
    }
    Network::inside("servers_see_clients_by_a_mark", "lb", two_networks, |network| {
        set_up(network, true);
        servers_see_clients(network);
    });
}

#[test]
fn servers_see_clients_by_their_interface() {
    Network::inside("servers_see_clients_by_their_interface", "lb", two_networks, |network| {
        set_up(network, false);
        servers_see_clients(network);
    });
}

#[test]
fn servers_see_clients_of_datagrams() {
    Network::inside("servers_see_clients_of_datagrams", "lb", two_networks, |network| {
        set_up(network, true);
        for (listen, server, client) in [
            ("203.0.113.80:53", "10.0.0.1:53", CLIENT),
            ("[2001:db8:1::80]:53", "[2001:db8:2::1]:53", CLIENT_V6),
        ] {
            let socket = network.on("server", || UdpSocket::bind(server).unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    // A client that is gone needs no answer.
                    let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
                }
            });
            let start = Pen::before([server]).listen(listen).options("-U -u nobody");
            let pen = start.command("transparent").start();
            let seen = || {
                let client = network.on("client", || {
                    let socket = UdpSocket::bind((client, 0)).unwrap();
                    socket.connect(listen).unwrap();
                    socket
                });
                client.set_read_timeout(Some(common::wait::PATIENCE)).unwrap();
                client.send(b"who am I?").unwrap();
                let mut buffer = [0; 64];
                let length = client.recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            };
            assert_eq!(seen(), client);
            pen.control("no transparent");
            assert_ne!(seen(), client, "without it the server sees lb");
        }
    });
}

/// As in the original: a plain connection.
#[test]
fn between_the_families_servers_see_pen() {
    Network::inside("between_the_families_servers_see_pen", "lb", two_networks, |network| {
        set_up(network, false);
        let peers = web(network);
        let start = Pen::before(["10.0.0.1:80"]).listen("[2001:db8:1::80]:80");
        let pen = start.options("-u nobody").command("transparent").start();
        assert_eq!(seen(network, "http://[2001:db8:1::80]/", &peers), "10.0.0.80");
        drop(pen);
        let pen = Pen::before(["[2001:db8:2::1]:80"]).listen("[::]:80").command("transparent").start();
        assert_eq!(seen(network, "http://[2001:db8:1::80]/", &peers), CLIENT_V6);
        assert_eq!(seen(network, "http://203.0.113.80/", &peers), "2001:db8:2::80");
        pen.control("source 2001:db8:2::80");
        assert_eq!(
            seen(network, "http://[2001:db8:1::80]/", &peers),
            "2001:db8:2::80",
            "source stands before it"
        );
    });
}

/// Without the way back a connect gets no answer: it times out, and no client sees pen's address instead.
#[test]
fn without_the_way_back_there_is_no_connection() {
    Network::inside("without_the_way_back_there_is_no_connection", "lb", two_networks, |network| {
        let _peers = web(network);
        let pen = Pen::before(["10.0.0.1:80"]).listen("203.0.113.80:80");
        let pen = pen.options("-t 1 -b 1").command("transparent").start();
        let mut client = network.on("client", || std::net::TcpStream::connect("203.0.113.80:80").unwrap());
        let mut rest = Vec::new();
        // Closed or reset, in any case without a word.
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        let timeouts = || pen.control("status json");
        eventually("the timeout to count", timeouts, |status| status.contains("\"connect_timeouts\":1"));
    });
}
