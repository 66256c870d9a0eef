//! GLB's command line, as getopt_long(3) reads it: options anywhere, short ones joined, long ones cut short.

use super::{Address, Destination};
use crate::addr::quoted;
use crate::commands::{OneOf, PolicyKind};

/// An option: its letter, its long names, and what it takes.
struct Row(char, &'static [&'static str], Takes);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

use Takes::{Nothing, Value};

/// `-f` takes its value here, and not in GLB, whose letter is unusable.
const ROWS: &[Row] = &[
    Row('h', &["help"], Nothing),
    Row('a', &["defer-accept"], Nothing),
    Row('b', &["round-robin", "round", "rrb"], Nothing),
    Row('c', &["control"], Value),
    Row('d', &["daemon"], Nothing),
    Row('f', &["fifo"], Value),
    Row('i', &["interval"], Value),
    Row('l', &["linger"], Nothing),
    Row('m', &["max_conn", "connections"], Value),
    Row('n', &["nodelay"], Nothing),
    Row('r', &["random"], Nothing),
    Row('s', &["source", "src_tracking", "source_tracking"], Nothing),
    Row('t', &["threads"], Value),
    Row('v', &["verbose"], Nothing),
    Row('w', &["watchdog"], Value),
    Row('x', &["extra"], Value),
    Row('D', &["discover"], Nothing),
    Row('K', &["keepalive"], Nothing),
    Row('L', &["latency"], Value),
    Row('S', &["single"], Nothing),
    Row('T', &["top"], Nothing),
    Row('V', &["version"], Nothing),
    Row('Y', &[], Nothing),
];

/// As GLB's banner has it.
pub fn described(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::LeastConn | PolicyKind::Pen => "least connected",
        PolicyKind::RoundRobin => "round-robin",
        other => other.word(),
    }
}

/// What a command line says. What it does not say is `None`, false or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub help: bool,
    pub version: bool,
    pub policy: Option<PolicyKind>,
    /// Also after `-S`, whatever policy follows.
    pub top: bool,
    pub control: Option<Address>,
    pub fifo: Option<String>,
    /// Seconds between two checks, more than 0.
    pub interval_seconds: Option<f64>,
    pub connections_max: Option<u32>,
    /// 0 counts as 1.
    pub threads: Option<u32>,
    pub defer_accept: bool,
    /// `-l`, which ends lingering.
    pub reset_on_close: bool,
    /// `-n`, which switches TCP_NODELAY off.
    pub delay: bool,
    /// `-K`, which switches SO_KEEPALIVE off.
    pub no_keepalive: bool,
    pub daemon: bool,
    pub verbose: bool,
    pub watchdog: Option<String>,
    /// Seconds; 0 is off.
    pub extra_seconds: Option<f64>,
    pub discover: bool,
    /// Samples; 0 is off.
    pub latency: Option<u32>,
    /// `-Y`, connect one after the other.
    pub synchronous: bool,
    /// The listening address.
    pub listen: Option<Address>,
    pub destinations: Vec<Destination>,
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// The first word that is wrong, and why.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = words.iter().map(AsRef::as_ref);
        let mut free = Vec::new();
        while let Some(word) = words.next() {
            if word == "--" {
                free.extend(words.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                options.take_long(long, &mut words)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                options.take_letters(letters, &mut words)?;
            } else {
                free.push(word);
            }
        }
        if let Some((listen, destinations)) = free.split_first() {
            let wrong = |word: &str, reason| format!("{}: {reason}", quoted(word));
            options.listen = Some(Address::parse(listen).map_err(|reason| wrong(listen, reason))?);
            for text in destinations {
                options
                    .destinations
                    .extend(Destination::parse_list(text).map_err(|reason| wrong(text, reason))?);
            }
        }
        Ok(options)
    }

    fn take_long<'a>(
        &mut self,
        text: &'a str,
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let Row(letter, _, takes) = long_row(name)?;
        let value = match (takes, value) {
            (Nothing, None) => "",
            (Nothing, Some(_)) => return Err(format!("option --{name} takes no value")),
            (Value, Some(value)) => value,
            (Value, None) => words.next().ok_or_else(|| format!("option --{name} wants a value"))?,
        };
        self.set(*letter, value)
    }

    fn take_letters<'a>(
        &mut self,
        letters: &'a str,
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            let row = ROWS.iter().find(|Row(known, ..)| *known == letter);
            let Row(_, _, takes) =
                row.ok_or_else(|| format!("option {} is unknown", quoted(&format!("-{letter}"))))?;
            if *takes == Nothing {
                self.set(letter, "")?;
                continue;
            }
            let value = match &letters[at + letter.len_utf8()..] {
                "" => words.next().ok_or_else(|| format!("option -{letter} wants a value"))?,
                joined => joined,
            };
            return self.set(letter, value);
        }
        Ok(())
    }

    fn set(&mut self, letter: char, value: &str) -> Result<(), String> {
        match letter {
            'h' => self.help = true,
            'a' => self.defer_accept = true,
            'b' => self.policy = Some(PolicyKind::RoundRobin),
            'c' => self.control = Some(Address::parse(value).map_err(|reason| format!("control: {reason}"))?),
            'd' => self.daemon = true,
            'f' => self.fifo = Some(value.to_owned()),
            'i' => self.interval_seconds = Some(seconds("check interval", value, |number| number > 0.0)?),
            'l' => self.reset_on_close = true,
            'm' => self.connections_max = Some(number("max_conn", value)?),
            'n' => self.delay = true,
            'r' => self.policy = Some(PolicyKind::Random),
            's' => self.policy = Some(PolicyKind::Source),
            't' => self.threads = Some(number("n_threads", value)?),
            'v' => self.verbose = true,
            'w' => self.watchdog = Some(value.to_owned()),
            'x' => self.extra_seconds = Some(seconds("extra", value, |number| number >= 0.0)?),
            'D' => self.discover = true,
            'K' => self.no_keepalive = true,
            'L' => self.latency = Some(number("latency count", value)?),
            'S' => {
                self.policy = Some(PolicyKind::Single);
                self.top = true;
            }
            'T' => self.top = true,
            'V' => self.version = true,
            _ => self.synchronous = true,
        }
        Ok(())
    }
}

/// The option of this name, or the only one whose names begin so.
fn long_row(name: &str) -> Result<&'static Row, String> {
    let exact = ROWS.iter().find(|Row(_, names, _)| names.contains(&name));
    let begins = |Row(_, names, _): &&Row| names.iter().any(|known| known.starts_with(name));
    let mut beginning = ROWS.iter().filter(begins);
    match (exact, beginning.next(), beginning.next()) {
        (Some(row), ..) | (None, Some(row), None) => Ok(row),
        (None, Some(_), Some(_)) => Err(format!("option {} is ambiguous", quoted(&format!("--{name}")))),
        (None, None, _) => Err(format!("option {} is unknown", quoted(&format!("--{name}")))),
    }
}

fn number(name: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("Bad {name} value: {}", quoted(text)))
}

fn seconds(name: &str, text: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && fits(*number));
    number.ok_or_else(|| format!("Bad {name} value: {}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn options_may_stand_anywhere_joined_and_cut_short() {
        let options =
            parse("-bv 3306 -t4 10.0.0.1 --int=0.5 10.0.0.2:3307:2,10.0.0.3 -c 4000 --fifo /run/f").unwrap();
        assert_eq!(options.policy, Some(PolicyKind::RoundRobin));
        assert!(options.verbose);
        assert_eq!((options.threads, options.interval_seconds), (Some(4), Some(0.5)));
        assert_eq!(options.listen, Some(Address { host: None, port: 3306 }));
        assert_eq!(options.destinations.len(), 3);
        assert_eq!(options.control, Some(Address { host: None, port: 4000 }));
        assert_eq!(options.fifo.as_deref(), Some("/run/f"));
        assert_eq!(parse("-f /run/f 1").unwrap().fifo.as_deref(), Some("/run/f"));
    }

    #[test]
    fn the_last_policy_counts_and_single_leaves_top() {
        let options = parse("-S -r 1").unwrap();
        assert_eq!((options.policy, options.top), (Some(PolicyKind::Random), true));
        assert_eq!(parse("1").unwrap().policy, None);
    }

    #[test]
    fn wrong_words_are_named() {
        for (line, error) in [
            ("-Z 1", "option \"-Z\" is unknown"),
            ("--nothing 1", "option \"--nothing\" is unknown"),
            ("--s 1", "option \"--s\" is ambiguous"),
            ("--top=1 1", "option --top takes no value"),
            ("1 -t", "option -t wants a value"),
            ("-t x 1", "Bad n_threads value: \"x\""),
            ("-m -1 1", "Bad max_conn value: \"-1\""),
            ("-i 0 1", "Bad check interval value: \"0\""),
            ("-L x 1", "Bad latency count value: \"x\""),
            ("-x -1 1", "Bad extra value: \"-1\""),
            ("x", "\"x\": port: want 0..65535, got \"x\""),
            ("1 a:b", "\"a:b\": port: want 0..65535, got \"b\""),
        ] {
            assert_eq!(parse(line), Err(error.to_owned()), "{line}");
        }
    }
}
