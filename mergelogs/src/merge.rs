//! The merge: lines of the web logs in order of time, each with the client that pen saw.
//!
//! Wires `web_logs`, `pen_log` and `output`, and counts. Called by `main`.

use std::net::IpAddr;

use chrono::{Local, Offset, TimeZone};

use crate::PROGRAM;
use crate::input::LogFile;
use crate::options::Settings;
use crate::output::{Failure, Output};
use crate::pen_log::{PenLogs, Question, Unmatched};
use crate::progress::Progress;
use crate::summary::Counts;
use crate::web_logs::{Entry, Rejects, WebLog, WebLogs};
use crate::window::Client;

/// How many lines are taken up together.
const BLOCK_LINES: usize = 64;

/// Merges everything and returns what was found.
///
/// # Errors
/// A file that cannot be read or written, named. A file given with `-o` is as it was before.
pub fn run(settings: &Settings) -> Result<Counts, Failure> {
    let mut merge = Merge::start(settings)?;
    merge.run(Progress::new(settings.output.is_some()))?;
    merge.finish()
}

struct Merge {
    web_logs: WebLogs,
    pen_logs: PenLogs,
    output: Output,
    counts: Counts,
    /// Whether to name lines without a client on standard error.
    are_unmatched_named: bool,
    total_bytes: u64,
}

impl Merge {
    fn start(settings: &Settings) -> Result<Merge, Failure> {
        let open = |name: &String| LogFile::open(name);
        let pen_files = settings.pen_logs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let web_files =
            settings.web_logs.iter().map(|spec| open(&spec.file)).collect::<Result<Vec<_>, _>>()?;
        let total_bytes = total_bytes(pen_files.iter().chain(&web_files));
        let output = Output::create(settings.output.as_deref())?;
        let rejects = settings.rejects.as_deref().map(|name| Output::create(Some(name))).transpose()?;
        let rejects = Rejects::new(rejects, settings.debug > 0);
        let servers: Vec<&str> = settings.web_logs.iter().map(|spec| spec.server.as_str()).collect();
        let mut pen_logs = PenLogs::new(pen_files, &servers, settings.jitter_seconds);
        let web_logs = settings.web_logs.iter().zip(web_files).map(|(spec, file)| {
            let server_id = pen_logs.server_id(&spec.server).expect("the pen logs were told all servers");
            WebLog::new(spec.server.clone(), server_id, file)
        });
        let web_logs = WebLogs::start(web_logs.collect(), rejects)?;
        if let (Some(given), Some(first)) = (settings.local_offset_seconds, web_logs.next_epoch_seconds()) {
            pen_logs.shift(given - local_offset_seconds_at(first));
        }
        let are_unmatched_named = settings.debug > 1;
        Ok(Merge { web_logs, pen_logs, output, counts: Counts::default(), are_unmatched_named, total_bytes })
    }

    fn run(&mut self, mut progress: Progress) -> Result<(), Failure> {
        let mut block = Vec::with_capacity(BLOCK_LINES);
        loop {
            self.web_logs.take(&mut block, BLOCK_LINES)?;
            if block.is_empty() {
                return Ok(());
            }
            self.write(&block)?;
            if progress.is_due(self.counts.written) {
                let bytes_read = self.pen_logs.bytes_read() + self.web_logs.bytes_read();
                progress.show(self.counts.written, bytes_read, self.total_bytes);
            }
        }
    }

    fn write(&mut self, block: &[Entry]) -> Result<(), Failure> {
        let questions: Vec<_> = block.iter().map(|entry| self.question(entry)).collect();
        let clients = self.pen_logs.clients_of(&questions)?;
        for (entry, client) in block.iter().zip(clients) {
            self.write_entry(entry, client);
        }
        self.output.pass_on()
    }

    fn question<'a>(&self, entry: &'a Entry) -> Question<'a> {
        let line = entry.line();
        let server = self.web_logs.log_of(entry).server_id;
        Question { server, request: line.request, epoch_seconds: line.epoch_seconds }
    }

    fn write_entry(&mut self, entry: &Entry, client: Result<Client, Unmatched>) {
        let out = &mut self.output.buffer;
        match &client {
            Ok(client) => entry.line().write(out, client.as_bytes()),
            Err(_) => entry.line().write(out, self.web_logs.log_of(entry).server.as_bytes()),
        }
        self.counts.written += 1;
        match client {
            Ok(_) => self.counts.matched += 1,
            Err(why) => {
                self.counts.count_unmatched(why);
                if self.are_unmatched_named {
                    PROGRAM.say(format_args!("{}: no client: {why}", self.web_logs.place(entry)));
                }
            }
        }
    }

    fn finish(mut self) -> Result<Counts, Failure> {
        let skipped = self.pen_logs.skipped_lines().map(|(name, lines)| (name.to_owned(), lines));
        self.counts.pen_log_skipped = skipped.collect();
        self.counts.pen_log_entries = self.pen_logs.entries();
        let is_name = |server: &str| server.parse::<IpAddr>().is_err() && !self.pen_logs.has_seen(server);
        let servers = self.web_logs.servers().filter(|server| is_name(server));
        self.counts.names_unknown = servers.map(str::to_owned).collect();
        let mut rejects = self.web_logs.into_rejects();
        rejects.finish()?;
        self.counts.rejected = rejects.lines;
        self.counts.first_rejected = rejects.first;
        self.output.finish()?;
        Ok(self.counts)
    }
}

/// 0, not known, when one of the lengths is not.
fn total_bytes<'a>(mut files: impl Iterator<Item = &'a LogFile>) -> u64 {
    let add = |total, file: &LogFile| (file.file_bytes > 0).then_some(total + file.file_bytes);
    files.try_fold(0, add).unwrap_or(0)
}

/// How far this host's clock on the wall is ahead of UTC at some moment. `-t` is measured against it, because the
/// original took all web logs' times for local ones: there, this very number said that nothing is off.
fn local_offset_seconds_at(epoch_seconds: i64) -> i64 {
    let local = Local.timestamp_opt(epoch_seconds, 0).earliest();
    local.map_or(0, |local| i64::from(local.offset().fix().local_minus_utc()))
}
