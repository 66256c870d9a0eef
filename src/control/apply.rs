//! Carries out commands, whatever door they came through, and makes the running pen follow.
//!
//! Owns the configuration and all-or-nothing: a command, or a file of commands, is first applied to a copy; only when
//! every one of them is right and everything it needs is open does the copy become the configuration. Reads no socket.
//! Called by `server.rs`, `reload.rs`, and `start.rs`.

use super::countries::{Reading, settle_countries};
use super::deeds::deeds_of;
use super::draft::{Again, Draft, Reply};
use super::glb;
use super::guarded::{Trouble, guarded};
use super::lookups::{self, Found, LOOKUP_AT_START_MS};
use super::loops;
use super::names::{Lookup, Names, can_wait, look_up, names_of};
use super::places::Places;
use super::plan::{Plan, Refresh};
use super::programs::{PROGRAM_REFUSED, runs_program};
pub use super::request::{Done, Door, Placed, Request};
use super::request::{expand, locate};
pub use super::running::{Deed, Open, Running, Wanted};
use crate::config::{ERRORS_MAX, Errors};
use crate::log::diag::{self, Severity};
use crate::settings::{
    Applied, Config, LISTENS_NOWHERE, Said, ServiceConfig, check, check_listeners, members_told,
    no_such_server, settle_ports,
};
use crate::sys::capabilities;
use crate::sys::clock;
use crate::sys::errors::reason;
use crate::sys::files::write_atomically;
use pen_proto::commands::{
    Action, Address, Assignment, Command, Flag, Group, Scope, ServiceChange, Setting, Text, When,
};
use pen_proto::names::Name;
use pen_proto::parse;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Commands about the running pen in one file: each may ask every worker, or tell of a million clients.
pub const LATER_MAX: usize = 1_000;
/// What the replies to the commands of one file may come to; a single one may be longer.
pub const REPLY_BYTES_MAX: usize = 256 << 20;

/// The room behind the doors.
pub struct Engine<R> {
    pub(super) config: Config,
    /// The configuration that `running` follows: `config` with every name a number.
    followed: Config,
    pub(super) running: Option<R>,
    names: Names,
    /// What `running` is being made to follow; `None` but for that moment.
    attempted: Option<Config>,
    /// What the command line gives, without the file.
    pub(super) base: Config,
    /// What the file said when it was read last.
    pub(super) said: Said,
    /// Where the lines of the file stand.
    pub(super) places: Arc<Places>,
    /// Nothing is written: commands are only tried.
    pub(super) is_trial: bool,
    /// `server N blacklist T` given before there was anything to blacklist.
    /// How often the configuration may have changed.
    pub(super) changes: u64,
    /// What the file of `-F` says since a command wrote or applied it, as [`Config::write`] says it.
    pub(super) written: Option<String>,
    pub(super) early_blacklists: Vec<(Arc<str>, u16, u32)>,
    pub(super) told: glb::Told,
}

impl<R: Running> Engine<R> {
    /// An engine for a pen that does not run yet.
    pub fn new(config: Config) -> Engine<R> {
        Engine::with_lookup(config, look_up)
    }

    /// As [`Engine::new`], with another way to look up host names.
    pub fn with_lookup(config: Config, lookup: Lookup) -> Engine<R> {
        let (followed, names) = (config.clone(), Names::new(lookup));
        Engine {
            base: config.clone(),
            config,
            followed,
            running: None,
            names,
            attempted: None,
            said: Said::default(),
            places: Arc::default(),
            is_trial: false,
            changes: 0,
            written: None,
            early_blacklists: Vec::new(),
            told: glb::Told::default(),
        }
    }

    /// What is configured, as the operator wrote it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// For options that are no commands (`-C`, `-F`, `-p`, `-e`, positional servers...), before pen runs.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// The configuration in numbers, as [`Engine::settle`] returned it or a later command made it.
    pub fn numeric(&self) -> &Config {
        &self.followed
    }

    /// The running pen, once started.
    pub fn running(&mut self) -> Option<&mut R> {
        self.running.as_mut()
    }

    /// Looks up every name, gives servers without a port that of the listener, and returns the configuration in
    /// numbers, from which the running pen is to be built. May block.
    ///
    /// # Errors
    ///
    /// Settings that do not fit together, or a host or service that is not known, with the setting it stands in.
    pub fn settle(&mut self) -> Result<&Config, String> {
        check(&self.config)?;
        for service in &self.config.services {
            service.tls().check_at_start().map_err(|trouble| service.of(&trouble))?;
            let early = self.early_blacklists.iter().filter(|(name, ..)| *name == service.name);
            for server in early.map(|(_, server, _)| usize::from(*server)) {
                if server >= service.servers.len() {
                    return Err(service.of(&no_such_server(server)));
                }
            }
        }
        settle_ports(&mut self.config);
        let lookup = self.names.lookup();
        let found = lookups::look_up_and_wait(names_of(&self.config), lookup, LOOKUP_AT_START_MS);
        for warning in self.learn_again(found)? {
            diag::say(Severity::Notice, warning);
        }
        self.followed = self.names.numeric(&self.config, &Config::default())?;
        loops::check(&self.followed)?;
        check_listeners(&self.followed)?;
        Ok(&self.followed)
    }

    /// Reads the file of countries of a pen that does not run yet, after [`Engine::settle`]. May block. Returns what the
    /// operator should know.
    ///
    /// # Errors
    ///
    /// The file with the reason.
    pub fn learn_countries(&mut self) -> Result<Vec<String>, String> {
        let warnings = settle_countries(&Config::default(), &mut self.config, Reading::Wanted)?;
        self.followed.process.countries = self.config.process.countries.clone();
        Ok(warnings)
    }

    /// Hands over the running pen, built from what [`Engine::settle`] returned.
    pub fn start(&mut self, mut running: R) {
        for (service, server, seconds) in self.early_blacklists.drain(..) {
            running.act(Deed::Blacklist { service, server, seconds });
        }
        self.running = Some(running);
        self.config.process.is_running = true;
        self.followed.process.is_running = true;
    }

    /// Gives the running pen back, for its end.
    pub fn into_running(self) -> Option<R> {
        self.running
    }

    /// Reads a line, which is for `service` unless it names one; the files of `include` are read too.
    ///
    /// # Errors
    ///
    /// What is wrong with the line, or with the file and where.
    pub fn understand(&self, line: &str, service: Option<&Name>) -> Result<Request, String> {
        let read = || {
            if let Some(request) = self.understand_if_glb(line, service) {
                return request;
            }
            let Some(line) = parse::line(line).map_err(|error| error.to_string())? else {
                return Ok(Request::default());
            };
            match line.command {
                Some(command) => expand(line.service.or_else(|| service.cloned()), command),
                None => Ok(Request { header: line.service, ..Request::default() }),
            }
        };
        Ok(guarded(read)?)
    }

    /// Carries out one command. The reply is complete, with its newline; empty for most settings.
    ///
    /// # Errors
    ///
    /// The command is wrong or could not be carried out. Then nothing has changed.
    pub fn execute(
        &mut self,
        service: Option<&Name>,
        command: &Command,
        door: Door,
    ) -> Result<String, String> {
        self.carry_out(&expand(service.cloned(), command.clone())?, door).map(|done| done.reply)
    }

    /// The names that must be told to [`Engine::learn`] before `request` is carried out through [`Door::Control`].
    pub fn needs_resolving(&self, request: &Request) -> Vec<String> {
        match (&self.running, &request.whole) {
            (None, _) => Vec::new(),
            (Some(_), Some(whole)) => self.names_of_whole(request, whole),
            (Some(_), None) => request.names(),
        }
    }

    /// The address that a host name had when it was looked up last.
    pub fn address_of(&self, name: &str) -> Option<std::net::IpAddr> {
        self.names.address_of(name)
    }

    /// How host names are looked up; may block.
    pub fn lookup(&self) -> Lookup {
        self.names.lookup()
    }

    /// The names that must be told to [`Engine::learn_again`] before `request` is carried out by
    /// [`Engine::carry_out_reload`]: its own, and those in use.
    pub fn names_of_reload(&self, request: &Request) -> BTreeSet<String> {
        names_of(&self.config).into_iter().chain(request.names()).collect()
    }

    /// Takes what look-ups found for a command.
    ///
    /// # Errors
    ///
    /// What was not found, a line each.
    pub fn learn(&mut self, found: Found) -> Result<(), String> {
        let missing = self.names.learn(found);
        if missing.is_empty() { Ok(()) } else { Err(first_reasons(missing)) }
    }

    /// Takes what look-ups found for a start or a reload. A name that had an address before keeps it: a name server that
    /// is away for a moment takes no server away. Returns what is to be told of those, and of servers that have to wait.
    ///
    /// # Errors
    ///
    /// The names that never had an address, a line each.
    pub fn learn_again(&mut self, found: Found) -> Result<Vec<String>, String> {
        let missing = self.names.learn(found).into_iter();
        let (kept, unknown): (Vec<_>, Vec<_>) = missing.partition(|(name, _)| self.names.knows(name));
        let (waiting, unknown): (Vec<_>, Vec<_>) =
            unknown.into_iter().partition(|(name, _)| can_wait(&self.config, name));
        if !unknown.is_empty() {
            let unknown = unknown.into_iter().map(|(name, reason)| {
                let located = self.places.of_host(&name, reason);
                (name, located)
            });
            return Err(first_reasons(unknown.collect()));
        }
        let kept = kept.into_iter().map(|(_, reason)| format!("{reason}; its last address stays in use"));
        let waiting = waiting.into_iter().map(|(_, reason)| format!("{reason}; it is looked up again"));
        Ok(kept.chain(waiting).collect())
    }

    /// Takes what look-ups found for names in use; what was not found stays as it is. Returns what the operator should
    /// know.
    ///
    /// # Errors
    ///
    /// The running pen cannot follow, and nothing has changed.
    pub fn renew(&mut self, found: Found) -> Result<Vec<String>, String> {
        for (name, reason) in self.names.learn(found) {
            diag::once(&format!("resolve {name}"), reason);
        }
        let before = self.followed.clone();
        let again = Again { refresh: Refresh::default(), countries: Reading::IfRenamed };
        guarded(|| self.follow(self.config.clone(), again)).map_err(|trouble| {
            if let Trouble::Internal(_) = trouble {
                self.take_back();
            }
            String::from(trouble)
        })?;
        Ok(members_told(&before, &self.followed))
    }

    /// Opens the logs and the file of messages again before a reload that has to wait for name servers: somebody may have
    /// moved the files. False when `request` names another log or file, and when the log cannot be opened, which the reload will tell.
    pub fn reopen_log(&mut self, request: &Request) -> bool {
        let process = &self.followed.process;
        let is_logging = process.message_file().is_some()
            || self.followed.services.iter().any(|service| service.log().is_some());
        let Some(running) = self.running.as_mut().filter(|_| is_logging) else { return false };
        if request.names_other_logs(&self.config) {
            return false;
        }
        guarded(|| follow(running, &Plan::reopening_logs(&self.followed))).is_ok()
    }

    /// Carries out all commands of a request or none. Its names must have been learned when pen runs.
    ///
    /// # Errors
    ///
    /// Every command that is wrong, a line each; nothing has changed. A command about the running pen that fails after
    /// others of the same file were carried out (`write` to a full disk) says so.
    pub fn carry_out(&mut self, request: &Request, door: Door) -> Result<Done, String> {
        if let Some(whole) = &request.whole {
            return self.carry_out_whole(request, whole, door);
        }
        let gives = |is_it: fn(Setting) -> bool| {
            request.commands.iter().any(|placed| match &placed.command {
                Command::Set(assignment) => is_it(assignment.setting()),
                _ => false,
            })
        };
        let refresh = Refresh {
            log: gives(|setting| setting == Setting::Address(Address::Log)),
            tls: gives(|setting| matches!(setting, Setting::Text(_)) && setting.row().group == Group::Tls),
            is_reload: false,
        };
        let countries = match gives(|setting| setting == Setting::Text(Text::Geoip)) {
            true => Reading::Wanted,
            false => Reading::IfRenamed,
        };
        let mut done = self.perform(request, door, Again { refresh, countries })?;
        if request.is_glb {
            done.reply = glb::DONE.to_owned();
        }
        Ok(done)
    }

    /// Opens certificates, the file of countries and, unless that was done already, the log again. Countries that cannot
    /// be read again are no error but a warning.
    ///
    /// # Errors
    ///
    /// A log that cannot be opened.
    pub fn reopen(&mut self, log: bool) -> Result<Done, String> {
        self.perform(&Request::default(), Door::Control, Again::on_reload(log))
    }

    pub(super) fn perform(&mut self, request: &Request, door: Door, again: Again) -> Result<Done, String> {
        let said = (door == Door::File).then(|| Said::nothing_on(&self.config));
        self.perform_from(Draft::of(self.config.clone(), said), &request.commands, door, again)
    }

    /// Carries commands out on top of a draft.
    pub(super) fn perform_from(
        &mut self,
        draft: Draft,
        commands: &[Placed],
        door: Door,
        again: Again,
    ) -> Result<Done, String> {
        let configured = guarded(|| {
            let mut draft = self.draft(draft, commands, door)?;
            draft.warnings.extend(self.follow(std::mem::take(&mut draft.config), again)?);
            Ok(draft)
        });
        let draft = configured.map_err(|trouble| match trouble {
            Trouble::Refused(text) => text,
            Trouble::Internal(text) => {
                self.take_back();
                format!("{text}; nothing has changed")
            }
        })?;
        Ok(guarded(|| self.act_all(commands, draft))?)
    }

    /// Has the running pen follow the configuration in force again, after a mistake on the way to another one.
    fn take_back(&mut self) {
        let (Some(attempted), Some(running)) = (self.attempted.take(), &mut self.running) else { return };
        let refresh = Refresh { is_reload: true, ..Refresh::default() };
        let plan = Plan::between(&attempted, &self.followed, refresh);
        if let Err(trouble) = guarded(|| follow(running, &plan)) {
            diag::say(Severity::Error, String::from(trouble));
        }
    }

    /// Carries out what is about the running pen, now that the rest is in force.
    fn act_all(&mut self, commands: &[Placed], mut draft: Draft) -> Result<Done, String> {
        self.remember(&mut draft);
        let mut done = Done { reply: String::new(), warnings: draft.warnings };
        let mut deeds = draft.deeds.into_iter().peekable();
        for (at, (placed, reply)) in commands.iter().zip(draft.replies).enumerate() {
            let reply = match reply {
                Reply::Ready(text) => text,
                Reply::Later => self.act_on(placed).map_err(|trouble| locate(placed, trouble))?,
            };
            if !done.reply.is_empty() && done.reply.len() + reply.len() > REPLY_BYTES_MAX {
                return Err(locate(placed, format!("more than {REPLY_BYTES_MAX} bytes of replies")));
            }
            done.reply.push_str(&reply);
            while let Some((_, deed)) = deeds.next_if(|(command, _)| *command == at) {
                self.do_deed(deed);
            }
        }
        Ok(done)
    }

    /// Applies commands to a copy of the configuration.
    fn draft(&mut self, mut draft: Draft, commands: &[Placed], door: Door) -> Result<Draft, String> {
        let now_seconds = clock::steady_epoch_seconds(clock::monotonic_ms());
        let room = draft.replies.try_reserve_exact(commands.len());
        room.map_err(|_| format!("no memory for {} commands", commands.len()))?;
        let mut errors = Errors::default();
        let (mut connections, mut later) = (None, 0);
        for placed in commands {
            let refusal = match later >= LATER_MAX {
                true => {
                    Some(Refusal::Impossible(format!("more than {LATER_MAX} commands about the running pen")))
                }
                false if door == Door::Network && runs_program(&draft.config, &placed.command) => {
                    Some(Refusal::Impossible(PROGRAM_REFUSED.into()))
                }
                false => self.refusal(&draft.config, placed, &mut connections),
            };
            let made = match &placed.service {
                Some(service) if !door.is_control() => draft.config.find_or_make(service),
                _ => Ok(()),
            };
            let refusal = made.map_or_else(|trouble| Some(Refusal::Impossible(trouble)), |()| refusal);
            let servers = draft.servers_of(placed);
            let result = match (refusal, door) {
                (Some(Refusal::StartOnly(text)), Door::File) => {
                    draft.warnings.push(locate(placed, text));
                    Ok(Reply::Ready(String::new()))
                }
                (Some(Refusal::StartOnly(text) | Refusal::Impossible(text)), _) => Err(text),
                (None, _) => {
                    let applied = self.apply_to(&mut draft, placed, door, now_seconds);
                    applied.map(|applied| match applied {
                        Applied::Reply(text) => Reply::Ready(text),
                        Applied::ReplyLater | Applied::NotStored => Reply::Later,
                    })
                }
            };
            match (result, &placed.place) {
                (Ok(reply), _) => {
                    later += usize::from(matches!(reply, Reply::Later));
                    draft.note(placed, servers, &reply);
                    draft.replies.push(reply);
                }
                (Err(text), Some(place)) => errors.push(place, text),
                (Err(text), None) => return Err(text),
            }
        }
        if !errors.is_empty() {
            return Err(errors.to_string());
        }
        self.end_rereading(&mut draft)?;
        Ok(draft)
    }

    /// Applies a command to a draft, and notes what it asks for beside what it sets.
    fn apply_to(
        &self,
        draft: &mut Draft,
        placed: &Placed,
        door: Door,
        now_seconds: u32,
    ) -> Result<Applied, String> {
        let (service, config) = (placed.service.as_deref(), &mut draft.config);
        let nothing = Applied::Reply(String::new());
        if !door.is_control() && config.is_so(service, &placed.command) {
            return Ok(nothing);
        }
        let to_member = self.deeds_to_member(config, placed)?;
        let is_to_member = to_member.is_some();
        let deeds = to_member.unwrap_or_else(|| deeds_of(config, placed));
        draft.deeds.extend(deeds.into_iter().map(|deed| (draft.replies.len(), deed)));
        match &placed.command {
            _ if is_to_member => Ok(nothing),
            Command::Service(ServiceChange::Remove { name, now: true }) if self.is_leaving(config, name) => {
                Ok(nothing)
            }
            Command::AddServer { .. } => self.add_server(config, placed, door),
            command => draft.apply(service, command, now_seconds),
        }
    }

    /// Whether a service was removed and has connections still.
    fn is_leaving(&self, config: &Config, name: &str) -> bool {
        config.service(name).is_none()
            && self.running.as_ref().is_some_and(|running| running.is_leaving(name))
    }

    /// Why a command cannot be carried out now, apart from its own sense. `connections` are asked for once.
    fn refusal(
        &mut self,
        config: &Config,
        placed: &Placed,
        connections: &mut Option<Open>,
    ) -> Option<Refusal> {
        let running = self.running.as_mut()?;
        match &placed.command {
            Command::Set(assignment) if assignment.setting().row().when == When::Start => {
                let row = assignment.setting().row();
                let scoped = match row.scope {
                    Scope::Process => &config.process.scoped,
                    Scope::Service => {
                        // What does not listen yet has not started.
                        let service = config.meant(placed.service.as_deref()).ok()?;
                        service.listen()?;
                        &service.scoped
                    }
                };
                let now = scoped.values.said(assignment.setting());
                start_only(row.word, &assignment.to_string(), now.as_deref().unwrap_or("not set"))
            }
            Command::Set(Assignment::Flag(Flag::Transparent, true))
                if !capabilities::may_use_foreign_addresses() =>
            {
                Some(Refusal::StartOnly(TRANSPARENT_REFUSED.into()))
            }
            Command::Do(Action::Close(number)) => {
                let Open { numbers, max } = connections.get_or_insert_with(|| running.open_connections());
                let in_range = u64::from(*number) < *max;
                (in_range && !numbers.contains(number))
                    .then(|| Refusal::Impossible(format!("close: connection {number} is not open")))
            }
            _ => None,
        }
    }

    /// Makes `config` the configuration and the running pen follow it. Returns what the operator should know.
    fn follow(&mut self, mut config: Config, again: Again) -> Result<Vec<String>, String> {
        config.process.arrange_lists(&self.config.process)?;
        let Some(running) = &mut self.running else {
            self.config = config;
            return Ok(Vec::new());
        };
        check(&config)?;
        let mut warnings = settle_countries(&self.config, &mut config, again.countries)?;
        if again.refresh.is_reload {
            let is_new = |service: &&Arc<ServiceConfig>| self.config.service(&service.name).is_none();
            let silent = config.services.iter().filter(|service| service.listeners().next().is_none());
            warnings.extend(silent.filter(is_new).map(|service| service.of(LISTENS_NOWHERE)));
        }
        settle_ports(&mut config);
        let numeric = self.names.numeric(&config, &self.followed)?;
        loops::check(&numeric)?;
        let attempted = self.attempted.insert(numeric);
        let done = follow(running, &Plan::between(&self.followed, attempted, again.refresh));
        // Taken only now: what panics leaves it for `take_back`.
        let numeric = self.attempted.take();
        done?;
        self.config = config;
        self.changes += 1;
        self.followed = numeric.unwrap_or_default();
        Ok(warnings)
    }
}

/// Follows a plan, or changes nothing.
fn follow<R: Running>(running: &mut R, plan: &Plan<'_>) -> Result<(), String> {
    let opened = running.open(plan)?;
    running.switch(plan, opened);
    Ok(())
}

enum Refusal {
    /// The setting cannot change while pen runs.
    StartOnly(String),
    Impossible(String),
}

const TRANSPARENT_REFUSED: &str = "transparent: this pen has no right to use addresses of others; it keeps it when it is started with transparent";

fn start_only(word: &str, wanted: &str, now: &str) -> Option<Refusal> {
    (wanted != now).then(|| Refusal::StartOnly(format!("{word}: only at start: now {now}")))
}

fn first_reasons(missing: Vec<(String, String)>) -> String {
    let reasons: Vec<String> = missing.into_iter().map(|(_, reason)| reason).take(ERRORS_MAX).collect();
    reasons.join("\n")
}

pub(super) fn save(file: &str, text: &str, mode: u32) -> Result<(), String> {
    write_atomically(Path::new(file), text.as_bytes(), mode).map(drop).map_err(|error| reason(&error))
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
