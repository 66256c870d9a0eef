//! Where answers go: aligned tables and harmless text for a terminal, the plain bytes for anything else.

use crate::table::{Colour, harmless, listing, render};
use pen_sys::clock;
use pen_sys::control::Reply;
use pen_sys::terminal::columns;
use std::io::{self, IsTerminal, Write};

/// Where a terminal does not tell its width.
const COLUMNS: usize = 80;

/// Standard output, and what it can take.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    is_terminal: bool,
    colour: Colour,
}

impl Screen {
    /// Colour is for terminals that know it, unless the user wants none (`NO_COLOR`).
    pub fn of_stdout() -> Screen {
        let is_terminal = io::stdout().is_terminal();
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let colour = if is_terminal && !wants_none && !is_dumb { Colour::Always } else { Colour::Never };
        Screen { is_terminal, colour }
    }

    pub fn colour(self) -> Colour {
        self.colour
    }

    pub fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// How wide a line may be; in a file as wide as it is.
    pub fn width(self) -> usize {
        if self.is_terminal { columns(io::stdout()).unwrap_or(COLUMNS) } else { usize::MAX }
    }

    /// Asks with `ask` and prints the answer. A listing is asked for in its JSON form when it can be shown as a table.
    ///
    /// # Errors
    ///
    /// What `ask` could not do, pen's own error, or an output that cannot be written.
    pub fn show(self, command: &str, ask: impl FnOnce(&str) -> Result<Reply, String>) -> Result<(), String> {
        let listing = listing(command).filter(|_| self.is_terminal);
        let Some(listing) = listing else { return self.print_reply(&ask(command)??) };
        let reply = ask(&format!("{} json", command.trim()))??;
        match render(listing, &reply, clock::epoch_ms() / 1000, self.colour, self.width()) {
            Some(table) => self.print(&table),
            None => self.print_reply(&reply),
        }
    }

    /// Prints what pen said; nothing of it may steer a terminal.
    fn print_reply(self, reply: &str) -> Result<(), String> {
        if self.is_terminal { self.print(&harmless(reply)) } else { self.print(reply) }
    }

    /// Prints text of our own.
    ///
    /// # Errors
    ///
    /// The output cannot be written. A reader that has gone has had enough and is no error.
    pub fn print(self, text: &str) -> Result<(), String> {
        let written = io::stdout().write_all(text.as_bytes());
        match written.and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("standard output: {error}"))
            }
            _ => Ok(()),
        }
    }
}
