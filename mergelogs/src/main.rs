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

use std::process::ExitCode;

use options::{Request, Settings};
use output::Failure;
use pen_sys::program::Program;

const PROGRAM: Program = Program("mergelogs");

fn main() -> ExitCode {
    PROGRAM.obey(options::parse, |request| match request {
        Request::Help => PROGRAM.print(options::USAGE),
        Request::Version => PROGRAM.print_version(),
        Request::Merge(settings) => merge(&settings),
    })
}

fn merge(settings: &Settings) -> ExitCode {
    match merge::run(settings) {
        Ok(counts) => {
            let summary = if settings.summary { counts.summary() } else { Vec::new() };
            for sentence in counts.warnings().into_iter().chain(summary) {
                PROGRAM.say(sentence);
            }
            ExitCode::SUCCESS
        }
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => PROGRAM.fail(&error),
    }
}
