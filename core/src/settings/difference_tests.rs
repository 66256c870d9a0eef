//! Tests of the difference between two configurations, for any two of them.

use super::*;
use crate::settings::{MAIN, check};
use pen_proto::commands::Number;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A configuration that these lines make, each that can be carried out.
fn configured(lines: &[String]) -> Config {
    let mut config = Config::default();
    config.make_service(MAIN);
    config.process.is_running = true;
    for line in lines {
        let Ok(Some(line)) = parse::line(line) else { panic!("{line}") };
        let Some(command) = line.command else { continue };
        // Some lines are about what is not there.
        let _ = config.apply(line.service.as_deref(), &command, 0);
    }
    config
}

/// The lines are carried out one after the other.
fn carried_out(from: &Config, lines: &[String]) -> Config {
    let mut config = from.clone();
    for line in lines {
        let read = parse::line(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect("a line");
        let command = read.command.expect("a command");
        let done = config.apply(read.service.as_deref(), &command, 0);
        done.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    config
}

/// What `write` says of it, by service: lines whose order says nothing.
fn said(config: &Config) -> BTreeMap<String, Vec<String>> {
    let (mut said, mut service) = (BTreeMap::<String, Vec<String>>::new(), MAIN.to_owned());
    for line in config.write("now").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("service ") {
            Some(name) => service = name.to_owned(),
            None => {
                let mut words: Vec<&str> = line.split(' ').collect();
                // What waits for an address is in the order in which it was said.
                if line.starts_with("server ") && !line.contains(" address ") {
                    words.sort_unstable();
                }
                said.entry(service.clone()).or_default().push(words.join(" "));
            }
        }
    }
    said
}

fn service_line() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => "server [0-4] address 10\\.0\\.0\\.[1-4] port 8[0-3] (max|weight|hard|prio) [0-3]",
        2 => "server [0-4] (name [abc]|group (blue|green|all)|proxy (v1|none)|(slow_start|warm_up) [1-9]|acl [0-9])",
        1 => "server [0-4] (weight [1-3]|check connect|check_rise [2-4]|tls (off|verify|noverify x\\.test)|sni a\\.test)",
        2 => "server [0-4] (role (clone|member)|source (127\\.0\\.0\\.[1-3]|none)|standby (yes|no)|maxload [1-3])",
        1 => "server [0-4] load (none|agent 7|snmp secret)",
        1 => "(load (none|agent [7-9]|snmp v1 secret)|no load|maxload [0-3]|session_weight (0\\.[1-3]|1))",
        1 => "(clone_percent ([0-9]|50)|clone_queue (2048|4096)|(no )?clone_ignore (Date|Set-Cookie):|no clone_ignore)",
        1 => "(overload (strict|relaxed)|on_down (keep|close)|rebalance_(interval|size|threshold) [0-9])",
        1 => "server [0-4] (drain|disable|enable|remove)",
        1 => "server (all disable|all enable|add [abd]=10\\.0\\.0\\.[5-7]:80)",
        2 => "group (blue|green) (use|policy (random|single)|remove)",
        1 => "(no )?(hash|prio|stubborn|top|roundrobin)",
        1 => "(blacklist|timeout|tracking|queue) [1-9]",
        1 => "policy (pen|random|single|source|least_conn)",
        1 => "listen 127\\.0\\.0\\.1:8[0-2]",
        1 => "listen (add|remove) 127\\.0\\.0\\.1:8[0-4]",
        1 => "(no )?proxy_accept 10\\.[0-3]\\.0\\.0/16",
        1 => "(no )?ssl_option (no_ticket|no_tlsv1\\.3)",
        1 => "(log|ssl_certificate) [ab]",
        1 => "no (log|ssl_certificate|clients_from|source)",
        1 => "source 127\\.0\\.0\\.[1-3]",
        1 => "check (none|connect|tls|send \"a b\" expect c|http /x status 200)",
        1 => "client_rate ([1-9] [1-9]|0)",
        1 => "clients_from (main|web|api)",
    ];
    ("(|service web |service api )", line).prop_map(|(service, line)| service + &line)
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => service_line(),
        1 => "service (add|remove) (web|api)",
        1 => "acl [0-2] (permit|deny) 10\\.[1-4]\\.0\\.0/16",
        1 => "no acl [0-2]",
        1 => "(debug|pending_max|conn_max) [1-9]",
        1 => "(web_stats [ab]|no web_stats|(no )?abort_on_error|geoip [ab]|no geoip)",
    ]
}

/// Lines of which the configuration fits together, as all that a pen has.
fn config() -> impl Strategy<Value = Config> {
    prop::collection::vec(line(), 0..40)
        .prop_map(|lines| configured(&lines))
        .prop_filter("it fits together", |config| check(config).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_commands_lead_from_any_configuration_to_any_other_and_back(a in config(), b in config()) {
        let there = difference(&a, &b).unwrap();
        let mut b = b;
        // What only grows stays.
        let grown = carried_out(&a, &there);
        b.process.values.set_number(Number::ConnMax, grown.process.number(Number::ConnMax));
        prop_assert_eq!(said(&grown), said(&b), "{:#?}", there);
        let in_use = |config: &Config| -> Vec<_> {
            config.services.iter().map(|service| (service.name.clone(), service.group_in_use().cloned())).collect()
        };
        let sorted = |mut all: Vec<_>| { all.sort(); all };
        prop_assert_eq!(sorted(in_use(&grown)), sorted(in_use(&b)));
        prop_assert_eq!(difference(&grown, &b).unwrap(), Vec::<String>::new());
        let back = difference(&grown, &a).unwrap();
        let mut again = carried_out(&grown, &back);
        again.process.values.set_number(Number::ConnMax, a.process.number(Number::ConnMax));
        prop_assert_eq!(said(&again), said(&a), "{:#?}", back);
    }

    #[test]
    fn between_equal_configurations_there_is_nothing_to_say(a in config()) {
        prop_assert_eq!(difference(&a, &a).unwrap(), Vec::<String>::new());
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn only_what_differs_is_said() {
    let from = configured(&lines(
        "blacklist 7\nserver 0 address 10.0.0.1 port 80 name a\nserver 1 address 10.0.0.2 port 80 max 5\n\
         server 2 address 10.0.0.3 name c weight 3\nacl 1 permit 10.0.0.0/8\nservice add old\n\
         service old listen 127.0.0.1:81",
    ));
    let to = configured(&lines(
        "hash\nserver 0 address 10.0.0.1 port 80 name a max 3\nserver 2 address 10.0.0.3 name c\n\
         acl 1 permit 10.0.0.0/8\nacl 1 deny 0.0.0.0/0\nservice add new\nservice new listen 127.0.0.1:81\n\
         server 3 address 10.0.0.4 check http /x\nserver 0 drain",
    ));
    let expected = lines(
        "acl 1 deny 0.0.0.0 0.0.0.0\nservice add new\nservice remove old\nblacklist 30\nhash\nserver 1 remove\n\
         server 2 remove\nserver 0 max 3\nserver 0 drain\nserver 2 acl 0 address 10.0.0.3 max 0 hard 0 prio 0 name c\n\
         server 3 acl 0 address 10.0.0.4 max 0 hard 0 prio 0 check http /x\nservice new listen 127.0.0.1:81",
    );
    assert_eq!(difference(&from, &to).unwrap(), expected);
}

#[test]
fn what_only_the_start_can_say_is_told() {
    let config = |text: &str| configured(&lines(text));
    let from = config("listen 127.0.0.1:80\nthreads 2");
    let to = config("listen 127.0.0.1:80\nthreads 4\nblacklist 3");
    assert_eq!(difference(&from, &to).unwrap(), ["blacklist 3"]);
    assert_eq!(only_at_start(&from, &to), ["threads 4: only at start: now 2"]);
    assert_eq!(only_at_start(&from, &from), Vec::<String>::new());
}
