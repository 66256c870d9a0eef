//! What the command table says, for people: `pen --help`, the reply of `help`, docs/commands.md, the man page's lists,
//! and the words penctl offers.
//!
//! Owns how rows are presented and says nothing that is not in the table. Called by pen's option reader, by
//! `control/apply`, by penctl and by the tools that write the documents.

mod complete;
mod markdown;
mod mdoc;
mod shells;

pub use complete::{Completion, completions};
pub use markdown::commands_md;
pub use mdoc::{mdoc_commands, mdoc_options};
pub use shells::{FILES, Shell, described};

use complete::offered;

use crate::commands::{
    DEBUG_LEVELS, Group, Kind, Number, ROWS, Row, SERVER_KEYS, ServerKey, ServerValue, When, row_spelled,
};
use crate::seconds::Seconds;

/// Columns of a terminal that has not been made wider.
const COLUMNS: usize = 80;
/// Where the explanations begin in a list.
const LIST_COLUMN: usize = 24;

/// What `pen --help` prints: how to call it, and the options by heading. At most 80 columns wide.
pub fn usage() -> String {
    let mut text = String::from(
        "usage: pen [OPTION...] [HOST:]PORT|/PATH [SERVER...]\n\n\
         SERVER is [NAME=]HOST[:PORT[:MAX[:HARD[:WEIGHT[:PRIO]]]]]. Write an IPv6 HOST\n\
         in brackets. Without PORT a server has the port on which pen listens. Options\n\
         may follow the addresses. Defaults are in brackets.\n",
    );
    for group in Group::ALL {
        let rows: Vec<_> = rows_of(group).filter(|row| row.is_option()).collect();
        match group {
            _ if rows.is_empty() => {}
            Group::Obsolete => {
                let options: Vec<_> = rows.iter().filter_map(|row| option_names(row)).collect();
                text.push_str(&format!("\n{}: {}\n", group.title(), options.join(" ")));
            }
            _ => {
                text.push_str(&format!("\n{}\n", group.title()));
                let entry =
                    |row: &&Row| list_entry(&option_synopsis(row).unwrap_or_default(), &explained(row));
                text.extend(rows.iter().map(entry));
            }
        }
    }
    text.push_str("\nExample: pen -f 8080 10.0.0.1:80 10.0.0.2:80\n");
    text
}

/// The reply of `help`: the commands by heading. At most 80 columns wide.
pub fn help() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let rows: Vec<_> = rows_of(group).filter(|row| row.is_command()).collect();
        if rows.is_empty() {
            continue;
        }
        match group {
            Group::Obsolete => {
                let words: Vec<_> = rows.iter().map(|row| row.word).collect();
                text.push_str(&format!("{}\n", group.title()));
                text.push_str(&indented(&words.join(" ")));
            }
            _ => {
                text.push_str(&format!("{}\n", group.title()));
                text.extend(rows.iter().map(|row| list_entry(&synopsis(row), &explained(row))));
            }
        }
        text.push('\n');
    }
    text.push_str("\"help COMMAND\" says more about one of them.\n");
    text
}

/// The reply of `help WORD`: everything the table says of a command or an option, however it is spelled (`blacklist`,
/// `-b`, `--threads`). `None` when there is no such row.
pub fn help_for(word: &str) -> Option<String> {
    let row = row_spelled(word)?;
    let mut text: String = synopses(row).iter().map(|line| format!("{line}\n")).collect();
    let paragraphs = [sentence(row.summary), row.detail.to_owned(), facts(row)];
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        text.push_str(&format!("\n{}", indented(paragraph)));
    }
    if row.word == "server" {
        text.push('\n');
        text.extend(SERVER_KEYS.iter().map(|key| list_entry(&key_synopsis(key), key.summary)));
    }
    if row.word == "debug" {
        text.push('\n');
        text.extend(DEBUG_LEVELS.iter().map(|(level, said)| list_entry(level, said)));
    }
    Some(text)
}

/// The command with its arguments, optional parts in brackets: `[no] hash`, `blacklist [SECONDS]`. An option that is
/// no command is shown as an option.
pub fn synopsis(row: &Row) -> String {
    if !row.is_command() {
        return option_synopsis(row).unwrap_or_else(|| row.word.to_owned());
    }
    let no = if matches!(row.kind, Kind::Flag { .. }) { "[no] " } else { "" };
    let mut line = format!("{no}{}", row.word);
    for arg in row.args {
        line.push_str(&if arg.optional { format!(" [{}]", arg.name) } else { format!(" {}", arg.name) });
    }
    line
}

/// Every way to give it, one line each: command, `no` form, option.
fn synopses(row: &Row) -> Vec<String> {
    let mut lines = vec![synopsis(row)];
    lines.extend(row.also.iter().map(|line| (*line).to_owned()));
    lines.extend(negative_synopsis(row));
    lines.extend(option_synopsis(row).filter(|_| row.is_command()));
    lines
}

/// The `no` form, where [`synopsis`] does not show it.
fn negative_synopsis(row: &Row) -> Option<String> {
    let shown = row.no && !matches!(row.kind, Kind::Flag { .. });
    let args: String = row.no_args.iter().map(|arg| format!(" {}", arg.name)).collect();
    shown.then(|| format!("no {}{args}", row.word))
}

/// `-b SECONDS`; `None` for what is no option.
fn option_synopsis(row: &Row) -> Option<String> {
    let names = option_names(row)?;
    let arg = row.option_arg().map(|arg| format!(" {}", arg.name)).unwrap_or_default();
    Some(format!("{names}{arg}"))
}

/// `-b` or `--threads`.
fn option_names(row: &Row) -> Option<String> {
    let letter = row.letter.map(|letter| format!("-{letter}"));
    letter.or_else(|| row.long.map(|long| format!("--{long}")))
}

/// The summary with the default, where there is one to know.
fn explained(row: &Row) -> String {
    match row.kind {
        Kind::Number { default, .. } if default != Number::NONE => format!("{} [{default}]", row.summary),
        Kind::Seconds { default_ms: default, .. } | Kind::Decimal { default, .. } => {
            format!("{} [{}]", row.summary, Seconds(default))
        }
        Kind::Mode { default, .. } => format!("{} [{default:o}]", row.summary),
        Kind::Flag { default: true, .. } => format!("{} [on]", row.summary),
        _ => row.summary.to_owned(),
    }
}

/// Bounds, default, and when it may be given; empty when there is nothing to say.
fn facts(row: &Row) -> String {
    let mut facts = Vec::new();
    match row.kind {
        Kind::Number { min, max, default, .. } if default != Number::NONE => {
            let blank = if row.unit.is_empty() { "" } else { " " };
            facts.push(format!("From {min} to {max}{blank}{}; the default is {default}.", row.unit));
        }
        Kind::Seconds { min_ms, max_ms, default_ms, .. } => {
            let [min, max, default] = [min_ms, max_ms, default_ms].map(Seconds);
            facts.push(format!(
                "From {min} to {max} seconds, with up to three decimals; the default is {default}."
            ));
        }
        Kind::Every { seconds_max, count_max, count_default, .. } => facts.push(format!(
            "From 1 to {seconds_max} seconds, and 1 to {count_max} {} ({count_default} unless given); 0, the default, \
             is never.",
            row.unit
        )),
        Kind::Decimal { max, default, .. } => {
            let [max, default] = [max, default].map(Seconds);
            facts.push(format!("From 0 to {max}, with up to three decimals; the default is {default}."));
        }
        Kind::Rate { count_max, seconds_max, .. } => facts.push(format!(
            "From 1 to {count_max} {} within 1 to {seconds_max} seconds; 0, the default, is no limit.",
            row.unit
        )),
        Kind::Mode { default, .. } => facts.push(format!("From 0 to 777; the default is {default:o}.")),
        Kind::Flag { default, .. } if row.is_command() => {
            facts.push(format!("The default is {}.", if default { "on" } else { "off" }))
        }
        _ => {}
    }
    if row.when == When::Start && row.is_command() {
        facts.push("Cannot be changed while pen runs.".to_owned());
    }
    if !row.since.is_empty() {
        let subject = if row.is_command() && row.letter.is_some() { "The command is new" } else { "New" };
        facts.push(format!("{subject} in this pen, since {}.", row.since));
    }
    facts.join(" ")
}

/// `max N`.
fn key_synopsis(key: &ServerKey) -> String {
    let value = match key.value {
        ServerValue::Address(_) => "ADDRESS",
        ServerValue::Port(_) => "PORT",
        ServerValue::Sni(_) => "NAME[,NAME...]|any",
        ServerValue::Tls(_) => "verify|noverify|off [NAME] [certificate FILE]",
        ServerValue::Proxy(_) => "v1|v2|v2-ssl|none",
        ServerValue::Role(_) => "member|clone",
        ServerValue::Ip(_) => "ADDRESS|none",
        ServerValue::Number { unit: "seconds", .. } => "SECONDS",
        ServerValue::Seconds { .. } => "S",
        ServerValue::Check(_) => "none|connect|...",
        ServerValue::Decimal { .. } => "N",
        ServerValue::YesNo(_) => "yes|no",
        ServerValue::Load(_) => "none|snmp|agent|exec",
        ServerValue::Weight(_) => "N",
        ServerValue::Name(_) => "NAME",
        ServerValue::Group(_) => "NAME|all",
        ServerValue::Number { .. } => "N",
    };
    format!("{} {value}", key.word)
}

fn rows_of(group: Group) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.group == group)
}

/// The summary as a sentence. One that begins with a word of the table keeps its spelling.
fn sentence(summary: &str) -> String {
    let mut chars = summary.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str())
}

/// A line of a list: the name, and the explanation beside it, or below it when the name is too long.
fn list_entry(name: &str, explanation: &str) -> String {
    let mut entry = format!("  {name}");
    let mut lines = wrapped(explanation, COLUMNS - LIST_COLUMN).into_iter();
    if entry.len() < LIST_COLUMN {
        let first = lines.next().unwrap_or_default();
        entry = format!("{entry:LIST_COLUMN$}{first}");
    }
    entry.push('\n');
    entry.extend(lines.map(|line| format!("{:LIST_COLUMN$}{line}\n", "")));
    entry
}

fn indented(paragraph: &str) -> String {
    wrapped(paragraph, COLUMNS - 4).iter().map(|line| format!("    {line}\n")).collect()
}

/// Lines of whole words, each at most `columns` long unless a single word is longer.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
