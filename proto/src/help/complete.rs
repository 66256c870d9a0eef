//! What may come next on a line that is being typed: for penctl's shell.

use crate::commands::{Arg, Complete, Kind, ROWS, Row, SERVER_KEYS, ServerDeed, row};

/// A word that may come next, or what kind of thing the caller must find out itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    Word(&'static str),
    /// The number of a server.
    Server,
    /// The number of an open connection.
    Connection,
    /// The name of a service.
    Service,
    /// The name of a group of servers.
    Group,
    /// A file.
    Path,
}

/// What may stand at the end of `line`, which ends where the cursor is. A word that has been begun keeps only what it
/// begins; a kind is given however the word begins. Empty when anything may be typed, or nothing more.
pub fn completions(line: &str) -> Vec<Completion> {
    let begun = line.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (before, begun) = line.split_at(begun);
    let words: Vec<_> = before.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let mut candidates = next_after(&words);
    candidates.retain(|candidate| match candidate {
        Completion::Word(word) => word.starts_with(begun),
        Completion::Server
        | Completion::Connection
        | Completion::Service
        | Completion::Group
        | Completion::Path => true,
    });
    candidates
}

fn next_after(words: &[&str]) -> Vec<Completion> {
    match words {
        [] => command_words().chain(["no"]).map(Completion::Word).collect(),
        ["no"] => offered().filter(|row| row.no).map(|row| Completion::Word(row.word)).collect(),
        ["no", word, args @ ..] => row(word).map(|row| argument(row.no_args, args.len())).unwrap_or_default(),
        ["server"] => {
            let words = [Completion::Word("add"), Completion::Word("all")];
            argument(row("server").map_or(&[], |row| row.args), 0).into_iter().chain(words).collect()
        }
        ["server", "all"] => ServerDeed::OF_ALL.map(Completion::Word).to_vec(),
        ["server", "add"] => Vec::new(),
        ["server", "add", _, pairs @ ..] => server_word(pairs),
        ["server", _] => {
            server_word(&[]).into_iter().chain(ServerDeed::WORDS.map(Completion::Word)).collect()
        }
        ["server", _, pairs @ .., "group"] if pairs.len().is_multiple_of(2) => {
            vec![Completion::Group, Completion::Word("all")]
        }
        ["server", _, pairs @ ..] => server_word(pairs),
        ["service"] => [Completion::Word("add"), Completion::Word("remove"), Completion::Service].into(),
        ["service", "add"] => Vec::new(),
        ["service", "remove"] => vec![Completion::Service],
        ["service", "remove", _] => vec![Completion::Word("now")],
        ["service", _, command @ ..] => next_after(command),
        [word, args @ ..] => row(word).map(|row| argument(row.args, args.len())).unwrap_or_default(),
    }
}

/// Rows worth offering: old words without effect are understood, but need not be learnt.
pub(super) fn offered() -> impl Iterator<Item = &'static Row> {
    let useful = |row: &&Row| row.is_command() && !matches!(row.kind, Kind::Gone(_));
    ROWS.iter().filter(useful)
}

fn command_words() -> impl Iterator<Item = &'static str> {
    offered().map(|row| row.word)
}

fn argument(args: &[Arg], index: usize) -> Vec<Completion> {
    match args.get(index).map(|arg| arg.complete) {
        Some(Complete::Words(words)) => words.iter().copied().map(Completion::Word).collect(),
        Some(Complete::Command) => command_words().map(Completion::Word).collect(),
        Some(Complete::Server) => vec![Completion::Server],
        Some(Complete::Connection) => vec![Completion::Connection],
        Some(Complete::Service) => vec![Completion::Service],
        Some(Complete::Group) => vec![Completion::Group],
        Some(Complete::Path) => vec![Completion::Path],
        Some(Complete::Address | Complete::Number | Complete::Text) | None => Vec::new(),
    }
}

/// A key, or nothing where a value is due.
fn server_word(pairs: &[&str]) -> Vec<Completion> {
    let key_is_due = pairs.len().is_multiple_of(2);
    if key_is_due { SERVER_KEYS.iter().map(|key| Completion::Word(key.word)).collect() } else { Vec::new() }
}
