//! The command line.
//!
//! Owns letters, usage text and the messages about wrong arguments. Pure; called by `main`.

use crate::sources::{Place, Source};
use getopts::Options;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub const USAGE: &str = "\
Usage: webstats -p PIDFILE -w PAGE [-o FILE] [option ...]
       webstats -c ADDRESS -o FILE [option ...]
       webstats --listen ADDRESS -c ADDRESS [option ...]

Makes a web page of what pen does: how its servers are, the last day as curves,
who the busiest clients are. Once, for cron; or, with --listen, as a small web
server; or, called by a web server, as a CGI program.

  -p, --pid [NAME=]PIDFILE      a pen that is told to write its page (USR1)
  -w, --page PAGE               the page that it writes (pen -w PAGE); without
                                -p the page is read as it is
  -c, --control [NAME=]ADDRESS  a pen that is asked on its control socket, a
                                path or HOST:PORT (pen -C ADDRESS)
  -o, --output FILE             write the page here [PAGE, in the place of
                                pen's own]
  -H, --history FILE            remember the last day here [FILE of -o, with
                                .history added]
  -t, --timeout SECONDS         how long a pen may take to answer [10]
  -r, --refresh SECONDS         browsers fetch the page again after so long
                                [with --listen 5, otherwise never]
      --listen ADDRESS          serve the page at HOST:PORT, for example
                                127.0.0.1:8081; beside it /status.json,
                                /metrics, /healthz and /readyz
      --help                    this text
      --version                 name and version

-p and -c may be repeated to show several pens on one page; the first -w is for
the first -p, and so on. As CGI, webstats takes WEBSTATS_CONTROL, WEBSTATS_PID,
WEBSTATS_PAGE, WEBSTATS_HISTORY, WEBSTATS_TIMEOUT and WEBSTATS_REFRESH from the
environment.
";

const TIMEOUT_SECONDS_DEFAULT: u32 = 10;
/// With `--listen`.
pub const REFRESH_SECONDS_DEFAULT: u32 = 5;
/// A day. More is a slip of the finger.
const SECONDS_MAX: u32 = 86_400;
/// Each is asked by a thread of its own.
pub const SOURCES_MAX: usize = 64;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    /// Write a page and end.
    Write(Settings, PathBuf),
    /// Serve pages at this address until a signal comes.
    Listen(Settings, String),
}

/// What both ways to run need.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub sources: Vec<Source>,
    pub history: Option<PathBuf>,
    pub timeout_seconds: u32,
    pub refresh_seconds: Option<u32>,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence that names the argument and what is wrong with it.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut letters = Options::new();
    letters.optmulti("p", "pid", "", "").optmulti("w", "page", "", "").optmulti("c", "control", "", "");
    letters.optopt("o", "output", "", "").optopt("H", "history", "", "");
    letters.optopt("t", "timeout", "", "").optopt("r", "refresh", "", "");
    letters.optopt("", "listen", "", "").optflag("", "help", "").optflag("", "version", "");
    let given = letters.parse(arguments).map_err(|error| error.to_string())?;
    if given.opt_present("help") {
        return Ok(Request::Help);
    }
    if given.opt_present("version") {
        return Ok(Request::Version);
    }
    if let Some(word) = given.free.first() {
        return Err(format!("what is \"{word}\"?"));
    }
    let seconds_of =
        |letter: &str| given.opt_str(letter).map(|text| seconds(&format!("-{letter}"), &text)).transpose();
    let (controls, pids, mut pages) = (given.opt_strs("c"), given.opt_strs("p"), given.opt_strs("w"));
    let mut output = given.opt_str("o").map(PathBuf::from);
    let listen = given.opt_str("listen");
    if listen.is_some() && output.is_some() {
        return Err("--listen serves the page: leave -o out".into());
    }
    if let (None, None, [page]) = (&listen, &output, pages.as_slice()) {
        output = Some(page.into());
        if pids.is_empty() && !controls.is_empty() {
            // Nobody but webstats writes this page.
            pages.clear();
        }
    }
    let mut settings = Settings {
        sources: sources(&controls, &pids, &pages)?,
        history: given.opt_str("H").map(PathBuf::from),
        timeout_seconds: seconds_of("t")?.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
        refresh_seconds: seconds_of("r")?,
    };
    match (listen, output) {
        (Some(address), _) => {
            settings.refresh_seconds.get_or_insert(REFRESH_SECONDS_DEFAULT);
            Ok(Request::Listen(settings, address))
        }
        (None, Some(output)) => {
            settings.history.get_or_insert_with(|| beside(&output));
            Ok(Request::Write(settings, output))
        }
        (None, None) => Err("where to? Say -o FILE".into()),
    }
}

/// Reads what a web server's configuration sets for a CGI program, by a function that looks up a variable.
///
/// # Errors
/// A sentence for the web server's error log.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let words = |name| -> Vec<String> {
        variable(name).unwrap_or_default().split_whitespace().map(str::to_string).collect()
    };
    let seconds_of = |name| variable(name).map(|text| seconds(name, &text)).transpose();
    let [controls, pids, pages] = ["WEBSTATS_CONTROL", "WEBSTATS_PID", "WEBSTATS_PAGE"].map(words);
    let sources = sources(&controls, &pids, &pages).map_err(|reason| {
        format!("{reason} (WEBSTATS_CONTROL for -c, WEBSTATS_PID for -p, WEBSTATS_PAGE for -w)")
    })?;
    Ok(Settings {
        sources,
        history: variable("WEBSTATS_HISTORY").map(PathBuf::from),
        timeout_seconds: seconds_of("WEBSTATS_TIMEOUT")?.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
        refresh_seconds: seconds_of("WEBSTATS_REFRESH")?,
    })
}

/// Where the pens are, in the order of `controls`, then of `pids` and `pages`, which belong together.
fn sources(controls: &[String], pids: &[String], pages: &[String]) -> Result<Vec<Source>, String> {
    let control = |text: &String| named(text, |address| Place::Control(address.to_string()));
    let mut sources: Vec<Source> = controls.iter().map(control).collect();
    if pids.is_empty() {
        sources.extend(
            pages.iter().map(|page| named(page, |page| Place::Page { pid_file: None, page: page.into() })),
        );
    } else if pids.len() != pages.len() {
        return Err(format!("{} of -p but {} of -w: say -w PAGE for every -p", pids.len(), pages.len()));
    } else {
        sources.extend(pids.iter().zip(pages).map(|(pid, page)| {
            named(pid, |pid| Place::Page { pid_file: Some(pid.into()), page: page.into() })
        }));
    }
    name_the_rest(&mut sources);
    match sources.len() {
        0 => return Err("which pen? Say -c ADDRESS, or -p PIDFILE and -w PAGE".into()),
        count if count > SOURCES_MAX => {
            return Err(format!("{count} pens are too many for one page, want at most {SOURCES_MAX}"));
        }
        _ => {}
    }
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|other| other.name == source.name) {
            return Err(format!("two pens have the name \"{}\": say NAME=", source.name));
        }
    }
    Ok(sources)
}

/// `NAME=REST`. A name has no slash, so that a path may contain an equals sign.
fn named(text: &str, place: impl Fn(&str) -> Place) -> Source {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && !name.contains('/') => {
            Source { name: name.into(), place: place(rest) }
        }
        _ => Source { name: String::new(), place: place(text) },
    }
}

/// A pen among several is called by its place when it has no name.
fn name_the_rest(sources: &mut [Source]) {
    if sources.len() > 1 {
        for source in sources.iter_mut().filter(|source| source.name.is_empty()) {
            source.name = source.place.to_string();
        }
    }
}

/// Where the last day is remembered unless the user says otherwise.
fn beside(output: &Path) -> PathBuf {
    let mut path = output.as_os_str().to_os_string();
    path.push(".history");
    path.into()
}

fn seconds(option: &str, text: &str) -> Result<u32, String> {
    match u32::from_str(text) {
        Ok(seconds @ 1..=SECONDS_MAX) => Ok(seconds),
        _ => Err(format!("{option}: want a number of seconds from 1 to {SECONDS_MAX}, got \"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn parsed(arguments: &str) -> Result<Request, String> {
        parse(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn written(arguments: &str) -> (Settings, String) {
        match parsed(arguments) {
            Ok(Request::Write(settings, output)) => (settings, output.display().to_string()),
            other => panic!("{arguments}: {other:?}"),
        }
    }

    fn page(name: &str, pid_file: Option<&str>, page: &str) -> Source {
        let place = Place::Page { pid_file: pid_file.map(PathBuf::from), page: page.into() };
        Source { name: name.into(), place }
    }

    fn control(name: &str, address: &str) -> Source {
        Source { name: name.into(), place: Place::Control(address.into()) }
    }

    #[test]
    fn the_page_of_pen_is_replaced_unless_another_is_named() {
        let (settings, output) = written("-p /run/pen.pid -w /www/pen.html");
        assert_eq!(settings.sources, [page("", Some("/run/pen.pid"), "/www/pen.html")]);
        assert_eq!((output.as_str(), settings.timeout_seconds), ("/www/pen.html", 10));
        assert_eq!(settings.history, Some("/www/pen.html.history".into()));
        assert_eq!(settings.refresh_seconds, None);
        let (settings, output) =
            written("-p pen.pid -w /www/pen.html -o /www/index.html -H /var/h -t 3 -r 60");
        assert_eq!((output.as_str(), settings.timeout_seconds), ("/www/index.html", 3));
        assert_eq!((settings.history, settings.refresh_seconds), (Some("/var/h".into()), Some(60)));
    }

    #[test]
    fn a_page_without_a_pid_file_is_read_as_it_is() {
        assert_eq!(written("-w pen.html").0.sources, [page("", None, "pen.html")]);
        assert_eq!(written("-w pen.html").1, "pen.html");
    }

    #[test]
    fn with_a_control_socket_the_page_is_only_written() {
        let (settings, output) = written("-c /run/pen.ctl -w /www/pen.html");
        assert_eq!((settings.sources, output.as_str()), (vec![control("", "/run/pen.ctl")], "/www/pen.html"));
        assert_eq!(written("--control localhost:8888 -o x").0.sources, [control("", "localhost:8888")]);
    }

    #[test]
    fn several_pens_have_names() {
        let (settings, _) =
            written("-c a=/run/a.ctl -c /run/x=y -p b=b.pid -p c.pid -w b.html -w c.html -o o");
        assert_eq!(
            settings.sources,
            [
                control("a", "/run/a.ctl"),
                control("/run/x=y", "/run/x=y"),
                page("b", Some("b.pid"), "b.html"),
                page("c.html", Some("c.pid"), "c.html"),
            ]
        );
    }

    #[test]
    fn listening_needs_no_file() {
        let Ok(Request::Listen(settings, address)) = parsed("--listen 127.0.0.1:8081 --control /run/pen.ctl")
        else {
            panic!();
        };
        assert_eq!(
            (address.as_str(), settings.refresh_seconds, settings.history),
            ("127.0.0.1:8081", Some(5), None)
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (arguments, expected) in [
            ("", "which pen? Say -c ADDRESS, or -p PIDFILE and -w PAGE"),
            ("-c /run/pen.ctl", "where to? Say -o FILE"),
            ("-c a -c b -w x -w y", "where to? Say -o FILE"),
            ("-p pen.pid -o x", "1 of -p but 0 of -w: say -w PAGE for every -p"),
            ("-c x=a -c x=b -o y", "two pens have the name \"x\": say NAME="),
            ("-c a -o x -t 0", "-t: want a number of seconds from 1 to 86400, got \"0\""),
            ("-c a -o x -r soon", "-r: want a number of seconds from 1 to 86400, got \"soon\""),
            ("-c a -o x y", "what is \"y\"?"),
            ("-c a -o x --listen 8081", "--listen serves the page: leave -o out"),
            ("-q", "Unrecognized option: 'q'"),
        ] {
            assert_eq!(parsed(arguments), Err(expected.to_owned()), "{arguments}");
        }
        let many: String = (0..65).map(|n| format!("-c {n} ")).collect();
        assert_eq!(
            parsed(&format!("{many} -o x")),
            Err("65 pens are too many for one page, want at most 64".into())
        );
    }

    #[test]
    fn a_web_server_configures_by_its_environment() {
        let variables = HashMap::from([
            ("WEBSTATS_CONTROL", "a=/run/a.ctl b=/run/b.ctl"),
            ("WEBSTATS_HISTORY", "/var/lib/history"),
            ("WEBSTATS_TIMEOUT", "2"),
        ]);
        let settings = from_environment(|name| variables.get(name).map(|value| value.to_string())).unwrap();
        assert_eq!(settings.sources, [control("a", "/run/a.ctl"), control("b", "/run/b.ctl")]);
        assert_eq!((settings.timeout_seconds, settings.history), (2, Some("/var/lib/history".into())));
        assert_eq!(
            from_environment(|_| None).unwrap_err(),
            "which pen? Say -c ADDRESS, or -p PIDFILE and -w PAGE (WEBSTATS_CONTROL for -c, WEBSTATS_PID for -p, \
             WEBSTATS_PAGE for -w)"
        );
    }

    #[test]
    fn the_manual_page_has_every_option_and_every_variable() {
        let page = include_str!("../../docs/man/webstats.1");
        let lines = USAGE.lines().filter_map(|line| line.trim_start().strip_prefix('-'));
        let words: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
        assert!(words.len() >= 10, "{words:?}");
        for word in words {
            let item = match word.strip_prefix('-') {
                Some(long) => format!(".It Fl Fl {long}"),
                None => format!(".It Fl {} , Fl Fl ", word.trim_end_matches(',')),
            };
            assert!(page.lines().any(|line| line.starts_with(&item)), "{item}");
        }
        for name in ["CONTROL", "PID", "PAGE", "HISTORY", "TIMEOUT", "REFRESH"] {
            let name = format!("WEBSTATS_{name}");
            assert!(USAGE.contains(&name) && page.contains(&name), "{name}");
        }
    }
}
