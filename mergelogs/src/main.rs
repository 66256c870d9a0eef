//! mergelogs: the access logs of the web servers behind pen, merged, with the real clients put back.
//!
//! Owns the exit status and what is said on standard error. The way of a line: `input` → `web_logs` (order)
//! → `pen_log` and `window` (client) → `output`; `merge` wires them.
#![forbid(unsafe_code)]

mod input;
mod merge;
mod options;
mod output;
mod pen_log;
mod progress;
mod summary;
mod web_logs;
mod window;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use options::{Request, Settings};
use output::Failure;
use pen_proto::escape::Escaped;

fn main() -> ExitCode {
    let arguments: Vec<String> = match std::env::args_os().skip(1).map(|word| word.into_string()).collect() {
        Ok(arguments) => arguments,
        Err(word) => return fail(&format!("{}: not UTF-8", word.display())),
    };
    match options::parse(&arguments) {
        Ok(Request::Help) => print(options::USAGE),
        Ok(Request::Version) => print(concat!("mergelogs (pen) ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Request::Merge(settings)) => merge(&settings),
        Err(error) => fail(&format!("{error}\ntry --help")),
    }
}

fn merge(settings: &Settings) -> ExitCode {
    match merge::run(settings) {
        Ok(counts) => {
            let summary = if settings.summary { counts.summary() } else { Vec::new() };
            for sentence in counts.warnings().into_iter().chain(summary) {
                say(sentence);
            }
            ExitCode::SUCCESS
        }
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => fail(&error),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("standard output: {error}")),
    }
}

fn fail(error: &str) -> ExitCode {
    say(error);
    ExitCode::FAILURE
}

/// Says something on standard error, line by line: names of files may hold anything. That nobody hears it is no reason
/// to stop.
fn say(text: impl Display) {
    for line in text.to_string().lines() {
        let _ = writeln!(io::stderr(), "mergelogs: {}", Escaped(line));
    }
}
