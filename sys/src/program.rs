//! The frame of the small programs around pen: their arguments, what they say on standard error, their exit status.
//!
//! Knows no option of any of them. Used by mergelogs, penlogd and webstats; pen, penctl and penlog take their arguments
//! from here.

use pen_proto::escape::{Escaped, EscapedBytes};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

/// A program, by its name.
#[derive(Debug, Clone, Copy)]
pub struct Program(pub &'static str);

impl Program {
    /// Has the arguments parsed and carries out what they ask for. What is wrong with them is said, with the advice to
    /// look at `--help`.
    pub fn obey<Request>(
        self,
        parse: impl FnOnce(&[String]) -> Result<Request, String>,
        carry_out: impl FnOnce(Request) -> ExitCode,
    ) -> ExitCode {
        match arguments().map(|arguments| parse(&arguments)) {
            Ok(Ok(request)) => carry_out(request),
            Ok(Err(error)) => self.fail(&format!("{error}\ntry --help")),
            Err(error) => self.fail(&error),
        }
    }

    /// Puts the text on standard output, as it is.
    pub fn print(self, text: &str) -> ExitCode {
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => self.fail(&format!("standard output: {error}")),
        }
    }

    /// Puts name and version on standard output; all programs of pen have the same version.
    pub fn print_version(self) -> ExitCode {
        self.print(&format!("{} (pen) {}\n", self.0, env!("CARGO_PKG_VERSION")))
    }

    /// Says why the program ends with status 1.
    pub fn fail(self, error: &str) -> ExitCode {
        self.say(error);
        ExitCode::FAILURE
    }

    /// Says something on standard error.
    pub fn say(self, text: impl Display) {
        // A standard error that is gone leaves the exit status to tell.
        let _ = io::stderr().write_all(self.lines(text).as_bytes());
    }

    /// Each line with the program's name, and harmless: names of files may hold anything.
    fn lines(self, text: impl Display) -> String {
        text.to_string().lines().map(|line| format!("{}: {}\n", self.0, Escaped(line))).collect()
    }
}

/// Puts a line on standard error. One that is gone or full leaves the exit status to tell, and ends nobody.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Puts the text on standard output. A reader that is gone (`pen --help | head`) is no error.
///
/// # Errors
/// It cannot be written: whoever relies on it must know.
pub fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {}", crate::errors::reason(&error)))
        }
        _ => Ok(()),
    }
}

/// The arguments of this process, without the program's name.
///
/// # Errors
/// One that is not UTF-8, which the standard library's way would panic at; the text says which.
pub fn arguments() -> Result<Vec<String>, String> {
    std::env::args_os().skip(1).map(utf8).collect()
}

fn utf8(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("\"{}\": not UTF-8", EscapedBytes(word.as_encoded_bytes())))
}

/// Reads the number that an option or an argument has.
///
/// # Errors
/// What was wanted, and what was given.
pub fn number<T: FromStr>(name: &str, wanted: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: want {wanted}, got \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_name_and_nothing_dangerous() {
        let said = Program("penlogd").lines("a\x1b[2J: no such file\ntry --help");
        assert_eq!(said, "penlogd: a\\x1b[2J: no such file\npenlogd: try --help\n");
    }

    #[test]
    fn words_that_are_no_text_are_named() {
        use std::os::unix::ffi::OsStringExt;
        let word = |bytes: &[u8]| utf8(OsString::from_vec(bytes.to_vec()));
        assert_eq!(word("ö".as_bytes()), Ok("ö".into()));
        assert_eq!(word(b"a\x1b\xff\xc3"), Err(r#""a\x1b\xff\xc3": not UTF-8"#.into()));
    }

    #[test]
    fn numbers_are_read_or_named() {
        assert_eq!(number("-n", "a number", "7"), Ok(7));
        assert_eq!(number::<u32>("-n", "a number", "-7"), Err("-n: want a number, got \"-7\"".into()));
    }
}
