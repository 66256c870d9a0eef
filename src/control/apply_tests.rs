//! Commands through the engine, on a pen that only remembers what it was told.

use super::*;
use crate::control::fake::FakePen;
use crate::control::names::Addresses;
use crate::settings::{MAIN, ServerEntry, ServiceConfig};
use crate::tempdir::TempDir;
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{Number, ROWS, SERVER_KEYS};
use proptest::prelude::*;
use std::fs;

fn lookup(name: &str) -> Result<Addresses, String> {
    match name {
        "alpha" => Ok([10, 0, 0, 1].into()),
        "beta" => Ok([10, 0, 0, 2].into()),
        _ => Err(format!("no host {name}")),
    }
}

/// An engine whose pen runs with two servers, listening on port 80.
fn running() -> (Engine<FakePen>, FakePen) {
    let mut engine = Engine::with_lookup(Config::default(), lookup);
    option(&mut engine, "listen 127.0.0.1:80");
    for server in ["10.1.0.1", "10.1.0.2:81"] {
        let spec = ServerSpec::parse(server).unwrap();
        engine.config_mut().make_service(MAIN).servers.push(Some(ServerEntry::from(spec)));
    }
    engine.settle().unwrap();
    let pen = FakePen::new();
    engine.start(pen.clone());
    (engine, pen)
}

fn option(engine: &mut Engine<FakePen>, line: &str) -> String {
    let request = engine.understand(line, None).unwrap();
    engine.carry_out(&request, Door::Option).unwrap().reply
}

/// As the control server does it: names are learned first.
fn control(engine: &mut Engine<FakePen>, line: &str) -> Result<String, String> {
    let request = engine.understand(line, None)?;
    for name in engine.needs_resolving(&request) {
        let address = engine.lookup()(&name);
        engine.learn(vec![(name, address)])?;
    }
    engine.carry_out(&request, Door::Control).map(|done| done.reply)
}

fn main(config: &Config) -> &ServiceConfig {
    config.service(MAIN).unwrap()
}

fn servers(config: &Config) -> Vec<String> {
    let text =
        |entry: &Option<ServerEntry>| entry.as_ref().map_or("-".into(), |entry| entry.spec.to_string());
    main(config).servers.iter().map(text).collect()
}

#[test]
fn only_what_differs_is_touched() {
    let (mut engine, pen) = running();
    for (line, deeds) in [
        ("blacklist 5", vec!["settings"]),
        ("blacklist 5", vec![]),
        ("blacklist", vec![]),
        ("acl 1 permit 10.0.0.0 255.0.0.0", vec!["settings"]),
        ("log /var/log/pen", vec!["log /var/log/pen"]),
        ("log /var/log/pen", vec!["log /var/log/pen"]),
        ("log", vec![]),
        ("no log", vec!["log "]),
        ("listen 127.0.0.1:81", vec!["listen 127.0.0.1:81"]),
        ("listen 127.0.0.1:81", vec![]),
        ("server 1 max 3", vec!["servers 10.1.0.1:80 10.1.0.2:81:3"]),
        ("server 1 blacklist 7", vec!["blacklist 1 7"]),
        ("server 1 max 4 blacklist 0", vec!["servers 10.1.0.1:80 10.1.0.2:81:4", "blacklist 1 0"]),
        ("web_stats stats.html", vec![]),
    ] {
        control(&mut engine, line).unwrap();
        assert_eq!(pen.deeds(), deeds, "{line}");
    }
}

#[test]
fn what_cannot_be_opened_changes_nothing() {
    let (mut engine, pen) = running();
    pen.told_mut().broken.extend(["/no/such".to_string(), "127.0.0.1:82".into(), "clients_max 4096".into()]);
    for line in [
        "log /no/such",
        "listen 127.0.0.1:82",
        "clients_max 4096",
        "server 0 address nowhere",
        "server 4 blacklist 3",
    ] {
        let before = engine.config().clone();
        let trouble = control(&mut engine, line).unwrap_err();
        assert!(!trouble.is_empty(), "{line}");
        assert_eq!(*engine.config(), before, "{line}");
        assert_eq!(pen.deeds(), Vec::<String>::new(), "{line}");
    }
    assert_eq!(control(&mut engine, "log /no/such").unwrap_err(), "log: /no/such: broken");
}

#[test]
fn a_file_may_ask_much_but_not_without_end() {
    let directory = TempDir::new();
    let file = directory.join("commands").display().to_string();
    let (mut engine, _) = running();
    let include = format!("include {file}");
    fs::write(&file, "pid\n".repeat(LATER_MAX)).unwrap();
    assert_eq!(control(&mut engine, &include).unwrap().lines().count(), LATER_MAX);
    fs::write(&file, "blacklist 5\n".to_string() + &"close 500\n".repeat(LATER_MAX + 1)).unwrap();
    let place = LATER_MAX + 2;
    let trouble = control(&mut engine, &include).unwrap_err();
    assert_eq!(trouble, format!("{file}:{place}: more than {LATER_MAX} commands about the running pen"));
    assert_eq!(control(&mut engine, "blacklist").unwrap(), "30\n");
}

#[test]
fn a_file_is_carried_out_as_a_whole_or_not_at_all() {
    let directory = TempDir::new();
    let file = directory.join("commands").display().to_string();
    let (mut engine, pen) = running();
    pen.told_mut().broken.insert("127.0.0.1:82".into());
    let before = engine.config().clone();
    for (text, trouble) in [
        ("blacklist 5\nbogus\nlog /a", ":2: \"bogus\""),
        ("blacklist 5\nlog /a\nlisten 127.0.0.1:82\nserver 0 max 1\n", "listen: 127.0.0.1:82: broken"),
        ("blacklist 5\nthreads 7", ":2: threads: only at start"),
        ("blacklist 5\nclose 3\nserver 0 max 1", ":2: close: connection 3 is not open"),
        ("blacklist 5\nserver 0 address nowhere", "no host nowhere"),
        ("blacklist 5\nserver 9000 max 1\nserver 9001 max 1", ":3: server"),
    ] {
        fs::write(&file, text).unwrap();
        let got = control(&mut engine, &format!("include {file}")).unwrap_err();
        assert!(got.contains(trouble), "{text:?}: {got}");
        assert_eq!(*engine.config(), before, "{text:?}");
        assert_eq!(pen.deeds(), Vec::<String>::new(), "{text:?}");
    }
    fs::write(&file, "blacklist 5\nserver 2 address alpha\nserver 2 blacklist 9\nlog /a\nservers\n").unwrap();
    let reply = control(&mut engine, &format!("include {file}")).unwrap();
    assert_eq!(
        pen.deeds(),
        ["log /a", "settings", "servers 10.1.0.1:80 10.1.0.2:81 10.0.0.1:80", "blacklist 2 9"]
    );
    assert!(reply.starts_with("5\n/a\n0 addr 10.1.0.1 "), "{reply}");
    assert_eq!(reply.lines().count(), 5, "{reply}");
}

#[test]
fn names_stay_names_and_ports_are_settled() {
    let (mut engine, pen) = running();
    control(&mut engine, "listen 127.0.0.1:8080").unwrap();
    assert_eq!(
        servers(engine.config()),
        ["10.1.0.1:80", "10.1.0.2:81"],
        "servers stay when the listener moves"
    );
    control(&mut engine, "server 2 address beta").unwrap();
    control(&mut engine, "server 2 port 99").unwrap();
    assert_eq!(servers(engine.config()).last().unwrap(), "beta:99");
    assert_eq!(pen.deeds().last().unwrap(), "servers 10.1.0.1:80 10.1.0.2:81 10.0.0.2:99");
}

#[test]
fn before_pen_runs_commands_only_configure() {
    let mut engine: Engine<FakePen> = Engine::with_lookup(Config::default(), lookup);
    for (line, reply) in [
        ("blacklist 11", "11\n"),
        ("threads 3", "3\n"),
        ("exit", ""),
        ("listen alpha:80", "alpha:80\n"),
        ("log /no/such/file", "/no/such/file\n"),
        ("server 1 blacklist 60", ""),
        ("server 1 address beta", ""),
        ("close 0", "Connection 0 out of range\n"),
        ("recent", ""),
        (
            "servers",
            "0 addr (unknown address family 0 port 0 conn 0 max 0 hard 0 weight 0 prio 0 sx 0 rx 0\n\
             1 addr beta port 0 conn 0 max 0 hard 0 weight 0 prio 0 sx 0 rx 0\n",
        ),
    ] {
        assert_eq!(option(&mut engine, line), reply, "{line}");
    }
    assert!(
        engine
            .understand("session", None)
            .is_ok_and(|request| engine.carry_out(&request, Door::Option).is_err())
    );
    let numeric = engine.settle().unwrap().clone();
    assert_eq!(servers(&numeric), ["-", "10.0.0.2:80"]);
    let pen = FakePen::new();
    engine.start(pen.clone());
    assert_eq!(pen.deeds(), ["blacklist 1 60"]);
    engine
        .config_mut()
        .make_service(MAIN)
        .servers
        .push(Some(ServerEntry::from(ServerSpec::parse("gamma").unwrap())));
    assert!(engine.settle().unwrap_err().contains("gamma"));
    let mut engine: Engine<FakePen> = Engine::with_lookup(Config::default(), lookup);
    option(&mut engine, "server 1 blacklist 60");
    assert_eq!(engine.settle().unwrap_err(), "server 1: no such server");
}

#[test]
fn start_only_settings_stay() {
    let (mut engine, _) = running();
    engine.config.process.values.set_number(Number::Threads, 2);
    assert_eq!(control(&mut engine, "threads 4").unwrap_err(), "threads: only at start: now 2");
    assert_eq!(control(&mut engine, "threads 2").unwrap(), "2\n");
    assert_eq!(control(&mut engine, "threads").unwrap(), "2\n");
}

#[test]
fn exit_needs_permission() {
    let (mut engine, pen) = running();
    assert_eq!(control(&mut engine, "exit").unwrap(), "Exit is not enabled; restart with -X flag\n");
    let trouble = control(&mut engine, "exit_enabled").unwrap_err();
    assert_eq!(trouble, "exit_enabled: only at start: now off", "nobody allows it to himself");
    assert_eq!(pen.deeds(), Vec::<String>::new());
    engine.config.process.values.set_flag(Flag::ExitEnabled, true);
    assert_eq!(control(&mut engine, "exit").unwrap(), "");
    assert_eq!(pen.deeds().last().unwrap(), "stop");
}

#[test]
fn only_open_connections_are_closed() {
    let (mut engine, _) = running();
    assert_eq!(control(&mut engine, "close 7").unwrap(), "Forcibly closing connection 7\n");
    assert_eq!(control(&mut engine, "close 7").unwrap_err(), "close: connection 7 is not open");
    assert_eq!(control(&mut engine, "close 500").unwrap(), "Connection 500 out of range\n");
    assert_eq!(control(&mut engine, "socket 11").unwrap(), "Socket 11 belongs to connection 0\n");
}

#[test]
fn the_page_is_answered_and_written() {
    let directory = TempDir::new();
    let file = directory.join("stats.html");
    let (mut engine, _) = running();
    let page = control(&mut engine, "status").unwrap();
    assert!(page.contains("<h1>Pen status page</h1>"), "{page}");
    control(&mut engine, &format!("web_stats {}", file.display())).unwrap();
    let page = control(&mut engine, "status").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    control(&mut engine, "web_stats /no/such/directory/x").unwrap();
    assert!(control(&mut engine, "status").unwrap_err().starts_with("web_stats /no/such/directory/x: "));
    assert!(control(&mut engine, "status json").unwrap().starts_with('{'));
    assert!(control(&mut engine, "metrics").unwrap().contains("# TYPE pen_"));
}

#[test]
fn what_is_written_is_what_was_configured() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf");
    let (mut engine, _) = running();
    for line in
        ["blacklist 7", "server 2 address alpha port 99 prio 4", "acl 3 deny 10.0.0.1", "no tcp_nodelay"]
    {
        control(&mut engine, line).unwrap();
    }
    assert!(control(&mut engine, "write").unwrap_err().contains("-F"));
    engine.config.process.values.set_text(Text::ConfigFile, Some(file.display().to_string()));
    assert_eq!(control(&mut engine, "write").unwrap(), "");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("# Generated by pen 2"), "{written}");
    let mut again: Engine<FakePen> = Engine::with_lookup(Config::default(), lookup);
    option(&mut again, &format!("include {}", file.display()));
    let settings = |config: &Config| config.settings(main(config));
    assert_eq!(settings(again.config()), settings(engine.config()));
    assert_eq!(main(again.config()).servers, main(engine.config()).servers);
}

#[test]
fn a_mistake_of_ours_is_an_error_and_changes_nothing() {
    let (mut engine, pen) = running();
    let before = engine.config().clone();
    for (panics, line, taken_back) in [
        ("settings", "blacklist 5", vec!["settings"]),
        ("servers 10.1.0.1:80:3 10.1.0.2:81", "server 0 max 3", vec!["servers 10.1.0.1:80 10.1.0.2:81"]),
        ("log /a", "log /a", vec!["log "]),
        ("listen 127.0.0.1:81", "listen 127.0.0.1:81", vec!["listen 127.0.0.1:80"]),
        ("status", "close 3", vec![]),
    ] {
        pen.told_mut().panics.insert(panics.into());
        let trouble = control(&mut engine, line).unwrap_err();
        assert!(
            trouble.starts_with("internal error: ") && trouble.ends_with("; nothing has changed"),
            "{trouble}"
        );
        assert_eq!(
            (engine.config(), pen.deeds()),
            (&before, taken_back.into_iter().map(String::from).collect()),
            "{line}"
        );
        control(&mut engine, "mode").unwrap();
    }
    pen.told_mut().panics.insert("status".into());
    assert_eq!(
        control(&mut engine, "servers").unwrap_err(),
        "internal error: the status goes wrong on purpose"
    );
    assert!(control(&mut engine, "servers").unwrap().starts_with("0 addr 10.1.0.1 "));
    assert_eq!(control(&mut engine, "blacklist 5").unwrap(), "5\n");
}

/// Whether carrying out the line changes files, which would be those of the source tree.
fn writes(line: &str) -> bool {
    ["write", "web_stats"].iter().any(|word| line.contains(word))
}

fn assert_outlived(engine: &mut Engine<FakePen>, line: &str) {
    if !writes(line)
        && let Err(trouble) = control(engine, line)
    {
        assert!(!trouble.contains("internal error"), "{line:?}: {trouble}");
    }
}

/// What may stand where a word is expected; signs, and letters of more than one byte.
const WORDS: &[&str] = &[
    "",
    "0",
    "1",
    "10",
    "-1",
    "99999999999999999999",
    "x",
    "0 0",
    "0 permit",
    "0 address",
    "json",
    "/",
    "é",
    "/é",
    "0 é",
    "0 permit é",
    "0 permit country é",
    "0 address é",
    "0 sni é",
    "0 tls verify é",
    "+é",
    "!é",
    "-é",
    "[é",
    "HIGH:é",
    "é:80",
    "[::1é]",
    "::é",
    "10.0.0.1/é",
    "*.é",
    "\u{2028}",
    "\u{feff}0",
];

/// With a word too few or too many, or with one of another kind.
#[test]
fn every_command_has_an_answer() {
    let (mut engine, _) = running();
    for row in ROWS {
        for no in ["", "no "] {
            for word in WORDS {
                assert_outlived(&mut engine, &format!("{no}{} {word}", row.word));
            }
        }
    }
}

fn any_line() -> impl Strategy<Value = String> {
    let keys = SERVER_KEYS.iter().map(|key| key.word);
    let first: Vec<&str> = ROWS.iter().map(|row| row.word).chain(["no", "é"]).collect();
    let other: Vec<&str> = WORDS.iter().copied().chain(first.clone()).chain(keys).collect();
    let part =
        prop_oneof![prop::sample::select(other).prop_map(str::to_owned), "[a-zß:/.!+é\u{2028}\\[\\]-]{1,6}"];
    (prop::sample::select(first), prop::collection::vec(part, 0..5))
        .prop_map(|(first, parts)| format!("{first} {}", parts.join(" ")))
}

proptest! {
    #[test]
    fn no_line_crashes(lines in prop::collection::vec(any_line(), 1..20)) {
        let (mut engine, _) = running();
        lines.iter().for_each(|line| assert_outlived(&mut engine, line));
    }
}

#[test]
fn access_lists_are_published_arranged_and_once_in_memory() {
    let (mut engine, pen) = running();
    let dir = TempDir::new();
    let file = dir.join("lists");
    let deny: String =
        (0..1_000).map(|host| format!("acl 3 deny 10.0.{}.{}\n", host / 250, host % 250)).collect();
    fs::write(&file, format!("no acl 3\n{deny}")).unwrap();
    let include = format!("include {}", file.display());
    let published = || pen.told().settings.clone().expect("settings");
    control(&mut engine, &include).unwrap();
    let first = published();
    assert!(first.acls[3].is_arranged());
    control(&mut engine, &include).unwrap();
    control(&mut engine, "blacklist 7").unwrap();
    let second = published();
    assert_eq!(second.number(Number::Blacklist), 7);
    let configured = engine.config().settings(main(engine.config()));
    for settings in [&second, &configured] {
        assert!(std::ptr::eq(settings.acls[3].entries(), first.acls[3].entries()));
    }
    control(&mut engine, "no acl 3").unwrap();
    assert!(published().acls[3].entries().is_empty());
}
