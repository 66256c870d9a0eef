//! Written forms of addresses: what is read, what is refused, and what is written back.

use super::*;
use proptest::prelude::*;

fn listen(text: &str) -> (String, Option<Port>) {
    let address = ListenAddr::parse(text).expect(text);
    assert_eq!(address.text, text);
    (address.host.to_string(), address.port)
}

#[test]
fn a_listen_address_has_many_forms() {
    let cases = [
        ("8080", "0.0.0.0", 8080),
        (":8080", "0.0.0.0", 8080),
        ("*:8080", "0.0.0.0", 8080),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("::1:8080", "::1", 8080),
        (":::8080", "::", 8080),
        ("[::1]:8080", "::1", 8080),
        ("[fe80::1%eth0]:8080", "fe80::1%eth0", 8080),
        ("www.example.org:8080", "www.example.org", 8080),
    ];
    for (text, host, port) in cases {
        assert_eq!(listen(text), (host.to_owned(), Some(Port::Number(port))), "{text}");
    }
    assert_eq!(listen("pop3"), ("0.0.0.0".to_owned(), Some(Port::Service("pop3".to_owned()))));
    assert_eq!(listen("/run/pen.sock"), ("/run/pen.sock".to_owned(), None));
    for text in ["192.0.2.10", "192.0.2.10:0"] {
        assert_eq!(listen(text), ("192.0.2.10".to_owned(), None), "{text}");
    }
    for text in ["[2001:db8::10]", "[2001:db8::10]:0"] {
        assert_eq!(listen(text), ("2001:db8::10".to_owned(), None), "{text}");
    }
}

#[test]
fn a_wrong_listen_address_says_what_was_wanted() {
    let cases = [
        ("8081x", r#"port: want 1..65535 or a service name, got "8081x""#),
        ("", r#"port: want 1..65535 or a service name, got """#),
        ("0", r#"port: want 1..65535 or a service name, got "0""#),
        ("127.0.0.1:99999", r#"port: want 1..65535 or a service name, got "99999""#),
        ("+80", r#"port: want 1..65535 or a service name, got "+80""#),
        ("[::]", r#"port: want 1..65535 or a service name, got """#),
        ("0.0.0.0", r#"port: want 1..65535 or a service name, got """#),
        ("www:0", r#"port: want 1..65535 or a service name, got "0""#),
        ("::8080", r#"address: want an address, a host name or a Unix socket path, got ":""#),
        ("-x:80", r#"address: want an address, a host name or a Unix socket path, got "-x""#),
        ("/a b", r#"address: want a Unix socket path without blanks and control characters, got "/a b""#),
    ];
    for (text, message) in cases {
        assert_eq!(ListenAddr::parse(text).expect_err(text), message);
    }
}

#[test]
fn a_unix_path_must_fit_the_kernel() {
    let longest = format!("/{}", "x".repeat(UNIX_PATH_BYTES_MAX - 1));
    assert_eq!(Host::parse(&longest), Ok(Host::Unix(longest.clone())));
    let message = Host::parse(&format!("{longest}x")).expect_err("108 bytes");
    assert!(message.starts_with("address: want a Unix socket path of at most 107 bytes, got 108 bytes: "));
}

#[test]
fn server_fields_may_be_left_out() {
    let full = ServerSpec {
        host: Host::Name("www".to_owned()),
        port: Some(Port::Number(80)),
        max: 10,
        hard: 12,
        weight: Some(Weight::whole(3)),
        prio: 1,
    };
    let with = |change: fn(&mut ServerSpec)| {
        let mut spec = full.clone();
        change(&mut spec);
        spec
    };
    let cases = [
        ("www:80:10:12:3:1", full.clone()),
        ("[www]:80:10:12:3:1", full.clone()),
        ("www::10:12:3:1", with(|spec| spec.port = None)),
        ("www:80:10:12::1", with(|spec| spec.weight = None)),
        ("www:80:10:12:0:1", with(|spec| spec.weight = Some(Weight::ZERO))),
        ("www:80:10:12:3", with(|spec| spec.prio = 0)),
        ("www", ServerSpec::at(Host::Name("www".to_owned()))),
        ("[::1]", ServerSpec::at(Host::Ip(Ipv6Addr::LOCALHOST.into()))),
        ("/run/x.sock", ServerSpec::at(Host::Unix("/run/x.sock".to_owned()))),
        ("[/run/a:b]", ServerSpec::at(Host::Unix("/run/a:b".to_owned()))),
        ("/run/x.sock:0", ServerSpec::at(Host::Unix("/run/x.sock".to_owned()))),
        ("/run/x:0:5", ServerSpec { max: 5, ..ServerSpec::at(Host::Unix("/run/x".to_owned())) }),
        ("srv:_imap._tcp.example.org", ServerSpec::at(Host::Name("srv:_imap._tcp.example.org".to_owned()))),
        (
            "srv:_imap._tcp.example.org::5",
            ServerSpec { max: 5, ..ServerSpec::at(Host::Name("srv:_imap._tcp.example.org".to_owned())) },
        ),
        ("/run/x::5", ServerSpec { max: 5, ..ServerSpec::at(Host::Unix("/run/x".to_owned())) }),
    ];
    for (text, spec) in cases {
        assert_eq!(ServerSpec::parse(text), Ok(spec.clone()), "{text}");
        assert_eq!(ServerSpec::parse(&spec.to_string()), Ok(spec), "{text}");
    }
}

#[test]
fn what_is_written_overwrites_and_the_rest_stays() {
    let before = ServerSpec::parse("old:80:10:12:3:1").expect("a server");
    for (text, expected) in [
        ("www", "www:80:10:12:3:1"),
        ("www:81", "www:81:10:12:3:1"),
        ("www::0::0", "www:80:0:12:0:1"),
        ("[::1]:::::9", "[::1]:80:10:12:3:9"),
        ("/run/x:0:5", "/run/x:80:5:12:3:1"),
    ] {
        assert_eq!(before.overwritten(text), ServerSpec::parse(expected), "{text}");
    }
    assert!(before.overwritten("www:80:x").is_err());
}

#[test]
fn a_wrong_server_names_the_field() {
    let cases = [
        ("www:80:x", r#"max: want 0..2147483647, got "x""#),
        ("www:80:-1", r#"max: want 0..2147483647, got "-1""#),
        ("www:80:1:1:70000", r#"weight: want 0..65535, got "70000""#),
        ("www:80:1:1:1:1:1", r#"nothing may follow the prio, got "1""#),
        ("www:0", r#"port: want 1..65535 or a service name, got "0""#),
        ("www:80x", r#"port: want 1..65535 or a service name, got "80x""#),
        ("srv:_x y", r#"address: want srv:_SERVICE._PROTOCOL.DOMAIN, got "srv:_x y""#),
        ("[::1", r#"want a ] after the address, got "[::1""#),
        ("[::1]80", r#"want a : after the ], got "80""#),
        ("::1", "an IPv6 address needs brackets here: [::1], [::1]:PORT or [::1]:PORT:MAX"),
        ("", r#"address: want an address, a host name or a Unix socket path, got """#),
    ];
    for (text, message) in cases {
        assert_eq!(ServerSpec::parse(text).expect_err(text), message);
    }
}

#[test]
fn quoting_disarms_and_cuts() {
    assert_eq!(quoted("a\"\\\u{1b}\u{202e}é"), r#""a\"\\\x1b\u{202e}é""#);
    let long = quoted(&"x".repeat(1000));
    assert_eq!(long.len(), QUOTED_CHARS_MAX + "\"...\"".len());
}

#[test]
fn an_address_with_a_zone_is_no_name() {
    for (text, name) in [("www", Some("www")), ("fe80::1%eth0", None), ("::1", None), ("/run/x", None)] {
        assert_eq!(Host::parse(text).unwrap().name(), name);
    }
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-f]{1,4}",
        "[a-z0-9._]{1,12}",
        "/[a-z:]{0,9}",
        any::<Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<Ipv6Addr>().prop_map(|ip| ip.to_string()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_parses_to_the_same_server(
        host in hosts(), port in "|[1-9][0-9]{0,3}|[a-z]{1,5}", rest in "(:[0-9]{0,4}){0,4}",
    ) {
        let spec = ServerSpec::parse(&format!("[{host}]:{port}{rest}")).expect("a valid server");
        prop_assert_eq!(ServerSpec::parse(&spec.to_string()), Ok(spec));
    }

    #[test]
    fn a_listener_has_the_host_and_the_port_that_were_written(host in hosts(), port in "[1-9][0-9]{0,3}|[a-z]{1,5}") {
        let is_path = host.contains('/');
        let text = if is_path { host.clone() } else { format!("{host}:{port}") };
        let address = ListenAddr::parse(&text).expect("a valid listener");
        prop_assert_eq!(&address.host, &Host::parse(&host).expect("a valid host"));
        prop_assert_eq!(address.port.map(|port| port.to_string()), (!is_path).then_some(port));
        prop_assert_eq!(address.text, text);
    }

    #[test]
    fn a_host_or_port_that_parses_is_written_back(text in "\\PC{0,20}") {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
        }
        if let Ok(port) = Port::parse(&text) {
            prop_assert_eq!(Port::parse(&port.to_string()), Ok(port));
        }
    }

    #[test]
    fn nothing_makes_the_parsers_panic(text in any::<String>()) {
        prop_assert!(quoted(&text).len() >= 2);
        if let Err(message) = ListenAddr::parse(&text) {
            prop_assert!(!message.is_empty());
        }
        if let Err(message) = ServerSpec::parse(&text) {
            prop_assert!(!message.is_empty());
        }
    }

    #[test]
    fn a_client_key_names_its_client(ip in any::<Ipv4Addr>()) {
        let client = ClientAddr::Ip(ip.into());
        prop_assert_eq!(ClientAddr::from_key(client.key()), client);
    }
}
