//! Configurations of other balancers as pen's commands. Pure: text in, lines and notes out.
//!
//! Called by `pen --import` and by the programs that stand in for others (`pen --as`).

mod names;
pub mod octopus;
#[cfg(feature = "xml")]
pub mod txlb;
#[cfg(feature = "xml")]
mod xml;

use std::fmt;

/// What a file has become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Commands of pen, one a line.
    pub lines: Vec<String>,
    /// What the operator should know.
    pub notes: Vec<Note>,
    /// Path of the control socket that stands where programs look for it (`-C`).
    pub control: Option<String>,
}

impl Imported {
    /// The lines of a configuration file.
    pub fn configuration(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn note(&mut self, place: impl Into<Place>, text: impl Into<String>) {
        self.notes.push(Note { place: place.into(), text: text.into() });
    }
}

/// Something about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub place: Place,
    pub text: String,
}

/// Where in a file; lines and columns begin with 1, and 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl From<usize> for Place {
    fn from(line: usize) -> Place {
        Place { line, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in [self.line, self.column].into_iter().filter(|number| *number > 0) {
            write!(f, "{number}:")?;
        }
        Ok(())
    }
}

impl Note {
    /// `FILE:LINE: text`, or `FILE: text`.
    pub fn of_file(&self, file: impl fmt::Display) -> String {
        format!("{file}:{}{self}", if self.place.line == 0 { " " } else { "" })
    }
}

/// `LINE: text`, or only the text.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place == Place::default() {
            true => f.write_str(&self.text),
            false => write!(f, "{} {}", self.place, self.text),
        }
    }
}

/// What is wrong with a file.
pub type Errors = Vec<Note>;
