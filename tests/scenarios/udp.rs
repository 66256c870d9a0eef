//! UDP as a client sees it: which server answers, from where, and with what.

use crate::common::datagram::{LARGEST, UdpClient, UdpServer};
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use std::collections::BTreeMap;
use std::net::SocketAddr;

fn three() -> [UdpServer; 3] {
    ["A", "B", "C"].map(UdpServer::named)
}

fn before(servers: &[UdpServer]) -> Start {
    Pen::before(servers).options("-U")
}

/// The names that so many new clients hear.
fn servers_of(pen: &Pen, count: usize) -> String {
    (0..count).map(|_| UdpClient::new(pen.address).server()).collect()
}

#[test]
fn a_client_keeps_its_server_and_others_come_round() {
    let servers = three();
    let pen = before(&servers).start();
    let from = |source| UdpClient::from(source, pen.address).server();
    let [first, second] = ["127.0.0.2", "127.0.0.3"].map(from);
    assert_ne!(first, second);
    for _ in 0..4 {
        assert_eq!((from("127.0.0.2"), from("127.0.0.3")), (first.clone(), second.clone()), "by address");
    }
}

#[test]
fn a_session_is_one_client_address_and_port() {
    let servers = three();
    let pen = before(&servers).options("-r").start();
    let client = UdpClient::new(pen.address);
    let name = client.server();
    for _ in 0..20 {
        assert_eq!(client.server(), name, "a session stays where it is, with -r too");
    }
    let used = servers.iter().map(|server| server.peers().len()).sum::<usize>();
    assert_eq!(used, 1, "one session, one socket to its server");
    assert_eq!(servers_of(&pen, 6).chars().filter(|server| *server == 'B').count(), 2, "the others by turns");
}

#[test]
fn the_hash_spreads_ports_under_roundrobin_only() {
    let servers = three();
    let ports = |pen: &Pen| {
        let chosen = (0..24).map(|_| {
            let client = UdpClient::new(pen.address);
            (client.socket.local_addr().unwrap().port(), client.server())
        });
        chosen.collect::<BTreeMap<_, _>>()
    };
    let pen = before(&servers).options("-h").start();
    let names: Vec<_> = ports(&pen).into_values().collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    let pen = before(&servers).options("-h -r").start();
    for (port, name) in ports(&pen) {
        let hash = u32::from_le_bytes([127, 0, 0, 1]) ^ u32::from(u16::from_le_bytes(port.to_be_bytes()));
        assert_eq!(name, ["A", "B", "C"][hash as usize % 3], "port {port}");
    }
}

#[test]
fn weight_prio_and_maxima_hold() {
    let servers = three();
    let weighted =
        servers.iter().zip([1, 2, 3]).map(|(server, weight)| format!("{server}:0:0:{weight}:{weight}"));
    let pen = Pen::before(weighted).options("-U -r -W").start();
    let names = servers_of(&pen, 12);
    let counts = ['A', 'B', 'C'].map(|name| names.matches(name).count());
    assert_eq!(counts, [2, 4, 6]);
    let ranked = servers.iter().zip([3, 1, 2]).map(|(server, prio)| format!("{server}:0:0:1:{prio}"));
    let pen = Pen::before(ranked).options("-U -r").command("prio").start();
    assert_eq!(servers_of(&pen, 3), "BBB");
    let pen = Pen::before(servers.iter().map(|server| format!("{server}:1"))).options("-U -r").start();
    let held: Vec<UdpClient> = (0..3).map(|_| UdpClient::new(pen.address)).collect();
    let mut names: Vec<String> = held.iter().map(UdpClient::server).collect();
    names.sort();
    assert_eq!(names.concat(), "ABC");
    let late = UdpClient::new(pen.address);
    late.send("?");
    assert!(late.hears_nothing(), "every server has its maximum");
    let status = || pen.control("status json");
    eventually("the rejection", status, |status| status.contains("\"rejected\":1,"));
    let number = pen.control("connections").split(' ').next().unwrap().to_string();
    assert!(pen.control(&format!("close {number}")).starts_with("Forcibly closing"));
    assert_ne!(late.server(), "", "a place is free again");
}

#[test]
fn any_number_of_answers_comes_through_and_in_order() {
    let address = format!("127.0.0.1:{}", crate::common::ports::free_port());
    let server = UdpServer::handling(&address, |socket, datagram, peer| {
        let count: usize = String::from_utf8_lossy(datagram).parse().unwrap();
        (0..count).for_each(|number| {
            socket.send_to(number.to_string().as_bytes(), peer).expect("answer");
        });
    });
    let pen = Pen::before([&server]).options("-U").start();
    let client = UdpClient::new(pen.address);
    for count in [1, 0, 100, 3] {
        client.send(count.to_string());
        for number in 0..count {
            assert_eq!(client.answer(), number.to_string().as_bytes());
        }
    }
}

#[test]
fn every_size_goes_through_whole() {
    let address = format!("127.0.0.1:{}", crate::common::ports::free_port());
    let server = UdpServer::handling(&address, |socket, datagram, peer| {
        socket.send_to(datagram, peer).expect("echo");
    });
    let pen = Pen::before([&server]).options("-U").start();
    let client = UdpClient::new(pen.address);
    for size in [0, 1, 511, 512, 1472, 1473, 32_767, 32_768, 32_769, 65_000, LARGEST] {
        let datagram: Vec<u8> = (0..size).map(|index| (index * 7 + size) as u8).collect();
        client.send(&datagram);
        assert!(client.answer() == datagram, "{size} bytes");
    }
}

#[test]
fn ipv6_clients_and_servers_and_both_at_once() {
    let four = UdpServer::named("four");
    let six = UdpServer::at(&format!("[::1]:{}", crate::common::ports::free_port()), "six");
    let port = crate::common::ports::free_port();
    let pen = Pen::before([&four, &six]).options("-U -r").listen(format!("[::]:{port}")).start();
    for to in ["127.0.0.1", "127.0.0.9", "::1"] {
        let to = SocketAddr::new(to.parse().unwrap(), port);
        let mut names = [UdpClient::new(to).server(), UdpClient::new(to).server()];
        names.sort();
        assert_eq!(names, ["four", "six"], "{to}");
    }
    assert!(pen.control("connections").contains(" client [::1]:"));
    assert!(pen.control("connections").contains(" client 127.0.0.1:"), "as an IPv4 address");
}

#[test]
fn on_every_address_the_answer_comes_from_where_the_question_went() {
    let server = UdpServer::named("A");
    let port = crate::common::ports::free_port();
    let _pen = Pen::before([&server]).options("-U").listen(format!("0.0.0.0:{port}")).start();
    // One port asks at several addresses: each is a session of its own.
    let socket = UdpClient::new(([127, 0, 0, 1], port).into()).socket;
    for address in ["127.0.0.1", "127.0.0.2", "127.3.2.1", "127.0.0.2"] {
        let to: SocketAddr = format!("{address}:{port}").parse().unwrap();
        socket.send_to(b"?", to).unwrap();
        let (_, from) = socket.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from, to);
    }
}

#[test]
fn denied_clients_reach_nobody_or_the_abuse_server() {
    let [server, abuse] = ["A", "abuse"].map(UdpServer::named);
    let lists = |start: Start| start.command("acl 1 deny 127.0.0.5").command("client_acl 1").options("-U");
    let pen = lists(Pen::before([&server])).start();
    let denied = UdpClient::from("127.0.0.5", pen.address);
    denied.send("?");
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    assert!(denied.hears_nothing());
    let status = || pen.control("status json");
    eventually("the denial", status, |status| status.contains("\"denied\":1,"));
    let pen = lists(Pen::before([&server])).word("-B").word(&abuse).start();
    assert_eq!(UdpClient::from("127.0.0.5", pen.address).server(), "abuse");
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    assert_eq!(server.datagrams().len(), 2);
}

#[test]
fn source_is_where_servers_see_pen() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("source 127.0.0.9").start();
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    assert!(server.peers().iter().all(|peer| peer.ip().to_string() == "127.0.0.9"), "{:?}", server.peers());
}

#[test]
fn a_server_may_be_told_the_client_in_a_header_before_each_datagram() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("threads 1").start();
    assert_eq!(pen.control("server 0 proxy v2"), "");
    let client = UdpClient::from("127.0.0.5", pen.address);
    for datagram in ["one", ""] {
        client.send(datagram);
        client.answer();
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x7f\0\0\x05\x7f\0\0\x01".to_vec();
    header.extend(client.socket.local_addr().unwrap().port().to_be_bytes());
    header.extend(pen.address.port().to_be_bytes());
    let expected = ["one", ""].map(|datagram| [&header, datagram.as_bytes()].concat());
    assert_eq!(server.datagrams(), expected);
    let servers = || pen.control("servers");
    eventually("three bytes: the header is not the client's", servers, |servers| servers.contains(" sx 3 "));
    let refused = pen.control("server 0 proxy v1");
    assert_eq!(refused, "error: server 0: proxy: with UDP (-U) want v2, v2-ssl or none, got \"v1\"\n");
}

/// Sent again to another server, it has the header that this one wants.
#[test]
fn a_header_goes_to_the_server_that_wants_it() {
    let (with, mut without) = (UdpServer::named("with"), UdpServer::named("without"));
    without.pause();
    let pen = Pen::before([&with, &without]).options("-U").command("server 0 proxy v2").start();
    let client = UdpClient::new(pen.address);
    let answer = String::from_utf8_lossy(&{
        client.send("hello");
        client.answer()
    })
    .into_owned();
    assert!(answer.starts_with("with:\r\n\r\n\0") && answer.ends_with("hello"), "{answer:?}");
}

#[test]
fn all_workers_share_the_clients() {
    let servers = three();
    let pen = before(&servers).options("-r").command("threads 4").start();
    let clients: Vec<UdpClient> = (0..200).map(|_| UdpClient::new(pen.address)).collect();
    clients.iter().for_each(|client| assert!(!client.server().is_empty()));
    clients.iter().for_each(|client| assert!(!client.server().is_empty()));
    let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
    assert_eq!(status["connections_used"], 200);
    let mut workers = [0; 4];
    for connection in status["connections"].as_array().unwrap() {
        workers[connection["number"].as_u64().unwrap() as usize % 4] += 1;
    }
    assert!(workers.iter().all(|count| *count > 0), "{workers:?}");
}

#[test]
fn configuration_file_and_udp_go_together() {
    let [a, b] = ["A", "B"].map(UdpServer::named);
    let port = |server: &UdpServer| server.address().port();
    let lines = format!(
        "udp\nroundrobin\nserver 0 address 127.0.0.1 port {}\nserver 1 address 127.0.0.1 port {}\n",
        port(&a),
        port(&b)
    );
    let pen = Pen::before([] as [&str; 0]).config(&lines).start();
    let mut names = [0; 2].map(|_| UdpClient::new(pen.address).server());
    names.sort();
    assert_eq!(names, ["A", "B"]);
    pen.signal(nix::sys::signal::SIGHUP);
    assert_eq!(pen.control("udp"), "", "what it is already");
    let saved = pen.path("saved");
    assert_eq!(pen.control(&format!("write {}", saved.display())), "");
    let saved = std::fs::read_to_string(saved).unwrap();
    assert!(saved.contains("\nudp\n") && saved.contains("\nudp_idle_timeout 60\n"), "{saved}");
    assert!(saved.lines().nth(1).unwrap().starts_with("# pen -U "), "{saved}");
}

#[test]
fn servers_may_change_while_it_runs() {
    let [a, b] = ["A", "B"].map(UdpServer::named);
    let pen = Pen::before([&a]).options("-U").options("-r").start();
    let old = UdpClient::new(pen.address);
    assert_eq!(old.server(), "A");
    pen.control(&format!("server 0 address 127.0.0.1 port {}", b.address().port()));
    assert_eq!(UdpClient::new(pen.address).server(), "B");
    assert_eq!(old.server(), "A", "a session stays where it is");
}

#[test]
fn listening_elsewhere_takes_the_clients_along() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("threads 3").start();
    assert_eq!(UdpClient::new(pen.address).server(), "A");
    let port = crate::common::ports::free_port();
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    assert_eq!(UdpClient::new(([127, 0, 0, 1], port).into()).server(), "A");
    // An address that overlaps the old one.
    assert_eq!(pen.control(&format!("listen 0.0.0.0:{port}")), format!("0.0.0.0:{port}\n"));
    assert_eq!(UdpClient::new(([127, 0, 0, 7], port).into()).server(), "A");
    let other = UdpServer::named("other");
    let refused = pen.control(&format!("listen {other}"));
    assert!(refused.starts_with("error: listen: "), "{refused}");
    assert_eq!(UdpClient::new(([127, 0, 0, 1], port).into()).server(), "A", "where it did before");
}

#[test]
fn what_udp_cannot_do_is_an_error() {
    let cases = [
        ("-U /tmp/pen-udp-socket 127.0.0.1:53", "listen: with UDP (-U) want an Internet address"),
        ("-U 127.0.0.1:15353 /tmp/pen-udp-server", "server 0: with UDP (-U) want an Internet address"),
        ("-U -O dummy 127.0.0.1:15353 127.0.0.1:53", "dummy: not with UDP (-U)"),
        ("-U -E cert.pem 127.0.0.1:15353 127.0.0.1:53", "ssl_certificate: not with UDP (-U)"),
    ];
    for (words, error) in cases {
        let ended = Pen::bare(words).options("-f").run();
        assert_eq!(ended.code, Some(1), "{words}");
        assert!(ended.stderr.contains(error), "{words}: {}", ended.stderr);
    }
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").start();
    for (command, error) in [
        ("server 1 address /tmp/x", "error: server 1: with UDP (-U) want an Internet address"),
        ("dummy", "error: dummy: not with UDP (-U)"),
        ("server 0 tls noverify", "error: server: tls: not with UDP (-U)"),
        ("server 0 sni a.test", "error: server: sni: not with UDP (-U)"),
        ("no udp", "error: udp: only at start: now on"),
        ("udp_sessions_max 0", "error: udp_sessions_max: want 1..10000000 sessions, got \"0\""),
    ] {
        let reply = pen.control(command);
        assert!(reply.starts_with(error), "{command}: {reply}");
    }
    assert_eq!(UdpClient::new(pen.address).server(), "A");
}

#[test]
fn a_second_pen_on_the_port_is_told() {
    let server = UdpServer::named("A");
    let pen = Pen::before([&server]).options("-U").command("threads 2").start();
    for threads in [1, 2] {
        let words = format!("-U -f --threads {threads} {} 127.0.0.1:53", pen.address);
        let ended = Pen::bare(&words).run();
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
    }
}

#[test]
fn the_last_answer_is_waited_for_at_a_graceful_stop() {
    let (release, gate) = std::sync::mpsc::channel();
    let gate = std::sync::Mutex::new(gate);
    let address = format!("127.0.0.1:{}", crate::common::ports::free_port());
    let server = UdpServer::handling(&address, move |socket, datagram, peer| {
        if datagram == b"slowly" {
            gate.lock().unwrap().recv().expect("the test goes on");
            socket.send_to(b"at last", peer).expect("answer");
        }
    });
    let mut pen = Pen::before([&server]).options("-U -t 4").start();
    let client = UdpClient::new(pen.address);
    client.send("slowly");
    eventually("the session", || pen.control("connections"), |text| !text.is_empty());
    pen.signal(nix::sys::signal::SIGUSR2);
    let dropped = || {
        UdpClient::new(pen.address).send("a stranger");
        !pen.control("status json").contains("\"datagrams_dropped\":0,")
    };
    eventually("nobody new to be taken in", dropped, |dropped| *dropped);
    release.send(()).expect("the server waits");
    assert_eq!(client.answer(), b"at last");
    assert_eq!(pen.wait(), Some(0), "ends when the session has been silent for four seconds");
}
