//! Several services in one process, made by a file, by the command line and while pen runs.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use pen_sys::control::{Address, Session};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// The name of the server that a client of this port gets, "-" when it is closed.
fn ask(port: u16) -> String {
    Client::connect(local(port)).try_line().unwrap_or_else(|| "-".to_string())
}

fn is_closed(port: u16) -> bool {
    TcpStream::connect(local(port)).is_err()
}

fn json(pen: &Pen, line: &str) -> Value {
    serde_json::from_str(&pen.control(line)).expect("JSON")
}

/// Pen with one server A for `main`, and a service `web` for B at another port.
fn two(a: &Backend, b: &Backend) -> (Start, u16) {
    let port = free_port();
    let lines =
        format!("service web\nlisten 127.0.0.1:{port}\nserver 0 address 127.0.0.1 port {}\n", b.port());
    (Pen::before([a]).config(&lines), port)
}

#[test]
fn a_file_makes_services_and_each_has_its_own_servers() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, port) = two(&a, &b);
    let pen = start.start();
    for _ in 0..3 {
        assert_eq!((pen.ask(), ask(port)), ("A".into(), "B".into()));
    }
    let main = format!("main tcp conns 0 servers 1 listen {}\n", pen.address);
    let web = format!("web tcp conns 0 servers 1 listen 127.0.0.1:{port}\n");
    eventually("no connection to be left", || pen.control("services"), |got| *got == format!("{main}{web}"));
    let services = json(&pen, "services json");
    assert_eq!(services[1]["name"], "web");
    assert_eq!(services[1]["kind"], "tcp");
}

#[test]
fn settings_limits_lists_and_rules_are_each_services_own() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, port) = two(&a, &b);
    let pen = start.start();
    assert_eq!(pen.control("service web blacklist 7"), "7\n");
    assert_eq!(pen.control("service web blacklist"), "7\n");
    assert_eq!(pen.control("blacklist"), "30\n", "main has what it had");
    assert_eq!(pen.control("acl 1 deny 127.0.0.1"), "");
    assert_eq!(pen.control("service web client_acl 1"), "1\n");
    assert_eq!((pen.ask(), ask(port)), ("A".into(), "-".into()));
    assert_eq!(pen.control("service web client_acl 0"), "0\n");
    assert_eq!(pen.control("service web server 0 max 1"), "");
    let held = Client::connect(local(port));
    let mut held = held;
    assert_eq!(held.line(), "B");
    assert_eq!(ask(port), "-", "no more than one");
    assert_eq!(pen.control("servers").matches('\n').count(), 1);
    assert!(
        pen.control("service web servers").contains(" conn 1 max 1 "),
        "{}",
        pen.control("service web servers")
    );
    assert_eq!(pen.control("service web mode"), pen.control("mode"));
}

#[test]
fn services_come_and_go_while_others_serve() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a]).start();
    let mut kept = pen.connect();
    assert_eq!(kept.line(), "A");
    let port = free_port();
    for line in [
        "service add web".to_string(),
        format!("service web listen 127.0.0.1:{port}"),
        format!("service web server 0 address 127.0.0.1 port {}", b.port()),
    ] {
        let reply = pen.control(&line);
        assert!(!reply.starts_with("error"), "{line}: {reply}");
    }
    let mut client = Client::connect(local(port));
    assert_eq!(client.line(), "B");
    assert!(pen.control("service add web").starts_with("error: "));
    assert_eq!(pen.control("service remove web"), "");
    assert!(is_closed(port), "the listener closes at once");
    assert_eq!(client.exchange("still"), "still", "connections end on their own");
    assert!(pen.control("service web servers").starts_with("error: "));
    drop(client);
    assert_eq!(pen.control("service add web"), "");
    pen.control(&format!("service web server 0 address 127.0.0.1 port {}", b.port()));
    assert_eq!(pen.control(&format!("service web listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    let mut client = Client::connect(local(port));
    assert_eq!(client.line(), "B");
    assert_eq!(pen.control("service remove web now"), "");
    assert!(client.rest().is_empty(), "cut");
    assert!(pen.control("service remove main").starts_with("error: "), "the last one stays");
    assert_eq!(kept.exchange("main"), "main");
}

#[test]
fn a_service_listens_at_several_addresses_that_come_and_go() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let [second, third] = [free_port(), free_port()];
    assert_eq!(pen.control(&format!("listen add 127.0.0.1:{second}")), "");
    assert_eq!(pen.control(&format!("listen add 127.0.0.1:{third}")), "");
    assert_eq!([pen.ask(), ask(second), ask(third)], ["A", "A", "A"]);
    let mut held = Client::connect(local(second));
    assert_eq!(held.line(), "A");
    assert_eq!(pen.control(&format!("listen remove 127.0.0.1:{second}")), "");
    assert!(is_closed(second));
    assert_eq!(held.exchange("on"), "on");
    assert_eq!([pen.ask(), ask(third)], ["A", "A"]);
    assert!(pen.control("listen remove 127.0.0.1:1").starts_with("error: "));
    assert!(pen.control(&format!("listen add 127.0.0.1:{third}")).starts_with("error: "));
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{second}")), format!("127.0.0.1:{second}\n"));
    assert!(is_closed(third) && is_closed(pen.address.port()), "listen replaces all");
    assert_eq!(ask(second), "A");
}

#[test]
fn tcp_and_udp_are_served_side_by_side() {
    let a = Backend::named("A");
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let lines = format!(
        "service dns udp\nservice dns listen 127.0.0.1:{port}\nservice dns server 0 address 127.0.0.1 port {}\n",
        echo.local_addr().unwrap().port()
    );
    let pen = Pen::before([&a]).config(&lines).start();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((length, peer)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..length], peer);
        }
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(crate::common::wait::PATIENCE)).unwrap();
    client.connect(local(port)).unwrap();
    client.send(b"hello").unwrap();
    let mut buffer = [0; 100];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    assert_eq!(pen.ask(), "A");
    assert!(
        pen.control("services").contains("\ndns udp conns 1 servers 1 listen "),
        "{}",
        pen.control("services")
    );
}

#[test]
fn the_command_line_makes_services_with_plus() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let [port, other] = [free_port(), free_port()];
    let words = format!("-b 9 127.0.0.1:{port} {a} + -b 8 web=127.0.0.1:{other} {b} {c}");
    let pen = Pen::before([] as [&str; 0]).listen("").options(&words).start();
    assert_eq!(ask(port), "A");
    let mut names = [ask(other), ask(other)];
    names.sort();
    assert!(names.iter().all(|name| ["B", "C"].contains(&&name[..])), "{names:?}");
    assert_eq!(
        (pen.control("blacklist"), pen.control("service web blacklist")),
        ("9\n".into(), "8\n".into())
    );
    assert_eq!(pen.control("service web servers").lines().count(), 2);
}

#[test]
fn a_line_without_a_service_is_for_main_or_the_only_one() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let [one, two] = [free_port(), free_port()];
    let section = |name: &str, port: u16, server: &Backend| {
        format!(
            "service {name}\nlisten 127.0.0.1:{port}\nserver 0 address 127.0.0.1 port {}\n",
            server.port()
        )
    };
    let lines = section("one", one, &a);
    let pen = Pen::before([] as [&str; 0]).listen("").config(&lines).start();
    assert_eq!(pen.control("blacklist"), "30\n", "of the only one");
    drop(pen);
    let lines = section("one", one, &a) + &section("two", two, &b);
    let pen = Pen::before([] as [&str; 0]).listen("").config(&lines).start();
    let reply = pen.control("blacklist");
    assert!(reply.starts_with("error: ") && reply.contains("one") && reply.contains("two"), "{reply}");
    assert_eq!((ask(one), ask(two)), ("A".into(), "B".into()));
}

#[test]
fn what_is_written_makes_the_same_services() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, port) = two(&a, &b);
    let pen = start.start();
    let more = free_port();
    for line in [
        "service web blacklist 7".to_string(),
        format!("service web listen add 127.0.0.1:{more}"),
        format!("service web server 1 address 127.0.0.1 port {} max 5 prio 1", a.port()),
        "service web prio".into(),
        "write saved".into(),
    ] {
        let reply = pen.control(&line);
        assert!(!reply.starts_with("error"), "{line}: {reply}");
    }
    let saved = pen.text("saved");
    let [main, web] = saved.split("\nservice web\n").collect::<Vec<_>>()[..] else { panic!("{saved}") };
    assert!(!main.contains("service"), "{main}");
    assert!(web.contains("blacklist 7\n") && !web.contains("timeout"), "only what differs: {web}");
    drop(pen);
    let pen = Pen::before([&a]).config(&saved).start();
    assert_eq!((pen.ask(), ask(port), ask(more)), ("A".into(), "B".into(), "B".into()));
    assert_eq!(pen.control("write again"), "");
    let lines = |text: &str| text.lines().skip(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(lines(&pen.text("again")), lines(&saved));
}

#[test]
fn bad_lines_name_the_word_and_change_nothing() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let before = pen.control("status json");
    for (line, word) in [
        ("service 9x blacklist 3", "9x"),
        ("service add all", "all"),
        ("service nosuch blacklist 3", "nosuch"),
        ("service remove nosuch", "nosuch"),
        ("service", "service"),
        ("service web", "web"),
        ("service nosuch debug 1", "nosuch"),
        ("clients_from nosuch", "nosuch"),
        ("listen add nowhere:99999", "99999"),
    ] {
        let reply = pen.control(line);
        assert!(reply.starts_with("error: ") && reply.contains(word), "{line}: {reply}");
    }
    let keep = |text: &str| {
        let mut status: Value = serde_json::from_str(text).unwrap();
        status["uptime_seconds"] = 0.into();
        status["time_local"] = "".into();
        status["time_epoch_seconds"] = 0.into();
        status["process"] = Value::Null;
        status
    };
    assert_eq!(keep(&pen.control("status json")), keep(&before));
}

#[test]
fn what_is_written_of_services_of_the_command_line_starts_with_and_without_it() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let [one, two, more, third] = [free_port(), free_port(), free_port(), free_port()];
    let words = format!("127.0.0.1:{one} {a} + -r -b 7 two=127.0.0.1:{two} {b}");
    let pen = Pen::before([] as [&str; 0]).listen("").options(&words).start();
    assert_eq!(pen.control(&format!("listen add 127.0.0.1:{more}")), "");
    assert_eq!(pen.control(&format!("service two listen add 127.0.0.1:{third}")), "");
    assert_eq!(pen.control("service add later"), "");
    assert_eq!(pen.control("write saved"), "");
    let saved = pen.text("saved");
    drop(pen);
    let pen = Pen::before([] as [&str; 0]).listen("").config(&saved).options(&words).start();
    for round in ["started", "read again"] {
        let names = [one, two, more, third].map(ask);
        assert_eq!(names, ["A", "B", "A", "B"], "{round}");
        assert_eq!(pen.control("service two blacklist"), "7\n");
        pen.signal(Signal::SIGHUP);
        eventually("the reload", || pen.control("write again"), String::is_empty);
    }
    assert!(!pen.stderr().contains("already"), "{}", pen.stderr());
    assert!(pen.stderr().contains("service later: listens nowhere"), "{}", pen.stderr());
    drop(pen);
    let pen = Pen::before([&a]).config(&saved).start();
    assert_eq!((ask(two), ask(third)), ("B".into(), "B".into()));
    assert_eq!(pen.control("service two mode"), "no hash roundrobin no stubborn no weight no prio\n");
}

#[test]
fn the_port_of_a_removed_service_is_free_although_its_connections_go_on() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, port) = two(&a, &b);
    let pen = start.start();
    let mut held = Client::connect(local(port));
    assert_eq!(held.line(), "B");
    assert_eq!(pen.control("service remove web"), "");
    assert_eq!(pen.control(&format!("listen add 127.0.0.1:{port}")), "");
    assert_eq!(ask(port), "A");
    assert_eq!(held.exchange("on"), "on");
    assert_eq!(pen.control("service remove web now"), "", "what is left of it is cut");
    assert!(held.rest().is_empty());
    assert!(pen.control("service remove web now").starts_with("error: "));
}

#[test]
fn connections_of_every_service_are_closed_by_their_number() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, port) = two(&a, &b);
    let pen = start.start();
    let mut held = Client::connect(local(port));
    assert_eq!(held.line(), "B");
    let number = json(&pen, "service web connections json")[0]["number"].clone();
    assert_eq!(pen.control(&format!("close {number}")), format!("Forcibly closing connection {number}\n"));
    assert!(held.rest().is_empty());
    assert!(pen.control(&format!("close {number}")).starts_with("error: "));
}

#[test]
fn a_header_that_is_refused_ends_what_the_one_before_said() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let (start, _) = two(&a, &b);
    let pen = start.start();
    let mut session =
        Session::open(Address::parse(&pen.path("control").display().to_string()).unwrap()).unwrap();
    let mut ask = |line: &str| session.ask(line).unwrap();
    assert_eq!(ask("service web"), Ok(String::new()));
    assert_eq!(ask("blacklist 7"), Ok("7\n".into()));
    assert!(ask("service wbe").unwrap_err().contains("wbe"));
    assert!(ask("blacklist 8").unwrap_err().contains("wbe"), "it is for no other service");
    assert_eq!(ask("service web blacklist"), Ok("7\n".into()));
    assert_eq!(ask("service main blacklist"), Ok("30\n".into()));
}

#[test]
fn a_unix_socket_moves_from_one_service_to_another() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let section = |name: &str, listen: &str, server: &Backend| {
        format!("service {name}\nlisten {listen}\nserver 0 address 127.0.0.1 port {}\n", server.port())
    };
    let lines = section("one", "./a.sock", &a) + &section("two", "./b.sock", &b);
    let pen = Pen::before([] as [&str; 0]).listen("").config(&lines).start();
    let ask = |path: &str| {
        let mut line = String::new();
        let stream = UnixStream::connect(pen.path(path));
        stream.and_then(|stream| BufReader::new(stream).read_line(&mut line)).map(|_| line.trim().to_string())
    };
    let names = || (ask("a.sock").unwrap_or_default(), ask("b.sock").unwrap_or_default());
    assert_eq!(names(), ("A".into(), "B".into()));
    let lines = section("one", "./b.sock", &a) + &section("two", "./a.sock", &b);
    std::fs::write(pen.path("pen.conf"), lines).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the sockets to have moved", names, |names| *names == ("B".into(), "A".into()));
}
