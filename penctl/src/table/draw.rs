//! Cells in aligned columns, no wider than the terminal: what matters least is left out first. Pure.

use super::Colour;
use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// How a row stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Out of service.
    Bad,
    /// At a limit.
    Warm,
    /// Nothing there.
    Faint,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Bad => "\x1b[31m",
            Tone::Warm => "\x1b[33m",
            Tone::Faint => "\x1b[2m",
        }
    }
}

const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";
/// Between two columns.
const GAP: usize = 2;
/// No cell is cut to less.
const CELL_MIN: usize = 8;

/// A heading, where its cells are aligned, and how soon the column is left out for want of room: 0 is never, and the
/// greatest first.
pub type Column = (&'static str, Side, u8);

pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<(Tone, Vec<String>)>,
    /// Shown when there is no row.
    pub nothing: &'static str,
}

impl Table {
    /// In lines of at most `width` characters.
    pub fn draw(mut self, colour: Colour, width: usize) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.nothing);
        }
        let mut widths = self.widths();
        while total(&widths) > width && self.leave_one_out() {
            widths = self.widths();
        }
        while total(&widths) > width {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > CELL_MIN) else { break };
            *widest -= 1;
        }
        let mut text = String::new();
        let headings: Vec<String> = self.columns.iter().map(|(heading, ..)| (*heading).into()).collect();
        let coloured = |code: &'static str| if colour == Colour::Always { code } else { "" };
        self.draw_line(&mut text, &headings, &widths, coloured(BOLD));
        for (tone, cells) in &self.rows {
            self.draw_line(&mut text, cells, &widths, coloured(tone.code()));
        }
        text
    }

    /// First a column that tells nothing; false when all that are left are needed.
    fn leave_one_out(&mut self) -> bool {
        let tells_nothing =
            |column: usize| self.rows.iter().all(|(_, cells)| ["-", "0", "0 B"].contains(&&*cells[column]));
        let droppable = (0..self.columns.len()).filter(|column| self.columns[*column].2 > 0);
        let least = droppable.max_by_key(|column| (tells_nothing(*column), self.columns[*column].2));
        least.map(|least| self.leave_out(least)).is_some()
    }

    pub fn leave_out(&mut self, column: usize) {
        self.columns.remove(column);
        self.rows.iter_mut().for_each(|(_, cells)| drop(cells.remove(column)));
    }

    fn widths(&self) -> Vec<usize> {
        let cells = |column: usize| self.rows.iter().map(move |(_, cells)| cells[column].chars().count());
        let widest =
            |(column, (heading, ..)): (usize, &Column)| cells(column).max().unwrap_or(0).max(heading.len());
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn draw_line(&self, text: &mut String, cells: &[String], widths: &[usize], code: &str) {
        let mut line = String::new();
        for ((cell, width), (_, side, _)) in cells.iter().zip(widths).zip(&self.columns) {
            let (cell, width) = (cut(cell, *width), *width);
            match side {
                Side::Left => write!(line, "{cell:<width$}  "),
                Side::Right => write!(line, "{cell:>width$}  "),
            }
            .expect("a String takes everything");
        }
        let end = if code.is_empty() { "" } else { RESET };
        text.extend([code, line.trim_end(), end, "\n"]);
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

fn cut(cell: &str, width: usize) -> String {
    match cell.chars().count() > width {
        true => cell.chars().take(width - 1).chain(['…']).collect(),
        false => cell.to_owned(),
    }
}

/// Joins parts with commas, in lines of at most `width` characters.
pub fn wrapped(parts: &[String], width: usize) -> String {
    let mut lines = vec![String::new()];
    for (index, part) in parts.iter().enumerate() {
        let comma = if index + 1 < parts.len() { "," } else { "" };
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() && line.chars().count() + part.chars().count() + 2 > width {
            lines.push(format!("{part}{comma}"));
        } else {
            let blank = if line.is_empty() { "" } else { " " };
            line.extend([blank, part, comma]);
        }
    }
    lines.join("\n") + "\n"
}
