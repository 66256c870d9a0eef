//! The language: no line makes the parser panic, whatever door it comes through, and what is written of the words of a
//! line is read as the same words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::settings::Config;
use pen_proto::parse;
use pen_proto::words::{split, written};

fuzz_target!(|text: &str| {
    if let Ok(words) = split(text) {
        let again = words.iter().map(|word| written(word)).collect::<Vec<_>>().join(" ");
        assert_eq!(split(&again).expect("words in quotes"), words);
    }
    let Ok(Some(line)) = parse::line(text) else { return };
    let mut config = Config::default();
    let service = line.service.as_ref().map(|name| name.as_str());
    service.map(|name| config.make_service(name));
    if let Some(command) = &line.command {
        let _ = config.apply(service, command, 0);
    }
});
