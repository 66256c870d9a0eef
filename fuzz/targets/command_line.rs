//! The language: no line makes the parser panic, whatever door it comes through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::settings::Config;
use pen_proto::parse::parse_line;

fuzz_target!(|line: &str| {
    if let Ok(Some(command)) = parse_line(line) {
        let _ = Config::default().apply(&command);
    }
});
