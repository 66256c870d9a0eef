//! Tests of the configuration: replies, limits, servers that come in pieces, and saving.

use super::*;
use pen_proto::addr::{Host, Port, ServerSpec};
use pen_proto::commands::{Address, AddressValue, Entries, Kind, ProxyHeader, ROWS, Row, Text};
use pen_proto::parse::parse_line;
use pen_proto::weight::Weight;
use proptest::prelude::*;

fn apply(config: &mut Config, line: &str) -> Result<Applied, String> {
    let command = parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect("a command");
    config.apply(None, &command, 0)
}

fn reply(config: &mut Config, line: &str) -> String {
    match apply(config, line) {
        Ok(Applied::Reply(reply)) => reply,
        other => panic!("{line}: {other:?}"),
    }
}

/// `main`, made if need be.
fn main(config: &mut Config) -> &mut ServiceConfig {
    config.make_service(MAIN)
}

fn configured(lines: &[&str]) -> Config {
    let mut config = Config::default();
    for line in lines {
        reply(&mut config, line);
    }
    config
}

#[test]
fn defaults_come_from_the_table() {
    let settings = Settings::default();
    assert_eq!(settings.number(Number::Blacklist), 30);
    assert_eq!(settings.number(Number::Timeout), 3);
    assert_eq!(settings.number(Number::ClientsMax), 2048);
    assert_eq!(settings.number(Number::ConnMax), 0);
    assert!(settings.flag(Flag::TcpNodelay));
    assert!(!settings.flag(Flag::Hash));
}

#[test]
fn replies_are_those_of_the_original() {
    let cases = [
        ("blacklist", "30\n"),
        ("blacklist 7", "7\n"),
        ("blacklist", "7\n"),
        ("idle_timeout", "Idle timeout: 0 seconds\n"),
        ("idle_timeout 60", "Idle timeout: 60 seconds\n"),
        ("pending_max 5", ""),
        ("pending_max", "5\n"),
        ("client_acl 3", "3\n"),
        ("mode", "no hash no roundrobin no stubborn no weight no prio\n"),
        ("hash", ""),
        ("prio", ""),
        ("mode", "hash no roundrobin no stubborn no weight prio\n"),
        ("log", ""),
        ("log pen.log", "pen.log\n"),
        ("log 127.0.0.1:514", "127.0.0.1:514\n"),
        ("no log", ""),
        ("log", ""),
        ("web_stats a.html", "a.html\n"),
        ("web_stats", "a.html\n"),
        ("control", ""),
        ("listen ::1:80", "::1:80\n"),
        ("listen", "::1:80\n"),
        ("tcp_fastclose up", ""),
        ("tcp_fastclose", "up\n"),
        ("log_format json", "json\n"),
        ("source 127.0.0.9", ""),
        ("acl 1 permit ::1", ""),
        ("no acl 1", ""),
        ("acl 1 permit country SE", ""),
        ("geoip", ""),
        ("geoip a.mmdb", "a.mmdb\n"),
        ("geoip", "a.mmdb\n"),
        ("no geoip", ""),
        ("geoip", ""),
        ("epoll", "The operating system's best event interface is always used.\n"),
    ];
    let mut config = Config::default();
    for (line, expected) in cases {
        assert_eq!(reply(&mut config, line), expected, "{line}");
    }
}

#[test]
fn commands_about_the_running_pen_are_left_to_it() {
    for line in ["servers", "status json", "close 1", "pid", "exit", "write", "session", "help", "recent"] {
        let mut config = Config::default();
        assert_eq!(apply(&mut config, line), Ok(Applied::NotStored), "{line}");
        assert_eq!(config, Config::default(), "{line}");
    }
}

#[test]
fn how_many_idlers_there_are_only_the_running_pen_can_say() {
    let mut config = Config::default();
    assert_eq!(apply(&mut config, "idlers 5"), Ok(Applied::ReplyLater));
    assert_eq!(apply(&mut config, "idlers"), Ok(Applied::ReplyLater));
    assert_eq!(main(&mut config).number(Number::Idlers), 5);
}

#[test]
fn the_client_table_only_grows_once_it_exists() {
    let mut config = Config::default();
    assert_eq!(reply(&mut config, "clients_max 2"), "2\n");
    assert_eq!(reply(&mut config, "clients_max 1"), "2\n");
    let mut config = Config::default();
    config.process.is_running = true;
    assert_eq!(reply(&mut config, "clients_max 2"), "2048\n");
    assert_eq!(reply(&mut config, "clients_max 3000"), "3000\n");
    assert_eq!(reply(&mut config, "conn_max 10"), "10\n");
    assert_eq!(reply(&mut config, "conn_max 9"), "10\n");
    assert_eq!(reply(&mut config, "blacklist 9"), "9\n");
}

#[test]
fn a_server_may_come_in_pieces() {
    let mut config = configured(&["server 2 port 80 max 5", "server 2 port 81 weight 3"]);
    assert_eq!(main(&mut config).servers, vec![None, None, None]);
    reply(&mut config, "server 2 address 10.0.0.1 acl 4");
    let entry = main(&mut config).servers[2].clone().expect("a server");
    assert_eq!(entry.spec.host, Host::Ip("10.0.0.1".parse().expect("an address")));
    assert_eq!(
        (entry.spec.port, entry.spec.max, entry.spec.weight),
        (Some(Port::Number(81)), 5, Some(Weight::whole(3)))
    );
    assert_eq!(entry.acl, 4);
    assert!(main(&mut config).unaddressed.is_empty());
    reply(&mut config, "server 2 address ::1");
    let spec = &main(&mut config).servers[2].as_ref().expect("a server").spec;
    assert_eq!((&spec.port, spec.max), (&Some(Port::Number(81)), 5));
}

#[test]
fn a_server_of_the_command_line_keeps_what_only_commands_can_say() {
    let mut config = configured(&["server 0 proxy v2 max 7", "server 1 address ::2 acl 3 max 8"]);
    for index in 0..3 {
        main(&mut config).place_server(index, "10.0.0.1:80:5").expect("a server");
    }
    let told = |entry: &Option<ServerEntry>| {
        let entry = entry.as_ref().expect("a server");
        (entry.proxy, entry.acl, entry.spec.max)
    };
    let expected = [(ProxyHeader::V2, 0, 5), (ProxyHeader::None, 3, 5), (ProxyHeader::None, 0, 5)];
    assert_eq!(main(&mut config).servers.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(main(&mut config).unaddressed.is_empty());
}

#[test]
fn downstreams_are_trusted_once_and_until_they_are_taken_back() {
    let mut config = configured(&["proxy_accept 10.0.0.0/8", "proxy_accept unix", "proxy_accept 10.0.0.0/8"]);
    assert_eq!(reply(&mut config, "proxy_accept"), "10.0.0.0/8\nunix\n");
    let error = apply(&mut config, "no proxy_accept ::1").expect_err("never trusted");
    assert_eq!(error, "no proxy_accept: ::1 is not in the list");
    reply(&mut config, "no proxy_accept 10.0.0.0/8");
    assert_eq!(reply(&mut config, "proxy_accept"), "unix\n");
    reply(&mut config, "no proxy_accept");
    assert_eq!(reply(&mut config, "proxy_accept"), "");
    for index in 0..PROXY_ACCEPT_MAX {
        reply(&mut config, &format!("proxy_accept 10.0.{}.{}", index / 256, index % 256));
    }
    let error = apply(&mut config, "proxy_accept ::1").expect_err("too many");
    assert_eq!(error, "proxy_accept: want at most 1024 networks");
    reply(&mut config, "proxy_accept 10.0.0.0");
}

#[test]
fn blacklisting_is_not_configuration() {
    let mut config = configured(&["server 0 address ::1 port 80"]);
    let before = config.clone();
    assert_eq!(reply(&mut config, "server 0 blacklist 5"), "");
    assert_eq!(config, before);
    assert_eq!(reply(&mut config, "server 1 blacklist 5"), "", "it may still come on the command line");
    assert_eq!(config, before);
    config.process.is_running = true;
    assert_eq!(apply(&mut config, "server 1 blacklist 5"), Err("server 1: no such server".to_owned()));
}

#[test]
fn a_server_of_the_command_line_overwrites_only_what_it_says() {
    let mut config = configured(&[
        "server 0 port 81 max 20 hard 25 weight 3 prio 2",
        "server 1 address ::2 port 82 max 20 hard 25 weight 3 prio 2",
    ]);
    for (index, text) in ["10.0.0.1", "10.0.0.2:83:7::0", "10.0.0.3"].into_iter().enumerate() {
        main(&mut config).place_server(index, text).expect("a server");
    }
    let before = config.clone();
    assert!(
        main(&mut config).place_server(0, "10.0.0.9:80:x").is_err()
            && main(&mut config).place_server(7, "::1").is_err()
    );
    assert_eq!(config, before);
    let told = main(&mut config).servers.iter().flatten().map(|entry| entry.spec.to_string());
    let expected = ["10.0.0.1:81:20:25:3:2", "10.0.0.2:83:7:25:0:2", "10.0.0.3"];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn limits_hold() {
    let mut config = configured(&["server 4095 address ::1"]);
    assert_eq!(main(&mut config).servers.len(), SERVERS_MAX);
    let error = parse_line("server 4096 address ::1").expect_err("too far").to_string();
    assert_eq!(error, r#"server: want 0..4095 or a name, got "4096""#);

    let entry = parse_line("acl 1 permit ::1").expect("a line").expect("a command");
    let mut config = Config::default();
    for _ in 0..ACL_ENTRIES_MAX {
        config.apply(None, &entry, 0).expect("room");
    }
    assert_eq!(config.apply(None, &entry, 0), Err("acl 1: want at most 1000000 entries".to_owned()));
    assert_eq!(config.process.acls[1].entries().len(), ACL_ENTRIES_MAX);
    assert_eq!(
        config.apply(None, &Command::Clear(Entries::Acl(10)), 0),
        Err(r#"acl: want 0..9, got "10""#.to_owned())
    );
}

fn server(text: &str) -> Option<ServerEntry> {
    Some(ServerSpec::parse(text).expect(text).into())
}

/// The configuration that the original was given when its output was recorded.
fn recorded() -> Config {
    let mut config = configured(&[
        "exit_enabled",
        "clients_max 4000",
        "conn_max 800",
        "hash",
        "http",
        "log pen.log",
        "web_stats stats.html",
        "acl 1 permit 10.0.0.0 255.0.0.0",
        "acl 1 deny 1.2.3.4",
        "acl 2 permit 2001:db8::/32",
        "acl 2 permit country SE",
        "weight",
        "no tcp_nodelay",
    ]);
    let process = &mut config.process;
    process.values.set_flag(Flag::Foreground, true);
    process.on_command_line.insert("exit_enabled");
    for (text, value) in [(Text::PidFile, "pen.pid"), (Text::User, "root"), (Text::ConfigFile, "ex.cfg")] {
        process.values.set_text(text, Some(value.to_owned()));
    }
    let address = |text| Some(AddressValue::listen(text).expect("an address"));
    process.values.set_address(Address::Control, address("127.0.0.1:8888"));
    let main = main(&mut config);
    main.values.set_address(Address::Listen, address("127.0.0.1:8080"));
    main.on_command_line.insert("listen");
    main.emergency = server("127.0.0.1:21004");
    main.abuse = server("127.0.0.1:21005");
    main.servers = vec![server("127.0.0.1:21001:10:12:3"), server("127.0.0.1:21002:0:0:0")];
    config
}

#[test]
fn writing_begins_as_the_original_does() {
    let original = "\
# Generated by pen 2026-11-21 01:31:47
# pen -f -X -c 4000 -e 127.0.0.1:21004 -B 127.0.0.1:21005 -p 'pen.pid' -u 'root' -x 800 -F 'ex.cfg' -C 127.0.0.1:8888 127.0.0.1:8080
no acl 0
no acl 1
acl 1 permit 10.0.0.0 255.0.0.0
acl 1 deny 1.2.3.4 255.255.255.255
no acl 2
acl 2 permit 2001:db8::/32
acl 2 permit country SE
no acl 3
no acl 4
no acl 5
no acl 6
no acl 7
no acl 8
no acl 9
no ascii
blacklist 30
client_acl 0
control_acl 0
debug 0
hash
http
log pen.log
no roundrobin
server 0 acl 0 address 127.0.0.1 port 21001 max 10 hard 12 weight 3
server 1 acl 0 address 127.0.0.1 port 21002 max 0 hard 0 weight 0
no stubborn
tcp_fastclose off
no tcp_nodelay
timeout 3
tracking 0
web_stats stats.html
weight
no prio
";
    let ours = "\
client_conn_max 0
client_rate 0
clients_max 4000
no clone_ignore
clone_percent 100
clone_queue 65536
policy pen
queue 0
queue_timeout 30
rebalance_interval 30
rebalance_size 5
rebalance_threshold 30
resolve 0
no resolve_first
slow_start 0
no top
no check
no exec_environment
check_interval 1
check_timeout 1
check_extra 0
check_rise 1
check_fall 1
check_port 0
no discover
latency 0
maxload 0
on_down keep
overload relaxed
session_weight 0.1
no load
conn_max 800
no defer_accept
no dummy
idle_timeout 0
idlers 0
no keepalive
keepalive_idle 0
keepalive_interval 0
keepalive_probes 0
listen_queue 500
multi_accept 100
no peek
pending_max 100
no proxy_accept
proxy_timeout 5
no source
no reset_on_close
no transparent
udp_answers
udp_idle_timeout 60
udp_sessions_max 10000
no tarpit_acl
no geoip
log_format pen
no messages
no metrics_listen
autosave 0
no abort_on_error
restart_timeout 5
shutdown_timeout 30
no ssl_alpn
no ssl_ca_file
no ssl_ca_path
no ssl_certificate
no ssl_ciphers
ssl_client_certificate off
ssl_handshake_timeout 10
no ssl_key
no ssl_ocsp_response
no ssl_option cipher_server_preference
no ssl_option no_ticket
no ssl_option no_tlsv1.2
no ssl_option no_tlsv1.3
ssl_record_max 16384
no ssl_server_ca_file
no ssl_sni_path
";
    assert_eq!(recorded().write("2026-11-21 01:31:47"), format!("{original}{ours}"));
}

#[test]
fn the_comment_cannot_be_left() {
    let mut config = Config::default();
    config.process.values.set_text(Text::User, Some("a'b\nexit".to_owned()));
    let text = config.write("now");
    assert_eq!(text.lines().nth(1), Some(r"# pen -u 'a'\''b?exit'"));
    assert!(!text.lines().any(|line| line == "exit"));
}

/// What [`Config::write`] leaves to the comment is set back to its default.
fn stored_part(config: &Config) -> Config {
    let mut part = config.clone();
    leave_out(&mut part.process);
    for service in &mut part.services {
        let service = Arc::make_mut(service);
        (service.emergency, service.abuse) = (None, None);
        leave_out(service);
    }
    part
}

fn leave_out(scoped: &mut Scoped) {
    let words = std::mem::take(&mut scoped.on_command_line);
    let is_left_out = |row: &&Row| !row.is_command() || words.contains(row.word);
    let left_out = ROWS.iter().filter(is_left_out).filter_map(|row| row.kind.setting());
    left_out.for_each(|setting| scoped.values.unset(setting));
}

fn read(text: &str) -> Config {
    let mut config = Config::default();
    for line in text.lines() {
        let command = parse_line(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Some(command) = command {
            config.apply(None, &command, 0).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
    config
}

#[test]
fn what_was_recorded_is_read_back() {
    let config = recorded();
    assert_eq!(read(&config.write("now")), stored_part(&config));
}

fn flag_or_number_line() -> impl Strategy<Value = String> {
    (0..ROWS.len(), any::<u64>()).prop_map(|(at, seed)| {
        let mut rows = ROWS[at..].iter().chain(ROWS).filter(|row| row.is_command());
        let ends = rows.find_map(|row| match row.kind {
            Kind::Flag { .. } if seed % 2 == 0 => Some(row.word.to_owned()),
            Kind::Flag { .. } => Some(format!("no {}", row.word)),
            Kind::Number { min, max, .. } => Some(format!("{} {}", row.word, min + seed % (max - min + 1))),
            _ => None,
        });
        ends.expect("the table has flags and numbers")
    })
}

fn server_line() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        "address (10\\.0\\.0\\.[1-9]|::[1-9]|www[1-9]|/run/[a-z]{1,5})",
        "port ([1-9][0-9]{0,3}|http)",
        "(max|hard|prio|blacklist) [0-9]{1,6}",
        "weight [0-9]{1,4}(\\.[0-9]{1,3})?",
        "acl [0-9]",
        "proxy (none|v1|v2)",
    ];
    (0..6, prop::collection::vec(pair, 1..5))
        .prop_map(|(index, pairs)| format!("server {index} {}", pairs.join(" ")))
}

fn other_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "acl [0-9] (permit|deny) 10\\.[1-9]\\.0\\.[0-9]( 255\\.0\\.255\\.0)?",
        "acl [0-9] (permit|deny) 2001:db8::[1-9]/[1-9]",
        "no acl [0-9]",
        "log ([a-z]{1,5}|127\\.0\\.0\\.1:514|\\[::1\\]:syslog)",
        "web_stats ([a-z/.]{1,9}|\"[a-z /.#]{1,9}\")",
        "server [0-5] tls noverify certificate \"[a-z /.]{1,3}x\"",
        "acl [0-9] (permit|deny) (registered_)?country (SE|dk|A1)",
        "geoip [a-z/.]{1,9}",
        "dsr_if eth[0-9]",
        "tarpit_acl ([0-9]|-1)",
        "no (geoip|log|tarpit_acl|web_stats|source)",
        "listen (127\\.0\\.0\\.1:|\\[::1\\]:|/run/)[1-9][0-9]",
        "log_format (pen|json)",
        "source (127\\.0\\.0\\.[1-9]|::1)",
        "tcp_fastclose (up|down|both|off)",
        "(no )?http",
        "http (replace|append)",
        "proxy_accept (10\\.[0-9]\\.0\\.0/16|2001:db8::/[4-9]0|unix)",
        "no proxy_accept",
        "ssl_(ca_file|certificate|key|ocsp_response|sni_path) [a-z/.]{1,9}",
        "no ssl_(ca_file|certificate|key|ocsp_response|sni_path)",
        "ssl_client_certificate (off|optional|required)",
        "(no )?ssl_option (cipher_server_preference|no_ticket|no_tlsv1\\.3)",
    ]
}

#[test]
fn what_counts_at_start_is_written_when_a_command_said_it() {
    let lines = ["exit_enabled", "listen 127.0.0.1:8080", "threads 3"];
    let written = |config: &Config| {
        let text = config.write("now");
        lines.iter().filter(|line| text.lines().any(|written| written == **line)).count()
    };
    let mut config = configured(&lines);
    assert_eq!(written(&config), 3);
    config.process.on_command_line.extend(["exit_enabled", "threads"]);
    main(&mut config).on_command_line.insert("listen");
    assert_eq!(written(&config), 0, "the command line says it");
    config.apply(None, &parse_line("threads").unwrap().unwrap(), 0).unwrap();
    assert_eq!(written(&config), 0, "asking says nothing");
    config.apply(None, &parse_line("threads 3").unwrap().unwrap(), 0).unwrap();
    assert_eq!(written(&config), 1);
}

proptest! {
    /// What follows the words of the table comes from files and control clients.
    #[test]
    fn any_text_behind_a_word_is_applied_or_refused(
        row in prop::sample::select(ROWS), no: bool, text in "[-!+@:,/*.\\[0-9]?\\PC{0,4}( \\PC{0,4}){0,3}",
    ) {
        let line = format!("{}{} {text}", if no { "no " } else { "" }, row.word);
        if let Ok(Some(command)) = parse_line(&line) {
            let before = Config::default();
            let mut config = before.clone();
            if config.apply(None, &command, 0).is_err() {
                prop_assert_eq!(config, before, "{}", line);
            }
        }
    }

    #[test]
    fn whatever_is_configured_is_written_and_read_back(
        lines in prop::collection::vec(prop_oneof![flag_or_number_line(), server_line(), other_line()], 0..40),
    ) {
        let mut config = Config::default();
        for line in &lines {
            let command = parse_line(line).expect("a valid line").expect("a command");
            // A server that exists only by being blacklisted is refused, and leaves nothing behind.
            if config.apply(None, &command, 0).is_err() {
                prop_assert!(line.contains("blacklist"), "{}", line);
            }
        }
        prop_assert_eq!(read(&config.write("now")), stored_part(&config));
    }
}

#[test]
fn what_is_set_of_tls_is_written_and_read_again() {
    let lines = [
        "server 0 address web.test port 443 tls verify sni a.test,*.b.test",
        "server 1 address 10.0.0.1 tls noverify c.test certificate /etc/own.pem",
        "server 2 address 10.0.0.2 tls verify certificate other.pem weight 2",
        "ssl_option no_ticket",
        "ssl_record_max 1024",
        "ssl_certificate c.pem",
        "ssl_ciphers HIGH:!AES128",
        "ssl_client_certificate required",
        "ssl_option no_tlsv1.2",
        "ssl_alpn h2,http/1.1",
    ];
    let mut config = configured(&lines);
    let plan = main(&mut config).tls_plan();
    assert!(plan.to_servers && plan.verify && plan.routes && plan.is_needed());
    assert_eq!((plan.shown.len(), plan.record_bytes_max), (2, 1024));
    let written = config.write("now");
    let mut again = Config::default();
    for line in written.lines().filter(|line| !line.starts_with('#')) {
        apply(&mut again, line).expect(line);
    }
    assert_eq!(main(&mut again).tls_plan(), plan);
    assert_eq!(main(&mut again).servers, main(&mut config).servers);
}

#[test]
fn tls_answers_and_refuses() {
    let mut config = Config::default();
    for (line, expected) in [
        ("ssl_certificate", ""),
        ("ssl_certificate a.pem", ""),
        ("ssl_certificate", "a.pem\n"),
        ("no ssl_certificate", ""),
        ("ssl_certificate", ""),
        ("ssl_client_certificate", "off\n"),
        ("ssl_client_certificate optional", "optional\n"),
        ("ssl_ciphers HIGH:RC4", "ssl_ciphers: not offered: RC4, broken or too weak\n"),
        ("ssl_handshake_timeout 3", "3\n"),
        ("ssl_option no_tlsv1.3", ""),
    ] {
        assert_eq!(reply(&mut config, line), expected, "{line}");
    }
    for line in ["ssl_option no_tlsv1.2", "ssl_ciphers RC4"] {
        let before = config.clone();
        assert!(apply(&mut config, line).is_err(), "{line}");
        assert_eq!(config, before, "{line}");
    }
}

#[test]
fn a_service_is_made_by_the_configuration_alone() {
    let mut config = configured(&["listen 80"]);
    for line in ["service add web", "service remove web"] {
        let line = pen_proto::parse::line(line).expect(line).expect(line);
        let command = line.command.expect("a command");
        assert_eq!(config.apply(None, &command, 0), Ok(Applied::Reply(String::new())));
    }
}
