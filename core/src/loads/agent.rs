//! The line of an agent: a load, and the words of HAProxy's agents. Pure.
//!
//! A number without a unit is the load. The other words are HAProxy's: a percentage of the server's weight, `maxconn:N`, what
//! the administrator of the server wants (`ready`, `drain`, `maint`), and how the server finds itself (`up`, `down`, `failed`,
//! `stopped`), with an explanation behind `#`. Blanks or commas part them.

use pen_proto::addr::quoted;
use pen_proto::load::Load;

/// Bytes of a line.
pub const LINE_BYTES_MAX: usize = 512;
/// Largest percentage of a weight, as in HAProxy, whose weights end at 256.
const PERCENT_MAX: u32 = 25_600;
/// Bytes of an explanation that are kept.
const NOTE_BYTES_MAX: usize = 120;

/// What the administrator of a server wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Ready,
    /// Nobody new.
    Drain,
    /// Nobody.
    Maint,
}

/// How a server finds itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finds {
    Up,
    /// With the word, and the explanation if there is one.
    Down(String),
}

/// What a line says; `None` for what it says nothing of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub load: Option<Load>,
    /// Of the weight that is configured.
    pub percent: Option<u32>,
    /// Connections that it may have.
    pub max: Option<u32>,
    pub wish: Option<Wish>,
    pub finds: Option<Finds>,
}

impl Said {
    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// A word that is none of these, or nothing at all; made harmless.
    pub fn parse(line: &[u8]) -> Result<Said, String> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_matches(is_blank);
        let (words, note) = text.split_once('#').unwrap_or((text, ""));
        let mut said = Said::default();
        for word in words.split(is_blank).filter(|word| !word.is_empty()) {
            said.take(word, note.trim()).ok_or_else(|| format!("it says {}", quoted(text)))?;
        }
        match said == Said::default() {
            true => Err("it says nothing".into()),
            false => Ok(said),
        }
    }

    fn take(&mut self, word: &str, note: &str) -> Option<()> {
        if let Some(load) = Load::read(word) {
            self.load = Some(load);
            return Some(());
        }
        if let Some(percent) = word.strip_suffix('%') {
            self.percent = Some(number(percent).filter(|percent| *percent <= PERCENT_MAX)?);
            return Some(());
        }
        let word = word.to_ascii_lowercase();
        if let Some(max) = word.strip_prefix("maxconn:") {
            self.max = Some(number(max)?);
            return Some(());
        }
        match &*word {
            "ready" => self.wish = Some(Wish::Ready),
            "drain" => self.wish = Some(Wish::Drain),
            "maint" => self.wish = Some(Wish::Maint),
            "up" => self.finds = Some(Finds::Up),
            "down" | "fail" | "failed" | "stopped" => {
                let note: String = note.chars().take(NOTE_BYTES_MAX).collect();
                let colon = if note.is_empty() { "" } else { ": " };
                self.finds = Some(Finds::Down(format!("{word}{colon}{note}")));
            }
            _ => return None,
        }
        Some(())
    }
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == ',' || c == '\0'
}

fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// A line that comes piece by piece.
#[derive(Debug, Default)]
pub struct Line(Vec<u8>);

/// How far a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Waits,
    Complete(Result<Said, String>),
}

impl Line {
    /// Takes what came; nothing is the end of the connection, which also ends a line.
    pub fn take(&mut self, bytes: &[u8]) -> Progress {
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        self.0.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        match end.is_some() || bytes.is_empty() {
            true => Progress::Complete(Said::parse(&self.0)),
            false if self.0.len() > LINE_BYTES_MAX => {
                Progress::Complete(Err(format!("its line is longer than {LINE_BYTES_MAX} bytes")))
            }
            false => Progress::Waits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(line: &str) -> Said {
        Said::parse(line.as_bytes()).unwrap_or_else(|reason| panic!("{line:?}: {reason}"))
    }

    fn down(why: &str) -> Option<Finds> {
        Some(Finds::Down(why.into()))
    }

    #[test]
    fn words_are_read_as_haproxy_reads_them() {
        let load = |thousandths| Some(Load::of_thousandths(thousandths));
        let nothing = Said::default;
        for (line, expected) in [
            ("0.75\r\n", Said { load: load(750), ..nothing() }),
            ("75%\n", Said { percent: Some(75), ..nothing() }),
            ("0%", Said { percent: Some(0), ..nothing() }),
            ("up", Said { finds: Some(Finds::Up), ..nothing() }),
            ("DRAIN", Said { wish: Some(Wish::Drain), ..nothing() }),
            ("maint", Said { wish: Some(Wish::Maint), ..nothing() }),
            ("down", Said { finds: down("down"), ..nothing() }),
            ("stopped#by the operator", Said { finds: down("stopped: by the operator"), ..nothing() }),
            ("failed # out of memory", Said { finds: down("failed: out of memory"), ..nothing() }),
            (
                "ready up 100% maxconn:30",
                Said {
                    wish: Some(Wish::Ready),
                    finds: Some(Finds::Up),
                    percent: Some(100),
                    max: Some(30),
                    ..nothing()
                },
            ),
            (
                "up,ready,50%,2.5",
                Said {
                    wish: Some(Wish::Ready),
                    finds: Some(Finds::Up),
                    percent: Some(50),
                    load: load(2_500),
                    ..nothing()
                },
            ),
        ] {
            assert_eq!(said(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_word_is_told_and_counts_as_no_answer() {
        for (line, reason) in [
            ("", "it says nothing"),
            (" \r\n", "it says nothing"),
            ("# only a note", "it says nothing"),
            ("up and running", "it says \"up and running\""),
            ("-5%", "it says \"-5%\""),
            ("99999%", "it says \"99999%\""),
            ("HTTP/1.1 400 Bad Request", "it says \"HTTP/1.1 400 Bad Request\""),
            ("maxconn:", "it says \"maxconn:\""),
            ("\u{1b}[31m", "it says \"\\x1b[31m\""),
        ] {
            assert_eq!(Said::parse(line.as_bytes()).unwrap_err(), reason, "{line:?}");
        }
    }

    #[test]
    fn a_line_may_come_in_pieces_and_end_with_the_connection() {
        let mut line = Line::default();
        assert_eq!(line.take(b"7"), Progress::Waits);
        assert_eq!(line.take(b"5%\nrest"), Progress::Complete(Ok(said("75%"))));
        let mut line = Line::default();
        assert_eq!(line.take(b"drain"), Progress::Waits);
        assert_eq!(line.take(b""), Progress::Complete(Ok(said("drain"))));
        let Progress::Complete(Err(reason)) = Line::default().take(&[b'7'; LINE_BYTES_MAX + 1]) else {
            panic!()
        };
        assert_eq!(reason, "its line is longer than 512 bytes");
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in prop::collection::vec(any::<u8>(), 0..300), cut in 0..300usize) {
            let whole = Said::parse(&line);
            if let Ok(Said { percent: Some(percent), .. }) = whole {
                prop_assert!(percent <= PERCENT_MAX);
            }
            // However it is cut, it says the same.
            if !line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
                let (first, second) = line.split_at(cut.min(line.len()));
                let mut pieces = Line::default();
                for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                    prop_assert_eq!(pieces.take(piece), Progress::Waits);
                }
                prop_assert_eq!(pieces.take(b""), Progress::Complete(whole));
            }
        }
    }
}
