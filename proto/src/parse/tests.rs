//! Tests of the line parser: one table of lines that parse, one of lines that do not, and properties over all lines.

use super::*;
use crate::addr::{Host, ListenAddr, Port, ServerSpec};
use crate::commands::{
    AclEntry, AclMatch, Action, Address, AddressValue, By, Country, Entries, Entry, FastClose, Flag,
    HttpMode, Listing, LogFormat, LogTarget, ProxyHeader, Question, ServerChange, ServerDeed, ServerTls,
    SniNames, Text, TlsOption, row_for_letter, row_for_long,
};
use crate::names::{Name, ServerRef};
use crate::network::Downstream;
use crate::weight::Weight;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn command(line: &str) -> Command {
    parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect("not a comment")
}

fn error(line: &str) -> String {
    parse_line(line).expect_err(line).to_string()
}

fn server_of(changes: &[ServerChange]) -> Command {
    Command::Server { server: ServerRef::Number(3), changes: changes.to_vec() }
}

fn deed_of(deed: ServerDeed) -> Command {
    Command::ServerDeed { server: Some(ServerRef::Number(3)), deed }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect(text)
}

fn downstream(text: &str) -> Downstream {
    Downstream::parse(text).expect(text)
}

fn text(text: Text, value: &str) -> Command {
    Command::Set(Assignment::Text(text, value.to_owned()))
}

fn address(address: Address, value: AddressValue) -> Command {
    Command::Set(Assignment::Address(address, value))
}

fn country(by: By, code: &str) -> AclMatch {
    AclMatch::Country(by, Country::parse(code).expect(code))
}

fn acl_of(permit: bool, what: AclMatch) -> Command {
    Command::Add(Entry::Acl(1, AclEntry { permit, what }))
}

#[test]
fn lines_become_commands() {
    let ten = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let host = "10.0.0.1".parse().expect("an address");
    let cases = [
        ("hash", Command::flag(Flag::Hash, true)),
        ("no hash", Command::flag(Flag::Hash, false)),
        (" \tno\t hash \r\n", Command::flag(Flag::Hash, false)),
        ("hash # by address", Command::flag(Flag::Hash, true)),
        ("blacklist", Command::Show(Setting::Number(Number::Blacklist))),
        ("blacklist 007", Command::number(Number::Blacklist, 7)),
        ("conn_max 0", Command::number(Number::ConnMax, 0)),
        ("acl 1 permit 10.0.0.0/8", acl_of(true, AclMatch::V4 { address: ten, mask: 0xff00_0000 })),
        ("acl 1 permit 0.0.0.0/0", acl_of(true, AclMatch::V4 { address: 0, mask: 0 })),
        ("acl 1 deny 10.0.0.0", acl_of(false, AclMatch::V4 { address: ten, mask: u32::MAX })),
        ("acl 1 deny 10.0.0.0 255.0.255.0", acl_of(false, AclMatch::V4 { address: ten, mask: 0xff00_ff00 })),
        ("acl 1 deny ::1", acl_of(false, AclMatch::V6 { address: 1, prefix: 128 })),
        ("acl 1 permit ::/0", acl_of(true, AclMatch::V6 { address: 0, prefix: 0 })),
        ("acl 1 permit ::ffff:10.0.0.0/104", acl_of(true, AclMatch::V4 { address: ten, mask: 0xff00_0000 })),
        ("acl 1 permit ::FFFF:a09:9/104", acl_of(true, AclMatch::V4 { address: ten, mask: 0xff00_0000 })),
        ("acl 1 deny ::ffff:10.0.0.0", acl_of(false, AclMatch::V4 { address: ten, mask: u32::MAX })),
        ("acl 1 deny ::ffff:0:0/96", acl_of(false, AclMatch::V4 { address: 0, mask: 0 })),
        ("acl 1 permit country SE", acl_of(true, country(By::Location, "SE"))),
        ("acl 1 deny country a1", acl_of(false, country(By::Location, "A1"))),
        ("acl 1 deny registered_country us", acl_of(false, country(By::Registration, "US"))),
        ("no acl 9", Command::Clear(Entries::Acl(9))),
        ("geoip", Command::Show(Setting::Text(Text::Geoip))),
        ("geoip a.mmdb", text(Text::Geoip, "a.mmdb")),
        ("no geoip", Command::Unset(Setting::Text(Text::Geoip))),
        ("clients", Command::Ask(Question::Clients(Listing::Text))),
        ("servers json", Command::Ask(Question::Servers(Listing::Json))),
        ("close 4294967295", Command::Do(Action::Close(u32::MAX))),
        ("connection", Command::Ask(Question::Connection(0))),
        ("socket 5", Command::Ask(Question::Socket(5))),
        ("recent", Command::Ask(Question::Recent(300))),
        ("recent 60", Command::Ask(Question::Recent(60))),
        ("help", Command::Ask(Question::Help(None))),
        ("help -b", Command::Ask(Question::Help(Some("-b".to_owned())))),
        ("http", Command::choice(HttpMode::Add)),
        ("http append", Command::choice(HttpMode::Append)),
        ("http replace", Command::choice(HttpMode::Replace)),
        ("http replace h2", Command::choice(HttpMode::ReplaceH2)),
        ("no http", Command::choice(HttpMode::Off)),
        ("proxy_accept", Command::List(Entries::ProxyAccept)),
        ("proxy_accept 10.0.0.0/8", Command::Add(Entry::ProxyAccept(downstream("10.0.0.0/8")))),
        ("no proxy_accept unix", Command::Remove(Entry::ProxyAccept(Downstream::Unix))),
        ("no proxy_accept", Command::Clear(Entries::ProxyAccept)),
        ("server 3 proxy v2", server_of(&[ServerChange::Proxy(ProxyHeader::V2)])),
        ("server 3 proxy v2-ssl", server_of(&[ServerChange::Proxy(ProxyHeader::V2Ssl)])),
        ("include a.cfg", Command::Do(Action::Include("a.cfg".to_owned()))),
        ("listen", Command::Show(Setting::Address(Address::Listen))),
        (
            "listen :80",
            address(Address::Listen, AddressValue::Listen(ListenAddr::parse(":80").expect("a listener"))),
        ),
        ("log pen.log", address(Address::Log, AddressValue::Target(LogTarget::File("pen.log".to_owned())))),
        ("no log", Command::Unset(Setting::Address(Address::Log))),
        ("log_format json", Command::choice(LogFormat::Json)),
        ("tcp_fastclose both", Command::choice(FastClose::Both)),
        ("tcp_fastclose", Command::Show(Setting::Choice(Choice::TcpFastclose))),
        ("source 10.0.0.1", address(Address::Source, AddressValue::Ip(host))),
        ("no source", Command::Unset(Setting::Address(Address::Source))),
        ("dsr_if", Command::Show(Setting::Text(Text::DsrIf))),
        ("dsr_if eth0.7", text(Text::DsrIf, "eth0.7")),
        ("dsr_ip 10.0.0.1", Command::Explained("The address to serve is the listening address.")),
        ("tarpit_acl", Command::Show(Setting::Number(Number::TarpitAcl))),
        ("tarpit_acl 9", Command::number(Number::TarpitAcl, 9)),
        ("tarpit_acl -1", Command::number(Number::TarpitAcl, Number::NONE)),
        ("no tarpit_acl", Command::number(Number::TarpitAcl, Number::NONE)),
        ("web_stats a.html", text(Text::WebStats, "a.html")),
        (r#"web_stats "a b\x2ehtml""#, text(Text::WebStats, "a b.html")),
        (r##""web_stats" "#1" # comment"##, text(Text::WebStats, "#1")),
        ("no web_stats", Command::Unset(Setting::Text(Text::WebStats))),
        ("write", Command::Do(Action::Write(None))),
        ("epoll", Command::Explained("The operating system's best event interface is always used.")),
        ("no block", Command::Explained("Sockets never block, so there is nothing to switch.")),
        (
            "server 3 weight 0.25",
            server_of(&[ServerChange::Weight(Weight::parse("0.25").expect("a weight"))]),
        ),
        ("server 3 name web", server_of(&[ServerChange::Name(name("web"))])),
        (
            "server web~1 max 5",
            Command::Server {
                server: ServerRef::Name(name("web").generated(1)),
                changes: vec![ServerChange::Max(5)],
            },
        ),
        (
            "server add web=10.0.0.1:80:5 prio 3",
            Command::AddServer {
                name: Some(name("web")),
                spec: ServerSpec::parse("10.0.0.1:80:5").expect("a server"),
                changes: vec![ServerChange::Prio(3)],
            },
        ),
        ("server all reset", Command::ServerDeed { server: None, deed: ServerDeed::Reset }),
        ("server 3 enable", deed_of(ServerDeed::Enable)),
        ("server 3 disable", deed_of(ServerDeed::Disable)),
        ("server 3 drain", deed_of(ServerDeed::Drain(None))),
        ("server 3 drain 7", deed_of(ServerDeed::Drain(Some(7)))),
        ("server 3 remove", deed_of(ServerDeed::Remove { now: false })),
        ("server 3 remove now", deed_of(ServerDeed::Remove { now: true })),
        ("server 3 weight 5", server_of(&[ServerChange::Weight(Weight::whole(5))])),
        (
            "server 3 port http address 10.0.0.1 max 1 hard 2 prio 3 acl 9 blacklist 0 max 4",
            server_of(&[
                ServerChange::Port(Port::Service("http".to_owned())),
                ServerChange::Address(Host::Ip(host)),
                ServerChange::Max(1),
                ServerChange::Hard(2),
                ServerChange::Prio(3),
                ServerChange::Acl(9),
                ServerChange::Blacklist(0),
                ServerChange::Max(4),
            ]),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn wrong_lines_are_explained() {
    let cases = [
        ("blaklist", r#""blaklist": no such command; did you mean "blacklist"?"#),
        ("Weight 5", r#""Weight": no such command; did you mean "weight"?"#),
        ("xyzzy", r#""xyzzy": no such command"#),
        ("-F x", r#""-F": no such command"#),
        ("no", "no: want a command, got nothing"),
        ("no blaklist", r#""blaklist": no such command; did you mean "blacklist"?"#),
        ("no blacklist", "no blacklist: blacklist cannot be negated"),
        ("no acl", "no acl: want 0..9, got nothing"),
        ("no hash x", r#"no hash: nothing may follow here, got "x""#),
        ("hash on", r#"hash: nothing may follow here, got "on""#),
        ("blacklist 30 x y", r#"blacklist: nothing may follow here, got "x""#),
        ("blacklist x", r#"blacklist: want 0..1000000000 seconds, got "x""#),
        ("blacklist -1", r#"blacklist: want 0..1000000000 seconds, got "-1""#),
        ("timeout 0", r#"timeout: want 1..86400 seconds, got "0""#),
        ("clients_max 0", r#"clients_max: want 1..10000000 clients, got "0""#),
        ("client_acl 10", r#"client_acl: want 0..9, got "10""#),
        ("acl", "acl: want 0..9, got nothing"),
        ("acl 10 permit 1.2.3.4", r#"acl: want 0..9, got "10""#),
        ("acl 1", "acl 1: want permit or deny, got nothing"),
        ("acl 1 allow 1.2.3.4", r#"acl 1: want permit or deny, got "allow""#),
        ("acl 1 permit", "acl 1: want an address, got nothing"),
        ("acl 1 permit 1.2.3", r#"acl 1: want an IP address, got "1.2.3""#),
        ("acl 1 permit 1.2.3.4 24", r#"acl 1: want a mask such as 255.255.255.0, got "24""#),
        ("acl 1 permit 1.2.3.4/33", r#"acl 1: want 0..32 bits, got "33""#),
        ("acl 1 permit 10.1.2.3/8", "acl 1: 10.1.2.3/8 would match no address; want 10.0.0.0/8"),
        ("acl 1 permit 10.0.0.0/8 255.0.0.0", r#"acl 1: nothing may follow here, got "255.0.0.0""#),
        ("acl 1 permit ::/129", r#"acl 1: want 0..128 bits, got "129""#),
        ("acl 1 permit ::ffff:10.0.0.0/8", r#"acl 1: want 96..128 bits, got "8""#),
        ("acl 1 permit registered_country", "acl 1: want a country code of two letters, got nothing"),
        ("acl 1 permit :x:", r#"acl 1: want an IPv6 address, got ":x:""#),
        ("acl 1 permit country", "acl 1: want a country code of two letters, got nothing"),
        ("acl 1 permit country SWE", r#"acl 1: want a country code of two letters, got "SWE""#),
        ("acl 1 permit country 46", r#"acl 1: want a country code of two letters, got "46""#),
        ("acl 1 permit country SÉ", r#"acl 1: want a country code of two letters, got "SÉ""#),
        ("acl 1 permit country SE DE", r#"acl 1: nothing may follow here, got "DE""#),
        ("close", "close: want 0..4294967295, got nothing"),
        ("connections xml", r#"connections: want json, got "xml""#),
        ("help blaklist", r#""blaklist": no such command; did you mean "blacklist"?"#),
        ("include", "include: want a file name, got nothing"),
        ("listen 99999", r#"listen: port: want 1..65535 or a service name, got "99999""#),
        ("log_format xml", r#"log_format: want pen or json, got "xml""#),
        ("tcp_fastclose on", r#"tcp_fastclose: want up or down or both or off, got "on""#),
        ("dsr_if eth0/1", r#"dsr_if: want a network interface such as eth0, got "eth0/1""#),
        (
            "dsr_if 1234567890123456",
            r#"dsr_if: want a network interface such as eth0, got "1234567890123456""#,
        ),
        ("dsr_if eth0 eth1", r#"dsr_if: nothing may follow here, got "eth1""#),
        ("tarpit_acl 10", r#"tarpit_acl: want -1..9, got "10""#),
        ("tarpit_acl -2", r#"tarpit_acl: want -1..9, got "-2""#),
        ("source", "source: want an IP address, got nothing"),
        ("source localhost", r#"source: want an IP address, got "localhost""#),
        ("server", "server: want 0..4095 or a name, got nothing"),
        ("server -1 port 80", r#"server: want 0..4095 or a name, got "-1""#),
        ("server add", "server add: want HOST[:PORT] or NAME=HOST[:PORT], got nothing"),
        (
            "server add 1=::1",
            r#"server add: want a name, a letter and then letters, digits, -, _ or ., 63 at most, got "1""#,
        ),
        ("server add a=[::1]:0", r#"server add: port: want 1..65535 or a service name, got "0""#),
        (
            "server add ::1 prio x",
            "server add: an IPv6 address needs brackets here: [::1], [::1]:PORT or [::1]:PORT:MAX",
        ),
        ("server add [::1] prio x", r#"server add: prio: want 0..2147483647, got "x""#),
        ("server all", "server all: want enable or disable or reset, got nothing"),
        ("server all drain", r#"server all: want enable or disable or reset, got "drain""#),
        ("server web drain x", r#"server web drain: want 0..1000000000 seconds, got "x""#),
        ("server web remove later", r#"server web remove: want now, got "later""#),
        ("server web enable max 1", r#"server web enable: nothing may follow here, got "max""#),
        (
            "server web~1 name a~2",
            r#"server web~1: name: want a name, a letter and then letters, digits, -, _ or ., 63 at most, got "a~2""#,
        ),
        ("server 3 weight x", r#"server 3: weight: want 0..65535, got "x""#),
        ("server 3 weight", "server 3: weight: want 0..65535, got nothing"),
        ("server 3 port 0", r#"server 3: port: want 1..65535 or a service name, got "0""#),
        ("server 3 wieght 5", r#"server 3: "wieght": no such word; did you mean "weight"?"#),
        ("server 3 drian", r#"server 3: "drian": no such word; did you mean "drain"?"#),
        (
            "server 3",
            "server 3: want enable or disable or reset or drain or remove or acl or address or port or max or hard or blacklist or name or group or weight or prio or slow_start or tls or sni or proxy or role or warm_up or source or check_interval or check_timeout or check_extra or check_rise or check_fall or check_port or check or standby or maxload or load, got nothing",
        ),
        (
            "ssl_option",
            "ssl_option: want no_sslv2 or no_sslv3 or no_tlsv1 or no_tlsv1.1 or cipher_server_preference or no_ticket or no_tlsv1.2 or no_tlsv1.3, got nothing",
        ),
        (
            "ssl_client_renegotiation_interval",
            "ssl_client_renegotiation_interval: want 0..1000000000 seconds, got nothing",
        ),
        ("ssl_alpn h2,", r#"ssl_alpn: want protocols such as h2,http/1.1, got "h2,""#),
        (
            "ssl_client_certificate maybe",
            r#"ssl_client_certificate: want off or optional or required, got "maybe""#,
        ),
        ("ssl_handshake_timeout 0", r#"ssl_handshake_timeout: want 1..3600 seconds, got "0""#),
        ("server 3 tls", "server 3: tls: want verify or noverify or off, got nothing"),
        ("server 3 tls verify a/b", r#"server 3: tls: want a host name, got "a/b""#),
        (
            "server 3 sni ../x",
            r#"server 3: sni: want host names with commas between them, or any, got "../x""#,
        ),
        ("server 3 proxy", "server 3: proxy: want v1 or v2 or v2-ssl or none, got nothing"),
        ("server 3 proxy v3", r#"server 3: proxy: want v1 or v2 or v2-ssl or none, got "v3""#),
        ("http add", r#"http: want replace or append, got "add""#),
        ("no http replace", r#"no http: nothing may follow here, got "replace""#),
        ("proxy_accept 10.0.0.1/8", "proxy_accept: 10.0.0.1/8 would match no address; want 10.0.0.0/8"),
        ("no proxy_accept x", r#"no proxy_accept: want a network such as 10.0.0.0/8, got "x""#),
        ("proxy_timeout 0", r#"proxy_timeout: want 1..86400 seconds, got "0""#),
        ("idlers x", r#"idlers: want 0..65535 connections, got "x""#),
        (r#"log "a b"#, r#"want " at the end of a word in quotes, got "a b""#),
        (r#"log "a"b"#, r#"want a blank behind a word in quotes, got "b""#),
        (r#"log """#, r#"log: want a path without control characters, got """#),
        ("hash\nexit", r#""hash\nexit": no such command"#),
        ("hash \u{202e}", r#"hash: nothing may follow here, got "\u{202e}""#),
    ];
    for (line, message) in cases {
        assert_eq!(error(line), message, "{line}");
    }
}

#[test]
fn comments_and_empty_lines_are_nothing() {
    for line in ["", " \t ", "\n", "#", "# hash", " \t#hash"] {
        assert_eq!(parse_line(line), Ok(None), "{line:?}");
    }
}

#[test]
fn every_command_is_read_by_something() {
    for row in ROWS.iter().filter(|row| row.is_command()) {
        let word = row.word;
        match parse_line(word) {
            Ok(command) => assert!(command.is_some(), "{word}"),
            Err(error) => assert!(error.place.starts_with(word), "{word}: {error}"),
        }
        let negative = parse_line(&format!("no {word}"));
        let refused = negative.as_ref().is_err_and(|error| error.message.ends_with("cannot be negated"));
        assert_eq!(refused, !row.no, "no {word}: {negative:?}");
    }
}

#[test]
fn a_command_knows_its_row() {
    for row in ROWS.iter().filter(|row| row.is_command()) {
        let example = match row.word {
            "acl" => "acl 1 permit ::1",
            "close" => "close 1",
            "apply" => "apply x",
            "client_of" => "client_of [::1]:40000",
            "diff" => "diff x reverse",
            "group" => "group blue use",
            "include" => "include x",
            "server" => "server 1 max 1",
            "service" => "service add web",
            "source" => "source ::1",
            "ssl_client_renegotiation_interval" => "ssl_client_renegotiation_interval 60",
            "ssl_option" => "ssl_option no_tlsv1.2",
            word => word,
        };
        match parse_line(example) {
            Ok(Some(Command::Explained(_))) => {
                assert!(matches!(row.kind, Kind::Gone(_) | Kind::Idle { .. }));
            }
            Ok(Some(command)) => assert_eq!(command.row().expect("a row").word, row.word),
            other => panic!("{example}: {other:?}"),
        }
    }
}

#[test]
fn options_are_read_by_their_rows() {
    let option = |letter, argument| parse_option(row_for_letter(letter).expect("a row"), argument);
    assert_eq!(option('b', Some("5")), Ok(Command::number(Number::Blacklist, 5)));
    assert_eq!(option('r', None), Ok(Command::flag(Flag::Roundrobin, true)));
    assert_eq!(
        option('l', Some("./#1.log")),
        Ok(address(Address::Log, AddressValue::Target(LogTarget::File("./#1.log".to_owned()))))
    );
    assert_eq!(option('U', None), Ok(Command::flag(Flag::Udp, true)));
    assert!(matches!(option('S', Some("16")), Ok(Command::Explained(_))));
    assert_eq!(option('H', None), Ok(Command::choice(HttpMode::Add)));
    assert!(matches!(option('N', None), Ok(Command::Explained(_))));
    let message = |result: Parsed<Command>| result.expect_err("an error").to_string();
    assert_eq!(option('E', Some("a.pem")), Ok(text(Text::SslCertificate, "a.pem")));
    assert!(matches!(option('L', Some("tls1")), Ok(Command::Explained(_))));
    assert_eq!(
        message(option('L', Some("foo"))),
        r#"-L: protocol version "foo" not known; want ssl23 or ssl2 or ssl3 or tls1"#
    );
    assert_eq!(message(option('b', Some("x"))), r#"-b: want 0..1000000000 seconds, got "x""#);
    assert_eq!(message(option('b', Some("1 2"))), r#"-b: want 0..1000000000 seconds, got "1 2""#);
    assert_eq!(message(option('b', None)), "-b: want an argument, got nothing");
    assert_eq!(
        message(option('w', Some("a\nb"))),
        r#"-w: want a path without control characters, got "a\nb""#
    );
    assert_eq!(option('w', Some("a b")), Ok(text(Text::WebStats, "a b")));
    let threads = row_for_long("threads").expect("a row");
    assert_eq!(message(parse_option(threads, Some("257"))), r#"--threads: want 0..256 threads, got "257""#);
}

#[test]
fn a_long_line_is_read_once_and_its_error_is_short() {
    const LINE_BYTES: usize = 8 << 20;
    let word = "x".repeat(LINE_BYTES);
    assert!(error(&word).len() < 100);
    assert!(error(&format!("blacklist {word}")).len() < 120);
    assert!(error(&format!("server 0 address {word}")).len() < 160);
    assert!(error(&format!("log /{}\u{7}", "x".repeat(LINE_BYTES))).len() < 160);
    let unix = ServerChange::Address(Host::Unix("/run/x".into()));
    assert_eq!(command("server 3 address /run/x port 0"), server_of(&[unix]));
    assert!(error("server 0 address x port 0").contains("port"), "only a Unix socket has none");
    let pairs = format!("server 0{}", " max 1".repeat(100_000));
    assert!(matches!(command(&pairs), Command::Server { changes, .. } if changes.len() == 100_000));
}

const VALID: &[&str] = &[
    "acl 1 permit 10.0.0.0 255.0.0.0",
    "acl 2 deny 2001:db8::/32",
    "no acl 3",
    "blacklist 30",
    "listen [::1]:8080",
    "log 127.0.0.1:514",
    "server 3 address www port http max 1 hard 2 blacklist 3 weight 4 prio 5 acl 6",
    "source 127.0.0.1",
    "tcp_fastclose up",
    "no hash # comment",
];

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(line in any::<String>()) {
        if let Err(error) = parse_line(&line) {
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn almost_valid_lines_are_read_or_explained(
        index in 0..VALID.len(), at in any::<prop::sample::Index>(), length in 0usize..4, insert in "\\PC{0,3}|[ \t#\u{0}-\u{2}]",
    ) {
        let mut line: Vec<char> = VALID[index].chars().collect();
        let start = at.index(line.len());
        let end = (start + length).min(line.len());
        line.splice(start..end, insert.chars());
        let line: String = line.into_iter().collect();
        if let Err(error) = parse_line(&line) {
            prop_assert!(error.to_string().len() < 400 && !error.message.is_empty());
        }
    }

    #[test]
    fn server_changes_are_written_as_they_are_read(
        max in 0..=i32::MAX as u32, weight in 0u32..=65535, port in 1u16.., list in 0u8..=9,
    ) {
        let changes =
            [ServerChange::Max(max), ServerChange::Weight(Weight::whole(weight)), ServerChange::Port(Port::Number(port)), ServerChange::Acl(list)];
        let words: Vec<_> = changes.iter().map(ToString::to_string).collect();
        prop_assert_eq!(command(&format!("server 3 {}", words.join(" "))), server_of(&changes));
    }
}

#[test]
fn the_words_of_tls_are_read() {
    let read = |line: &str| parse_line(line).expect(line).expect("a command");
    assert_eq!(read("ssl_key"), Command::Show(Setting::Text(Text::SslKey)));
    assert_eq!(read("no ssl_key"), Command::Unset(Setting::Text(Text::SslKey)));
    assert_eq!(read("ssl_option no_tlsv1.2"), Command::Add(Entry::SslOption(TlsOption::NoTls12)));
    assert_eq!(read("no ssl_option no_tlsv1.2"), Command::Remove(Entry::SslOption(TlsOption::NoTls12)));
    assert!(matches!(read("ssl_option no_sslv3"), Command::Explained(_)));
    let server = |line: &str| match read(line) {
        Command::Server { changes, .. } => changes,
        other => panic!("{line}: {other:?}"),
    };
    let tls = |verify, name: Option<&str>| {
        ServerChange::Tls(ServerTls::On { verify, name: name.map(str::to_owned), certificate: None })
    };
    let showing = |name: Option<&str>, file: &str| {
        let (name, certificate) = (name.map(str::to_owned), Some(file.to_owned()));
        ServerChange::Tls(ServerTls::On { verify: true, name, certificate })
    };
    assert_eq!(server("server 1 tls verify"), [tls(true, None)]);
    assert_eq!(server("server 1 tls noverify Web.Test"), [tls(false, Some("web.test"))]);
    assert_eq!(server("server 1 tls verify max 3"), [tls(true, None), ServerChange::Max(3)]);
    assert_eq!(server("server 1 tls off"), [ServerChange::Tls(ServerTls::Off)]);
    assert_eq!(server("server 1 tls verify certificate max"), [showing(None, "max")]);
    assert_eq!(
        server("server 1 tls verify a.test certificate /etc/c.pem max 3"),
        [showing(Some("a.test"), "/etc/c.pem"), ServerChange::Max(3)]
    );
    assert_eq!(server("server 1 tls verify certificate."), [tls(true, Some("certificate"))]);
    for line in [
        "server 1 tls off certificate c.pem",
        "server 1 tls verify certificate",
        "server 1 tls certificate c.pem",
    ] {
        assert!(parse_line(line).is_err(), "{line}");
    }
    let names = SniNames(vec!["a.test".into(), "*.b.test".into()]);
    assert_eq!(server("server 1 sni A.test,*.b.test"), [ServerChange::Sni(names)]);
    assert_eq!(server("server 1 sni any"), [ServerChange::Sni(SniNames::default())]);
}
