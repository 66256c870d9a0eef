//! Every command: what it answers, and that none of them ends pen.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use pen_proto::commands::ROWS;

/// Command and its whole reply, in this order on a pen started without options.
const REPLIES: &[(&str, &str)] = &[
    ("abort_on_error", ""),
    ("no abort_on_error", ""),
    ("acl 1 permit 10.0.0.0 255.0.0.0", ""),
    ("acl 1 deny 2001:db8::/32", ""),
    ("no acl 1", ""),
    ("ascii", ""),
    ("no ascii", ""),
    ("blacklist", "30\n"),
    ("blacklist 31", "31\n"),
    ("blacklist", "31\n"),
    ("client_acl", "0\n"),
    ("client_acl 3", "3\n"),
    ("client_acl 0", "0\n"),
    ("clients_max", "2048\n"),
    ("clients_max 3000", "3000\n"),
    ("clients_max 1", "3000\n"),
    ("control_acl", "0\n"),
    ("control_acl 2", "2\n"),
    ("debug", "0\n"),
    ("debug 1", "1\n"),
    ("debug 0", "0\n"),
    ("no dummy", ""),
    ("exit", "Exit is not enabled; restart with -X flag\n"),
    ("hash", ""),
    ("no hash", ""),
    ("http", ""),
    ("no http", ""),
    ("idle_timeout", "Idle timeout: 0 seconds\n"),
    ("idle_timeout 60", "Idle timeout: 60 seconds\n"),
    ("idle_timeout 0", "Idle timeout: 0 seconds\n"),
    ("keepalive", ""),
    ("no keepalive", ""),
    ("log", ""),
    ("no log", ""),
    ("mode", "no hash no roundrobin no stubborn no weight no prio\n"),
    ("prio", ""),
    ("weight", ""),
    ("mode", "no hash no roundrobin no stubborn weight prio\n"),
    ("no prio", ""),
    ("no weight", ""),
    ("pending_max 50", ""),
    ("recent", ""),
    ("recent 10", ""),
    ("roundrobin", ""),
    ("no roundrobin", ""),
    ("socket 0", "Socket 0 belongs to connection -1\n"),
    ("source 127.0.0.1", ""),
    ("no source", ""),
    ("stubborn", ""),
    ("no stubborn", ""),
    ("tcp_fastclose up", ""),
    ("tcp_fastclose off", ""),
    ("tcp_fastclose", "off\n"),
    ("tcp_nodelay", ""),
    ("no tcp_nodelay", ""),
    ("timeout", "3\n"),
    ("timeout 4", "4\n"),
    ("tracking", "0\n"),
    ("tracking 5", "5\n"),
    ("tracking 0", "0\n"),
    ("web_stats", ""),
    ("no web_stats", ""),
    ("# remark", ""),
];

/// Nonsense, each of which is an error.
const NONSENSE: &[&str] = &[
    "bogus",
    "Blacklist",
    "acl",
    "acl 10 permit 10.0.0.1",
    "acl 1 allow 10.0.0.1",
    "acl 1 permit nonsense",
    "acl 1 permit 2001:db8::/129",
    "blacklist x",
    "blacklist -1",
    "blacklist 1 2",
    "client_acl 10",
    "clients_max 0",
    "close",
    "close x",
    "conn_max -1",
    "connection x",
    "debug x",
    "dsr_if lo",
    "include",
    "include /nonexistent/file",
    "listen 99999",
    "listen 0.0.0.0:0x50",
    "log /nonexistent/directory/log",
    "log_format xml",
    "no acl",
    "no acl 10",
    "no bogus",
    "pending_max 0",
    "recent x",
    "server",
    "server x max 1",
    "server 0 max x",
    "server 0 port 99999",
    "server 0 colour green",
    "server 0 acl 10",
    "server 0 max",
    "server 999999999 max 1",
    "source",
    "source nonsense",
    "ssl_alpn ,",
    "ssl_ca_file /nonexistent/file /nonexistent/file",
    "ssl_ciphers RC4",
    "ssl_ciphers nonsense",
    "ssl_client_certificate maybe",
    "ssl_client_renegotiation_interval",
    "ssl_handshake_timeout 0",
    "ssl_option",
    "ssl_option no_tlsv1.9",
    "ssl_certificate /nonexistent/file",
    "tarpit_acl 10",
    "tcp_fastclose sideways",
    "threads 3",
    "timeout 0",
    "timeout x",
    "tracking -1",
    "write /nonexistent/directory/file",
];

#[test]
fn replies_are_pens() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    for (command, reply) in REPLIES {
        assert_eq!(pen.control(command), *reply, "{command}");
    }
    assert_eq!(pen.control("listen"), format!("{}\n", pen.address));
    assert_eq!(pen.control("control"), format!("{}\n", pen.path("control").display()));
    assert_eq!(pen.control("pid"), format!("{}\n", pen.pid()));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn nonsense_is_an_error_and_changes_nothing() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let servers = pen.control("servers");
    for command in NONSENSE {
        let reply = pen.control(command);
        assert!(reply.starts_with("error: ") && reply.ends_with('\n'), "{command}: {reply:?}");
        assert!(reply.len() > "error: \n".len(), "{command}: no reason given");
    }
    assert_eq!(pen.control("servers"), servers);
    assert_eq!(pen.control("timeout"), "3\n");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn no_word_of_the_language_ends_pen_however_it_is_used() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    // What moves the listener, takes the servers away, ends pen or goes on for ever has tests of its own.
    let others = ["apply", "exit", "listen", "session"];
    let words = ROWS.iter().map(|row| row.word).filter(|word| !others.contains(word));
    let long = "9".repeat(400);
    for word in words {
        for form in
            ["W", "no W", "W 0", "W -1", "W x", "W 0 0 0 0 0 0", "no W 0", "W LONG", "W LONG LONG", "help W"]
        {
            let command = form.replace('W', word).replace("LONG", &long);
            let reply = pen.control(&command);
            assert!(reply.is_empty() || reply.ends_with('\n'), "{command:.80}: {reply:?}");
        }
    }
    pen.control("no dummy");
    pen.control("no peek");
    pen.control("no source");
    pen.control("no transparent");
    pen.control("client_acl 9");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn servers_and_connections_are_listed_in_pens_words() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("{server}:4:5:6:7")]).start();
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    assert_eq!(client.exchange("hello"), "hello");
    let head = format!("0 addr 127.0.0.1 port {} conn 1 max 4 hard 5 weight 6 prio 7 sx ", server.port());
    let servers = pen.control("servers");
    assert!(servers.starts_with(&head) && servers.lines().count() == 1, "{servers}");
    let connections: serde_json::Value = serde_json::from_str(&pen.control("connections json")).unwrap();
    let number = connections[0]["number"].as_u64().expect("a number");
    let lines = pen.control(&format!("connection {number}"));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], format!("Connection {number}:"));
    assert_eq!(lines[1], "state = 2");
    assert!(lines[2].starts_with("downfd = ") && lines[2].contains(", upfd = "), "{lines:?}");
    assert_eq!(lines[3..], ["client = 0, server = 0", "pend = 0"]);
    let descriptor = &lines[2]["downfd = ".len()..lines[2].find(',').unwrap()];
    let owner = format!("Socket {descriptor} belongs to connection {number}\n");
    assert_eq!(pen.control(&format!("socket {descriptor}")), owner);
    let closing = format!("Forcibly closing connection {number}\n");
    assert_eq!(pen.control(&format!("close {number}")), closing);
    client.ending();
}

#[test]
fn a_server_can_be_added_changed_and_left_alone() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a]).options("-r").start();
    assert_eq!(pen.control(&format!("server 2 address 127.0.0.1 port {}", b.port())), "");
    let names = pen.asks(8);
    assert!(
        names.contains('A') && names.contains('B') && !names.contains('-'),
        "{names}: a gap serves nobody"
    );
    assert_eq!(pen.control(&format!("server 0 port {} max 9", b.port())), "");
    assert_eq!(pen.asks(4), "BBBB");
    assert!(pen.control("servers").contains(" max 9 "));
}

#[test]
fn listen_moves_the_listener_and_keeps_connections() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    let mut old = pen.connect();
    old.line();
    let port = crate::common::ports::free_port();
    assert_eq!(pen.control(&format!("listen 127.0.0.1:{port}")), format!("127.0.0.1:{port}\n"));
    assert_eq!(old.exchange("still"), "still");
    let is_refused = || std::net::TcpStream::connect(pen.address).is_err();
    eventually("the old address to be closed", is_refused, |refused| *refused);
    let mut new = crate::common::client::Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(new.line(), "A");
}

#[test]
fn a_listen_address_in_use_changes_nothing() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert!(pen.control(&format!("listen {server}")).starts_with("error: "));
    assert_eq!(pen.control("listen"), format!("{}\n", pen.address));
    assert_eq!(pen.ask(), "A");
}

#[test]
fn include_executes_a_file_as_a_whole_or_not_at_all() {
    let pen =
        Pen::before([] as [&str; 0]).file("good", "blacklist 7\nhash\n").file("bad", "blacklist 8\nbogus\n");
    let pen = pen.start();
    assert!(!pen.control("include good").starts_with("error: "));
    assert_eq!(pen.control("blacklist"), "7\n");
    let reply = pen.control("include bad");
    assert!(reply.starts_with("error: ") && reply.contains("bad:2"), "{reply}");
    assert_eq!(pen.control("blacklist"), "7\n");
}

#[test]
fn help_knows_every_command() {
    let pen = Pen::before([] as [&str; 0]).start();
    let help = pen.control("help");
    for (command, _) in REPLIES.iter().filter(|(command, _)| !command.starts_with(['#', 'n'])) {
        let word = command.split(' ').next().unwrap();
        assert!(help.contains(word), "{word} is not in help");
        assert!(pen.control(&format!("help {word}")).contains(word), "help {word}");
    }
    assert!(pen.control("help bogus").starts_with("error: "));
    assert!(pen.control("version").contains(env!("CARGO_PKG_VERSION")));
}
