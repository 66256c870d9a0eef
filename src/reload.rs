//! SIGHUP: reopens the log, reads the file of countries and the configuration file again, the latter on top of what is
//! configured now.
//!
//! Additive, as in Pen: a server that left the file stays. All or nothing: with one error in the file the old
//! configuration stays as it is; the log is opened again all the same, because somebody may have moved it. Called by the
//! main loop, which says what is returned here.

use crate::config;
use crate::control::apply::{Engine, Placed, Request, Running};
use crate::control::guarded::guarded;

/// Reloads; returns what the operator should know although it worked, such as settings that can only change at start.
///
/// # Errors
///
/// Everything that is wrong, a line each, with its place. Then no setting has changed, and a log that cannot be opened
/// is still the old one.
pub fn reload<R: Running>(engine: &mut Engine<R>) -> Result<Vec<String>, String> {
    let nothing = Request { commands: Vec::new() };
    let read = || engine.config().config_file.as_deref().map_or(Ok(nothing.clone()), request_of);
    let request = guarded(read).map_err(String::from);
    let done = request.and_then(|request| engine.carry_out_reload(&request));
    done.map(|done| done.warnings).map_err(|trouble| match engine.carry_out_reload(&nothing) {
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
    let commands = config::read(file).map_err(|errors| errors.to_string())?;
    let commands = commands.into_iter().map(|(place, command)| Placed { place: Some(place), command });
    Ok(Request { commands: commands.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::apply::Door;
    use crate::control::fake::FakePen;
    use crate::settings::Config;
    use crate::test_dir::TestDir;
    use pen_proto::commands::{Flag, Number};
    use std::fs;

    /// A pen that runs, started with `text` in its configuration file.
    fn started(file: &str, text: &str) -> (Engine<FakePen>, FakePen) {
        fs::write(file, text).unwrap();
        let mut engine = Engine::with_lookup(Config::default(), |_| Ok([10, 0, 0, 1].into()));
        engine.config_mut().config_file = Some(file.into());
        engine.carry_out(&request_of(file).unwrap(), Door::File).unwrap();
        engine.settle().unwrap();
        let pen = FakePen::new();
        engine.start(pen.clone());
        (engine, pen)
    }

    fn again(engine: &mut Engine<FakePen>, file: &str, text: &str) -> Result<Vec<String>, String> {
        fs::write(file, text).unwrap();
        reload(engine)
    }

    #[test]
    fn an_unchanged_file_only_reopens_the_log() {
        let directory = TestDir::new();
        let file = directory.join("pen.conf").display().to_string();
        let text =
            "listen 127.0.0.1:80\nlog /a\nno acl 1\nacl 1 permit 10.0.0.0/8\nserver 0 address backend\n";
        let (mut engine, pen) = started(&file, text);
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
        assert_eq!(pen.deeds(), ["log /a"]);
    }

    #[test]
    fn the_file_acts_on_top_of_what_is() {
        let directory = TestDir::new();
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
        let directory = TestDir::new();
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
    fn what_only_start_can_change_is_said_and_stays() {
        let directory = TestDir::new();
        let file = directory.join("pen.conf").display().to_string();
        let (mut engine, pen) = started(&file, "threads 2\n");
        let warnings = again(&mut engine, &file, "threads 2\nthreads 3\nblacklist 9\n").unwrap();
        assert_eq!(warnings, [format!("{file}:2: threads: only at start: now 2")]);
        assert_eq!(engine.config().settings.number(Number::Threads), 2);
        assert_eq!(pen.deeds(), ["settings"]);
    }

    #[test]
    fn exit_in_the_file_ends_pen_on_reload_if_allowed() {
        let directory = TestDir::new();
        let file = directory.join("pen.conf").display().to_string();
        let (mut engine, pen) = started(&file, "exit\n");
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
        assert_eq!(pen.deeds(), Vec::<String>::new());
        engine.config_mut().settings.set_flag(Flag::ExitEnabled, true);
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
        assert_eq!(pen.deeds().last().unwrap(), "stop");
    }

    #[test]
    fn without_a_file_the_log_is_reopened() {
        let mut engine = Engine::new(Config::default());
        engine.start(FakePen::new());
        assert_eq!(reload(&mut engine), Ok(Vec::new()));
    }
}
