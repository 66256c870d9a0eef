//! The interactive shell: a line editor with history, completion and hints around a session.
//!
//! Words, arguments and help come from the command table; numbers of servers and connections are asked from pen when
//! they are needed.

use crate::candidates;
use crate::pens;
use crate::screen::Screen;
use crate::table::{Colour, harmless};
use pen_proto::addr::quoted;
use pen_proto::commands::{ROWS, Row};
use pen_proto::help::{Completion, completions, help, help_for, synopsis};
use pen_sys::control::{Address, Session};
use pen_sys::program::complain;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

const HISTORY_LINES_MAX: usize = 1000;

const WELCOME: &str = "help lists the commands, TAB completes, quit leaves\n";

type Line = Editor<Assistant, FileHistory>;

/// Reads commands from the terminal until `quit` or the end of input.
///
/// # Errors
///
/// The terminal or standard output cannot be used. Errors of pen are shown and the shell goes on.
pub fn run(session: Session, screen: Screen) -> Result<(), String> {
    let session = Rc::new(RefCell::new(session));
    let mut line = editor(&session, screen).map_err(|error| format!("terminal: {error}"))?;
    let history = history_file();
    if let Some(history) = &history {
        // There is none before the first time.
        let _ = line.load_history(history);
    }
    screen.print(WELCOME)?;
    let ended = obey(&mut line, &session, screen);
    if let Some(history) = &history {
        line.save_history(history).map_err(|error| format!("{}: {error}", history.display()))?;
    }
    ended
}

fn editor(session: &Rc<RefCell<Session>>, screen: Screen) -> rustyline::Result<Line> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut line = Editor::with_config(config)?;
    line.set_helper(Some(Assistant {
        session: session.clone(),
        files: FilenameCompleter::new(),
        colour: screen.colour(),
    }));
    Ok(line)
}

fn obey(line: &mut Line, session: &Rc<RefCell<Session>>, screen: Screen) -> Result<(), String> {
    loop {
        let prompt = prompt(&session.borrow());
        let command = match line.readline(&prompt) {
            Ok(command) => command,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(format!("terminal: {error}")),
        };
        // Fails only when the history is full of something else than text.
        let _ = line.add_history_entry(&command);
        let words: Vec<&str> = command.split_whitespace().collect();
        let done = match words[..] {
            [] => Ok(()),
            ["quit"] => return Ok(()),
            ["help"] => screen.print(&format!("{}\n{OWN_HELP}", help())),
            ["scan"] => scan(line, session, screen),
            #[cfg(feature = "watch")]
            ["watch"] => crate::watch::run(session.borrow().address().clone(), screen),
            ["help", word] => help_for(word)
                .ok_or_else(|| format!("no such command: {}", quoted(word)))
                .and_then(|text| screen.print(&text)),
            ["exit", ..] if !wants_pen_to_end(line) => Ok(()),
            _ => screen.show(&command, |command| session.borrow_mut().ask(command)),
        };
        if let Err(trouble) = done {
            complain(harmless(&trouble));
        }
    }
}

/// What the shell does by itself.
const OWN_HELP: &str =
    "scan looks for other pens and goes over to one. watch shows this one live. quit leaves this shell.\n";

/// Which pen and service commands are for, and whether it takes any.
fn prompt(session: &Session) -> String {
    let service = session.service().map(|service| format!(" {}", harmless(service))).unwrap_or_default();
    let rights = if session.is_read_only() { " (read-only)" } else { "" };
    format!("{}{service}{rights}> ", harmless(session.address().text()))
}

/// Looks for pens, and goes over to the one that is chosen.
fn scan(line: &mut Line, session: &Rc<RefCell<Session>>, screen: Screen) -> Result<(), String> {
    let directories = pens::directories();
    let found = pens::find(&directories);
    pens::troubles(&found).for_each(complain);
    let chosen = pens::choose(&found, &directories, |found| {
        screen.print(&pens::list(found, screen.colour(), screen.width()))?;
        let answer = line.readline("which one, by number or name? ").unwrap_or_default();
        let word = Some(answer.trim()).filter(|word| !word.is_empty());
        word.map(|word| pens::pick(found, word).map(pens::Pen::address)).transpose()
    })?;
    if let Some(address) = chosen {
        *session.borrow_mut() = Session::open(Address::parse(&address)?)?;
    }
    Ok(())
}

/// In other shells `exit` leaves the shell; here it ends the service of everybody.
fn wants_pen_to_end(line: &mut Line) -> bool {
    const QUESTION: &str = "exit ends pen itself; quit leaves this shell. End pen? [y/N] ";
    line.readline(QUESTION).is_ok_and(|answer| ["y", "yes"].contains(&answer.trim()))
}

/// `$XDG_STATE_HOME/penctl_history`, or `~/.penctl_history`.
fn history_file() -> Option<PathBuf> {
    let directory = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    directory("XDG_STATE_HOME")
        .filter(|state| state.is_dir())
        .map(|state| state.join("penctl_history"))
        .or_else(|| directory("HOME").map(|home| home.join(".penctl_history")))
}

/// Knows what may be typed next.
struct Assistant {
    session: Rc<RefCell<Session>>,
    files: FilenameCompleter,
    colour: Colour,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..position];
        let start = typed.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
        let begun = &typed[start..];
        let mut words: Vec<String> = Vec::new();
        if start == 0 {
            words.extend(["scan", "watch"].map(String::from));
        }
        for candidate in completions(typed) {
            match candidate {
                Completion::Word(word) => words.push(word.into()),
                Completion::Path => return self.files.complete_path(line, position),
                Completion::Server | Completion::Connection | Completion::Service | Completion::Group => {
                    words.extend(candidates::live(&mut self.session.borrow_mut(), candidate, typed))
                }
            }
        }
        words.retain(|word| word.starts_with(begun));
        let pair = |word: String| Pair { replacement: format!("{word} "), display: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

/// A remark behind the cursor; nothing of it is ever typed for the user.
struct Remark(String);

impl Hint for Remark {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Remark;

    /// How the command goes on and what it does, once its word stands there.
    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<Remark> {
        if position < line.len() {
            return None;
        }
        remark(line).map(Remark)
    }
}

fn remark(line: &str) -> Option<String> {
    let word = line.trim_end();
    let row = command(word)?;
    let arguments = synopsis(row).split_once(' ').map(|(_, arguments)| arguments.to_string());
    let gap = if line.len() == word.len() { " " } else { "" };
    Some(match arguments {
        Some(arguments) => format!("{gap}{arguments}  ({})", row.summary),
        None => format!("{gap} ({})", row.summary),
    })
}

fn command(word: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.is_command() && row.word == word)
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        match (self.colour, default) {
            (Colour::Always, true) => Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m")),
            _ => Cow::Borrowed(prompt),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        match self.colour {
            Colour::Always => Cow::Owned(format!("\x1b[2m{hint}\x1b[0m")),
            Colour::Never => Cow::Borrowed(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_says_how_a_command_goes_on() {
        assert!(remark("server").unwrap().starts_with(" N|NAME "), "{:?}", remark("server"));
        assert_eq!(remark("pid"), Some("  (show the process number)".into()));
        assert_eq!(remark("serv"), None);
        assert_eq!(remark("server 1"), None);
        assert_eq!(remark(""), None);
    }
}
