//! The lists of options and of commands for the man page, in mdoc(7), from the table.

use super::{facts, key_synopsis, rows_of, sentence};
use crate::commands::{Arg, DEBUG_LEVELS, Group, Kind, Row, SERVER_KEYS};

/// The options by heading, as subsections with a list each.
pub fn mdoc_options() -> String {
    sections(Row::is_option, |row| vec![option_item(row)])
}

/// The commands by heading, as subsections with a list each.
pub fn mdoc_commands() -> String {
    sections(Row::is_command, command_items)
}

fn sections(wanted: fn(&Row) -> bool, items: fn(&Row) -> Vec<String>) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let mut rows = rows_of(group).filter(|row| wanted(row)).peekable();
        if rows.peek().is_some() {
            text.push_str(&format!(".Ss {}\n.Bl -tag -width Ds\n", group.title()));
            text.extend(rows.map(|row| entry(row, &items(row))));
            text.push_str(".El\n");
        }
    }
    text
}

fn entry(row: &Row, items: &[String]) -> String {
    let mut text: String = items.iter().map(|item| format!("{item}\n")).collect();
    for part in [sentence(row.summary), row.detail.to_owned(), facts(row)] {
        text.push_str(&body(&part));
    }
    if row.word == "server" {
        text.push_str(".Bl -tag -width Ds\n");
        text.extend(SERVER_KEYS.iter().map(|key| {
            let words = key_synopsis(key);
            let (word, value) = words.split_once(' ').unwrap_or((&words, ""));
            format!(".It Cm {} Ar {}\n{}", escaped(word), escaped(value), body(&sentence(key.summary)))
        }));
        text.push_str(".El\n");
    }
    if row.word == "debug" && row.is_command() {
        text.push_str(".Bl -tag -width Ds\n");
        text.extend(
            DEBUG_LEVELS
                .iter()
                .map(|(level, said)| format!(".It {}\n{}", escaped(level), body(&sentence(said)))),
        );
        text.push_str(".El\n");
    }
    text
}

fn option_item(row: &Row) -> String {
    let name = match (row.letter, row.long) {
        (Some(letter), _) => format!("Fl {letter}"),
        (None, long) => format!("Fl Fl {}", escaped(long.unwrap_or(row.word))),
    };
    let arg = row.option_arg().map(|arg| format!(" {}", argument(arg))).unwrap_or_default();
    format!(".It {name}{arg}")
}

fn command_items(row: &Row) -> Vec<String> {
    let is_flag = matches!(row.kind, Kind::Flag { .. });
    let no = if is_flag { "Oo Cm no Oc " } else { "" };
    let args: String = row.args.iter().map(|arg| format!(" {}", bracketed(arg))).collect();
    let mut items = vec![format!(".It {no}Cm {}{args}", escaped(row.word))];
    items.extend(row.also.iter().map(|line| also(line)));
    if row.no && !is_flag {
        let args: String = row.no_args.iter().map(|arg| format!(" {}", bracketed(arg))).collect();
        items.push(format!(".It Cm no Cm {}{args}", escaped(row.word)));
    }
    items
}

/// A usage line: words in capitals stand for something, the others are typed; brackets around words are optional parts.
fn also(line: &str) -> String {
    let word = |word: &str| {
        let opens = word.starts_with('[') && word.find(']').is_none_or(|end| end + 1 == word.len());
        let closes = word.ends_with(']') && (opens || !word.contains('['));
        let inner = word.strip_prefix('[').filter(|_| opens).unwrap_or(word);
        let inner = inner.strip_suffix(']').filter(|_| closes).unwrap_or(inner);
        let kind = if inner.contains(char::is_uppercase) { "Ar" } else { "Cm" };
        let (oo, oc) = (if opens { " Oo" } else { "" }, if closes { " Oc" } else { "" });
        format!("{oo} {kind} {}{oc}", escaped(inner))
    };
    format!(".It{}", line.split(' ').map(word).collect::<String>())
}

fn bracketed(arg: &Arg) -> String {
    if arg.optional { format!("Oo {} Oc", argument(arg)) } else { argument(arg) }
}

/// Lower-case names are words to be typed, the others stand for something.
fn argument(arg: &Arg) -> String {
    let literal = !arg.name.contains(char::is_uppercase);
    format!("{} {}", if literal { "Cm" } else { "Ar" }, escaped(arg.name))
}

/// Text lines, one sentence each; code in backquotes becomes bold.
fn body(text: &str) -> String {
    let mut lines = String::new();
    for sentence in text.split_inclusive(". ").map(str::trim_end).filter(|sentence| !sentence.is_empty()) {
        for (index, part) in sentence.split('`').enumerate() {
            let is_code = index % 2 == 1;
            lines.push_str(&if is_code { format!("\\fB{}\\fR", escaped(part)) } else { escaped_text(part) });
        }
        lines.push('\n');
    }
    lines
}

/// Code or a macro argument: a hyphen is a minus sign, as typed.
fn escaped(text: &str) -> String {
    let text = escaped_text(text).replace('-', "\\-");
    // A word of mdoc's own, such as `No`, is not called when something invisible comes first.
    if text.len() <= 3 { format!("\\&{text}") } else { text }
}

/// Running text: no backslash is interpreted, and no line is taken for a request.
fn escaped_text(text: &str) -> String {
    let text = text.replace('\\', "\\e");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
