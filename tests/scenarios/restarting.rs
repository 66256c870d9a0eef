//! A restart that closes no port: the supervisor keeps the listening sockets, and the next pen takes them over.

use crate::common::backend::Backend;
use crate::common::client::{Client, End};
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::control_over_tcp;
use crate::common::ports::free_port;
use crate::common::process::listening;
use crate::common::wait::{PATIENCE, eventually, meanwhile};
use crate::supervisor::Supervisor;
use nix::sys::signal::{SIGKILL, SIGQUIT, SIGTERM, SIGUSR2};
use pen_sys::control::{self, Session};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

fn address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

#[test]
fn whoever_comes_during_a_restart_is_served_by_the_next_pen() {
    let (server, answering) = (Backend::named("A"), UdpServer::named("U"));
    let supervisor = Supervisor::new();
    let (tcp, udp, path) = (address(), address(), supervisor.path("socket"));
    let words = [
        "-O",
        "threads 1",
        &tcp.to_string(),
        &server.to_string(),
        "+",
        "-U",
        &format!("udp={udp}"),
        &answering.to_string(),
        "+",
        &format!("unix={}", path.display()),
        &server.to_string(),
    ]
    .map(String::from);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut old = supervisor.start(&words, vec![]);
    assert_eq!(supervisor.kept().len(), 3, "{:?}", supervisor.kept());
    let status = || supervisor.has_heard("STATUS=3 of 3 servers up, 0 connections");
    eventually("the status", status, |told| *told);
    let mut held = Client::connect(tcp);
    assert_eq!(held.line(), "A");
    assert_eq!(UdpClient::new(udp).ask("before"), "U:before");
    old.signal(SIGQUIT);
    eventually("the end to begin", || supervisor.has_heard("STOPPING=1"), |begins| *begins);
    eventually(
        "it to be said",
        || supervisor.said(),
        |said| {
            said.contains("draining: ")
                && said.contains(" may end within 5 s, new ones wait for the next pen")
        },
    );
    let status = || supervisor.has_heard("STATUS=Draining: 1 connection left");
    eventually("the status", status, |told| *told);
    let late = UdpClient::new(udp);
    late.send("meanwhile");
    assert_eq!(held.exchange("still here"), "still here");
    held.end();
    assert_eq!(held.ending(), End::Eof);
    assert_eq!(old.wait(), Some(0));
    assert!(supervisor.said().contains("drained"), "{}", supervisor.said());
    // Nobody has the sockets now but the supervisor.
    let mut waiting = Client::connect(tcp);
    let mut stream = Client::connect(tcp);
    let unix = UnixStream::connect(&path).expect("the file is there");
    let new = supervisor.start(&words, supervisor.take_kept());
    assert_eq!((waiting.line(), stream.line()), ("A".into(), "A".into()));
    assert_eq!(late.answer(), b"U:meanwhile");
    assert_eq!(line_of(unix), "A");
    assert_eq!(supervisor.kept().len(), 3, "for the restart after this one");
    // The port stays open when it is killed, too.
    new.signal(SIGKILL);
    drop(new);
    let mut waiting = Client::connect(tcp);
    let _third = supervisor.start(&words, supervisor.take_kept());
    assert_eq!(waiting.line(), "A");
}

#[test]
fn nobody_who_watches_or_commands_pen_is_refused_during_restarts() {
    let server = Backend::named("A").to_string();
    let supervisor = Supervisor::new();
    let (tcp, metrics, control) = (address().to_string(), address(), supervisor.path("control"));
    let at = control.display().to_string();
    let start = |mode: u32, handed_down| {
        let (mode, metrics) = (format!("control_mode {mode:o}"), format!("metrics_listen {metrics}"));
        let words = ["-u", "root", "-C", &at, "-O", &mode, "-O", &metrics, "-O", "threads 1", &tcp, &server];
        supervisor.start(if crate::common::root() { &words } else { &words[2..] }, handed_down)
    };
    let mut pen = start(0o600, vec![]);
    let (is_over, done) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    let address = control::Address::parse(&at).unwrap();
    let mut held = Session::open(address.clone()).unwrap();
    let again = |number: usize, ask: &dyn Fn()| {
        while !is_over.load(SeqCst) {
            ask();
            done[number].fetch_add(1, SeqCst);
            // Each leaves a port that nobody can have for a minute.
            meanwhile(Duration::from_millis(5));
        }
    };
    let [scrapes, commands] = [0, 1].map(|number| {
        let done = &done;
        move || done[number].load(SeqCst)
    });
    thread::scope(|scope| {
        // Whatever fails below, the loops end.
        let _over = Over(&is_over);
        scope.spawn(|| {
            again(0, &|| {
                let mut stream = TcpStream::connect(metrics).expect("whoever scrapes is not refused");
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                let mut page = String::new();
                stream.read_to_string(&mut page).expect("a page");
                assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
            });
        });
        scope.spawn(|| {
            again(1, &|| {
                let mut session = Session::open(address.clone()).expect("whoever commands is not refused");
                assert_eq!(session.ask("threads").unwrap(), Ok("1\n".into()));
            });
        });
        for mode in [0o660, 0o600, 0o660] {
            assert_eq!(supervisor.kept().len(), 3, "{:?}", supervisor.kept());
            let before = [scrapes(), commands()];
            eventually(
                "both loops to go on",
                || [scrapes(), commands()],
                |now| now[0] > before[0] + 1 && now[1] > before[1] + 1,
            );
            pen.signal(SIGQUIT);
            assert_eq!(pen.wait(), Some(0), "{}", supervisor.said());
            pen = start(mode, supervisor.take_kept());
            assert_eq!(std::fs::metadata(&control).unwrap().mode() & 0o777, mode);
            assert!(held.ask("threads").unwrap().is_ok(), "a session is opened anew");
        }
    });
    // A stop takes everything away.
    pen.signal(SIGUSR2);
    assert_eq!(pen.wait(), Some(0));
    // A process that another test is about to start may hold the socket for a moment more.
    let left = || (supervisor.kept(), control.exists(), listening(metrics.port()));
    eventually("nothing to be left", left, |left| *left == (vec![], false, false));
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_stop_closes_the_port_and_what_is_not_configured_any_more_is_closed() {
    let server = Backend::named("A");
    let supervisor = Supervisor::new();
    let (first, second, control) = (address(), address(), address());
    let (at_control, server) = (control.to_string(), server.to_string());
    let at_first = first.to_string();
    let words = ["-u", "root", "-C", &at_control, &at_first, &server];
    let words = if crate::common::root() { &words[..] } else { &words[2..] };
    let old = supervisor.start(words, vec![]);
    let kept = supervisor.kept();
    control_over_tcp("127.0.0.1", control, &format!("listen {second}"));
    eventually("the other to be kept", || supervisor.kept(), |now| now.len() == kept.len() && *now != kept);
    drop(old);
    // The file says the first address: nobody listens at the second any more.
    let mut new = supervisor.start(words, supervisor.take_kept());
    assert!(!listening(second.port()));
    let said = supervisor.said();
    assert!(
        said.contains(&format!("not configured any more: TCP {second}, which pen_tcp_127.0.0.1_")),
        "{said}"
    );
    assert_eq!(supervisor.kept(), kept);
    let mut client = Client::connect(first);
    assert_eq!(client.line(), "A");
    new.signal(SIGUSR2);
    eventually("nothing to be kept", || supervisor.kept(), Vec::is_empty);
    eventually("the port to be closed", || listening(first.port()), |open| !open);
    assert_eq!(client.exchange("still here"), "still here");
    drop(client);
    assert_eq!(new.wait(), Some(0));
}

#[test]
fn a_restart_waits_no_longer_than_allowed() {
    let server = Backend::named("A");
    let supervisor = Supervisor::new();
    let tcp = address();
    let (at, server) = (tcp.to_string(), server.to_string());
    let mut pen = supervisor.start(&["-O", "restart_timeout 1", &at, &server], vec![]);
    let mut client = Client::connect(tcp);
    client.line();
    pen.signal(SIGQUIT);
    assert_eq!(pen.wait(), Some(0));
    client.ending();
    assert!(supervisor.said().contains("\n<5>drained: 1 connection cut\n"), "{}", supervisor.said());
    assert!(supervisor.has_heard("EXTEND_TIMEOUT_USEC="));
}

#[test]
fn the_journal_gets_priorities_and_no_replies() {
    let (server, other) = (Backend::named("A"), Backend::refusing("B"));
    let supervisor = Supervisor::new();
    let tcp = address();
    std::fs::write(supervisor.path("pen.conf"), format!("blacklist 3600\nserver 1 name h2\nlisten {tcp}\n"))
        .unwrap();
    let (server, h2) = (server.to_string(), other.to_string());
    let words =
        ["-r", "-d", "-O", "epoll", "-F", "pen.conf", &tcp.to_string(), &server, &h2].map(String::from);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut pen = supervisor.start(&words, vec![]);
    let asks = |count: usize| (0..count).map(|_| Client::connect(tcp).line()).collect::<String>();
    assert_eq!(asks(4), "AAAA");
    let blamed = format!(
        "\n<4>Connect failed: connection refused; blacklisting server 1 (h2, {h2}) because of connect failure\n"
    );
    eventually("it to be blamed", || supervisor.said(), |said| said.contains(&blamed));
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    let said = supervisor.said();
    assert!(said.lines().all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{said}");
    assert_eq!(said.matches("because of connect failure").count(), 1, "{said}");
}

#[test]
fn what_checks_find_has_its_priority_in_the_journal() {
    let [server, other] = [Backend::named("A"), Backend::refusing("B")].map(|server| server.to_string());
    let supervisor = Supervisor::new();
    let mut pen = supervisor.start(&["-O", "check connect", &address().to_string(), &server, &other], vec![]);
    let down = format!("<4>server 1 ({other}) is down: connect: connection refused\n");
    eventually("it to be down", || supervisor.said(), |said| said.contains(&down));
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

#[test]
fn sockets_of_a_socket_unit_are_taken_by_address_and_left_as_they_are() {
    let server = Backend::named("A");
    let supervisor = Supervisor::new();
    let path = supervisor.path("unit.sock");
    let unix = UnixListener::bind(&path).unwrap();
    // For the clients of both families; the configuration says a port.
    let tcp = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let unwanted = TcpListener::bind("127.0.0.1:0").unwrap();
    let hand_down = || {
        let unit = |fd: OwnedFd| ("pen.socket".to_string(), fd);
        let copies = (unix.try_clone().unwrap(), tcp.try_clone().unwrap(), unwanted.try_clone().unwrap());
        vec![unit(copies.0.into()), unit(copies.1.into()), unit(copies.2.into())]
    };
    let server = server.to_string();
    let words =
        [&port.to_string(), &*server, "+", &format!("unix={}", path.display()), &server].map(String::from);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for signal in [SIGUSR2, SIGTERM] {
        let mut pen = supervisor.start(&words, hand_down());
        assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).line(), "A");
        assert_eq!(line_of(UnixStream::connect(&path).unwrap()), "A");
        assert!(supervisor.kept().is_empty(), "its unit keeps them");
        assert!(
            supervisor.said().contains("not configured any more: TCP 127.0.0.1:"),
            "{}",
            supervisor.said()
        );
        pen.signal(signal);
        assert_eq!(pen.wait(), Some(0));
        // Who comes now waits for the next start.
        UnixStream::connect(&path).expect("the file belongs to the unit");
        TcpStream::connect(("127.0.0.1", port)).expect("the unit listens");
    }
}

fn line_of(stream: UnixStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_string()
}
