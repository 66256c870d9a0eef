//! penlogd: joins the lines of pen and of the web servers behind it while they are written.
//!
//! Owns the start order, the one loop, and the exit status. The way of a line: `receive` → `sources` (may it?) →
//! `records` and `cache` (whose?) → `output`.
#![forbid(unsafe_code)]

mod cache;
mod options;
mod output;
mod receive;
mod records;
mod sources;
mod voice;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pen_sys::clock;
use pen_sys::daemon::{self, Detached};
use pen_sys::files::PidFile;
use pen_sys::notify::Supervisor;
use pen_sys::privileges::{self, Account, Keep};
use pen_sys::program::Program;
use pen_sys::signals::{self, Signals};
use pen_sys::waking::{Wakeups, waker};

use cache::Cache;
use options::{Families, Request, Settings};
use output::{Output, Target, Trouble};
use receive::Receiver;
use records::Records;
use voice::Voice;

const PROGRAM: Program = Program("penlogd");

/// How many batches are taken from a socket before signals and the other socket have their turn.
const BATCHES_MAX: usize = 256;

fn main() -> ExitCode {
    PROGRAM.obey(options::parse, |request| match request {
        Request::Help => PROGRAM.print(options::USAGE),
        Request::Version => PROGRAM.print_version(),
        Request::Serve(settings) => match serve(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => PROGRAM.fail(&error),
        },
    })
}

/// Starts in an order that matters: ports and names while root can have and see them, the background before anything
/// belongs to a process, the log as the user who will have to open it again.
fn serve(settings: Settings) -> Result<(), String> {
    let receivers = bind(settings.port, settings.families)?;
    let account = settings.user.as_deref().map(Account::look_up).transpose()?;
    // Going to the background closes standard output. Only a daemon that writes there holds on to it.
    let target = match &settings.log_file {
        Some(path) => Target::File(path),
        None => Target::Stdout(copy_of_stdout()?),
    };
    let supervisor = Supervisor::from_environment();
    let mut voice = Voice::new(settings.debug);
    let detached = if settings.foreground { None } else { Some(go_to_background(&mut voice)?) };
    let cannot_start = |error: io::Error| format!("cannot start: {error}");
    let (waker, wakeups) = waker().map_err(cannot_start)?;
    // Before there is a pid file, which the first signal would leave behind.
    let signals = Signals::install(&waker).map_err(cannot_start)?;
    if let Some(directory) = &settings.jail {
        privileges::enter_jail(directory)?;
    }
    let pid_file = settings.pid_file.as_deref().map(create_pid_file).transpose()?;
    if let Some(account) = &account {
        account.become_it(Keep::Nothing)?;
    }
    let output = Output::open(target)?;
    if let Some(detached) = detached {
        detached.ready().map_err(cannot_start)?;
    }
    supervisor.tell("READY=1");
    let records = Records::new(Cache::new(settings.entries_max, settings.age_max_seconds));
    let mut server =
        Server { receivers, wakeups, signals, records, output, voice, refused: 0, settings, stopping: false };
    let result = server.run();
    if let Err(error) = &result
        && !server.settings.foreground
    {
        server.voice.error(error);
    }
    supervisor.tell("STOPPING=1");
    drop(pid_file);
    result
}

fn bind(port: u16, families: Families) -> Result<Vec<Receiver>, String> {
    let named = |family: &str, error: io::Error| format!("port {port} ({family}): {error}");
    let v4 = || Receiver::bind_v4(port).map_err(|error| named("IPv4", error));
    let v6 = || Receiver::bind_v6(port).map_err(|error| named("IPv6", error));
    match families {
        Families::Ipv4 => Ok(vec![v4()?]),
        Families::Ipv6 => Ok(vec![v6()?]),
        Families::Both => {
            let v4 = v4()?;
            // A host without IPv6 is no reason not to serve.
            match Receiver::bind_v6(port) {
                Err(error) if lacks_ipv6(&error) => Ok(vec![v4]),
                v6 => Ok(vec![v4, v6.map_err(|error| named("IPv6", error))?]),
            }
        }
    }
}

/// Built without IPv6, or with IPv6 switched off.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL))
}

fn copy_of_stdout() -> Result<File, String> {
    let copy = io::stdout().as_fd().try_clone_to_owned();
    copy.map(File::from).map_err(|error| format!("standard output: {error}"))
}

fn go_to_background(voice: &mut Voice) -> Result<Detached, String> {
    let detached = daemon::detach(1).map_err(|error| format!("cannot go into the background: {error}"))?;
    voice.go_to_background();
    Ok(detached)
}

fn create_pid_file(path: &str) -> Result<PidFile, String> {
    PidFile::create(Path::new(path)).map_err(|error| format!("Can't open pidfile {path}: {error}"))
}

struct Server {
    receivers: Vec<Receiver>,
    /// Readable after a signal.
    wakeups: Wakeups,
    signals: Signals,
    records: Records,
    output: Output,
    voice: Voice,
    /// Datagrams from where none are taken.
    refused: u64,
    settings: Settings,
    stopping: bool,
}

impl Server {
    fn run(&mut self) -> Result<(), String> {
        while !self.stopping {
            self.wait()?;
            // What came before a signal is dealt with before it.
            let requests = self.signals.take();
            self.drain()?;
            for request in requests {
                self.obey(request);
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        let mut waiting: Vec<_> = self.receivers.iter().map(AsFd::as_fd).collect();
        waiting.push(self.wakeups.as_fd());
        let mut waiting: Vec<_> = waiting.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(format!("poll: {}", errno.desc())),
        }
        // Only wakes: what is to be done is in the flags.
        self.wakeups.drain();
        Ok(())
    }

    fn obey(&mut self, request: signals::Request) {
        match request {
            signals::Request::Stop | signals::Request::Drain | signals::Request::HandOver => {
                self.stopping = true;
            }
            signals::Request::Statistics => {
                let statistics = self.statistics();
                self.voice.notice(statistics);
            }
            signals::Request::Reload => {
                if let Err(error) = self.output.reopen() {
                    self.voice.error(error);
                }
            }
        }
    }

    /// Takes the datagrams that wait, then writes their lines: in a quiet time a line is in the log at once, and in a
    /// busy one many are written together.
    fn drain(&mut self) -> Result<(), String> {
        let now_seconds = clock::monotonic_ms() / 1000;
        let mut received = 0;
        for index in 0..self.receivers.len() {
            for _ in 0..BATCHES_MAX {
                let count = self.receive(index, now_seconds);
                received += count;
                if count == 0 {
                    break;
                }
                if self.output.is_full() || self.settings.unbuffered {
                    self.flush()?;
                }
            }
        }
        if received > 0 {
            self.voice.debug(2, format_args!("{received} datagrams"));
        }
        self.flush()
    }

    fn receive(&mut self, index: usize, now_seconds: u64) -> usize {
        let Server { receivers, records, output, voice, refused, settings, .. } = self;
        let received = receivers[index].receive(|source, datagram| {
            if !settings.sources.permit(source) {
                *refused += 1;
                return voice.debug(1, format_args!("datagram from {source} refused"));
            }
            records.take(source, datagram, now_seconds, &mut output.buffer, |why, line| {
                voice.debug(1, format_args!("{} {}", why.sentence(), String::from_utf8_lossy(line)));
            });
        });
        // An error of a datagram socket tells of one datagram; the next call gets the next.
        received.unwrap_or_else(|error| {
            self.voice.debug(1, format_args!("receive: {error}"));
            0
        })
    }

    fn flush(&mut self) -> Result<(), String> {
        match self.output.flush() {
            None => {}
            Some(Trouble::Began(error)) => self.voice.error(format_args!("log: {error}; lines are lost")),
            Some(Trouble::Over) => {
                let lost_lines = self.output.lost_lines;
                self.voice.notice(format_args!("log: written again, {lost_lines} lines were lost"));
            }
            Some(Trouble::ReaderGone) => return Err("standard output: nobody reads it any more".to_owned()),
        }
        Ok(())
    }

    fn statistics(&self) -> String {
        let counts = &self.records.counts;
        let lost: u64 = self.receivers.iter().map(Receiver::lost).sum();
        format!(
            "{} lines from pen ({} remembered), {} from web servers, {} of them matched; \
             {} bogus lines, {} datagrams refused, {lost} lost on receipt, {} lines lost on writing",
            counts.pen_lines,
            self.records.cached_entries(),
            counts.web_lines,
            counts.matched,
            counts.bogus,
            self.refused,
            self.output.lost_lines,
        )
    }
}
