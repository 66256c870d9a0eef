//! SIGHUP and `reload`: reopens the log, reads the file of countries and the configuration file again.
//!
//! What the file says is so afterwards, what it said last and says no longer is taken back, and what neither says stays
//! (`control/draft.rs`). All or nothing: with one error in the file the old
//! configuration stays as it is; the log is opened again all the same, because somebody may have moved it. Called by the
//! main loop, which says what is returned here. Names are looked up meanwhile: the main loop goes on.

use crate::config;
use crate::control::apply::{Engine, Request, Running};
use crate::control::guarded::guarded;
use crate::control::lookups::{Bell, Found, LOOKUP_MS, Lookups};
use crate::imports::Source;
use pen_proto::commands::Text;

/// A reload under way, if there is one: it may have to wait for name servers, and nobody else waits for it.
pub struct Reload {
    /// Reads the file.
    source: Source,
    lookups: Lookups,
    waiting: Option<Waiting>,
}

struct Waiting {
    /// What the file says.
    request: Result<Request, String>,
    /// Whether the log is still to be opened again.
    log: bool,
    /// Asked for once more meanwhile: the file may have changed.
    once_more: bool,
}

/// What the operator should know of a reload: settings that can only change at start and the like; or everything that is
/// wrong, a line each, with its place. Then no setting has changed, and a log that cannot be opened is still the old one.
pub type Outcome = Result<Vec<String>, String>;

impl Reload {
    /// `bell` rings when [`Reload::finish`] may have something to do.
    pub fn new(bell: Bell) -> Reload {
        Reload { source: Box::new(request_of), lookups: Lookups::new(bell), waiting: None }
    }

    /// With a file that is read in another way.
    pub fn reading(self, source: Source) -> Reload {
        Reload { source, ..self }
    }

    /// Reads the file, and has the names looked up that are in it or in use. [`Reload::finish`] does the rest.
    pub fn begin<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) {
        if let Some(waiting) = &mut self.waiting {
            waiting.once_more = true;
            return;
        }
        let nothing = Request::default();
        let read =
            || engine.config().process.text(Text::ConfigFile).map_or(Ok(nothing.clone()), &self.source);
        let request = guarded(read).map_err(String::from);
        let known = request.as_ref().unwrap_or(&nothing);
        let names = engine.names_of_reload(known);
        let log = names.is_empty() || !engine.reopen_log(known);
        self.lookups.ask(names, engine.lookup(), now_ms, LOOKUP_MS);
        self.waiting = Some(Waiting { request, log, once_more: false });
    }

    /// Reloads if everything is known that can be known in time; never waits.
    pub fn finish<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) -> Option<Outcome> {
        let (_, found) = self.lookups.collect(now_ms).pop()?;
        let Waiting { request, log, once_more } = self.waiting.take()?;
        let outcome = carry_out(engine, request, log, found);
        if once_more {
            self.begin(engine, now_ms);
        }
        Some(outcome)
    }

    /// Whether there is one under way.
    pub fn is_under_way(&self) -> bool {
        self.waiting.is_some()
    }

    /// When [`Reload::finish`] has something to do at the latest.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.lookups.deadline_ms()
    }
}

fn carry_out<R: Running>(
    engine: &mut Engine<R>,
    request: Result<Request, String>,
    log: bool,
    found: Found,
) -> Outcome {
    if let Ok(request) = &request {
        engine.note_places(request);
    }
    let kept = engine.learn_again(found);
    let done = request.and_then(|request| {
        let kept = kept?;
        let done = engine.carry_out_reload(request, log)?;
        Ok([kept, done.warnings].concat())
    });
    done.map_err(|trouble| {
        let located = engine.places().locate(&trouble);
        match engine.reopen(log) {
            Err(more) if more != trouble => format!("{located}\n{more}"),
            Err(_) => located,
            Ok(done) => [vec![located], done.warnings].concat().join("\n"),
        }
    })
}

/// The commands of a configuration file, to be carried out together.
///
/// # Errors
///
/// Everything that is wrong, a line each, with its place.
pub fn request_of(file: &str) -> Result<Request, String> {
    let commands = config::read(file, None).map_err(|errors| errors.to_string())?;
    Ok(Request { commands, ..Request::default() })
}

#[cfg(test)]
mod tests;
