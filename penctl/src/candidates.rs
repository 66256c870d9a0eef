//! What may be typed next, asked of the running pen where only that knows: for the shell of penctl, and for the shells of
//! the system, whose scripts ask `penctl --complete`.

use crate::{WATCH, pens};
use pen_proto::help::{Completion, FILES, Shell, completions, described};
use pen_sys::control::{Address, Session};
use penctl::live::{self, question};

/// Options of penctl, with what they do.
const OPTIONS: &[(&str, &str)] = &[
    ("-e", "send this command"),
    ("--list", "list the pens that run here"),
    ("--help", "say how to call penctl"),
    ("--version", "print the version"),
    ("--completions", "write the completion script for a shell"),
];

/// The numbers and names that a running pen has, for what is typed so far; none when it cannot be asked.
pub fn live(session: &mut Session, kind: Completion, typed: &str) -> Vec<String> {
    match session.ask(&question(kind, typed)) {
        Ok(Ok(json)) => live::names(kind, &json),
        _ => Vec::new(),
    }
}

/// What `penctl --complete` prints: `line` is what stands behind the program's name, up to the cursor.
pub fn for_shell(line: &str) -> String {
    let start = line.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (before, begun) = line.split_at(start);
    let candidates = match place(before) {
        Place::Option("--completions") => plain(Shell::WORDS.iter().map(|word| word.to_string())),
        Place::Option(_) => commands("", None),
        Place::Address if begun.starts_with('-') => options(),
        Place::Address if begun.is_empty() => return format!("{FILES}\n"),
        Place::Address => match names(begun, &[WATCH]) {
            names if names.is_empty() => return format!("{FILES}\n"),
            names => names,
        },
        Place::Command(WATCH, words) if words.is_empty() => match names(begun, &[]) {
            names if names.is_empty() => return format!("{FILES}\n"),
            names => names,
        },
        Place::Command(_, words) if words.is_empty() && begun.starts_with('-') => options(),
        Place::Command(_, words) if is_path(&typed(&words, begun)) => return format!("{FILES}\n"),
        Place::Command(address, words) => commands(&typed(&words, ""), Some(address)),
    };
    let fits = candidates.into_iter().filter(|(word, _)| word.starts_with(begun));
    fits.map(|(word, what)| if what.is_empty() { format!("{word}\n") } else { format!("{word}\t{what}\n") })
        .collect()
}

/// Where the cursor stands.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// Behind an option that takes a word.
    Option(&'a str),
    Address,
    /// In a command for the pen at this address, behind these words.
    Command(&'a str, Vec<&'a str>),
}

fn place(before: &str) -> Place<'_> {
    let mut words = before.split_whitespace().peekable();
    let mut address = None;
    while let Some(word) = words.next() {
        match (word, address) {
            ("-e" | "--completions", _) if words.peek().is_none() => return Place::Option(word),
            ("-e" | "--completions", _) => {
                words.next();
            }
            (word, _) if word.starts_with('-') => {}
            (word, None) => address = Some(word),
            (word, Some(address)) => {
                return Place::Command(address, [word].into_iter().chain(words).collect());
            }
        }
    }
    address.map_or(Place::Address, |address| Place::Command(address, Vec::new()))
}

/// The command so far, as completion wants it.
fn typed(words: &[&str], begun: &str) -> String {
    words.iter().map(|word| format!("{word} ")).collect::<String>() + begun
}

fn is_path(typed: &str) -> bool {
    completions(typed).contains(&Completion::Path)
}

/// These words and the names of pens that begin so.
fn names(begun: &str, words: &[&str]) -> Candidates {
    let words = words.iter().map(|word| (*word).to_owned());
    plain(words.chain(pens::names()).filter(|word| word.starts_with(begun)))
}

type Candidates = Vec<(String, &'static str)>;

fn plain(words: impl IntoIterator<Item = String>) -> Candidates {
    words.into_iter().map(|word| (word, "")).collect()
}

fn options() -> Candidates {
    OPTIONS.iter().map(|(word, what)| (word.to_string(), *what)).collect()
}

/// What may follow; pen is asked only when it must be.
fn commands(typed: &str, address: Option<&str>) -> Candidates {
    let mut session = None;
    let mut found = Vec::new();
    for (completion, what) in described(typed) {
        match completion {
            Completion::Word(word) => found.push((word.to_string(), what)),
            Completion::Path => {}
            kind => {
                session = session.or_else(|| Session::open(Address::parse(&unquoted(address?)).ok()?).ok());
                found.extend(session.iter_mut().flat_map(|session| plain(live(session, kind, typed))));
            }
        }
    }
    found
}

/// The shell has not yet done to the word what it does when the line is carried out.
fn unquoted(word: &str) -> String {
    let plain: String = word.chars().filter(|c| !['"', '\'', '\\'].contains(c)).collect();
    match (plain.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_in_the_line_decides() {
        assert_eq!(place(""), Place::Address);
        assert_eq!(place("-e 1 "), Place::Address);
        assert_eq!(place("-e "), Place::Option("-e"));
        assert_eq!(place("./ctl "), Place::Command("./ctl", vec![]));
        assert_eq!(place("localhost:8888 server 1 "), Place::Command("localhost:8888", vec!["server", "1"]));
        assert_eq!(for_shell(""), "<file>\n");
        assert_eq!(for_shell("--completions z"), "zsh\n");
        assert_eq!(for_shell("watc"), "watch\n");
        assert_eq!(for_shell("./c"), "<file>\n");
        assert_eq!(for_shell("watch ./c"), "<file>\n");
        assert!(for_shell("./ctl blackl").starts_with("blacklist\t"), "{}", for_shell("./ctl blackl"));
        assert_eq!(for_shell("./ctl write "), "<file>\n");
        assert_eq!(for_shell("./ctl --v"), "--version\tprint the version\n");
        assert_eq!(for_shell("/nonexistent/ctl service "), "add\nremove\n", "a pen that is not there");
    }
}
