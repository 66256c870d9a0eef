//! The PROXY protocol with HAProxy and nginx, in both directions: they name clients to pen, and pen names clients to them.
//! Each is started with a configuration of its own, on ports of its own, and ended.

mod common;

use common::backend::{Backend, echo};
use common::balancers::{STREAM_MODULE, haproxy, nginx};
use common::client::Client;
use common::pen::{Pen, Start};
use common::ports::free_port;
use common::programs::all_installed;
use common::real::Server;
use common::wait::eventually;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

/// Answers requests with the client that a header named, and with the address that it was sent to.
fn haproxy_that_tells(port: u16) -> Server {
    let answer = r#"http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]\n""#;
    haproxy(
        port,
        &format!("listen telling\n    mode http\n    bind 127.0.0.1:{port} accept-proxy\n    {answer}"),
    )
}

/// The same of nginx: its body is `CLIENT PORT SENT-TO PORT`.
fn nginx_that_tells(port: u16) -> Server {
    let variables =
        ["addr", "port", "server_addr", "server_port"].map(|name| format!("$proxy_protocol_{name}"));
    let server = format!(
        "server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{ return 200 \"{}\\n\"; }} }}",
        variables.join(" ")
    );
    nginx(port, "", &format!("http {{\n{server}\n}}"))
}

/// The last line of the answer to a request.
fn ask(client: &mut Client) -> String {
    client.send("GET / HTTP/1.0\r\n\r\n");
    let text = String::from_utf8(client.rest()).unwrap();
    text.lines().next_back().unwrap_or("").to_owned()
}

fn telling(from: SocketAddr, to: SocketAddr) -> String {
    format!("{} {} {} {}", from.ip(), from.port(), to.ip(), to.port())
}

/// pen in front of a server that tells whom it was told of.
fn assert_understood(server: &Server) {
    for version in ["v1", "v2"] {
        let pen = Pen::before([&server.address]).command(format!("server 0 proxy {version}")).start();
        let mut client = pen.connect_from("127.0.0.7");
        let expected = telling(client.local(), pen.address);
        assert_eq!(ask(&mut client), expected, "{version}");
        let to = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
        let start = Pen::before([&server.address]).listen(to);
        let _pen = start.command(format!("server 0 proxy {version}")).start();
        let mut client = Client::connect(to);
        let expected = telling(client.local(), to);
        assert_eq!(ask(&mut client), expected, "{version}");
    }
}

#[test]
fn haproxy_understands_pen() {
    if all_installed(&[("haproxy", "haproxy")]) {
        assert_understood(&haproxy_that_tells(free_port()));
    }
}

#[test]
fn nginx_understands_pen() {
    if all_installed(&[("nginx", "nginx")]) {
        assert_understood(&nginx_that_tells(free_port()));
    }
}

#[test]
fn a_client_of_a_unix_socket_is_no_trouble_to_haproxy() {
    if !all_installed(&[("haproxy", "haproxy")]) {
        return;
    }
    let server = haproxy_that_tells(free_port());
    for version in ["v1", "v2"] {
        let start = Pen::before([&server.address]).command(format!("server 0 proxy {version}"));
        let path = start.path("listener");
        let _pen = start.listen(path.display()).start();
        let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let answer = common::pen::converse(stream, b"GET / HTTP/1.0\r\n\r\n");
        let told = answer.lines().next_back().unwrap_or("");
        assert!(told.starts_with("127.0.0.1 "), "the address of pen: {answer}");
    }
}

/// pen behind 127.0.0.1, before a server that is told of the client in version 1.
fn behind_a_downstream(server: &Backend) -> Start {
    Pen::before([server]).command("proxy_accept 127.0.0.1").command("server 0 proxy v1").options("-l pen.log")
}

/// A client of the downstream at `port` is known to the server behind pen, and to pen's log.
fn assert_named(pen: &Pen, port: u16) {
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = Client::connect_from("127.0.0.7", to);
    client.send("hello\n");
    let header = format!("PROXY TCP4 127.0.0.7 127.0.0.1 {} {port}\r", client.local().port());
    assert_eq!(client.line(), header);
    assert_eq!(client.line(), "hello");
    assert_eq!(client.exchange("and more"), "and more");
    eventually("pen's log", || pen.text("pen.log"), |log| log.contains("127.0.0.7 "));
}

fn status(pen: &Pen) -> serde_json::Value {
    serde_json::from_str(&pen.control("status json")).expect("JSON")
}

#[test]
fn pen_understands_haproxy() {
    if !all_installed(&[("haproxy", "haproxy")]) {
        return;
    }
    let options = [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c",
        "send-proxy-v2 proxy-v2-options unique-id,crc32c,authority",
        // Its checks say LOCAL, or UNKNOWN.
        "send-proxy-v2 check inter 50ms",
        "send-proxy check inter 50ms",
    ];
    for options in options {
        let server = Backend::serving(echo);
        let pen = behind_a_downstream(&server).start();
        let port = free_port();
        let section = format!(
            "listen naming\n    bind 127.0.0.1:{port}\n    unique-id-format %{{+X}}o\\ %ci_%cp\n    server pen {} {options}",
            pen.address
        );
        let _downstream = haproxy(port, &section);
        assert_named(&pen, port);
        if options.contains("check") {
            eventually("checks", || status(&pen)["totals"]["accepted"].as_u64(), |count| *count >= Some(4));
        }
        assert_eq!(status(&pen)["totals"]["proxy_errors"], 0, "{options}");
    }
}

#[test]
fn pen_understands_nginx() {
    if !all_installed(&[("nginx", "nginx")]) {
        return;
    }
    if !Path::new(STREAM_MODULE).exists() {
        return common::skip_without("libnginx-mod-stream");
    }
    let server = Backend::serving(echo);
    let pen = behind_a_downstream(&server).start();
    let port = free_port();
    let stream = format!(
        "stream {{ server {{ listen 127.0.0.1:{port}; proxy_protocol on; proxy_pass {}; }} }}",
        pen.address
    );
    let _downstream = nginx(port, &format!("load_module {STREAM_MODULE};"), &stream);
    assert_named(&pen, port);
    assert_eq!(status(&pen)["totals"]["proxy_errors"], 0);
}

#[test]
fn a_chain_of_haproxy_pen_and_nginx_keeps_the_client() {
    if !all_installed(&[("haproxy", "haproxy"), ("nginx", "nginx")]) {
        return;
    }
    let server = nginx_that_tells(free_port());
    let pen = Pen::before([&server.address])
        .command("proxy_accept 127.0.0.0/8")
        .command("server 0 proxy v2")
        .command("http replace")
        .start();
    let port = free_port();
    let section =
        format!("listen naming\n    bind 127.0.0.1:{port}\n    server pen {} send-proxy-v2", pen.address);
    let _downstream = haproxy(port, &section);
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = Client::connect_from("127.0.0.7", to);
    let expected = telling(client.local(), to);
    assert_eq!(ask(&mut client), expected);
}
