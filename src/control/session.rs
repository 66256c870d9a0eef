//! What is said with one control client, without its socket: bytes in, lines out; replies in, bytes out.
//!
//! Owns the two ways of talking (one command, or a session of many), the framing and the limits on a line. Opens
//! nothing, waits for nothing, knows no clock. Called by `server.rs`.

/// The longest line that is understood.
pub const LINE_BYTES_MAX: usize = 8 << 20;

/// Unfinished lines up to this length are executed when the client falls quiet. Clients of old pens send no line end
/// and wait for the answer, but those pens never read more than this; whoever sends more knows about line ends, and
/// the first half of a long line must not be taken for the whole.
pub const QUIET_LINE_BYTES_MAX: usize = 4095;

/// Room that an emptied buffer keeps; what a long line or reply took beyond it is given back.
const BUFFER_KEPT_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One command, one reply, end. What every conversation is until its first line says `session`.
    Single,
    /// Line after line, each answered by a frame.
    Session,
    /// Line after line, each answered by bare text: GLB's way.
    Glb,
}

/// What the bytes so far ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// More bytes are needed.
    Nothing,
    /// A command line without its line end. It must be answered by [`Conversation::reply`] before the next is asked
    /// for.
    Line(String),
    /// A line that is not UTF-8, to be answered like any other: half understood it would name something else.
    NotText,
    /// The line is longer than [`LINE_BYTES_MAX`], or than memory allows.
    TooLong,
    /// The client has said everything: what is still to be written is the last.
    End,
}

/// One client's side of the talk.
#[derive(Debug)]
pub struct Conversation {
    mode: Mode,
    input: Vec<u8>,
    /// Where the unexecuted part of `input` begins.
    start: usize,
    /// Up to here `input` holds no line end, so that a long line is searched once.
    searched: usize,
    /// A carriage return ended the last line; a newline right after it is part of that line end.
    after_return: bool,
    input_ended: bool,
    over: bool,
    /// There was no memory for what was received.
    overflowed: bool,
    output: Vec<u8>,
    written: usize,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
            mode: Mode::Single,
            input: Vec::new(),
            start: 0,
            searched: 0,
            after_return: false,
            input_ended: false,
            over: false,
            overflowed: false,
            output: Vec::new(),
            written: 0,
        }
    }
}

impl Conversation {
    /// In GLB's way.
    pub fn of_glb() -> Conversation {
        Conversation { mode: Mode::Glb, ..Conversation::default() }
    }

    /// Takes what the client sent. After the end of the conversation bytes are ignored.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        if self.start > 0 {
            self.input.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        match self.input.try_reserve(bytes.len()) {
            Ok(()) => self.input.extend_from_slice(bytes),
            Err(_) => self.overflowed = true,
        }
    }

    /// The client sends nothing more.
    pub fn end_input(&mut self) {
        self.input_ended = true;
    }

    /// The next command line, if it is complete. An end of file completes a line that was begun.
    pub fn hear(&mut self) -> Heard {
        if self.over {
            return Heard::End;
        }
        self.skip_newline_after_return();
        if let Some(length) = self.find_line_end() {
            return self.take_line(length, 1);
        }
        let unfinished = self.input.len() - self.start;
        match () {
            () if unfinished > LINE_BYTES_MAX || self.overflowed => self.give_up(),
            () if self.input_ended && unfinished > 0 => self.take_line(unfinished, 0),
            () if self.input_ended => {
                self.over = true;
                Heard::End
            }
            () => Heard::Nothing,
        }
    }

    /// The unfinished line of a client that fell quiet, when it may be taken for a whole one: not in a session, and only up to [`QUIET_LINE_BYTES_MAX`].
    pub fn hear_quiet(&mut self) -> Heard {
        let unfinished = self.input.len() - self.start;
        if self.over || !self.may_be_whole() {
            return Heard::Nothing;
        }
        self.take_line(unfinished, 0)
    }

    /// Whether [`Conversation::hear_quiet`] would give a line.
    pub fn may_be_whole(&self) -> bool {
        let unfinished = self.input.len() - self.start;
        self.mode != Mode::Session && !self.over && (1..=QUIET_LINE_BYTES_MAX).contains(&unfinished)
    }

    /// Answers the line heard last. In a session the answer is a header line, `ok N` or `error N`, and N bytes;
    /// otherwise it is the bare text, an error after the word `error: `, and the conversation is over.
    pub fn reply(&mut self, reply: &Result<String, String>) {
        match self.mode {
            Mode::Single => {
                match reply {
                    Ok(text) => self.output.extend_from_slice(text.as_bytes()),
                    Err(text) => self.output.extend_from_slice(format!("error: {text}\n").as_bytes()),
                }
                self.finish();
            }
            Mode::Glb => self.output.extend_from_slice(reply.as_deref().unwrap_or("Error\n").as_bytes()),
            Mode::Session => {
                let (word, text, end) = match reply {
                    Ok(text) => ("ok", text, ""),
                    Err(text) => ("error", text, "\n"),
                };
                let length = text.len() + end.len();
                self.output.extend_from_slice(format!("{word} {length}\n{text}{end}").as_bytes());
            }
        }
    }

    /// Keeps the conversation open for more lines; the reply to the line heard last is already framed.
    pub fn open_session(&mut self) {
        self.mode = Mode::Session;
    }

    /// Ends the conversation: nothing more is heard, what is pending is still to be written.
    pub fn finish(&mut self) {
        self.over = true;
        self.input = Vec::new();
        self.start = 0;
        self.searched = 0;
    }

    /// Whether the lines of a session follow.
    pub fn is_session(&self) -> bool {
        self.mode == Mode::Session
    }

    /// Whether lines are of GLB's language.
    pub fn is_glb(&self) -> bool {
        self.mode == Mode::Glb
    }

    /// Whether the conversation has come to its end, apart from what is pending.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the client has closed its side.
    pub fn input_has_ended(&self) -> bool {
        self.input_ended
    }

    /// Whether [`Conversation::hear`] may have something new to say.
    pub fn has_unheard(&self) -> bool {
        !self.over && (self.searched < self.input.len() || self.input_ended)
    }

    /// Whether at least so many bytes of a line have come without its end.
    #[cfg(test)]
    pub fn has_unfinished(&self, bytes: usize) -> bool {
        self.input.len() - self.start >= bytes
    }

    /// Reply bytes that the client did not take yet.
    pub fn pending(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The client took so many of the pending bytes.
    pub fn took(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.output.len() {
            self.output.clear();
            self.output.shrink_to(BUFFER_KEPT_BYTES);
            self.written = 0;
        }
    }

    fn skip_newline_after_return(&mut self) {
        if self.after_return && self.start < self.input.len() {
            self.after_return = false;
            if self.input[self.start] == b'\n' {
                self.start += 1;
                self.searched = self.searched.max(self.start);
            }
        }
    }

    fn find_line_end(&mut self) -> Option<usize> {
        let found = self.input[self.searched..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        match found {
            Some(offset) => Some(self.searched + offset - self.start),
            None => {
                self.searched = self.input.len();
                None
            }
        }
    }

    fn take_line(&mut self, length: usize, line_end_bytes: usize) -> Heard {
        if length > LINE_BYTES_MAX {
            return self.give_up();
        }
        let end = self.start + length;
        let line = str::from_utf8(&self.input[self.start..end]).map(str::to_string);
        self.after_return = line_end_bytes > 0 && self.input[end] == b'\r';
        self.start = end + line_end_bytes;
        self.searched = self.start;
        if self.start == self.input.len() {
            self.input.clear();
            self.input.shrink_to(BUFFER_KEPT_BYTES);
            self.start = 0;
            self.searched = 0;
        }
        line.map_or(Heard::NotText, Heard::Line)
    }

    fn give_up(&mut self) -> Heard {
        self.finish();
        Heard::TooLong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Packets end anywhere; lines do not.
        #[test]
        fn how_bytes_arrive_does_not_matter(text in "[ab\r\n]{0,40}", cuts in prop::collection::vec(0..40usize, 0..6)) {
            let hear_all = |conversation: &mut Conversation| {
                let mut heard = Vec::new();
                loop {
                    match conversation.hear() {
                        Heard::Line(line) => heard.push(line),
                        _ => return heard,
                    }
                }
            };
            let session = || Conversation { mode: Mode::Session, ..Conversation::default() };
            let mut whole = session();
            whole.receive(text.as_bytes());
            whole.end_input();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut pieces, mut heard) = (session(), Vec::new());
            for cut in cuts.windows(2) {
                pieces.receive(&text.as_bytes()[cut[0]..cut[1]]);
                heard.extend(hear_all(&mut pieces));
            }
            pieces.end_input();
            heard.extend(hear_all(&mut pieces));
            let lines: Vec<String> = text.replace("\r\n", "\n").replace('\r', "\n").lines().map(str::to_string).collect();
            prop_assert_eq!(&heard, &lines);
            prop_assert_eq!(hear_all(&mut whole), lines);
        }
    }

    fn hearing(pieces: &[&str]) -> Conversation {
        let mut conversation = Conversation::default();
        for piece in pieces {
            conversation.receive(piece.as_bytes());
        }
        conversation
    }

    fn line(text: &str) -> Heard {
        Heard::Line(text.to_string())
    }

    fn written(conversation: &mut Conversation) -> String {
        let text = String::from_utf8(conversation.pending().to_vec()).unwrap();
        conversation.took(text.len());
        text
    }

    #[test]
    fn a_command_may_come_in_pieces() {
        let mut conversation = hearing(&["bla"]);
        assert_eq!(conversation.hear(), Heard::Nothing);
        conversation.receive(b"cklist\n");
        assert_eq!(conversation.hear(), line("blacklist"));
        conversation.reply(&Ok("30\n".into()));
        assert_eq!(written(&mut conversation), "30\n");
        assert_eq!(conversation.hear(), Heard::End);
    }

    #[test]
    fn one_command_is_executed_and_the_rest_ignored() {
        for text in ["mode\nblacklist\n", "mode\r\nblacklist\r\n", "mode\rblacklist"] {
            let mut conversation = hearing(&[text]);
            assert_eq!(conversation.hear(), line("mode"), "{text:?}");
            conversation.reply(&Err("no".into()));
            assert_eq!(conversation.hear(), Heard::End, "{text:?}");
            assert_eq!(written(&mut conversation), "error: no\n");
        }
    }

    #[test]
    fn end_of_file_completes_a_line() {
        let mut conversation = hearing(&["pid"]);
        conversation.end_input();
        assert_eq!(conversation.hear(), line("pid"));
        let mut silent = Conversation::default();
        silent.end_input();
        assert_eq!(silent.hear(), Heard::End);
    }

    #[test]
    fn a_quiet_client_has_said_its_line() {
        let mut conversation = hearing(&["mode"]);
        assert_eq!(conversation.hear_quiet(), line("mode"));
        assert_eq!(Conversation::default().hear_quiet(), Heard::Nothing);
        let mut long = hearing(&[&"a".repeat(QUIET_LINE_BYTES_MAX + 1)]);
        assert_eq!(long.hear_quiet(), Heard::Nothing);
        let mut session = hearing(&["session\nmo"]);
        assert_eq!(session.hear(), line("session"));
        session.open_session();
        session.reply(&Ok(String::new()));
        assert_eq!(session.hear(), Heard::Nothing);
        assert_eq!(session.hear_quiet(), Heard::Nothing, "half a line of a session is not a command");
    }

    #[test]
    fn every_reply_of_a_session_is_framed() {
        let mut conversation = hearing(&["session\r\npid\r\n\nbogus\n"]);
        assert_eq!(conversation.hear(), line("session"));
        conversation.open_session();
        conversation.reply(&Ok("pen\n".into()));
        assert_eq!(conversation.hear(), line("pid"), "the newline after a carriage return is no empty line");
        conversation.reply(&Ok("17\n".into()));
        assert_eq!(conversation.hear(), line(""));
        conversation.reply(&Ok(String::new()));
        assert_eq!(conversation.hear(), line("bogus"));
        conversation.reply(&Err("ö?".into()));
        assert_eq!(written(&mut conversation), "ok 4\npen\nok 3\n17\nok 0\nerror 4\nö?\n");
        assert_eq!(conversation.hear(), Heard::Nothing);
        conversation.end_input();
        assert_eq!(conversation.hear(), Heard::End);
    }

    #[test]
    fn what_is_no_text_is_no_command() {
        let mut conversation = Conversation::default();
        conversation.receive(b"web_stats /tmp/l\xf6\n");
        assert_eq!(conversation.hear(), Heard::NotText);
        let mut bytewise = Conversation::default();
        for byte in "web_stats /tmp/lö\n".bytes() {
            assert_eq!(bytewise.hear(), Heard::Nothing);
            bytewise.receive(&[byte]);
        }
        assert_eq!(bytewise.hear(), line("web_stats /tmp/lö"));
    }

    #[test]
    fn a_line_has_a_limit() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        let mut conversation = hearing(&[&longest]);
        assert_eq!(conversation.hear(), Heard::Nothing);
        conversation.receive(b"\n");
        assert_eq!(conversation.hear(), Heard::Line(longest.clone()));
        let mut longer = hearing(&[&longest, "x"]);
        assert_eq!(longer.hear(), Heard::TooLong);
        assert!(longer.is_over());
        let mut finished = hearing(&[&longest, "x\n"]);
        assert_eq!(finished.hear(), Heard::TooLong);
    }

    #[test]
    fn what_the_client_did_not_take_is_kept() {
        let mut conversation = hearing(&["pid\n"]);
        conversation.hear();
        conversation.reply(&Ok("12345\n".into()));
        conversation.took(2);
        assert_eq!(conversation.pending(), b"345\n");
        conversation.took(4);
        assert!(conversation.pending().is_empty());
    }
}
