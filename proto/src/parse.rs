//! A line of the language becomes a [`Command`], or an error that says which word is wrong and what was expected.
//!
//! Owns the grammar and nothing else: no command is carried out here. Called for control connections, configuration
//! files, `-O`, and by penctl. Time and memory are linear in the length of the line; nothing makes it panic.

mod entries;
mod group;
mod server;
mod service;
mod similar;
mod words;

use crate::addr::{ListenAddr, quoted};
use crate::commands::{
    Address, Answer, Argument, Assignment, Choice, Command, Entry, Kind, Line, Number, ROWS, Row,
    SECONDS_MAX, SERVER_KEYS, ServerDeed, Setting, Taken, row, row_spelled,
};
use crate::load::Load;
use crate::rate::Rate;
use crate::seconds::Seconds;
use crate::words::split;
use similar::closest;
use std::borrow::Cow;
use std::fmt;
use words::{Words, file_mode};

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
            Unknown::Key(word) => closest(word, ServerDeed::WORDS.into_iter().chain(keys())),
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
                write!(f, "{}: no such word; did you mean {}?", quoted(word), quoted(meant))
            }
            _ => f.write_str(&self.message),
        }
    }
}

impl ParseError {
    /// The same, inside of `place`.
    fn within(self, place: &str) -> ParseError {
        let place = match self.place.is_empty() {
            true => place.to_owned(),
            false => format!("{place}: {}", self.place),
        };
        ParseError { place, ..self }
    }

    /// Of the line as a whole.
    fn new(message: &str) -> ParseError {
        ParseError { place: String::new(), message: message.to_owned(), unknown: None }
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// Reads one line, a command with its words as [`split`] finds them, and perhaps the service that it is for.
///
/// `None` when there is nothing but a comment, or nothing at all. A line end at the end is passed over.
///
/// # Errors
/// Unknown, missing, wrong and surplus words. The whole line is refused: nothing of it may be carried out.
pub fn line(text: &str) -> Parsed<Option<Line>> {
    let line = split(text).map_err(|reason| ParseError::new(&reason))?;
    let mut words = Words::new(String::new(), &line);
    let Some(word) = words.next() else {
        return Ok(None);
    };
    let is_about_services = || row(word).is_some_and(|row| matches!(row.kind, Kind::Service));
    let line = match word != "no" && is_about_services() {
        true => service::service(&mut words)?,
        false => Line { service: None, command: Some(command(word, &mut words)?) },
    };
    words.end()?;
    Ok(Some(line))
}

/// Reads a line that names no service: a command.
///
/// # Errors
/// As [`line()`], and a line that names a service.
pub fn parse_line(text: &str) -> Parsed<Option<Command>> {
    match line(text)? {
        Some(Line { service: None, command }) => Ok(command),
        Some(Line { service: Some(name), .. }) => {
            Err(ParseError::new(&format!("want a command for no other service, got service {name}")))
        }
        None => Ok(None),
    }
}

/// The command that begins with this word.
fn command(word: &str, words: &mut Words) -> Parsed<Command> {
    if word == "no" { negated(words) } else { plain(word, words) }
}

/// Reads an option of the command line that is also a setting or a command: its row, and the argument if
/// [`Row::option_arg`] asks for one. The argument is taken whole, blanks included. `-d` reads as a question for the
/// level: the caller counts.
///
/// # Errors
/// As [`line()`], with the option in place of the command; and options that are neither ([`Kind::OptionOnly`]), which
/// the caller reads itself.
pub fn parse_option(row: &Row, argument: Option<&str>) -> Parsed<Command> {
    let argument: Vec<Cow<'_, str>> = argument.into_iter().map(Cow::Borrowed).collect();
    let mut words = Words::new(spelling(row), &argument);
    if argument.is_empty() && row.option_arg().is_some() {
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

fn plain(word: &str, words: &mut Words) -> Parsed<Command> {
    let row = command_row(word)?;
    words.place = row.word.to_owned();
    of_row(row, words)
}

fn of_row(row: &Row, words: &mut Words) -> Parsed<Command> {
    match row.kind {
        Kind::Flag { flag, .. } => Ok(Command::flag(flag, true)),
        Kind::Number { number, min, max, answer, .. } => {
            let Some(word) = words.next() else { return Ok(Command::Show(Setting::Number(number))) };
            let value = match answer {
                Answer::OrNone => number_or_none(word, max, words)?,
                _ => words.number(word, min, max, row.unit)?,
            };
            Ok(Command::number(number, value))
        }
        Kind::Seconds { number, min_ms, max_ms, .. } => {
            let Some(word) = words.next() else { return Ok(Command::Show(Setting::Number(number))) };
            Ok(Command::number(number, words.checked(Seconds::parse(word, min_ms, max_ms))?))
        }
        Kind::Mode { number, .. } => {
            let Some(word) = words.next() else { return Ok(Command::Show(Setting::Number(number))) };
            Ok(Command::number(number, words.checked(file_mode(word))?))
        }
        Kind::Every { number, .. } if words.is_at_end() => Ok(Command::Show(Setting::Number(number))),
        Kind::Every { number, seconds_max, count_max, count_default } => {
            // The bounds make both fit.
            let seconds = words.need_number(0, seconds_max.into(), "seconds")? as u32;
            let count = match words.peek() {
                Some(_) => words.need_number(1, count_max.into(), row.unit)? as u32,
                None => count_default,
            };
            Ok(Command::number(
                number,
                Rate { count: seconds, seconds: if seconds > 0 { count } else { 0 } }.to_bits(),
            ))
        }
        Kind::Decimal { number, max, .. } => {
            let Some(word) = words.next() else { return Ok(Command::Show(Setting::Number(number))) };
            Ok(Command::number(number, words.checked(Load::parse(word, max))?))
        }
        Kind::Rate { number, .. } if words.is_at_end() => Ok(Command::Show(Setting::Number(number))),
        Kind::Rate { number, count_max, seconds_max } => {
            // The bounds make both fit.
            let count = words.need_number(0, count_max.into(), row.unit)? as u32;
            let seconds = match (count, words.peek()) {
                (0, None) => 0,
                _ => words.need_number(1, seconds_max.into(), "seconds")? as u32,
            };
            Ok(Command::number(number, Rate { count, seconds }.to_bits()))
        }
        Kind::Choice { choice, words: values, .. } => {
            let place = words.choice_of(values)?;
            Ok(place.map_or(Command::Show(Setting::Choice(choice)), |place| {
                Command::Set(Assignment::Choice(choice, place))
            }))
        }
        Kind::Text { text, read, .. } => match words.next() {
            Some(word) => Ok(Command::Set(Assignment::Text(text, words.checked(read(word))?))),
            None => Ok(Command::Show(Setting::Text(text))),
        },
        Kind::Rest { text, .. } if words.is_at_end() => Ok(Command::Show(Setting::Text(text))),
        Kind::Rest { text, read, .. } => {
            let value = read(words.take_rest());
            Ok(Command::Set(Assignment::Text(text, words.checked(value)?)))
        }
        Kind::Address { address: Address::Listen, .. } if matches!(words.peek(), Some("add" | "remove")) => {
            listener(words)
        }
        Kind::Address { address, read, want, .. } => {
            if words.is_at_end() && row.args.iter().all(|arg| arg.optional) {
                return Ok(Command::Show(Setting::Address(address)));
            }
            let value = read(words.need(want)?);
            Ok(Command::Set(Assignment::Address(address, words.checked(value)?)))
        }
        Kind::List(list) => entries::add(list, words),
        Kind::Server => server::server(words),
        Kind::Group => group::group(words),
        // A line that is about services is read before.
        Kind::Service => Err(words.error("want a command of a service")),
        Kind::Question(argument) => taking(argument, row, words).map(Command::Ask),
        Kind::Deed(argument) => taking(argument, row, words).map(Command::Do),
        Kind::Idle { why, taken } => {
            match taken {
                Taken::Seconds => drop(words.need_number(0, SECONDS_MAX, row.unit)?),
                Taken::Protocol => protocol(words)?,
            }
            Ok(Command::Explained(why))
        }
        Kind::Gone(why) => {
            // Nobody minds what it would have been given.
            row.option_arg().and_then(|_| words.next());
            Ok(Command::Explained(why))
        }
        Kind::OptionOnly => Err(words.error("not a command")),
    }
}

/// `listen add ADDRESS` and `listen remove ADDRESS`.
fn listener(words: &mut Words) -> Parsed<Command> {
    let adds = words.next() == Some("add");
    words.place = if adds { "listen add" } else { "listen remove" }.to_owned();
    let address = ListenAddr::parse(words.need("an address")?);
    let entry = Entry::Listen(words.checked(address)?);
    Ok(if adds { Command::Add(entry) } else { Command::Remove(entry) })
}

fn negated(words: &mut Words) -> Parsed<Command> {
    words.place = "no".to_owned();
    let row = command_row(words.need("a command")?)?;
    words.place = format!("no {}", row.word);
    let off = match row.kind {
        Kind::Flag { flag, .. } => Some(Command::flag(flag, false)),
        Kind::Number { number, answer: Answer::OrNone, .. } => Some(Command::number(number, Number::NONE)),
        Kind::Choice { choice, words: values, .. } => {
            let place = values.iter().position(|word| *word == Choice::NO);
            // There are fewer words than 256.
            place.map(|place| Command::Set(Assignment::Choice(choice, place as u8)))
        }
        Kind::Text { text, .. } | Kind::Rest { text, .. } => Some(Command::Unset(Setting::Text(text))),
        Kind::Address { address, .. } => Some(Command::Unset(Setting::Address(address))),
        Kind::List(list) => Some(entries::remove(list, words)?),
        Kind::Group => Some(group::taken_back(words)?),
        Kind::Gone(why) => Some(Command::Explained(why)),
        _ => None,
    };
    off.filter(|_| row.no).ok_or_else(|| words.error(&format!("{} cannot be negated", row.word)))
}

/// What a question or a deed becomes with the words that follow.
fn taking<T>(argument: Argument<T>, row: &Row, words: &mut Words) -> Parsed<T> {
    Ok(match argument {
        Argument::Nothing(of) => of(),
        Argument::Listing(of) => of(words.listing()?),
        Argument::Number { default: Some(default), of, .. } if words.is_at_end() => of(default),
        // The bound makes it fit.
        Argument::Number { max, of, .. } => of(words.need_number(0, max.into(), row.unit)? as u32),
        Argument::File(of) => of(words.need_path()?),
        Argument::OptionalFile(of) => of(words.path()?),
        Argument::SocketAddress(of) => {
            const WANT: &str = "HOST:PORT or [IPv6]:PORT, in numbers";
            let word = words.need(WANT)?;
            let address = word.parse().map_err(|_| format!("want {WANT}, got {}", quoted(word)));
            of(words.checked(address)?)
        }
        Argument::FileWith(word, of) => {
            let file = words.need_path()?;
            of(file, words.choice(&[(word, true)])?.unwrap_or(false))
        }
        Argument::Command(of) => of(help_word(words)?),
    })
}

/// A number, or -1 for none.
fn number_or_none(word: &str, max: u64, words: &Words) -> Parsed<u64> {
    match word {
        "-1" => Ok(Number::NONE),
        _ => words
            .number(word, 0, max, "")
            .map_err(|_| words.error(&format!("want -1..{max}, got {}", quoted(word)))),
    }
}

/// `-L`, with the original's words and complaint.
fn protocol(words: &mut Words) -> Parsed<()> {
    match words.need("ssl23 or ssl2 or ssl3 or tls1")? {
        "ssl23" | "ssl2" | "ssl3" | "tls1" => Ok(()),
        word => Err(words.error(&format!(
            "protocol version {} not known; want ssl23 or ssl2 or ssl3 or tls1",
            quoted(word)
        ))),
    }
}

fn help_word(words: &mut Words) -> Parsed<Option<String>> {
    match words.next() {
        Some(word) if row_spelled(word).is_some() => Ok(Some(word.to_owned())),
        Some(word) => Err(unknown(word)),
        None => Ok(None),
    }
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

/// The keys of `server N`.
fn keys() -> impl Iterator<Item = &'static str> {
    SERVER_KEYS.iter().map(|key| key.word)
}

/// The word, if something similar is worth looking for.
fn similar(word: &str) -> Option<String> {
    (word.len() <= SUGGESTION_BYTES_MAX).then(|| word.to_owned())
}

#[cfg(test)]
mod tests;
