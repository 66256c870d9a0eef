//! SIGHUP: reopens the log, reads the file of countries and the configuration file again, the latter on top of what is
//! configured now.
//!
//! Additive, as in Pen: a server that left the file stays. All or nothing: with one error in the file the old
//! configuration stays as it is; the log is opened again all the same, because somebody may have moved it. Called by the
//! main loop, which says what is returned here. Names are looked up meanwhile: the main loop goes on.

use crate::config;
use crate::control::apply::{Engine, Request, Running};
use crate::control::guarded::guarded;
use crate::control::lookups::{Bell, Found, LOOKUP_MS, Lookups};
use pen_proto::commands::Text;

/// A reload under way, if there is one: it may have to wait for name servers, and nobody else waits for it.
pub struct Reload {
    lookups: Lookups,
    waiting: Option<Waiting>,
}

struct Waiting {
    /// What the file says.
    request: Result<Request, String>,
    /// Whether the log is still to be opened again.
    log: bool,
    /// Asked for once more meanwhile: the file may have changed.
    once_more: bool,
}

/// What the operator should know of a reload: settings that can only change at start and the like; or everything that is
/// wrong, a line each, with its place. Then no setting has changed, and a log that cannot be opened is still the old one.
pub type Outcome = Result<Vec<String>, String>;

impl Reload {
    /// `bell` rings when [`Reload::finish`] may have something to do.
    pub fn new(bell: Bell) -> Reload {
        Reload { lookups: Lookups::new(bell), waiting: None }
    }

    /// Reads the file, and has the names looked up that are in it or in use. [`Reload::finish`] does the rest.
    pub fn begin<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) {
        if let Some(waiting) = &mut self.waiting {
            waiting.once_more = true;
            return;
        }
        let nothing = Request::default();
        let read = || engine.config().process.text(Text::ConfigFile).map_or(Ok(nothing.clone()), request_of);
        let request = guarded(read).map_err(String::from);
        let known = request.as_ref().unwrap_or(&nothing);
        let names = engine.names_of_reload(known);
        let log = names.is_empty() || !engine.reopen_log(known);
        self.lookups.ask(names, engine.lookup(), now_ms, LOOKUP_MS);
        self.waiting = Some(Waiting { request, log, once_more: false });
    }

    /// Reloads if everything is known that can be known in time; never waits.
    pub fn finish<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) -> Option<Outcome> {
        let (_, found) = self.lookups.collect(now_ms).pop()?;
        let Waiting { request, log, once_more } = self.waiting.take()?;
        let outcome = carry_out(engine, request, log, found);
        if once_more {
            self.begin(engine, now_ms);
        }
        Some(outcome)
    }

    /// Whether there is one under way.
    pub fn is_under_way(&self) -> bool {
        self.waiting.is_some()
    }

    /// When [`Reload::finish`] has something to do at the latest.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.lookups.deadline_ms()
    }
}

fn carry_out<R: Running>(
    engine: &mut Engine<R>,
    request: Result<Request, String>,
    log: bool,
    found: Found,
) -> Outcome {
    let kept = engine.learn_again(found);
    let done = request.and_then(|request| {
        let kept = kept?;
        let done = engine.carry_out_reload(&request, log)?;
        Ok([kept, done.warnings].concat())
    });
    let nothing = Request::default();
    done.map_err(|trouble| match engine.carry_out_reload(&nothing, log) {
        Err(more) if more != trouble => format!("{trouble}\n{more}"),
        Err(_) => trouble,
        Ok(done) => [vec![trouble], done.warnings].concat().join("\n"),
    })
}

/// The commands of a configuration file, to be carried out together.
///
/// # Errors
///
/// Everything that is wrong, a line each, with its place.
pub fn request_of(file: &str) -> Result<Request, String> {
    let commands = config::read(file, None).map_err(|errors| errors.to_string())?;
    Ok(Request { commands, header: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::apply::Door;
    use crate::control::fake::FakePen;
    use crate::settings::{Config, MAIN};
    use crate::tempdir::TempDir;
    use pen_proto::commands::{Flag, Number};
    use std::fs;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A pen that runs, started with `text` in its configuration file.
    fn started(file: &str, text: &str) -> (Engine<FakePen>, FakePen) {
        fs::write(file, text).unwrap();
        let mut engine = Engine::with_lookup(Config::default(), |_| Ok([10, 0, 0, 1].into()));
        engine.config_mut().process.values.set_text(Text::ConfigFile, Some(file.into()));
        engine.config_mut().make_service(MAIN);
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
        let text =
            "listen 127.0.0.1:80\nlog /a\nno acl 1\nacl 1 permit 10.0.0.0/8\nserver 0 address backend\n";
        let (mut engine, pen) = started(&file, text);
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
        assert_eq!(pen.deeds(), ["log /a"]);
    }

    #[test]
    fn the_file_acts_on_top_of_what_is() {
        let directory = TempDir::new();
        let file = directory.join("pen.conf").display().to_string();
        let (mut engine, pen) =
            started(&file, "listen 127.0.0.1:80\nserver 0 address 10.0.0.5\nserver 1 address 10.0.0.6\n");
        let text = "server 0 address 10.0.0.7\nserver 1 blacklist 30\nlog /b\nlisten 127.0.0.1:81\n";
        assert_eq!(again(&mut engine, &file, text), Ok(Vec::new()));
        let deeds = ["listen 127.0.0.1:81", "log /b", "servers 10.0.0.7:80 10.0.0.6:80", "blacklist 1 30"];
        assert_eq!(pen.deeds(), deeds);
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
            ("blacklist 5\nlog /b\n", "log: /b: broken"),
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
            again(&mut engine, &file, ""),
            Err("log: /a: broken".into()),
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
            assert!(
                trouble.contains("ssl_alpn: with http replace want no h2, or http replace h2"),
                "{trouble}"
            );
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
        for (text, expected) in [
            ("server 0 max 5\n", Ok(vec!["; its last address stays in use"])),
            ("server 0 max 6\nserver 1 address new\nserver 2 address newer\n", Err(2)),
        ] {
            fs::write(&file, text).unwrap();
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
        fs::write(&file, "server 1 address new\n").unwrap();
        reload.begin(&mut engine, 9_000);
        assert_eq!(pen.deeds(), ["log /a"]);
        drop(closed);
        let mut outcomes = Vec::new();
        while reload.is_under_way() {
            outcomes.extend(reload.finish(&mut engine, 9_000));
            reload.lookups.wait(Duration::from_millis(10));
        }
        assert_eq!(outcomes, [Ok(vec![]), Ok(vec![])], "once more, for the file has changed");
        assert_eq!(engine.config().services[0].servers.len(), 3, "of the second file and of the third");
    }

    #[test]
    fn without_a_file_the_log_is_reopened() {
        let mut engine = Engine::new(Config::default());
        engine.start(FakePen::new());
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
    }
}
