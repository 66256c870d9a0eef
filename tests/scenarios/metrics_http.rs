//! `metrics_listen`: metrics and health by HTTP, for good visitors and bad ones.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::process::{descriptors, status_field};
use crate::common::wait::{PATIENCE, eventually, meanwhile};
use crate::common::{root, skip};
use nix::sys::signal::{SIGHUP, SIGTERM};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What comes back for this request, whatever becomes of the connection.
fn ask(port: u16, request: impl AsRef<[u8]>) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may have been refused before it was taken.
    let _ = stream.write_all(request.as_ref());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(port: u16, path: &str) -> String {
    ask(port, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// The number of the status, and the body.
fn status(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    (head.split(' ').nth(1).unwrap_or("none"), body)
}

fn watched(servers: &[&Backend]) -> (Pen, u16) {
    let port = free_port();
    (Pen::before(servers).command(format_args!("metrics_listen 127.0.0.1:{port}")).start(), port)
}

#[test]
fn metrics_and_health_are_served_and_nothing_else() {
    let server = Backend::named("A");
    let (pen, port) = watched(&[&server]);
    assert_eq!(pen.ask(), "A");
    let page = get(port, "/metrics");
    let head = page.split("\r\n\r\n").next().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(page.contains("\npen_connections_accepted_total 1\n"), "{page}");
    for (path, wanted) in [
        ("/healthz", ("200", "ok\n")),
        ("/readyz", ("200", "ready\n")),
        ("/readyz?verbose", ("200", "ready\n")),
        ("/", ("404", "404 Not Found\n")),
        ("/metrics/", ("404", "404 Not Found\n")),
        ("/../etc/passwd", ("404", "404 Not Found\n")),
    ] {
        assert_eq!(status(&get(port, path)), wanted, "{path}");
    }
    let head = ask(port, "HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(pen.control("metrics_listen"), format!("127.0.0.1:{port}\n"));
}

#[test]
fn readiness_says_which_service_has_no_server() {
    let (alive, dead) = (Backend::named("A"), Backend::refusing("B"));
    let (pen, port) = watched(&[&alive]);
    let commands = ["service add web".to_string(), format!("service web listen 127.0.0.1:{}", free_port())];
    commands.iter().for_each(|command| drop(pen.control(command)));
    assert_eq!(status(&get(port, "/readyz")), ("503", "service web: no server is configured\n"));
    pen.control(&format!("service web server 0 address 127.0.0.1 port {}", dead.port()));
    let ready = || status(&get(port, "/readyz")).0.to_string();
    eventually("the new server to count", ready, |code| code == "200");
    pen.control("service web server 0 blacklist 3600");
    pen.control("server 0 blacklist 3600");
    let told = "service main: no server may be chosen (1 blacklisted)\n\
                service web: no server may be chosen (1 blacklisted)\n";
    eventually("both to be told", || status(&get(port, "/readyz")).1.to_string(), |body| body == told);
    assert_eq!(status(&get(port, "/healthz")).0, "200");
}

#[test]
fn who_drains_is_not_ready_but_tells_its_figures() {
    let server = Backend::named("A");
    let (pen, port) = watched(&[&server]);
    let mut client = pen.connect();
    client.line();
    pen.drain();
    let told = || status(&get(port, "/readyz")).1.to_string();
    eventually("it to be told", told, |body| body == "pen drains: it takes no more clients\n");
    assert!(get(port, "/metrics").contains("\npen_connections 1\n"));
    assert_eq!(client.exchange("still here"), "still here");
}

#[test]
fn it_moves_and_ends_by_command_and_by_hup() {
    let server = Backend::named("A");
    let ports = [free_port(), free_port(), free_port()];
    let file = |port: u16| format!("metrics_listen 127.0.0.1:{port}\n");
    let pen = Pen::before([&server]).config(&file(ports[0])).start();
    let serves = |port| move || status(&get(port, "/healthz")).0.to_string();
    assert_eq!(serves(ports[0])(), "200");
    pen.control(&format!("metrics_listen 127.0.0.1:{}", ports[1]));
    eventually("the new address", serves(ports[1]), |code| code == "200");
    eventually("the old one to close", serves(ports[0]), |code| code == "none");
    // The same port, on all interfaces, beside the old one until that is closed.
    pen.control(&format!("metrics_listen :{}", ports[1]));
    eventually("all interfaces", serves(ports[1]), |code| code == "200");
    let taken = pen.control(&format!("metrics_listen {}", pen.address.port()));
    assert!(taken.contains("metrics_listen: ") && taken.contains("already in use"), "{taken}");
    assert_eq!(serves(ports[1])(), "200", "what was refused has changed nothing");
    std::fs::write(pen.path("pen.conf"), file(ports[2])).unwrap();
    pen.signal(SIGHUP);
    eventually("the address of the file", serves(ports[2]), |code| code == "200");
    let (threads, files) = (status_field(pen.pid(), "Threads"), descriptors(pen.pid()));
    pen.control("no metrics_listen");
    eventually("nobody to be there", serves(ports[2]), |code| code == "none");
    let fewer = threads.parse::<u32>().unwrap() - 1;
    eventually("its thread to end", || status_field(pen.pid(), "Threads"), |now| *now == fewer.to_string());
    eventually("its descriptors to close", || descriptors(pen.pid()), |now| *now + 3 <= files);
    assert_eq!(pen.control("metrics_listen"), "");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn what_is_no_address_is_refused_with_the_reason() {
    let pen = Pen::before([] as [&str; 0]).start();
    for (line, told) in [
        ("metrics_listen 10.0.0.1", "want a port, such as 10.0.0.1:9105"),
        ("metrics_listen 127.0.0.1:http-nonsense", "http-nonsense"),
        ("metrics_listen 203.0.113.255:9105", "metrics_listen: 203.0.113.255:9105: "),
    ] {
        let reply = pen.control(line);
        assert!(reply.contains(told), "{line}: {reply}");
    }
    assert_eq!(pen.control("metrics_listen"), "");
}

#[test]
fn it_is_opened_before_privileges_are_given_up() {
    if !root() {
        return skip("only root can bind low ports");
    }
    let server = Backend::named("A");
    let listen = "metrics_listen 127.0.85.1:85";
    let pen = Pen::before([&server]).options("-u nobody").command(listen).start();
    let mut client = Client::connect("127.0.85.1:85".parse().unwrap());
    client.send("GET /readyz HTTP/1.0\r\n\r\n");
    assert_eq!(client.line(), "HTTP/1.1 200 OK\r");
    drop(pen);
}

#[test]
fn bad_visitors_are_refused_and_hold_up_nobody() {
    let server = Backend::named("A");
    let (pen, port) = watched(&[&server]);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (request, code) in [
        ("GET /metrics\r\n\r\n", "400"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405"),
        ("GET /metrics HTTP/2.0\r\n\r\n", "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "400"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("\u{1}\u{2}\u{3} nonsense\r\n\r\n", "400"),
        (&many, "431"),
    ] {
        assert_eq!(status(&ask(port, request)).0, code, "{request:.60?}");
    }
    // One answer, however much is asked or said.
    let two = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    let twice = ask(port, two.replace("Host: a", "Host: localhost"));
    assert_eq!(twice.matches("HTTP/1.1").count(), 1, "{twice}");
    assert!(!ask(port, &long).contains("200 OK"));
    let silent: Vec<_> = (0..300).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    for mut stream in &silent {
        // Those that were pushed out already do not matter.
        let _ = stream.write_all(b"GET /metr");
    }
    assert_eq!(status(&get(port, "/healthz")).0, "200");
    assert!(descriptors(pen.pid()) < 100 + 64, "visitors are few");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn figures_are_made_once_for_all_who_ask_at_the_same_time() {
    let server = Backend::named("A");
    let (pen, port) = watched(&[&server]);
    let visitors: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || (0..50).map(|_| get(port, "/metrics")).collect()))
        .collect();
    for visitor in visitors {
        let pages: Vec<String> = visitor.join().unwrap();
        assert!(pages.iter().all(|page| page.ends_with('\n') && page.contains("\npen_connections 0\n")));
    }
    assert_eq!(pen.ask(), "A");
}

#[test]
fn a_stop_ends_it_whoever_is_connected() {
    let (mut pen, port) = watched(&[]);
    let _silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(status(&get(port, "/healthz")).0, "200");
    pen.signal(SIGTERM);
    assert_eq!(pen.wait(), Some(0));
}

/// The value of the sample with exactly this name and these labels.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn times_of_servers_are_counted_and_survive_the_connections() {
    let server = Backend::serving(|mut stream| {
        meanwhile(Duration::from_millis(60));
        // The client may be gone.
        let _ = stream.write_all(b"late\n");
    });
    let (pen, port) = watched(&[&server]);
    assert_eq!(pen.connect().line(), "late");
    let labels = format!("server=\"0\",address=\"{server}\"");
    let series = |name: &str| format!("pen_server_{name}{{{labels}}}");
    let page = eventually(
        "the times",
        || get(port, "/metrics"),
        |page| value(page, &series("first_byte_seconds_count")) == Some(1.0),
    );
    assert_eq!(value(&page, &series("connect_seconds_count")), Some(1.0), "{page}");
    let sum = value(&page, &series("first_byte_seconds_sum")).unwrap();
    assert!((0.059..60.0).contains(&sum), "{sum}");
    let bucket = |bound: &str| {
        value(&page, &format!("pen_server_first_byte_seconds_bucket{{{labels},le=\"{bound}\"}}"))
    };
    assert_eq!((bucket("0.05"), bucket("+Inf")), (Some(0.0), Some(1.0)), "{page}");
}

#[test]
fn a_server_that_failed_is_down_in_metrics_until_it_is_seen_well() {
    let (server, other) = (Backend::refusing("A"), Backend::named("B"));
    let port = free_port();
    let listen = format!("metrics_listen 127.0.0.1:{port}");
    let pen = Pen::before([&server, &other]).options("-r -b 1").command(listen).start();
    assert_eq!(pen.asks(2), "BB");
    let up = |page: &str| value(page, &format!("pen_server_up{{server=\"0\",address=\"{server}\"}}"));
    let usable = |page: &String| {
        value(page, &format!("pen_server_blacklisted_seconds{{server=\"0\",address=\"{server}\"}}"))
            == Some(0.0)
    };
    let page = eventually("the blacklist time to be over", || get(port, "/metrics"), usable);
    assert_eq!(up(&page), Some(0.0), "nobody has seen it well");
    server.resume();
    eventually("a client to reach it", || pen.ask(), |name| name == "A");
    eventually("it to be up", || get(port, "/metrics"), |page| up(page) == Some(1.0));
}

#[test]
fn why_clients_were_refused_and_what_the_process_uses_is_told() {
    let dead = Backend::refusing("A");
    let (pen, port) = watched(&[&dead]);
    assert_eq!(pen.ask(), "-");
    for line in ["no acl 1", "acl 1 permit 10.0.0.0/8", "client_acl 1"] {
        pen.control(line);
    }
    assert_eq!(pen.ask(), "-");
    let refused = |reason: &str| format!("pen_clients_refused_total{{reason=\"{reason}\"}}");
    let page = eventually(
        "both to be told",
        || get(port, "/metrics"),
        |page| {
            value(page, &refused("denied")) == Some(1.0) && value(page, &refused("no_server")) == Some(1.0)
        },
    );
    assert_eq!(value(&page, "pen_connections_rejected_total"), Some(1.0));
    let fds = value(&page, "process_open_fds").unwrap();
    assert!(fds > 5.0 && fds <= value(&page, "process_max_fds").unwrap(), "{page}");
    assert!(value(&page, "process_resident_memory_bytes").unwrap() > 1e6, "{page}");
    let start = value(&page, "process_start_time_seconds");
    assert_eq!(start, value(&page, "pen_start_time_seconds"));
    assert!(value(&page, "process_cpu_seconds_total").is_some());
}
