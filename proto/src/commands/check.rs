//! How a server is checked: what follows the word `check`.

use crate::addr::quoted;
use crate::commands::tls::host_name;
use crate::words::{split, written};
use std::borrow::Cow;
use std::fmt;

/// Bytes of a text that is sent or looked for.
pub const CHECK_TEXT_BYTES_MAX: usize = 4096;
const KINDS: &str = "none or connect or send or http or tls or agent or exec or dummy";
/// Statuses that are good unless others are named.
const STATUS: (u16, u16) = (200, 399);

/// A check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Check {
    #[default]
    None,
    /// It is always up.
    Dummy,
    /// A connection can be made.
    Connect,
    /// It is sent a text, perhaps an empty one, and another text must be in what it sends.
    Talk { send: String, expect: String },
    /// It answers a request with a status from these, and perhaps with a text in the body.
    Http { path: String, status: (u16, u16), host: Option<String>, expect: Option<String> },
    /// A TLS handshake succeeds, in which it is asked for this name.
    Tls { name: Option<String> },
    /// Someone at this port of its host says how it is.
    Agent { port: u16 },
    /// A program of the operator knows.
    Exec { program: String, arguments: Vec<String> },
}

/// The words behind the word `check`, or `load`.
pub(super) struct Words<'a>(pub(super) &'a [Cow<'a, str>]);

impl<'a> Words<'a> {
    pub(super) fn need(&mut self, want: &str) -> Result<&'a str, String> {
        let (word, rest) = self.0.split_first().ok_or_else(|| format!("want {want}, got nothing"))?;
        self.0 = rest;
        Ok(word)
    }

    /// Takes this word if it is the next.
    pub(super) fn takes(&mut self, word: &str) -> bool {
        let is_next = self.0.first().is_some_and(|next| next == word);
        if is_next {
            self.0 = &self.0[1..];
        }
        is_next
    }

    fn text(&mut self, name: &str, may_be_empty: bool) -> Result<String, String> {
        let text = self.need("a text")?;
        match text.len() {
            0 if !may_be_empty => Err(format!("{name}: want a text, got \"\"")),
            length if length > CHECK_TEXT_BYTES_MAX => {
                Err(format!("{name}: want at most {CHECK_TEXT_BYTES_MAX} bytes, got {length}"))
            }
            _ => Ok(text.to_owned()),
        }
    }

    pub(super) fn end<T>(&self, read: T) -> Result<T, String> {
        match self.0.first() {
            None => Ok(read),
            Some(surplus) => Err(format!("nothing may follow here, got {}", quoted(surplus))),
        }
    }
}

impl Check {
    /// Reads the words behind `check`, all that there are.
    ///
    /// # Errors
    /// What was expected and what was given.
    pub fn read(words: &[Cow<'_, str>]) -> Result<Check, String> {
        let mut words = Words(words);
        let check = match words.need(KINDS)? {
            "none" => Check::None,
            "dummy" => Check::Dummy,
            "connect" => Check::Connect,
            "send" => {
                let send = words.text("send", true)?;
                match words.need("expect")? {
                    "expect" => Check::Talk { send, expect: words.text("expect", false)? },
                    word => return Err(format!("send: want expect, got {}", quoted(word))),
                }
            }
            "http" => http(&mut words)?,
            "tls" => Check::Tls { name: words.0.first().map(|name| tls_name(name)).transpose()? },
            "agent" => Check::Agent { port: port("agent", words.need("a port")?)? },
            "exec" => {
                let program = program(words.need("a program")?)?;
                let arguments = words.0.iter().map(|word| argument(word)).collect::<Result<_, _>>()?;
                words.0 = &[];
                Check::Exec { program, arguments }
            }
            word => return Err(format!("want {KINDS}, got {}", quoted(word))),
        };
        if matches!(check, Check::Tls { .. }) {
            words.0 = words.0.get(1..).unwrap_or_default();
        }
        words.end(check)
    }

    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// As [`Check::read`].
    pub fn parse(text: &str) -> Result<Check, String> {
        Check::read(&split(text)?)
    }

    /// Whether a program is run for it.
    pub fn is_program(&self) -> bool {
        matches!(self, Check::Exec { .. })
    }
}

fn http(words: &mut Words<'_>) -> Result<Check, String> {
    let path = words.need("a path")?;
    if !path.starts_with('/') || !is_token(path) {
        return Err(format!("http: want a path that begins with / and has no blanks, got {}", quoted(path)));
    }
    let mut status = None;
    let (mut host, mut expect) = (None, None);
    loop {
        if status.is_none() && words.takes("status") {
            status = Some(statuses(words.need("a status or two with - between them")?)?);
        } else if host.is_none() && words.takes("host") {
            let word = words.need("a host")?;
            if word.is_empty() || !is_token(word) {
                return Err(format!("host: want a host name, got {}", quoted(word)));
            }
            host = Some(word.to_owned());
        } else if expect.is_none() && words.takes("expect") {
            expect = Some(words.text("expect", false)?);
        } else {
            break;
        }
    }
    let path = path.to_owned();
    Ok(Check::Http { path, status: status.unwrap_or(STATUS), host, expect })
}

/// Whether it may stand in a line of a request.
fn is_token(word: &str) -> bool {
    !word.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// `200`, or `200-299`.
fn statuses(word: &str) -> Result<(u16, u16), String> {
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    let number = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| is_number && (100..=599).contains(status))
    };
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        _ => Err(format!("status: want 100..599, or two of them such as 200-299, got {}", quoted(word))),
    }
}

fn tls_name(word: &str) -> Result<String, String> {
    host_name(word).ok_or_else(|| format!("tls: want a host name, got {}", quoted(word)))
}

pub(super) fn program(word: &str) -> Result<String, String> {
    match word.is_empty() || word.contains('\0') {
        true => Err(format!("exec: want a program, got {}", quoted(word))),
        false => Ok(word.to_owned()),
    }
}

pub(super) fn argument(word: &str) -> Result<String, String> {
    match word.contains('\0') {
        true => Err(format!("exec: want arguments without NUL, got {}", quoted(word))),
        false => Ok(word.to_owned()),
    }
}

/// A port of the server's host; `name` is what it is for.
pub(super) fn port(name: &str, word: &str) -> Result<u16, String> {
    let port = word.parse().ok().filter(|port| *port != 0 && word.bytes().all(|byte| byte.is_ascii_digit()));
    port.ok_or_else(|| format!("{name}: want a port, 1..65535, got {}", quoted(word)))
}

/// As the words behind `check`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::None => f.write_str("none"),
            Check::Dummy => f.write_str("dummy"),
            Check::Connect => f.write_str("connect"),
            Check::Talk { send, expect } => write!(f, "send {} expect {}", written(send), written(expect)),
            Check::Http { path, status, host, expect } => {
                write!(f, "http {}", written(path))?;
                match *status {
                    STATUS => {}
                    (from, to) if from == to => write!(f, " status {from}")?,
                    (from, to) => write!(f, " status {from}-{to}")?,
                }
                host.iter().try_for_each(|host| write!(f, " host {}", written(host)))?;
                expect.iter().try_for_each(|text| write!(f, " expect {}", written(text)))
            }
            Check::Tls { name: None } => f.write_str("tls"),
            Check::Tls { name: Some(name) } => write!(f, "tls {name}"),
            Check::Agent { port } => write!(f, "agent {port}"),
            Check::Exec { program, arguments } => {
                write!(f, "exec {}", written(program))?;
                arguments.iter().try_for_each(|word| write!(f, " {}", written(word)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_check_is_read_and_written() {
        for text in [
            "none",
            "dummy",
            "connect",
            r#"send "PING\r\n" expect +PONG"#,
            r#"send "" expect 220"#,
            "http /health",
            "http / status 200-299 host www.example.org expect \"all is well\"",
            "http /x?y=z#t status 404",
            "tls",
            "tls www.example.org",
            "agent 8080",
            "exec /usr/lib/pen/galera.sh",
            r#"exec check.sh "a b" -u x "" #y"#,
        ] {
            let words = split(text).unwrap();
            let check = Check::read(&words).unwrap_or_else(|error| panic!("{text}: {error}"));
            let again = check.to_string();
            assert_eq!(Check::parse(&again), Ok(check), "{text}");
            if !text.contains('#') {
                assert_eq!(again, text);
            }
        }
        let Ok(Check::Http { status, .. }) = Check::parse("http / expect x status 200 host h") else {
            panic!()
        };
        assert_eq!(status, (200, 200), "in any order");
    }

    #[test]
    fn what_is_wrong_is_explained() {
        for (text, error) in [
            ("", "want none or connect or send or http or tls or agent or exec or dummy, got nothing"),
            ("ping", "want none or connect or send or http or tls or agent or exec or dummy, got \"ping\""),
            ("agent", "want a port, got nothing"),
            ("agent 0", "agent: want a port, 1..65535, got \"0\""),
            ("connect 80", "nothing may follow here, got \"80\""),
            ("send x", "want expect, got nothing"),
            ("send x y", "send: want expect, got \"y\""),
            ("send x expect \"\"", "expect: want a text, got \"\""),
            ("http", "want a path, got nothing"),
            ("http health", "http: want a path that begins with / and has no blanks, got \"health\""),
            (r#"http "/a\r\nb""#, r#"http: want a path that begins with / and has no blanks, got "/a\r\nb""#),
            ("http / status 2xx", "status: want 100..599, or two of them such as 200-299, got \"2xx\""),
            (
                "http / status 299-200",
                "status: want 100..599, or two of them such as 200-299, got \"299-200\"",
            ),
            ("http / host \"a b\"", "host: want a host name, got \"a b\""),
            ("http / status 200 status 201", "nothing may follow here, got \"status\""),
            ("tls a_b!", "tls: want a host name, got \"a_b!\""),
            ("tls a b", "nothing may follow here, got \"b\""),
            ("exec", "want a program, got nothing"),
            ("exec \"\"", "exec: want a program, got \"\""),
        ] {
            assert_eq!(Check::parse(text).unwrap_err(), error, "{text}");
        }
        let long = format!("send {} expect x", "a".repeat(CHECK_TEXT_BYTES_MAX + 1));
        assert_eq!(Check::parse(&long).unwrap_err(), "send: want at most 4096 bytes, got 4097");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            send in "\\PC{0,12}", expect in "\\PC{1,12}", program in "[^\\x00]{1,12}",
            arguments in prop::collection::vec("[^\\x00]{0,8}", 0..4),
        ) {
            for check in [Check::Talk { send: send.clone(), expect: expect.clone() }, Check::Exec { program: program.clone(), arguments: arguments.clone() }] {
                prop_assert_eq!(Check::parse(&check.to_string()), Ok(check));
            }
        }
    }
}
