//! A line that is being typed, with those before it. Pure: keys in, what a terminal shall show out.

use super::keys::Key;
use std::fmt::Write;

/// The longest line that is typed by hand, in characters.
const LINE_CHARS_MAX: usize = 4096;
const HISTORY_LINES_MAX: usize = 200;
/// The least room for the line beside its prompt.
const ROOM_MIN: usize = 10;

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The line looks other than before.
    Edited,
    Line(String),
    Complete,
    Interrupt,
    End,
}

/// The line, the cursor, and what was typed before.
#[derive(Default)]
pub struct Editor {
    line: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// Which line of the history is shown; its length for the line that is new.
    shown: usize,
}

impl Editor {
    /// Does what the key does.
    pub fn press(&mut self, key: Key) -> Outcome {
        match key {
            Key::Char(c) if self.line.len() < LINE_CHARS_MAX => {
                self.line.insert(self.cursor, c);
                self.cursor += 1;
            }
            Key::Char(_) | Key::Redraw => {}
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.line.len() => _ = self.line.remove(self.cursor),
            Key::EndOfInput if self.line.is_empty() => return Outcome::End,
            Key::EndOfInput if self.cursor < self.line.len() => _ = self.line.remove(self.cursor),
            Key::Backspace | Key::Delete | Key::EndOfInput => {}
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::CutBefore => self.cut(0),
            Key::CutBehind => self.line.truncate(self.cursor),
            Key::CutWord => self.cut(self.word_start()),
            Key::Up if self.shown > 0 => self.recall(self.shown - 1),
            Key::Down if self.shown < self.history.len() => self.recall(self.shown + 1),
            Key::Up | Key::Down => {}
            Key::Tab => return Outcome::Complete,
            Key::Interrupt => {
                self.clear();
                return Outcome::Interrupt;
            }
            Key::Enter => return Outcome::Line(self.take()),
        }
        Outcome::Edited
    }

    /// What stands before the cursor.
    pub fn typed(&self) -> String {
        self.line[..self.cursor].iter().collect()
    }

    /// Types this, as if by hand.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars() {
            self.press(Key::Char(c));
        }
    }

    /// What makes a terminal of this width show the line, over what it showed of it before. A line that is too long for
    /// one row is shown around the cursor.
    pub fn draw(&self, prompt: &str, width: usize) -> String {
        let room = width.saturating_sub(prompt.chars().count() + 1).max(ROOM_MIN);
        let first = self.cursor.saturating_sub(room);
        let visible: String = self.line[first..].iter().take(room).collect();
        let mut drawn = format!("\r\x1b[K\x1b[1m{prompt}\x1b[0m{visible}\r");
        match prompt.chars().count() + self.cursor - first {
            0 => {}
            columns => _ = write!(drawn, "\x1b[{columns}C"),
        }
        drawn
    }

    fn take(&mut self) -> String {
        let line: String = self.line.iter().collect();
        let is_worth_it = !line.trim().is_empty() && self.history.last() != Some(&line);
        if is_worth_it {
            if self.history.len() == HISTORY_LINES_MAX {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        self.clear();
        line
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.shown = self.history.len();
    }

    fn recall(&mut self, number: usize) {
        self.shown = number;
        self.line = self.history.get(number).map(|line| line.chars().collect()).unwrap_or_default();
        self.cursor = self.line.len();
    }

    fn cut(&mut self, start: usize) {
        self.line.drain(start..self.cursor);
        self.cursor = start;
    }

    fn word_start(&self) -> usize {
        let before = &self.line[..self.cursor];
        let word_end = before.iter().rposition(|c| *c != ' ').map_or(0, |at| at + 1);
        before[..word_end].iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, text: &str) {
        editor.insert(text);
    }

    fn line(editor: &mut Editor) -> String {
        match editor.press(Key::Enter) {
            Outcome::Line(line) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_edited() {
        let mut editor = Editor::default();
        typed(&mut editor, "serverz 1 weight");
        for key in [Key::CutWord, Key::Home, Key::Right, Key::End, Key::Backspace, Key::Backspace] {
            assert_eq!(editor.press(key), Outcome::Edited);
        }
        editor.press(Key::Backspace);
        editor.press(Key::Backspace);
        typed(&mut editor, "s");
        assert_eq!(line(&mut editor), "servers");
        typed(&mut editor, "ab");
        editor.press(Key::Left);
        editor.press(Key::EndOfInput);
        assert_eq!(line(&mut editor), "a");
        assert_eq!(editor.press(Key::EndOfInput), Outcome::End);
        typed(&mut editor, "abc");
        assert_eq!(editor.press(Key::Interrupt), Outcome::Interrupt);
        assert_eq!(line(&mut editor), "");
    }

    #[test]
    fn lines_come_back() {
        let mut editor = Editor::default();
        for text in ["one", "two", "two", " "] {
            typed(&mut editor, text);
            line(&mut editor);
        }
        for (key, text) in
            [(Key::Up, "two"), (Key::Up, "one"), (Key::Up, "one"), (Key::Down, "two"), (Key::Down, "")]
        {
            editor.press(key);
            assert_eq!(editor.typed(), text);
        }
    }

    #[test]
    fn a_long_line_stays_in_its_row() {
        let mut editor = Editor::default();
        typed(&mut editor, &"x".repeat(LINE_CHARS_MAX + 10));
        assert_eq!(editor.typed().len(), LINE_CHARS_MAX);
        let drawn = editor.draw("shop> ", 40);
        assert_eq!(drawn.matches('x').count(), 33);
        assert!(drawn.ends_with("\x1b[39C"), "{drawn:?}");
    }
}
