//! The web servers' logs as one sequence of lines in order of time.
//!
//! Owns the order, and what becomes of lines that are no access log lines. Lines go out in blocks, as long as `merge`
//! likes, because their clients are looked for together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use pen_proto::weblog::{Places, WebLine};

use crate::PROGRAM;
use crate::input::{Advance, LogFile};
use crate::output::{Failure, Output};
use crate::window::ServerId;

/// Seconds since 1970-01-01 00:00 UTC, and nanoseconds.
type Moment = (i64, u32);

/// All logs, each at its next access log line.
pub struct WebLogs {
    logs: Vec<WebLog>,
    /// The moment of each log's next line. Of equal ones that of the log named first on the command line comes first.
    next: BinaryHeap<Reverse<(Moment, usize)>>,
    rejects: Rejects,
    /// Buffers of lines that are done with.
    spare: Vec<Vec<u8>>,
}

/// A web server's log.
pub struct WebLog {
    /// As in the pen log.
    pub server: String,
    pub server_id: ServerId,
    pub file: LogFile,
    /// Of the current line; `None` before the first and after the last.
    places: Option<Places>,
}

/// A line on its way out.
pub struct Entry {
    /// Which of the logs it is from.
    log: usize,
    line_number: u64,
    text: Vec<u8>,
    places: Places,
}

/// Lines that are no access log lines.
pub struct Rejects {
    pub lines: u64,
    /// `FILE:NUMBER`
    pub first: Option<String>,
    output: Option<Output>,
    /// Whether to name each on standard error.
    are_named: bool,
}

impl WebLogs {
    /// Goes to the first access log line of each log.
    ///
    /// # Errors
    /// A log that cannot be read, named.
    pub fn start(logs: Vec<WebLog>, rejects: Rejects) -> Result<WebLogs, Failure> {
        let mut web_logs = WebLogs { logs, next: BinaryHeap::new(), rejects, spare: Vec::new() };
        for (index, log) in web_logs.logs.iter_mut().enumerate() {
            if let Some(moment) = log.advance(&mut web_logs.rejects)? {
                web_logs.next.push(Reverse((moment, index)));
            }
        }
        Ok(web_logs)
    }

    /// As the user named them, one for each log.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.logs.iter().map(|log| log.server.as_str())
    }

    /// The time of the next line.
    pub fn next_epoch_seconds(&self) -> Option<i64> {
        self.next.peek().map(|Reverse(((epoch_seconds, _), _))| *epoch_seconds)
    }

    /// Replaces the entries of a block by the next `lines_max` lines, or by as many as there are.
    ///
    /// # Errors
    /// A log that cannot be read, named.
    pub fn take(&mut self, block: &mut Vec<Entry>, lines_max: usize) -> Result<(), Failure> {
        self.spare.extend(block.drain(..).map(|entry| entry.text));
        while block.len() < lines_max
            && let Some(mut next) = self.next.peek_mut()
        {
            let Reverse((_, index)) = *next;
            let log = &mut self.logs[index];
            block.extend(log.take_entry(index, &mut self.spare));
            match log.advance(&mut self.rejects)? {
                Some(moment) => *next = Reverse((moment, index)),
                None => drop(PeekMut::pop(next)),
            }
        }
        Ok(())
    }

    pub fn log_of(&self, entry: &Entry) -> &WebLog {
        &self.logs[entry.log]
    }

    /// `FILE:NUMBER`, for messages.
    pub fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.logs[entry.log].file.name, entry.line_number)
    }

    /// Bytes read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.logs.iter().map(|log| log.file.bytes_read()).sum()
    }

    pub fn into_rejects(self) -> Rejects {
        self.rejects
    }
}

impl WebLog {
    pub fn new(server: String, server_id: ServerId, file: LogFile) -> WebLog {
        WebLog { server, server_id, file, places: None }
    }

    fn take_entry(&mut self, log: usize, spare: &mut Vec<Vec<u8>>) -> Option<Entry> {
        let places = self.places.take()?;
        let text = self.file.take_line(spare.pop().unwrap_or_default());
        Some(Entry { log, line_number: self.file.line_number, text, places })
    }

    /// Goes to the next access log line and returns its moment.
    fn advance(&mut self, rejects: &mut Rejects) -> Result<Option<Moment>, Failure> {
        loop {
            let why = match self.file.advance()? {
                Advance::Line => {
                    self.places = Places::find(self.file.line());
                    "no access log line"
                }
                Advance::TooLong => "line too long",
                Advance::End => return Ok(None),
            };
            if let Some(places) = &self.places {
                return Ok(Some(places.moment(self.file.line())));
            }
            rejects.take(&self.file, why)?;
        }
    }
}

impl Entry {
    pub fn line(&self) -> WebLine<'_> {
        self.places.of(&self.text)
    }
}

impl Rejects {
    /// They go to `output`.
    pub fn new(output: Option<Output>, are_named: bool) -> Rejects {
        Rejects { lines: 0, first: None, output, are_named }
    }

    fn take(&mut self, file: &LogFile, why: &str) -> Result<(), Failure> {
        self.lines += 1;
        self.first.get_or_insert_with(|| file.place());
        if self.are_named {
            PROGRAM.say(format_args!("{}: {why}", file.place()));
        }
        if let Some(output) = &mut self.output {
            output.buffer.extend_from_slice(file.line());
            output.buffer.push(b'\n');
            output.pass_on()?;
        }
        Ok(())
    }

    /// Writes the rest; a file appears under its name.
    ///
    /// # Errors
    /// The file is not complete.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.output.take().map_or(Ok(()), Output::finish)
    }
}
