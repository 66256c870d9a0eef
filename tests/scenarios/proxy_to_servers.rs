//! `server N proxy`: a server learns from a PROXY header who its client is, before anything else and once.

use crate::common::backend::{Backend, UnixBackend, Unresponsive, echo, read_line};
use crate::common::client::Client;
use crate::common::pattern;
use crate::common::pen::{Pen, converse};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::idlers::{alone, await_idlers, total};
use nix::sys::signal::Signal::SIGCONT;
use pen_core::proxy_protocol::{Endpoints, Header, parse};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;

/// The line that a server gets about a client.
fn v1(client: SocketAddr, to: SocketAddr) -> String {
    format!("PROXY TCP4 {} {} {} {}\r", client.ip(), to.ip(), client.port(), to.port())
}

/// Reads a header of either version, byte by byte.
fn read_header(client: &mut Client) -> Header {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    loop {
        client.stream.read_exact(&mut byte).expect("the rest of the header");
        bytes.extend(byte);
        if let Some(header) = parse(&bytes).expect("a header") {
            return header;
        }
    }
}

#[test]
fn version_1_comes_before_what_the_client_says() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("server 0 proxy v1").start();
    let mut client = pen.connect_from("127.0.0.7");
    client.send("hello\n");
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert_eq!(client.line(), "hello");
    assert_eq!(client.exchange("and only once"), "and only once");
}

#[test]
fn version_2_says_the_same_in_binary() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("server 0 proxy v2").start();
    let mut client = pen.connect_from("127.0.0.7");
    client.send("hello\n");
    let endpoints = Endpoints::new(client.local(), pen.address);
    assert_eq!(read_header(&mut client), Header { endpoints: Some(endpoints), length: 28 });
    assert_eq!(client.line(), "hello");
}

#[test]
fn ipv6_clients_have_ipv6_headers() {
    let server = Backend::serving(echo);
    let port = free_port();
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let pen = Pen::before([&server]).listen(to).command("server 0 proxy v1").start();
    let mut client = Client::connect(to);
    let from = client.local();
    assert_eq!(client.line(), format!("PROXY TCP6 ::1 ::1 {} {port}\r", from.port()));
    pen.control("server 0 proxy v2");
    let mut client = Client::connect(to);
    let endpoints = Endpoints::new(client.local(), to);
    assert_eq!(read_header(&mut client), Header { endpoints: Some(endpoints), length: 52 });
}

#[test]
fn for_a_client_of_a_unix_socket_pen_names_itself() {
    let server = Backend::serving(echo);
    let start = Pen::before([&server]).command("server 0 proxy v1");
    let path = start.path("listener");
    let pen = start.listen(path.display()).start();
    let through = || converse(UnixStream::connect(&path).unwrap(), b"hello\n");
    let words: Vec<String> = through().split_whitespace().map(str::to_owned).collect();
    let [proxy, family, from, to, from_port, to_port, hello] = &words[..] else { panic!("{words:?}") };
    assert_eq!([proxy, family, from, to, hello], ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1", "hello"]);
    assert_eq!(*to_port, server.address().port().to_string());
    let seen = server.peers().last().map(|peer| peer.port().to_string());
    assert_eq!(Some(from_port), seen.as_ref(), "the ends of the connection that the server has");
    pen.control("server 0 proxy v2-ssl");
    assert_eq!(through().as_bytes()[12..16], [0x20, 0, 0, 0], "LOCAL: there is no more to tell");
    pen.control("server 0 proxy v2");
    let reply = through().into_bytes();
    assert_eq!(parse(&reply), Ok(Some(Header { endpoints: None, length: 16 })));
    assert_eq!((reply[12], &reply[16..]), (0x20, &b"hello\n"[..]), "LOCAL");
}

#[test]
fn between_unix_sockets_nobody_has_an_address() {
    let server = UnixBackend::echo();
    let start = Pen::before([server.path().display()]).command("server 0 proxy v1");
    let path = start.path("listener");
    let _pen = start.listen(path.display()).start();
    let said = converse(UnixStream::connect(&path).unwrap(), b"hello");
    assert_eq!(said, "PROXY UNKNOWN\r\nhello");
}

#[test]
fn servers_on_unix_sockets_get_it_too() {
    let server = UnixBackend::echo();
    let pen = Pen::before([server.path().display()]).command("server 0 proxy v1").start();
    let mut client = pen.connect();
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert_eq!(client.exchange("hello"), "hello");
}

#[test]
fn a_server_that_speaks_first_need_not_wait_for_the_client() {
    let server = Backend::serving(|mut stream| {
        let header = read_line(&stream).unwrap_or_default();
        // The client finds fault if it does not come.
        let _ = stream.write_all(format!("220 {header}\n").as_bytes());
        echo(stream);
    });
    let pen = Pen::before([&server]).command("server 0 proxy v1").start();
    let mut client = pen.connect();
    assert_eq!(client.line(), format!("220 {}", v1(client.local(), pen.address)));
    assert_eq!(client.exchange("hello"), "hello");
}

#[test]
fn it_travels_together_with_the_first_words_that_wait_already() {
    let server = Backend::serving(|mut stream| {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap_or(0);
        // One read: what came in one packet.
        let _ = stream.write_all(&buffer[..count]);
    });
    let pen = Pen::before([&server]).command("server 0 proxy v1").start();
    pen.freeze();
    let mut client = pen.connect();
    client.send("hello\n");
    pen.signal(SIGCONT);
    let text = String::from_utf8(client.rest()).unwrap();
    assert_eq!(text, format!("{}\nhello\n", v1(client.local(), pen.address)));
}

#[test]
fn a_client_that_ends_at_once_is_announced_all_the_same() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("server 0 proxy v1").start();
    for words in ["", "last words"] {
        let mut client = pen.connect();
        client.send(words);
        client.end();
        let expected = format!("{}\n{words}", v1(client.local(), pen.address));
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
    }
}

#[test]
fn after_a_failover_the_next_server_gets_the_header_that_it_wants() {
    let refusing = Backend::refusing("A");
    let server = Backend::serving(echo);
    for (first, second) in [("v1", "v2"), ("v2", "v1"), ("v2", "none"), ("none", "v1"), ("v1", "v1")] {
        let pen = Pen::before([&refusing, &server])
            .options("-b 0")
            .command("prio")
            .command("server 1 prio 1")
            .command(format!("server 0 proxy {first}"))
            .command(format!("server 1 proxy {second}"))
            .start();
        let mut client = pen.connect();
        client.send("hello\n");
        if second != "none" {
            let endpoints = Endpoints::new(client.local(), pen.address);
            assert_eq!(read_header(&mut client).endpoints, Some(endpoints), "{first}, {second}");
        }
        assert_eq!(client.line(), "hello", "{first}, {second}");
        assert_eq!(client.exchange("again"), "again");
    }
}

#[test]
fn after_a_connect_that_timed_out_nothing_is_lost_and_nothing_comes_twice() {
    let (unresponsive, server) = (Unresponsive::new(), Backend::serving(echo));
    for words in ["hello\n", ""] {
        let pen = Pen::before([unresponsive.to_string(), server.to_string()])
            .options("-t 1")
            .command("prio")
            .command("server 0 proxy v1")
            .command("server 1 prio 1 proxy v2")
            .start();
        let mut client = pen.connect();
        client.send(words);
        let endpoints = Endpoints::new(client.local(), pen.address);
        assert_eq!(read_header(&mut client).endpoints, Some(endpoints));
        assert!(words.is_empty() || client.line() == "hello");
        assert_eq!(client.exchange("again"), "again");
    }
}

/// Servers that wait for the header greet, refuse, or spend a thread on a connection that is kept waiting.
#[test]
fn servers_that_get_a_header_get_no_idlers() {
    let [greeted, plain] = [Backend::serving(echo), Backend::serving(echo)];
    let pen =
        alone(Pen::before([&greeted, &plain]), 2).options("-O prio").command("server 0 proxy v1").start();
    let reply = "Idlers: 2/2\nnone to servers with proxy: 0\n";
    eventually("the other to have them", || pen.control("idlers"), |got| got == reply);
    eventually("the other server to agree", || plain.open(), |open| *open == 2);
    assert_eq!(greeted.accepted(), 0);
    assert_eq!(pen.control("idlers 4").lines().last(), Some("none to servers with proxy: 0"));
    let mut client = pen.connect();
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert_eq!(client.exchange("hello"), "hello");
    assert_eq!(total(&pen, "idlers_used"), 0);
    assert_eq!(pen.control("idlers 0"), "Idlers: 0/0\n");
}

#[test]
fn idlers_of_a_server_that_is_to_get_a_header_are_given_up() {
    let server = Backend::serving(echo);
    let pen = alone(Pen::before([&server]), 2).start();
    await_idlers(&pen, 2, 2);
    pen.control("server 0 proxy v2");
    let mut client = pen.connect();
    let endpoints = Endpoints::new(client.local(), pen.address);
    assert_eq!(read_header(&mut client).endpoints, Some(endpoints));
    assert_eq!(client.exchange("hello"), "hello");
    assert_eq!(total(&pen, "idlers_used"), 0, "the client has a connection of its own");
    eventually("the idlers to be closed", || server.open(), |open| *open == 1);
}

#[test]
fn it_stands_before_a_rewritten_head() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).options("-H").command("server 0 proxy v1").start();
    let mut client = pen.connect_from("127.0.0.7");
    client.send("GET / HTTP/1.1\r\nHo");
    let header = client.line();
    client.send("st: a\r\n\r\n");
    client.end();
    assert_eq!(header, v1(client.local(), pen.address));
    let forwarded = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.7\r\n\r\n";
    assert_eq!(
        String::from_utf8(client.rest()).unwrap(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{forwarded}")
    );
}

#[test]
fn with_peek_it_comes_before_what_was_read_already() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("peek").command("server 0 proxy v1").start();
    let mut client = pen.connect();
    client.send("hello\n");
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert_eq!(client.line(), "hello");
}

#[test]
fn it_can_be_switched_while_running() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.connect().exchange("hello"), "hello");
    assert_eq!(pen.control("server 0 proxy v1"), "");
    let mut client = pen.connect();
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert!(pen.control("servers json").contains(r#""proxy":"v1""#));
    pen.control("write saved");
    assert!(
        pen.text("saved").lines().any(|line| line.starts_with("server 0 ") && line.ends_with(" proxy v1"))
    );
    pen.control("server 0 proxy none");
    assert_eq!(pen.connect().exchange("hello"), "hello");
}

#[test]
fn a_long_transfer_stays_exact_behind_it() {
    const BYTES: usize = 3_000_000;
    let server = Backend::serving(|mut stream| {
        let header = read_line(&stream).unwrap_or_default();
        let count = pattern::read_to_end(&mut stream);
        // The client finds fault if it does not come.
        let _ = stream.write_all(format!("{header}\n{count}\n").as_bytes());
    });
    let pen = Pen::before([&server]).command("server 0 proxy v1").start();
    let mut client = pen.connect();
    pattern::write(&mut client.stream, BYTES).unwrap();
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.line(), v1(client.local(), pen.address));
    assert_eq!(client.line(), BYTES.to_string());
    let header_bytes = v1(client.local(), pen.address).len() + 1;
    let up_bytes = || total(&pen, "up_bytes");
    eventually("the bytes to be counted, those of the header too", up_bytes, |count| {
        *count == (BYTES + header_bytes) as u64
    });
}
