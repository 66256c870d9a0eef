//! `policy uri_hash` and `uri_static`: the server by what the client asks for.

use crate::common::backend::{Backend, echo};
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::wait::{eventually, meanwhile};
use pen_core::uri::{self, Asked, Uri};
use pen_proto::commands::PolicyKind;
use pen_proto::status::ServerStatus;
use std::io::Write;
use std::time::Duration;

fn before(servers: &[Backend; 3], policy: &str) -> Start {
    Pen::before(servers).options("-r").command(format!("policy {policy}"))
}

fn three() -> [Backend; 3] {
    ["A", "B", "C"].map(Backend::named)
}

/// A client that has sent this; what it is answered begins with the server's name.
fn asking(pen: &Pen, bytes: impl AsRef<[u8]>) -> Client {
    let mut client = pen.connect();
    client.send(bytes);
    client
}

fn server_of(pen: &Pen, uri: &str) -> String {
    asking(pen, format!("GET {uri} HTTP/1.1\r\n")).line()
}

/// The same where the connections of servers count: the one before is over.
fn server_of_next(pen: &Pen, uri: &str) -> String {
    eventually("no connections", || is_idle(pen), |is_idle| *is_idle);
    server_of(pen, uri)
}

fn uris(pen: &Pen) -> Vec<u32> {
    let statuses: Vec<ServerStatus> = serde_json::from_str(&pen.control("servers json")).unwrap();
    statuses.iter().map(|server| server.uris.unwrap()).collect()
}

#[test]
fn every_uri_has_its_server_and_all_bytes_arrive() {
    let servers = three();
    let pen = before(&servers, "uri_hash").start();
    let paths: Vec<String> = (0..12).map(|number| format!("/page/{number}")).collect();
    let first: Vec<String> = paths.iter().map(|path| server_of(&pen, path)).collect();
    for (path, server) in paths.iter().zip(&first) {
        assert_eq!(server_of(&pen, &format!("{path}?query={server}")), *server);
        let request = format!("POST {path} HTTP/1.1\r\nHost: a.test\r\n\r\nbody");
        let mut client = pen.connect();
        client.stream.set_nodelay(true).unwrap();
        request.bytes().for_each(|byte| client.send([byte]));
        client.end();
        assert_eq!(client.line(), *server, "{path} in pieces");
        assert_eq!(String::from_utf8_lossy(&client.rest()), request);
    }
    assert_eq!(uris(&pen).iter().sum::<u32>(), 12);
    assert!(pen.control("metrics").contains("pen_server_uris{"));
    assert!(pen.control("status").contains(" URIs</small>"));
}

#[test]
fn uris_of_a_disabled_server_move_and_stay() {
    let servers = three();
    let pen = before(&servers, "uri_hash").start();
    let owner = server_of(&pen, "/here");
    let index = ["A", "B", "C"].iter().position(|name| *name == owner).unwrap();
    pen.control(&format!("server {index} disable"));
    let other = server_of(&pen, "/here");
    assert_ne!(other, owner);
    pen.control(&format!("server {index} enable"));
    assert_eq!(server_of(&pen, "/here"), other);
    let next = ["A", "B", "C"].iter().position(|name| *name == other).unwrap();
    servers[next].pause();
    let third = server_of(&pen, "/here");
    assert_ne!(third, other, "a connect that fails moves it, too");
    assert_eq!(uris(&pen).iter().sum::<u32>(), 1);
}

#[test]
fn static_is_octopus_function() {
    let servers = three();
    let pen = before(&servers, "uri_static").start();
    for line in
        ["GET /index.html HTTP/1.1\r\n", "GET /a/b?c=d HTTP/1.0\r\n", "EHLO client.example\r\n", "GET /a\n"]
    {
        let Asked::For(Uri(hash)) = uri::read(PolicyKind::UriStatic, line.as_bytes(), false) else {
            panic!()
        };
        let expected = ["A", "B", "C"][(hash % 3) as usize];
        assert_eq!(asking(&pen, line).line(), expected, "{line:?}");
    }
    // Computed apart from this program.
    let octopus = [("/", 46_548), ("/index.html", 47_567)];
    for (path, hash) in octopus {
        assert_eq!(server_of(&pen, path), ["A", "B", "C"][hash % 3]);
    }
}

/// Who speaks no HTTP gets a server all the same, also where the server speaks first, and a client that only ends its side.
#[test]
fn what_is_no_request_gets_a_server() {
    let servers = three();
    for policy in ["uri_hash", "uri_static"] {
        let pen = before(&servers, policy).options("-t 1").start();
        let name = |mut client: Client| client.line();
        let is_served = |client| ["A", "B", "C"].contains(&name(client).as_str());
        assert!(is_served(pen.connect()), "silent");
        assert!(is_served(asking(&pen, "QUIT\r\n")));
        assert!(is_served(asking(&pen, "GET /never/ends")), "after the timeout");
        assert!(is_served(asking(&pen, "x".repeat(9_000))));
        let mut ended = pen.connect();
        ended.end();
        assert!(is_served(ended));
        let mut ended = asking(&pen, "GET");
        ended.end();
        let answer = String::from_utf8(ended.rest()).unwrap();
        assert_eq!(answer[1..], *"\nGET");
        asking(&pen, "GET /reset").reset();
        eventually("no connections", || is_idle(&pen), |is_idle| *is_idle);
    }
}

fn is_idle(pen: &Pen) -> bool {
    let status: pen_proto::status::Status = serde_json::from_str(&pen.control("status json")).unwrap();
    status.connections.is_empty()
}

/// What the client sent is read before `http` changes it, and a PROXY header before both.
#[test]
fn beside_http_and_proxy_headers() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server])
        .options("-r")
        .command("policy uri_hash")
        .command("http replace")
        .command("proxy_accept 127.0.0.2")
        .start();
    let mut client = pen.connect_from("127.0.0.2");
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\nGET /a HT");
    client.send("TP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
    let head: Vec<String> =
        std::iter::repeat_with(|| client.line()).take_while(|line| line != "\r").collect();
    assert_eq!(head[0], "GET /a HTTP/1.1\r");
    assert!(head.contains(&"X-Forwarded-For: 192.0.2.7\r".into()), "{head:?}");
    assert!(!head.iter().any(|line| line.contains("10.0.0.1")), "{head:?}");
    assert_eq!(uris(&pen), [1]);
}

#[test]
fn uris_move_from_the_busiest_server_to_the_idlest() {
    let servers = ["A", "B"].map(Backend::named);
    let start = Pen::before(&servers).options("-r --threads 1").command("policy uri_hash");
    let pen = start.command("rebalance_interval 1").command("rebalance_size 50").start();
    let paths: Vec<String> = (0..8).map(|number| format!("/{number}")).collect();
    let of_a: Vec<&String> = paths.iter().filter(|path| server_of_next(&pen, path) == "A").collect();
    assert_eq!((of_a.len(), uris(&pen)), (4, vec![4, 4]));
    let request = |path: &str| asking(&pen, format!("GET {path} HTTP/1.0\r\n"));
    let mut held: Vec<Client> = of_a.iter().map(|path| request(path)).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "A"));
    let ask = || {
        let _ = request("/0").line();
        uris(&pen)
    };
    eventually("two of four move", ask, |uris| *uris == [2, 6]);
}

/// Both servers have the same connections, and say themselves what they have to do.
#[test]
fn uris_move_by_the_load_that_agents_tell() {
    let servers = ["A", "B"].map(Backend::named);
    let agents = ["90\n", "10\n"].map(|load| {
        Backend::serving(move |mut stream| {
            let _ = stream.write_all(load.as_bytes());
        })
    });
    let start = Pen::before(&servers).options("-r --threads 1").command("policy uri_hash");
    let start = start.command("check_interval 0.1").command("maxload 100").command("rebalance_size 50");
    let start = (0..2).fold(start, |start, index| {
        start.command(format!("server {index} load agent {}", agents[index].port()))
    });
    let pen = start.start();
    (0..8).for_each(|number| drop(server_of_next(&pen, &format!("/{number}"))));
    assert_eq!(uris(&pen), [4, 4]);
    let loads = || {
        let servers: serde_json::Value = serde_json::from_str(&pen.control("servers json")).unwrap();
        [0, 1].map(|index: usize| servers[index]["effective_load"].as_u64())
    };
    eventually("the loads to be known", loads, |loads| *loads == [Some(90), Some(10)]);
    pen.control("rebalance_threshold 81");
    pen.control("rebalance_interval 1");
    let ask = || {
        let _ = server_of(&pen, "/0");
        uris(&pen)
    };
    meanwhile(Duration::from_millis(2_100));
    assert_eq!(ask(), [4, 4], "80 percentage points are too few");
    pen.control("rebalance_threshold 80");
    eventually("two of four move", ask, |uris| *uris == [2, 6]);
}

#[test]
fn udp_has_no_requests() {
    let pen = Pen::before(three()).options("-U").start();
    let refused = pen.control("policy uri_hash");
    assert!(refused.contains("policy uri_hash: not with UDP (-U), where pen reads no requests"), "{refused}");
}
