//! The command line of penlogd.
//!
//! Owns letters, usage text and the messages about wrong arguments. Pure; called by `main`.

use std::str::FromStr;

use getopts::Options;
use pen_sys::program::number;

use crate::sources::Sources;

pub const USAGE: &str = "\
Usage: penlogd [options] port

Receives the log lines of pen (log HOST:PORT) and of the web servers behind it
(penlog), and writes the latter with the clients that pen saw.

  -l file       append to this file, not to standard output; HUP reopens it
  -f            stay in the foreground
  -p file       write the process id here
  -u user       become this user
  -j dir        make this directory the root; -l and -p are paths within
  -4, -6        receive by IPv4 or IPv6 only [both]
  -a network    take lines only from here, an ADDRESS or ADDRESS/BITS; may be
                repeated
  -n N          lines of pen to remember [1000]
  -e seconds    forget a line of pen after so long [0: only when N came later]
  -b            write after every few lines, not only when no more are waiting
  -d            say on standard error, or to syslog in the background, what is
                dropped (repeat: and how many datagrams came at a time)
      --help    this text
      --version name and version
";

const ENTRIES_DEFAULT: usize = 1000;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    Serve(Settings),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub port: u16,
    pub families: Families,
    pub sources: Sources,
    /// `None`: standard output.
    pub log_file: Option<String>,
    pub pid_file: Option<String>,
    pub user: Option<String>,
    pub jail: Option<String>,
    pub foreground: bool,
    pub unbuffered: bool,
    pub debug: usize,
    pub entries_max: usize,
    /// 0: for ever.
    pub age_max_seconds: u64,
}

/// The protocols to receive by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    Ipv4,
    Ipv6,
    Both,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence that names the argument and what is wrong with it.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut letters = Options::new();
    for flag in ["f", "d", "b", "4", "6"] {
        letters.optflagmulti(flag, "", "");
    }
    for option in ["j", "l", "n", "p", "u", "a", "e"] {
        letters.optmulti(option, "", "", "");
    }
    letters.optflag("", "help", "").optflag("", "version", "");
    let given = letters.parse(arguments).map_err(|error| error.to_string())?;
    if given.opt_present("help") {
        return Ok(Request::Help);
    }
    if given.opt_present("version") {
        return Ok(Request::Version);
    }
    // The last one counts, as with getopt(3).
    let last = |letter: &str| given.opt_strs(letter).pop();
    let [port] = given.free.as_slice() else {
        return Err(format!("want one port, got {}", given.free.len()));
    };
    Ok(Request::Serve(Settings {
        port: at_least_1("port", "1..65535", port)?,
        families: match (given.opt_present("4"), given.opt_present("6")) {
            (true, false) => Families::Ipv4,
            (false, true) => Families::Ipv6,
            _ => Families::Both,
        },
        sources: Sources::parse(&given.opt_strs("a"))?,
        log_file: last("l"),
        pid_file: last("p"),
        user: last("u"),
        jail: last("j"),
        foreground: given.opt_present("f"),
        unbuffered: given.opt_present("b"),
        debug: given.opt_count("d"),
        entries_max: last("n")
            .map_or(Ok(ENTRIES_DEFAULT), |text| at_least_1("-n", "a number from 1", &text))?,
        age_max_seconds: last("e").map_or(Ok(0), |text| number("-e", "a number of seconds", &text))?,
    }))
}

fn at_least_1<T: FromStr + Default + PartialEq>(name: &str, wanted: &str, text: &str) -> Result<T, String> {
    match number(name, wanted, text)? {
        zero if zero == T::default() => Err(format!("{name}: want {wanted}, got \"{text}\"")),
        number => Ok(number),
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
            Ok(Request::Serve(settings)) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_of_the_original() {
        let settings = settings("-fdb -j /jail -l /log -n 5 -p /pid -u nobody 10000");
        assert_eq!(settings.port, 10000);
        assert_eq!((settings.foreground, settings.unbuffered, settings.debug), (true, true, 1));
        assert_eq!(settings.jail.as_deref(), Some("/jail"));
        assert_eq!(settings.log_file.as_deref(), Some("/log"));
        assert_eq!(settings.pid_file.as_deref(), Some("/pid"));
        assert_eq!(settings.user.as_deref(), Some("nobody"));
        assert_eq!(settings.entries_max, 5);
    }

    #[test]
    fn defaults() {
        let settings = settings("1");
        assert_eq!((settings.entries_max, settings.age_max_seconds), (1000, 0));
        assert_eq!((settings.families, settings.foreground), (Families::Both, false));
        assert_eq!(settings.log_file, None);
    }

    #[test]
    fn both_families_are_both() {
        assert_eq!(settings("-4 1").families, Families::Ipv4);
        assert_eq!(settings("1 -6").families, Families::Ipv6);
        assert_eq!(settings("-46 1").families, Families::Both);
    }

    #[test]
    fn usage_and_manual_page_name_every_letter() {
        let page = include_str!("../../docs/man/penlogd.1");
        for letter in "46abdefjlnpu".chars() {
            assert!(USAGE.contains(&format!("  -{letter}")) || letter == '6', "usage: {letter}");
            let described =
                page.lines().any(|line| line.starts_with(".It Fl") && line.contains(&format!("Fl {letter}")));
            assert!(described, "manual page: {letter}");
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (arguments, expected) in [
            ("", "want one port, got 0"),
            ("1 2", "want one port, got 2"),
            ("0", "port: want 1..65535, got \"0\""),
            ("70000", "port: want 1..65535, got \"70000\""),
            ("http", "port: want 1..65535, got \"http\""),
            ("-n 0 1", "-n: want a number from 1, got \"0\""),
            ("-e x 1", "-e: want a number of seconds, got \"x\""),
            ("-a x 1", "-a: want ADDRESS or ADDRESS/BITS, got \"x\""),
            ("-x 1", "Unrecognized option: 'x'"),
            ("1 -l", "Argument to option 'l' missing"),
        ] {
            assert_eq!(parsed(arguments), Err(expected.to_owned()), "{arguments}");
        }
    }
}
