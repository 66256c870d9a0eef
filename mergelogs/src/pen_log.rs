//! Pen's logs as the answer to one question: who made this request to this server at about this time?
//!
//! Owns how far the logs are read and how much of them is kept: from before the line that is asked about to after it,
//! never a whole log (unless `-c` asks for it). Called by `merge`, once for every line of a web log.

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

    /// Who made `request`, as the web server wrote it, to `server` nearest to the given time.
    ///
    /// # Errors
    /// A pen log that cannot be read, named.
    pub fn client_of(
        &mut self,
        server: ServerId,
        request: &[u8],
        epoch_seconds: i64,
    ) -> Result<Result<Client, Unmatched>, String> {
        self.read_until(epoch_seconds + self.jitter_seconds + DISORDER_SECONDS)?;
        self.latest_asked_epoch_seconds = self.latest_asked_epoch_seconds.max(epoch_seconds);
        let horizon = self.latest_asked_epoch_seconds - self.jitter_seconds - LATENESS_SECONDS;
        self.index.window.forget_before(horizon);
        let nearest = self.index.nearest(server, request, epoch_seconds);
        Ok(match nearest {
            Some(found) if found.distance_seconds(epoch_seconds) <= self.jitter_seconds.unsigned_abs() => {
                Ok(found.client)
            }
            _ => Err(self.why_unmatched(server, epoch_seconds, nearest.is_some())),
        })
    }

    fn why_unmatched(&self, server: ServerId, epoch_seconds: i64, is_known: bool) -> Unmatched {
        let (first, last) = (self.index.first_epoch_seconds, self.index.last_epoch_seconds);
        if epoch_seconds < first - self.jitter_seconds || epoch_seconds > last + self.jitter_seconds {
            Unmatched::TimeNotCovered
        } else if !self.index.servers[server as usize].was_seen {
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

    fn nearest(&mut self, server: ServerId, request: &[u8], epoch_seconds: i64) -> Option<Sighting> {
        self.key.clear();
        weblog::write_as_pen_data(&mut self.key, request);
        let unescaped = self.nearest_of_key(server, epoch_seconds);
        if !request.contains(&b'\\') {
            return unescaped;
        }
        // Not every web server escapes: a backslash may be just that.
        self.key.clear();
        logline::write_data(&mut self.key, request);
        let verbatim = self.nearest_of_key(server, epoch_seconds);
        unescaped.into_iter().chain(verbatim).min_by_key(|found| found.distance_seconds(epoch_seconds))
    }

    fn nearest_of_key(&mut self, server: ServerId, epoch_seconds: i64) -> Option<Sighting> {
        self.window.nearest(self.fingerprints.of(server, &self.key), epoch_seconds).copied()
    }
}
