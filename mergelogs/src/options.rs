//! The command line.
//!
//! Owns letters, usage text and the messages about wrong arguments. Pure; called by `main`.

use std::net::IpAddr;

use getopts::Options;
use pen_sys::program::number;

pub const USAGE: &str = "\
Usage: mergelogs -p penlog [options] server:logfile ...

Merges the access logs of the web servers behind pen in order of time and puts
the real clients in the place of the load balancer. Logs may be compressed with
gzip; one of them may be -, standard input.

  -p penlog         log of pen, may be repeated
  -o file           write here, not to standard output; appears when complete
  -r file           write lines that fit no access log format here
  -j jitter         greatest difference in seconds between the time stamps of
                    pen and the web servers [600]
  -t seconds        difference between local time and UTC; only needed where
                    pen's log was written by a clock that was off
  -c                keep all of the pen log in memory and ignore the jitter
  -v                say on standard error what was found, and what was not
  -d                name the lines left out (repeat: and those without client)
      --help        this text
      --version     name and version
  server:logfile    address of a web server, as in the pen log, and its access
                    log; an IPv6 address in brackets: [2001:db8::6]:access.log
";

/// Pen's own default, although its usage text claims 2.
const JITTER_SECONDS_DEFAULT: u32 = 600;

const SECONDS: &str = "a number of seconds";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    Merge(Settings),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub pen_logs: Vec<String>,
    pub web_logs: Vec<WebLogSpec>,
    /// `None` with `-c`.
    pub jitter_seconds: Option<u32>,
    /// `-t`: `None` when not given.
    pub local_offset_seconds: Option<i64>,
    /// `None`: standard output.
    pub output: Option<String>,
    pub rejects: Option<String>,
    pub summary: bool,
    /// 0, 1: name lines left out, 2: name lines without a client too.
    pub debug: usize,
}

/// `server:logfile`.
#[derive(Debug, PartialEq, Eq)]
pub struct WebLogSpec {
    /// As in the pen log: an IPv6 address in its one shortest form.
    pub server: String,
    pub file: String,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence that names the argument and what is wrong with it.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut letters = Options::new();
    letters.optmulti("p", "", "", "").optflagmulti("c", "", "").optflagmulti("d", "", "");
    letters.optflagmulti("v", "", "").optmulti("j", "", "", "").optmulti("t", "", "", "");
    letters.optopt("o", "", "", "").optopt("r", "", "", "");
    // Accepted and ignored, as by Pen.
    letters.optmulti("a", "", "", "");
    letters.optflag("", "help", "").optflag("", "version", "");
    let given = letters.parse(arguments).map_err(|error| error.to_string())?;
    if given.opt_present("help") {
        return Ok(Request::Help);
    }
    if given.opt_present("version") {
        return Ok(Request::Version);
    }
    let jitter_seconds = match given.opt_strs("j").pop() {
        Some(text) => number("-j", SECONDS, &text)?,
        None => JITTER_SECONDS_DEFAULT,
    };
    let local_offset_seconds =
        given.opt_strs("t").pop().map(|text| number::<i32>("-t", SECONDS, &text)).transpose()?;
    let settings = Settings {
        pen_logs: given.opt_strs("p"),
        web_logs: given.free.iter().map(|text| parse_web_log_spec(text)).collect::<Result<_, _>>()?,
        jitter_seconds: (!given.opt_present("c")).then_some(jitter_seconds),
        local_offset_seconds: local_offset_seconds.map(i64::from),
        output: given.opt_str("o"),
        rejects: given.opt_str("r"),
        summary: given.opt_present("v"),
        debug: given.opt_count("d"),
    };
    settings.check()?;
    Ok(Request::Merge(settings))
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        if self.pen_logs.is_empty() {
            return Err("no pen log given: -p penlog".to_owned());
        }
        if self.web_logs.is_empty() {
            return Err("no web server log given: server:logfile".to_owned());
        }
        let names = self.pen_logs.iter().chain(self.web_logs.iter().map(|spec| &spec.file));
        if names.filter(|name| *name == "-").count() > 1 {
            return Err("standard input (-) can be read only once".to_owned());
        }
        Ok(())
    }
}

fn parse_web_log_spec(text: &str) -> Result<WebLogSpec, String> {
    let split = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':'),
    };
    match split {
        Some((server, file)) if !server.is_empty() && !file.is_empty() => {
            let server = server.parse().map_or(server.to_owned(), |address: IpAddr| address.to_string());
            Ok(WebLogSpec { server, file: file.to_owned() })
        }
        _ => Err(format!("want server:logfile, got \"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &str) -> Result<Request, String> {
        parse(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn settings(arguments: &str) -> Settings {
        match parsed(arguments) {
            Ok(Request::Merge(settings)) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_of_the_original() {
        let settings = settings("-p pen.log -cdd -j 2 -t -3600 -a x 10.0.0.1:a:b www:c");
        assert_eq!(settings.pen_logs, ["pen.log"]);
        assert_eq!(settings.jitter_seconds, None);
        assert_eq!(settings.local_offset_seconds, Some(-3600));
        assert_eq!(settings.debug, 2);
        let specs: Vec<_> =
            settings.web_logs.iter().map(|spec| (spec.server.as_str(), spec.file.as_str())).collect();
        assert_eq!(specs, [("10.0.0.1", "a:b"), ("www", "c")]);
    }

    #[test]
    fn the_jitter_is_ten_minutes() {
        assert_eq!(settings("-p p s:l").jitter_seconds, Some(600));
        assert_eq!(settings("s:l -p p -j 1").jitter_seconds, Some(1));
    }

    #[test]
    fn ipv6_servers_stand_in_brackets() {
        let spec = &settings("-p p [2001:db8:0::1]:a/b.log").web_logs[0];
        assert_eq!((spec.server.as_str(), spec.file.as_str()), ("2001:db8::1", "a/b.log"));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (arguments, expected) in [
            ("", "no pen log given: -p penlog"),
            ("-p p", "no web server log given: server:logfile"),
            ("-p p nocolon", "want server:logfile, got \"nocolon\""),
            ("-p p :file", "want server:logfile, got \":file\""),
            ("-p p s:", "want server:logfile, got \"s:\""),
            ("-p p [::1]file", "want server:logfile, got \"[::1]file\""),
            ("-p p -j x s:l", "-j: want a number of seconds, got \"x\""),
            ("-p p -j -1 s:l", "-j: want a number of seconds, got \"-1\""),
            ("-p p -t 1h s:l", "-t: want a number of seconds, got \"1h\""),
            ("-p - s:-", "standard input (-) can be read only once"),
            ("-p p s:l -x", "Unrecognized option: 'x'"),
            ("s:l -p", "Argument to option 'p' missing"),
        ] {
            assert_eq!(parsed(arguments), Err(expected.to_owned()), "{arguments}");
        }
    }

    #[test]
    fn usage_and_manual_page_name_every_letter() {
        let page = include_str!("../../docs/man/mergelogs.1");
        for letter in "pcdjortv".chars() {
            assert!(USAGE.contains(&format!("\n  -{letter}")), "usage: {letter}");
            assert!(page.contains(&format!("\n.It Fl {letter}")), "manual page: {letter}");
        }
    }
}
