//! HUP on a pen that only remembers what it was told.

mod rule;

use super::*;
use crate::control::apply::Door;
use crate::control::fake::FakePen;
use crate::settings::{Config, MAIN};
use crate::tempdir::TempDir;
use pen_proto::commands::{Flag, Number};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LISTEN: &str = "listen 127.0.0.1:80\n";

/// A pen that runs, started with `text` in its configuration file.
fn started(file: &str, text: &str) -> (Engine<FakePen>, FakePen) {
    started_after(&[], file, text)
}

/// The same, with options that are these lines.
fn started_after(options: &[&str], file: &str, text: &str) -> (Engine<FakePen>, FakePen) {
    fs::write(file, text).unwrap();
    let mut engine = Engine::with_lookup(Config::default(), |_| Ok([10, 0, 0, 1].into()));
    engine.config_mut().process.values.set_text(Text::ConfigFile, Some(file.into()));
    engine.config_mut().make_service(MAIN);
    for line in options {
        let request = engine.understand(line, None).unwrap();
        engine.carry_out(&request, Door::Option).unwrap();
    }
    engine.set_base(engine.config().clone());
    engine.carry_out(&request_of(file).unwrap(), Door::File).unwrap();
    engine.settle().unwrap();
    let pen = FakePen::new();
    engine.start(pen.clone());
    (engine, pen)
}

/// Reloads and waits for the end.
fn reload(engine: &mut Engine<FakePen>) -> Outcome {
    let mut reload = Reload::new(Arc::new(|| {}));
    reload.begin(engine, 0);
    loop {
        if let Some(outcome) = reload.finish(engine, 0) {
            return outcome;
        }
        reload.lookups.wait(Duration::from_secs(30));
    }
}

fn again(engine: &mut Engine<FakePen>, file: &str, text: &str) -> Result<Vec<String>, String> {
    fs::write(file, text).unwrap();
    reload(engine)
}

#[test]
fn an_unchanged_file_only_reopens_the_log() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let text = "listen 127.0.0.1:80\nlog /a\nno acl 1\nacl 1 permit 10.0.0.0/8\nserver 0 address backend\n";
    let (mut engine, pen) = started(&file, text);
    assert_eq!(reload(&mut engine), Ok(Vec::new()));
    assert_eq!(pen.deeds(), ["log /a"]);
}

#[test]
fn what_the_file_says_no_longer_is_taken_back() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let text = "listen 127.0.0.1:80\nserver 0 address 10.0.0.5\nserver 1 address 10.0.0.6\nblacklist 7\n";
    let (mut engine, pen) = started(&file, text);
    let text = "server 0 address 10.0.0.7\nserver 0 blacklist 30\nlog /b\nlisten 127.0.0.1:81\n";
    assert_eq!(again(&mut engine, &file, text), Ok(Vec::new()));
    let deeds = ["listen 127.0.0.1:81", "log /b", "settings", "servers 10.0.0.7:80 -", "blacklist 0 30"];
    assert_eq!(pen.deeds(), deeds);
}

#[test]
fn with_a_file_that_says_nothing_nobody_would_listen() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (mut engine, pen) = started(&file, "listen 127.0.0.1:80\nserver 0 address 10.0.0.5\n");
    for text in ["", "server 0 address 10.0.0.5\n", "service api\nlisten 127.0.0.1:80\nservice main\nhash\n"]
    {
        let trouble = again(&mut engine, &file, text).unwrap_err();
        assert!(trouble.starts_with(&format!("{file}: want a listening address")), "{trouble}");
    }
    assert_eq!(pen.deeds(), Vec::<String>::new());
    assert_eq!(engine.config().services.len(), 1);
}

#[test]
fn one_error_keeps_everything_old() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (mut engine, pen) = started(&file, "listen 127.0.0.1:80\nlog /a\n");
    pen.told_mut().broken.insert("/b".into());
    let before = engine.config().clone();
    for (text, trouble) in [
        ("blacklist 5\nserver 0 weight x\n", ":2: server 0: weight: "),
        ("blacklist 5\nlog /b\nlisten 127.0.0.1:80\n", "log: /b: broken"),
    ] {
        let got = again(&mut engine, &file, text).unwrap_err();
        assert!(got.contains(trouble), "{got}");
        assert_eq!(*engine.config(), before);
        assert_eq!(pen.deeds(), ["log /a"], "the log is opened again");
    }
    fs::remove_file(&file).unwrap();
    assert!(reload(&mut engine).unwrap_err().ends_with("no such file or directory"));
    assert_eq!(pen.deeds(), ["log /a"]);
    pen.told_mut().broken.insert("/a".into());
    assert_eq!(
        again(&mut engine, &file, &format!("{LISTEN}log /a\n")),
        Err(format!("{file}:2: log: /a: broken")),
        "the log cannot be opened again"
    );
    assert_eq!(pen.deeds(), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_together_is_refused_whichever_line_comes_first() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (mut engine, _pen) = started(&file, "http replace\n");
    for text in ["ssl_alpn h2,http/1.1\nhttp replace\n", "http replace\nssl_alpn http/1.1,h2\n"] {
        let trouble = again(&mut engine, &file, text).unwrap_err();
        assert!(trouble.contains("ssl_alpn: with http replace want no h2, or http replace h2"), "{trouble}");
    }
    for text in ["ssl_alpn h2\nhttp replace h2\n", "http append\n", "ssl_alpn http/1.1\nhttp replace\n"] {
        assert_eq!(again(&mut engine, &file, text), Ok(Vec::new()), "{text}");
    }
}

#[test]
fn what_only_start_can_change_is_said_and_stays() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (mut engine, pen) = started(&file, "threads 2\n");
    let warnings = again(&mut engine, &file, "threads 2\nthreads 3\nblacklist 9\n").unwrap();
    assert_eq!(warnings, [format!("{file}:2: threads: only at start: now 2")]);
    assert_eq!(engine.config().process.number(Number::Threads), 2);
    assert_eq!(pen.deeds(), ["settings"]);
}

#[test]
fn exit_in_the_file_ends_pen_on_reload_if_allowed() {
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    let (mut engine, pen) = started(&file, "exit\n");
    assert_eq!(reload(&mut engine), Ok(Vec::new()));
    assert_eq!(pen.deeds(), Vec::<String>::new());
    engine.config_mut().process.values.set_flag(Flag::ExitEnabled, true);
    assert_eq!(reload(&mut engine), Ok(Vec::new()));
    assert_eq!(pen.deeds().last().unwrap(), "stop");
}

#[test]
fn a_silent_name_server_holds_up_the_servers_of_the_file_only() {
    static GATE: Mutex<()> = Mutex::new(());
    let directory = TempDir::new();
    let file = directory.join("pen.conf").display().to_string();
    fs::write(&file, "listen 127.0.0.1:80\nlog /a\nserver 0 address old port 1\n").unwrap();
    let mut engine = Engine::with_lookup(Config::default(), |name| {
        drop(GATE.lock().unwrap());
        Ok([10, 0, 0, name.len() as u8].into())
    });
    engine.config_mut().process.values.set_text(Text::ConfigFile, Some(file.clone()));
    engine.carry_out(&request_of(&file).unwrap(), Door::File).unwrap();
    engine.settle().unwrap();
    let pen = FakePen::new();
    engine.start(pen.clone());
    let closed = GATE.lock().unwrap();
    let mut reload = Reload::new(Arc::new(|| {}));
    let before = engine.config().clone();
    let always = "listen 127.0.0.1:80\nlog /a\nserver 0 address old port 1\n";
    for (text, expected) in [
        ("server 0 max 5\n", Ok(vec!["; its last address stays in use"])),
        ("server 0 max 6\nserver 1 address new\nserver 2 address newer\n", Err(2)),
    ] {
        fs::write(&file, format!("{always}{text}")).unwrap();
        reload.begin(&mut engine, 1_000);
        assert_eq!(pen.deeds(), ["log /a"], "the log is opened at once");
        assert_eq!(
            (reload.finish(&mut engine, 1_000), reload.deadline_ms()),
            (None, Some(1_000 + LOOKUP_MS))
        );
        let outcome = reload.finish(&mut engine, 1_000 + LOOKUP_MS).expect("the end");
        match (outcome, expected) {
            (Ok(told), Ok(words)) => {
                assert!(told.iter().zip(&words).all(|(line, words)| line.ends_with(words)), "{told:?}");
                assert_eq!((told.len(), pen.deeds()), (1, vec!["servers 10.0.0.3:1:5".to_string()]));
            }
            (Err(told), Err(count)) => {
                let late = told.lines().filter(|line| line.contains("no answer from the name server"));
                assert_eq!((late.count(), pen.deeds()), (count, vec![]), "{told}");
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
    assert_eq!(engine.config().services[0].servers.len(), before.services[0].servers.len());
    reload.begin(&mut engine, 9_000);
    fs::write(&file, format!("{always}server 1 address new\n")).unwrap();
    reload.begin(&mut engine, 9_000);
    assert_eq!(pen.deeds(), ["log /a"]);
    drop(closed);
    let mut outcomes = Vec::new();
    while reload.is_under_way() {
        outcomes.extend(reload.finish(&mut engine, 9_000));
        reload.lookups.wait(Duration::from_millis(10));
    }
    assert_eq!(outcomes, [Ok(vec![]), Ok(vec![])], "once more, for the file has changed");
    let there = engine.config().services[0].servers.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(there, [true, true, false], "of the third file");
}

#[test]
fn without_a_file_the_log_is_reopened() {
    let mut engine = Engine::new(Config::default());
    engine.start(FakePen::new());
    assert_eq!(reload(&mut engine), Ok(Vec::new()));
}
