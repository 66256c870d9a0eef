//! Pen's logs as the answer to one question: who made this request to this server at about this time?
//!
//! Owns how far the logs are read and how much of them is kept: from before the line that is asked about to after it,
//! never a whole log (unless `-c` asks for it). Called by `merge` for all lines of the web logs, in order of time.

use pen_proto::logline::{self, LogLine};
use pen_proto::weblog;

use crate::input::{Advance, LogFile};
use crate::window::{Client, Fingerprint, Fingerprints, ServerId, Sighting, Window};

/// How many lines are read at a time. Reading stops when all of them lie beyond the window, so that a few entries
/// from a clock that jumped ahead do not end it.
const BATCH_LINES: usize = 64;

/// How far web log lines may go back in time and still find their clients. A web server writes a line when the
/// request ends, with the time when it began.
const LATENESS_SECONDS: i64 = 600;

/// How far lines of pen may be out of order and still be found. Its threads hand over their lines one after the other.
const DISORDER_SECONDS: i64 = 10;

/// Beyond all time stamps, yet far from overflow.
const FOREVER_SECONDS: i64 = 1 << 50;

/// Who made this request to this server at this time?
#[derive(Debug)]
pub struct Question<'a> {
    pub server: ServerId,
    /// As the web server wrote it.
    pub request: &'a [u8],
    pub epoch_seconds: i64,
}

/// Why a request has no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// The pen log never names the server.
    ServerUnknown,
    /// The pen log ends before the line, or begins after it.
    TimeNotCovered,
    /// The request was seen, but not within the jitter.
    TooFarApart,
    RequestUnknown,
}

/// Pen's logs, read as far as the web logs need.
pub struct PenLogs {
    sources: Vec<Source>,
    index: Index,
    jitter_seconds: i64,
    latest_asked_epoch_seconds: i64,
}

/// What of the pen logs was read.
struct Index {
    /// In order of their text: a server's place is its id.
    servers: Vec<Server>,
    fingerprints: Fingerprints,
    window: Window,
    batch: Vec<(Fingerprint, Sighting)>,
    entries: u64,
    /// Taken off the times in pen's logs.
    shift_seconds: i64,
    first_epoch_seconds: i64,
    last_epoch_seconds: i64,
    key: Vec<u8>,
}

struct Server {
    name: Vec<u8>,
    was_seen: bool,
}

/// One of pen's logs.
struct Source {
    file: LogFile,
    ended: bool,
    /// The oldest entry of the batch read last.
    oldest_epoch_seconds: i64,
    skipped_lines: u64,
}

impl PenLogs {
    /// `servers` are the only ones that will be asked about. A jitter of `None` keeps everything and matches at any
    /// distance.
    pub fn new(files: Vec<LogFile>, servers: &[&str], jitter_seconds: Option<u32>) -> PenLogs {
        PenLogs {
            sources: files.into_iter().map(Source::new).collect(),
            index: Index::new(servers),
            jitter_seconds: jitter_seconds.map_or(FOREVER_SECONDS, i64::from),
            latest_asked_epoch_seconds: -FOREVER_SECONDS,
        }
    }

    /// Takes `seconds` off every time in the pen logs. To be called before the first question.
    pub fn shift(&mut self, seconds: i64) {
        self.index.shift_seconds = seconds;
    }

    /// The id of one of the servers given to [`PenLogs::new`].
    pub fn server_id(&self, server: &str) -> Option<ServerId> {
        self.index.server_id(server.as_bytes())
    }

    /// Whether an entry that was read so far names this server.
    pub fn has_seen(&self, server: &str) -> bool {
        self.server_id(server).is_some_and(|id| self.index.servers[id as usize].was_seen)
    }

    /// Lines that are no entries, with the name of their log.
    pub fn skipped_lines(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sources.iter().map(|source| (source.file.name.as_str(), source.skipped_lines))
    }

    /// Entries read so far.
    pub fn entries(&self) -> u64 {
        self.index.entries
    }

    /// Bytes read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.sources.iter().map(|source| source.file.bytes_read()).sum()
    }

    /// Who made these requests, each nearest to its time. Several at a time, because the answers lie far apart in a
    /// large memory, and the processor fetches them side by side.
    ///
    /// # Errors
    /// A pen log that cannot be read, named.
    pub fn clients_of(
        &mut self,
        questions: &[Question<'_>],
    ) -> Result<Vec<Result<Client, Unmatched>>, String> {
        let latest = questions.iter().map(|question| question.epoch_seconds).fold(-FOREVER_SECONDS, i64::max);
        self.read_until(latest + self.jitter_seconds + DISORDER_SECONDS)?;
        let nearest = self.index.nearest(questions);
        let answers = questions.iter().zip(nearest).map(|(question, nearest)| match nearest {
            Some(found) if self.is_within_jitter(found, question) => Ok(found.client),
            _ => Err(self.why_unmatched(question, nearest.is_some())),
        });
        let answers = answers.collect();
        self.latest_asked_epoch_seconds = self.latest_asked_epoch_seconds.max(latest);
        let horizon = self.latest_asked_epoch_seconds - self.jitter_seconds - LATENESS_SECONDS;
        self.index.window.forget_before(horizon);
        Ok(answers)
    }

    fn is_within_jitter(&self, found: Sighting, question: &Question<'_>) -> bool {
        found.distance_seconds(question.epoch_seconds) <= self.jitter_seconds.unsigned_abs()
    }

    fn why_unmatched(&self, question: &Question<'_>, is_known: bool) -> Unmatched {
        let earliest = self.index.first_epoch_seconds - self.jitter_seconds;
        let latest = self.index.last_epoch_seconds + self.jitter_seconds;
        if !(earliest..=latest).contains(&question.epoch_seconds) {
            Unmatched::TimeNotCovered
        } else if !self.index.servers[question.server as usize].was_seen {
            Unmatched::ServerUnknown
        } else if is_known {
            Unmatched::TooFarApart
        } else {
            Unmatched::RequestUnknown
        }
    }

    fn read_until(&mut self, epoch_seconds: i64) -> Result<(), String> {
        for source in &mut self.sources {
            while !source.ended && source.oldest_epoch_seconds <= epoch_seconds {
                source.read_batch(&mut self.index)?;
            }
        }
        Ok(())
    }
}

impl Source {
    fn new(file: LogFile) -> Source {
        Source { file, ended: false, oldest_epoch_seconds: -FOREVER_SECONDS, skipped_lines: 0 }
    }

    fn read_batch(&mut self, index: &mut Index) -> Result<(), String> {
        let mut oldest = None;
        for _ in 0..BATCH_LINES {
            let line = match self.file.advance()? {
                Advance::Line => logline::parse_line(self.file.line()),
                Advance::TooLong => None,
                Advance::End => {
                    self.ended = true;
                    break;
                }
            };
            match line {
                Some(line) => {
                    let epoch_seconds = index.add(line);
                    oldest = Some(oldest.map_or(epoch_seconds, |oldest| epoch_seconds.min(oldest)));
                }
                None => self.skipped_lines += 1,
            }
        }
        index.end_batch();
        self.oldest_epoch_seconds = oldest.unwrap_or(self.oldest_epoch_seconds);
        Ok(())
    }
}

impl Index {
    fn new(servers: &[&str]) -> Index {
        let mut names: Vec<_> = servers.iter().map(|server| server.as_bytes().to_vec()).collect();
        names.sort();
        names.dedup();
        Index {
            servers: names.into_iter().map(|name| Server { name, was_seen: false }).collect(),
            fingerprints: Fingerprints::default(),
            window: Window::default(),
            batch: Vec::with_capacity(BATCH_LINES),
            entries: 0,
            shift_seconds: 0,
            first_epoch_seconds: FOREVER_SECONDS,
            last_epoch_seconds: -FOREVER_SECONDS,
            key: Vec::new(),
        }
    }

    fn server_id(&self, name: &[u8]) -> Option<ServerId> {
        let found = self.servers.binary_search_by(|server| server.name.as_slice().cmp(name));
        found.ok().map(|place| place as ServerId)
    }

    /// Takes a line into the batch, unless nobody will ask about its server, and returns its time.
    fn add(&mut self, line: LogLine<'_>) -> i64 {
        let logged = i64::try_from(line.epoch_seconds).unwrap_or(FOREVER_SECONDS).min(FOREVER_SECONDS);
        let epoch_seconds = logged - self.shift_seconds;
        self.first_epoch_seconds = self.first_epoch_seconds.min(epoch_seconds);
        self.last_epoch_seconds = self.last_epoch_seconds.max(epoch_seconds);
        self.entries += 1;
        if let (Some(server), Some(client)) = (self.server_id(line.server), Client::new(line.client)) {
            self.servers[server as usize].was_seen = true;
            // Pen itself left control characters raw.
            self.key.clear();
            logline::write_escaped(&mut self.key, line.data);
            let sighting = Sighting { epoch_seconds, client };
            self.batch.push((self.fingerprints.of(server, &self.key), sighting));
        }
        epoch_seconds
    }

    fn end_batch(&mut self) {
        self.window.insert(&self.batch);
        self.batch.clear();
    }

    fn nearest(&mut self, questions: &[Question<'_>]) -> Vec<Option<Sighting>> {
        let fingerprints: Vec<_> = questions.iter().map(|question| self.fingerprint(question)).collect();
        // Nothing else is in this loop, so that many of its reads can be under way at once.
        let nearest = |(fingerprint, question): (Fingerprint, &Question<'_>)| {
            self.window.nearest(fingerprint, question.epoch_seconds).copied()
        };
        let mut found: Vec<_> = fingerprints.into_iter().zip(questions).map(nearest).collect();
        for (found, question) in found.iter_mut().zip(questions) {
            if question.request.contains(&b'\\') {
                let both = [*found, self.nearest_verbatim(question)].into_iter().flatten();
                *found = both.min_by_key(|sighting| sighting.distance_seconds(question.epoch_seconds));
            }
        }
        found
    }

    fn fingerprint(&mut self, question: &Question<'_>) -> Fingerprint {
        self.key.clear();
        weblog::write_as_pen_data(&mut self.key, question.request);
        self.fingerprints.of(question.server, &self.key)
    }

    /// Not every web server escapes: a backslash may be just that.
    fn nearest_verbatim(&mut self, question: &Question<'_>) -> Option<Sighting> {
        self.key.clear();
        logline::write_data(&mut self.key, question.request);
        let fingerprint = self.fingerprints.of(question.server, &self.key);
        self.window.nearest(fingerprint, question.epoch_seconds).copied()
    }
}
