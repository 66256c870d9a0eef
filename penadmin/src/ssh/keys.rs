//! What is typed: bytes of a terminal in, keys out. Pure.

use pen_proto::escape::is_dangerous;

/// A key, by what it does to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-U: what stands before the cursor goes.
    CutBefore,
    /// Ctrl-K: what stands behind it goes.
    CutBehind,
    /// Ctrl-W: the word before it goes.
    CutWord,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// Ctrl-L.
    Redraw,
}

/// The longest sequence that one key sends.
const SEQUENCE_BYTES_MAX: usize = 16;
const ESCAPE: u8 = 0x1b;

/// Bytes of a key that is not complete yet.
#[derive(Default)]
pub struct Keys(Vec<u8>);

impl Keys {
    /// Takes a byte; the key that it completes, unless that is one that means nothing here.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        match self.0.first() {
            None if byte == ESCAPE || byte >= 0x80 => self.begin(byte),
            None => control(byte),
            Some(&ESCAPE) => self.sequence(byte),
            Some(_) if byte < 0x80 => {
                // The rest of a character has been lost.
                self.0.clear();
                self.feed(byte)
            }
            Some(_) => self.begin(byte),
        }
    }

    fn begin(&mut self, byte: u8) -> Option<Key> {
        self.0.push(byte);
        if byte == ESCAPE {
            return None;
        }
        let read = match std::str::from_utf8(&self.0) {
            Ok(text) => text.chars().next(),
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => None,
        };
        self.0.clear();
        read.filter(|c| !is_dangerous(*c)).map(Key::Char)
    }

    fn sequence(&mut self, byte: u8) -> Option<Key> {
        self.0.push(byte);
        let is_complete = match self.0.len() {
            2 => !b"[O".contains(&byte),
            length => (0x40..0x7f).contains(&byte) || length >= SEQUENCE_BYTES_MAX,
        };
        if !is_complete {
            return None;
        }
        let sequence = std::mem::take(&mut self.0);
        match &sequence[1..] {
            b"[A" | b"OA" => Some(Key::Up),
            b"[B" | b"OB" => Some(Key::Down),
            b"[C" | b"OC" => Some(Key::Right),
            b"[D" | b"OD" => Some(Key::Left),
            b"[H" | b"OH" | b"[1~" | b"[7~" => Some(Key::Home),
            b"[F" | b"OF" | b"[4~" | b"[8~" => Some(Key::End),
            b"[3~" => Some(Key::Delete),
            _ => None,
        }
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x0b => Key::CutBehind,
        0x0c => Key::Redraw,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::CutBefore,
        0x17 => Key::CutWord,
        0x20..0x7f => Key::Char(byte.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.feed(*byte)).collect()
    }

    #[test]
    fn keys_come_in_pieces() {
        assert_eq!(
            keys(b"a\x1b[D\x1bOH\x1b[3~\r"),
            [Key::Char('a'), Key::Left, Key::Home, Key::Delete, Key::Enter]
        );
        assert_eq!(keys("é€".as_bytes()), [Key::Char('é'), Key::Char('€')]);
    }

    #[test]
    fn nonsense_is_no_key_and_ends() {
        assert_eq!(keys(b"\x1bx\x1b[1;5Qb\xc3b\xff\xffc"), [Key::Char('b'), Key::Char('b'), Key::Char('c')]);
        assert_eq!(keys("\u{9b}\u{202e}d".as_bytes()), [Key::Char('d')]);
        let mut endless = b"\x1b[".to_vec();
        endless.extend([b'1'; SEQUENCE_BYTES_MAX - 2]);
        endless.push(b'e');
        assert_eq!(keys(&endless), [Key::Char('e')]);
    }
}
