//! The language of GLB: destinations, the lines of its control socket, its command line.
//!
//! Used by `pen --as glbd` and by libpen. Where GLB's parser is broken, this one does what GLB's documents say: hosts may
//! be IPv6 addresses in brackets, and lists are divided by commas as well as by blanks.

pub mod options;

use crate::addr::{Host, quoted};
use crate::weight::{WEIGHT_MAX, Weight};
use std::fmt;

/// Longest name of a host, as in GLB.
const HOST_CHARS_MAX: usize = 256;

/// `HOST[:PORT[:WEIGHT]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// An address or a name, never a Unix socket.
    pub host: Host,
    /// `None`: the port of whoever listens.
    pub port: Option<u16>,
    pub share: Share,
}

/// What a destination gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Of new connections; with 0 none, and those that it has go on.
    Weight(Weight),
    /// A negative weight: the destination is removed, and its connections are cut.
    Nothing,
}

/// `[HOST:]PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: Option<Host>,
    pub port: u16,
}

/// A line of GLB's control socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `getinfo`: the table of destinations.
    Info,
    /// `getstat`: counters since it was asked for last.
    Statistics,
    /// Adds a destination, changes its weight, or removes it.
    Destination(Destination),
}

impl Request {
    /// Reads a line, without its end. The words count by their beginnings and in any case, as in GLB.
    ///
    /// # Errors
    /// What is wrong about the destination.
    pub fn parse(line: &str) -> Result<Request, String> {
        let line = line.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        let begins =
            |word: &str| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if begins("getinfo") {
            Ok(Request::Info)
        } else if begins("getstat") {
            Ok(Request::Statistics)
        } else {
            Destination::parse(line).map(Request::Destination)
        }
    }
}

impl Destination {
    /// Reads one.
    ///
    /// # Errors
    /// The part that is wrong, what was expected and what was given.
    pub fn parse(text: &str) -> Result<Destination, String> {
        let (host, rest) = split_host(text)?;
        let mut fields = rest.splitn(2, ':');
        let (port, weight) = (fields.next().unwrap_or(""), fields.next());
        let port = if port.is_empty() { None } else { Some(parse_port(port)?) };
        let share = weight.map_or(Ok(Share::Weight(Weight::ONE)), parse_share)?;
        Ok(Destination { host: parse_host(host)?, port, share })
    }

    /// Reads a list, divided by commas or blanks or both.
    ///
    /// # Errors
    /// As [`Destination::parse`], for the first that is wrong.
    pub fn parse_list(text: &str) -> Result<Vec<Destination>, String> {
        let items = text.split(|c: char| c == ',' || c.is_whitespace());
        items.filter(|item| !item.is_empty()).map(Destination::parse).collect()
    }
}

impl Address {
    /// Reads one. An empty port is 0, as in GLB.
    ///
    /// # Errors
    /// The part that is wrong, what was expected and what was given.
    pub fn parse(text: &str) -> Result<Address, String> {
        let (host, port) = match text.starts_with('[') || text.contains(':') {
            true => split_host(text)?,
            false => ("", text),
        };
        let host = if host.is_empty() { None } else { Some(parse_host(host)?) };
        let port = if port.is_empty() { 0 } else { parse_port(port)? };
        Ok(Address { host, port })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Weight(weight) => weight.fmt(f),
            Share::Nothing => f.write_str("-1"),
        }
    }
}

/// What stands before the first colon, or in brackets, and what stands after it.
fn split_host(text: &str) -> Result<(&str, &str), String> {
    let Some(inner) = text.strip_prefix('[') else {
        return Ok(text.split_once(':').unwrap_or((text, "")));
    };
    let (host, rest) = inner.split_once(']').ok_or_else(|| format!("want a ], got {}", quoted(text)))?;
    match rest.strip_prefix(':') {
        Some(rest) => Ok((host, rest)),
        None if rest.is_empty() => Ok((host, "")),
        None => Err(format!("want : after ], got {}", quoted(text))),
    }
}

fn parse_host(text: &str) -> Result<Host, String> {
    match Host::parse(text) {
        Ok(host) if !host.is_unix() && text.len() <= HOST_CHARS_MAX => Ok(host),
        _ => Err(format!("want an address or a host name, got {}", quoted(text))),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if is_number { text.parse().ok() } else { None };
    port.ok_or_else(|| format!("port: want 0..65535, got {}", quoted(text)))
}

/// A weight as C reads it, exponents included. One that is more than 0 stays more than 0.
fn parse_share(text: &str) -> Result<Share, String> {
    let wrong = || format!("weight: want a number up to {WEIGHT_MAX}, got {}", quoted(text));
    let number: f64 = text.parse().map_err(|_| wrong())?;
    if number < 0.0 && number.is_finite() {
        return Ok(Share::Nothing);
    }
    let thousandths = (number * 1000.0).round();
    let fits = number.is_finite() && thousandths <= f64::from(WEIGHT_MAX) * 1000.0;
    if !fits {
        return Err(wrong());
    }
    let thousandths = if number > 0.0 { thousandths.max(1.0) } else { 0.0 };
    Weight::parse(&format!("{:.3}", thousandths / 1000.0)).map(Share::Weight).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(destination: &Destination) -> String {
        let port = destination.port.map_or("-".to_owned(), |port| port.to_string());
        format!("{} {port} {}", destination.host, destination.share)
    }

    #[test]
    fn destinations_are_read_as_glb_writes_them() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1 - 1"),
            ("127.0.0.1:", "127.0.0.1 - 1"),
            ("127.0.0.1:80", "127.0.0.1 80 1"),
            ("127.0.0.1:80:3", "127.0.0.1 80 3"),
            ("127.0.0.1::0.5", "127.0.0.1 - 0.5"),
            ("127.0.0.1:80:0", "127.0.0.1 80 0"),
            ("127.0.0.1:80:1e2", "127.0.0.1 80 100"),
            ("127.0.0.1:80:0.00001", "127.0.0.1 80 0.001"),
            ("127.0.0.1:80:-1", "127.0.0.1 80 -1"),
            ("db.example:3306:-0.5", "db.example 3306 -1"),
            ("[2001:db8::1]:80:2", "2001:db8::1 80 2"),
            ("[::1]", "::1 - 1"),
            ("server", "server - 1"),
        ] {
            assert_eq!(Destination::parse(text).as_ref().map(written), Ok(expected.to_owned()), "{text}");
        }
        for (text, error) in [
            ("", "want an address or a host name, got \"\""),
            ("/run/socket", "want an address or a host name, got \"/run/socket\""),
            ("a:x", "port: want 0..65535, got \"x\""),
            ("a:65536", "port: want 0..65535, got \"65536\""),
            ("a:80:x", "weight: want a number up to 65535, got \"x\""),
            ("a:80:inf", "weight: want a number up to 65535, got \"inf\""),
            ("a:80:nan", "weight: want a number up to 65535, got \"nan\""),
            ("a:80:65536", "weight: want a number up to 65535, got \"65536\""),
            ("a:80:1:2", "weight: want a number up to 65535, got \"1:2\""),
            ("[::1", "want a ], got \"[::1\""),
            ("[::1]80", "want : after ], got \"[::1]80\""),
            ("a:80 b:80", "port: want 0..65535, got \"80 b\""),
        ] {
            assert_eq!(Destination::parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn lists_are_divided_by_commas_and_blanks() {
        let list = Destination::parse_list("a:1, b:2\tc:3,,d").unwrap();
        assert_eq!(list.iter().map(written).collect::<Vec<_>>(), ["a 1 1", "b 2 1", "c 3 1", "d - 1"]);
        assert_eq!(Destination::parse_list(" , "), Ok(Vec::new()));
    }

    #[test]
    fn addresses_have_a_port_and_perhaps_a_host() {
        let address = |text: &str| {
            let Address { host, port } = Address::parse(text)?;
            Ok::<_, String>((host.map(|host| host.to_string()), port))
        };
        assert_eq!(address("3306"), Ok((None, 3306)));
        assert_eq!(address(":3306"), Ok((None, 3306)));
        assert_eq!(address("127.0.0.1:0"), Ok((Some("127.0.0.1".to_owned()), 0)));
        assert_eq!(address("[::]:3306"), Ok((Some("::".to_owned()), 3306)));
        assert!(address("x").is_err() && address("a b:1").is_err());
    }

    #[test]
    fn lines_count_by_their_beginnings() {
        assert_eq!(Request::parse("getinfo\r\n"), Ok(Request::Info));
        assert_eq!(Request::parse("GetInfoPlease"), Ok(Request::Info));
        assert_eq!(Request::parse("getstats"), Ok(Request::Statistics));
        assert!(matches!(Request::parse("127.0.0.1:80:2\0"), Ok(Request::Destination(_))));
        assert!(Request::parse("what is this").is_err());
    }
}
