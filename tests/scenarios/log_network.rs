//! Datagrams to a log server, and the log of whole connections as JSON.

use crate::common::backend::{Backend, echo, read_line};
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::{PATIENCE, eventually};
use serde_json::Value;
use std::net::UdpSocket;

fn log_server(address: &str) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn receive(socket: &UdpSocket) -> String {
    let mut datagram = [0; 2048];
    let length = socket.recv(&mut datagram).expect("a datagram");
    String::from_utf8(datagram[..length].to_vec()).unwrap()
}

#[test]
fn each_read_is_a_datagram() {
    let (log, port) = log_server("127.0.0.1");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options(&format!("-l 127.0.0.1:{port}")).start();
    let mut client = pen.connect_from("127.0.0.6");
    client.exchange("GET /short HTTP/1.1\r");
    assert_eq!(receive(&log), "+ 127.0.0.6 127.0.0.1 GET /short HTTP/1.1\n");
    client.exchange(&"x".repeat(5_000));
    let long = receive(&log);
    assert_eq!(long.len(), 1024);
    assert!(long.ends_with("xxx\n"), "{long}");
    assert_eq!(pen.control("log"), format!("127.0.0.1:{port}\n"), "the target is told whole");
}

#[test]
fn log_servers_may_have_ipv6_addresses() {
    let (log, port) = log_server("::1");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options(&format!("-l [::1]:{port}")).start();
    pen.connect().exchange("hello");
    assert_eq!(receive(&log), "+ 127.0.0.1 127.0.0.1 hello\n");
}

#[test]
fn a_target_in_the_configuration_file_works_after_a_reload_too() {
    let (log, port) = log_server("127.0.0.1");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).config(&format!("log 127.0.0.1:{port}\n")).start();
    pen.connect().exchange("one");
    assert_eq!(receive(&log), "+ 127.0.0.1 127.0.0.1 one\n");
    pen.signal(nix::sys::signal::SIGHUP);
    pen.connect().exchange("two");
    assert_eq!(receive(&log), "+ 127.0.0.1 127.0.0.1 two\n");
    assert!(!pen.path("127.0.0.1").exists(), "no file of that name");
}

#[test]
fn a_dead_log_server_stops_nobody_and_is_heard_again_when_back() {
    let port = free_port();
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options(&format!("-l 127.0.0.1:{port}")).start();
    let mut client = pen.connect();
    for round in 0..50 {
        let line = format!("round {round}");
        assert_eq!(client.exchange(&line), line);
    }
    let log = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    log.set_nonblocking(true).unwrap();
    let look = || {
        client.exchange("back");
        let mut datagram = [0; 2048];
        log.recv(&mut datagram).ok()
    };
    eventually("a datagram", look, |received| received.is_some());
}

fn objects(pen: &Pen) -> Vec<Value> {
    // The last line may be on its way.
    let text = pen.text("pen.log");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn as_json_each_connection_is_an_object_when_it_has_ended() {
    let server = Backend::serving(|mut stream| {
        read_line(&stream);
        std::io::Write::write_all(&mut stream, b"twelve bytes").unwrap();
    });
    let pen = Pen::before([&server]).options("-l pen.log").command("log_format json").start();
    let mut client = pen.connect_from("127.0.0.6");
    client.send("GET /\"\\\u{1}\n");
    client.end();
    assert_eq!(client.rest().len(), 12);
    let objects = eventually("one object", || objects(&pen), |objects| objects.len() == 1);
    let object = &objects[0];
    assert_eq!(object["client"], "127.0.0.6");
    assert_eq!(object["client_port"], client.local().port());
    assert_eq!(object["server"], 0);
    assert_eq!(
        (&object["server_address"], &object["server_port"]),
        (&"127.0.0.1".into(), &server.port().into())
    );
    assert_eq!((object["up_bytes"].as_u64(), object["down_bytes"].as_u64()), (Some(9), Some(12)));
    for field in ["time", "duration_ms", "reason", "retries", "listener"] {
        assert!(!object[field].is_null(), "no {field} in {object}");
    }
}

#[test]
fn the_json_log_says_null_where_there_is_no_server_and_no_port() {
    let dead = Backend::refusing("A");
    let pen = Pen::before([&dead]).options("-l pen.log").command("log_format json").start();
    assert_eq!(pen.ask(), "-");
    let nobody = &eventually("an object", || objects(&pen), |objects| objects.len() == 1)[0];
    let socket = pen.path("server.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    pen.control(&format!("server 0 address {}", socket.display()));
    pen.control("server 0 blacklist 0");
    let client = pen.connect();
    drop((client, listener.accept().unwrap()));
    let unix = &eventually("another", || objects(&pen), |objects| objects.len() == 2)[1];
    for (object, server, address) in
        [(nobody, Value::Null, Value::Null), (unix, 0.into(), socket.display().to_string().into())]
    {
        assert_eq!((&object["server"], &object["server_address"]), (&server, &address), "{object}");
        assert_eq!(object.get("server_port"), Some(&Value::Null), "{object}");
    }
}

#[test]
fn a_connection_that_outlives_its_listener_still_names_it() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-l pen.log").command("log_format json").start();
    let (before, after) = (pen.address, format!("127.0.0.1:{}", free_port()));
    let mut client = pen.connect();
    client.line();
    assert_eq!(pen.control(&format!("listen {after}")), format!("{after}\n"));
    assert_eq!(Client::connect(after.parse().unwrap()).line(), "A");
    drop(client);
    let objects = eventually("two objects", || objects(&pen), |objects| objects.len() == 2);
    let mut listeners: Vec<_> = objects.iter().map(|object| object["listener"].clone()).collect();
    listeners.sort_by_key(|listener| *listener != before.to_string());
    assert_eq!(listeners, [before.to_string(), after]);
}

#[test]
fn failovers_show_in_the_json_log() {
    let (dead, alive) = (Backend::refusing("A"), Backend::named("B"));
    let pen = Pen::before([&alive, &dead]).options("-r -l pen.log").command("log_format json").start();
    assert_eq!(pen.ask(), "B");
    let objects = eventually("one object", || objects(&pen), |objects| objects.len() == 1);
    assert_eq!((objects[0]["retries"].as_u64(), objects[0]["server"].as_i64()), (Some(1), Some(0)));
}
