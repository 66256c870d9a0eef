//! Every command parsed and carried out, as a control client gives it, on a pen that only remembers what it was told: no
//! line is an internal error, and one that is refused changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen::testing::apply::{self, Door, Engine};
use pen::testing::plan;
use pen_core::settings::{self, Config};
use pen_proto::commands::{Action, Address, AddressValue, Assignment, Command, ROWS, Text};

#[path = "../../src/control/fake.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod fake;

/// What would read or write files of the machine, which the fake pen has not.
fn is_about_files(command: &Command) -> bool {
    matches!(
        command,
        Command::Do(Action::Include(_) | Action::Write(_))
            | Command::Set(Assignment::Text(Text::Geoip | Text::WebStats, _))
    )
}

/// The first byte may stand for a command, so that those with long names come up.
fn line(bytes: &[u8]) -> String {
    let (word, rest) = match bytes.split_first() {
        Some((first, rest)) if usize::from(*first) >= 0x80 => {
            (ROWS[usize::from(*first - 0x80) % ROWS.len()].word, rest)
        }
        _ => ("", bytes),
    };
    format!("{word} {}", String::from_utf8_lossy(rest))
}

fuzz_target!(|bytes: &[u8]| {
    let mut engine = Engine::with_lookup(Config::default(), |name| match name.len() {
        1..8 => Ok([10, 0, 0, name.len() as u8].into()),
        _ => Err(format!("no host {name}")),
    });
    let main = engine.config_mut().make_service(settings::MAIN);
    main.values.set_address(Address::Listen, AddressValue::listen("127.0.0.1:80").ok());
    engine.settle().expect("an address");
    engine.start(fake::FakePen::new());
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')).map(line) {
        let before = engine.config().clone();
        let done = engine.understand(&line, None).and_then(|request| {
            if request.commands.iter().any(|placed| is_about_files(&placed.command)) {
                return Ok(());
            }
            let found = request.names().into_iter().map(|name| (name.clone(), engine.lookup()(&name)));
            engine.learn(found.collect())?;
            engine.carry_out(&request, Door::Control).map(drop)
        });
        if let Err(trouble) = done {
            assert!(!trouble.contains("internal error"), "{line:?}: {trouble}");
            assert_eq!(engine.config(), &before, "{line:?}: {trouble}");
        }
    }
});
