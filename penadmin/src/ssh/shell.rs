//! What a person types at a terminal, and what the terminal shows. Words and help come from the command table; names and
//! numbers are asked from pen when they are needed.

use super::clerk::{Clerk, Reply};
use super::editor::{Editor, Outcome};
use super::keys::Keys;
use pen_proto::addr::quoted;
use pen_proto::escape::harmless;
use pen_proto::help::{Completion, completions, help, help_for};
use penctl::live;

const WELCOME: &str = "help lists the commands, TAB completes, quit leaves\n";
const OWN_HELP: &str =
    "pens lists the pens, NAME: goes over to one, NAME: COMMAND says it to one. quit leaves this shell.\n";
const EXIT: &str = "exit ends pen itself; quit leaves this shell. End pen? [y/N] ";

/// The state of one shell.
#[derive(Default)]
pub struct Shell {
    keys: Keys,
    editor: Editor,
    /// The line that waits for a yes.
    asked: Option<String>,
}

impl Shell {
    /// What is shown first.
    pub fn greet(&self, clerk: &Clerk) -> String {
        let several = if clerk.pen.is_none() { format!("pens: {}\n", list(clerk)) } else { String::new() };
        format!("{WELCOME}{several}{}", self.draw(clerk))
    }

    /// Takes a byte from the terminal and says what to show; nothing when the shell is left.
    pub async fn take(&mut self, byte: u8, clerk: &mut Clerk) -> Option<String> {
        let Some(key) = self.keys.feed(byte) else { return Some(String::new()) };
        Some(match self.editor.press(key) {
            Outcome::Edited => self.draw(clerk),
            Outcome::Line(line) => {
                let said = match self.asked.take() {
                    Some(waiting) if ["y", "yes"].contains(&line.trim()) => obey(&waiting, clerk).await?,
                    Some(_) => String::new(),
                    None if wants_pen_to_end(&line, clerk) => {
                        self.asked = Some(line);
                        String::new()
                    }
                    None => obey(&line, clerk).await?,
                };
                format!("\n{said}{}", self.draw(clerk))
            }
            Outcome::Complete => self.complete(clerk).await,
            Outcome::Interrupt => {
                self.asked = None;
                format!("^C\n{}", self.draw(clerk))
            }
            Outcome::End => return None,
        })
    }

    fn draw(&self, clerk: &Clerk) -> String {
        let width = clerk.screen.map_or(usize::MAX, |screen| screen.columns);
        match self.asked {
            Some(_) => self.editor.draw(EXIT, width),
            None => self.editor.draw(&clerk.prompt(), width),
        }
    }

    async fn complete(&mut self, clerk: &Clerk) -> String {
        let typed = self.editor.typed();
        let (words, begun) = candidates(&typed, clerk).await;
        let common = common(&words);
        let more = common.get(begun.len()..).unwrap_or_default();
        self.editor.insert(more);
        match &words[..] {
            [_] => self.editor.insert(" "),
            [_, ..] if more.is_empty() => return format!("\n{}\n{}", words.join("  "), self.draw(clerk)),
            _ => {}
        }
        self.draw(clerk)
    }
}

fn list(clerk: &Clerk) -> String {
    clerk.pens().iter().map(|(name, _)| harmless(name)).collect::<Vec<_>>().join(" ")
}

/// In other shells `exit` leaves the shell; here it ends the service of everybody.
fn wants_pen_to_end(line: &str, clerk: &Clerk) -> bool {
    let (_, line) = split(line, clerk);
    line.split_whitespace().next() == Some("exit")
}

async fn obey(line: &str, clerk: &mut Clerk) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["help"] => return Some(format!("{}\n{OWN_HELP}", help())),
        ["help", word] => {
            return Some(
                help_for(word).unwrap_or_else(|| format!("error: no such command: {}\n", quoted(word))),
            );
        }
        _ => {}
    }
    match clerk.obey(line.as_bytes()).await {
        Ok(Reply::Text(text)) => Some(text),
        Ok(Reply::Quit) => None,
        Err(reason) => Some(format!("error: {}\n", harmless(&reason))),
    }
}

/// The pen that a line is for, and the line without its name.
fn split<'a>(line: &'a str, clerk: &Clerk) -> (Option<usize>, &'a str) {
    let line = line.trim_start();
    for (pen, (name, address)) in clerk.pens().iter().enumerate() {
        for name in [name, address] {
            let rest = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            if let Some(rest) = rest {
                return (Some(pen), rest.trim_start());
            }
        }
    }
    (clerk.pen, line)
}

/// What the word before the cursor may become, and that word.
async fn candidates(typed: &str, clerk: &Clerk) -> (Vec<String>, String) {
    let begun = typed[typed.rfind([' ', '\t']).map_or(0, |blank| blank + 1)..].to_string();
    let (pen, line) = split(typed, clerk);
    let mut words: Vec<String> = Vec::new();
    if begun.len() == typed.trim_start().len() {
        words.extend(["pens", "quit"].map(String::from));
        words.extend(clerk.pens().iter().map(|(name, _)| format!("{}:", harmless(name))));
    }
    for candidate in completions(line) {
        match (candidate, pen) {
            (Completion::Word(word), _) => words.push(word.into()),
            // Files of the machine of pen are none of the user's business here.
            (Completion::Path, _) | (_, None) => {}
            (kind, Some(pen)) => {
                if let Ok(json) = clerk.ask(pen, &live::question(kind, line)).await {
                    words.extend(live::names(kind, &json));
                }
            }
        }
    }
    words.retain(|word| word.starts_with(&begun));
    words.sort();
    words.dedup();
    (words, begun)
}

/// What all of them begin with.
fn common(words: &[String]) -> String {
    let Some((first, others)) = words.split_first() else { return String::new() };
    let is_shared = |end: usize| others.iter().all(|word| word.starts_with(&first[..end]));
    let ends = first.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| is_shared(*end)).last().unwrap_or(0);
    first[..end].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_share_their_beginning() {
        for (words, shared) in
            [(&["server", "servers"][..], "server"), (&["a", "b"], ""), (&["é1", "é2"], "é"), (&[], "")]
        {
            assert_eq!(common(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>()), shared);
        }
    }
}
