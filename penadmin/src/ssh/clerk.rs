//! Lines in, answers out: what a channel wants of pens, for whoever its user is at that moment.

use super::guest::Seen;
use super::lines::{self, Wish};
use crate::office::{Failure, Office, Visitor};
use crate::rights::LINE_BYTES_MAX;
use crate::users::Access;
use pen_proto::escape::harmless;
use pen_sys::clock;
use penctl::table::{Colour, listing, render};
use std::sync::Arc;

/// The width of a terminal that does not tell it, and the widest that is believed.
const COLUMNS: usize = 80;
const COLUMNS_MAX: usize = 1000;

/// A terminal at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub columns: usize,
    pub colour: Colour,
}

impl Screen {
    /// As the client says: 0 columns where it does not know.
    pub fn new(columns: u32, term: &str) -> Screen {
        let colour = if ["", "dumb"].contains(&term) { Colour::Never } else { Colour::Always };
        let mut screen = Screen { columns: COLUMNS, colour };
        screen.resize(columns);
        screen
    }

    pub fn resize(&mut self, columns: u32) {
        self.columns = if columns == 0 { COLUMNS } else { (columns as usize).min(COLUMNS_MAX) };
    }
}

/// Serves one channel.
pub struct Clerk {
    office: Arc<Office>,
    seen: Arc<Seen>,
    /// Where listings become tables.
    pub screen: Option<Screen>,
    /// The pen for lines that name none.
    pub pen: Option<usize>,
}

/// What a line leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Quit,
}

impl Clerk {
    pub fn new(office: Arc<Office>, seen: Arc<Seen>) -> Clerk {
        let pen = if office.pens.len() == 1 { Some(0) } else { None };
        Clerk { office, seen, screen: None, pen }
    }

    /// Name and address of each pen.
    pub fn pens(&self) -> Vec<(&str, &str)> {
        self.office.pens.iter().map(|pen| (pen.name.as_str(), pen.address())).collect()
    }

    /// Who the user is now.
    ///
    /// # Errors
    /// Nobody any more.
    pub fn visitor(&self) -> Result<Visitor, String> {
        self.seen.visitor(&self.office).ok_or_else(|| "you may not be here any more".into())
    }

    /// What stands before the line of a shell.
    pub fn prompt(&self) -> String {
        let name = self.pen.map_or("penadmin", |pen| &self.office.pens[pen].name);
        let is_read_only = self.visitor().is_ok_and(|visitor| visitor.access < Access::Full);
        format!("{}{}> ", harmless(name), if is_read_only { " (read-only)" } else { "" })
    }

    /// Does what a line wants. What is answered may be shown on a terminal.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn obey(&mut self, line: &[u8]) -> Result<Reply, String> {
        self.seen.says_something();
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("want a line of at most {LINE_BYTES_MAX} bytes"));
        }
        let line = std::str::from_utf8(line).map_err(|_| "want UTF-8")?;
        match lines::read(line, &self.pens(), self.pen)? {
            Wish::Say { pen, line } => self.show(pen, line).await.map(Reply::Text),
            Wish::Go(pen) => {
                self.pen = Some(pen);
                Ok(Reply::Text(String::new()))
            }
            Wish::Pens => {
                let names = self.office.pens.iter().map(|pen| format!("{}\n", harmless(&pen.name)));
                Ok(Reply::Text(names.collect()))
            }
            Wish::Quit => Ok(Reply::Quit),
            Wish::Nothing => Ok(Reply::Text(String::new())),
        }
    }

    async fn show(&self, pen: usize, line: &str) -> Result<String, String> {
        let table = self.screen.and_then(|screen| Some((screen, listing(line)?)));
        let Some((screen, listing)) = table else { return Ok(shown(&self.ask(pen, line).await?)) };
        let reply = self.ask(pen, &format!("{line} json")).await?;
        let now_epoch_seconds = clock::epoch_ms() / 1000;
        let table = render(listing, &reply, now_epoch_seconds, screen.colour, screen.columns);
        Ok(table.unwrap_or_else(|| shown(&reply)))
    }

    /// Says a line to a pen, as it is.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn ask(&self, pen: usize, line: &str) -> Result<String, String> {
        let visitor = self.visitor()?;
        let (office, line) = (self.office.clone(), line.to_string());
        let done = tokio::task::spawn_blocking(move || {
            let address = office.pens[pen].address().to_string();
            office.carry_out(&visitor, Some(&address), &line)
        });
        match done.await {
            Ok(done) => done.map_err(reason),
            Err(_) => Err("cannot be carried out now".into()),
        }
    }
}

/// Whole lines in which nothing steers a terminal. Behind a channel without one there may be a terminal all the same.
fn shown(reply: &str) -> String {
    let mut text = harmless(reply);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::Wrong(reason)
        | Failure::Forbidden(reason)
        | Failure::NoPen(reason)
        | Failure::Lost(reason)
        | Failure::Unavailable(reason) => reason,
    }
}
