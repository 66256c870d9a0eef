//! The merge: web logs in order of time, every line with the client that pen saw.
//!
//! Owns the order of lines, what becomes of those that are no access log lines, and the counts. Wires `input`,
//! `pen_log` and `output`; called by `main`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use chrono::{Local, Offset, TimeZone};
use pen_proto::weblog::Places;

use crate::input::{Advance, LogFile};
use crate::options::{Settings, WebLogSpec};
use crate::output::{Failure, Output};
use crate::pen_log::{PenLogs, Unmatched};
use crate::progress::Progress;
use crate::summary::Counts;
use crate::window::ServerId;

/// A web server's log.
struct WebLog {
    server: String,
    server_id: ServerId,
    file: LogFile,
    /// Of the current line, which is an access log line; `None` before the first and after the last.
    places: Option<Places>,
}

/// Merges everything and returns what was found.
///
/// # Errors
/// A file that cannot be read or written, named. A file given with `-o` is as it was before.
pub fn run(settings: &Settings) -> Result<Counts, Failure> {
    let servers: Vec<&str> = settings.web_logs.iter().map(|spec| spec.server.as_str()).collect();
    let pen_files =
        settings.pen_logs.iter().map(|name| LogFile::open(name)).collect::<Result<Vec<_>, _>>()?;
    let pen_files_bytes = pen_files.iter().map(|file| file.file_bytes);
    let web_files =
        settings.web_logs.iter().map(|spec| LogFile::open(&spec.file)).collect::<Result<Vec<_>, _>>()?;
    let total_bytes = total_bytes(pen_files_bytes.chain(web_files.iter().map(|file| file.file_bytes)));
    let pen_logs = PenLogs::new(pen_files, &servers, settings.jitter_seconds);
    let web_logs = settings.web_logs.iter().zip(web_files);
    let mut merge = Merge {
        web_logs: web_logs.map(|(spec, file)| WebLog::new(spec, file, &pen_logs)).collect(),
        pen_logs,
        output: Output::create(settings.output.as_deref())?,
        rejects: settings.rejects.as_deref().map(|name| Output::create(Some(name))).transpose()?,
        counts: Counts::default(),
        debug: settings.debug,
        total_bytes,
    };
    merge.run(settings.local_offset_seconds)?;
    merge.finish()
}

/// 0, not known, when one of the lengths is not.
fn total_bytes(mut lengths: impl Iterator<Item = u64>) -> u64 {
    lengths.try_fold(0, |total, length| (length > 0).then_some(total + length)).unwrap_or(0)
}

struct Merge {
    web_logs: Vec<WebLog>,
    pen_logs: PenLogs,
    output: Output,
    rejects: Option<Output>,
    counts: Counts,
    debug: usize,
    total_bytes: u64,
}

impl Merge {
    fn run(&mut self, local_offset_seconds: Option<i64>) -> Result<(), Failure> {
        // Of lines with the same time, the one from the log named first on the command line comes first.
        let mut next_lines = BinaryHeap::new();
        for index in 0..self.web_logs.len() {
            if let Some(epoch_seconds) = self.advance(index)? {
                next_lines.push(Reverse((epoch_seconds, index)));
            }
        }
        if let (Some(given), Some(Reverse((first, _)))) = (local_offset_seconds, next_lines.peek()) {
            self.pen_logs.shift(given - local_offset_seconds_at(*first));
        }
        let mut progress = Progress::new();
        while let Some(mut next) = next_lines.peek_mut() {
            let Reverse((_, index)) = *next;
            self.write_line(index)?;
            match self.advance(index)? {
                Some(epoch_seconds) => *next = Reverse((epoch_seconds, index)),
                None => drop(PeekMut::pop(next)),
            }
            if progress.is_due(self.counts.written) {
                progress.show(self.counts.written, self.bytes_read(), self.total_bytes);
            }
        }
        Ok(())
    }

    /// Goes to the next access log line of a log and returns its time.
    fn advance(&mut self, index: usize) -> Result<Option<i64>, Failure> {
        let WebLog { file, places, .. } = &mut self.web_logs[index];
        *places = None;
        loop {
            let why = match file.advance()? {
                Advance::Line => {
                    *places = Places::find(file.line());
                    "no access log line"
                }
                Advance::TooLong => "line too long",
                Advance::End => return Ok(None),
            };
            if let Some(places) = places {
                return Ok(Some(places.epoch_seconds));
            }
            reject(file, why, self.debug, &mut self.counts, &mut self.rejects)?;
        }
    }

    fn write_line(&mut self, index: usize) -> Result<(), Failure> {
        let web_log = &self.web_logs[index];
        let Some(places) = &web_log.places else { return Ok(()) };
        let line = places.of(web_log.file.line());
        let found = self.pen_logs.client_of(web_log.server_id, line.request, line.epoch_seconds)?;
        match found {
            Ok(client) => line.write(&mut self.output.buffer, client.as_bytes()),
            Err(_) => line.write(&mut self.output.buffer, web_log.server.as_bytes()),
        }
        self.counts.written += 1;
        match found {
            Ok(_) => self.counts.matched += 1,
            Err(why) => self.count_unmatched(index, why),
        }
        self.output.pass_on()
    }

    fn count_unmatched(&mut self, index: usize, why: Unmatched) {
        self.counts.count_unmatched(why);
        if self.debug > 1 {
            eprintln!("mergelogs: {}: no client: {why}", self.web_logs[index].file.place());
        }
    }

    fn bytes_read(&self) -> u64 {
        self.pen_logs.bytes_read() + self.web_logs.iter().map(|log| log.file.bytes_read()).sum::<u64>()
    }

    fn finish(mut self) -> Result<Counts, Failure> {
        self.counts.pen_log_entries = self.pen_logs.entries();
        self.counts.pen_log_skipped =
            self.pen_logs.skipped_lines().map(|(name, lines)| (name.to_owned(), lines)).collect();
        if let Some(rejects) = self.rejects {
            rejects.finish()?;
        }
        self.output.finish()?;
        Ok(self.counts)
    }
}

impl WebLog {
    fn new(spec: &WebLogSpec, file: LogFile, pen_logs: &PenLogs) -> WebLog {
        let server_id = pen_logs.server_id(&spec.server).expect("the pen logs were told all servers");
        WebLog { server: spec.server.clone(), server_id, file, places: None }
    }
}

fn reject(
    file: &LogFile,
    why: &str,
    debug: usize,
    counts: &mut Counts,
    rejects: &mut Option<Output>,
) -> Result<(), Failure> {
    counts.count_rejected(|| file.place());
    if debug > 0 {
        eprintln!("mergelogs: {}: {why}", file.place());
    }
    if let Some(rejects) = rejects {
        rejects.buffer.extend_from_slice(file.line());
        rejects.buffer.push(b'\n');
        rejects.pass_on()?;
    }
    Ok(())
}

/// How far this host's clock on the wall is ahead of UTC at some moment. `-t` is measured against it, because the
/// original took all web logs' times for local ones: there, this very number said that nothing is off.
fn local_offset_seconds_at(epoch_seconds: i64) -> i64 {
    let local = Local.timestamp_opt(epoch_seconds, 0).earliest();
    local.map_or(0, |local| i64::from(local.offset().fix().local_minus_utc()))
}
