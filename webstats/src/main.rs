//! webstats: what pen does, as a web page. From cron it writes a file, as CGI it answers one visit, with `--listen` it is
//! a small web server of its own.
//!
//! Owns the exit status and what is said on standard error. The way of the figures, whichever use it is: `sources`
//! (`control`, `page_file`) → `watch` and `history` → `series` → `chart` and `page`.
#![forbid(unsafe_code)]

mod archive;
mod cgi;
mod chart;
mod control;
mod health;
mod history;
mod live;
mod options;
mod page;
mod page_file;
mod series;
mod sources;
mod watch;

use options::{Request, Settings};
use pen_sys::files;
use pen_sys::program::Program;
use std::path::Path;
use std::process::ExitCode;
use watch::{Audience, Watch};

const PROGRAM: Program = Program("webstats");

fn main() -> ExitCode {
    // Set by every web server, and by nothing else.
    if std::env::var_os("GATEWAY_INTERFACE").is_some() {
        return answer_as_cgi();
    }
    PROGRAM.obey(options::parse, |request| match request {
        Request::Help => PROGRAM.print(options::USAGE),
        Request::Version => PROGRAM.print_version(),
        Request::Write(settings, output) => write(settings, &output),
        Request::Listen(settings, address) => match live::run(settings, &address) {
            Ok(never) => match never {},
            Err(error) => PROGRAM.fail(&error),
        },
    })
}

fn answer_as_cgi() -> ExitCode {
    let response = cgi::respond(|name| std::env::var(name).ok());
    for complaint in &response.complaints {
        PROGRAM.say(complaint);
    }
    // A visitor who left takes nothing more.
    PROGRAM.print(&response.output)
}

/// For cron: the page is written even when a pen does not answer, and then says so; the exit status says it as well.
fn write(settings: Settings, output: &Path) -> ExitCode {
    let history_file = settings.history.as_deref();
    let (history, warning) = match history_file.map_or(Ok(Default::default()), archive::load) {
        Ok(loaded) => loaded,
        Err(error) => return PROGRAM.fail(&error),
    };
    let mut watch = Watch::new(settings.sources, history, settings.timeout_seconds);
    watch.ask();
    let page = watch.page(Audience::Operator, settings.refresh_seconds, None);
    let written = files::write_atomically(output, page.as_bytes(), files::MODE)
        .map_err(|error| format!("{}: {error}", output.display()));
    let stored = history_file.map_or(Ok(()), |file| archive::store(file, watch.history()));
    warning.iter().for_each(|warning| PROGRAM.say(warning));
    let mut exit = ExitCode::SUCCESS;
    for trouble in watch.troubles().map(str::to_string).chain(written.err()).chain(stored.err()) {
        exit = PROGRAM.fail(&trouble);
    }
    exit
}
