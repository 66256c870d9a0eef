//! A line of the language becomes a [`Command`], or an error that says which word is wrong and what was expected.
//!
//! Owns the grammar and nothing else: no command is carried out here. Called for control connections, configuration
//! files, `-O`, and by penctl. Time and memory are linear in the length of the line; nothing makes it panic.

mod tls;

use crate::addr::{Host, ListenAddr, Port, path_word, quoted, strict_number};
use crate::commands::{
    ACL_LAST, AclEntry, AclMatch, By, ClientCertificate, Command, Country, FastClose, Form, HttpMode,
    Listing, LogFormat, LogTarget, Number, ProxyHeader, ROWS, Row, SECONDS_MAX, SERVER_INDEX_MAX,
    SERVER_KEYS, ServerChange, ServerKey, ServerValue, TlsText, row, row_spelled,
};
use crate::network::Downstream;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Seconds that `recent` looks back unless told otherwise, as in Pen.
const RECENT_SECONDS: u64 = 300;
/// Name of a network interface: IFNAMSIZ of Linux is 16, the last of them a NUL.
const INTERFACE_BYTES_MAX: usize = 15;
/// Longer words get no "did you mean": no command is nearly as long, and the comparison is quadratic.
const SUGGESTION_BYTES_MAX: usize = 40;

/// Why a line is not a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where in the line: `server 3: weight`. Empty when the first word is wrong.
    pub place: String,
    /// What was expected and what was given.
    pub message: String,
    /// For whom a similar word is looked for when the error is shown, and not before: a file may hold a million of them
    /// of which ten are told.
    unknown: Option<Unknown>,
}

/// A word that is none, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unknown {
    Command(String),
    Key(String),
}

impl Unknown {
    /// The word that was meant, probably.
    fn meant(&self) -> Option<&'static str> {
        match self {
            Unknown::Command(word) => {
                closest(word, ROWS.iter().filter(|row| row.is_command()).map(|row| row.word))
            }
            Unknown::Key(word) => closest(word, SERVER_KEYS.iter().map(|key| key.word)),
        }
    }
}

/// `server 3: weight: want 0..65535, got "x"`.
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        match (&self.unknown, self.unknown.as_ref().and_then(Unknown::meant)) {
            (Some(Unknown::Command(_)), Some(meant)) => {
                write!(f, "{}; did you mean {}?", self.message, quoted(meant))
            }
            (Some(Unknown::Key(word)), Some(meant)) => {
                write!(f, "{}: no such key; did you mean {}?", quoted(word), quoted(meant))
            }
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// Reads one line. Words are separated by blanks and tabs; a word that begins with `#` begins a comment.
///
/// `None` when there is nothing but a comment, or nothing at all. A line end at the end is passed over.
///
/// # Errors
/// Unknown, missing, wrong and surplus words. The whole line is refused: nothing of it may be carried out.
pub fn parse_line(line: &str) -> Parsed<Option<Command>> {
    let mut words = Words::of_line(line);
    let Some(word) = words.next() else {
        return Ok(None);
    };
    let command = if word == "no" { negated(&mut words)? } else { plain(word, &mut words)? };
    words.end()?;
    Ok(Some(command))
}

/// Reads an option of the command line that is also a command: its row, and the argument if [`Row::option_arg`] asks
/// for one. The argument is taken whole, blanks included. `-d` reads as a question for the level: the caller counts.
///
/// # Errors
/// As [`parse_line`], with the option in place of the command; and options that are no commands
/// ([`Form::OptionOnly`]), which the caller reads itself.
pub fn parse_option(row: &Row, argument: Option<&str>) -> Parsed<Command> {
    let mut words = Words { place: spelling(row), first: argument, rest: "" };
    if argument.is_none() && row.option_arg().is_some() {
        return Err(words.error("want an argument, got nothing"));
    }
    let command = of_row(row, &mut words)?;
    words.end()?;
    Ok(command)
}

/// How the option is given: `-b`, `--threads`.
fn spelling(row: &Row) -> String {
    match (row.letter, row.long) {
        (Some(letter), _) => format!("-{letter}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => row.word.to_owned(),
    }
}

/// The words not read yet, and the place for error messages.
struct Words<'a> {
    place: String,
    /// A word that is taken whole, before `rest`.
    first: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn of_line(line: &'a str) -> Words<'a> {
        Words { place: String::new(), first: None, rest: line.trim_end_matches(['\r', '\n']) }
    }

    fn next(&mut self) -> Option<&'a str> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let rest = self.rest.trim_start_matches(is_blank);
        if rest.is_empty() || rest.starts_with('#') {
            self.rest = "";
            return None;
        }
        let (word, rest) = rest.split_at(rest.find(is_blank).unwrap_or(rest.len()));
        self.rest = rest;
        Some(word)
    }

    /// The next word; `want` says what it would be.
    fn need(&mut self, want: &str) -> Parsed<&'a str> {
        self.next().ok_or_else(|| self.error(&format!("want {want}, got nothing")))
    }

    fn need_number(&mut self, min: u64, max: u64, unit: &str) -> Parsed<u64> {
        let blank = if unit.is_empty() { "" } else { " " };
        let word = self.need(&format!("{min}..{max}{blank}{unit}"))?;
        self.number(word, min, max, unit)
    }

    fn number(&self, word: &str, min: u64, max: u64, unit: &str) -> Parsed<u64> {
        self.checked(strict_number(word, min, max, unit))
    }

    /// A number that fits 32 bits, 0 when left out.
    fn number_or_0(&mut self) -> Parsed<u32> {
        match self.next() {
            // The bound makes it fit.
            Some(word) => Ok(self.number(word, 0, u32::MAX.into(), "")? as u32),
            None => Ok(0),
        }
    }

    /// The number of an access list.
    fn list(&mut self) -> Parsed<u8> {
        // The bound makes it fit.
        Ok(self.need_number(0, ACL_LAST.into(), "")? as u8)
    }

    fn need_path(&mut self) -> Parsed<String> {
        let word = self.need("a file name")?;
        self.checked(path_word(word)).map(str::to_owned)
    }

    fn path(&mut self) -> Parsed<Option<String>> {
        match self.next() {
            Some(word) => self.checked(path_word(word)).map(|path| Some(path.to_owned())),
            None => Ok(None),
        }
    }

    /// The value that the next word stands for, if there is a next word.
    fn choice<T: Copy>(&mut self, choices: &[(&str, T)]) -> Parsed<Option<T>> {
        let Some(word) = self.next() else {
            return Ok(None);
        };
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                Err(self.error(&format!("want {}, got {}", names.join(" or "), quoted(word))))
            }
        }
    }

    fn downstream(&mut self) -> Parsed<Option<Downstream>> {
        let downstream = self.next().map(Downstream::parse).transpose();
        self.checked(downstream)
    }

    fn listing(&mut self) -> Parsed<Listing> {
        Ok(self.choice(&[("json", Listing::Json)])?.unwrap_or_default())
    }

    /// The next word, which stays there to be read.
    fn peek(&self) -> Option<&'a str> {
        let mut ahead = Words { place: String::new(), first: self.first, rest: self.rest };
        ahead.next()
    }

    fn end(&mut self) -> Parsed<()> {
        match self.next() {
            None => Ok(()),
            Some(surplus) => Err(self.error(&format!("nothing may follow here, got {}", quoted(surplus)))),
        }
    }

    fn checked<T>(&self, result: Result<T, String>) -> Parsed<T> {
        result.map_err(|reason| self.error(&reason))
    }

    fn error(&self, message: &str) -> ParseError {
        ParseError { place: self.place.clone(), message: message.to_owned(), unknown: None }
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn plain(word: &str, words: &mut Words) -> Parsed<Command> {
    let row = command_row(word)?;
    words.place = row.word.to_owned();
    of_row(row, words)
}

fn of_row(row: &Row, words: &mut Words) -> Parsed<Command> {
    match row.form {
        Form::Flag { flag, .. } => Ok(Command::SetFlag(flag, true)),
        Form::Number { number, min, max, .. } => number_command(number, min, max, row.unit, words),
        Form::Own => own(row, words),
        Form::Gone(why) => {
            // Nobody minds what it would have been given.
            row.option_arg().and_then(|_| words.next());
            Ok(Command::Explained(why))
        }
        Form::OptionOnly => Err(words.error("not a command")),
    }
}

fn number_command(number: Number, min: u64, max: u64, unit: &str, words: &mut Words) -> Parsed<Command> {
    match words.next() {
        Some(word) => Ok(Command::SetNumber(number, words.number(word, min, max, unit)?)),
        None => Ok(Command::ShowNumber(number)),
    }
}

fn negated(words: &mut Words) -> Parsed<Command> {
    words.place = "no".to_owned();
    let row = command_row(words.need("a command")?)?;
    words.place = format!("no {}", row.word);
    match (row.form, row.word) {
        (Form::Flag { flag, .. }, _) => Ok(Command::SetFlag(flag, false)),
        (Form::Gone(why), _) => Ok(Command::Explained(why)),
        (Form::Own, "acl") => Ok(Command::NoAcl(words.list()?)),
        (Form::Own, "geoip") => Ok(Command::NoGeoip),
        (Form::Own, "http") => Ok(Command::Http(HttpMode::Off)),
        (Form::Own, "log") => Ok(Command::NoLog),
        (Form::Own, "proxy_accept") => Ok(Command::NoProxyAccept(words.downstream()?)),
        (Form::Own, "source") => Ok(Command::Source(None)),
        (Form::Own, "ssl_option") => tls::option(words, false),
        (Form::Own, "tarpit_acl") => Ok(Command::Tarpit(None)),
        (Form::Own, "web_stats") => Ok(Command::NoWebStats),
        (Form::Own, word) if TlsText::of(word).is_some() => tls::unset(word, words),
        (_, word) => Err(words.error(&format!("{word} cannot be negated"))),
    }
}

fn http(words: &mut Words) -> Parsed<HttpMode> {
    let mode = words.choice(&HttpMode::WORDS)?.unwrap_or(HttpMode::Add);
    if mode != HttpMode::Replace {
        return Ok(mode);
    }
    Ok(words.choice(&[("h2", HttpMode::ReplaceH2)])?.unwrap_or(mode))
}

/// The irregular commands.
fn own(row: &Row, words: &mut Words) -> Parsed<Command> {
    let command = match row.word {
        "acl" => acl(words)?,
        "clients" => Command::Clients(words.listing()?),
        "close" => Command::Close(words.need_number(0, u32::MAX.into(), "")? as u32),
        "connection" => Command::Connection(words.number_or_0()?),
        "connections" => Command::Connections(words.listing()?),
        "control" => Command::Control,
        "dsr_if" => Command::DsrIf(interface(words)?),
        "exit" => Command::Exit,
        "geoip" => Command::Geoip(words.path()?),
        "help" => Command::Help(help_word(words)?),
        "http" => Command::Http(http(words)?),
        "include" => Command::Include(words.need_path()?),
        "listen" => {
            let address = words.next().map(ListenAddr::parse).transpose();
            Command::Listen(words.checked(address)?)
        }
        "log" => {
            let target = words.next().map(LogTarget::parse).transpose();
            Command::Log(words.checked(target)?)
        }
        "log_format" => Command::LogFormat(words.choice(&LogFormat::WORDS)?),
        "metrics" => Command::Metrics,
        "mode" => Command::Mode,
        "pid" => Command::Pid,
        "proxy_accept" => Command::ProxyAccept(words.downstream()?),
        "recent" => Command::Recent(recent(words, row.unit)?),
        "server" => server(words)?,
        "servers" => Command::Servers(words.listing()?),
        "session" => Command::Session,
        "socket" => Command::Socket(words.number_or_0()?),
        "source" => Command::Source(Some(source(words)?)),
        "ssl_client_certificate" => Command::SslClientCertificate(words.choice(&ClientCertificate::WORDS)?),
        "ssl_client_renegotiation_interval" => tls::renegotiation(words)?,
        "ssl_option" => tls::option(words, true)?,
        "-L" => tls::protocol(words)?,
        "status" => Command::Status(words.listing()?),
        "tarpit_acl" => tarpit(words)?,
        "tcp_fastclose" => Command::TcpFastclose(words.choice(&FastClose::WORDS)?),
        "version" => Command::Version,
        "web_stats" => Command::WebStats(words.path()?),
        "write" => Command::Write(words.path()?),
        word => tls::text(word, words)?,
    };
    Ok(command)
}

fn help_word(words: &mut Words) -> Parsed<Option<String>> {
    match words.next() {
        Some(word) if row_spelled(word).is_some() => Ok(Some(word.to_owned())),
        Some(word) => Err(unknown(word)),
        None => Ok(None),
    }
}

fn recent(words: &mut Words, unit: &str) -> Parsed<u64> {
    match words.next() {
        Some(word) => words.number(word, 0, SECONDS_MAX, unit),
        None => Ok(RECENT_SECONDS),
    }
}

fn source(words: &mut Words) -> Parsed<IpAddr> {
    let word = words.need("an IP address")?;
    word.parse().map_err(|_| words.error(&format!("want an IP address, got {}", quoted(word))))
}

fn interface(words: &mut Words) -> Parsed<Option<String>> {
    let Some(word) = words.next() else { return Ok(None) };
    // What Linux takes as a name of an interface.
    let is_name =
        word.len() <= INTERFACE_BYTES_MAX && !word.contains(['/', ':']) && !matches!(word, "." | "..");
    match is_name && !word.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Ok(Some(word.to_owned())),
        false => Err(words.error(&format!("want a network interface such as eth0, got {}", quoted(word)))),
    }
}

fn tarpit(words: &mut Words) -> Parsed<Command> {
    match words.next() {
        None => Ok(Command::ShowTarpit),
        Some("-1") => Ok(Command::Tarpit(None)),
        // The bound makes it fit.
        Some(word) => match strict_number(word, 0, ACL_LAST.into(), "") {
            Ok(list) => Ok(Command::Tarpit(Some(list as u8))),
            Err(_) => Err(words.error(&format!("want -1..{ACL_LAST}, got {}", quoted(word)))),
        },
    }
}

fn acl(words: &mut Words) -> Parsed<Command> {
    let list = words.list()?;
    words.place = format!("acl {list}");
    let Some(permit) = words.choice(&[("permit", true), ("deny", false)])? else {
        return Err(words.error("want permit or deny, got nothing"));
    };
    let word = words.need("an address")?;
    let kind = By::ALL.into_iter().find(|by| by.word() == word);
    let what = match (kind, word.split_once('/')) {
        (Some(by), _) => country(by, words),
        _ if word.contains(':') => v6_network(word, words),
        (_, Some((address, length))) => v4_network(address, length, words),
        (_, None) => v4_masked(word, words),
    };
    Ok(Command::Acl { list, entry: AclEntry { permit, what: what? } })
}

fn country(by: By, words: &mut Words) -> Parsed<AclMatch> {
    let code = words.need("a country code of two letters")?;
    words.checked(Country::parse(code)).map(|country| AclMatch::Country(by, country))
}

fn v6_network(word: &str, words: &Words) -> Parsed<AclMatch> {
    let (address, prefix) = word.split_once('/').unwrap_or((word, "128"));
    let address: Ipv6Addr = address
        .parse()
        .map_err(|_| words.error(&format!("want an IPv6 address, got {}", quoted(address))))?;
    if let Some(v4) = address.to_ipv4_mapped() {
        // Its clients are IPv4 clients here; the bits behind the length are passed over as in other IPv6 entries.
        let length = words.checked(strict_number(prefix, 96, 128, "bits"))? - 96;
        let mask = v4_mask(length as u32);
        return Ok(AclMatch::V4 { address: v4.to_bits() & mask, mask });
    }
    // The bound makes it fit.
    let prefix = words.checked(strict_number(prefix, 0, 128, "bits"))? as u8;
    Ok(AclMatch::V6 { address: address.into(), prefix })
}

/// `length` bits of 32.
fn v4_mask(length: u32) -> u32 {
    // A shift by all 32 bits is no shift in Rust, but nothing remains.
    u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn v4_network(address: &str, length: &str, words: &Words) -> Parsed<AclMatch> {
    let address = v4(address, "an IPv4 address", words)?;
    let length = words.checked(strict_number(length, 0, 32, "bits"))?;
    let mask = v4_mask(length as u32);
    if address & !mask != 0 {
        let network = Ipv4Addr::from(address & mask);
        let given = Ipv4Addr::from(address);
        return Err(words.error(&format!("{given}/{length} would match nobody; want {network}/{length}")));
    }
    Ok(AclMatch::V4 { address, mask })
}

/// An address with a dotted mask, or without one. As in Pen the mask may have holes.
fn v4_masked(address: &str, words: &mut Words) -> Parsed<AclMatch> {
    let address = v4(address, "an IP address", words)?;
    let mask = match words.next() {
        Some(word) => v4(word, "a mask such as 255.255.255.0", words)?,
        None => u32::MAX,
    };
    Ok(AclMatch::V4 { address, mask })
}

fn v4(word: &str, want: &str, words: &Words) -> Parsed<u32> {
    match word.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => Err(words.error(&format!("want {want}, got {}", quoted(word)))),
    }
}

fn server(words: &mut Words) -> Parsed<Command> {
    // The bound makes it fit.
    let index = words.need_number(0, SERVER_INDEX_MAX.into(), "")? as u16;
    let place = format!("server {index}");
    let (mut changes, mut is_unix) = (Vec::new(), false);
    words.place.clone_from(&place);
    while let Some(word) = words.next() {
        let Some(key) = SERVER_KEYS.iter().find(|key| key.word == word) else {
            return Err(unknown_key(word, words));
        };
        words.place = format!("{place}: {word}");
        // Pen's scripts give a Unix socket the port 0.
        if is_unix && matches!(key.value, ServerValue::Port(_)) && words.peek() == Some("0") {
            words.next();
            continue;
        }
        changes.push(server_change(key, words)?);
        if let Some(ServerChange::Address(host)) = changes.last() {
            is_unix = host.is_unix();
        }
        words.place.clone_from(&place);
    }
    if changes.is_empty() {
        return Err(words.error(&format!("want {}, got nothing", key_names())));
    }
    Ok(Command::Server { index, changes })
}

fn server_change(key: &ServerKey, words: &mut Words) -> Parsed<ServerChange> {
    match key.value {
        ServerValue::Address(change) => {
            let host = Host::parse(words.need("an address")?).map(change);
            words.checked(host.map_err(|reason| without_name(&reason, "address")))
        }
        ServerValue::Port(change) => {
            let port = Port::parse(words.need("a port")?).map(change);
            words.checked(port.map_err(|reason| without_name(&reason, "port")))
        }
        ServerValue::Proxy(change) => match words.choice(&ProxyHeader::WORDS)? {
            Some(header) => Ok(change(header)),
            None => Err(words.error("want v1 or v2 or v2-ssl or none, got nothing")),
        },
        // The bound makes it fit.
        ServerValue::Number { max, unit, change } => {
            Ok(change(words.need_number(0, max.into(), unit)? as u32))
        }
        ServerValue::Sni(change) => tls::sni(words).map(change),
        ServerValue::Tls(change) => tls::server(words).map(change),
    }
}

/// The reason without the name of the part, which the place has already.
fn without_name(reason: &str, name: &str) -> String {
    let rest = reason.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(reason).to_owned()
}

fn key_names() -> String {
    let names: Vec<_> = SERVER_KEYS.iter().map(|key| key.word).collect();
    names.join(" or ")
}

fn unknown_key(word: &str, words: &Words) -> ParseError {
    let message = format!("want {}, got {}", key_names(), quoted(word));
    ParseError { unknown: similar(word).map(Unknown::Key), ..words.error(&message) }
}

fn command_row(word: &str) -> Parsed<&'static Row> {
    row(word).filter(|row| row.is_command()).ok_or_else(|| unknown(word))
}

fn unknown(word: &str) -> ParseError {
    ParseError {
        place: String::new(),
        message: format!("{}: no such command", quoted(word)),
        unknown: similar(word).map(Unknown::Command),
    }
}

/// The word, if something similar is worth looking for.
fn similar(word: &str) -> Option<String> {
    (word.len() <= SUGGESTION_BYTES_MAX).then(|| word.to_owned())
}

/// The candidate that differs from `word` by the fewest letters, if they are few for its length.
fn closest(word: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_lowercase();
    let distances = candidates.map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(candidate.len() / 3)).then_some(candidate)
}

/// How many bytes must be inserted, removed, replaced or swapped with their neighbour to make `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swapped = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                replaced.min(swapped).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
